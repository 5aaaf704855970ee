"""Every page and state: pictures to be looked at, no barrier that axe-core calls serious, by keyboard, in Chinese."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemons import Daemon
from e2e.browsers import (
    PHONE,
    Account,
    Camera,
    Screen,
    confirm,
    enter,
    fill_registration,
    log_in_by_password,
    photograph,
    screen,
)
from e2e.clips import burst
from e2e.people import BARACK, BARACKS, JOE, JOES
from playwright.sync_api import Browser, expect
from websites import Website, start_website

OPERATOR = Account("The operator", "operator@example.org", "a sentence of the operator")

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark-phone": {
        "color_scheme": "dark",
        "viewport": PHONE,
        "device_scale_factor": 2,
        "is_mobile": True,
        "has_touch": True,
    },
}


@pytest.fixture(scope="module", autouse=True)
def people(site: Website) -> None:
    """Somebody with a face, and an administrator."""
    assert site.visitor().register(BARACKS.name, BARACKS.email, BARACKS.password, burst(BARACK, 4)).json["ok"]
    made = site.console(
        "admin:create", "--email", OPERATOR.email, "--name", OPERATOR.name, typed=f"{OPERATOR.password}\n" * 2
    )
    assert made.returncode == 0, made.stderr + made.stdout
    site.console("client:add", "--name", "My shop", "--return-to", "https://shop.example/back")


@pytest.fixture(scope="module")
def invited(site: Website, web_daemon: Daemon) -> Iterator[Website]:
    """The same site, where one registers by invitation, with photo files if one likes."""
    running = start_website(site.directory, web_daemon, "registration = invite\nupload_accepted = true", name="invited")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def closed(site: Website, web_daemon: Daemon) -> Iterator[Website]:
    """The same site, where nobody registers, and both factors are asked for."""
    running = start_website(
        site.directory, web_daemon, "registration = closed\nlogin_mode = face_then_password", name="closed"
    )
    yield running
    running.stop()


@pytest.fixture(params=LOOKS)
def look(request: pytest.FixtureRequest, site: Website) -> str:
    """Light on a desk, or dark and of a phone's width."""
    site.forgive()
    return str(request.param)


def checked(tab: Screen, name: str, look: str) -> None:
    """Keep a picture; no barriers; nothing wider than the window."""
    tab.look(f"{name}-{look}")
    assert tab.barriers() == []
    assert tab.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), (
        "scrolls sideways"
    )


def test_pages_for_everybody(site: Website, closed: Website, browser: Browser, camera: Camera, look: str) -> None:
    camera.show(JOE, seconds=30)
    with screen(browser, site.base_url, **LOOKS[look]) as tab:
        for name, path in (("home", "/"), ("registered", "/registered")):
            tab.open(path)
            checked(tab, name, look)
        for name, path, status in (("not-found", "/nowhere", "404"), ("login-refused", "/login?client=x", "400")):
            tab.open(path)
            checked(tab, name, look)
            tab.forgive(status)
        tab.open("/login")
        tab.state("looking")
        checked(tab, "login-looking", look)
        tab.state("result")
        checked(tab, "login-refused-face", look)
        log_in_by_password(tab, Account("", BARACKS.email, "not the right one"))
        tab.shows("That did not work")
        checked(tab, "login-refused-password", look)
        tab.forgive("422")
        tab.open(closed.base_url + "/register")
        checked(tab, "register-closed", look)
        tab.forgive("403")
        tab.open(closed.base_url + "/login")
        tab.page.locator("#claim-email").fill(BARACKS.email)
        tab.page.wait_for_url("**/login/second")
        checked(tab, "login-second", look)


