"""The light of a coloured screen on what stands before it. A model, not a measurement: no real flash was recorded.

In linear light a matt surface returns its colour times the light that falls on it. The room's light counts as 1 and
white, the screen adds `strength` of its colour, weakened by distance: skin and paper before the screen get all of it,
the room behind a tenth. What shines by itself (another screen) adds only what its glass mirrors.
"""

from __future__ import annotations

import numpy as np

from face_server.types import DetectedFace, FloatArray, RgbImage

_ROOM = 0.1
#: Glass throws back about 4 % of white; a screen's picture is about as bright as a white wall.
GLASS = 0.04
_LINEAR = np.power(np.arange(256, dtype=np.float32) / 255, np.float32(2.2))
_DISPLAYED = (np.power(np.linspace(0, 1, 1 << 14), 1 / 2.2) * 255 + 0.5).astype(np.uint8)


def linear(image: FloatArray | RgbImage) -> FloatArray:
    """Display values 0..255 as light, 0..1 (gamma 2.2)."""
    if image.dtype == np.uint8:
        return _LINEAR[image]
    return np.power(np.asarray(image, np.float32) / 255, np.float32(2.2))


def displayed(light: FloatArray) -> RgbImage:
    """The reverse of `linear`, clipped as a sensor clips."""
    return _DISPLAYED[(np.clip(light, 0, 1) * (len(_DISPLAYED) - 1) + 0.5).astype(np.uint16)]


def rgb(colour: str) -> FloatArray:
    """ "#rrggbb" as light."""
    return linear(np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)], np.float32))


def reflected(image: RgbImage, colour: str | None, near: FloatArray, strength: float) -> RgbImage:
    """A picture under the flash. near: (height, width), 1 where the screen's light falls fully, 0 for the room."""
    if colour is None:
        return image
    falling = strength * (_ROOM + (1 - _ROOM) * near[..., None]) * rgb(colour)
    return displayed(linear(image) * (1 + falling))


def mirrored_by_glass(image: RgbImage, colour: str | None, glass: FloatArray, strength: float) -> RgbImage:
    """A picture of a screen under the flash: glass adds the colour, whatever the pixels behind it show."""
    if colour is None:
        return image
    return displayed(linear(image) + strength * GLASS * glass[..., None] * rgb(colour))


def before_the_screen(face: DetectedFace, height: int, width: int) -> FloatArray:
    """(height, width), 1 on a head and fading out below it: where a person stands before a screen."""
    box = face.box
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    middle, centre = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
    head = ((columns - middle) / (0.72 * box.width)) ** 2 + ((rows - centre) / (0.75 * box.height)) ** 2
    body = ((columns - middle) / (1.4 * box.width)) ** 2 + ((rows - box.y2 - 0.9 * box.height) / box.height) ** 2
    near: FloatArray = np.maximum(np.clip(3 - 2.5 * head, 0, 1), 0.5 * np.clip(3 - 2.5 * body, 0, 1))
    return near
