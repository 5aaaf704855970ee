"""Frames, cut at every point that a network may choose."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_server.errors import FaceLoginError, FrameTooLarge, Malformed
from face_server.wire.framing import (
    FIRST_AMBIGUOUS_LENGTH,
    Dialect,
    FrameDecoder,
    FrameState,
    dialect_of,
    encode_frame,
)
from face_server.wire.legacy import LegacyFrameDecoder, encode_legacy_frame

MIB = 1024 * 1024


def test_a_frame_is_a_big_endian_length_and_the_content() -> None:
    assert encode_frame(b"hello") == b"\x00\x00\x00\x05hello"


def test_state_and_buffered_follow_the_bytes() -> None:
    decoder = FrameDecoder(MIB)
    assert (decoder.state, decoder.buffered) == (FrameState.IDLE, 0)
    assert decoder.feed(b"\x00\x00") == []
    assert (decoder.state, decoder.buffered) == (FrameState.HEADER, 2)
    assert decoder.feed(b"\x00\x03") == []
    assert (decoder.state, decoder.buffered) == (FrameState.BODY, 4)
    assert decoder.feed(b"ab") == []
    assert (decoder.state, decoder.buffered) == (FrameState.BODY, 6)
    assert decoder.feed(b"c\x00") == [b"abc"]
    assert (decoder.state, decoder.buffered) == (FrameState.HEADER, 1)


def test_feeding_nothing_changes_nothing() -> None:
    decoder = FrameDecoder(MIB)
    assert decoder.feed(b"") == []
    assert decoder.state is FrameState.IDLE


def test_a_frame_of_length_zero_is_a_frame() -> None:
    decoder = FrameDecoder(MIB)
    assert decoder.feed(bytes(8)) == [b"", b""]
    assert decoder.state is FrameState.IDLE


def test_a_frame_of_exactly_the_cap_is_allowed() -> None:
    assert FrameDecoder(3).feed(encode_frame(b"abc")) == [b"abc"]


def test_a_length_above_the_cap_is_refused_before_any_of_the_body_is_kept() -> None:
    decoder = FrameDecoder(3)
    with pytest.raises(FrameTooLarge) as caught:
        decoder.feed(encode_frame(b"abcd"))
    assert caught.value.detail == {"frame_bytes": 4, "max_frame_bytes": 3}
    assert (decoder.state, decoder.buffered) == (FrameState.BROKEN, 0)


def test_frames_before_a_refused_length_are_returned_first() -> None:
    decoder = FrameDecoder(3)
    assert decoder.feed(encode_frame(b"one") + encode_frame(b"two") + encode_frame(b"three")) == [b"one", b"two"]
    assert decoder.state is FrameState.BROKEN
    with pytest.raises(FrameTooLarge):
        decoder.feed(b"")


def test_a_broken_decoder_stays_broken() -> None:
    decoder = FrameDecoder(3)
    for _ in range(3):
        with pytest.raises(FrameTooLarge):
            decoder.feed(b"\xff\xff\xff\xff")
    with pytest.raises(FrameTooLarge):
        decoder.feed(encode_frame(b"ok"))


def test_a_length_of_four_gigabytes_allocates_nothing() -> None:
    decoder = FrameDecoder(32 * MIB)
    tracemalloc.start()
    with pytest.raises(FrameTooLarge):
        decoder.feed(b"\xff\xff\xff\xff")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 1024


def test_an_allowed_length_makes_no_room_before_the_bytes_come() -> None:
    decoder = FrameDecoder(32 * MIB)
    tracemalloc.start()
    decoder.feed((32 * MIB).to_bytes(4, "big") + b"x")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 1024
    assert decoder.buffered == 5


def test_a_big_frame_byte_at_a_time_takes_linear_time() -> None:
    # Quadratic copying of 1 MiB would move half a terabyte: the session's time-out is the assertion.
    decoder = FrameDecoder(MIB)
    content = b"abcdefgh" * (MIB // 8)
    frames: list[bytes] = []
    whole = encode_frame(content)
    for at in range(len(whole)):
        frames += decoder.feed(whole[at : at + 1])
    assert frames == [content]


def test_many_tiny_frames_in_one_feed_take_linear_time() -> None:
    assert FrameDecoder(MIB).feed(encode_frame(b"a") * 100_000) == [b"a"] * 100_000


@pytest.mark.parametrize("cap", [0, -1, FIRST_AMBIGUOUS_LENGTH, 2**32])
def test_a_cap_that_would_blur_the_dialects_is_refused(cap: int) -> None:
    with pytest.raises(ValueError, match="max_frame_bytes"):
        FrameDecoder(cap)


@given(st.integers(0, 255))
def test_only_ascii_digits_begin_the_old_dialect(first: int) -> None:
    assert (dialect_of(first) is Dialect.LEGACY) == (bytes([first]) in [b"%d" % digit for digit in range(10)])


@given(st.integers(0, FIRST_AMBIGUOUS_LENGTH - 1))
def test_no_allowed_length_looks_like_the_old_dialect(length: int) -> None:
    assert dialect_of(length.to_bytes(4, "big")[0]) is Dialect.MODERN


@given(st.lists(st.binary(max_size=50), max_size=8), st.data())
def test_frames_cut_anywhere_come_out_whole_and_in_order(contents: list[bytes], data: st.DataObject) -> None:
    dialects = [(FrameDecoder(100), encode_frame), (LegacyFrameDecoder(), encode_legacy_frame)]
    decoder, encode = data.draw(st.sampled_from(dialects))
    stream = b"".join(map(encode, contents))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert [frame for piece in pieces for frame in decoder.feed(piece)] == contents
    assert (decoder.state, decoder.buffered) == (FrameState.IDLE, 0)


@given(st.lists(st.binary(max_size=40), max_size=10), st.booleans())
def test_any_bytes_give_frames_or_a_named_error(pieces: list[bytes], legacy: bool) -> None:
    decoder = LegacyFrameDecoder() if legacy else FrameDecoder(20)
    try:
        for piece in pieces:
            decoder.feed(piece)
    except FaceLoginError as error:
        assert isinstance(error, (FrameTooLarge, Malformed))
        assert decoder.state is FrameState.BROKEN


# The old dialect's lengths.


def test_the_old_length_is_four_digits() -> None:
    assert encode_legacy_frame(b"{}") == b"0002{}"
    assert LegacyFrameDecoder().feed(b"0002{}0000") == [b"{}", b""]


@pytest.mark.parametrize(
    "header", [b"1 23", b"12\n3", b"+123", b"-001", b"1_00", b"0x10", b"12.0", b"123\xb2", b"1\x00\x00\x00"]
)
def test_an_old_length_that_is_not_four_digits_is_malformed(header: bytes) -> None:
    decoder = LegacyFrameDecoder()
    with pytest.raises(Malformed, match="four ASCII digits"):
        decoder.feed(header)
    assert decoder.state is FrameState.BROKEN


def test_an_old_length_above_a_lower_cap_is_too_large() -> None:
    with pytest.raises(FrameTooLarge):
        LegacyFrameDecoder(100).feed(b"0101")


def test_an_old_frame_cannot_be_longer_than_its_digits() -> None:
    assert encode_legacy_frame(bytes(9999)).startswith(b"9999")
    with pytest.raises(ValueError, match="9999"):
        encode_legacy_frame(bytes(10_000))
