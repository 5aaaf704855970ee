"""The Python client: what was refused comes as its class, no answer is Unreachable, and neither is ever a match."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from stub_server import OPERATOR, WEB, serving, wait_until

from face_server.client import Client
from face_server.errors import (
    BY_CODE,
    Busy,
    FaceLoginError,
    FrameTooLarge,
    Internal,
    Unauthorised,
    Unreachable,
    WireError,
)
from face_server.wire.framing import encode_frame
from face_server.wire.requests import Level

PEER_S = 60.0


@contextmanager
def peer_that(*acts: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port behind which each connection in turn is treated by one of these acts, then closed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PEER_S)

        def serve() -> None:
            for act in acts:
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(PEER_S)
                    act(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def says(data: bytes) -> Callable[[socket.socket], None]:
    def act(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(data)

    return act


def is_silent(connection: socket.socket) -> None:
    while connection.recv(1 << 16):
        pass


def closes(connection: socket.socket) -> None:
    connection.recv(1 << 16)


def resets(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


PONG = encode_frame(b'{"ok":true,"seq":1,"version":"1","ready":true}')


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_each_refusal_is_raised_as_the_class_that_names_it(code: str) -> None:
    with serving() as running:
        running.handler.raises = BY_CODE[code]("the words", number=3)
        with Client(port=running.port, token=OPERATOR) as client, pytest.raises(WireError) as caught:
            client.detect(b"x")
    assert type(caught.value) is BY_CODE[code]
    assert caught.value.message == "the words"
    assert caught.value.detail == {"number": 3}


def test_a_refusal_keeps_the_connection_and_the_next_request_uses_it() -> None:
    with serving() as running, Client(port=running.port, token=WEB) as client:
        with pytest.raises(Unauthorised):
            client.status()
        assert client.detect(b"abc").width == 3
        assert running.connections() == 1


def test_an_unforeseen_failure_of_the_daemon_is_internal() -> None:
    with serving() as running, Client(port=running.port, token=WEB) as client:
        running.handler.raises = RuntimeError("boom")
        with pytest.raises(Internal):
            client.detect(b"x")


def test_a_code_that_is_not_known_is_an_error_all_the_same() -> None:
    words = b'{"ok":false,"seq":1,"error":{"code":"new_one","act":"person","message":"m","detail":{}}}'
    with peer_that(says(encode_frame(words))) as port, Client(port=port) as client, pytest.raises(Internal):
        client.identify(b"x")


def test_no_daemon_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with Client(port=port) as client, pytest.raises(Unreachable, match=f"127.0.0.1:{port}"):
        client.ping()


def test_a_unix_socket_that_is_absent_or_dead_is_unreachable(tmp_path: Path) -> None:
    with Client(unix_socket=tmp_path / "absent") as client, pytest.raises(Unreachable, match="absent"):
        client.ping()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead"))
    with Client(unix_socket=tmp_path / "dead") as client, pytest.raises(Unreachable, match="dead"):
        client.ping()


def test_a_silent_daemon_is_unreachable_after_the_deadline() -> None:
    started = time.monotonic()
    with peer_that(is_silent) as port, Client(port=port, timeout_s=0.2) as client:
        with pytest.raises(Unreachable, match=r"did not answer within 0\.2 s"):
            client.ping()
        assert 0.2 <= time.monotonic() - started < PEER_S


def test_a_reply_that_trickles_does_not_extend_the_deadline() -> None:
    def trickle(connection: socket.socket) -> None:
        try:
            for byte in encode_frame(b" " * 5000):
                connection.sendall(bytes([byte]))
                time.sleep(0.02)
        except OSError:
            return

    with peer_that(trickle) as port, Client(port=port, timeout_s=0.3) as client, pytest.raises(Unreachable):
        client.ping()


@pytest.mark.parametrize("act", [closes, resets], ids=["closes", "resets"])
def test_a_peer_that_goes_is_unreachable(act: Callable[[socket.socket], None]) -> None:
    with peer_that(act) as port, Client(port=port) as client, pytest.raises(Unreachable, match="cannot be reached"):
        client.ping()


@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"\xff\xff\xff\xff",
        encode_frame(b""),
        encode_frame(b"\0"),
        encode_frame(b"\xff\xff"),
        encode_frame(b"[]"),
        encode_frame(b"{}"),
        encode_frame(b'{"ok":1,"seq":1,"match":true}'),
        encode_frame(b'{"ok":"true","seq":1,"match":true}'),
        encode_frame(b'{"ok":true,"seq":1}'),
        encode_frame(b'{"ok":true,"seq":1,"match":"yes"}'),
        encode_frame(b'{"ok":true,"seq":1,"match":1}'),
        encode_frame(b'{"ok":true,"ok":false,"seq":1,"match":true}'),
        encode_frame(b'{"ok":true,"seq":2,"match":true,"id":"a"}'),
        encode_frame(b'{"ok":true,"match":true,"id":"a"}'),
        encode_frame(b'{"ok":true,"seq":true,"match":true,"id":{}}'),
        encode_frame(b'{"ok":false,"seq":1}'),
        encode_frame(b'{"ok":false,"seq":1,"error":{"code":7}}'),
        encode_frame(b'{"ok":true,"seq":1,"match":true,"id":"a"}')[:-1],
    ],
)
def test_what_is_no_reply_is_never_taken_for_a_match(garbage: bytes) -> None:
    with peer_that(says(garbage)) as port, Client(port=port) as client, pytest.raises(FaceLoginError):
        client.identify(b"x")


def test_after_a_failure_the_next_request_opens_a_new_connection() -> None:
    late = PONG.replace(b'"seq":1', b'"seq":2')
    with peer_that(closes, says(late)) as port, Client(port=port) as client:
        with pytest.raises(Unreachable):
            client.ping()
        assert client.ping().ready


def test_a_late_reply_is_not_taken_for_the_next_requests() -> None:
    with serving() as running, Client(port=running.port, token=WEB, timeout_s=0.2) as client:
        running.handler.gate.clear()
        with pytest.raises(Unreachable):
            client.detect(b"a")
        running.handler.gate.set()
        wait_until(lambda: running.connections() == 0)
        assert client.detect(b"abc").width == 3


def test_a_kept_connection_that_the_daemon_closed_meanwhile_is_opened_anew() -> None:
    with serving(idle_timeout_s=1) as running, Client(port=running.port, token=WEB) as client:
        for _ in range(2):
            assert client.ping().ready
            wait_until(lambda: running.connections() == 0)


def pong(seq: int) -> bytes:
    return PONG.replace(b'"seq":1', b'"seq":%d' % seq)


@pytest.mark.parametrize("unread", [False, True], ids=["closed", "reset"])
def test_a_kept_connection_that_closes_under_the_next_request_is_opened_anew(unread: bool) -> None:
    def answers_once(connection: socket.socket) -> None:
        says(PONG)(connection)
        connection.recv(1 if unread else 1 << 16)  # a request arrived; what is left unread makes the close a reset

    with peer_that(answers_once, says(pong(2))) as port, Client(port=port) as client:
        assert client.ping().ready
        assert client.ping().ready


def test_a_request_is_sent_twice_at_most() -> None:
    def answers_once(connection: socket.socket) -> None:
        says(PONG)(connection)
        connection.recv(1 << 16)

    with peer_that(answers_once, closes) as port, Client(port=port) as client:
        assert client.ping().ready
        with pytest.raises(Unreachable, match="without an answer"):
            client.ping()


def test_half_an_answer_on_a_kept_connection_is_not_asked_for_again() -> None:
    def breaks_off(connection: socket.socket) -> None:
        says(PONG)(connection)
        says(pong(2)[:-1])(connection)

    with peer_that(breaks_off) as port, Client(port=port) as client:
        assert client.ping().ready
        with pytest.raises(Unreachable):
            client.ping()


def test_a_daemon_that_came_back_is_reached_on_a_kept_client(tmp_path: Path) -> None:
    path = tmp_path / "face.sock"
    with Client(unix_socket=path, token=WEB) as client:
        for _ in range(2):
            with serving(unix_socket=path):
                assert client.ping().ready
            with pytest.raises(Unreachable):
                client.ping()


def test_on_a_unix_socket_the_client_needs_no_token(tmp_path: Path) -> None:
    path = tmp_path / "face.sock"
    with serving(unix_socket=path, without_token=Level.WEB), Client(unix_socket=path) as client:
        assert client.detect(b"abc").width == 3
        with pytest.raises(Unauthorised):
            client.status()


def test_a_request_that_is_refused_while_it_is_sent_is_refused_by_name() -> None:
    with serving(max_frame_bytes=1024) as running, Client(port=running.port, token=WEB) as client:
        for _ in range(5):
            with pytest.raises(WireError) as caught:
                client.detect(bytes(8 << 20))
            assert caught.value.code == "frame_too_large"


def test_words_that_came_before_a_reset_are_read() -> None:
    words = b'{"ok":false,"seq":null,"error":{"code":"frame_too_large","act":"client","message":"m","detail":{}}}'

    def refuse_and_reset(connection: socket.socket) -> None:
        connection.recv(4)
        connection.sendall(encode_frame(words))  # and closes with bytes unread

    with peer_that(refuse_and_reset) as port, Client(port=port) as client, pytest.raises(FrameTooLarge):
        client.detect(bytes(16 << 20))


def test_busy_for_want_of_connections_is_raised_and_the_client_may_try_again() -> None:
    with serving(max_connections=1) as running, Client(port=running.port, token=WEB) as late:
        with Client(port=running.port, token=WEB) as first:
            first.ping()
            for _ in range(3):
                with pytest.raises(Busy):
                    late.detect(bytes(1 << 20))
                wait_until(lambda: not running.server._refusing)  # as many are told as are served, here one
        wait_until(lambda: running.connections() == 0)
        assert late.ping().ready


def test_no_connection_is_left_open() -> None:
    with serving() as running:
        for _ in range(20):
            with Client(port=running.port, token=WEB) as client:
                client.ping()
        wait_until(lambda: running.connections() == 0)
