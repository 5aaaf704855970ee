"""Every hand-written frame, both ways: whole, byte by byte, and with bytes of the next frame behind it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from face_server.errors import BY_CODE, Blurred, Internal, NoFace, WireError
from face_server.types import BoundingBox, Candidate, DetectedFace, Quality
from face_server.wire import (
    Envelope,
    FrameDecoder,
    FrameState,
    Limits,
    encode_error,
    encode_frame,
    encode_reply,
    encode_request,
    parse_reply,
    parse_request,
)
from face_server.wire import legacy as old
from face_server.wire import replies as rep
from face_server.wire import requests as req

VECTORS = Path(__file__).parent.parent / "vectors"
LIMITS = Limits(max_images=10, max_image_bytes=10 * 1024 * 1024)
MAX_FRAME_BYTES = 32 * 1024 * 1024


def vectors(file: str) -> dict[str, Any]:
    return {entry["name"]: entry for entry in json.loads((VECTORS / f"{file}.json").read_text("utf-8"))}


REQUESTS, REPLIES, ERRORS, LEGACY = vectors("requests"), vectors("replies"), vectors("errors"), vectors("legacy")
ALL = [
    pytest.param(entry, id=f"{file}: {name}")
    for file, entries in {"requests": REQUESTS, "replies": REPLIES, "errors": ERRORS, "legacy": LEGACY}.items()
    for name, entry in entries.items()
]

JPEG, TRICKY, PNG = bytes.fromhex("ffd8ffe0"), bytes.fromhex("00ff007b7d22"), bytes.fromhex("89504e470d0a1a0a")

EXPECTED_REQUESTS = {
    "ping without anything else": Envelope(None, None, req.Ping()),
    "ping with a number to echo and a token": Envelope(7, "s3cret", req.Ping()),
    "status with spaces between the tokens": Envelope("a-1", None, req.Status()),
    "detect with one raw image": Envelope(1, None, req.Detect(JPEG)),
    "detect with base64": Envelope(1, None, req.Detect(JPEG)),
    "detect with base64 as PHP and a canvas write it": Envelope(1, None, req.Detect(JPEG)),
    "enrol with two raw images": Envelope(2, "s3cret", req.Enrol("anna", (JPEG, TRICKY))),
    "enrol with force and replace": Envelope(3, None, req.Enrol(42, (PNG,), force=True, replace=True)),
    "enrol with defaults written out": Envelope(3, None, req.Enrol(42, (PNG,))),
    "identify with an image that holds NUL, quote and braces": Envelope(4, None, req.Identify((TRICKY,))),
    "identify for five candidates": Envelope(4.5, None, req.Identify((JPEG,), limit=5)),
    "verify with an id beyond ASCII": Envelope(True, None, req.Verify("Zoë 漢😀", (JPEG,))),
    "verify with the same id escaped": Envelope(True, None, req.Verify("Zoë 漢😀", (JPEG,))),
    "challenge": Envelope(11, None, req.Challenge("identify")),
    "challenge with everything": Envelope(11, None, req.Challenge("enrol", "nonce-1", "both", flash=False)),
    "a step of a challenge": Envelope(11, None, req.Step("0123456789abcdef" * 2, 1, ("0" * 64, "ab" * 32), "nonce-1")),
    "a step of a challenge without a binding": Envelope(11, None, req.Step("0123456789abcdef" * 2, 0, ("cd" * 32,))),
    "identify that answers a challenge": Envelope(
        12, None, req.Identify((JPEG, PNG), response=req.Response("0123456789abcdef" * 2, (0, 1), "nonce-1"))
    ),
    "enrol that answers a challenge without a binding": Envelope(
        12, None, req.Enrol("anna", (JPEG, PNG), response=req.Response("0123456789abcdef" * 2, (0, 0)))
    ),
    "verify that answers a challenge": Envelope(
        12, None, req.Verify("anna", (JPEG,), response=req.Response("0123456789abcdef" * 2, (0,)))
    ),
    "remove one": Envelope(5, None, req.Remove(("anna",))),
    "remove a list": Envelope(5, None, req.Remove(("anna", 42, 2**53 - 1), listed=True)),
    "forget": Envelope(7, None, req.Forget(("anna", 42))),
    "compare two images": Envelope(6, None, req.Compare((JPEG, PNG))),
    "subjects, first page": Envelope(8, None, req.Subjects()),
    "subjects, next page": Envelope(8, None, req.Subjects(1000, "YW5uYQ")),
    "subject": Envelope(9, None, req.Subject(0)),
    "rebuild": Envelope(10, None, req.Rebuild()),
}

FACE = DetectedFace(
    BoundingBox(10.25, 20.5, 110.75, 140.0),
    ((40.5, 60.25), (80.0, 60.0), (60.0, 80.5), (45.0, 105.0), (75.5, 105.0)),
    0.998877,
)
FACE_2 = DetectedFace(
    BoundingBox(-3.5, 0.0, 96.0, 120.12),
    ((30.0, 40.0), (70.0, 40.0), (50.0, 60.0), (35.0, 85.0), (65.0, 85.0)),
    0.95,
)
QUALITY = Quality(100.5, 0.998877, 210.125, 127.5, -0.05, 0.1, 2.25)
READY = rep.IndexStatus("ready", subjects=6, sequence=9, overlay=1, built_s=1700000000.25)
ABSENT = rep.IndexStatus("absent", subjects=0, sequence=0, overlay=0, error="The disk is full.")
BUILDING = rep.IndexStatus(
    "building",
    subjects=19000,
    sequence=19500,
    overlay=120,
    built_s=1700000000.25,
    configured="auto",
    kind="annoy",
    recall=0.999791,
    recall_at_least=0.999011,
    probes=4793,
    misses=1,
    search_k=16000,
    trees=50,
    phase="growing",
    done=0.375,
)
TOO_BLURRED = Blurred("Hold still: sharpness is 12, 40 is needed.", sharpness=12, min_sharpness=40)

THRESHOLDS = (rep.ThresholdStatus(1, 1, 0.625, 0.6875), rep.ThresholdStatus(3, 3, 0.75))
DECISION = rep.DecisionStatus(1e-4, 1e-2, "2,717 photographs", False, 0.625, 0.6875, THRESHOLDS)
UNSUPPORTED = rep.DecisionStatus(1e-4, 1e-2, "2,717 photographs", False, 0.625)
LOAD = rep.LoadStatus(64, 256, 1024, 268435456, 0.25)
STORE = rep.StoreStatus(12288, 16106127360, 50_000_000_000)

EXPECTED_REPLIES = {
    "ping": rep.PingReply("0.1.0", ready=True),
    "status of a working daemon": rep.StatusReply(
        "0.1.0", 12.5, "facenet", "ab12", 512, 3, 7, READY, DECISION, 0, 2, 41, LOAD, STORE
    ),
    "status without an index, of an earlier daemon": rep.StatusReply(
        "0.1.0", 0.0, "facenet", "ab12", 512, 0, 0, ABSENT, UNSUPPORTED, queue=0, connections=1, requests=1
    ),
    "status while the index is built": rep.StatusReply(
        "0.1.0", 0.0, "facenet", "ab12", 512, 20000, 20000, BUILDING, UNSUPPORTED, queue=0, connections=1, requests=1
    ),
    "detect without a face": rep.DetectReply(640, 480, ()),
    "detect with two faces": rep.DetectReply(640, 480, (FACE, FACE_2)),
    "enrol with one accepted and one refused image": rep.EnrolReply(
        "anna", 3, (rep.AcceptedImage(17, False, FACE, QUALITY), rep.RefusedImage(TOO_BLURRED))
    ),
    "identify as the web token is told of a match": rep.IdentifyReply(True, "Zoë"),
    "identify as the web token is told of none": rep.IdentifyReply(False),
    "identify as the operator is told of a match": rep.IdentifyReply(
        True, 42, 0.812345, 0.625, 2, (Candidate(42, 0.812345, 3), Candidate("anna", 0.3, 1))
    ),
    "identify as the operator is told of an empty gallery": rep.IdentifyReply(False, probes=1, candidates=()),
    "challenge with a turn and a flash": rep.ChallengeReply(
        "0123456789abcdef" * 2,
        (rep.ChallengeStep("turn_left"), rep.ChallengeStep("flash", "#ff2020")),
        frames_per_step=3,
        max_frames=9,
        step_s=15.0,
        expires_s=30.0,
    ),
    "challenge for the network alone": rep.ChallengeReply("0123456789abcdef" * 2, (), 3, 3, 7.5, 30.0),
    "a step of a challenge is known": rep.StepReply(2),
    "identify of a living person": rep.IdentifyReply(True, "Zoë", live=True),
    "enrol of a living person": rep.EnrolReply("anna", 1, (rep.AcceptedImage(17, False, FACE, QUALITY),), live=True),
    "verify of a living person": rep.VerifyReply(False, "anna", live=True),
    "verify as the web token is told": rep.VerifyReply(True, "anna"),
    "verify as the operator is told": rep.VerifyReply(False, 42, -0.125, 0.625, 1),
    "remove one": rep.RemoveReply(("anna",), (), 3),
    "remove a list with an unknown subject": rep.RemoveReply(("anna", 42), (2**53 - 1,), 4),
    "forget": rep.ForgetReply(
        ("anna",), (42,), 3, 2, (rep.RewrittenFile("data.mdb", 8192, 4096), rep.RewrittenFile("ids", None, 24))
    ),
    "compare": rep.CompareReply(True, 0.75, 0.707107, 0.625, (FACE, FACE_2)),
    "subjects with more to come": rep.SubjectsReply(
        (rep.SubjectSummary(42, 1), rep.SubjectSummary("anna", 3)), next="YW5uYQ"
    ),
    "subjects, last page": rep.SubjectsReply(()),
    "subject": rep.SubjectReply(0, (rep.TemplateSummary(17, 1700000000.25, "e3b0c442", "ab12", QUALITY),)),
    "rebuild": rep.RebuildReply(7, 0.25),
}

EXPECTED_LEGACY = {
    "search": old.LegacySearch("faces/anna.jpg"),
    "search with a key nobody knows": old.LegacySearch("faces/anna.jpg"),
    "add_index": old.LegacyAddIndex(42, "faces/Zoë.jpg"),
    "face_detect": old.LegacyFaceDetect("group.png"),
    "search found two": old.LegacySearchReply((42, "anna"), (0.7071068, 1.25)),
    "search found none": old.LegacySearchReply((), ()),
    "add_index is done": old.LegacyAddIndexReply(),
    "face_detect with one face": old.LegacyFaceDetectReply((FACE,)),
    "error": NoFace("No face was found; look at the camera."),
}


def content_of(entry: dict[str, Any]) -> bytes:
    return bytes.fromhex(entry["hex"])[4:]


def comparable(value: Any) -> Any:
    """Exceptions equal only themselves; compare what they say instead."""
    if isinstance(value, WireError):
        return (type(value), value.message, value.detail)
    if isinstance(value, rep.EnrolReply):
        images = [comparable(i.error) if isinstance(i, rep.RefusedImage) else asdict(i) for i in value.images]
        return (value.id, value.templates, images)
    return value


@pytest.mark.parametrize("entry", ALL)
def test_the_frame_is_read_whole_byte_by_byte_and_leaves_what_follows(entry: dict[str, Any]) -> None:
    frame, content = bytes.fromhex(entry["hex"]), content_of(entry)

    def decoder() -> FrameDecoder:
        return old.LegacyFrameDecoder() if "direction" in entry else FrameDecoder(MAX_FRAME_BYTES)

    assert decoder().feed(frame) == [content]

    slow = decoder()
    for at in range(len(frame) - 1):
        assert slow.feed(frame[at : at + 1]) == [], "nothing yet"
    assert slow.feed(frame[-1:]) == [content]
    assert slow.state is FrameState.IDLE

    followed = decoder()
    assert followed.feed(frame + frame[:3]) == [content]
    assert followed.buffered == 3
    assert followed.feed(frame[3:]) == [content]


def test_every_vector_has_an_expected_value_and_every_command_a_vector() -> None:
    assert REQUESTS.keys() == EXPECTED_REQUESTS.keys()
    assert REPLIES.keys() == EXPECTED_REPLIES.keys()
    assert LEGACY.keys() == EXPECTED_LEGACY.keys()
    assert {entry["json"]["error"]["code"] for entry in ERRORS.values() if entry["known"]} == BY_CODE.keys()
    assert {entry["json"]["cmd"] for entry in REQUESTS.values()} == req.COMMANDS.keys()
    assert {entry["cmd"] for entry in REPLIES.values()} == req.COMMANDS.keys()


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_is_read_as_what_it_says(name: str) -> None:
    envelope = parse_request(content_of(REQUESTS[name]), LIMITS)
    assert envelope == EXPECTED_REQUESTS[name]
    assert isinstance(envelope, Envelope)
    assert type(envelope.seq) is type(EXPECTED_REQUESTS[name].seq), "True and 1 are not the same to JSON"


@pytest.mark.parametrize("name", [name for name, entry in REQUESTS.items() if entry["canonical"]])
def test_a_request_is_written_as_the_vector_has_it(name: str) -> None:
    entry = REQUESTS[name]
    content = encode_request(EXPECTED_REQUESTS[name])
    text, nul, tail = content.partition(b"\0")
    assert json.loads(text) == entry["json"]
    assert tail == b"".join(map(bytes.fromhex, entry["images_hex"]))
    assert bool(nul) == bool(entry["images_hex"])
    if b" " not in content_of(entry).partition(b"\0")[0]:
        assert len(encode_frame(content)) <= len(bytes.fromhex(entry["hex"])), "compact"


@pytest.mark.parametrize("name", REPLIES)
def test_a_reply_goes_both_ways(name: str) -> None:
    entry, expected = REPLIES[name], EXPECTED_REPLIES[name]
    answer = parse_reply(content_of(entry), type(expected))
    assert answer.seq == entry["json"]["seq"]
    assert comparable(answer.outcome) == comparable(expected)
    assert json.loads(encode_reply(entry["json"]["seq"], expected)) == entry["json"]


@pytest.mark.parametrize("name", [name for name, entry in ERRORS.items() if entry["known"]])
def test_an_error_goes_both_ways_as_its_class(name: str) -> None:
    entry = ERRORS[name]
    told = entry["json"]["error"]
    answer = parse_reply(content_of(entry), rep.PingReply)
    assert comparable(answer.outcome) == (BY_CODE[told["code"]], told["message"], told["detail"])
    error = BY_CODE[told["code"]](told["message"], **told["detail"])
    assert json.loads(encode_error(entry["json"]["seq"], error)) == entry["json"]


def test_an_error_of_a_later_version_is_internal_and_named() -> None:
    entry = ERRORS["an error of a later version"]
    error = parse_reply(content_of(entry), rep.PingReply).outcome
    assert isinstance(error, Internal)
    assert "'on_fire'" in error.message and "Water is needed." in error.message
    assert error.detail == {"message": "kept as it is", "self": 1}


@pytest.mark.parametrize("name", [name for name, entry in LEGACY.items() if entry["direction"] == "request"])
def test_an_old_request_is_read_as_what_it_says(name: str) -> None:
    assert old.parse_legacy_request(content_of(LEGACY[name])) == EXPECTED_LEGACY[name]


@pytest.mark.parametrize("name", [name for name, entry in LEGACY.items() if entry["direction"] == "reply"])
def test_an_old_reply_is_written_as_the_vector_has_it(name: str) -> None:
    value: Any = EXPECTED_LEGACY[name]
    content = old.encode_legacy_error(value) if isinstance(value, WireError) else old.encode_legacy_reply(value)
    assert json.loads(content) == LEGACY[name]["json"]
    assert old.encode_legacy_frame(content)[:4].isdigit()
