"""Subject ids as keys, and the arithmetic of boxes."""

from __future__ import annotations

import dataclasses
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_server.types import MAX_SUBJECT_ID_INT, BoundingBox, subject_key


@pytest.mark.parametrize(
    ("subject", "key"),
    [
        ("alice", b"alice"),
        (1, b"1"),
        (0, b"0"),
        (MAX_SUBJECT_ID_INT, b"9007199254740991"),
        ("Zo\u00eb", "Zo\u00eb".encode()),
        ("a" * 128, b"a" * 128),
        ("\u00e9" * 64, "\u00e9".encode() * 64),
        (" ", b" "),
        ("01", b"01"),
    ],
)
def test_a_valid_id_is_stored_as_the_utf8_of_its_text(subject: str | int, key: bytes) -> None:
    assert subject_key(subject) == key


def test_an_integer_and_its_digits_are_one_subject_but_other_spellings_are_not() -> None:
    assert subject_key(1) == subject_key("1")
    assert len({subject_key(each) for each in (1, "01", "1.0", "+1", " 1", "\uff11")}) == 6


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        ("", "1 to 128 bytes"),
        ("a" * 129, "1 to 128 bytes"),
        ("a" * 10_000_000, "1 to 128 bytes"),
        ("\u00e9" * 65, "this one 130"),
        (-1, "between 0 and"),
        (MAX_SUBJECT_ID_INT + 1, "between 0 and"),
        (True, "a string or an integer"),
        (False, "a string or an integer"),
        (1.0, "a string or an integer"),
        (None, "a string or an integer"),
        (b"alice", "a string or an integer"),
        (["alice"], "a string or an integer"),
        ("a\0b", "control characters"),
        ("a\nb", "control characters"),
        ("\x7f", "control characters"),
        ("\x85", "control characters"),
        ("e\u0301", "normal form C"),
        ("\u212b", "normal form C"),
        ("\ud800", "UTF-8"),
    ],
)
def test_what_is_no_id_is_refused_with_a_sentence(subject: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refusal:
        subject_key(subject)
    assert str(refusal.value).startswith(("a subject id ", "an integer subject id "))


@given(st.text())
def test_every_text_is_refused_or_given_back_byte_for_byte(text: str) -> None:
    try:
        key = subject_key(text)
    except ValueError:
        return
    assert key.decode("utf-8") == text == unicodedata.normalize("NFC", text)
    assert 1 <= len(key) <= 128


@given(st.integers())
def test_every_integer_is_refused_or_is_its_digits(number: int) -> None:
    try:
        key = subject_key(number)
    except ValueError:
        assert not 0 <= number < 2**53
        return
    assert int(key) == number
    assert 0 <= number < 2**53


def test_a_box_knows_its_sides_and_cannot_be_changed() -> None:
    box = BoundingBox(-3, 2, 10, 6.5)
    assert (box.width, box.height) == (13, 4.5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        box.x1 = 0  # type: ignore[misc]
