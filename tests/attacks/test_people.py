"""Who has no account any more, or not yet, does not get in; and an account says nothing about itself to others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from daemons import Daemon
from e2e.browsers import Account
from e2e.clips import burst
from e2e.people import BARACK, JOE
from websites import Website


@pytest.fixture
def with_status(site: Website, request: pytest.FixtureRequest, victim: Account) -> Iterator[str]:
    """The victim's account in another state, for one test."""
    site.rows(f"UPDATE face_user SET status = '{request.param}' WHERE email = '{victim.email}'")
    yield str(request.param)
    site.rows(f"UPDATE face_user SET status = 'active' WHERE email = '{victim.email}'")


@pytest.mark.parametrize("with_status", ["pending", "disabled", "deleting"], indirect=True)
def test_only_an_active_account_opens(site: Website, victim: Account, with_status: str) -> None:
    by_face, by_password = site.visitor(), site.visitor()
    assert by_face.face(burst(BARACK)).code == "refused"
    assert by_password.password(victim.email, victim.password).status == 422
    assert not by_face.is_in() and not by_password.is_in()


def test_a_session_ends_when_the_account_is_disabled(site: Website, victim: Account) -> None:
    visitor = site.visitor()
    assert visitor.face(burst(BARACK)).json["ok"]
    site.rows("UPDATE face_user SET status = 'disabled'")
    assert not visitor.is_in()
    site.rows("UPDATE face_user SET status = 'active'")
    assert not visitor.is_in()


@pytest.mark.parametrize("state", ["enrolling", "off", "removing"])
def test_a_face_that_is_not_in_use_opens_nothing(site: Website, victim: Account, state: str) -> None:
    site.rows(f"UPDATE face SET state = '{state}'")
    try:
        assert site.visitor().face(burst(BARACK)).code == "refused"
        assert site.visitor().password(victim.email, victim.password).location == "/account"
    finally:
        site.rows("UPDATE face SET state = 'active'")


def test_a_template_that_was_left_over_opens_nobody_s_account(
    site: Website, web_daemon: Daemon, victim: Account
) -> None:
    """The daemon knows a face, under ids that a database might give to somebody new."""
    ((person,),) = site.rows("SELECT id FROM face_user")
    with web_daemon.client() as client:
        client.enrol(person, burst(JOE))
        try:
            assert site.visitor().face(burst(JOE)).code == "refused"
        finally:
            client.remove(person)


def test_a_known_and_an_unknown_email_get_the_same_answer(site: Website, victim: Account) -> None:
    known = site.visitor().password(victim.email, "not the right one")
    site.forgive()
    unknown = site.visitor().password("nobody@example.org", "not the right one")
    assert known.status == unknown.status == 422
    assert without_own(known.text, victim.email) == without_own(unknown.text, "nobody@example.org")


def without_own(text: str, email: str) -> str:
    """A page without what differs from visit to visit."""
    import re

    return re.sub(r'(name="_csrf" value|data-csrf)="[0-9a-f]+"', "", text.replace(email, "EMAIL"))


def test_a_registration_does_not_tell_who_has_an_account(site: Website, web_daemon: Daemon, victim: Account) -> None:
    known_face = site.visitor().register("Twin", "twin@example.org", "a long enough password", burst(BARACK, 4))
    known_email = site.visitor().register("Thief", victim.email, "a long enough password", burst(JOE, 4))
    both = site.visitor().register("Thief", victim.email.upper(), "a long enough password", burst(BARACK, 4))
    assert known_face.json == known_email.json == both.json == {"ok": True, "location": "/registered"}
    assert site.rows("SELECT email, status FROM face_user") == [[victim.email, "active"]]
    with web_daemon.client() as client:
        assert len(list(client.all_subjects())) == 1
    # The thief's password does not open the victim's account, and the thief's face neither.
    assert site.visitor().password(victim.email, "a long enough password").status == 422
    assert site.visitor().face(burst(JOE)).code == "refused"


def test_nobody_adds_their_face_to_another_s_account(site: Website, victim: Account) -> None:
    owner = site.visitor()
    assert owner.password(victim.email, victim.password).location == "/account"
    csrf = owner.csrf()
    from websites import jpegs

    form = {"nonce": owner.nonce("captures", csrf)}
    assert not owner.post("/account/captures", form, jpegs(burst(JOE)), csrf).json["ok"]
    assert site.visitor().face(burst(JOE)).code == "refused"


@pytest.mark.parametrize("password", ["short", "123456789", "x" * 129])
def test_a_password_has_a_length(site: Website, victim: Account, password: str) -> None:
    answer = site.visitor().register("Joe", "joe@example.org", password, burst(JOE))
    assert list(answer.json["fields"]) == ["password"]


def test_without_consent_no_template_is_made(site: Website, web_daemon: Daemon, victim: Account) -> None:
    answer = site.visitor().register("Joe", "joe@example.org", "a long enough password", burst(JOE), consent="0")
    assert list(answer.json["fields"]) == ["consent"]
    with web_daemon.client() as client:
        assert len(list(client.all_subjects())) == 1


def test_a_changed_line_of_the_audit_log_is_found(site: Website, victim: Account) -> None:
    assert site.console("audit:verify").returncode == 0
    site.visitor().password("nobody@example.org", "x")
    line, event = site.rows("SELECT line, event FROM audit ORDER BY line DESC LIMIT 1")[0]
    site.rows(f"UPDATE audit SET event = 'login' WHERE line = {line}")
    try:
        assert site.console("audit:verify").returncode != 0
    finally:
        site.rows(f"UPDATE audit SET event = '{event}' WHERE line = {line}")
    assert site.console("audit:verify").returncode == 0


def test_a_line_cut_off_the_end_of_the_audit_log_is_found(site: Website, victim: Account) -> None:
    site.visitor().password("nobody@example.org", "x")
    site.rows("CREATE TABLE cut AS SELECT * FROM audit WHERE line = (SELECT MAX(line) FROM audit)")
    site.rows("DELETE FROM audit WHERE line IN (SELECT line FROM cut)")
    assert site.console("audit:verify").returncode != 0
    site.rows("INSERT INTO audit SELECT * FROM cut")
    assert site.console("audit:verify").returncode == 0


def test_the_audit_log_has_no_password_nonce_score_or_picture(site: Website, victim: Account) -> None:
    visitor = site.visitor()
    nonce = visitor.nonce()
    visitor.face(burst(JOE), nonce)
    visitor.password(victim.email, victim.password)
    lines = str(site.rows("SELECT event, source, detail FROM audit"))
    for secret in (nonce, victim.password, "score", "threshold", "data:image"):
        assert secret not in lines


def test_what_the_server_logs_has_no_password_nonce_or_token(site: Website, victim: Account) -> None:
    visitor = site.visitor()
    csrf = visitor.csrf()
    nonce = visitor.nonce("login", csrf)
    visitor.face(burst(JOE), nonce)
    visitor.password(victim.email, "the wrong password of somebody")
    for secret in (nonce, csrf, *visitor.cookies.values(), "the wrong password", victim.password):
        assert secret not in site.log


def test_the_secrets_are_the_site_s_alone(site: Website, victim: Account) -> None:
    site.visitor().password("nobody@example.org", "x")
    for path in ("var/users.sqlite", "var/audit.key", "var/audit.head", "var/sessions"):
        assert (site.directory / path).stat().st_mode & 0o077 == 0, path
