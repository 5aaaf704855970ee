"""The example sites of docs/integrate.md run as they stand, against the real site over HTTP; the guide names all.

People log in by password here: no daemon is needed. tests/e2e/ has the login by face.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPResponse
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import HTTPCookieProcessor, HTTPRedirectHandler, OpenerDirector, Request, build_opener

import pytest
from daemons import ROOT

PHP = shutil.which("php")
pytestmark = pytest.mark.skipif(PHP is None, reason="needs php")

CONSOLE = ROOT / "face_web" / "bin" / "console"
EMAIL, PASSWORD = "anna@example.org", "correct horse battery"
STATE = "a-state-of-the-test"
REGISTER = """
require $argv[1] . '/face_web/src/autoload.php';
$database = FaceWeb\\Database::sqlite($argv[2]);
$people = new FaceWeb\\People\\People($database, new FaceWeb\\Security\\SystemClock());
$hash = (new FaceWeb\\Security\\Passwords())->hash($argv[4]);
$people->activate($people->addPending('Anna', $argv[3], $hash, null)->id);
"""


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def location(self) -> str:
        return self.headers["location"]


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass
class Browser:
    """Keeps cookies; goes where it is sent only when told to."""

    opener: OpenerDirector = field(
        default_factory=lambda: build_opener(HTTPCookieProcessor(CookieJar()), _NoRedirect())
    )

    def ask(self, address: str, form: dict[str, str] | None = None, headers: dict[str, str] | None = None) -> Answer:
        body = None if form is None else urlencode(form).encode()
        try:
            answer: HTTPResponse | HTTPError = self.opener.open(Request(address, body, headers or {}), timeout=20)
        except HTTPError as error:
            answer = error
        with contextlib.closing(answer):
            named = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(int(answer.status or 0), named, answer.read().decode())

    def follow(self, address: str, until: str = "") -> Answer:
        """Goes on as long as it is sent on, but not to an address that begins with `until`."""
        answer = self.ask(address)
        for _ in range(10):
            target = answer.headers.get("location", "")
            if not target or (until and target.startswith(until)):
                return answer
            parts = urlsplit(address)
            address = target if "://" in target else f"{parts.scheme}://{parts.netloc}{target}"
            answer = self.ask(address)
        raise AssertionError("sent round in circles")


@dataclass
class Login:
    """The running site, with one client for each example."""

    address: str
    config: Path
    environment: dict[str, str]

    def console(self, *arguments: str) -> str:
        command = ["php", str(CONSOLE), *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def add_client(self, name: str, return_to: str) -> dict[str, str]:
        shown = self.console("client:add", "--name", name, "--return-to", return_to)
        return dict(re.findall(r"^(client_id|client_secret): (\S+)$", shown, re.MULTILINE))

    def enter_password(self, browser: Browser, page: Answer) -> Answer:
        """What the password form on the login page does."""
        form = re.search(r'<form[^>]*action="/login/password".*?</form>', page.text, re.DOTALL)
        assert page.status == 200 and form, page.text[:2000]
        token = re.search(r'name="_csrf"[^>]*value="([^"]+)"', form[0])
        assert token
        fields = {"email": EMAIL, "password": PASSWORD, "_csrf": token[1]}
        return browser.ask(f"{self.address}/login/password", fields)

    def exchange(self, client: dict[str, str], **fields: str) -> Answer:
        return Browser().ask(f"{self.address}/exchange", {**client, **fields})


@dataclass
class Example:
    """A running example site, registered as a client."""

    address: str
    return_to: str
    client: dict[str, str]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _serving(command: list[str], port: int, environment: dict[str, str], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, cwd=ROOT)
    try:
        _await_port(port, process, log)
        yield
    finally:
        process.terminate()
        process.wait(20)


def _await_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise AssertionError(f"nothing listens on {port}: {log.read_text()}")


@pytest.fixture(scope="module")
def login(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Login]:
    directory = tmp_path_factory.mktemp("login")
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    config = directory / "config.ini"
    config.write_text(f"[web]\nport = {port}\nbase_url = {address}\n\n[database]\npath = var/users.sqlite\n")
    environment = {**os.environ, "FACE_LOGIN_CONFIG": str(config)}
    running = Login(address, config, environment)
    running.console("migrate")
    database = directory / "var" / "users.sqlite"
    subprocess.run(["php", "-r", REGISTER, "--", str(ROOT), str(database), EMAIL, PASSWORD], check=True, timeout=60)
    web = ROOT / "face_web"
    command = ["php", "-S", f"127.0.0.1:{port}", "-t", str(web / "public"), str(web / "router.php")]
    with _serving(command, port, environment, directory / "site.log"):
        yield running


StartExample = Callable[..., Example]


@pytest.fixture(scope="module")
def start_example(login: Login, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartExample]:
    with contextlib.ExitStack() as stack:

        def start(language: str, secret: str | None = None) -> Example:
            port = _free_port()
            address = f"http://127.0.0.1:{port}"
            client = login.add_client(f"{language} example", f"{address}/back")
            settings = {
                "FACE_LOGIN": login.address,
                "RETURN_TO": f"{address}/back",
                "CLIENT_ID": client["client_id"],
                "CLIENT_SECRET": secret or client["client_secret"],
                "PORT": str(port),
            }
            examples = ROOT / "docs" / "examples"
            command = {
                "php": ["php", "-S", f"127.0.0.1:{port}", str(examples / "php" / "index.php")],
                "python": [sys.executable, str(examples / "python" / "site.py")],
            }[language]
            log = tmp_path_factory.mktemp("example") / "log"
            stack.enter_context(_serving(command, port, {**os.environ, **settings}, log))
            return Example(address, f"{address}/back", client)

        yield start


@pytest.fixture(scope="module", params=["php", "python"])
def example(request: pytest.FixtureRequest, start_example: StartExample) -> Example:
    return start_example(request.param)


def _come_back(login: Login, example: Example, browser: Browser) -> str:
    """The address with code and state that the login sends the browser back to."""
    page = browser.follow(f"{example.address}/login", until=example.return_to)
    if "location" in page.headers:  # signed in a moment ago
        return page.location
    answer = login.enter_password(browser, page)
    assert answer.status == 303, answer.text[:2000]
    return answer.location


def _request(example: Example, **change: str) -> str:
    query = {"client": example.client["client_id"], "return_to": example.return_to, "state": STATE, **change}
    return "/login?" + urlencode(query)


def _code(login: Login, example: Example) -> str:
    browser = Browser()
    answer = login.enter_password(browser, browser.follow(login.address + _request(example)))
    return parse_qs(urlsplit(answer.location).query)["code"][0]


def test_a_visitor_of_the_example_site_logs_in_and_is_known_there(login: Login, example: Example) -> None:
    browser = Browser()
    assert "Sign in" in browser.ask(f"{example.address}/").text
    back = _come_back(login, example, browser)
    assert back.startswith(f"{example.return_to}?code=")
    page = browser.follow(back)
    assert re.fullmatch(rf"Signed in as {re.escape(EMAIL)} \([0-9a-f]{{64}}\) by pwd", page.text.strip()), page.text
    assert browser.ask(f"{example.address}/").text == page.text


def test_somebody_signed_in_a_moment_ago_is_sent_back_without_a_form(login: Login, example: Example) -> None:
    browser = Browser()
    first = browser.follow(_come_back(login, example, browser)).text
    page = browser.follow(f"{example.address}/login", until=f"{example.return_to}?")
    assert page.status == 303
    assert browser.follow(page.location).text == first


def test_the_example_refuses_an_answer_with_another_state(login: Login, example: Example) -> None:
    browser = Browser()
    back = _come_back(login, example, browser)
    code = parse_qs(urlsplit(back).query)["code"][0]
    refused = browser.ask(f"{example.return_to}?" + urlencode({"code": code, "state": "x" * 32}))
    assert refused.status == 403
    assert browser.ask(back).status == 403, "a state is good for one answer"


@pytest.mark.parametrize(
    "query", ["", "?code=x", "?state=x", "?code=x&state=", "?code=&state=%ff", "?code[]=x&state[]=x"]
)
def test_the_example_refuses_an_answer_nobody_asked_for(example: Example, query: str) -> None:
    assert Browser().ask(f"{example.return_to}{query}").status == 403


def test_a_login_cannot_be_planted_in_another_browser(login: Login, example: Example) -> None:
    back = _come_back(login, example, Browser())
    victim = Browser()
    victim.ask(f"{example.address}/login")
    assert victim.ask(back).status == 403
    assert "Signed in" not in victim.ask(f"{example.address}/").text


def test_the_example_with_a_code_that_was_used_signs_nobody_in(login: Login, example: Example) -> None:
    browser = Browser()
    back = _come_back(login, example, browser)
    code = parse_qs(urlsplit(back).query)["code"][0]
    assert login.exchange(example.client, code=code, return_to=example.return_to).status == 200
    assert browser.ask(back).status == 403
    assert "Signed in" not in browser.ask(f"{example.address}/").text


@pytest.mark.parametrize("language", ["php", "python"])
def test_the_example_with_a_wrong_secret_signs_nobody_in(
    login: Login, start_example: StartExample, language: str
) -> None:
    example = start_example(language, secret="not-the-secret")
    browser = Browser()
    assert browser.ask(_come_back(login, example, browser)).status == 403
    assert "Signed in" not in browser.ask(f"{example.address}/").text


def test_the_exchange_answers_as_documented(login: Login, example: Example) -> None:
    before = int(time.time())
    code = _code(login, example)
    answer = login.exchange(example.client, code=code, return_to=example.return_to)
    who = json.loads(answer.text)
    assert (answer.status, set(who)) == (200, {"subject", "email", "amr", "auth_time"})
    assert (who["email"], who["amr"]) == (EMAIL, ["pwd"])
    assert before - 1 <= who["auth_time"] <= time.time() + 1
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers
    again = login.exchange(example.client, code=code, return_to=example.return_to)
    assert (again.status, json.loads(again.text)["error"]) == (400, "invalid_grant")


def test_a_subject_differs_between_sites_and_stays_for_one(login: Login, start_example: StartExample) -> None:
    one, other = start_example("python"), start_example("python")
    subjects = [
        json.loads(login.exchange(site.client, code=_code(login, site), return_to=site.return_to).text)["subject"]
        for site in (one, one, other)
    ]
    assert subjects[0] == subjects[1] != subjects[2]


def test_a_site_may_name_itself_by_basic_authentication(login: Login, example: Example) -> None:
    pair = f"{example.client['client_id']}:{example.client['client_secret']}"
    header = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    form = {"grant_type": "authorization_code", "code": _code(login, example), "redirect_uri": example.return_to}
    assert Browser().ask(f"{login.address}/exchange", form, header).status == 200


def test_a_wrong_secret_or_address_does_not_open_and_is_named(login: Login, example: Example) -> None:
    code = _code(login, example)
    wrong = login.exchange({**example.client, "client_secret": "wrong"}, code=code, return_to=example.return_to)
    assert (wrong.status, json.loads(wrong.text)["error"]) == (401, "invalid_client")
    elsewhere = login.exchange(example.client, code=code, return_to=f"{example.return_to}/")
    assert (elsewhere.status, json.loads(elsewhere.text)["error"]) == (400, "invalid_grant")
    in_the_address = Browser().ask(f"{login.address}/exchange?" + urlencode({**example.client, "code": code}), {})
    assert (in_the_address.status, json.loads(in_the_address.text)["error"]) == (400, "invalid_request")
    assert Browser().ask(f"{login.address}/exchange").status == 405


@pytest.mark.parametrize(
    "change",
    [
        {"return_to": "https://evil.example/"},
        {"return_to": "//evil.example/"},
        {"return_to": "javascript:alert(1)"},
        {"return_to": ""},
        {"client": "0123456789abcdef"},
        {"client": ""},
        {"state": ""},
        {"state": "short"},
        {"response_type": "token"},
        {"redirect_uri": "https://evil.example/"},
    ],
    ids=str,
)
def test_a_request_that_does_not_fit_is_answered_here_and_leads_nowhere(
    login: Login, example: Example, change: dict[str, str]
) -> None:
    browser = Browser()
    refused = browser.ask(login.address + _request(example, **change))
    assert (refused.status, refused.headers.get("location")) == (400, None)
    assert "evil.example" not in refused.text
    assert login.enter_password(browser, browser.follow(f"{login.address}/login")).location == "/account"


def test_an_address_that_only_begins_like_a_registered_one_is_refused(login: Login, example: Example) -> None:
    for more in ("/", "?x=1", "x", "@evil.example", ".evil.example/"):
        refused = Browser().ask(login.address + _request(example, return_to=example.return_to + more))
        assert (refused.status, refused.headers.get("location")) == (400, None)


def test_the_request_does_not_stay_in_the_address_and_the_form_may_lead_back(login: Login, example: Example) -> None:
    browser = Browser()
    first = browser.ask(login.address + _request(example))
    assert (first.status, first.location) == (303, "/login")
    page = browser.ask(f"{login.address}/login")
    assert STATE not in page.text
    assert f"form-action 'self' {example.address};" in page.headers["content-security-policy"]
    plain = Browser().ask(f"{login.address}/login")
    assert "form-action 'self';" in plain.headers["content-security-policy"]


def test_a_visitor_may_give_the_site_up(login: Login, example: Example) -> None:
    browser = Browser()
    browser.follow(login.address + _request(example))
    page = browser.follow(f"{login.address}/login?client=")
    assert login.enter_password(browser, page).location == "/account"


def test_a_login_without_a_site_stays_here(login: Login) -> None:
    browser = Browser()
    assert login.enter_password(browser, browser.ask(f"{login.address}/login")).location == "/account"


def test_the_guide_names_every_error_command_and_example() -> None:
    guide = (ROOT / "docs" / "integrate.md").read_text()
    source = ROOT / "face_web" / "src" / "Exchange"
    errors = set(re.findall(r"self\('([a-z_]+)', \d{3}", (source / "ExchangeRefused.php").read_text()))
    commands = set(re.findall(r"'(client:[a-z]+)", (source / "ClientCommands.php").read_text()))
    assert errors >= {"invalid_grant", "invalid_client"} and len(commands) == 4
    for word in errors | commands | {"server_error", "fresh_login_s"}:
        assert word in guide, word
    for path in re.findall(r"\]\((examples/[^)]+)\)", guide):
        assert (ROOT / "docs" / path).is_file(), path


def test_the_examples_are_as_short_as_promised() -> None:
    silent = re.compile(r"\s*($|#|//|/\*|<\?php|declare|import |from |\"{3}.*\"{3}$)")
    for path in ("php/index.php", "python/site.py"):
        lines = (ROOT / "docs" / "examples" / path).read_text().splitlines()
        assert sum(silent.match(line) is None for line in lines) <= 35, path
        assert max(map(len, lines)) <= 120, "short, not dense"
