"""The fuzzer's targets hold on their seeds, on broken seeds and on what hypothesis makes up; and they can fail."""

from __future__ import annotations

import random

import pytest
from fuzz import targets
from fuzz.targets import TARGETS, seeds
from hypothesis import given, settings
from hypothesis import strategies as st

from face_server.wire.framing import FrameDecoder


@pytest.mark.parametrize("target", TARGETS)
def test_every_seed_and_every_seed_with_a_few_bytes_changed_is_borne(target: str) -> None:
    chance = random.Random(1)
    for seed in seeds(target):
        TARGETS[target](seed)
        for _ in range(20):
            broken = bytearray(seed)
            for _ in range(chance.randrange(1, 6)):
                broken[chance.randrange(len(broken))] = chance.randrange(256)
            TARGETS[target](bytes(broken[: chance.randrange(1, len(broken) + 1)]))


@pytest.mark.parametrize("target", TARGETS)
@given(data=st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_borne(target: str, data: bytes) -> None:
    TARGETS[target](data)


def test_a_decoder_that_depends_on_how_the_bytes_were_cut_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgetful(FrameDecoder):
        def feed(self, data: bytes) -> list[bytes]:
            return super().feed(data) if len(data) != 8 else []

    monkeypatch.setattr(targets, "FrameDecoder", Forgetful)
    with pytest.raises(AssertionError, match="cut into 8"):
        targets.framing(b"\x07\x00\x00\x00\x10" + bytes(range(16)))
