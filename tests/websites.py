"""Starts and stops real sites for the tests, looks into their database, and asks them over HTTP. Knows no browser."""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from daemons import ROOT, Daemon

#: A loaded machine is no failure.
PATIENCE_S = 120
#: What scripts/serve starts PHP with.
PHP = ("-q", "-c", "face_web/php.ini")


@dataclass
class Website:
    """A running `php -S` with a configuration, a database and sessions of its own."""

    config_path: Path
    base_url: str
    process: subprocess.Popen[bytes]
    mariadb: str | None = None

    @property
    def directory(self) -> Path:
        return self.config_path.parent

    @property
    def log(self) -> str:
        """What PHP wrote to standard error."""
        return self.config_path.with_suffix(".log").read_text(errors="replace")

    def console(self, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Run `php bin/console` on this site."""
        command = ["php", *PHP, "face_web/bin/console", *arguments]
        environment = {**os.environ, "FACE_LOGIN_CONFIG": str(self.config_path)}
        return subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            input=typed,
        )

    def rows(self, sql: str) -> list[list[str]]:
        """What the database itself says, every value as text; also for statements that change it."""
        if self.mariadb is not None:
            return mariadb(sql, self.mariadb)
        return _sqlite(self.directory / "var" / "users.sqlite", sql)

    def age(self, seconds: int) -> None:
        """Let everything that counts time be so much older, as if the clock had gone on."""
        self.rows(f"UPDATE throttle SET since = since - {seconds}, last_at = last_at - {seconds}")
        self.rows(f"UPDATE login_nonce SET expires_at = expires_at - {seconds}")
        self.rows(f"UPDATE seen_frame SET seen_until = seen_until - {seconds}")
        self.rows(f"UPDATE code SET expires_at = expires_at - {seconds}")

    def age_session(self, visitor: Visitor, seconds: int) -> None:
        """Let a visitor's session be so much older."""
        (session_id,) = visitor.cookies.values()
        path = self.directory / "var" / "sessions" / f"sess_{session_id}"
        times = re.compile(rb'(s:\d+:"(?:begun_at|seen_at|auth_time|password_at|at)";i:)(\d+)')
        path.write_bytes(times.sub(lambda found: found[1] + b"%d" % (int(found[2]) - seconds), path.read_bytes()))

    def forgive(self) -> None:
        """No failure was ever counted."""
        self.rows("DELETE FROM throttle")

    def visitor(self, **headers: str) -> Visitor:
        """A browser that nobody has used; headers with _ for -, sent with every request."""
        return Visitor(self, {name.replace("_", "-"): value for name, value in headers.items()})

    def visitor_with_session(self) -> Visitor:
        """A browser that has seen the login page."""
        visitor = self.visitor()
        visitor.get("/login")
        return visitor

    def stop(self) -> None:
        """SIGTERM to the server and the workers it forked; harmless when they have ended."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(PATIENCE_S)


def start_website(
    directory: Path,
    daemon: Daemon,
    web: str = "",
    name: str = "site",
    mariadb: str | None = None,
    root: Path = ROOT,
) -> Website:
    """Serve face_web with these settings of [web], without liveness unless they name it.

    Of one directory several may run, which then share their database.

    root: the directory in which face_web lies.
    """
    port = free_port()
    directory.mkdir(parents=True, exist_ok=True)
    config_path = directory / f"{name}.ini"
    base_url = f"http://127.0.0.1:{port}"
    tokens = daemon.config_path.parent / "var"
    config_path.write_text(
        f"[server]\nport = {daemon.port}\n"
        f"[access]\nweb_token_file = {tokens / 'token.web'}\noperator_token_file = {tokens / 'token.operator'}\n"
        f"[web]\nport = {port}\ndaemon_timeout_s = 60\n{web}\n"
        + ("" if "base_url" in web else f"base_url = {base_url}\n")
        + ("" if "liveness" in web else "liveness = off\n")
        + (_mariadb_settings(mariadb, directory) if mariadb else "")
    )
    environment = {**os.environ, "FACE_LOGIN_CONFIG": str(config_path), "PHP_CLI_SERVER_WORKERS": "6"}
    command = ["php", *PHP, "face_web/bin/console", "migrate"]
    migrated = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    if migrated.returncode:
        raise RuntimeError(f"the database was not made: {migrated.stdout}{migrated.stderr}")
    with config_path.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(
            ["php", *PHP, "-S", f"127.0.0.1:{port}", "-t", "face_web/public", "face_web/router.php"],
            cwd=root,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    site = Website(config_path, base_url, process, mariadb)
    _await_port(site, port)
    return site


def php_is_there() -> bool:
    """Can the site run here?"""
    if shutil.which("php") is None:
        return False
    done = subprocess.run(["php", "-m"], capture_output=True, text=True, check=False)
    return {"pdo_sqlite", "mbstring"} <= set(done.stdout.lower().split())


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _await_port(site: Website, port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and site.process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    site.stop()
    raise RuntimeError(f"the site did not start: {site.log[-2000:]}")


def _sqlite(path: Path, sql: str) -> list[list[str]]:
    import sqlite3

    connection = sqlite3.connect(path, timeout=PATIENCE_S, isolation_level=None)
    try:
        return [["NULL" if value is None else str(value) for value in row] for row in connection.execute(sql)]
    finally:
        connection.close()


def mariadb(sql: str, database: str = "") -> list[list[str]]:
    """One statement on this machine's MariaDB as its administrator."""
    command = ["mariadb", "--batch", "--skip-column-names", "--default-character-set=utf8mb4", database]
    done = subprocess.run(command, input=sql, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


def mariadb_is_there() -> bool:
    """Is there a server, and may we make databases on it?"""
    if shutil.which("mariadb") is None:
        return False
    return subprocess.run(["mariadb", "-e", "SELECT 1"], capture_output=True, check=False).returncode == 0


@contextmanager
def fresh_mariadb() -> Iterator[str]:
    """A database with a user of the same name, dropped afterwards."""
    name = f"face_e2e_{secrets.token_hex(4)}"
    mariadb(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    mariadb(f"CREATE USER {name}@'127.0.0.1' IDENTIFIED BY '{name}-password'")
    mariadb(f"GRANT ALL ON {name}.* TO {name}@'127.0.0.1'")
    try:
        yield name
    finally:
        mariadb(f"DROP DATABASE {name}")
        mariadb(f"DROP USER {name}@'127.0.0.1'")


def _mariadb_settings(name: str, directory: Path) -> str:
    (directory / "database.password").write_text(f"{name}-password\n")
    (directory / "database.password").chmod(0o600)
    return f"[database]\ndriver = mysql\nname = {name}\nuser = {name}\npassword_file = database.password\n"


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    cookies: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    @property
    def json(self) -> dict[str, Any]:
        answer = json.loads(self.body)
        if not isinstance(answer, dict):
            raise TypeError(f"not an object: {self.text[:200]}")
        return answer

    @property
    def code(self) -> str:
        """The code of a capture's answer, '' when it was accepted."""
        return "" if self.json["ok"] else str(self.json["code"])

    @property
    def location(self) -> str:
        return self.headers.get("location", "")


@dataclass
class Visitor:
    """Keeps cookies as a browser does, and sends what it is told to, also what no browser would."""

    site: Website
    headers: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)

    def request(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = {}) -> Answer:
        """One request, redirects not followed."""
        connection = http.client.HTTPConnection(urlsplit(self.site.base_url).netloc, timeout=PATIENCE_S)
        sent = {**self.headers, **headers}
        if self.cookies and "Cookie" not in sent:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        try:
            connection.request(method, path, body, {name: value for name, value in sent.items() if value})
            response = connection.getresponse()
            answer = Answer(
                response.status,
                {name.lower(): value for name, value in response.getheaders()},
                response.read(),
                response.headers.get_all("Set-Cookie") or [],
            )
        finally:
            connection.close()
        for cookie in answer.cookies:
            name, _, value = cookie.split(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    def get(self, path: str, **headers: str) -> Answer:
        """GET, with further headers."""
        return self.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def csrf(self) -> str:
        """The token of this session, from a page of it."""
        found = re.search(r'name="_csrf" value="([^"]+)"', self.get("/login").text)
        found = found or re.search(r'name="_csrf" value="([^"]+)"', self.get("/account").text)
        if found is None:
            raise RuntimeError("no page of this session has a token")
        return found.group(1)

    def post(
        self,
        path: str,
        form: Mapping[str, str] | None = None,
        files: Sequence[tuple[str, str, str, bytes]] | None = None,
        csrf: str | None = None,
        **headers: str,
    ) -> Answer:
        """POST as a form, multipart when there are files (field, name, type, bytes). csrf: None takes the session's."""
        fields = dict(form or {})
        token = self.csrf() if csrf is None else csrf
        if token:
            fields.setdefault("_csrf", token)
        kind, body = multipart(fields, files) if files is not None else _urlencoded(fields)
        accepted = "text/html" if files is None else "application/json"
        sent = {"Content-Type": kind, "Origin": self.site.base_url, "Accept": accepted}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", path, body, sent)

    def capture(self, wishes: Mapping[str, Any], csrf: str | None = None) -> Answer:
        """What the site says to a capture that begins with these wishes."""
        return self.json("/capture", wishes, csrf)

    def json(self, path: str, said: Mapping[str, Any], csrf: str | None = None) -> Answer:
        """POST as JSON. csrf: None takes the session's."""
        token = self.csrf() if csrf is None else csrf
        sent = {"Content-Type": "application/json", "X-CSRF-Token": token, "Origin": self.site.base_url}
        return self.request("POST", path, json.dumps(said).encode(), sent)

    def nonce(self, purpose: str = "login", csrf: str | None = None) -> str:
        """Begin a capture."""
        answer = self.capture({"purpose": purpose}, csrf)
        if answer.status != 200:
            raise RuntimeError(f"no nonce: {answer.status} {answer.text[:300]}")
        return str(answer.json["nonce"])

    def face(self, frames: Sequence[bytes], nonce: str | None = None, email: str = "", **headers: str) -> Answer:
        """Try to log in by these frames."""
        csrf = self.csrf()
        form = {"nonce": self.nonce("login", csrf) if nonce is None else nonce}
        if email:
            form["email"] = email
        return self.post("/login/face", form, jpegs(frames), csrf, **headers)

    def password(self, email: str, password: str, **headers: str) -> Answer:
        """Try to log in by password."""
        return self.post("/login/password", {"email": email, "password": password}, **headers)

    def register(self, name: str, email: str, password: str, frames: Sequence[bytes], **more: str) -> Answer:
        """Ask for an account."""
        csrf = self.csrf()
        form = {"name": name, "email": email, "password": password, "consent": "1"}
        form["nonce"] = self.nonce("register", csrf)
        return self.post("/register", {**form, **more}, jpegs(frames), csrf)

    def is_in(self) -> bool:
        """Is somebody logged in? The account page is for them alone."""
        return self.get("/account").status == 200


def jpegs(frames: Sequence[bytes]) -> list[tuple[str, str, str, bytes]]:
    """Frames as the page sends them."""
    return [("frames[]", f"frame{number}.jpg", "image/jpeg", frame) for number, frame in enumerate(frames)]


def multipart(fields: Mapping[str, str], files: Sequence[tuple[str, str, str, bytes]]) -> tuple[str, bytes]:
    """Content type and body of a form with files."""
    mark = secrets.token_hex(16)
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    for name, file, kind, data in files:
        disposition = f'Content-Disposition: form-data; name="{name}"; filename="{file}"'
        head = f"--{mark}\r\n{disposition}\r\nContent-Type: {kind}\r\n\r\n"
        parts.append(head.encode() + data + b"\r\n")
    return f"multipart/form-data; boundary={mark}", b"".join([*parts, f"--{mark}--\r\n".encode()])


def _urlencoded(fields: Mapping[str, str]) -> tuple[str, bytes]:
    return "application/x-www-form-urlencoded", urlencode(fields).encode()
