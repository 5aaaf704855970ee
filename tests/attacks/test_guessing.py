"""Trying again and again: what it costs, and that it costs nobody else their way in."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from daemons import Daemon
from e2e.browsers import Account
from e2e.clips import burst
from e2e.people import BARACK, JOE
from websites import Website, jpegs, start_website

FREE = 5


@pytest.fixture(scope="module")
def claimed(site: Website, web_daemon: Daemon, victim: Account) -> Iterator[Website]:
    """The same people on a site that asks for the email first and stands behind a proxy that tells the address."""
    settings = "login_mode = email_face\ntrusted_proxies = 127.0.0.1"
    running = start_website(site.directory, web_daemon, settings, name="email_face")
    yield running
    running.stop()


def at(address: str) -> dict[str, str]:
    """The header that a proxy adds."""
    return {"X_Forwarded_For": address}


def fail(site: Website, email: str = "", **headers: str) -> str:
    """One wrong face; what the site says."""
    return site.visitor(**headers).face(burst(JOE), email=email).code


def test_five_wrong_faces_lock_the_source_for_half_a_minute(site: Website, victim: Account) -> None:
    assert [fail(site) for _ in range(FREE)] == ["refused"] * FREE
    answer = site.visitor().face(burst(BARACK))
    assert answer.code == "wait"
    assert 20 <= answer.json["retry_after_s"] <= 30
    site.age(31)
    assert site.visitor().face(burst(BARACK)).json["ok"]


def test_each_further_failure_doubles_the_wait_up_to_a_quarter_of_an_hour(site: Website, victim: Account) -> None:
    for _ in range(FREE):
        fail(site)
    waits = []
    for _ in range(7):
        waits.append(int(site.visitor().face(burst(JOE)).json["retry_after_s"]))
        site.age(waits[-1] + 1)
        assert fail(site) == "refused"
    for told, whole in zip(waits, [30, 60, 120, 240, 480, 900, 900], strict=True):
        assert whole * 0.6 <= told <= whole


def test_what_a_locked_source_sends_fills_no_memory(site: Website, victim: Account) -> None:
    for _ in range(FREE):
        fail(site)
    before = site.rows("SELECT COUNT(*) FROM seen_frame")
    assert [fail(site) for _ in range(3)] == ["wait"] * 3
    assert site.rows("SELECT COUNT(*) FROM seen_frame") == before


def test_a_new_session_for_each_guess_does_not_help(site: Website, victim: Account) -> None:
    for _ in range(FREE):
        assert fail(site) == "refused"
    assert fail(site) == "wait"


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Client-IP", "Forwarded", "True-Client-IP"])
def test_a_forged_address_is_not_believed(site: Website, victim: Account, header: str) -> None:
    site.rows("DELETE FROM seen_frame")
    same = burst(JOE)
    for number in range(FREE):
        value = f"for=198.51.100.{number}" if header == "Forwarded" else f"198.51.100.{number}"
        # The first is a wrong face, the others its replay: failures all of them.
        assert site.visitor(**{header: value}).face(same).code == "refused"
    assert site.visitor(**{header: "198.51.100.99"}).face(burst(BARACK)).code == "wait"


def test_behind_a_proxy_only_the_address_that_the_proxy_saw_counts(claimed: Website, victim: Account) -> None:
    same = burst(JOE)
    for number in range(FREE):
        forged = f"203.0.113.{number}, 198.51.100.7"
        assert fail_with(claimed, same, "nobody@example.org", forged) == "refused"
    assert fail_with(claimed, same, "nobody@example.org", "203.0.113.99, 198.51.100.7") == "wait"
    assert fail_with(claimed, burst(JOE), "nobody@example.org", "198.51.100.8") == "refused"


def fail_with(site: Website, frames: list[bytes], email: str, address: str) -> str:
    """One burst from an address."""
    return site.visitor(**at(address)).face(frames, email=email).code


def test_one_network_of_ipv6_is_one_source(claimed: Website, victim: Account) -> None:
    same = burst(JOE)
    for number in range(FREE):
        assert fail_with(claimed, same, "nobody@example.org", f"2001:db8:1:1:{number}::1") == "refused"
    assert fail_with(claimed, same, "nobody@example.org", "2001:db8:1:1:ffff::1") == "wait"


def test_spraying_one_face_over_many_accounts_locks_the_source(claimed: Website, victim: Account) -> None:
    for number in range(FREE):
        assert fail(claimed, f"person{number}@example.org", **at("198.51.100.7")) == "refused"
    assert fail(claimed, victim.email, **at("198.51.100.7")) == "wait"


def test_spraying_a_password_over_many_accounts_locks_the_source(claimed: Website, victim: Account) -> None:
    sprayer = claimed.visitor(**at("198.51.100.7"))
    for number in range(FREE):
        assert sprayer.password(f"person{number}@example.org", "Password123456").status == 422
    answer = sprayer.password(victim.email, victim.password)
    assert answer.status == 429
    assert int(answer.headers["retry-after"]) > 0
    assert not sprayer.is_in()


def test_who_attacks_an_account_from_many_places_locks_its_face_and_is_not_told(
    claimed: Website, victim: Account
) -> None:
    for number in range(FREE):
        assert fail(claimed, victim.email, **at(f"198.51.100.{number}")) == "refused"
    # Even the right face says no more than a wrong one would.
    locked = claimed.visitor(**at("192.0.2.1")).face(burst(BARACK), email=victim.email)
    assert locked.code == "refused"
    unknown = claimed.visitor(**at("192.0.2.2")).face(burst(JOE), email="nobody@example.org")
    assert {key: value for key, value in locked.json.items() if key != "nonce"} == {
        key: value for key, value in unknown.json.items() if key != "nonce"
    }
    claimed.age(31)
    assert claimed.visitor(**at("192.0.2.1")).face(burst(BARACK), email=victim.email).json["ok"]


def test_nobody_can_lock_a_person_out_for_good(claimed: Website, victim: Account) -> None:
    for number in range(FREE):
        fail(claimed, victim.email, **at(f"198.51.100.{number}"))
        for _ in range(2):
            wrong = claimed.visitor(**at(f"198.51.100.{number}")).password(victim.email, "not the right one")
            assert wrong.status == 422
    owner = claimed.visitor(**at("192.0.2.1"))
    assert owner.password(victim.email, victim.password).location == "/account"
    assert owner.is_in()


def test_fifty_failures_turn_the_face_off_until_the_password_is_given(claimed: Website, victim: Account) -> None:
    ((person,),) = claimed.rows("SELECT id FROM face_user WHERE email = 'barack@example.org'")
    fail(claimed, victim.email, **at("198.51.100.1"))
    claimed.rows("UPDATE throttle SET total = 49 WHERE scope = 'face_account'")
    fail(claimed, victim.email, **at("198.51.100.2"))
    claimed.age(86_400)
    # A day later the wait is over, and the face stays off: 1:1, and 1:N on the other site.
    assert claimed.visitor(**at("192.0.2.1")).face(burst(BARACK), email=victim.email).code == "refused"
    ((total,),) = claimed.rows("SELECT total FROM throttle WHERE scope = 'face_account'")
    assert int(total) >= 50, person
    owner = claimed.visitor(**at("192.0.2.1"))
    assert owner.password(victim.email, victim.password).location == "/account"
    assert claimed.visitor(**at("192.0.2.1")).face(burst(BARACK), email=victim.email).json["ok"]


def test_a_face_that_was_turned_off_is_off_for_a_search_among_all_too(
    site: Website, claimed: Website, victim: Account
) -> None:
    fail(claimed, victim.email, **at("198.51.100.1"))
    claimed.rows("UPDATE throttle SET total = 50 WHERE scope = 'face_account'")
    assert site.visitor().face(burst(BARACK)).code == "refused"


def test_requests_at_the_same_time_get_no_more_guesses(site: Website, victim: Account) -> None:
    prepared = []
    for _ in range(12):
        visitor = site.visitor()
        csrf = visitor.csrf()
        prepared.append((visitor, {"nonce": visitor.nonce("login", csrf)}, jpegs(burst(JOE)), csrf))
    with ThreadPoolExecutor(len(prepared)) as threads:
        answers = list(threads.map(lambda one: one[0].post("/login/face", *one[1:]), prepared))
    codes = sorted(answer.code for answer in answers)
    assert codes == ["refused"] * FREE + ["wait"] * (len(prepared) - FREE)


def test_passwords_at_the_same_time_get_no_more_guesses(site: Website, victim: Account) -> None:
    prepared = []
    for number in range(12):
        visitor = site.visitor()
        form = {"email": victim.email, "password": f"a wrong password {number}"}
        prepared.append((visitor, form, visitor.csrf()))
    with ThreadPoolExecutor(len(prepared)) as threads:
        answers = list(threads.map(lambda one: one[0].post("/login/password", one[1], None, one[2]), prepared))
    statuses = sorted(answer.status for answer in answers)
    assert statuses == [422] * FREE + [429] * (len(prepared) - FREE)


def test_an_own_account_in_between_does_not_clear_the_source_for_ever(claimed: Website, victim: Account) -> None:
    """Four wrong guesses, one right login into an account of one's own, and again: twice is once too often."""
    attacker = at("198.51.100.9")
    codes = []
    for _ in range(3):
        codes += [fail(claimed, f"other{len(codes)}@example.org", **attacker) for _ in range(FREE - 1)]
        claimed.visitor(**attacker).face(burst(BARACK), email=victim.email)
    assert "wait" in codes[FREE - 1 :]


