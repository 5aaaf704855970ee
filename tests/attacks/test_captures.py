"""What is sent instead of a burst of a living person's camera, and does not open the account."""

from __future__ import annotations

import io
import json
import struct
import zlib

import pytest
from bad_pictures import flat_jpeg
from daemons import Daemon
from e2e.browsers import Account
from e2e.clips import burst
from e2e.people import BARACK, BARACK_LATER
from websites import Answer, Visitor, Website, jpegs

pytestmark = pytest.mark.usefixtures("victim")


def refused(answer: Answer, visitor: Visitor, code: str = "refused") -> bool:
    """Was that a no of this kind, and is nobody logged in?"""
    return answer.status == 200 and answer.code == code and not visitor.is_in()


def test_without_an_attack_the_face_opens_the_account(site: Website, victim: Account) -> None:
    visitor = site.visitor()
    answer = visitor.face(burst(BARACK_LATER))
    assert answer.json == {"ok": True, "location": "/account"}
    assert victim.email in visitor.get("/account").text


def test_frames_that_logged_somebody_in_do_not_do_so_again(site: Website) -> None:
    frames = burst(BARACK)
    owner, thief = site.visitor(), site.visitor()
    assert owner.face(frames).json["ok"]
    assert refused(thief.face(frames), thief)


def test_one_known_frame_among_new_ones_spoils_the_burst(site: Website) -> None:
    frames = burst(BARACK)
    assert site.visitor().face(frames).json["ok"]
    thief = site.visitor()
    assert refused(thief.face([*burst(BARACK, 2), frames[1]]), thief)


def test_frames_of_a_refused_burst_are_known_too(site: Website) -> None:
    visitor, frames = site.visitor(), burst(BARACK)
    assert visitor.face([frames[0], frames[0], frames[1]]).code == "refused"
    assert refused(visitor.face(frames), visitor)


def test_frames_of_a_registration_do_not_log_in(site: Website) -> None:
    frames = burst(BARACK)
    assert site.visitor().register("Thief", "thief@example.org", "a long sentence of a thief", frames).json["ok"]
    thief = site.visitor()
    assert refused(thief.face(frames), thief)


def test_one_frame_three_times_is_no_burst(site: Website) -> None:
    visitor = site.visitor()
    assert refused(visitor.face(burst(BARACK, 1) * 3), visitor)


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_a_login_has_exactly_the_frames_of_a_burst(site: Website, count: int) -> None:
    visitor = site.visitor()
    answer = visitor.face(burst(BARACK, count))
    assert answer.status == 400
    assert not visitor.is_in()


def test_a_request_that_was_recorded_and_sent_again_is_refused(site: Website) -> None:
    visitor = site.visitor()
    csrf = visitor.csrf()
    nonce, frames = visitor.nonce("login", csrf), burst(BARACK)
    first = Visitor(site, cookies=dict(visitor.cookies))
    assert first.post("/login/face", {"nonce": nonce}, jpegs(frames), csrf).json["ok"]
    # The very bytes again, with the cookie of before the login: that session is gone, and its token with it.
    again = Visitor(site, cookies=dict(visitor.cookies))
    assert again.post("/login/face", {"nonce": nonce}, jpegs(frames), csrf).status == 403
    assert not again.is_in()
    # And where the session is still there.
    assert refused(visitor.face(frames, nonce), visitor, "nonce")


def test_a_nonce_is_good_once(site: Website) -> None:
    visitor = site.visitor()
    nonce = visitor.nonce()
    assert visitor.face(burst(BARACK, 1) * 3, nonce).code == "refused"
    assert refused(visitor.face(burst(BARACK), nonce), visitor, "nonce")


def test_a_nonce_is_used_up_by_a_burst_of_no_photographs(site: Website) -> None:
    visitor = site.visitor()
    nonce = visitor.nonce()
    visitor.face([b"<svg/>"] * 3, nonce)
    assert refused(visitor.face(burst(BARACK), nonce), visitor, "nonce")


def test_a_nonce_lives_a_minute(site: Website) -> None:
    visitor = site.visitor()
    nonce = visitor.nonce()
    site.age(61)
    assert refused(visitor.face(burst(BARACK), nonce), visitor, "nonce")


def test_a_nonce_of_another_session_is_none(site: Website) -> None:
    visitor = site.visitor()
    assert refused(visitor.face(burst(BARACK), site.visitor().nonce()), visitor, "nonce")


def test_a_nonce_for_another_purpose_is_none(site: Website) -> None:
    visitor = site.visitor()
    assert refused(visitor.face(burst(BARACK), visitor.nonce("register")), visitor, "nonce")


@pytest.mark.parametrize("nonce", ["", "0" * 32, "0" * 31 + "g", "' OR 1=1 -- ", "%00" * 16])
def test_a_made_up_nonce_is_none(site: Website, nonce: str) -> None:
    visitor = site.visitor()
    assert refused(visitor.face(burst(BARACK), nonce), visitor, "nonce")


def test_a_vector_instead_of_images_is_no_face(site: Website, victim: Account) -> None:
    vector = [0.044] * 512
    visitor = site.visitor()
    as_files = [
        json.dumps(vector).encode(),
        struct.pack("<512f", *vector),
        b"\x93NUMPY" + struct.pack("<512f", *vector),
    ]
    assert refused(visitor.face(as_files), visitor, "quality")
    as_fields = {"vector": json.dumps(vector), "frames": json.dumps([vector]), "subject": "1", "email": victim.email}
    answer = visitor.post("/login/face", {**as_fields, "nonce": visitor.nonce()}, [])
    assert answer.status == 400
    as_json = visitor.request(
        "POST",
        "/login/face",
        json.dumps({**as_fields, "nonce": visitor.nonce()}).encode(),
        {"Content-Type": "application/json", "X-CSRF-Token": visitor.csrf(), "Origin": site.base_url},
    )
    assert as_json.status == 400
    assert not visitor.is_in()


