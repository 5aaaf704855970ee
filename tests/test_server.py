"""What a client gets from the socket side, whatever stands behind it: frames, order, deadlines, levels, failures."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

import pytest
from stub_server import OPERATOR, PATIENCE_S, WEB, Peer, detect, error_of, request, serving

import face_server.connection
import face_server.server
from face_server.errors import NoFace
from face_server.wire.framing import encode_frame
from face_server.wire.requests import Level

pytestmark = pytest.mark.usefixtures("transport")

SHORT_S = 0.2


def test_pipelined_requests_are_answered_in_their_order_by_worker_and_loop_alike() -> None:
    with serving() as running, running.connect() as peer:
        images = [bytes(size) for size in (5, 1, 3)]
        frames = [detect(image, seq=n) for n, image in enumerate(images)]
        peer.send(b"".join([*frames, request(cmd="ping", seq="p"), detect(b"12", seq=9)]))
        replies = [peer.reply() for _ in range(5)]
        assert [reply["seq"] for reply in replies] == [0, 1, 2, "p", 9]
        assert [reply.get("width") for reply in replies] == [5, 1, 3, None, 2]


def test_a_request_may_come_byte_by_byte() -> None:
    with serving() as running, running.connect() as peer:
        for byte in detect(b"abc", seq=4):
            peer.send(bytes([byte]))
        assert peer.reply() == {"ok": True, "seq": 4, "width": 3, "height": 2, "faces": []}


def test_replies_still_come_after_the_client_has_closed_its_sending_side() -> None:
    with serving() as running, running.connect() as peer:
        peer.send(detect(b"a") + detect(b"bc"))
        peer.finish()
        assert [peer.reply()["width"], peer.reply()["width"]] == [1, 2]
        assert peer.is_closed()


@pytest.mark.parametrize(
    ("sent", "setting"),
    [
        (b"", "first_byte_timeout_s"),
        (b"\0\0", "header_timeout_s"),
        (b"\0\0\0\x10", "body_timeout_s"),
        (b"\0\0\0\x10{", "body_timeout_s"),
        (request(cmd="ping", seq=1)[:-1], "body_timeout_s"),
    ],
    ids=["nothing", "half a header", "a header alone", "half a body", "all but one byte"],
)
def test_silence_in_a_frame_is_timed_out_and_closes(sent: bytes, setting: str) -> None:
    with serving(**{setting: SHORT_S}) as running, running.connect() as peer:
        peer.send(sent)
        answer = peer.reply()
        assert error_of(answer) == ("timed_out", "client")
        assert answer["seq"] is None
        assert peer.is_closed()


def test_a_steady_trickle_does_not_extend_the_deadline_of_a_body() -> None:
    with serving(body_timeout_s=SHORT_S) as running, running.connect() as peer:
        peer.send(b"\0\0\x10\0")
        peer.socket.settimeout(0.02)
        started = time.monotonic()
        with pytest.raises(OSError):  # closed under our hands; a time-out only means nothing has come yet
            while time.monotonic() - started < 15:
                peer.send(b" ")
                try:
                    if not peer.socket.recv(4096):
                        raise ConnectionError
                except TimeoutError:
                    continue


def test_a_frame_that_began_behind_another_has_its_full_time() -> None:
    """The deadline is of one frame: neither the frame before it nor the work on that one shortens it."""
    with serving(body_timeout_s=0.5) as running, running.connect() as peer:
        first, second = detect(bytes(1000), seq=1), detect(bytes(1000), seq=2)
        running.handler.gate.clear()
        peer.send(first[:500])
        while not running.server.held_bytes:
            time.sleep(0.005)
        peer.send(first[500:] + second[:500])
        running.handler.entered.acquire()
        time.sleep(0.6)  # not for readiness: the work takes longer than a body may
        running.handler.gate.set()
        assert peer.reply()["seq"] == 1
        peer.send(second[500:])
        assert peer.reply()["seq"] == 2


def test_an_idle_connection_is_closed_without_a_word() -> None:
    with serving(idle_timeout_s=SHORT_S) as running, running.connect() as peer:
        assert peer.ask(cmd="ping")["ok"]
        assert peer.is_closed()


@pytest.mark.parametrize("length", [b"\xff\xff\xff\xff", b"\x02\0\0\1", b"GET ", b"\x16\x03\x01\x02"])
def test_a_length_above_the_cap_is_refused_at_once(length: bytes) -> None:
    with serving() as running, running.connect() as peer:
        peer.send(length)
        answer = peer.reply()
        assert error_of(answer) == ("frame_too_large", "client")
        assert answer["error"]["detail"]["max_frame_bytes"] == 32 << 20
        assert peer.is_closed()


def test_requests_before_a_broken_frame_are_answered_first() -> None:
    with serving() as running, running.connect() as peer:
        peer.send(detect(b"abc", seq=1) + b"\xff\xff\xff\xff")
        assert peer.reply()["seq"] == 1
        assert error_of(peer.reply())[0] == "frame_too_large"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "malformed"),
        (b"\xff\xfe\0garbage", "malformed"),
        (b"{}", "malformed"),
        (b'{"cmd":"dance"}', "unknown_command"),
        (b'{"cmd":"ping"}\0', "malformed"),
    ],
)
def test_after_a_request_that_is_none_the_connection_stays_open(content: bytes, code: str) -> None:
    with serving() as running, running.connect() as peer:
        peer.send(encode_frame(content))
        assert error_of(peer.reply()) == (code, "client")
        assert peer.ask(cmd="ping", seq=2) == {"ok": True, "seq": 2, "version": "0.1.0", "ready": True}


def test_a_refused_client_that_keeps_sending_can_still_read_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it sends meanwhile is taken in: a close with bytes unread would be a reset, which may destroy the words."""
    monkeypatch.setattr(face_server.connection, "LINGER_S", PATIENCE_S)
    with serving(max_frame_bytes=1024) as running, running.connect() as peer:
        peer.send(b"\0\x20\0\0" + bytes(1 << 20))
        assert error_of(peer.reply())[0] == "frame_too_large"
        peer.send(bytes(1 << 20))
        peer.finish()
        assert peer.socket.recv(1) == b""


