"""A login that asks for movements, in a browser: who does them gets in, who does not is told what was missing.

Daemon, networks, site and page are real, and so is the man's film. He can show two of the five movements, so challenges
of two are drawn anew until they ask for these: the daemon's own, each drawn as ever, and only one of them is answered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from daemons import Daemon, start_daemon
from e2e.actor import Actor
from e2e.browsers import PHONE, Camera, Screen, screen
from e2e.following import Asked, get_in, play
from playwright.sync_api import Browser
from websites import Website, php_is_there, start_website

NAME, EMAIL = "Somebody", "somebody@example.org"
SPOKEN = "words => document.querySelector('[data-spoken]').textContent === words"
LOOK = """selector => {
    const { animationName, display } = getComputedStyle(document.querySelector(selector));
    return [animationName, display];
}"""


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that asks for two movements."""
    running = start_daemon(tmp_path_factory.mktemp("asking"), "[liveness]\nsteps = 2\n")
    yield running
    running.kill()


@pytest.fixture(scope="module")
def man(shared_data: Path, camera: Camera) -> Iterator[Actor]:
    """He who sits before the camera."""
    with Actor(camera.clip, shared_data / "video" / "webcam_one_person_640x480.mjpeg") as actor:
        yield actor


@pytest.fixture(scope="module")
def guarded(asking: Daemon, man: Actor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Website]:
    """A site that asks everybody to show that they live, and has one account: his."""
    if not php_is_there():
        pytest.skip("needs PHP 8.2 with pdo_sqlite and mbstring: apt-get install php-cli php-sqlite3 php-mbstring")
    running = start_website(tmp_path_factory.mktemp("site"), asking, "liveness = both")
    pictures = [man.photographed() for _ in range(4)]
    assert running.visitor().register(NAME, EMAIL, "a sentence of somebody", pictures).json["ok"]
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def calm(man: Actor, guarded: Website) -> None:
    """He looks ahead, and nobody remembers what was before."""
    man.do("")
    guarded.forgive()


@contextmanager
def sitting(browser: Browser, site: Website, **options: Any) -> Iterator[tuple[Screen, Asked]]:
    """A tab at the login page."""
    with screen(browser, site.base_url, **options) as tab:
        asked = Asked(tab, site)
        tab.open("/login")
        yield tab, asked


def test_who_does_what_is_asked_is_let_in(guarded: Website, browser: Browser, man: Actor) -> None:
    with sitting(browser, guarded) as (tab, asked):
        done = get_in(tab, man, look="liveness-desk")
        tab.is_at("/account")
        tab.shows(f"Hello, {NAME}")
        assert done == asked.challenges[-1]
        assert asked.flashes == [False] * len(asked.flashes), "where the daemon flashes no screen, nobody is asked"


def test_who_does_not_move_is_asked_anew_and_nothing_is_sent(guarded: Website, browser: Browser, man: Actor) -> None:
    with sitting(browser, guarded) as (tab, asked):
        sent: list[str] = []
        tab.page.on("request", lambda request: sent.append(request.url))
        tab.state("following")
        tab.look("liveness-desk-waiting", whole=False)
        tab.state("waiting")
        assert "took too long" in tab.result
        tab.look("liveness-too-slow", whole=False)
        tab.state("following")
        assert len(asked.challenges) == 2, "another challenge"
        assert not any(url.endswith("/login/face") for url in sent)
        tab.open("/account")
        tab.is_at("/login")


def blind(tab: Screen) -> None:
    """No finder works: not the browser's, and not the daemon's."""
    tab.page.route("**/vendor/face-api/**", lambda route: route.abort())
    tab.page.route("**/capture/detect", lambda route: route.abort())
    tab.open("/login")
    tab.page.wait_for_function("() => document.querySelector('[data-advice]').textContent.includes('press the button')")


def press_by_keyboard(tab: Screen) -> None:
    """Tab to the camera's button, and Enter."""
    while not tab.page.evaluate("document.activeElement.matches('[data-capture]')"):
        tab.page.keyboard.press("Tab")
    tab.page.keyboard.press("Enter")


def test_by_keyboard_alone_and_without_a_finder_steps_take_their_time(
    guarded: Website, browser: Browser, man: Actor
) -> None:
    """The daemon judges all the same: who looks ahead all the time is refused, and gets in after doing as advised."""
    with sitting(browser, guarded) as (tab, asked):
        blind(tab)
        press_by_keyboard(tab)
        play(tab, man, follows=False)
        assert tab.state("result") == "result"
        assert re.search("a little further to your left|a little closer", tab.result)
        assert tab.page.evaluate("document.activeElement.matches('[data-result]')"), "a screen reader reads it"
        tab.look("liveness-refused", whole=False)
        refused = len(asked.challenges)
        press_by_keyboard(tab)
        tab.state("looking")
        press_by_keyboard(tab)
        assert get_in(tab, man) == asked.challenges[-1]
        tab.is_at("/account")
        assert len(asked.challenges) > refused, "a new sequence"
        tab.forgive("ERR_FAILED|vendor/face-api|capture/detect")


def test_nobody_is_flashed_at_who_does_not_want_it(guarded: Website, browser: Browser) -> None:
    config = guarded.config_path
    before = config.read_text()
    config.write_text(before + "[liveness]\nflash = true\n")
    try:
        with screen(browser, guarded.base_url) as tab:

            def wished() -> bool:
                with tab.page.expect_request("**/capture") as asked:
                    tab.open("/login")
                return bool(asked.value.post_data_json["flash"])

            assert wished(), "the site says that the daemon may, and nobody minds"
            without = tab.page.get_by_role("checkbox", name="Without flashing colours")
            without.check()
            assert not wished()
            assert without.is_checked(), "remembered"
            without.uncheck()
            tab.page.emulate_media(reduced_motion="reduce")
            assert not wished()
    finally:
        config.write_text(before)


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_on_a_phone_without_motion_each_step_is_seen_and_heard(
    guarded: Website, browser: Browser, man: Actor, locale: str
) -> None:
    options: dict[str, Any] = {"viewport": PHONE, "locale": locale, "reduced_motion": "reduce"}
    with sitting(browser, guarded, **options) as (tab, asked):
        tab.page.wait_for_selector("[data-camera][data-asked]")
        first = asked.challenges[-1][0]
        words = tab.page.locator("[data-words]").inner_text()
        tab.page.wait_for_function(SPOKEN, arg=words)
        ring = tab.page.get_by_role("progressbar")
        assert ring.get_attribute("aria-valuenow") is not None
        assert "2" in str(ring.get_attribute("aria-valuetext"))
        arrow = ".oval .turn" if first == "turn_right" else ".oval .closer"
        assert tab.page.evaluate(LOOK, arrow) == ["none", "inline"]
        tab.look(f"liveness-phone-{locale}", whole=False)
        assert tab.barriers() == []
        get_in(tab, man, look=f"liveness-phone-{locale}")
        tab.is_at("/account")
