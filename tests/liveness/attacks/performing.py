"""How a head, or whatever is held for one, moves through the steps: poses over frames. Knows no picture.

A pose is relative to looking straight ahead. Turning goes out, stays and comes half back, as people do who wait for a
page's next word; each attempt has its own reach, timing and tremor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from face_server.liveness.challenge import Kind, Step


@dataclass(frozen=True, slots=True)
class Pose:
    """Degrees: yaw positive to the right in the picture, pitch positive down, roll clockwise. Shifts in millimetres.

    nearer: by what factor the face is larger than before the first step.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    right_mm: float = 0.0
    down_mm: float = 0.0
    nearer: float = 1.0


#: What full reach of a step is: unit yaw, unit pitch, growth.
_REACH = {
    Kind.TURN_LEFT: (-1.0, 0.0, 0.0),
    Kind.TURN_RIGHT: (1.0, 0.0, 0.0),
    Kind.LOOK_UP: (0.0, -1.0, 0.0),
    Kind.LOOK_DOWN: (0.0, 1.0, 0.0),
    Kind.COME_CLOSER: (0.0, 0.0, 1.0),
    Kind.FLASH: (0.0, 0.0, 0.0),
}


@dataclass(frozen=True, slots=True)
class Reach:
    """How far this performer goes: degrees of a turn and of a nod, growth of coming closer."""

    turn: float
    nod: float
    growth: float = 0.3
    tremor: float = 1.0


def progress(frames: int) -> list[float]:
    """How much of a step is done at each of its frames: out, held, coming back."""
    return [float(np.interp(at, (0, 0.35, 0.8, 1), (0.35, 1, 1, 0.75))) for at in np.linspace(0, 1, frames)]


def performed(
    steps: Sequence[Step], frames_per_step: int, reach: Reach, rng: np.random.Generator
) -> Iterator[tuple[int, Pose]]:
    """(step number, pose) of every frame, those before the first step included."""
    drift = rng.normal(0, 1, 6) * 0.4
    plan = [(0, 0.0, 0.0, 0.0, 0.0)] * frames_per_step
    for number, step in enumerate(steps, 1):
        plan += [(number, share, *_REACH[step.kind]) for share in progress(frames_per_step)]
    for place, (number, share, yaw, pitch, growth) in enumerate(plan):
        noise = (rng.normal(0, 1, 6) + drift * place) * reach.tremor
        yield (
            number,
            Pose(
                yaw=share * yaw * reach.turn + 0.8 * noise[0],
                pitch=share * pitch * reach.nod + 0.8 * noise[1],
                roll=0.6 * noise[2],
                right_mm=1.5 * noise[3],
                down_mm=1.5 * noise[4],
                nearer=1 + share * growth * reach.growth + 0.006 * noise[5],
            ),
        )
