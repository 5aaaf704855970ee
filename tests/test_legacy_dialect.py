"""A real daemon that also speaks the first generation's dialect: its shapes, its frames and what its `pic` may name."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bad_pictures
import pytest
from daemons import LIGHT, Daemon, start_daemon

NO_PICTURE = "there is no picture of this name below [server] legacy_image_root"


class OldClient:
    """As clients of the first generation were: a length of four digits, JSON, and the same back."""

    def __init__(self, daemon: Daemon) -> None:
        self.socket = socket.create_connection(("127.0.0.1", daemon.port), timeout=60)

    def __enter__(self) -> OldClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def read(self) -> dict[str, Any]:
        length = self._exactly(4)
        assert length.isdigit()
        answer: dict[str, Any] = json.loads(self._exactly(int(length)))
        return answer

    def ask(self, **keys: Any) -> dict[str, Any]:
        self.socket.sendall(frame(**keys))
        return self.read()

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise ConnectionError("closed")
            data += more
        return data


def frame(**keys: Any) -> bytes:
    content = json.dumps(keys).encode()
    return b"%04d" % len(content) + content


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, sample_photos: Path) -> Path:
    root = tmp_path_factory.mktemp("pictures")
    for name in ("obama.jpg", "obama2.jpg", "biden.jpg"):
        (root / name).write_bytes((sample_photos / name).read_bytes())
    (root / "crowd.jpg").write_bytes(bad_pictures.crowd(sample_photos, 100))
    (root / "empty.jpg").write_bytes(bad_pictures.flat_jpeg(100, 100))
    (root / "text.jpg").write_text("text")
    (root / "sub").mkdir()
    (root / "link.jpg").symlink_to(root / "obama.jpg")
    (root / "up").symlink_to(root.parent)
    (root.parent / "outside.jpg").write_bytes((sample_photos / "obama.jpg").read_bytes())
    os.mkfifo(root / "pipe.jpg")
    return root


@pytest.fixture(scope="module")
def old_daemon(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Iterator[Daemon]:
    settings = f"legacy = true\nlegacy_image_root = {pictures}\nheader_timeout_s = 0.5\n{LIGHT}"
    running = start_daemon(tmp_path_factory.mktemp("old"), settings)
    yield running
    running.kill()


def test_each_command_is_answered_in_the_shape_that_old_clients_know(old_daemon: Daemon, pictures: Path) -> None:
    with OldClient(old_daemon) as client:
        assert client.ask(cmd="add_index", id=7, pic="obama.jpg") == {"code": 0, "data": {"succ": 1}}
        assert client.ask(cmd="add_index", id="b", pic=str(pictures / "biden.jpg"), extra=1) == {
            "code": 0,
            "data": {"succ": 1},
        }
        found = client.ask(cmd="search", pic="obama2.jpg")
        assert found.keys() == {"code", "data"}
        assert found["code"] == 0
        ids, distances = found["data"]
        assert ids == [7, "b"]
        assert 0.3 < distances[0] < 0.9 < 1.2 < distances[1] < 1.6
        seen = client.ask(cmd="face_detect", pic="obama.jpg")
        assert seen["code"] == 0
        assert seen["data"].keys() == {"boxes", "face_key_point"}
        (box,), (points,) = seen["data"]["boxes"], seen["data"]["face_key_point"]
        assert len(box) == 5
        assert box[0] < box[2] and box[1] < box[3] and 0.8 < box[4] <= 1
        assert [len(point) for point in points] == [2] * 5
        assert client.ask(cmd="face_detect", pic="empty.jpg") == {
            "code": 0,
            "data": {"boxes": [], "face_key_point": []},
        }


def test_an_enrolment_replaces_what_the_subject_had(old_daemon: Daemon) -> None:
    with OldClient(old_daemon) as client, old_daemon.client() as modern:
        for pic in ("obama.jpg", "obama2.jpg", "biden.jpg"):
            assert client.ask(cmd="add_index", id="one", pic=pic)["code"] == 0
            assert len(modern.subject("one").templates) == 1
        modern.remove("one")


def test_packets_may_be_cut_anywhere_and_several_requests_follow_each_other(old_daemon: Daemon) -> None:
    with OldClient(old_daemon) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in frame(cmd="face_detect", pic="obama.jpg"):
            client.socket.sendall(bytes([byte]))
        assert len(client.read()["data"]["boxes"]) == 1
        client.socket.sendall(frame(cmd="face_detect", pic="empty.jpg") * 3 + frame(cmd="nonsense"))
        assert [client.read()["code"] for _ in range(4)] == [0, 0, 0, 1]


def test_a_reply_past_four_digits_is_an_error_that_says_so(old_daemon: Daemon, pictures: Path) -> None:
    with old_daemon.client() as modern:
        faces = modern.detect((pictures / "crowd.jpg").read_bytes()).faces
    assert len(faces) > 70
    with OldClient(old_daemon) as client:
        answer = client.ask(cmd="face_detect", pic="crowd.jpg")
        assert answer == {"code": 1, "msg": "The reply is longer than 9999 bytes, which this dialect cannot carry."}
        assert client.ask(cmd="face_detect", pic="obama.jpg")["code"] == 0


def test_every_path_that_may_not_be_read_is_answered_with_the_same_words(old_daemon: Daemon, pictures: Path) -> None:
    with OldClient(old_daemon) as client:
        for pic in (
            "absent.jpg",
            "../outside.jpg",
            "sub/../../outside.jpg",
            str(pictures.parent / "outside.jpg"),
            f"{pictures}/../outside.jpg",
            "/etc/passwd",
            "/dev/zero",
            "link.jpg",
            "up/outside.jpg",
            "pipe.jpg",
            "sub",
            ".",
            "text.jpg/x",
        ):
            for command in ("search", "face_detect", "add_index"):
                answer = client.ask(cmd=command, pic=pic, id="bad")
                assert answer == {"code": 1, "msg": NO_PICTURE}, pic


def test_an_error_is_a_sentence(old_daemon: Daemon) -> None:
    with OldClient(old_daemon) as client:
        for keys in (
            {"cmd": "search", "pic": "empty.jpg"},
            {"cmd": "add_index", "id": "x", "pic": "text.jpg"},
            {"cmd": "status"},
            {"cmd": "search"},
            {"cmd": "add_index", "pic": "obama.jpg"},
            {"cmd": "search", "pic": "a\0b"},
        ):
            answer = client.ask(**keys)
            assert answer.keys() == {"code", "msg"}
            assert answer["code"] == 1
            assert " " in answer["msg"]


@pytest.mark.parametrize("header", [b"12a4", b"1 23", b"00-1", b"9\xff99", b"0\0\0\0"])
def test_a_length_that_is_not_four_digits_is_an_error_and_closes(old_daemon: Daemon, header: bytes) -> None:
    with OldClient(old_daemon) as client:
        client.socket.sendall(header)
        assert "four ASCII digits" in client.read()["msg"]
        assert client.socket.recv(1) == b""


def test_half_a_length_and_silence_is_an_error_and_closes(old_daemon: Daemon) -> None:
    with OldClient(old_daemon) as client:
        client.socket.sendall(b"00")
        assert "did not arrive" in client.read()["msg"]
        assert client.socket.recv(1) == b""


def test_both_dialects_are_spoken_side_by_side_and_the_modern_one_still_needs_a_token(old_daemon: Daemon) -> None:
    from stub_server import Peer, error_of, request

    connection = socket.create_connection(("127.0.0.1", old_daemon.port), timeout=60)
    with OldClient(old_daemon) as client, Peer(connection) as modern:
        assert client.ask(cmd="face_detect", pic="empty.jpg")["code"] == 0
        modern.send(request(token=None, cmd="ping"))
        assert error_of(modern.reply())[0] == "unauthorised"


def test_without_a_root_every_path_is_refused(tmp_path: Path, pictures: Path) -> None:
    from face_server.errors import ImageUnreadable
    from face_server.legacy_images import read_below

    with pytest.raises(ImageUnreadable, match="no picture of this name"):
        read_below(None, str(pictures / "obama.jpg"), 1 << 20)
