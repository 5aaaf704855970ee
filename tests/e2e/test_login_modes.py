"""The two modes that ask for more than a face, and the way round the camera."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from daemons import Daemon
from e2e.browsers import Account, Camera, Screen, log_in_by_password, screen
from e2e.clips import burst
from e2e.people import BARACK, BARACKS, JOE
from playwright.sync_api import Browser
from websites import Website, start_website


@pytest.fixture(scope="module", autouse=True)
def barack(site: Website) -> Account:
    """Has an account and a face."""
    assert site.visitor().register(BARACKS.name, BARACKS.email, BARACKS.password, burst(BARACK, 4)).json["ok"]
    return BARACKS


@pytest.fixture(scope="module", params=["email_face", "face_then_password"])
def mode(request: pytest.FixtureRequest, site: Website, web_daemon: Daemon) -> Iterator[Website]:
    """The same people, on a site with another mode."""
    running = start_website(site.directory, web_daemon, f"login_mode = {request.param}", name=request.param)
    yield running
    running.stop()


def claim(tab: Screen, email: str) -> None:
    """Say who one is, then look into the camera."""
    tab.open("/login")
    tab.page.locator("#claim-email").fill(email)


@pytest.mark.parametrize("mode", ["email_face"], indirect=True)
def test_a_claimed_email_opens_with_the_right_face_only(mode: Website, browser: Browser, camera: Camera) -> None:
    camera.show(JOE)
    with screen(browser, mode.base_url) as tab:
        claim(tab, BARACKS.email)
        assert tab.state("result") == "result"
        wrong_face = tab.result
        assert tab.leads_to("/account") == "/login"
    camera.show(BARACK)
    with screen(browser, mode.base_url) as tab:
        claim(tab, "nobody@example.org")
        assert tab.state("result") == "result"
        assert tab.result == wrong_face
    camera.show(BARACK)
    with screen(browser, mode.base_url) as tab:
        claim(tab, BARACKS.email)
        tab.is_at("/account")
        tab.shows(f"Hello, {BARACKS.name}")


@pytest.mark.parametrize("mode", ["face_then_password"], indirect=True)
@pytest.mark.parametrize(
    ("portrait", "password", "opens"),
    [(BARACK, BARACKS.password, True), (BARACK, "not the right one", False), (JOE, BARACKS.password, False)],
    ids=["both right", "wrong password", "wrong face"],
)
def test_face_and_password_are_both_needed_and_told_together(
    mode: Website, browser: Browser, camera: Camera, portrait: object, password: str, opens: bool
) -> None:
    mode.forgive()
    camera.show(portrait)  # type: ignore[arg-type]
    with screen(browser, mode.base_url) as tab:
        claim(tab, BARACKS.email)
        tab.is_at("/login/second")
        tab.page.locator("#password").fill(password)
        tab.page.locator("#password").press("Enter")
        if opens:
            tab.is_at("/account")
            tab.shows(f"Hello, {BARACKS.name}")
        else:
            tab.shows("the face or the password was not the right one")
            tab.forgive("422")
            assert tab.leads_to("/account") == "/login"


@pytest.mark.parametrize("mode", ["face_then_password"], indirect=True)
def test_a_password_alone_does_not_open_where_both_are_asked_for(
    mode: Website, browser: Browser, camera: Camera
) -> None:
    mode.forgive()
    camera.show(JOE)
    with screen(browser, mode.base_url) as tab:
        log_in_by_password(tab, BARACKS)
        tab.shows("That did not work")
        tab.forgive("422")


def test_a_password_opens_without_a_camera(site: Website, without_camera: Browser) -> None:
    site.forgive()
    with screen(without_camera, site.base_url) as tab:
        log_in_by_password(tab, BARACKS)
        tab.shows(f"Hello, {BARACKS.name}")
    with screen(without_camera, site.base_url) as tab:
        log_in_by_password(tab, Account(BARACKS.name, BARACKS.email, "not the right one"))
        tab.shows("That did not work")
        tab.forgive("422")
