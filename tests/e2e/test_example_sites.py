"""The example sites of docs/examples, in a browser: signed in there with a face that they never see."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from daemons import ROOT
from e2e.browsers import Camera, log_in_by_password, screen
from e2e.clips import burst
from e2e.people import BARACK, BARACKS
from playwright.sync_api import Browser
from websites import PATIENCE_S, Website, free_port

EXAMPLES = {
    "php": lambda port: ["php", "-S", f"127.0.0.1:{port}", str(ROOT / "docs/examples/php/index.php")],
    "python": lambda port: [sys.executable, str(ROOT / "docs/examples/python/site.py")],
}


@pytest.fixture(scope="module", autouse=True)
def barack(site: Website) -> None:
    """Has an account and a face."""
    assert site.visitor().register(BARACKS.name, BARACKS.email, BARACKS.password, burst(BARACK, 4)).json["ok"]


@pytest.fixture(params=EXAMPLES)
def example(request: pytest.FixtureRequest, site: Website) -> Iterator[str]:
    """One of the sites, running; its address."""
    site.forgive()
    port = free_port()
    home = f"http://127.0.0.1:{port}"
    said = site.console("client:add", "--name", f"Example in {request.param}", "--return-to", f"{home}/back")
    lines = dict(line.split(": ", 1) for line in said.stdout.splitlines() if line.startswith("client_"))
    settings = {"FACE_LOGIN": site.base_url, "RETURN_TO": f"{home}/back", "PORT": str(port)}
    settings |= {"CLIENT_ID": lines["client_id"], "CLIENT_SECRET": lines["client_secret"]}
    log = (site.directory / f"{request.param}.log").open("wb")
    process = subprocess.Popen(EXAMPLES[request.param](port), env={**os.environ, **settings}, stdout=log, stderr=log)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield home
    process.kill()
    process.wait()
    log.close()


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
        text = tab.page.locator("body").inner_text()
        assert tab.page.url == f"{example}/"
        assert BARACKS.email in text
        assert text.endswith("by face")
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
        assert tab.page.locator("body").inner_text().endswith("by pwd")
        tab.forgive("favicon")


def test_who_is_signed_in_already_is_sent_back_at_once(
    site: Website, example: str, browser: Browser, camera: Camera
) -> None:
    camera.show(BARACK, seconds=2)
    with screen(browser, site.base_url) as tab:
        log_in_by_password(tab, BARACKS)
        tab.is_at("/account")
        tab.open(f"{example}/login")
        tab.shows("Signed in as")
        tab.forgive("favicon")


def test_an_answer_that_nobody_asked_for_is_refused(example: str, browser: Browser) -> None:
    with screen(browser, example) as tab:
        tab.open("/back?code=abc&state=0123456789abcdef")
        tab.shows("Not signed in")
        tab.forgive("403|favicon")
