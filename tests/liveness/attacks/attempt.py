"""What an attempt at a challenge is: frames as a camera would send them, and what was asked. Knows no daemon.

Lengths in the scene are millimetres: the pupils of a grown person stand 63 mm apart (Dodgson, "Variation and extrema of
human interpupillary distance", SPIE 5291, 2004), so a photograph of a face has a scale.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from face_server.liveness.challenge import Step
from face_server.types import RgbImage

WIDTH_PX, HEIGHT_PX = 640, 480
EYES_MM = 63.0


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame: the step that its sender says it was taken in, and a JPEG file's bytes."""

    step: int
    jpeg: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One answer to a challenge. steps: what was asked."""

    species: str
    number: int
    steps: tuple[Step, ...]
    shots: tuple[Shot, ...]


def generator(species: str, number: int) -> np.random.Generator:
    """The chance of one attempt: the same for the same species and number, on every machine."""
    return np.random.default_rng([zlib.crc32(species.encode()), number])


def jpeg(image: RgbImage, rng: np.random.Generator, quality: int = 88, noise: float = 2.0) -> bytes:
    """A frame of a webcam: a sensor's noise (in grey levels), then JPEG."""
    noisy = image + noise * rng.standard_normal(image.shape, np.float32)
    return encoded(np.clip(noisy, 0, 255).astype(np.uint8), quality)


def encoded(image: RgbImage, quality: int) -> bytes:
    """A JPEG file's bytes."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise RuntimeError("OpenCV could not write a JPEG")
    return data.tobytes()


def decoded(data: bytes) -> RgbImage:
    """RGB pixels of an image file's bytes."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise RuntimeError("OpenCV could not read an image that a test made")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def flash_of(steps: Sequence[Step], number: int) -> str | None:
    """The colour that the screen shows in a step, None before the first and in steps without."""
    return steps[number - 1].colour if number else None
