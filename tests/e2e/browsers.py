"""A headless Chromium with a person before its camera, and what a user does with the site's pages."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from daemons import ROOT
from e2e.clips import Portrait, Scene, portrait_clip
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, Request, expect
from websites import Website

SCREENSHOTS = ROOT / "var" / "screenshots"
AXE = ROOT / "var" / "browser" / "axe.min.js"
#: A loaded machine is no failure.
PATIENCE_MS = 120_000

QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
FAKE_CAMERA = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")

ARRIVED = """wanted => location.href.split(/[?#]/)[0] === wanted && document.readyState === 'complete'
    || ['result', 'locked'].includes(document.querySelector('[data-camera]')?.dataset.state)"""

PHONE = {"width": 375, "height": 740}
DESK = {"width": 1200, "height": 850}


def chromium_path() -> str:
    """Debian's Chromium, or a visible skip."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("needs chromium: apt-get install chromium")
    return found


@contextmanager
def chromium(playwright: Playwright, *arguments: str) -> Iterator[Browser]:
    """A new Chromium with a profile of its own."""
    browser = playwright.chromium.launch(
        executable_path=chromium_path(), args=[*QUIET, *arguments], timeout=PATIENCE_MS
    )
    try:
        yield browser
    finally:
        browser.close()


class Camera:
    """What stands before the fake camera. The file is opened anew whenever a page opens the camera."""

    def __init__(self, clip: Path) -> None:
        self.clip = clip

    @property
    def arguments(self) -> Sequence[str]:
        """What Chromium is started with."""
        return (*FAKE_CAMERA, f"--use-file-for-fake-video-capture={self.clip}")

    def show(self, portrait: Portrait, scene: Scene | None = None, seconds: float = 15) -> None:
        """Let this person sit down before the camera."""
        portrait_clip(self.clip, portrait, seconds, scene)


@dataclass
class Screen:
    """One tab, and everything in it that went wrong."""

    page: Page
    base_url: str
    problems: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Keep what a developer would see in the browser's console."""
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        self.page.on("requestfailed", self._failed)

    def _said(self, message: ConsoleMessage) -> None:
        # What a machine without a graphics card says of itself is not the site's doing.
        if message.type in ("error", "warning") and "GL Driver Message" not in message.text:
            self.problems.append(f"{message.type}: {message.text} at {message.location.get('url', '')}")

    def _failed(self, request: Request) -> None:
        # A page that is left breaks off what it was asking for.
        if request.failure != "net::ERR_ABORTED":
            self.problems.append(f"failed: {request.url} {request.failure}")

    def forgive(self, pattern: str) -> None:
        """These problems are what the test is about."""
        self.problems = [problem for problem in self.problems if not re.search(pattern, problem)]

    def open(self, path: str) -> None:
        """Go to an address of the site."""
        self.page.goto(self.base_url + path if path.startswith("/") else path, timeout=PATIENCE_MS)

    def shows(self, text: str | re.Pattern[str]) -> None:
        """Wait until it is to be read."""
        expect(self.page.get_by_text(text).filter(visible=True).first).to_be_visible(timeout=PATIENCE_MS)

    def is_at(self, path: str) -> None:
        """Wait until the browser is there; a camera that says no before is an answer, too."""
        wanted = self.base_url + path
        self.page.wait_for_function(ARRIVED, arg=wanted, timeout=PATIENCE_MS)
        if re.split("[?#]", self.page.url)[0] != wanted:
            self.look("last-failure")
            text = self.page.locator("main").inner_text()
            raise AssertionError(f"still at {self.page.url} and not at {path}; the page says:\n{text}")

    def leads_to(self, path: str) -> str:
        """The path at which this browser would arrive from there, asked without a page, whose camera would start."""
        return urlsplit(self.page.request.get(self.base_url + path).url).path

    def state(self, *states: str) -> str:
        """Wait until the camera is in one of these states; which."""
        selector = ", ".join(f'[data-camera][data-state="{state}"]' for state in states)
        found = self.page.wait_for_selector(selector, timeout=PATIENCE_MS, state="attached")
        return str(found.get_attribute("data-state")) if found else ""

    @property
    def result(self) -> str:
        """What the camera's section says at the end."""
        return self.page.locator("[data-message]").inner_text()

    @property
    def advice(self) -> str:
        """What the camera's section asks for."""
        return self.page.locator("[data-advice]").inner_text()

    def press(self, name: str) -> None:
        """Click the button of that name."""
        self.page.get_by_role("button", name=name, exact=True).filter(visible=True).first.click(timeout=PATIENCE_MS)

    def look(self, name: str, whole: bool = True) -> None:
        """Keep a picture of the whole page, or of what is in sight."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=whole, timeout=PATIENCE_MS)

    def barriers(self) -> list[str]:
        """What axe-core calls serious or critical for people with disabilities."""
        if not AXE.exists():
            pytest.skip("needs var/browser/axe.min.js: python -m face_server.models tests/browser.toml var/browser")
        if not self.page.evaluate("() => 'axe' in window"):
            self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found: list[dict[str, Any]] = self.page.evaluate(
            "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"
        )
        return [
            f"{one['id']}: {one['help']}: {[node['html'][:160] for node in one['nodes']]}"
            for one in found
            if one["impact"] in ("serious", "critical")
        ]


@contextmanager
def screen(browser: Browser, base_url: str, **options: Any) -> Iterator[Screen]:
    """A fresh tab of a browser without cookies; leaving it checks that nothing went wrong in the console."""
    context: BrowserContext = browser.new_context(**{"viewport": DESK, "locale": "en-GB", **options})
    context.set_default_timeout(PATIENCE_MS)
    try:
        opened = Screen(context.new_page(), base_url)
        opened.watch()
        yield opened
    finally:
        context.close()
    if opened.problems:
        raise AssertionError("the console is not clean:\n" + "\n".join(opened.problems))


@dataclass(frozen=True)
class Account:
    """Somebody's account, as they would remember it."""

    name: str
    email: str
    password: str


def register(tab: Screen, account: Account, by_hand: bool = True) -> None:
    """Fill in the form, agree, be photographed in each pose, send. by_hand: press the button instead of turning."""
    tab.open("/register")
    fill_registration(tab, account)
    tab.page.get_by_role("checkbox").check()
    photograph(tab, by_hand)
    tab.page.locator("[data-capture]").click()
    tab.is_at("/registered")


def fill_registration(tab: Screen, account: Account) -> None:
    """The form's text fields."""
    tab.page.locator("input[name=name]").fill(account.name)
    tab.page.locator("input[name=email]").fill(account.email)
    for field_ in tab.page.locator("input[type=password]").all():
        field_.fill(account.password)


def photograph(tab: Screen, by_hand: bool = True) -> None:
    """Be photographed until the pictures are there to be looked at."""
    while tab.state("looking", "review", "result") == "looking":
        if by_hand:
            button = tab.page.locator('[data-camera][data-state="looking"] [data-capture]')
            if button.count():
                button.click()
        tab.page.wait_for_timeout(100)
    if tab.state("review", "result") == "result":
        raise AssertionError(f"the camera gave up: {tab.result}")


def log_in_by_password(tab: Screen, account: Account) -> None:
    """The other way in."""
    tab.open("/login")
    form = tab.page.locator('form[action="/login/password"]')
    form.locator("input[name=email]").fill(account.email)
    form.locator("input[name=password]").fill(account.password)
    form.locator("input[name=password]").press("Enter")


def enter(tab: Screen, site: Website, account: Account, frames: Sequence[bytes] = ()) -> None:
    """Be logged in by password, or by these frames, past the login page and its camera."""
    visitor = site.visitor()
    answer = visitor.face(frames) if frames else visitor.password(account.email, account.password)
    assert visitor.is_in(), answer.text
    cookies = visitor.cookies.items()
    tab.page.context.add_cookies([{"name": name, "value": value, "url": site.base_url} for name, value in cookies])


def confirm(tab: Screen, account: Account) -> None:
    """Give the password once more."""
    tab.open("/confirm?next=account")
    tab.page.locator("main input[name=password]").fill(account.password)
    tab.page.locator("main input[name=password]").press("Enter")
    tab.is_at("/account")


def sign_out(tab: Screen) -> None:
    """Leave."""
    tab.page.locator('form[action="/logout"] button').first.click()
    tab.is_at("/")
