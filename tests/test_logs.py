"""The log: for people and for machines, whose request a line is about, and what never stands in it."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bad_pictures import flat_jpeg
from daemons import LIGHT, ROOT, Daemon, start_daemon
from e2e.clips import burst
from e2e.people import BARACK, BARACK_LATER, BARACKS
from stub_server import PATIENCE_S, Peer, Running, detect, error_of, request, serving, wait_until
from websites import Website, php_is_there, start_website

from face_server.logs import FIELDS, REQUEST_ID, HumanLines, JsonLines, about_request, debug_switch, held_back

ALWAYS = {"time", "level", "logger", "message"}
KNOWN = {*ALWAYS, *FIELDS, "request_id", "exception"}


def record(message: str, *args: object, **extra: object) -> logging.LogRecord:
    made = logging.getLogger("face_server.test").makeRecord(
        "face_server.test", logging.INFO, "", 1, message, args, None
    )
    vars(made).update(extra)
    return made


def failure(message: str) -> logging.LogRecord:
    made = record("it failed")
    try:
        raise ValueError(message)
    except ValueError:
        made.exc_info = sys.exc_info()
    return made


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Every line of a log, each an object with what all have and nothing that is not known."""
    lines = [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]
    assert all(ALWAYS <= line.keys() <= KNOWN for line in lines)
    return lines


# The formats


def test_a_json_line_has_the_fields_that_are_known_and_no_other() -> None:
    with about_request("abc-1.2_3"):
        text = JsonLines().format(record("%s ok", "ping", peer="unix", ms=1.5, vector=[0.1], token="t" * 64))
    line = json.loads(text)
    moment = datetime.fromisoformat(line.pop("time"))
    assert (moment.tzinfo, abs((datetime.now(UTC) - moment).total_seconds()) < 60) == (UTC, True)
    known = {"level": "info", "logger": "face_server.test", "message": "ping ok", "peer": "unix", "ms": 1.5}
    assert line == known | {"request_id": "abc-1.2_3"}


FORGED = "a\n2026-11-26 12:00:00,000 INFO x: forged\r\n\x1b[2Jb\u2028c\0\x7f\x9b"


@pytest.mark.parametrize("made", [record("%s", FORGED), failure(FORGED)], ids=["message", "traceback"])
def test_no_text_of_others_begins_a_line_or_reaches_a_terminal(made: logging.LogRecord) -> None:
    (line,) = JsonLines().format(made).split("\n")
    assert line.isascii() and line.isprintable()
    assert "forged" in json.loads(line)["exception" if made.exc_info else "message"]
    first, *rest = HumanLines().format(made).split("\n")
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO face_server\.test: ", first)
    assert any("forged" in line for line in rest)
    assert all(line.startswith("    ") and line.replace("\t", "").isprintable() for line in rest)


def test_for_people_the_request_stands_in_brackets() -> None:
    with about_request("abc"):
        assert HumanLines().format(record("ping ok")).endswith("face_server.test: ping ok [abc]")
    assert HumanLines().format(record("ping ok")).endswith("face_server.test: ping ok")


def test_what_is_logged_before_the_configuration_is_read_waits_for_it(tmp_path: Path) -> None:
    config = tmp_path / "config.ini"
    config.write_text("[annoy]\nnum_trees = 3\n[log]\nformat = json\n[models]\npath = nowhere\n")
    command = [sys.executable, "-m", "face_server", "serve", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    *lines, last = done.stderr.splitlines()
    assert json.loads(lines[0])["message"].endswith("[annoy] num_trees is now called [index] trees")
    assert last.startswith("face-server: ")


def test_held_lines_are_told_at_the_end_at_the_level_that_holds_then(caplog: pytest.LogCaptureFixture) -> None:
    ours = logging.getLogger("face_server.test")
    with caplog.at_level(logging.WARNING, "face_server"), held_back():
        ours.warning("early")
        assert caplog.text == ""
    assert caplog.messages == ["early"]
    with caplog.at_level(logging.INFO, "face_server"), pytest.raises(RuntimeError), held_back():
        ours.warning("late")
        logging.getLogger("face_server").setLevel(logging.ERROR)
        raise RuntimeError
    assert caplog.messages == ["early"]


# Whose request a line is about


@pytest.fixture
def formatted(caplog: pytest.LogCaptureFixture) -> Iterator[Lines]:
    """What the server logs meanwhile, read back from JSON."""
    with caplog.at_level(logging.DEBUG, "face_server"):
        handler = Lines()
        logging.getLogger("face_server").addHandler(handler)
        yield handler
        logging.getLogger("face_server").removeHandler(handler)


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonLines())
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


def ids_of(lines: list[dict[str, Any]]) -> list[str]:
    return [line["request_id"] for line in lines if "request_id" in line]


def answers(running: Running, peer: Peer, *seqs: object) -> None:
    for seq in seqs:
        assert peer.ask(b"x", cmd="detect", image_bytes=[1], seq=seq)["seq"] == seq