def test_the_counters_outlive_the_server(site: Website, web_daemon: Daemon, victim: Account, tmp_path: Path) -> None:
    for _ in range(FREE):
        fail(site)
    restarted = start_website(site.directory, web_daemon, name="restarted")
    try:
        assert restarted.visitor().face(burst(BARACK)).code == "wait"
    finally:
        restarted.stop()


def test_bad_pictures_are_no_failures_and_have_a_limit_too(site: Website, victim: Account) -> None:
    visitor = site.visitor()
    for _ in range(FREE + 1):
        assert visitor.face(grey_frames()).code == "quality"
    site.rows("UPDATE throttle SET hits = 60 WHERE scope = 'quality'")
    assert site.visitor().face(burst(BARACK)).code == "wait"


def grey_frames() -> list[bytes]:
    """Pictures in which nobody is."""
    import numpy as np
    from e2e.clips import jpeg

    random = np.random.default_rng()
    return [jpeg(random.integers(100, 140, (48, 64, 3)).astype(np.uint8)) for _ in range(3)]


def test_registrations_are_limited_too(site: Website, victim: Account) -> None:
    # The victim's own face: told nothing, given nothing, counted.
    assert site.visitor().register("X", "x@example.org", "a long enough password", burst(BARACK, 4)).json["ok"]
    site.rows("UPDATE throttle SET hits = 10 WHERE scope = 'registration'")
    answer = site.visitor().register("Y", "y@example.org", "a long enough password", burst(JOE))
    assert answer.code == "wait"
    assert not site.rows("SELECT 1 FROM face_user WHERE email = 'y@example.org'")
