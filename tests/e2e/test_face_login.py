"""The whole life of an account, in a browser with a person before its camera."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from daemons import Daemon
from e2e.browsers import Camera, Screen, confirm, photograph, register, screen, sign_out
from e2e.clips import burst, recorded_clip
from e2e.people import BARACK, BARACK_LATER, BARACKS, JOE, JOES
from playwright.sync_api import Browser, expect
from websites import Website, fresh_mariadb, jpegs, mariadb_is_there, php_is_there, start_website


@pytest.fixture
def site(
    request: pytest.FixtureRequest, web_daemon: Daemon, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Website]:
    """A site without people, on SQLite or what the test names."""
    if not php_is_there():
        pytest.skip("needs PHP 8.2 with pdo_sqlite and mbstring: apt-get install php-cli php-sqlite3 php-mbstring")
    with ExitStack() as stack:
        database = None
        if getattr(request, "param", "sqlite") == "mariadb":
            if not mariadb_is_there():
                pytest.skip(
                    "needs a MariaDB server that this user administers: apt-get install mariadb-server php-mysql"
                )
            database = stack.enter_context(fresh_mariadb())
        web_daemon.forget_everybody()
        running = start_website(tmp_path_factory.mktemp("site"), web_daemon, mariadb=database)
        stack.callback(running.stop)
        yield running


def subjects(daemon: Daemon) -> list[str]:
    """Whom the daemon knows."""
    with daemon.client() as client:
        return [str(one.id) for one in client.all_subjects()]


def logged_in_by_face(tab: Screen) -> None:
    """Open the login page and do nothing but look into the camera."""
    tab.open("/login")
    tab.is_at("/account")


def test_register_sign_out_log_in_change_and_delete(
    site: Website, web_daemon: Daemon, browser: Browser, camera: Camera
) -> None:
    camera.show(BARACK, seconds=40)
    with screen(browser, site.base_url) as tab:
        # Without a hand: the pictures take themselves, a pose that does not come is not waited for.
        register(tab, BARACKS, by_hand=False)
        tab.shows("Your registration has been received")
    (subject,) = subjects(web_daemon)

    # Another photograph of the same man, years later.
    camera.show(BARACK_LATER)
    with screen(browser, site.base_url) as tab:
        logged_in_by_face(tab)
        tab.shows(f"Hello, {BARACKS.name}")
        sign_out(tab)
        assert tab.leads_to("/account") == "/login"

    camera.show(BARACK, seconds=40)
    with screen(browser, site.base_url) as tab:
        logged_in_by_face(tab)
        confirm(tab, BARACKS)
        before = site.rows("SELECT COUNT(*) FROM capture")
        # Whenever the camera is opened, its clip begins anew; frames that were sent before would be refused.
        camera.show(BARACK)
        tab.page.get_by_role("link", name="Add captures").click()
        photograph(tab)
        tab.page.locator("[data-capture]").click()
        tab.is_at("/account")
        tab.shows("Your captures have been added.")
        assert site.rows("SELECT COUNT(*) FROM capture") != before

        tab.page.locator("summary", has_text="Remove my face").click()
        tab.page.locator('form[action="/account/face/remove"] button').click()
        tab.shows("No face is enrolled")
        assert subjects(web_daemon) == []

        camera.show(BARACK, seconds=30)
        tab.page.get_by_role("link", name="Enrol a face").click()
        tab.page.locator("#captures").get_by_role("checkbox").check()
        photograph(tab)
        tab.page.locator("[data-capture]").click()
        tab.shows("In use for logging in")
        (other,) = subjects(web_daemon)
        assert other != subject
        sign_out(tab)

    camera.show(BARACK)
    with screen(browser, site.base_url) as tab:
        logged_in_by_face(tab)
        confirm(tab, BARACKS)
        tab.page.locator("#sure").check()
        tab.page.locator('form[action="/account/delete"] button').click()
        tab.is_at("/")
    assert subjects(web_daemon) == []
    assert site.rows("SELECT COUNT(*) FROM face_user WHERE status = 'active'") == [["0"]]

    camera.show(BARACK)
    with screen(browser, site.base_url) as tab:
        refused(tab)


def refused(tab: Screen) -> None:
    """Look into the camera of the login page, and be told the one text of every refusal."""
    tab.open("/login")
    assert tab.state("result") == "result"
    expect(tab.page.get_by_role("link", name="Log in with your password instead")).to_be_visible()
    expect(tab.page.get_by_role("link", name="Register, if you have no account yet")).to_be_visible()
    assert tab.leads_to("/account") == "/login"


@pytest.mark.parametrize("site", ["mariadb"], indirect=True)
def test_on_mariadb_an_account_lives_and_ends_no_different(site: Website, web_daemon: Daemon) -> None:
    """The same life without its browser, which knows no database."""
    assert site.visitor().register(BARACKS.name, BARACKS.email, BARACKS.password, burst(BARACK, 4)).json["ok"]
    (subject,) = subjects(web_daemon)
    visitor = site.visitor()
    assert visitor.face(burst(BARACK_LATER)).json["ok"]
    assert BARACKS.name in visitor.get("/account").text
    assert visitor.post("/logout").location == "/" and not visitor.is_in()

    def add(**consent: str) -> None:
        csrf = visitor.csrf()
        form = {"nonce": visitor.nonce("captures", csrf), **consent}
        answer = visitor.post("/account/captures", form, jpegs(burst(BARACK)), csrf)
        assert answer.json == {"ok": True, "location": "/account"}

    assert visitor.face(burst(BARACK)).json["ok"]
    assert visitor.post("/confirm", {"password": BARACKS.password, "next": "account"}).location == "/account"
    before = site.rows("SELECT COUNT(*) FROM capture")
    add()
    assert site.rows("SELECT COUNT(*) FROM capture") != before
    assert visitor.post("/account/face/remove").location == "/account"
    assert subjects(web_daemon) == []
    add(consent="1")
    (other,) = subjects(web_daemon)
    assert other != subject
    assert site.visitor().face(burst(BARACK)).json["ok"]

    assert visitor.post("/account/delete", {"sure": "1"}).location == "/"
    assert subjects(web_daemon) == []
    assert site.rows("SELECT COUNT(*) FROM face_user WHERE status = 'active'") == [["0"]]
    assert site.visitor().face(burst(BARACK)).code == "refused"
    assert site.console("audit:verify").returncode == 0


def test_each_of_two_people_gets_their_own_account_and_a_stranger_none(
    site: Website, web_daemon: Daemon, browser: Browser, camera: Camera
) -> None:
    camera.show(BARACK, seconds=30)
    with screen(browser, site.base_url) as tab:
        register(tab, BARACKS)
    camera.show(JOE)
    with screen(browser, site.base_url) as tab:
        refused(tab)
    camera.show(JOE, seconds=30)
    with screen(browser, site.base_url) as tab:
        register(tab, JOES)
    for portrait, account in ((JOE, JOES), (BARACK_LATER, BARACKS)):
        camera.show(portrait)
        with screen(browser, site.base_url) as tab:
            logged_in_by_face(tab)
            tab.shows(f"Hello, {account.name}")
    visitor = site.visitor()
    visitor.password(JOES.email, JOES.password)
    assert f"Hello, {JOES.name}" in visitor.get("/account").text
    assert site.console("audit:verify").returncode == 0


def test_a_recorded_person_registers_and_logs_in(
    site: Website, web_daemon: Daemon, browser: Browser, camera: Camera, request: pytest.FixtureRequest
) -> None:
    shared = request.getfixturevalue("shared_data")
    recording = shared / "video" / "webcam_one_person_640x480.mjpeg"
    recorded_clip(camera.clip, recording)
    account = JOES.__class__("Somebody", "somebody@example.org", "a sentence of somebody")
    with screen(browser, site.base_url) as tab:
        register(tab, account)
    recorded_clip(camera.clip, recording)
    with screen(browser, site.base_url) as tab:
        logged_in_by_face(tab)
        tab.shows("Hello, Somebody")
