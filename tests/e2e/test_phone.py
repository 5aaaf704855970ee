"""On a phone that is held upright nobody looks for the camera: picture, advice and button come before the eyes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from daemons import Daemon
from e2e.browsers import PHONE, Account, Camera, Screen, log_in_by_password, screen
from e2e.clips import Scene, upright_clip
from e2e.people import BARACK
from playwright.sync_api import Browser
from websites import Website, start_website

UPRIGHT: dict[str, Any] = {"viewport": PHONE, "is_mobile": True, "has_touch": True}
PARTS = ("[data-stage]", "[data-advice]", "[data-capture]")
OPEN = "() => document.querySelector('[data-stage]').style.getPropertyValue('--shape') !== ''"
IN_SIGHT = """parts => parts.map(part => document.querySelector(part).getBoundingClientRect())
    .every(({top, bottom}) => top >= 0 && bottom > top && bottom <= innerHeight)"""


@pytest.fixture(scope="module", autouse=True)
def clip(camera: Camera) -> None:
    """Somebody before the camera, as a phone sees them: too far away for a picture to be taken meanwhile."""
    upright_clip(camera.clip, BARACK, Scene(size=0.2))


@pytest.fixture(scope="module", params=["face", "email_face"])
def mode(request: pytest.FixtureRequest, site: Website, web_daemon: Daemon) -> Iterator[Website]:
    """The site in a mode without and in one with a field above the camera."""
    running = start_website(site.directory, web_daemon, f"login_mode = {request.param}", name=request.param)
    yield running
    running.stop()


def sees_the_camera(tab: Screen) -> None:
    """Wait until the picture is there and all of the camera's parts are in sight."""
    tab.page.wait_for_function(OPEN)
    tab.page.wait_for_function(IN_SIGHT, arg=PARTS)


def test_the_login_s_camera_is_above_the_fold(mode: Website, browser: Browser) -> None:
    with screen(browser, mode.base_url, **UPRIGHT) as tab:
        tab.open("/login")
        sees_the_camera(tab)
        assert tab.page.evaluate("scrollY") == 0
        tab.look(f"phone-{mode.config_path.stem}", whole=False)


def test_a_login_for_another_site_comes_to_the_camera(mode: Website, browser: Browser) -> None:
    said = mode.console(
        "client:add", "--name", "A shop with a rather long name", "--return-to", "https://shop.example/"
    )
    client = said.stdout.split("client_id: ")[1].split()[0]
    with screen(browser, mode.base_url, **UPRIGHT) as tab:
        tab.open(f"/login?client={client}&return_to=https://shop.example/&state=0123456789abcdef")
        sees_the_camera(tab)
        tab.look(f"phone-for-a-site-{mode.config_path.stem}", whole=False)


def after(act: str) -> str:
    """JavaScript: whether the parts are in sight as soon as this is done."""
    return f"parts => {{ {act} return ({IN_SIGHT})(parts); }}"


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_consent_leads_to_the_camera_and_leaves_the_focus(site: Website, browser: Browser, motion: str) -> None:
    with screen(browser, site.base_url, **UPRIGHT, reduced_motion=motion) as tab:
        tab.open("/register")
        tab.page.locator("#consent").focus()
        assert not tab.page.evaluate(IN_SIGHT, PARTS)
        at_once = tab.page.evaluate(after("document.activeElement.click();"), PARTS)
        assert at_once is (motion == "reduce"), "whoever wants no motion sees none"
        sees_the_camera(tab)
        assert tab.page.evaluate("document.activeElement.id") == "consent"
        tab.look(f"phone-register-{motion}", whole=False)
        tab.page.keyboard.press("Tab")
        assert tab.page.evaluate("document.activeElement.matches('[data-capture]')")


def test_who_is_typing_a_password_is_not_taken_away(site: Website, browser: Browser) -> None:
    another = "document.querySelector('[data-devices]').dispatchEvent(new Event('change'));"
    with screen(browser, site.base_url, **UPRIGHT, reduced_motion="reduce") as tab:
        tab.open("/login")
        sees_the_camera(tab)
        tab.page.locator("#password").focus()
        assert not tab.page.evaluate(after(another), PARTS)
        assert tab.page.evaluate(after("document.activeElement.blur();" + another), PARTS)


def test_who_has_an_error_to_read_is_not_taken_away(site: Website, browser: Browser) -> None:
    with screen(browser, site.base_url, **UPRIGHT, reduced_motion="reduce") as tab:
        log_in_by_password(tab, Account("Nobody", "nobody@example.org", "not the right one"))
        tab.shows("That did not work")
        tab.page.wait_for_function(OPEN)
        assert tab.page.evaluate("scrollY") == 0
        tab.forgive("422")
