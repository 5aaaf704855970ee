"""Is it one take of one person? No frame twice, no leap, and the same face in every step.

What this cannot see: a film of the person that was cut well, and a camera that is a program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, pairwise

import numpy as np

from face_server.config import LivenessConfig
from face_server.liveness.evidence import Finding, Frame
from face_server.types import DetectedFace, FloatArray


def check_distinct(frames: Sequence[Frame]) -> Iterator[Finding]:
    """A camera never gives the same bytes twice: its noise alone differs."""
    different = len({frame.sha256 for frame in frames})
    yield Finding("identical", different == len(frames), different, len(frames))


def check_leaps(frames: Sequence[Frame], options: LivenessConfig) -> Iterator[Finding]:
    """How far the face moves at most from frame to frame, in widths of the face; a change of size counts too."""
    leaps = [(_leap(one.face, two.face), two.step) for one, two in pairwise(frames)]
    largest, step = max(leaps, default=(0.0, 0))
    yield Finding("continuity", largest <= options.max_leap, largest, options.max_leap, step)


def check_person(frames: Sequence[Frame], same_person: Callable[[FloatArray, FloatArray], bool]) -> Iterator[Finding]:
    """Each frame of a step against every other of it, which shows the same pose: in their mean, one of somebody else
    would not show. Then the step's, fused, against those that look straight ahead, fused: a turned face alone is hard
    to tell.
    """
    first = _fused(frames, 0)
    for step in sorted({frame.step for frame in frames}):
        own = [frame.vector for frame in frames if frame.step == step]
        same = all(same_person(*pair) for pair in combinations(own, 2)) and same_person(first, _fused(frames, step))
        yield Finding("person", same, float(same), 1.0, step)


def _leap(one: DetectedFace, two: DetectedFace) -> float:
    width = max(min(one.box.width, two.box.width), 1.0)
    centres = [((face.box.x1 + face.box.x2) / 2, (face.box.y1 + face.box.y2) / 2) for face in (one, two)]
    moved = float(np.hypot(centres[1][0] - centres[0][0], centres[1][1] - centres[0][1])) / width
    return max(moved, max(one.box.width, two.box.width) / width - 1)


def _fused(frames: Sequence[Frame], step: int) -> FloatArray:
    """The mean of a step's vectors, made a unit vector; one that has no direction stays the null vector: nobody's."""
    mean = np.mean([frame.vector for frame in frames if frame.step == step], axis=0, dtype=np.float64)
    length = float(np.linalg.norm(mean))
    return np.asarray(mean / length if length > 0 else mean, dtype=np.float32)
