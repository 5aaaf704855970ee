"""The example sites of docs/examples, in a browser: signed in there with a face that they never see.

Each way in is tried with one of them; that they do the same by themselves is tests/test_examples.py's.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from daemons import ROOT, Daemon
from e2e.browsers import Camera, Screen, enter, screen
from e2e.clips import burst
from e2e.people import BARACK, BARACKS
from playwright.sync_api import Browser
from websites import PATIENCE_S, Website, free_port, start_website

EXAMPLES = {
    "php": lambda port: ["php", "-S", f"127.0.0.1:{port}", str(ROOT / "docs/examples/php/index.php")],
    "python": lambda port: [sys.executable, str(ROOT / "docs/examples/python/site.py")],
}


def body(tab: Screen) -> str:
    """All that the example site says."""
    return tab.page.locator("body").inner_text()


@pytest.fixture(scope="module", autouse=True)
def barack(site: Website) -> None:
    """Has an account and a face."""
    assert site.visitor().register(BARACKS.name, BARACKS.email, BARACKS.password, burst(BARACK, 4)).json["ok"]


@contextmanager
def running(language: str, site: Website) -> Iterator[str]:
    """An example site that is registered with this login; its address."""
    port = free_port()
    home = f"http://127.0.0.1:{port}"
    said = site.console("client:add", "--name", f"Example in {language}", "--return-to", f"{home}/back")
    lines = dict(line.split(": ", 1) for line in said.stdout.splitlines() if line.startswith("client_"))
    settings = {"FACE_LOGIN": site.base_url, "RETURN_TO": f"{home}/back", "PORT": str(port)}
    settings |= {"CLIENT_ID": lines["client_id"], "CLIENT_SECRET": lines["client_secret"]}
    log = (site.directory / f"{language}.log").open("wb")
    process = subprocess.Popen(EXAMPLES[language](port), env={**os.environ, **settings}, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield home
    finally:
        process.kill()
        process.wait()
        log.close()


@pytest.fixture(params=EXAMPLES)
def example(request: pytest.FixtureRequest, site: Website) -> Iterator[str]:
    """One of the sites, running; its address."""
    site.forgive()
    with running(request.param, site) as home:
        yield home


@pytest.fixture(scope="module")
def strict(site: Website, web_daemon: Daemon) -> Iterator[Website]:
    """The same people, on a login that asks for face and password."""
    started = start_website(site.directory, web_daemon, "login_mode = face_then_password", name="strict")
    yield started
    started.stop()


@pytest.mark.parametrize("example", ["php"], indirect=True)
def test_a_site_signs_people_in_by_face(site: Website, example: str, browser: Browser, camera: Camera) -> None:
    camera.show(BARACK)
    with screen(browser, example) as tab:
        tab.forgive("favicon")
        tab.open("/")
        tab.page.get_by_role("link", name="Sign in").click()
        tab.page.wait_for_selector("[data-camera]")
        assert urlsplit(tab.page.url).netloc == urlsplit(site.base_url).netloc
        tab.shows("You are logging in for Example")
        tab.look("login-for-a-site")
        tab.shows("Signed in as")
        assert tab.page.url == f"{example}/"
        assert BARACKS.email in body(tab)
        assert body(tab).endswith("by face")
        tab.forgive("favicon")


def test_a_site_signs_people_in_by_password(site: Website, example: str, browser: Browser, camera: Camera) -> None:
    """A form's redirect to another origin, which the policy of the page must allow and no other."""
    camera.show(BARACK, seconds=2)
    with screen(browser, example) as tab:
        tab.open("/login")
        form = tab.page.locator('form[action="/login/password"]')
        form.locator("input[name=email]").fill(BARACKS.email)
        form.locator("input[name=password]").fill(BARACKS.password)
        form.locator("input[name=password]").press("Enter")
        tab.shows("Signed in as")
        assert body(tab).endswith("by pwd")
        tab.forgive("favicon")


def test_a_site_learns_that_face_and_password_were_both_asked_for(
    strict: Website, browser: Browser, camera: Camera
) -> None:
    strict.forgive()
    camera.show(BARACK)
    with running("python", strict) as home, screen(browser, strict.base_url) as tab:
        tab.open(f"{home}/")
        tab.page.get_by_role("link", name="Sign in").click()
        tab.shows("You are logging in for Example")
        tab.page.locator("#claim-email").fill(BARACKS.email)
        tab.is_at("/login/second")
        tab.look("login-second-for-a-site")
        tab.page.locator("#password").fill(BARACKS.password)
        tab.page.locator("#password").press("Enter")
        tab.shows("Signed in as")
        assert tab.page.url == f"{home}/"
        assert re.search(rf"{re.escape(BARACKS.email)} \([0-9a-f]{{64}}\) by face \+ pwd \+ mfa$", body(tab))
        tab.open(f"{home}/")
        assert body(tab).endswith("by face + pwd + mfa")
        tab.forgive("favicon")


def test_who_is_signed_in_already_is_sent_back_at_once(site: Website, example: str, browser: Browser) -> None:
    with screen(browser, site.base_url) as tab:
        enter(tab, site, BARACKS)
        tab.open(f"{example}/login")
        tab.shows("Signed in as")
        tab.forgive("favicon")


def test_an_answer_that_nobody_asked_for_is_refused(example: str, browser: Browser) -> None:
    with screen(browser, example) as tab:
        tab.open("/back?code=abc&state=0123456789abcdef")
        tab.shows("Not signed in")
        tab.forgive("403|favicon")
