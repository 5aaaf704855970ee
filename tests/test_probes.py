"""The HTTP side for monitors: what it says of the daemon, and that nobody can take it away from the others."""

from __future__ import annotations

import re
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import pytest
from monitors import PATIENCE_S, ask, probing, raw
from stub_server import detect, serving, wait_until

import face_server.health
import face_server.probes
from face_server.config import MetricsConfig
from face_server.errors import ConfigError
from face_server.health import Health
from face_server.metrics import Metrics
from face_server.probes import MAX_CONNECTIONS, MAX_HEAD_BYTES, Answer, listen_address

#: Of a deadline that a test waits for.
SHORT_S = 0.3


@pytest.fixture
def address() -> Iterator[str]:
    """Of the HTTP side of a daemon that is starting."""
    with probing() as address:
        yield address


@pytest.fixture
def short_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face_server.probes, "DEADLINE_S", SHORT_S)


def connect(address: str) -> socket.socket:
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=PATIENCE_S)


def is_cut_off(connection: socket.socket) -> bool:
    """Whether the other side ends the connection without a word; waits for that."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


# --- what it says ---------------------------------------------------------------------------------------------------


def test_a_daemon_that_starts_is_alive_and_not_ready_and_has_metrics(address: str) -> None:
    assert ask(address, "/healthz") == (200, "alive\n")
    assert ask(address, "/readyz") == (503, "starting\n")
    status, text = ask(address, "/metrics")
    assert status == 200 and "\nface_login_ready 0.0\n" in text and "process_resident_memory_bytes " in text


def test_a_daemon_that_serves_is_ready_until_it_closes() -> None:
    health = Health()
    with serving() as running, probing(health) as address, running.connect() as peer:
        health.serving(running.server)
        assert ask(address, "/readyz") == (200, "ready\n")
        running.handler.gate.clear()
        peer.send(detect(b"a"))
        assert running.handler.entered.acquire(timeout=PATIENCE_S)
        running.begin_close()
        wait_until(lambda: running.server.closing)
        assert ask(address, "/readyz") == (503, "stopping\n")
        assert ask(address, "/healthz") == (200, "alive\n")
        running.handler.gate.set()
        assert peer.reply()["ok"]


def test_a_worker_that_is_stuck_is_neither_alive_nor_ready_until_it_goes_on() -> None:
    health = Health(stuck_s=0.05)
    with serving() as running, probing(health) as address, running.connect() as peer:
        health.serving(running.server)
        running.handler.gate.clear()
        peer.send(detect(b"a"))
        wait_until(lambda: running.server.busy_s > 0.05)
        for path in ("/healthz", "/readyz"):
            status, text = ask(address, path)
            assert (status, text) == (503, "the worker has been at one request for 0 s\n")
        running.handler.gate.set()
        assert peer.reply()["ok"]
        wait_until(lambda: running.server.busy_s == 0)
        assert ask(address, "/readyz") == (200, "ready\n")


def test_an_event_loop_that_is_stuck_is_neither_alive_nor_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face_server.health, "TURN_S", SHORT_S)
    health = Health()
    with serving() as running, probing(health) as address:
        health.serving(running.server)
        release: list[bool] = []

        def block() -> None:
            while not release:
                time.sleep(0.01)

        running.loop.call_soon_threadsafe(block)
        try:
            for path in ("/healthz", "/readyz"):
                assert ask(address, path) == (503, "the event loop does not turn\n")
        finally:
            release.append(True)
        assert ask(address, "/readyz") == (200, "ready\n")


def test_the_metrics_tell_how_the_server_is_and_whether_it_is_ready() -> None:
    health, metrics = Health(), Metrics()
    with serving(observer=metrics, queue_size=7) as running, probing(health, metrics) as address:
        health.serving(running.server)
        metrics.watch(running.server, health)
        status, text = ask(address, "/metrics")
        assert status == 200
        assert "\nface_login_ready 1.0\n" in text and "\nface_login_queue_limit_requests 7.0\n" in text


def test_a_failure_is_told_as_one_and_the_next_request_is_answered(caplog: pytest.LogCaptureFixture) -> None:
    @dataclass
    class Broken:
        closing = False
        busy_s = 0.0

        def turns(self, within_s: float) -> bool:
            raise RuntimeError("nobody foresaw this")

    health = Health()
    health.serving(Broken())  # type: ignore[arg-type]
    with probing(health) as address:
        assert ask(address, "/readyz") == (500, "the log tells why\n")
        assert "nobody foresaw this" in caplog.text
        assert ask(address, "/metrics")[0] == 200


def test_those_who_ask_within_a_second_get_the_same_text(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face_server.probes, "FRESH_S", 3600.0)
    first = ask(address, "/metrics")
    assert ask(address, "/metrics") == first
    monkeypatch.setattr(face_server.probes, "FRESH_S", 0.0)
    cpu = re.compile(r"process_cpu_seconds_total (\S+)")
    before = cpu.findall(first[1])

    def is_fresh() -> bool:
        return cpu.findall(ask(address, "/metrics")[1]) != before

    wait_until(is_fresh)


# --- HTTP -----------------------------------------------------------------------------------------------------------


def test_the_answer_is_http_that_ends_with_its_length(address: str) -> None:
    head, body = raw(address, b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n").split(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 200 OK" and body == b"alive\n"
    for line in (b"Content-Length: 6", b"Connection: close", b"Cache-Control: no-store"):
        assert line in lines


def test_head_has_no_body_and_a_query_changes_nothing(address: str) -> None:
    assert raw(address, b"HEAD /healthz HTTP/1.0\r\n\r\n").endswith(b"Content-Length: 6\r\n" + TAIL)
    assert ask(address, "/healthz?verbose=1") == (200, "alive\n")


TAIL = b"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"

BAD = {
    "no HTTP": (b"hello\r\n\r\n", b"400"),
    "a frame of the daemon's own protocol": (b"\0\0\0\x0e" + b'{"cmd":"ping"}\r\n\r\n', b"400"),
    "TLS": (bytes.fromhex("160301") + b"\x01\0" * 40 + b"\r\n\r\n", b"400"),
    "no path": (b"GET  HTTP/1.1\r\n\r\n", b"400"),
    "another version": (b"GET / HTTP/2.0\r\n\r\n", b"400"),
    "a path with a control character": (b"GET /heal\x00thz HTTP/1.1\r\n\r\n", b"400"),
    "a long path": (b"GET /" + b"a" * 1000 + b" HTTP/1.1\r\n\r\n", b"400"),
    "an absolute address": (b"GET http://127.0.0.1/healthz HTTP/1.1\r\n\r\n", b"400"),
    "the root": (b"GET / HTTP/1.1\r\n\r\n", b"404"),
    "a path above": (b"GET /../config.ini HTTP/1.1\r\n\r\n", b"404"),
    "a path beside": (b"GET /healthz/ HTTP/1.1\r\n\r\n", b"404"),
    "a POST": (b"POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b"405"),
    "a DELETE": (b"DELETE /healthz HTTP/1.1\r\n\r\n", b"405"),
    "a head without an end": (b"GET /healthz HTTP/1.1\r\n" + b"a: b\r\n" * MAX_HEAD_BYTES, b"431"),
}


@pytest.mark.parametrize(("sent", "status"), BAD.values(), ids=BAD)
def test_what_is_no_request_of_a_monitor_is_refused_and_others_are_answered(
    address: str, sent: bytes, status: bytes
) -> None:
    assert raw(address, sent)[:12] in (b"HTTP/1.1 " + status, b"")  # the reset may overtake the words
    assert ask(address, "/healthz") == (200, "alive\n")


def test_a_refused_method_says_which_there_are(address: str) -> None:
    assert b"\r\nAllow: GET, HEAD\r\n" in raw(address, BAD["a POST"][0])


# --- whoever can reach it is taken for hostile ----------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: a\r\n"], ids=len)
def test_who_does_not_finish_a_request_is_cut_off(address: str, short_deadline: None, sent: bytes) -> None:
    with connect(address) as connection:
        connection.sendall(sent)
        assert is_cut_off(connection)


def test_a_steady_trickle_does_not_extend_the_deadline(address: str, short_deadline: None) -> None:
    with connect(address) as connection:
        connection.settimeout(0.02)
        deadline = time.monotonic() + PATIENCE_S
        ended = False
        while not ended and time.monotonic() < deadline:
            try:
                connection.sendall(b"a")
                ended = connection.recv(1) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                ended = True
        assert ended


def test_who_does_not_read_the_answer_is_cut_off(short_deadline: None) -> None:
    health, metrics = Health(), Metrics()
    probes = face_server.probes.Probes(MetricsConfig("127.0.0.1:0"), health, metrics.text, "text/plain")
    size = 64 << 20  # more than the system takes off our hands
    probes._kept = time.monotonic() + PATIENCE_S, Answer(200, b"#" * size)
    with probes, connect(probes.address) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert select.select([connection], [], [], PATIENCE_S)[0]  # the answer has begun
        wait_until(lambda: probes._open == 0)  # it has given up; nothing was read until now
        received = 0
        with suppress(ConnectionResetError):
            while data := connection.recv(1 << 20):
                received += len(data)
        assert received < size


def test_one_connection_more_than_there_may_be_is_cut_off_and_room_comes_back(address: str) -> None:
    with ExitStack() as held:
        silent = [held.enter_context(connect(address)) for _ in range(MAX_CONNECTIONS)]
        with connect(address) as one_more:
            assert is_cut_off(one_more)
        silent.pop().close()

        def is_answered() -> bool:
            return raw(address, b"GET /healthz HTTP/1.1\r\n\r\n").endswith(b"alive\n")

        wait_until(is_answered)


# --- where it listens -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("localhost:0", ("localhost", 0)),
        ("127.9.9.9:65535", ("127.9.9.9", 65535)),
        ("[::1]:9464", ("::1", 9464)),
    ],
)
def test_a_loopback_address_is_taken(listen: str, expected: tuple[str, int]) -> None:
    assert listen_address(MetricsConfig(listen)) == expected


@pytest.mark.parametrize("listen", ["0.0.0.0:9464", "[::]:9464", "192.0.2.1:9464", "monitor.example:9464"])
def test_another_address_is_refused_unless_it_is_said_to_be_exposed(listen: str) -> None:
    with pytest.raises(ConfigError, match=r"\[metrics\] exposed = true"):
        listen_address(MetricsConfig(listen))
    assert listen_address(MetricsConfig(listen, exposed=True))[1] == 9464


@pytest.mark.parametrize(
    "listen",
    ["9464", "127.0.0.1", "127.0.0.1:", ":9464", "127.0.0.1:65536", "127.0.0.1:-1", "::1:9464", "a b:1", "x:1:2"],
)
def test_what_is_no_address_is_refused(listen: str) -> None:
    with pytest.raises(ConfigError, match="no address:port such as"):
        listen_address(MetricsConfig(listen, exposed=True))


def test_an_address_in_use_is_refused_with_its_name(address: str) -> None:
    health, metrics = Health(), Metrics()
    probes = face_server.probes.Probes(MetricsConfig(address), health, metrics.text, "text/plain")
    with pytest.raises(ConfigError, match=rf"\[metrics\] listen: cannot listen on {address}"), probes:
        pass


def test_an_address_that_is_free_again_can_be_used_at_once() -> None:
    with probing() as address:
        assert ask(address, "/healthz")[0] == 200
    with pytest.raises(OSError, match="refused"):
        connect(address)
    metrics = Metrics()
    with face_server.probes.Probes(MetricsConfig(address), Health(), metrics.text, "text/plain") as again:
        assert ask(again.address, "/healthz") == (200, "alive\n")
