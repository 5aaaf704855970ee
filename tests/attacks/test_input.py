"""Texts that try to be something else: SQL, HTML, paths, headers."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from daemons import ROOT
from e2e.browsers import Account
from e2e.clips import burst
from e2e.people import BARACK, JOE
from websites import Visitor, Website

SQL = [
    "' OR '1'='1",
    "' OR 1=1 -- ",
    '" OR ""="',
    "'; DROP TABLE face_user; -- ",
    "\\' OR 1=1 #",
    "a' UNION SELECT 1,2,3 -- ",
]
MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'`&{{7*7}}<?=1?>"


@pytest.mark.parametrize("text", SQL)
def test_sql_in_a_login_is_a_wrong_email_or_password(site: Website, victim: Account, text: str) -> None:
    for email, password in ((text, "x"), (victim.email + text, "x"), (victim.email, text)):
        visitor = site.visitor()
        assert visitor.password(email, password).status == 422
        assert not visitor.is_in()
        site.forgive()
    assert site.rows("SELECT COUNT(*) FROM face_user") == [["1"]]


@pytest.mark.parametrize("text", SQL)
def test_sql_in_a_registration_is_a_name_or_no_email(site: Website, victim: Account, text: str) -> None:
    answer = site.visitor().register(text, f"x{text}@example.org", "a long enough password", burst(JOE))
    assert answer.code == "form"
    assert list(answer.json["fields"]) == ["email"]
    assert site.rows("SELECT COUNT(*) FROM face_user") == [["1"]]


@pytest.fixture(scope="module")
def scripted(site: Website, victim: Account) -> Iterator[Visitor]:
    """Somebody whose name is a program, logged in, who is an administrator too."""
    answer = site.visitor().register(MARKUP, "o'scripted&co@example.org", "a long enough password", burst(JOE, 4))
    assert answer.json["ok"], answer.text
    site.rows("UPDATE face_user SET role = 'admin' WHERE email LIKE '%scripted%'")
    visitor = site.visitor()
    assert visitor.password("o'scripted&co@example.org", "a long enough password").location == "/account"
    yield visitor
    assert visitor.post("/account/email", {"email": "gone@example.org"}).status == 303
    site.rows("UPDATE face_user SET role = 'person', status = 'disabled' WHERE email = 'gone@example.org'")


@pytest.mark.parametrize(
    "path", ["/", "/account", "/admin", "/admin?q=%3Cscript%3Ealert(3)%3C/script%3E", "/admin/audit"]
)
def test_markup_in_a_name_stays_text(site: Website, scripted: Visitor, path: str) -> None:
    text = scripted.get(path).text
    assert "alert(1)" not in text or "&lt;script&gt;alert(1)" in text
    for tag in ("<script>alert", "<img src=x", "<?="):
        assert tag not in text


def test_the_markup_is_shown_as_it_was_typed(site: Website, scripted: Visitor) -> None:
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in scripted.get("/account").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in scripted.get("/admin").text


def test_what_was_typed_comes_back_as_text(site: Website, victim: Account) -> None:
    answer = site.visitor().password(f'"><script>alert(1)</script>{victim.email}', "x")
    assert "<script>alert" not in answer.text
    for path in ("/register?invite=", "/login?lang=", "/confirm?next=", "/nowhere/", "/login?client="):
        assert "<script>alert" not in site.visitor().get(path + "%22%3E%3Cscript%3Ealert(1)%3C/script%3E").text


NOT_PUBLIC = [
    "/../config.ini",
    "/..%2fconfig.ini",
    "/%2e%2e/config.ini",
    "/%2e%2e%2f%2e%2e%2fconfig.ini",
    "/..\\config.ini",
    "/..%5c..%5cconfig.ini",
    "/vendor/../../src/App.php",
    "/vendor/%2e%2e/%2e%2e/src/App.php",
    "/vendor/....//....//src/App.php",
    "/style.css/../../../config.ini",
    "/style.css%00.php",
    "/config.ini",
    "/site.ini",
    "/src/App.php",
    "/src/",
    "/templates/login.php",
    "/lang/en.php",
    "/bin/console",
    "/tests/bootstrap.php",
    "/options.json",
    "/vendor.toml",
    "/router.php",
    "/face_web/router.php",
    "/var/users.sqlite",
    "/users.sqlite",
    "/var/token.web",
    "/var/audit.key",
    "/.git/config",
    "/.gitignore",
    "/.htaccess",
    "/.env",
    "/vendor/.htaccess",
    "/index.php~",
    "/index.php.bak",
    "/composer.json",
    "/phpinfo.php",
    "//etc/passwd",
    "/etc/passwd",
    "/vendor",
    "/vendor/",
    "/vendor/face-api",
]


@pytest.mark.parametrize("path", NOT_PUBLIC)
def test_what_is_not_public_is_not_there(site: Website, path: str) -> None:
    answer = raw(site, f"GET {path} HTTP/1.1")
    assert re.match(rb"HTTP/1\.[01] (400|403|404)", answer), answer[:200]
    for secret in (b"<?php", b"[access]", b"[server]", b"SQLite format", b"root:x:", b"[core]", b"namespace FaceWeb"):
        assert secret not in answer


def test_the_entry_is_no_source(site: Website) -> None:
    assert b"<?php" not in raw(site, "GET /index.php HTTP/1.1")


@pytest.mark.parametrize("path", ["/style.css", "/camera.js"])
def test_the_public_files_are_there(site: Website, path: str) -> None:
    assert raw(site, f"GET {path} HTTP/1.1").startswith(b"HTTP/1.1 200")
    assert (ROOT / "face_web" / "public" / path.lstrip("/")).is_file()


def raw(site: Website, first_line: str, more: str = "") -> bytes:
    """A request that no client would make."""
    host = urlsplit(site.base_url).netloc
    request = f"{first_line}\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n"
    with socket.create_connection(("127.0.0.1", int(host.split(":")[1])), timeout=120) as connection:
        connection.sendall(request.encode())
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer


def test_a_line_break_does_not_become_a_header(site: Website, victim: Account) -> None:
    evil = "%0d%0aSet-Cookie:%20planted=1%0d%0aLocation:%20https://evil.example/"
    for path in (f"/login?client=x&return_to=x{evil}", f"/{evil}", f"/confirm?next={evil}", f"/?lang=en{evil}"):
        head = raw(site, f"GET {path} HTTP/1.1").split(b"\r\n\r\n")[0]
        assert b"planted=1" not in head.replace(b"%0d%0aSet-Cookie:%20planted=1", b"")


@pytest.mark.parametrize(
    "location", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_no_address_in_a_request_leads_away(site: Website, victim: Account, location: str) -> None:
    visitor = site.visitor()
    form = {"email": victim.email, "password": victim.password, "next": location, "location": location}
    assert visitor.post("/login/password", {**form, "return_to": location}).location == "/account"
    confirmed = visitor.post("/confirm", {"password": victim.password, "next": location})
    assert confirmed.location == "/account"


def test_a_line_break_in_a_name_or_email_is_refused(site: Website, victim: Account) -> None:
    answer = site.visitor().register(
        "a\r\nBcc: all", "x@example.org\r\nBcc: all@example.org", "a long enough password", burst(JOE)
    )
    assert set(answer.json["fields"]) >= {"email"}


@pytest.mark.parametrize(
    "body", [b"\xff\xfe\x00", b"{" * 100_000, b'{"purpose": ["login"]}', b"[]", b"null", b'{"purpose": "admin"}', b""]
)
def test_a_strange_body_is_a_bad_request(site: Website, body: bytes) -> None:
    visitor = site.visitor()
    headers = {"Content-Type": "application/json", "X-CSRF-Token": visitor.csrf(), "Origin": site.base_url}
    assert visitor.request("POST", "/capture", body, headers).status in (400, 413)


def test_arrays_instead_of_texts_are_nothing(site: Website, victim: Account) -> None:
    visitor = site.visitor()
    answer = visitor.post("/login/password", {"email[]": victim.email, "password[]": victim.password})
    assert answer.status == 422
    answer = visitor.post(
        "/login/face", {"nonce[]": visitor.nonce()}, [("frames", "f", "image/jpeg", b"\xff\xd8\xff")] * 3
    )
    assert answer.status in (200, 400)
    assert not visitor.is_in()


def test_thousands_of_fields_are_survived(site: Website) -> None:
    visitor = site.visitor()
    answer = visitor.post("/login/password", {f"field{number}": "x" for number in range(5000)})
    assert answer.status in (403, 413, 422)


def test_a_faulty_request_tells_nothing_of_the_inside(site: Website) -> None:
    for answer in (
        site.visitor().get("/nowhere"),
        site.visitor().post("/login/password", {"email": "\x00\xff", "password": "\x00"}),
        site.visitor().post("/login/face", {"nonce": "x"}, [("frames[0][1]", "f", "image/jpeg", b"x")]),
    ):
        assert answer.status != 500
        for inside in ("Stack trace", "Fatal error", "Warning:", "PDO", "SQLSTATE", "/src/", str(ROOT)):
            assert inside not in answer.text


def test_the_burst_of_a_living_person_still_works(site: Website, victim: Account) -> None:
    assert site.visitor().face(burst(BARACK)).json["ok"]
