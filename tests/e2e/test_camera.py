"""What the camera's page says when something is not right, and that it goes on without its own face finder."""

from __future__ import annotations

import shutil
from itertools import chain
from pathlib import Path

import pytest
from daemons import ROOT, Daemon
from e2e.browsers import Camera, Screen, chromium, screen
from e2e.clips import Scene, burst, frames, write_clip
from e2e.people import BARACK, BARACKS, JOE
from playwright.sync_api import Browser, Playwright
from websites import Website, start_website


@pytest.fixture(scope="module", autouse=True)
def barack(site: Website) -> None:
    """Has an account and a face."""
    assert site.visitor().register(BARACKS.name, BARACKS.email, BARACKS.password, burst(BARACK, 4)).json["ok"]


#: Every advice that a page gave or spoke, also one that was left meanwhile: on a slow machine they come and go unseen.
KEEP_WORDS = """
    addEventListener('DOMContentLoaded', () => ['advice', 'spoken'].forEach((kind) => {
        const shown = document.querySelector(`[data-${kind}]`);
        const keep = () => { sessionStorage[kind] = `${sessionStorage[kind] ?? ''}\\n${shown.textContent}`; };
        shown && new MutationObserver(keep).observe(shown, {childList: true, characterData: true, subtree: true});
    }));
"""


def open_login(tab: Screen) -> None:
    """The login page, whose words are kept."""
    tab.page.add_init_script(KEEP_WORDS)
    tab.open("/login")


def says(tab: Screen, advice: str, kind: str = "advice") -> None:
    """Wait until this was an advice."""
    tab.page.wait_for_function(
        "([kind, wanted]) => (sessionStorage[kind] ?? '').includes(`\\n${wanted}`)", arg=[kind, advice]
    )


def assert_password_is_offered(tab: Screen) -> None:
    """There is always another way in."""
    assert tab.page.get_by_role("link", name="Log in with your password instead").is_visible()


@pytest.mark.parametrize(
    "scenes",
    [
        {
            # A face of 60 px and more.
            "Come closer": Scene(size=0.18),
            # What is to the right in the camera's picture is to the person's own left.
            "Move a little to your left": Scene(right=-0.35),
            "Move a little to your right": Scene(right=0.35),
        },
        {
            "Come closer": Scene(size=0.27),
            "Move back": Scene(size=0.95),
            "More light": Scene(light=0.22),
            "No face can be seen": Scene(right=3),
        },
    ],
    ids=["far away and beside", "too far, too near, in the dark and gone"],
)
def test_the_page_says_what_to_do(site: Website, browser: Browser, camera: Camera, scenes: dict[str, Scene]) -> None:
    # One clip of all, over and over: starting a camera and a face finder takes longer than an advice.
    write_clip(camera.clip, chain.from_iterable(frames(BARACK, 30, scene) for scene in scenes.values()))
    with screen(browser, site.base_url) as tab:
        open_login(tab)
        for advice in scenes:
            says(tab, advice)
            tab.look(f"login-advice-{advice.lower().replace(' ', '-')}")
        # The live region speaks more seldom than the advice changes.
        says(tab, "", kind="spoken")


def test_the_button_takes_the_picture_at_once_and_bad_pictures_are_told(
    site: Website, browser: Browser, camera: Camera
) -> None:
    camera.show(BARACK, Scene(size=0.06))
    with screen(browser, site.base_url) as tab:
        tab.open("/login")
        tab.state("looking")
        tab.page.locator("[data-capture]").click()
        tab.page.wait_for_selector("ol.frames li.bad")
        tab.look("login-quality")
        assert tab.page.locator("ol.frames li").count() == 3


def test_a_stranger_who_goes_on_is_told_to_wait(site: Website, browser: Browser, camera: Camera) -> None:
    site.forgive()
    for _ in range(5):
        assert site.visitor().face(burst(JOE)).code == "refused"
    camera.show(BARACK)
    with screen(browser, site.base_url) as tab:
        tab.open("/login")
        assert tab.state("locked") == "locked"
        assert "Too many attempts" in tab.result
        tab.look("login-locked")
    site.forgive()


def test_the_daemon_that_is_away_is_told(site: Website, web_daemon: Daemon, browser: Browser, camera: Camera) -> None:
    away = Daemon(web_daemon.config_path, web_daemon.process, 1, web_daemon.log_path)
    running = start_website(site.directory, away, name="away")
    camera.show(BARACK)
    try:
        with screen(browser, running.base_url) as tab:
            tab.open("/login")
            assert tab.state("result") == "result"
            tab.look("login-daemon-away")
            assert "not available" in tab.result
            assert_password_is_offered(tab)
    finally:
        running.stop()


def test_a_login_works_where_the_browser_has_no_face_finder(
    site: Website, web_daemon: Daemon, browser: Browser, camera: Camera, tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "face_web", tmp_path / "face_web", ignore=shutil.ignore_patterns("vendor"))
    bare = start_website(site.directory, web_daemon, name="bare", root=tmp_path)
    camera.show(BARACK)
    try:
        with screen(browser, bare.base_url) as tab:
            asked = []
            tab.page.on("request", lambda request: asked.append(request.url))
            tab.open("/login")
            tab.is_at("/account")
            assert any(url.endswith("/capture/detect") for url in asked)
            tab.forgive("vendor/face-api")
    finally:
        bare.stop()


def test_a_machine_without_a_camera_is_told_so(site: Website, without_camera: Browser) -> None:
    with screen(without_camera, site.base_url) as tab:
        tab.open("/login")
        assert tab.state("result") == "result"
        assert "No camera was found" in tab.result
        assert_password_is_offered(tab)
        tab.look("login-no-camera")


def test_a_refused_permission_is_told(site: Website, playwright: Playwright, camera: Camera) -> None:
    camera.show(BARACK, seconds=2)
    asks = [one for one in camera.arguments if "fake-ui" not in one]
    with chromium(playwright, *asks) as running, screen(running, site.base_url, permissions=[]) as tab:
        tab.open("/login")
        assert tab.state("result") == "result"
        assert "The camera is not allowed" in tab.result
        assert_password_is_offered(tab)
        tab.look("login-camera-denied")


def test_an_address_that_is_not_secure_is_told(site: Website, web_daemon: Daemon, playwright: Playwright) -> None:
    named = start_website(
        site.directory, web_daemon, "base_url = http://login.example\nface_only_accepted = true", name="named"
    )
    port = named.base_url.rsplit(":", 1)[1]
    rules = f"--host-resolver-rules=MAP login.example:80 127.0.0.1:{port}"
    try:
        with (
            chromium(playwright, rules, "--use-fake-ui-for-media-stream") as running,
            screen(running, "http://login.example") as tab,
        ):
            tab.open("/login")
            assert tab.state("result") == "result"
            assert "over https" in tab.result
            assert_password_is_offered(tab)
            tab.look("login-insecure")
            # The browser says that it takes this header on secure addresses only.
            tab.forgive("Cross-Origin-Opener-Policy")
    finally:
        named.stop()


def test_without_javascript_the_password_opens(site: Website, browser: Browser) -> None:
    with screen(browser, site.base_url, java_script_enabled=False) as tab:
        tab.open("/login")
        # Chromium's switch for tests runs no script, and shows no <noscript> either.
        assert '<noscript><p class="notice warning">The camera needs JavaScript' in tab.page.content()
        tab.look("login-no-javascript")
        form = tab.page.locator('form[action="/login/password"]')
        form.locator("input[name=email]").fill(BARACKS.email)
        form.locator("input[name=password]").fill(BARACKS.password)
        form.locator("button").click()
        tab.is_at("/account")
