"""Everything wrong that can be sent to a real daemon: refused by name, nothing stored changes, and it goes on."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bad_pictures
import pytest
from daemons import Daemon
from stub_server import Peer, error_of, wait_until

from face_server.client import Client
from face_server.errors import FaceTooSmall, ImageTooLarge, ImageUnreadable, NoFace, SeveralFaces, WireError
from face_server.types import SubjectId
from face_server.wire.framing import encode_frame


@contextmanager
def unharmed(daemon: Daemon, photo: bytes) -> Iterator[None]:
    """Whatever happens inside: what is stored stays as it was, and the daemon answers as before."""
    with daemon.client() as client:
        before = stored(client)
        found = client.identify(photo)
        yield
        assert client.ping().ready
        assert stored(client) == before
        assert client.identify(photo).id == found.id


def stored(client: Client) -> tuple[int, int, list[tuple[SubjectId, int]]]:
    status = client.status()
    return status.subjects, status.templates, [(row.id, row.templates) for row in client.all_subjects()]


@pytest.fixture
def obama(sample_photos: Path) -> bytes:
    return (sample_photos / "obama.jpg").read_bytes()


@pytest.fixture
def somebody(daemon: Daemon, sample_photos: Path) -> bytes:
    """The photograph of an enrolled man, so that searching has something to find."""
    photo = (sample_photos / "biden.jpg").read_bytes()
    with daemon.client() as client:
        client.enrol("somebody", [photo], force=True)
    return photo


def peer_of(daemon: Daemon) -> Peer:
    import socket

    return Peer(socket.create_connection(("127.0.0.1", daemon.port), timeout=60))


def pictures(photos: Path) -> dict[str, tuple[bytes, type[WireError]]]:
    photo = (photos / "obama.jpg").read_bytes()
    png = (photos / "32bit.png").read_bytes()
    return {
        "no face": (bad_pictures.flat_jpeg(640, 480), NoFace),
        "two faces": (bad_pictures.two_faces(photos), SeveralFaces),
        "a small face": (bad_pictures.smaller(photos / "obama.jpg", 120), FaceTooSmall),
        "text as .jpg": (b"this is no picture\n" * 100, ImageUnreadable),
        "a truncated JPEG": (photo[: len(photo) // 2], ImageUnreadable),
        "a JPEG header alone": (photo[:20], ImageUnreadable),
        "a truncated PNG": (png[: len(png) // 2], ImageUnreadable),
        "one pixel": (bad_pictures.flat_jpeg(1, 1), NoFace),
        "a bomb": (bad_pictures.png_bomb(20_000), ImageTooLarge),
        "40 megapixels": (bad_pictures.flat_jpeg(8000, 5000), NoFace),
        "a row more than 40 megapixels": (bad_pictures.flat_jpeg(8000, 5001), ImageTooLarge),
        "a GIF": (b"GIF89a\1\0\1\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;", ImageUnreadable),
        "one byte": (b"\0", ImageUnreadable),
    }


def test_a_picture_that_shows_no_usable_face_is_refused_by_name_whoever_asks(
    daemon: Daemon, sample_photos: Path, somebody: bytes
) -> None:
    for name, (image, error) in pictures(sample_photos).items():
        with unharmed(daemon, somebody), daemon.client("web") as client:
            for ask in (
                lambda image=image: client.enrol("bad", [image]),
                lambda image=image: client.identify(image),
                lambda image=image: client.verify("somebody", image),
            ):
                with pytest.raises(WireError) as caught:
                    ask()
                assert type(caught.value) is error, name
                assert caught.value.message


def request(daemon: Daemon, tail: bytes | None = None, level: str | None = "operator", **keys: Any) -> bytes:
    head = keys if level is None else {**keys, "token": daemon.token(level)}
    return encode_frame(json.dumps(head).encode() + (b"" if tail is None else b"\0" + tail))


BROKEN: dict[str, tuple[bytes, str, str, bool]] = {
    "an empty frame": (b"\0\0\0\0", "malformed", "client", True),
    "4 GB": (b"\xff\xff\xff\xff", "frame_too_large", "client", False),
    "an old client": (b'0018{"cmd":"search"}  ', "frame_too_large", "client", False),
    "HTTP": (b"POST / HTTP/1.1\r\n\r\n", "frame_too_large", "client", False),
    "invalid UTF-8": (encode_frame(b'{"cmd":"\xff"}'), "malformed", "client", True),
    "UTF-16": (encode_frame('{"cmd":"ping"}'.encode("utf-16")), "malformed", "client", True),
    "no such command": (encode_frame(b'{"cmd":"drop_all","seq":1}'), "unknown_command", "client", True),
    "deep JSON": (encode_frame(b'{"cmd":' + b"[" * 100_000), "malformed", "client", True),
    "wide JSON": (encode_frame(b'{"cmd":[' + b"1," * 100_000 + b"1]}"), "malformed", "client", True),
    "NaN": (encode_frame(b'{"cmd":"identify","limit":NaN}'), "malformed", "client", True),
    "infinity by exponent": (encode_frame(b'{"cmd":"ping","seq":1e999}'), "malformed", "client", True),
    "a list": (encode_frame(b"[]"), "malformed", "client", True),
    "a misspelt key": (encode_frame(b'{"cmd":"ping","tokn":"x"}'), "malformed", "client", True),
    "no token": (encode_frame(b'{"cmd":"ping"}'), "unauthorised", "web", True),
    "a wrong token": (encode_frame(b'{"cmd":"status","token":"' + b"x" * 64 + b'"}'), "unauthorised", "web", True),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_request_is_refused_by_name(daemon: Daemon, somebody: bytes, name: str) -> None:
    sent, code, act, stays_open = BROKEN[name]
    with unharmed(daemon, somebody), peer_of(daemon) as peer:
        peer.send(sent)
        assert error_of(peer.reply()) == (code, act)
        if stays_open:
            peer.send(request(daemon, cmd="ping", seq=7))
            assert peer.reply()["seq"] == 7
        else:
            assert peer.is_closed()


def test_image_bytes_that_do_not_add_up_are_malformed(daemon: Daemon, somebody: bytes, obama: bytes) -> None:
    size = len(obama)
    sizes = [[size - 1], [size + 1], [size, 1], [0], [-1], [], [1.5], "5", None, [[size]], [size, size]]
    with unharmed(daemon, somebody), peer_of(daemon) as peer:
        for wrong in sizes:
            peer.send(request(daemon, obama, cmd="enrol", id="bad", image_bytes=wrong))
            assert error_of(peer.reply()) == ("malformed", "client"), wrong
        peer.send(request(daemon, None, cmd="enrol", id="bad", image_bytes=[size]))
        assert error_of(peer.reply()) == ("malformed", "client")
        peer.send(request(daemon, b"", cmd="enrol", id="bad"))
        assert error_of(peer.reply()) == ("malformed", "client")


@pytest.mark.parametrize(
    "subject", ["x" * 10_240, "x" * 129, "ü" * 65, "", "a\0b", "a\nb", "e\u0301", -1, 2**53, 1.5, True, None, [], {}]
)
def test_what_is_no_subject_id_is_malformed(daemon: Daemon, somebody: bytes, obama: bytes, subject: Any) -> None:
    with unharmed(daemon, somebody), peer_of(daemon) as peer:
        for command in ("enrol", "verify"):
            peer.send(request(daemon, obama, cmd=command, id=subject, image_bytes=[len(obama)]))
            assert error_of(peer.reply()) == ("malformed", "client")
        peer.send(request(daemon, cmd="remove", ids=[subject]))
        assert error_of(peer.reply()) == ("malformed", "client")


def test_base64_that_is_none_is_malformed(daemon: Daemon, somebody: bytes, obama: bytes) -> None:
    text = base64.b64encode(obama).decode()
    wrong = [text[:-1], text + "=", " " + text, text.replace(text[50], "-"), "data:image/jpeg," + text, "", "ü" * 4]
    with unharmed(daemon, somebody), peer_of(daemon) as peer:
        for image in wrong:
            peer.send(request(daemon, cmd="enrol", id="bad", images_base64=[image]))
            assert error_of(peer.reply()) == ("malformed", "client"), image[:30]


def test_more_images_or_larger_ones_than_allowed_are_refused(daemon: Daemon, somebody: bytes) -> None:
    with unharmed(daemon, somebody), peer_of(daemon) as peer:
        peer.send(request(daemon, bytes(11), cmd="enrol", id="bad", image_bytes=[1] * 11))
        assert error_of(peer.reply()) == ("too_many_images", "client")
        peer.send(request(daemon, bytes(11), cmd="identify", image_bytes=[1] * 11))
        assert error_of(peer.reply()) == ("too_many_images", "client")
        large = (10 << 20) + 1
        peer.send(request(daemon, bytes(large), cmd="enrol", id="bad", image_bytes=[large]))
        assert error_of(peer.reply()) == ("image_too_large", "client")


def test_the_web_token_may_not_do_the_operators_work(daemon: Daemon, somebody: bytes, obama: bytes) -> None:
    size = len(obama)
    with unharmed(daemon, somebody), peer_of(daemon) as peer:
        for keys in (
            {"cmd": "status"},
            {"cmd": "subjects"},
            {"cmd": "subject", "id": "somebody"},
            {"cmd": "rebuild"},
            {"cmd": "forget", "ids": ["somebody"]},
            {"cmd": "remove", "ids": ["somebody"]},
        ):
            peer.send(request(daemon, None, "web", **keys))
            assert error_of(peer.reply()) == ("unauthorised", "web"), keys
        peer.send(request(daemon, obama, "web", cmd="enrol", id="bad", force=True, image_bytes=[size]))
        assert error_of(peer.reply()) == ("unauthorised", "web")
        peer.send(request(daemon, obama + obama, "web", cmd="compare", image_bytes=[size, size]))
        assert error_of(peer.reply()) == ("unauthorised", "web")


def test_half_a_frame_and_silence_is_timed_out(daemon: Daemon, somebody: bytes) -> None:
    with unharmed(daemon, somebody), peer_of(daemon) as half, peer_of(daemon) as silent:
        half.send(b"\0\0")
        for peer in (half, silent):
            assert error_of(peer.reply()) == ("timed_out", "client")
            assert peer.is_closed()


def test_a_client_that_asks_and_never_reads_hinders_nobody(daemon: Daemon, somebody: bytes) -> None:
    with unharmed(daemon, somebody), peer_of(daemon) as peer, daemon.client() as honest:
        for _ in range(2000):
            peer.send(request(daemon, cmd="status"))
        assert honest.identify(somebody).id == "somebody"


def test_a_client_that_closes_before_the_reply_has_enrolled_wholly_or_not_at_all(daemon: Daemon, obama: bytes) -> None:
    with daemon.client() as client:
        before = client.status().requests
        for n in range(3):
            with peer_of(daemon) as peer:
                peer.send(request(daemon, obama, cmd="enrol", id=f"hasty-{n}", image_bytes=[len(obama)]))
        wait_until(lambda: client.status().requests >= before + 3)
        client.identify(obama)  # the worker takes requests in their order: the enrolments are done
        for n in range(3):
            assert len(client.subject(f"hasty-{n}").templates) == 1
            client.remove(f"hasty-{n}")


def test_two_enrolments_of_one_id_at_once_both_end_whole(daemon: Daemon, sample_photos: Path) -> None:
    photos = [(sample_photos / name).read_bytes() for name in ("obama.jpg", "obama2.jpg")]
    replies: list[Any] = []

    def enrol(photo: bytes) -> None:
        with daemon.client("web") as client:
            replies.append(client.enrol("twins", [photo]))

    threads = [threading.Thread(target=enrol, args=(photo,)) for photo in photos]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(reply.templates for reply in replies) == [1, 2]
    with daemon.client() as client:
        assert len(client.subject("twins").templates) == 2
        assert client.remove("twins").templates == 2
