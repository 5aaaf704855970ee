"""Two cameras: the page offers both, remembers the chosen one, shows it as a mirror, and says when it is pulled out."""

from __future__ import annotations

from e2e.browsers import Screen, chromium, screen
from playwright.sync_api import Playwright
from websites import Website

DEVICE = "() => document.querySelector('video').srcObject?.getVideoTracks()[0].getSettings().deviceId"


def looks_with(tab: Screen) -> str:
    """The camera whose picture is shown."""
    tab.state("looking")
    device = tab.page.evaluate(DEVICE)
    assert isinstance(device, str)
    return device


def test_a_camera_can_be_chosen_is_remembered_and_may_be_pulled_out(site: Website, playwright: Playwright) -> None:
    two = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream=device-count=2")
    with chromium(playwright, *two) as browser, screen(browser, site.base_url) as tab:
        tab.open("/login")
        first = looks_with(tab)
        choice = tab.page.locator("select#camera-device")
        offered = [option.get_attribute("value") for option in choice.locator("option").all()]
        assert len(offered) == 2
        (other,) = set(offered) - {first}
        choice.select_option(str(other))
        tab.page.wait_for_function(f"wanted => ({DEVICE})() === wanted", arg=other)
        tab.look("login-two-cameras")
        mirrored = tab.page.evaluate(
            "() => new DOMMatrix(getComputedStyle(document.querySelector('video')).transform).a"
        )
        assert mirrored == -1
        tab.page.reload()
        assert looks_with(tab) == other
        tab.page.evaluate(
            "() => document.querySelector('video').srcObject.getTracks()[0].dispatchEvent(new Event('ended'))"
        )
        assert tab.state("result") == "result"
        assert "camera" in tab.result.lower()
