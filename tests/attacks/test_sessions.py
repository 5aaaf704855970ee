"""Requests in somebody else's name: forged, fixed, stolen, or outlived sessions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from daemons import Daemon
from e2e.browsers import Account
from e2e.clips import burst
from e2e.people import BARACK
from websites import Visitor, Website, jpegs, start_website

#: Every address that changes something, and what it would be sent.
CHANGES = {
    "/login/password": {"email": "barack@example.org", "password": "a long sentence of barack"},
    "/login/face": {"nonce": "0" * 32},
    "/login/second": {"password": "a long sentence of barack"},
    "/logout": {},
    "/confirm": {"password": "a long sentence of barack", "next": "account"},
    "/capture": {"purpose": "login"},
    "/capture/detect": {},
    "/register": {"name": "x", "email": "x@example.org", "password": "long enough to do", "consent": "1"},
    "/account/captures": {"nonce": "0" * 32},
    "/account/face/remove": {},
    "/account/password": {"password": "a new password", "repeat": "a new password"},
    "/account/email": {"email": "thief@example.org"},
    "/account/delete": {"sure": "1"},
    "/admin/invites": {},
    "/admin/people/1/delete": {},
}


@pytest.fixture
def owner(site: Website, victim: Account) -> Visitor:
    """The victim, logged in by password, so that everything is allowed."""
    visitor = site.visitor()
    assert visitor.password(victim.email, victim.password).location == "/account"
    return visitor


def untouched(site: Website, owner: Visitor) -> bool:
    """Is everything as it was, and the victim still logged in?"""
    return owner.is_in() and site.rows("SELECT email, status FROM face_user WHERE role = 'person'") == [
        ["barack@example.org", "active"]
    ]


@pytest.mark.parametrize("path", CHANGES)
def test_a_post_without_a_token_is_refused(site: Website, owner: Visitor, path: str) -> None:
    assert owner.post(path, CHANGES[path], csrf="").status == 403
    assert untouched(site, owner)


@pytest.mark.parametrize("path", CHANGES)
def test_a_post_with_another_session_s_token_is_refused(site: Website, owner: Visitor, path: str) -> None:
    assert owner.post(path, CHANGES[path], csrf=site.visitor().csrf()).status == 403
    assert untouched(site, owner)


@pytest.mark.parametrize("token", ["0" * 64, "x", "[]", "null"])
def test_a_made_up_token_is_refused(site: Website, owner: Visitor, token: str) -> None:
    assert owner.post("/account/delete", {"sure": "1"}, csrf=token).status == 403
    assert owner.post("/account/delete", {"sure": "1", "_csrf[]": owner.csrf()}, csrf="").status == 403
    assert untouched(site, owner)


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1:1", "file://"]
)
def test_a_post_from_another_origin_is_refused_even_with_the_token(site: Website, owner: Visitor, origin: str) -> None:
    assert owner.post("/account/delete", {"sure": "1"}, Origin=origin).status == 403
    assert untouched(site, owner)


@pytest.mark.parametrize("said", ["cross-site", "same-site"])
def test_a_post_that_the_browser_calls_foreign_is_refused(site: Website, owner: Visitor, said: str) -> None:
    assert owner.post("/account/delete", {"sure": "1"}, Sec_Fetch_Site=said).status == 403
    assert untouched(site, owner)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_another_method_changes_nothing(site: Website, owner: Visitor, method: str) -> None:
    token = owner.csrf()
    headers = {"X-CSRF-Token": token, "X-HTTP-Method-Override": "POST", "Origin": site.base_url}
    answer = owner.request(method, f"/account/delete?sure=1&_csrf={token}&_method=POST", None, headers)
    assert answer.status in (400, 404, 405, 501)
    assert untouched(site, owner)


def test_no_page_may_be_read_or_framed_by_another_site(site: Website, owner: Visitor) -> None:
    for path in ("/", "/login", "/account", "/style.css", "/nowhere"):
        headers = owner.get(path, Origin="https://evil.example").headers
        assert "access-control-allow-origin" not in headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert not {"x-powered-by", "access-control-allow-credentials"} & headers.keys()
        policy = headers["content-security-policy"].replace("'wasm-unsafe-eval'", "")
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http:" not in policy


def test_pages_are_not_kept_by_caches(site: Website, owner: Visitor) -> None:
    for path in ("/account", "/login", "/register"):
        assert "no-store" in owner.get(path).headers["cache-control"]


def test_a_session_id_that_was_planted_is_not_taken(site: Website, victim: Account) -> None:
    planted = "attackerattackerattackerattackerattackerattacker"
    name = next(iter(site.visitor_with_session().cookies))
    browser = Visitor(site, cookies={name: planted})
    browser.get("/login")
    assert browser.cookies[name] != planted


def test_a_session_id_that_was_known_before_the_login_is_worth_nothing_after_it(site: Website, victim: Account) -> None:
    attacker = site.visitor_with_session()
    browser = Visitor(site, cookies=dict(attacker.cookies))
    assert browser.password(victim.email, victim.password).location == "/account"
    assert browser.is_in()
    assert not attacker.is_in()
    browser = Visitor(site, cookies=dict(site.visitor_with_session().cookies))
    attacker = Visitor(site, cookies=dict(browser.cookies))
    assert browser.face(burst(BARACK)).json["ok"]
    assert browser.is_in()
    assert not attacker.is_in()


def test_a_session_id_in_the_address_is_not_read(site: Website, owner: Visitor) -> None:
    ((name, value),) = owner.cookies.items()
    assert site.visitor().get(f"/account?{name}={value}&PHPSESSID={value}").status == 303


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(site: Website) -> None:
    (cookie,) = site.visitor().get("/login").cookies
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=lax", "path=/"} <= attributes
    assert not any(part.startswith(("domain", "expires", "max-age")) for part in attributes)


def test_a_session_ends_with_the_logout(site: Website, owner: Visitor) -> None:
    stolen = Visitor(site, cookies=dict(owner.cookies))
    assert owner.post("/logout").status == 303
    assert not stolen.is_in()
    assert not owner.is_in()


def test_a_session_ends_after_a_quarter_of_an_hour_of_silence(site: Website, owner: Visitor) -> None:
    site.age_session(owner, 890)
    assert owner.is_in()
    site.age_session(owner, 901)
    assert not owner.is_in()


def test_a_session_ends_after_eight_hours_however_busy(site: Website, owner: Visitor) -> None:
    for _ in range(33):
        site.age_session(owner, 880)
        owner.get("/account")
    assert not owner.is_in()


def test_a_new_password_ends_the_sessions_of_the_old_one(site: Website, owner: Visitor, victim: Account) -> None:
    thief = site.visitor()
    assert thief.password(victim.email, victim.password).location == "/account"
    form = {"password": victim.password, "repeat": victim.password}
    assert owner.post("/account/password", form).location == "/account"
    assert owner.is_in()
    assert not thief.is_in()


@pytest.mark.parametrize("path", [path for path in CHANGES if path.startswith("/account/")])
def test_a_face_alone_changes_no_account(site: Website, victim: Account, path: str) -> None:
    visitor = site.visitor()
    assert visitor.face(burst(BARACK)).json["ok"]
    assert visitor.post(path, CHANGES[path]).location == "/confirm?next=account"
    script = visitor.post(path, CHANGES[path], [])
    assert (script.status, script.json["code"]) == (403, "confirm")
    assert untouched(site, visitor)


@pytest.mark.parametrize("path", [path for path in CHANGES if path.startswith("/account/")])
def test_a_login_that_is_not_fresh_changes_no_account(site: Website, owner: Visitor, path: str) -> None:
    site.age_session(owner, 301)
    assert owner.post(path, CHANGES[path]).location == "/confirm?next=account"
    assert untouched(site, owner)


@pytest.mark.parametrize("path", [path for path in CHANGES if path.startswith(("/account/", "/admin/", "/confirm"))])
def test_nobody_changes_what_is_not_theirs(site: Website, victim: Account, path: str) -> None:
    stranger = site.visitor()
    assert stranger.post(path, CHANGES[path]).location == "/login"


@pytest.mark.parametrize("path", ["/admin", "/admin/audit", "/admin/status", "/admin/people/1/disable"])
def test_the_administration_does_not_exist_for_others(site: Website, owner: Visitor, path: str) -> None:
    answer = owner.post(path) if "people" in path else owner.get(path)
    assert answer.status == 404


def test_another_name_of_the_site_is_not_repeated(site: Website, owner: Visitor) -> None:
    """DNS rebinding: a name of the attacker's that leads to this machine."""
    port = site.base_url.rsplit(":", 1)[1]
    answer = owner.get("/account", Host=f"evil.example:{port}")
    assert "evil.example" not in answer.text + answer.location