def test_without_the_old_dialect_a_digit_is_answered_with_the_option_that_allows_it() -> None:
    with serving() as running, running.connect() as peer:
        peer.send(b'0017{"cmd":"search"}')
        answer = peer.reply()
        assert error_of(answer) == ("frame_too_large", "client")
        assert "[server] legacy" in answer["error"]["message"]
        assert peer.is_closed()


def test_a_token_gives_its_level_to_the_handler() -> None:
    with serving() as running, running.connect() as peer:
        assert peer.ask(b"x", WEB, cmd="detect", image_bytes=[1])["height"] == Level.WEB
        assert peer.ask(b"x", OPERATOR, cmd="detect", image_bytes=[1])["height"] == Level.OPERATOR


def test_without_the_right_token_nothing_reaches_the_handler_and_the_words_are_the_same() -> None:
    with serving() as running, running.connect() as peer:
        wrong = ["x", "w" * 63, "w" * 65, "w" * 63 + "v", "o" * 63, OPERATOR[:-1] + "p", WEB + OPERATOR]
        answers = [peer.ask(b"x", token, cmd="detect", image_bytes=[1], seq=0) for token in wrong]
        assert {error_of(answer) for answer in answers} == {("unauthorised", "web")}
        assert len({json.dumps(answer) for answer in answers}) == 1
        for command in ("ping", "status", "rebuild", "forget", "subjects"):
            assert error_of(peer.ask(token=None, cmd=command))[0] == "unauthorised"
        for command in ("status", "rebuild", "forget", "subjects"):
            assert error_of(peer.ask(token=WEB, cmd=command))[0] == "unauthorised"
        assert error_of(peer.ask(token=WEB, cmd="remove", ids=["a"]))[0] == "unauthorised"
        assert error_of(peer.ask(b"x", WEB, cmd="enrol", id="a", force=True, image_bytes=[1]))[0] == "unauthorised"
        assert running.handler.seen == []


