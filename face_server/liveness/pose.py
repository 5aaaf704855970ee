"""Were the steps done, in their order? Yaw, pitch and size of a face from its landmarks, against the person's own.

Angles are not wanted: faces differ, so each is measured against its own first frames, which look straight ahead. A
step's value is the median of its frames, since single landmarks stray by a tenth of the distance between the eyes.
Landmarks alone prove no head: MTCNN, which has learnt heads, finds a turned one's landmarks in a tilted photograph too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from face_server.config import LivenessConfig
from face_server.liveness.challenge import Kind, Step
from face_server.liveness.evidence import Finding, Frame
from face_server.types import Landmarks

#: Kind of a movement: which measure it is about (a field of Pose), and its sign. y grows downwards.
_TURNS = {
    Kind.TURN_LEFT: ("yaw", -1),
    Kind.TURN_RIGHT: ("yaw", 1),
    Kind.LOOK_UP: ("pitch", -1),
    Kind.LOOK_DOWN: ("pitch", 1),
}


#: A movement is at least this share of that along the other axis: who turns the head also lowers it, by as much.
LEAST_OF_OTHER = 0.6

#: A face that turns or nods stays about as large: filmed ones became at most 1.08 times as large. One that is enlarged
#: instead (a film of somebody who comes closer) shows its nose elsewhere too, and as far as a slight nod does.
MOST_GROWTH = 1.2

#: Who comes closer looks ahead: a filmed man's nose moved by 0.05 eye distances (nearness alone moves it). On a screen
#: that is brought closer while its film shows somebody who turns, it moves further.
MOST_ASIDE = 0.1


@dataclass(frozen=True, slots=True)
class Pose:
    """yaw, pitch: how far right of and below the middle of eyes and mouth the nose is, in distances between the eyes.

    width: that distance over the height from eyes to mouth. size_px: the geometric mean of both.
    """

    yaw: float
    pitch: float
    width: float
    size_px: float


def pose_of(landmarks: Landmarks) -> Pose:
    """The pose of a face, whatever its roll."""
    eye_left, eye_right, nose, mouth_left, mouth_right = (complex(x, y) for x, y in landmarks)
    across = eye_right - eye_left
    down = (mouth_left + mouth_right - eye_left - eye_right) / 2
    # A ruler below one pixel measures nothing; it only must not divide by zero.
    ruler = across if abs(across) >= 1 else complex(1)
    shift = (nose - (eye_left + eye_right + mouth_left + mouth_right) / 4) / ruler
    wide, high = max(abs(across), 1.0), max(abs(down), 1.0)
    return Pose(shift.real, shift.imag, wide / high, (wide * high) ** 0.5)


def check(frames: Sequence[Frame], steps: Sequence[Step], options: LivenessConfig) -> Iterator[Finding]:
    """For each movement, in order: how far it went in its direction, and not much further in another; and not too far.

    Past some 45 degrees half a face hides the other half: a head cannot be told from a bent photograph any more. Nor
    does somebody who is to turn or nod come closer; who was asked to before may have stayed there.
    """
    first = _median(frames, 0)
    nearest_px = first.size_px
    for number, step in enumerate(steps, 1):
        if step.kind is Kind.FLASH:
            continue
        there = _median(frames, number)
        moved = {axis: getattr(there, axis) - getattr(first, axis) for axis in ("yaw", "pitch")}
        if step.kind is Kind.COME_CLOSER:
            closer, least = there.size_px / first.size_px, options.least_closer
            ahead = max(map(abs, moved.values())) <= MOST_ASIDE
            yield Finding("steps", closer >= least and ahead, closer, least, number)
            nearest_px = max(nearest_px, there.size_px)
            continue
        axis, sign = _TURNS[step.kind]
        least = options.least_turn if axis == "yaw" else options.least_nod
        value = sign * moved[axis]
        mainly = value >= LEAST_OF_OTHER * max(map(abs, moved.values()))
        yield Finding("steps", value >= least and mainly, value, least, number)
        narrower = there.width / first.width if axis == "yaw" else first.width / there.width
        yield Finding(
            "too_far", narrower >= options.least_foreshortening, narrower, options.least_foreshortening, number
        )
        grown = there.size_px / nearest_px
        yield Finding("too_far", grown <= MOST_GROWTH, grown, MOST_GROWTH, number)


def _median(frames: Sequence[Frame], step: int) -> Pose:
    poses = [pose_of(frame.face.landmarks) for frame in frames if frame.step == step]
    return Pose(*(float(np.median([getattr(pose, name) for pose in poses])) for name in Pose.__slots__))