def test_a_seq_that_is_an_id_names_every_line_of_its_request_and_no_line_of_another(formatted: Lines) -> None:
    with serving() as running, running.connect() as peer, running.connect() as other:
        answers(running, peer, "first", 2)
        running.handler.gate.clear()
        peer.send(detect(b"x", seq="second"))
        running.handler.entered.acquire()
        assert other.ask(cmd="ping", seq="beside")["ok"]
        running.handler.gate.set()
        peer.reply()
        assert error_of(peer.ask(cmd="dance", seq="third"))[0] == "unknown_command"
        running.handler.raises = RuntimeError("secret")
        incident = peer.ask(b"x", cmd="detect", image_bytes=[1], seq="fourth")["error"]["detail"]["id"]
    named: dict[str, list[dict[str, Any]]] = {}
    for line in formatted.lines:
        named.setdefault(line.get("request_id", ""), []).append(line)
    assert set(named) == {"", "first", "second", "beside", "third", "fourth"}
    told = {name: [line["message"].split(" ", 1)[1] for line in lines] for name, lines in named.items()}
    assert [message.split(" ")[:2] for message in told["second"][1:]] == [["detect", "..."], ["detect", "ok"]]
    assert [message.split(" ")[0] for message in told["beside"]] == ["sent", "ping", "ping"]
    assert told["third"][1:] == ["refused: unknown_command"]
    (failed,) = [line for line in named["fourth"] if "exception" in line]
    assert (failed["incident"], failed["command"]) == (incident, "detect")
    assert named["fourth"][-1]["outcome"] == "internal"


NO_IDS = ["a b", "a\nb", "a\n2026 INFO forged", "id\n", "a\0", "\x1b[2J", "\u2028", "ü", 'a"b', "a/b", "", "x" * 65]


@pytest.mark.parametrize("seq", [*NO_IDS, 7, 1.5, True, None], ids=ascii)
def test_any_other_seq_is_echoed_and_stays_out_of_the_log(formatted: Lines, seq: object) -> None:
    with serving() as running, running.connect() as peer:
        answers(running, peer, seq)
        error_of(peer.ask(cmd="dance", seq=seq))
    assert len(formatted.lines) >= 4
    assert ids_of(formatted.lines) == []
    if isinstance(seq, str) and len(seq) > 1:
        assert seq.strip() not in json.dumps(formatted.lines, ensure_ascii=False)


def test_the_longest_id_is_taken_and_the_next_request_has_none_of_it(formatted: Lines) -> None:
    with serving() as running, running.connect() as peer:
        answers(running, peer, "x" * 64, 1)
        peer.send(request(cmd="ping", seq="late")[:-1])
    assert set(ids_of(formatted.lines)) == {"x" * 64}


def test_the_documents_say_what_an_id_is_and_what_a_line_holds() -> None:
    assert REQUEST_ID.pattern == "[A-Za-z0-9._-]{1,64}"
    protocol = (ROOT / "face_server" / "wire" / "PROTOCOL.md").read_text()
    assert "1 to 64 characters of `A-Za-z0-9._-` is logged" in protocol
    section = (ROOT / "README.md").read_text().split("## Logs\n")[1].split("\n## ")[0]
    example = json.loads(section.split("```json\n")[1].split("```")[0])
    assert ALWAYS < example.keys() < KNOWN
    assert [name for name in KNOWN - example.keys() if f"`{name}`" not in section] == []


# The level


def test_the_switch_goes_to_debug_and_back_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    ours = logging.getLogger("face_server")
    with caplog.at_level(logging.WARNING, "face_server"):
        switch = debug_switch()
        switch()
        assert ours.level == logging.DEBUG
        switch()
        assert ours.level == logging.WARNING
    assert caplog.messages == ["the log's level is now debug", "the log's level is now warning"]


# A real daemon and a real site


