"""How the server begins and ends: where it may listen, and what becomes of the connections when it stops."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from stub_server import PATIENCE_S, Running, detect, error_of, request, serving, wait_until

from face_server.errors import ConfigError

pytestmark = pytest.mark.usefixtures("transport")


def wait_until_it_listens_no_more(running: Running) -> None:
    # Asked of the server: a trial connection could be caught between the system's accepting and the server's.
    wait_until(lambda: running.server._listener is not None and not running.server._listener.is_serving())
    with pytest.raises(ConnectionRefusedError):
        running.connect()


def test_a_close_answers_what_is_in_hand_ends_the_idle_and_tells_the_half_sent() -> None:
    with serving() as running, ExitStack() as stack:
        working, waiting, idle, half, silent = (stack.enter_context(running.connect()) for _ in range(5))
        assert idle.ask(cmd="ping")["ok"]
        half.send(detect(b"abc")[:-1])
        wait_until(lambda: any(one.held and not one.in_hand for one in running.server._connections))
        running.handler.gate.clear()
        working.send(detect(b"a", seq=1))
        running.handler.entered.acquire()
        waiting.send(detect(b"ab", seq=2))
        wait_until(lambda: running.server._worker.waiting == 1)
        running.begin_close()
        assert idle.is_closed()
        assert silent.is_closed()
        assert error_of(half.reply()) == ("shutting_down", "operator")
        assert half.is_closed()
        wait_until_it_listens_no_more(running)
        running.handler.gate.set()
        for peer, width in ((working, 1), (waiting, 2)):
            answer = peer.reply()
            assert (answer["seq"], answer["width"]) == (width, width)
            assert error_of(peer.reply()) == ("shutting_down", "operator")
            assert peer.is_closed()
        running.close()


def test_requests_behind_the_one_in_hand_are_not_begun_and_the_client_is_told() -> None:
    with serving() as running, running.connect() as peer:
        running.handler.gate.clear()
        peer.send(detect(b"a", seq=1) + detect(b"ab", seq=2))
        running.handler.entered.acquire()
        running.begin_close()
        wait_until_it_listens_no_more(running)
        running.handler.gate.set()
        assert peer.reply()["seq"] == 1
        assert error_of(peer.reply()) == ("shutting_down", "operator")
        assert len(running.handler.seen) == 1


def test_a_handler_that_hangs_does_not_hold_a_close_past_its_deadline() -> None:
    with serving(shutdown_timeout_s=0.2) as running, ExitStack() as stack:
        working, waiting = (stack.enter_context(running.connect()) for _ in range(2))
        running.handler.gate.clear()
        working.send(detect(b"a", seq=1))
        running.handler.entered.acquire()
        waiting.send(detect(b"ab", seq=2))
        wait_until(lambda: running.server._worker.waiting == 1)
        started = time.monotonic()
        running.begin_close()
        for peer in (working, waiting):
            answer = peer.reply()
            assert error_of(answer) == ("shutting_down", "operator")
            assert peer.is_closed()
            peer.socket.close()
        assert running.closed.wait(PATIENCE_S)
        assert time.monotonic() - started < PATIENCE_S / 2
        running.handler.gate.set()
        running.server._worker._thread.join(PATIENCE_S)
        assert len(running.handler.seen) == 1  # what waited was cancelled with its connection


def test_a_client_that_does_not_read_does_not_hold_a_close() -> None:
    with serving(shutdown_timeout_s=0.2, write_timeout_s=3600) as running, socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.settimeout(20)
        plain.connect(("127.0.0.1", running.port))
        with running.secured(plain) as connection:
            running.handler.faces = 50_000
            connection.sendall(detect(b"x") * 3)
            running.handler.entered.acquire()
            running.begin_close()
            assert running.closed.wait(PATIENCE_S)


def test_a_close_may_be_asked_twice() -> None:
    with serving() as running:
        running.close()
        running.close()


def test_ping_tells_ready() -> None:
    with serving() as running, running.connect() as peer:
        assert peer.ask(cmd="ping")["ready"] is True


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "example.org", "127.0.0.1.nip.io", "169.254.0.1"])
def test_an_address_that_others_could_reach_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match=r"\[server\] host"), serving(host=host, tls_cert=None, tls_key=None):
        pass


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
def test_a_loopback_address_is_listened_on(host: str) -> None:
    with serving(host=host) as running:
        assert running.address.startswith(("127.0.0.", "::1"))


def test_a_port_in_use_is_told_by_its_address() -> None:
    with (
        serving() as running,
        pytest.raises(ConfigError, match=f"127.0.0.1:{running.port}"),
        serving(port=running.port),
    ):
        pass


def test_the_socket_file_of_a_dead_daemon_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "face.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    with serving(unix_socket=path) as running, running.connect() as peer:
        assert peer.ask(cmd="ping")["ok"]
        assert path.stat().st_mode & 0o777 == 0o660


def test_the_socket_of_a_living_daemon_is_left_to_it(tmp_path: Path) -> None:
    path = tmp_path / "face.sock"
    with serving(unix_socket=path) as running:
        with pytest.raises(ConfigError, match="another process listens"), serving(unix_socket=path):
            pass
        with running.connect() as peer:
            assert peer.ask(cmd="ping")["ok"]


def test_a_file_that_is_no_socket_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(ConfigError, match="precious"), serving(unix_socket=path):
        pass
    assert path.read_text() == "data"


def test_a_request_sent_as_the_server_closes_is_answered_or_refused_never_half_answered() -> None:
    with serving() as running:
        peers = [running.connect() for _ in range(20)]
        for peer in peers:
            peer.send(request(cmd="ping", seq=1)[:-1])
        wait_until(lambda: running.connections() == 20)
        running.begin_close()
        for peer in peers:
            with peer:
                try:
                    peer.send(b"}")
                    answer = peer.reply()
                except ConnectionError:
                    continue
                assert answer["ok"] or error_of(answer) == ("shutting_down", "operator")
