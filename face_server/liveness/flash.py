"""Do the screen's colours show in the skin, in their order, and more than in what is around the face?

The screen lights a face at arm's length and hardly the room behind it. A picture into which colours were pasted
changes everywhere alike, one on a screen's glass hardly at all. Each flash's mean colour between eyes and mouth is
compared with that of the frames before the first step, and so is that of the picture's rim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from face_server.config import LivenessConfig
from face_server.liveness.challenge import Kind, Step
from face_server.liveness.evidence import Finding, Frame

Array = NDArray[np.float64]

#: The share of the picture's width and height that is its outer rim.
_RIM = 0.1


def check(frames: Sequence[Frame], steps: Sequence[Step], options: LivenessConfig) -> Iterator[Finding]:
    """A finding per flash: how far the skin's colour moved towards the flash's, less what its surroundings did.

    In shares of the skin's own brightness, of the light's colour alone: a picture that gets brighter has no colour.
    """
    before = [frame for frame in frames if frame.step == 0]
    flashes = [(number, step) for number, step in enumerate(steps, 1) if step.kind is Kind.FLASH]
    if not flashes:
        return
    skin, rim = _mean(before, _skin), _mean(before, _rim)
    towards = {number: _unit(_hue(_rgb(step.colour or "#ffffff"))) for number, step in flashes}
    for number, _ in flashes:
        lit = [frame for frame in frames if frame.step == number]
        gained = _hue(_mean(lit, _skin) / skin) - _hue(_mean(lit, _rim) / rim)
        # Towards this colour, and not as much towards another: the order is what was asked.
        shown = {other: float(gained @ direction) for other, direction in towards.items()}
        first = shown[number] >= max(shown.values())
        value, least = shown[number], options.least_flash
        yield Finding("flash", first and value >= least, value, least, number)


def _mean(frames: Sequence[Frame], part: Callable[[Frame], Array]) -> Array:
    """RGB (3,) of a part of the frames, at least 1 of 255 so that it can be divided by."""
    mean: Array = np.mean([part(frame) for frame in frames], axis=0)
    return np.maximum(mean, np.ones(3))


def _skin(frame: Frame) -> Array:
    """Mean RGB (3,) of the face between its eyes and its mouth."""
    points = np.asarray(frame.face.landmarks, dtype=np.float32)
    mask = np.zeros(frame.image.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, points[[0, 1, 4, 3]].round().astype(np.int32), 255)
    return np.asarray(cv2.mean(frame.image, mask)[:3])


def _rim(frame: Frame) -> Array:
    """Mean RGB (3,) of the picture's rim without the face."""
    height, width = frame.image.shape[:2]
    mask = np.full((height, width), 255, np.uint8)
    mask[int(height * _RIM) : int(height * (1 - _RIM)), int(width * _RIM) : int(width * (1 - _RIM))] = 0
    box = frame.face.box
    mask[max(int(box.y1), 0) : max(int(box.y2), 0), max(int(box.x1), 0) : max(int(box.x2), 0)] = 0
    return np.asarray(cv2.mean(frame.image, mask)[:3])


def _rgb(colour: str) -> Array:
    return np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)], dtype=np.float64)


def _hue(light: Array) -> Array:
    """A light (3,) without its brightness: each channel's share above or below the mean of the three."""
    centred: Array = light / max(float(light.mean()), 1e-6) - 1
    return centred


def _unit(vector: Array) -> Array:
    """The same direction (3,); grey has none and stays null, so that nothing shows it."""
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0 else vector
