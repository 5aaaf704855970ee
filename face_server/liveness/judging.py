"""Frames and the steps that were asked -> a verdict: every check in its order. Knows no check's insides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from face_server.config import LivenessConfig
from face_server.liveness.challenge import Step
from face_server.liveness.evidence import Frame, Verdict
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
    Nothing to judge by is not live.
    """
    return Verdict(())
