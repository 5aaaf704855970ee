"""Frames and the steps that were asked -> a verdict: every check in its order. Knows no check's insides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from face_server.config import LivenessConfig
from face_server.liveness import continuity, flash, pose, relief, texture
from face_server.liveness.challenge import Step
from face_server.liveness.evidence import Finding, Frame, Verdict
from face_server.types import DetectedFace, FloatArray, RgbImage

#: How live one image looks to the passive network, 0..1.
Passive: TypeAlias = Callable[[RgbImage, DetectedFace], float]
#: Whether two unit vectors are of one person.
SamePerson: TypeAlias = Callable[[FloatArray, FloatArray], bool]


def judge(
    frames: Sequence[Frame],
    steps: Sequence[Step],
    options: LivenessConfig,
    passive: Passive | None,
    same_person: SamePerson,
) -> Verdict:
    """The verdict on the frames of one answer, in the order they were taken.

    steps: those asked, in their order; () where only the passive network is to judge. passive: None where it is not to.
    A step without a frame is not live, and so is an answer that nothing was asked of.
    """
    if not steps and passive is None:
        return Verdict(())
    return Verdict(tuple(_findings(frames, steps, options, passive, same_person)))


def _findings(
    frames: Sequence[Frame],
    steps: Sequence[Step],
    options: LivenessConfig,
    look: Passive | None,
    same_person: SamePerson,
) -> Iterator[Finding]:
    numbers = [frame.step for frame in frames]
    missing = sorted(set(range(len(steps) + 1)) - set(numbers))
    if missing or numbers != sorted(numbers):
        yield Finding("missing", False, len(set(numbers)), len(steps) + 1, next(iter(missing), None))
        return
    yield from continuity.check_distinct(frames)
    yield from continuity.check_person(frames, same_person)
    if steps:
        yield from continuity.check_leaps(frames, options)
        yield from pose.check(frames, steps, options)
        yield from relief.check(frames, steps, options)
        yield from flash.check(frames, steps, options)
    if look is not None:
        yield from texture.check(frames, look, options)
