"""The keys with which a request answers a challenge: read strictly, and only together."""

from __future__ import annotations

import json
from typing import Any

import pytest

from face_server.errors import Malformed, TooManyImages, WireError
from face_server.wire import Envelope, Limits, Refused, parse_request
from face_server.wire.requests import Challenge, Identify, Response

LIMITS = Limits(max_images=10, max_image_bytes=100)


def read(images: int, **keys: Any) -> Envelope | Refused:
    head = {"cmd": "identify", "image_bytes": [1] * images, **keys}
    return parse_request(json.dumps(head).encode() + b"\0" + b"x" * images, LIMITS)


def test_a_response_is_read_with_all_it_says() -> None:
    read_back = read(3, challenge="c", binding="b", frame_steps=[0, 0, 1])
    assert isinstance(read_back, Envelope)
    assert read_back.request == Identify((b"x",) * 3, response=Response("c", (0, 0, 1), "b"))


@pytest.mark.parametrize(
    ("keys", "error"),
    [
        ({"frame_steps": [0, 0]}, Malformed),
        ({"binding": "b"}, Malformed),
        ({"challenge": "c"}, Malformed),
        ({"challenge": "c", "frame_steps": [0]}, Malformed),
        ({"challenge": "c", "frame_steps": [0, 0, 0]}, Malformed),
        ({"challenge": "c", "frame_steps": [1, 0]}, Malformed),
        ({"challenge": "c", "frame_steps": [-1, 0]}, Malformed),
        ({"challenge": "c", "frame_steps": [0, True]}, Malformed),
        ({"challenge": "c", "frame_steps": [0, 1.5]}, Malformed),
        ({"challenge": "c", "frame_steps": "01"}, Malformed),
        ({"challenge": 7, "frame_steps": [0, 1]}, Malformed),
        ({"challenge": "", "frame_steps": [0, 1]}, Malformed),
        ({"challenge": "c", "frame_steps": [0, 1], "binding": "b" * 129}, Malformed),
    ],
    ids=str,
)
def test_half_a_response_and_a_wrong_one_are_refused(keys: dict[str, Any], error: type[WireError]) -> None:
    refused = read(2, **keys)
    assert isinstance(refused, Refused) and type(refused.error) is error


def test_only_a_response_may_have_more_images_and_not_any_number() -> None:
    without, most, more = read(11), read(24, challenge="c", frame_steps=[0] * 24), read(25, challenge="c")
    assert isinstance(without, Refused) and isinstance(without.error, TooManyImages)
    assert isinstance(most, Envelope)
    assert isinstance(more, Refused) and isinstance(more.error, TooManyImages)


@pytest.mark.parametrize(
    "keys",
    [{}, {"purpose": "detect"}, {"purpose": "identify", "mode": "off"}, {"purpose": "enrol", "flash": 1}],
    ids=str,
)
def test_a_challenge_is_asked_for_a_command_that_answers_one_and_never_for_less(keys: dict[str, Any]) -> None:
    refused = parse_request(json.dumps({"cmd": "challenge", **keys}).encode(), LIMITS)
    assert isinstance(refused, Refused) and type(refused.error) is Malformed


def test_neither_the_id_nor_the_binding_shows_in_a_repr() -> None:
    assert "s3cret" not in repr(Response("s3cret", (0,), "s3cret")) + repr(Challenge("enrol", "s3cret"))
