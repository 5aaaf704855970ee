"""Drawn surfaces that turn before a camera, with a face's five landmarks on them: a sheet, a bent sheet, a head."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from face_server.liveness.evidence import Frame
from face_server.types import BoundingBox, DetectedFace

Array = NDArray[np.float64]
#: Depth towards the camera of each place, everything in distances between the eyes.
Depth = Callable[[Array, Array], Array]

EYE_PX, SIDE_PX = 60.0, 300
#: Eyes, nose, corners of the mouth around the middle of eyes and mouth.
POINTS = np.array([(-0.5, -0.53), (0.5, -0.53), (0.0, 0.1), (-0.42, 0.53), (0.42, 0.53)])


def flat(x: Array, y: Array) -> Array:
    return np.zeros_like(x)


def bent(radius: float) -> Depth:
    """A sheet bent about an upright axis, bulging towards the camera."""
    return lambda x, y: np.sqrt(np.maximum(radius**2 - x**2, 0)) - radius


def head(x: Array, y: Array) -> Array:
    """An egg with a nose that stands 0.45 before it, brow and cheeks that stand out, and eyes that lie behind it."""
    egg = 0.9 * np.sqrt(np.maximum(1 - (x / 1.1) ** 2 - (y / 1.4) ** 2, 0.02))
    eyes = 0.2 * _two_bumps(x, y + 0.5, 0.5, (0.25, 0.2))
    cheeks = 0.12 * _two_bumps(x, y - 0.05, 0.55, (0.22, 0.2))
    nose = 0.45 * np.exp(-((x / 0.16) ** 2) - (np.where(y < 0.1, (y - 0.1) / 0.4, (y - 0.1) / 0.12)) ** 2)
    brow = 0.1 * np.exp(-(((y + 0.8) / 0.12) ** 2)) * (np.abs(x) < 0.9)
    return np.asarray(egg + nose + cheeks + brow - eyes)


def _two_bumps(x: Array, y: Array, aside: float, size: tuple[float, float]) -> Array:
    bumps = [np.exp(-(((x - at) / size[0]) ** 2) - (y / size[1]) ** 2) for at in (-aside, aside)]
    return np.asarray(bumps[0] + bumps[1])


def frame(depth: Depth, yaw: float, step: int, seed: int, pitch: float = 0.0, noise_px: float = 1.0) -> Frame:
    """The surface turned by degrees (yaw > 0: its nose to the right; pitch > 0: down), seen from far away."""
    rng = np.random.default_rng(seed)
    sin, cos = np.sin(np.radians([yaw, pitch])), np.cos(np.radians([yaw, pitch]))
    seen = (np.mgrid[0:SIDE_PX, 0:SIDE_PX][::-1] - SIDE_PX / 2) / EYE_PX
    place = seen / cos[:, None, None]
    for _ in range(12):  # where a place is seen depends on its depth, so it is looked for step by step
        place = 0.5 * place + 0.5 * (seen - depth(*place) * sin[:, None, None]) / cos[:, None, None]
    image = cv2.remap(_skin(), *(place.astype(np.float32) * 85 + 300), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    image = np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)
    landmarks = POINTS * cos + depth(*POINTS.T)[:, None] * sin
    landmarks = landmarks * EYE_PX + SIDE_PX / 2 + rng.normal(0, noise_px, landmarks.shape)
    box = BoundingBox(*(landmarks.min(axis=0) - 50), *(landmarks.max(axis=0) + 50))
    face = DetectedFace(box, tuple((float(x), float(y)) for x, y in landmarks), 1.0)  # type: ignore[arg-type]
    vector = np.array([1, 0], np.float32)
    return Frame(np.repeat(image[..., None], 3, axis=2), face, vector, step, rng.bytes(32).hex())


def frames(depth: Depth, poses: list[tuple[float, float]], seed: int = 0) -> list[Frame]:
    """Three frames of each (yaw, pitch), the first of step 0; a hand or a neck trembles by a degree."""
    rng = np.random.default_rng(seed)
    return [
        frame(depth, yaw + rng.normal(), step, seed * 1000 + 3 * step + at, pitch + rng.normal())
        for step, (yaw, pitch) in enumerate(poses)
        for at in range(3)
    ]


@cache
def _skin() -> NDArray[np.float32]:
    """Spots of several sizes, everywhere the same ones."""
    rng = np.random.default_rng(7)
    image = np.full((600, 600), 128, np.float32)
    for size, strength in ((3, 160), (8, 240), (25, 500)):
        image += strength * cv2.GaussianBlur(rng.normal(0, 1, image.shape).astype(np.float32), (0, 0), size)
    return image