def test_registration(site: Website, invited: Website, browser: Browser, camera: Camera, look: str) -> None:
    camera.show(BARACK, seconds=40)
    with screen(browser, site.base_url, **LOOKS[look]) as tab:
        tab.open("/register")
        checked(tab, "register-empty", look)
        fill_registration(tab, Account("Barack", "twin@example.org", "short but 10"))
        tab.page.get_by_role("checkbox").check()
        tab.state("looking")
        tab.page.wait_for_selector('[data-camera][data-green="true"]')
        tab.look(f"register-green-{look}")
        photograph(tab)
        checked(tab, "register-review", look)
        tab.page.locator("#email").fill("no address@example")
        tab.page.locator("[data-capture]").click()
        tab.look(f"register-invalid-{look}")
        tab.open(invited.base_url + "/register?invite=UNKNOWN")
        fill_registration(tab, Account("Barack", "twin@example.org", "short but 10"))
        tab.page.get_by_role("checkbox").check()
        photograph(tab)
        tab.page.locator("[data-capture]").click()
        expect(tab.page.locator("#invite-error")).not_to_be_empty()
        checked(tab, "register-invited-refused", look)


def test_account(site: Website, browser: Browser, look: str) -> None:
    with screen(browser, site.base_url, **LOOKS[look]) as tab:
        enter(tab, site, BARACKS)
        tab.open("/account")
        checked(tab, "account-fresh", look)
        tab.page.locator("#password").fill("short")
        tab.page.locator("#repeat").fill("short")
        tab.page.locator("#repeat").press("Enter")
        tab.shows("10 to 128")
        checked(tab, "account-refused", look)
        tab.forgive("422")
    with screen(browser, site.base_url, **LOOKS[look]) as tab:
        enter(tab, site, BARACKS, burst(BARACK))
        tab.open("/account")
        checked(tab, "account", look)
        tab.open("/confirm")
        checked(tab, "confirm", look)
        confirm(tab, BARACKS)
        tab.open("/")
        checked(tab, "home-logged-in", look)


def test_administration(site: Website, browser: Browser, look: str) -> None:
    with screen(browser, site.base_url, **LOOKS[look]) as tab:
        enter(tab, site, OPERATOR)
        tab.open("/account")
        checked(tab, "account-without-face", look)
        for name, path in (
            ("admin", "/admin"),
            ("admin-search", "/admin?q=barack"),
            ("admin-audit", "/admin/audit"),
            ("admin-status", "/admin/status"),
        ):
            tab.open(path)
            checked(tab, name, look)
        tab.shows("ready")


def test_an_administrator_searches_disables_enables_and_resets(
    site: Website, web_daemon: Daemon, browser: Browser
) -> None:
    site.forgive()
    assert site.visitor().register(JOES.name, JOES.email, JOES.password, burst(JOE, 4)).json["ok"]
    with screen(browser, site.base_url) as tab:
        enter(tab, site, OPERATOR)

        def act(name: str) -> None:
            tab.open(f"/admin?q={JOES.email}")
            assert tab.page.locator("tbody tr").count() == 1
            tab.page.locator("tbody summary").click()
            tab.page.locator("tbody").get_by_role("button", name=name).click()
            tab.is_at("/admin")

        act("Disable account")
        assert site.visitor().password(JOES.email, JOES.password).status == 422
        act("Enable account")
        assert site.visitor().password(JOES.email, JOES.password).location == "/account"
        act("Remove face")
        assert site.visitor().face(burst(JOE)).code == "refused"
        act("Delete account for good")
    assert site.rows(f"SELECT COUNT(*) FROM face_user WHERE email = '{JOES.email}'") == [["0"]]
    with web_daemon.client() as client:
        assert len(list(client.all_subjects())) == 1


def delete(site: Website, account: Account) -> None:
    """Their own wish, if they have an account."""
    visitor = site.visitor()
    if visitor.password(account.email, account.password).location:
        assert visitor.post("/account/delete", {"sure": "1"}).location == "/"


