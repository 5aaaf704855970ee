"""A screen before the camera: what a print has not. Pixels that beat with the camera's, a frame, gamma, reflections.

A screen smaller than the face it shows is held nearer; then it looks like a larger one further off, so all sizes here
are divided by the size of the face shown, and the geometry is `sheet`'s.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from liveness.attacks.attempt import HEIGHT_PX, WIDTH_PX
from liveness.attacks.sheet import Seen, Texture

from face_server.types import FloatArray


@dataclass(frozen=True, slots=True)
class Screen:
    """size_mm and pixel_mm as if the face were life-size; glare: how bright the lamp it mirrors is, 0..1."""

    size_mm: tuple[float, float]
    bezel_mm: float
    pixel_mm: float
    contrast: float
    blue: float
    beat: float
    glare: float
    glare_at: tuple[float, float]

    @property
    def corner_mm(self) -> tuple[float, float]:
        return -self.size_mm[0] / 2, -self.size_mm[1] / 2


#: Width, height, bezel and pixel in mm, and the share of life-size that a face has on it.
PHONE = ((70, 150), 4, 0.06, 0.42)
TABLET = ((160, 220), 9, 0.1, 0.75)
LAPTOP = ((310, 180), 11, 0.18, 0.8)


def screen(rng: np.random.Generator) -> Screen:
    """One of three kinds, each with its own picture."""
    (width, height), bezel, pixel, share = (PHONE, TABLET, LAPTOP)[int(rng.integers(3))]
    return Screen(
        size_mm=(width / share, height / share),
        bezel_mm=bezel / share,
        pixel_mm=pixel / share * rng.uniform(0.9, 1.1),
        contrast=rng.uniform(1.0, 1.25),
        blue=rng.uniform(0.98, 1.12),
        beat=rng.uniform(0.03, 0.12),
        glare=rng.uniform(0.05, 0.4),
        glare_at=(rng.uniform(-80, 80), rng.uniform(-90, 60)),
    )


def shown(device: Screen, seen: Seen, texture: Texture) -> FloatArray:
    """What the camera gets of a screen that shows a texture, (height, width, 3) float32, 0..255."""
    picture = np.power(seen.sampled(texture) / 255, device.contrast) * np.array([1, 1, device.blue], np.float32)
    # Red, green and blue stripes side by side, taken at single points: finer than the camera's pixels, they beat.
    phase = 2 * np.pi * (seen.s / device.pixel_mm)[..., None] + np.array([0, 2.1, 4.2], np.float32)
    rows = 2 * np.pi * (seen.t / device.pixel_mm)[..., None]
    picture = picture * (1 + device.beat * np.cos(phase) + 0.5 * device.beat * np.cos(rows))
    # A screen is lit from behind: no shade, but dimmer when seen aslant.
    picture = picture * np.float32(0.55) + picture * np.float32(0.45) * seen.shade[..., None]
    left, top = device.corner_mm
    edge = np.minimum.reduce([
        seen.s - left, left + device.size_mm[0] - seen.s, seen.t - top, top + device.size_mm[1] - seen.t,
    ])  # fmt: skip
    lit = np.clip(edge - device.bezel_mm + 0.5, 0, 1)[..., None]
    return 255 * (picture * lit + 0.05 * (1 - lit)) + _glare(device)


def _glare(device: Screen) -> FloatArray:
    """A lamp or window in the glass: it stays where it is when the picture moves."""
    rows, columns = np.mgrid[:HEIGHT_PX, :WIDTH_PX].astype(np.float32)
    x, y = columns - WIDTH_PX / 2 - device.glare_at[0], rows - HEIGHT_PX / 2 - device.glare_at[1]
    pane = (np.abs(x) < 38) & (np.abs(y) < 55)
    soft: FloatArray = cv2.GaussianBlur(pane.astype(np.float32), (0, 0), 9)
    return device.glare * 110 * soft[..., None]