def test_on_a_unix_socket_the_web_level_needs_no_token_and_the_operator_still_does(tmp_path: Path) -> None:
    path = tmp_path / "s" / "face.sock"
    with serving(unix_socket=path, without_token=Level.WEB) as running, running.connect() as peer:
        assert path.stat().st_mode & 0o777 == 0o660
        assert peer.ask(b"x", None, cmd="detect", image_bytes=[1])["height"] == Level.WEB
        assert error_of(peer.ask(token=None, cmd="status"))[0] == "unauthorised"
        assert error_of(peer.ask(b"x", "wrong", cmd="detect", image_bytes=[1]))[0] == "unauthorised"
        assert peer.ask(cmd="status")["ok"]
    assert not path.exists()


def test_a_refusal_of_the_handler_goes_out_under_its_own_name() -> None:
    with serving() as running, running.connect() as peer:
        running.handler.raises = NoFace("nobody there", faces=0)
        answer = peer.ask(b"x", cmd="detect", image_bytes=[1], seq=3)
        error = {"code": "no_face", "act": "person", "message": "nobody there", "detail": {"faces": 0}}
        assert answer == {"ok": False, "seq": 3, "error": error}


@pytest.mark.parametrize("failure", [RuntimeError("secret /etc/shadow"), MemoryError(), ValueError("NaN")])
def test_an_unforeseen_failure_is_internal_with_an_id_that_the_log_has(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with serving() as running, running.connect() as peer:
        running.handler.raises = failure
        answer = peer.ask(b"x", cmd="detect", image_bytes=[1], seq=3)
        assert error_of(answer) == ("internal", "operator")
        assert answer["error"]["detail"].keys() == {"id"}
        assert "secret" not in json.dumps(answer)
        assert answer["error"]["detail"]["id"] in caplog.text
        assert type(failure).__name__ in caplog.text
        running.handler.raises = None
        assert peer.ask(b"x", cmd="detect", image_bytes=[1])["ok"]


def test_a_failure_while_reading_a_request_is_internal_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: object) -> None:
        raise MemoryError

    with serving() as running, running.connect() as peer:
        monkeypatch.setattr(face_server.server, "parse_request", explode)
        assert error_of(peer.ask(cmd="ping")) == ("internal", "operator")
        peer.send(detect(bytes(2 << 20)))  # long enough to be read in a thread
        assert error_of(peer.reply()) == ("internal", "operator")
        monkeypatch.undo()
        assert peer.ask(cmd="ping")["ok"]


def test_a_request_has_one_line_in_the_log_when_it_comes_and_one_when_it_is_done(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with serving() as running, running.connect() as peer, caplog.at_level(logging.INFO):
        peer.ask(b"secretpixels", cmd="detect", image_bytes=[12])
        lines = [record.getMessage() for record in caplog.records if " detect " in record.getMessage()]
    assert len(lines) == 2
    assert lines[0].endswith("detect ...")
    assert " detect ok " in lines[1]
    assert lines[1].endswith(" ms")
    assert OPERATOR not in caplog.text
    assert "secretpixels" not in caplog.text


def test_a_second_client_is_served_while_a_first_sends_nothing() -> None:
    with serving() as running, running.connect() as silent, running.connect() as honest:
        silent.send(b"\0\0\1")
        assert honest.ask(cmd="ping")["ok"]


def test_peers_that_vanish_leave_the_server_whole() -> None:
    with serving() as running:
        for sent in (b"", b"\0", b"\0\0\0\5", detect(b"abc"), detect(b"abc")[:-1]):
            peer: Peer = running.connect()
            peer.send(sent)
            peer.socket.close()
        with running.connect() as honest:
            assert honest.ask(cmd="ping")["ok"]