def test_somebody_registers_with_the_keyboard_alone(site: Website, browser: Browser, camera: Camera) -> None:
    site.forgive()
    camera.show(JOE, seconds=40)
    with screen(browser, site.base_url) as tab:
        keyboard = tab.page.keyboard

        def to(selector: str) -> None:
            for _ in range(40):
                if tab.page.evaluate("wanted => document.activeElement?.matches(wanted) ?? false", selector):
                    return
                keyboard.press("Tab")
            raise AssertionError(f"the keyboard does not reach {selector}")

        tab.open("/")
        keyboard.press("Tab")
        assert tab.page.evaluate("document.activeElement.className") == "skip-link"
        tab.look("home-skip-link")
        to('a[href="/register"]')
        keyboard.press("Enter")
        tab.is_at("/register")
        for selector, text in (("#name", JOES.name), ("#email", JOES.email), ("#password", JOES.password)):
            to(selector)
            keyboard.type(text)
        to("input[type=checkbox]")
        keyboard.press("Space")
        tab.state("looking")
        to("[data-capture]")
        tab.look("register-keyboard-focus")
        while tab.state("looking", "review", "result") == "looking":
            keyboard.press("Enter")
            tab.page.wait_for_timeout(200)
        # The pictures are there, and the focus is where the way goes on.
        assert tab.page.evaluate("document.activeElement.matches('[data-capture]')")
        keyboard.press("Enter")
        tab.is_at("/registered")
    assert site.rows(f"SELECT status FROM face_user WHERE email = '{JOES.email}'") == [["active"]]


def test_a_photo_file_registers_where_the_operator_lets_it(
    site: Website, invited: Website, browser: Browser, camera: Camera, tmp_path: Path
) -> None:
    site.forgive()
    delete(site, JOES)
    camera.show(JOE, seconds=2)
    code = site.console("invite:create").stdout.strip().rsplit("=", 1)[1]
    files = []
    for number, data in enumerate(burst(JOE, 2)):
        files.append(tmp_path / f"photo{number}.jpg")
        files[-1].write_bytes(data)
    with screen(browser, invited.base_url) as tab:
        tab.open(f"/register?invite={code}")
        fill_registration(tab, Account("Joe by file", "file@example.org", "a sentence of joe's file"))
        tab.page.get_by_role("checkbox").check()
        tab.page.locator("[data-photos]").set_input_files(files)
        tab.state("review")
        tab.look("register-upload")
        tab.page.locator("[data-capture]").click()
        tab.is_at("/registered")
        # For a login there is no such way.
        tab.open("/login")
        assert tab.page.locator("input[type=file]").count() == 0
    assert site.rows("SELECT status FROM face_user WHERE email = 'file@example.org'") == [["active"]]


@pytest.mark.parametrize("language", ["zh-CN", "en-GB"])
def test_the_browser_s_language_is_spoken_and_nothing_comes_from_another_address(
    site: Website, browser: Browser, camera: Camera, language: str
) -> None:
    site.forgive()
    camera.show(BARACK, seconds=20)
    chinese = language == "zh-CN"
    with screen(browser, site.base_url, locale=language) as tab:
        asked: list[str] = []
        tab.page.on("request", lambda request: asked.append(request.url))
        for name, path in (("home", "/"), ("register", "/register"), ("not-found", "/nowhere")):
            tab.open(path)
            assert str(tab.page.locator("html").get_attribute("lang")).startswith("zh" if chinese else "en")
            assert any("\u4e00" <= letter <= "\u9fff" for letter in tab.page.locator("main").inner_text()) is chinese
            tab.look(f"{name}-{language}")
        tab.forgive("404")
        tab.open("/login")
        tab.state("looking")
        tab.look(f"login-{language}")
        tab.is_at("/account")
        confirm(tab, BARACKS)
        tab.look(f"account-{language}")
        assert any("\u4e00" <= letter <= "\u9fff" for letter in tab.page.locator("main").inner_text()) is chinese
    assert [url for url in asked if not url.startswith((site.base_url, "data:", "blob:"))] == []
