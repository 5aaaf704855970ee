"""The way back to another site: sent elsewhere, codes used twice or by somebody else, secrets guessed."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
from e2e.browsers import Account
from websites import Answer, Visitor, Website

RETURN_TO = "https://shop.example/back"
STATE = "a-state-of-the-shop-0123456789"


@dataclass(frozen=True)
class Shop:
    """A site that is registered."""

    client: str
    secret: str


def registered(site: Website, name: str, return_to: str) -> Shop:
    """Register a site by the console."""
    said = site.console("client:add", "--name", name, "--return-to", return_to)
    lines = dict(line.split(": ", 1) for line in said.stdout.splitlines() if line.startswith("client_"))
    return Shop(lines["client_id"], lines["client_secret"])


@pytest.fixture(scope="module")
def shop(site: Website, victim: Account) -> Shop:
    """The site that uses the login."""
    return registered(site, "Shop", RETURN_TO)


@pytest.fixture(scope="module")
def rival(site: Website, victim: Account) -> Shop:
    """Another one."""
    return registered(site, "Rival", "https://rival.example/back")


def asked(shop: Shop, **changes: str) -> str:
    """The address that the shop sends a browser to."""
    question = {"client": shop.client, "return_to": RETURN_TO, "state": STATE, **changes}
    return "/login?" + urlencode(question)


def code(site: Website, shop: Shop, victim: Account) -> str:
    """Log in for the shop; the code in the address of the way back."""
    visitor = site.visitor()
    assert visitor.get(asked(shop)).location == "/login"
    location = urlsplit(visitor.password(victim.email, victim.password).location)
    answer = parse_qs(location.query)
    assert f"{location.scheme}://{location.netloc}{location.path}" == RETURN_TO
    assert answer["state"] == [STATE]
    return answer["code"][0]


def exchange(site: Website, shop: Shop, given: str, return_to: str = RETURN_TO, **more: str) -> Answer:
    """What the shop's server asks."""
    form = {"client_id": shop.client, "client_secret": shop.secret, "code": given, "return_to": return_to, **more}
    return Visitor(site).request(
        "POST", "/exchange", urlencode(form).encode(), {"Content-Type": "application/x-www-form-urlencoded"}
    )


def test_without_an_attack_the_code_tells_who_it_is(site: Website, shop: Shop, victim: Account) -> None:
    answer = exchange(site, shop, code(site, shop, victim))
    assert answer.status == 200
    assert answer.json["email"] == victim.email
    assert answer.json["amr"] == ["pwd"]


def test_a_code_is_good_once(site: Website, shop: Shop, victim: Account) -> None:
    given = code(site, shop, victim)
    assert exchange(site, shop, given).status == 200
    again = exchange(site, shop, given)
    assert (again.status, again.json["error"]) == (400, "invalid_grant")


def test_a_code_lives_a_minute(site: Website, shop: Shop, victim: Account) -> None:
    given = code(site, shop, victim)
    site.age(61)
    assert exchange(site, shop, given).json["error"] == "invalid_grant"


def test_a_code_of_another_site_is_none(site: Website, shop: Shop, rival: Shop, victim: Account) -> None:
    given = code(site, shop, victim)
    assert exchange(site, rival, given).json["error"] == "invalid_grant"


def test_a_code_for_another_address_is_none(site: Website, shop: Shop, victim: Account) -> None:
    given = code(site, shop, victim)
    assert exchange(site, shop, given, "https://shop.example/other").json["error"] == "invalid_grant"


@pytest.mark.parametrize("secret", ["", "x", "' OR 1=1 --", "0" * 64])
def test_a_wrong_secret_gets_nothing_and_spoils_no_code(
    site: Website, shop: Shop, victim: Account, secret: str
) -> None:
    given = code(site, shop, victim)
    refused = exchange(site, Shop(shop.client, secret), given)
    assert refused.status in (400, 401)
    assert "subject" not in refused.text
    assert exchange(site, shop, given).status == 200


def test_guessing_secrets_is_limited(site: Website, shop: Shop, victim: Account) -> None:
    statuses = [exchange(site, Shop(shop.client, f"guess {number}"), "x").status for number in range(8)]
    assert statuses[0] == 401
    assert statuses[-1] == 429


