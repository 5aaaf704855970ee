"""The steps that a person is asked to do, and the challenges that may still be answered. Knows no frames and no clock.

Left and right are the picture's, as everywhere: in a turn to the left the nose moves to the left of the picture as the
camera took it. A page that mirrors its preview says it the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What a step asks for."""

    TURN_LEFT = "turn_left"
    TURN_RIGHT = "turn_right"
    LOOK_UP = "look_up"
    LOOK_DOWN = "look_down"
    COME_CLOSER = "come_closer"
    FLASH = "flash"


@dataclass(frozen=True, slots=True)
class Step:
    """One step; colour "#rrggbb" is what the screen shows during a flash, None in every other step."""

    kind: Kind
    colour: str | None = None