@pytest.fixture(scope="module")
def json_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Writes JSON lines; was asked for another level already while it started, which must not end it."""
    directory = tmp_path_factory.mktemp("json_daemon")

    def interfere(process: subprocess.Popen[str]) -> None:
        wait_until(lambda: "loading" in (directory / "daemon.log").read_text() or process.poll() is not None)
        process.send_signal(signal.SIGUSR1)

    running = start_daemon(directory, f"{LIGHT}[log]\nformat = json", meanwhile=interfere)
    yield running
    running.kill()


def wait_for_line(daemon: Daemon, part: str, count: int = 1) -> None:
    wait_until(lambda: daemon.log_path.read_text().count(part) >= count)


def test_every_line_of_a_busy_daemon_is_json_and_none_holds_a_face_a_score_or_a_token(
    json_daemon: Daemon, sample_photos: Path
) -> None:
    photos = {path.stem: path.read_bytes() for path in sample_photos.iterdir()}
    token, wrong = json_daemon.token("operator"), "wrong" * 13
    numbers: set[float] = set()

    def use(number: int) -> None:
        with json_daemon.client() as client:
            client.enrol(f"secret-{number}", [photos["obama"]], force=True)
            found = client.identify(photos["obama2"], limit=5)
            numbers.update(one.score for one in found.candidates or ())
            claimed = client.verify(f"secret-{number}", photos["obama3"])
            numbers.update(value for value in (claimed.score, claimed.threshold) if value is not None)
            client.remove(f"secret-{number}")

    def misuse(data: bytes) -> None:
        with Peer(socket.create_connection(("127.0.0.1", json_daemon.port), PATIENCE_S)) as peer:
            peer.send(data)
            peer.finish()
            while peer.socket.recv(1 << 16):
                pass

    unfit = [detect(data, token, seq="unfit") for data in (b"", flat_jpeg(64, 64)[:99], flat_jpeg(9000, 9000))]
    wild = [os.urandom(100), b"\xff" * 8, b"GET / HTTP/1.1\r\n\r\n", request(token=wrong, cmd="status", seq="x\ny")]
    json_daemon.process.send_signal(signal.SIGUSR1)
    wait_for_line(json_daemon, "level is now debug")
    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(use, number) for number in range(4)] + [pool.submit(misuse, data) for data in unfit + wild]
        for each in done:
            each.result()
    json_daemon.process.send_signal(signal.SIGUSR1)
    wait_for_line(json_daemon, "level is now info")

    lines = lines_of(json_daemon.log_path)
    assert {line["level"] for line in lines} == {"info", "debug"}
    identified = [line for line in lines if line.get("command") == "identify" and "outcome" in line]
    assert [line["outcome"] for line in identified] == ["ok"] * 4
    assert all(line["ms"] > 0 and line["peer"].startswith("127.0.0.1:") for line in identified)
    assert ids_of(lines).count("unfit") >= 2 * len(unfit)
    text = json_daemon.log_path.read_text()
    secrets = [token, json_daemon.token("web"), wrong, "secret-", "x\\ny", *(f"{number:.4f}" for number in numbers)]
    assert len(numbers) >= 3 and [secret for secret in secrets if secret in text] == []
    # A vector or an image would be long, and the first a list.
    assert all(len(line["message"]) < 200 and "[" not in line["message"] for line in lines)


@pytest.fixture
def json_site(json_daemon: Daemon, tmp_path: Path) -> Iterator[Website]:
    if not php_is_there():
        pytest.skip("needs PHP 8.2 with pdo_sqlite and mbstring: apt-get install php-cli php-sqlite3 php-mbstring")
    running = start_website(tmp_path, json_daemon, "trusted_proxies = 127.0.0.1")
    yield running
    running.stop()


def commands_of(daemon: Daemon, request_id: str) -> list[tuple[str, str]]:
    """(command, outcome) of what was done under an id, `id.2` and so on included."""
    wait_for_line(daemon, f'"{request_id}"')
    named = [line for line in lines_of(daemon.log_path) if line.get("request_id", "").split(".")[0] == request_id]
    return [(line.get("command", ""), line["outcome"]) for line in named if "outcome" in line]


def test_a_login_has_one_id_in_the_answer_in_the_site_s_log_and_in_the_daemon_s(
    json_daemon: Daemon, json_site: Website
) -> None:
    answer = json_site.visitor().register(BARACKS.name, BARACKS.email, BARACKS.password, burst(BARACK, 3))
    assert answer.json["ok"], answer.text
    assert ("enrol", "ok") in commands_of(json_daemon, answer.headers["x-request-id"])

    answer = json_site.visitor().face(burst(BARACK_LATER))
    assert answer.json["ok"], answer.text
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])
    assert commands_of(json_daemon, answer.headers["x-request-id"]) == [("identify", "ok")]
    assert answer.headers["x-request-id"] not in json_site.log  # it has nothing to say about it

    # The site is left with a token that the daemon does not know: both say so, and the person gets the reference.
    token = json_daemon.config_path.parent / "var" / "token.web"
    right = token.read_text()
    try:
        token.write_text("0" * 64)
        answer = json_site.visitor().face(burst(BARACK_LATER), X_Request_Id="proxy-7f3a")
    finally:
        token.write_text(right)
    assert answer.code == "unavailable"
    assert answer.headers["x-request-id"] == "proxy-7f3a"
    assert answer.json["message"].endswith("Reference: proxy-7f3a")
    assert commands_of(json_daemon, "proxy-7f3a") == [("", "unauthorised")]
    assert "[proxy-7f3a] face login: the token is not one of this daemon's" in json_site.log


def test_no_header_forges_a_line_of_either_log(json_daemon: Daemon, json_site: Website) -> None:
    for forged in ("a b", "x" * 61, "a]", "\t", "ü", "{}", "a%0aINFO", "'", "<script>"):
        answer = json_site.visitor().get("/healthz", X_Request_Id=forged)
        request_id = answer.headers["x-request-id"]
        assert re.fullmatch(r"[0-9a-f]{32}", request_id)
        assert commands_of(json_daemon, request_id) == [("ping", "ok")]
    assert "x" * 61 not in json_daemon.log_path.read_text() + json_site.log


def test_a_page_that_is_not_there_shows_the_reference_that_its_header_has(json_site: Website) -> None:
    answer = json_site.visitor().get("/nowhere")
    assert f"Reference: {answer.headers['x-request-id']}" in answer.text