def png(width: int, height: int) -> bytes:
    """A picture of few bytes and many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


NO_PHOTOGRAPHS = {
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>',
    "html": b"<!doctype html><script>alert(1)</script>",
    "php": b"<?php system($_GET['c']); ?>",
    "gif": b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00",
    "bmp": b"BM" + b"\0" * 60,
    "zip": b"PK\x03\x04" + b"\0" * 60,
    "nothing": b"",
    "a JPEG's head before PHP": b"\xff\xd8\xff\xe0<?php system('id'); ?>",
    "a PNG's head before HTML": b"\x89PNG\r\n\x1a\n<script>alert(1)</script>",
    "a WebP's head before nothing": b"RIFF\x00\x00\x00\x00WEBP",
    "half a JPEG": burst(BARACK, 1)[0][:5000],
    "a picture of 900 million pixels": png(30000, 30000),
    "a grey picture": png(640, 480),
}


@pytest.mark.parametrize("kind", NO_PHOTOGRAPHS)
def test_what_is_no_photograph_is_told_so_and_kept_nowhere(site: Website, kind: str) -> None:
    visitor = site.visitor()
    # Different bytes, or they would be refused for being the same.
    answer = visitor.face([NO_PHOTOGRAPHS[kind] + bytes([number]) for number in range(3)])
    assert refused(answer, visitor, "quality")
    kept = [path for path in (site.directory / "var").rglob("*") if path.is_file()]
    assert not [path for path in kept if path.suffix in (".php", ".svg", ".html", ".jpg", ".png")]


def test_a_file_s_name_and_type_are_the_sender_s_and_mean_nothing(site: Website) -> None:
    visitor = site.visitor()
    frames = [("frames[]", "../../public/shell.php", "application/x-php", frame) for frame in burst(BARACK)]
    answer = visitor.post("/login/face", {"nonce": visitor.nonce()}, frames)
    assert answer.json["ok"]
    assert visitor.get("/shell.php").status == 404


def test_a_body_over_the_limit_is_refused(site: Website) -> None:
    visitor = site.visitor()
    huge = b"\xff\xd8\xff" + bytes(17 << 20)
    answer = visitor.post("/login/face", {"nonce": visitor.nonce()}, jpegs([huge, huge, huge]))
    assert answer.status == 413


def test_a_frame_over_the_limit_is_refused(site: Website) -> None:
    visitor = site.visitor()
    huge = b"\xff\xd8\xff" + bytes(3 << 20)
    answer = visitor.post("/login/face", {"nonce": visitor.nonce()}, jpegs([huge, b"\xff\xd8\xff", b"\xff\xd8\xff1"]))
    assert answer.status == 413


@pytest.mark.parametrize("count", [11, 30])
def test_too_many_files_are_refused(site: Website, count: int) -> None:
    visitor = site.visitor()
    files = jpegs([b"\xff\xd8\xff%d" % number for number in range(count)])
    form = {"name": "x", "email": "x@example.org", "password": "long enough for that", "consent": "1"}
    answer = visitor.post("/register", {**form, "nonce": visitor.nonce("register")}, files)
    assert answer.status == 400


def test_a_picture_for_the_rough_search_is_small_and_a_jpeg(site: Website) -> None:
    visitor = site.visitor()
    big = visitor.post("/capture/detect", {}, [("frame", "f.jpg", "image/jpeg", b"\xff\xd8\xff" + bytes(300_000))])
    assert big.status == 413
    site.forgive()
    svg = visitor.post("/capture/detect", {}, [("frame", "f.jpg", "image/jpeg", NO_PHOTOGRAPHS["svg"])])
    assert svg.status == 400


def test_a_small_file_of_many_pixels_never_reaches_the_daemon(site: Website, web_daemon: Daemon) -> None:
    bomb = flat_jpeg(6000, 6000)
    before = web_daemon.log_path.read_text()
    visitor = site.visitor()
    assert visitor.face([bomb + bytes([number]) for number in range(3)]).code == "quality"
    small = flat_jpeg(2000, 1000)
    site.forgive()
    assert visitor.post("/capture/detect", {}, [("frame", "f.jpg", "image/jpeg", small)]).status == 400
    assert web_daemon.log_path.read_text() == before


def test_the_rough_search_has_a_budget(site: Website) -> None:
    visitor = site.visitor()
    csrf, frame = visitor.csrf(), io.BytesIO(burst(BARACK, 1)[0]).getvalue()
    # The whole second's places are taken; the site's clock may go on to the next one meanwhile.
    statuses = []
    for _ in range(6):
        site.rows("UPDATE throttle SET hits = 99 WHERE scope = 'detect_all'")
        statuses.append(visitor.post("/capture/detect", {}, [("frame", "f.jpg", "image/jpeg", frame)], csrf).status)
    assert 429 in statuses


def test_no_answer_has_a_score_a_vector_or_a_subject(site: Website) -> None:
    ((subject,),) = site.rows("SELECT subject FROM face")
    visitor = site.visitor()
    said = [visitor.face(burst(BARACK)).text, visitor.get("/account").text]
    visitor = site.visitor()
    said += [visitor.face(burst(BARACK, 1) * 3).text, visitor.face([b"x", b"y", b"z"]).text]
    for text in said:
        assert subject not in text
        for word in ("score", "threshold", "distance", "vector", "embedding", "candidate"):
            assert word not in text.lower()
