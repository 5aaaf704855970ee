"""Replies as a client reads them, and what the daemon never writes."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_server.errors import BY_CODE, Malformed, WireError
from face_server.types import BoundingBox, Candidate, DetectedFace, Quality
from face_server.wire import encode_error, encode_reply, parse_reply
from face_server.wire import replies as rep

KINDS: list[type[rep.Reply]] = list(rep.Reply.__args__)


@pytest.mark.parametrize(
    ("content", "kind", "sentence"),
    [
        (b"", rep.PingReply, "JSON object"),
        (b"[]", rep.PingReply, "a list"),
        (b"{}", rep.PingReply, "`ok` must be a boolean, it is null"),
        (b'{"ok":1}', rep.PingReply, "`ok` must be a boolean, it is an integer"),
        (b'{"ok":true,"seq":[]}', rep.PingReply, "`seq`"),
        (b'{"ok":true,"version":"1"}', rep.PingReply, "`reply` has no `ready`"),
        (b'{"ok":true,"version":"1","ready":1}', rep.PingReply, "`reply.ready` must be a boolean"),
        (b'{"ok":true,"version":null,"ready":true}', rep.PingReply, "`reply.version` must be a string"),
        (b'{"ok":true,"subjects":true,"seconds":1}', rep.RebuildReply, "`reply.subjects` must be an integer"),
        (b'{"ok":true,"subjects":1,"seconds":"1"}', rep.RebuildReply, "`reply.seconds` must be a number"),
        (b'{"ok":true,"subjects":1,"seconds":1' + b"0" * 400 + b"}", rep.RebuildReply, "too large"),
        (b'{"ok":true,"subjects":{}}', rep.SubjectsReply, "`reply.subjects` must be a list"),
        (b'{"ok":true,"subjects":[{"id":true,"templates":1}]}', rep.SubjectsReply, "`reply.subjects[0].id`"),
        (b'{"ok":true,"match":true,"id":1.5}', rep.VerifyReply, "`reply.id`"),
        (b'{"ok":true,"width":1,"height":1,"faces":[{"box":[1,2,3]}]}', rep.DetectReply, "has no `landmarks`"),
        (
            b'{"ok":true,"width":1,"height":1,"faces":[{"box":[1,2,3],"landmarks":[],"confidence":1}]}',
            rep.DetectReply,
            "must have 4 elements, it has 3",
        ),
        (b'{"ok":true,"id":1,"templates":1,"images":[{"ok":null}]}', rep.EnrolReply, "has no `template`"),
        (b'{"ok":true,"id":1,"templates":1,"images":[{"ok":1,"error":{}}]}', rep.EnrolReply, "`reply.images[0]"),
        (b'{"ok":false}', rep.PingReply, "`error` must be an object"),
        (b'{"ok":false,"error":{"code":"busy"}}', rep.PingReply, "`error.message` must be a string"),
        (b'{"ok":false,"error":{"code":7,"message":""}}', rep.PingReply, "`error.code` must be a string"),
        (b'{"ok":false,"error":{"code":"busy","message":"","detail":[]}}', rep.PingReply, "`error.detail` must be"),
    ],
)
def test_what_is_no_reply_is_malformed(content: bytes, kind: Any, sentence: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_reply(content, kind)
    assert sentence in caught.value.message


def test_a_key_of_a_later_daemon_is_passed_over() -> None:
    content = b'{"ok":true,"seq":1,"version":"9","ready":true,"mood":"good"}'
    assert parse_reply(content, rep.PingReply).outcome == rep.PingReply("9", True)


def test_an_error_without_detail_is_read() -> None:
    error = parse_reply(b'{"ok":false,"error":{"code":"busy","message":"Later."}}', rep.PingReply).outcome
    assert isinstance(error, BY_CODE["busy"]) and error.detail == {}


def test_the_web_is_told_of_a_match_and_of_nothing_else() -> None:
    assert json.loads(encode_reply(1, rep.IdentifyReply(True, "a"))) == {"ok": True, "seq": 1, "match": True, "id": "a"}
    assert json.loads(encode_reply(1, rep.IdentifyReply(False))) == {"ok": True, "seq": 1, "match": False}


def test_pixels_have_two_decimals_and_scores_six_and_numpy_numbers_are_numbers() -> None:
    points = tuple((np.float32(1 / 3), 2 / 3) for _ in range(5))
    face: Any = DetectedFace(BoundingBox(np.float32(1 / 3), 2 / 3, 100.005, 1e3), points, np.float32(1 / 3))
    told = json.loads(encode_reply(None, rep.DetectReply(np.int64(2), 3, (face,))))
    assert told["width"] == 2
    (found,) = told["faces"]
    assert found["box"] == [0.33, 0.67, 100.0, 1000.0]
    assert found["landmarks"] == [[0.33, 0.67]] * 5
    assert found["confidence"] == 0.333333
    assert b"0.6666670" not in encode_reply(None, rep.RebuildReply(1, 2 / 3))


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_lacks_is_never_written(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode_reply(1, rep.RebuildReply(1, number))


def test_a_reply_never_holds_a_raw_nul() -> None:
    assert b"\0" not in encode_reply("\0", rep.PingReply("\0", True))


def test_no_reply_has_a_key_of_the_envelope() -> None:
    for kind in KINDS:
        assert not {"ok", "seq", "error"} & set(kind.__dataclass_fields__)


# What is random is on the grid that the wire keeps: hundredths of a pixel, millionths of a score.
PIXEL = st.integers(-(10**6), 10**6).map(lambda n: n / 100)
NUMBER = st.integers(-(10**9), 10**9).map(lambda n: n / 10**6)
WHOLE = st.integers(0, 2**53)
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
IDS = st.integers(0, 2**53 - 1) | st.text("aé漢😀", min_size=1, max_size=9)
POINT = st.tuples(PIXEL, PIXEL)
FACE = st.builds(DetectedFace, st.builds(BoundingBox, PIXEL, PIXEL, PIXEL, PIXEL), st.tuples(*[POINT] * 5), NUMBER)
QUALITY = st.builds(Quality, *[NUMBER] * 7)
FACES = st.lists(FACE, max_size=3).map(tuple)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def some(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(strategy, max_size=3).map(tuple)


INDEX = st.builds(
    rep.IndexStatus, st.sampled_from(["ready", "building", "absent"]), WHOLE, WHOLE, WHOLE, maybe(NUMBER), maybe(TEXT)
)
DECISION = st.builds(rep.DecisionStatus, NUMBER, NUMBER, TEXT, st.booleans(), maybe(NUMBER), maybe(NUMBER))
REPLIES = st.one_of(
    st.builds(rep.PingReply, TEXT, st.booleans()),
    st.builds(
        rep.StatusReply, TEXT, NUMBER, TEXT, TEXT, WHOLE, WHOLE, WHOLE, INDEX, DECISION, WHOLE, WHOLE, WHOLE
    ),
    st.builds(rep.DetectReply, WHOLE, WHOLE, FACES),
    st.builds(rep.EnrolReply, IDS, WHOLE, some(st.builds(rep.AcceptedImage, WHOLE, st.booleans(), FACE, QUALITY))),
    st.builds(
        rep.IdentifyReply, st.booleans(), maybe(IDS), maybe(NUMBER), maybe(NUMBER),
        maybe(WHOLE),
        maybe(some(st.builds(Candidate, IDS, NUMBER, WHOLE))),
    ),
    st.builds(rep.VerifyReply, st.booleans(), IDS, maybe(NUMBER), maybe(NUMBER), maybe(WHOLE)),
    st.builds(rep.RemoveReply, some(IDS), some(IDS), WHOLE),
    st.builds(rep.CompareReply, st.booleans(), NUMBER, NUMBER, NUMBER, st.tuples(FACE, FACE)),
    st.builds(rep.SubjectsReply, some(st.builds(rep.SubjectSummary, IDS, WHOLE)), maybe(TEXT)),
    st.builds(
        rep.SubjectReply, IDS, some(st.builds(rep.TemplateSummary, WHOLE, NUMBER, TEXT, TEXT, QUALITY))
    ),
    st.builds(rep.RebuildReply, WHOLE, NUMBER),
)  # fmt: skip


@given(REPLIES, maybe(TEXT))
def test_a_reply_survives_the_wire(reply: rep.Reply, seq: str | None) -> None:
    answer = parse_reply(encode_reply(seq, reply), type(reply))
    assert (answer.seq, answer.outcome) == (seq, reply)


@given(st.sampled_from(list(BY_CODE.values())), TEXT, st.dictionaries(TEXT, st.integers(-100, 100), max_size=3))
def test_an_error_survives_the_wire(kind: type[WireError], message: str, detail: dict[str, int]) -> None:
    error = kind(message)
    error.detail = detail
    back = parse_reply(encode_error(7, error), rep.PingReply)
    assert back.seq == 7
    assert isinstance(back.outcome, kind)
    assert (back.outcome.message, back.outcome.detail) == (message, detail)


@given(
    st.binary(max_size=100) | st.builds(json.dumps, st.dictionaries(TEXT, TEXT)).map(str.encode), st.sampled_from(KINDS)
)
def test_any_bytes_are_a_reply_or_malformed(content: bytes, kind: Any) -> None:
    with suppress(Malformed):
        parse_reply(content, kind)
