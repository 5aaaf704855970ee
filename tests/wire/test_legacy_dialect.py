"""What the old dialect refuses, and what does not fit its frames. Its lengths are tested with the other frames."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_server.errors import ClientError, Malformed, NoFace, UnknownCommand
from face_server.wire.legacy import (
    MAX_LEGACY_BYTES,
    LegacySearchReply,
    encode_legacy_error,
    encode_legacy_frame,
    encode_legacy_reply,
    parse_legacy_request,
)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "empty"),
        (b"{", "does not begin"),
        (b"[]", "a list"),
        (b"{}", "`cmd` is missing"),
        (b'{"cmd":1}', "`cmd` must be a string"),
        (b'{"cmd":"search"}', "`pic` is missing"),
        (b'{"cmd":"search","pic":7}', "`pic` must be a string"),
        (b'{"cmd":"search","pic":""}', "`pic` must have 1 to 4096"),
        (b'{"cmd":"search","pic":"' + b"x" * 4097 + b'"}', "`pic` must have 1 to 4096"),
        (b'{"cmd":"search","pic":"a\\u0000b"}', "NUL"),
        (b'{"cmd":"search","pic":"a"}\0', "Extra data"),
        (b'{"cmd":"search","pic":"a","pic":"b"}', "'pic' appears twice"),
        (b'{"cmd":"search","pic":"\\ud800"}', "surrogate"),
        (b'{"cmd":"add_index","pic":"a"}', "`id` is missing"),
        (b'{"cmd":"add_index","pic":"a","id":true}', "`id`: a subject id"),
        (b"[" * 9999, "deeper than 8"),
    ],
)
def test_malformed_old_requests_are_refused(content: bytes, sentence: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_legacy_request(content)
    assert sentence in caught.value.message


def test_a_command_of_the_modern_dialect_is_unknown_to_the_old() -> None:
    with pytest.raises(UnknownCommand, match="search, add_index, face_detect"):
        parse_legacy_request(b'{"cmd":"identify"}')


def test_a_reply_that_does_not_fit_becomes_an_error_that_says_so() -> None:
    told = json.loads(encode_legacy_reply(LegacySearchReply(("x" * 100,) * 100, (0.5,) * 100)))
    assert told["code"] == 1 and "9999 bytes" in told["msg"]


def test_a_reply_of_exactly_9999_bytes_fits() -> None:
    room = MAX_LEGACY_BYTES - len(encode_legacy_reply(LegacySearchReply(("",), (0.5,))))
    whole = encode_legacy_reply(LegacySearchReply(("x" * room,), (0.5,)))
    assert json.loads(whole)["code"] == 0
    assert encode_legacy_frame(whole).startswith(b"9999{")
    assert json.loads(encode_legacy_reply(LegacySearchReply(("x" * (room + 1),), (0.5,))))["code"] == 1


def test_an_error_whose_sentence_does_not_fit_is_told_by_its_code() -> None:
    assert json.loads(encode_legacy_error(NoFace("x" * 10_000))) == {"code": 1, "msg": "no_face"}


@given(st.binary(max_size=100))
def test_any_bytes_are_an_old_request_or_refused_by_name(content: bytes) -> None:
    try:
        parse_legacy_request(content)
    except ClientError as error:
        assert encode_legacy_frame(encode_legacy_error(error))