def test_over_https_the_cookie_is_the_host_s_own_and_the_browser_stays_with_https(
    web_daemon: Daemon, tmp_path: Path
) -> None:
    """The proxy with TLS is not needed for this: base_url says what browsers see."""
    site = start_website(tmp_path, web_daemon, "base_url = https://login.example.org\nlogin_mode = email_face")
    try:
        answer = site.visitor().get("/login", Host="login.example.org")
    finally:
        site.stop()
    (cookie,) = answer.cookies
    assert cookie.startswith("__Host-face_session=")
    assert {part.strip().lower() for part in cookie.split(";")[1:]} == {"path=/", "secure", "httponly", "samesite=lax"}
    assert int(re.findall(r"max-age=(\d+)", answer.headers["strict-transport-security"])[0]) >= 180 * 86400


@pytest.mark.parametrize(
    "cookie", ["../../../../etc/passwd", "x" * 5000, "", "a b", "\x00", "Ω".encode().decode("latin-1")]
)
def test_an_ill_formed_session_cookie_begins_a_new_session(site: Website, cookie: str) -> None:
    answer = site.visitor().get("/login", Cookie=f"face_session={cookie}")
    assert answer.status == 200
    (made,) = answer.cookies
    assert re.match(r"face_session=[0-9a-v]{48};", made)
    assert site.visitor().get("/login", Cookie="face_session[]=x").status == 200


def test_a_capture_does_not_log_in_beside_its_own_session(site: Website, victim: Account) -> None:
    """Login CSRF: somebody is to be logged in as the attacker without knowing."""
    attacker = site.visitor()
    csrf = attacker.csrf()
    form = {"nonce": attacker.nonce("login", csrf)}
    browser = site.visitor_with_session()
    assert browser.post("/login/face", form, jpegs(burst(BARACK)), csrf).status == 403
    assert not browser.is_in()


def test_no_page_has_inline_script_or_style(site: Website, owner: Visitor) -> None:
    for path in ("/", "/account", "/register"):
        text = owner.get(path).text
        scripts = re.findall(r"<script(?![^>]*\bsrc=)([^>]*)>", text)
        assert all('type="application/json"' in script for script in scripts)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text)