@pytest.mark.parametrize("given", ["", "x", "' OR 1=1 --", "0" * 32, "%00"])
def test_a_made_up_code_is_none(site: Website, shop: Shop, given: str) -> None:
    assert exchange(site, shop, given).status == 400


def test_the_secret_is_not_read_from_the_address(site: Website, shop: Shop, victim: Account) -> None:
    form = {"client_id": shop.client, "client_secret": shop.secret, "return_to": RETURN_TO}
    query = urlencode({**form, "code": code(site, shop, victim)})
    assert Visitor(site).request("GET", f"/exchange?{query}").status == 405
    assert Visitor(site).request("POST", f"/exchange?{query}", b"").status in (400, 401)


def test_secrets_in_two_places_are_refused(site: Website, shop: Shop, victim: Account) -> None:
    basic = base64.b64encode(f"{shop.client}:{shop.secret}".encode()).decode()
    form = {"client_id": shop.client, "client_secret": "x", "code": code(site, shop, victim), "return_to": RETURN_TO}
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": f"Basic {basic}"}
    assert Visitor(site).request("POST", "/exchange", urlencode(form).encode(), headers).status == 400


@pytest.mark.parametrize(
    "return_to",
    [
        "https://evil.example/",
        "https://shop.example/back/../evil",
        "https://shop.example/back?x=1",
        "https://shop.example/back#x",
        "https://shop.example/backs",
        "https://shop.example/Back",
        "https://SHOP.example/back",
        "https://shop.example.evil.example/back",
        "https://shop.example@evil.example/back",
        "https://evil.example\\@shop.example/back",
        "https://shop.example:443/back",
        "http://shop.example/back",
        "//shop.example/back",
        "javascript:alert(1)//shop.example/back",
        "data:text/html,<script>alert(1)</script>",
        " https://shop.example/back",
        "https://shop.example/back ",
        "https://shop.example/back\r\nLocation: https://evil.example/",
        "",
    ],
)
def test_nobody_is_sent_to_an_address_that_is_not_registered(
    site: Website, shop: Shop, victim: Account, return_to: str
) -> None:
    visitor = site.visitor()
    answer = visitor.get(asked(shop, return_to=return_to))
    assert answer.status == 400
    assert not answer.location
    assert "evil.example" not in answer.headers.get("content-security-policy", "")
    # And a login after it stays here.
    assert visitor.password(victim.email, victim.password).location == "/account"


def test_a_second_return_address_in_the_query_is_refused(site: Website, shop: Shop, victim: Account) -> None:
    answer = site.visitor().get(asked(shop) + "&redirect_uri=" + quote("https://evil.example/"))
    assert answer.status == 400


@pytest.mark.parametrize(
    "changes", [{"client": "nobody"}, {"state": ""}, {"state": "short"}, {"response_type": "token"}]
)
def test_a_request_that_does_not_fit_is_answered_here(site: Website, shop: Shop, changes: dict[str, str]) -> None:
    answer = site.visitor().get(asked(shop, **changes))
    assert (answer.status, answer.location) == (400, "")


def test_two_sites_cannot_tell_that_it_is_the_same_person(site: Website, shop: Shop, victim: Account) -> None:
    other = registered(site, "Twin", RETURN_TO)
    one = exchange(site, shop, code(site, shop, victim)).json["subject"]
    two = exchange(site, other, code(site, other, victim)).json["subject"]
    ((gallery,),) = site.rows("SELECT subject FROM face")
    assert len({one, two, gallery}) == 3
    assert exchange(site, shop, code(site, shop, victim)).json["subject"] == one


def test_a_code_dies_with_the_account(site: Website, shop: Shop, victim: Account) -> None:
    given = code(site, shop, victim)
    site.rows("UPDATE face_user SET status = 'disabled'")
    try:
        assert exchange(site, shop, given).json["error"] == "invalid_grant"
    finally:
        site.rows("UPDATE face_user SET status = 'active'")


def test_an_old_login_is_not_handed_on(site: Website, shop: Shop, victim: Account) -> None:
    visitor = site.visitor()
    assert visitor.password(victim.email, victim.password).location == "/account"
    site.age_session(visitor, 301)
    assert not visitor.get(asked(shop)).location.startswith("https://")
