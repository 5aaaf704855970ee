"""Frames of a real film, chosen so that they follow what a challenge asks for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np

#: Frames of webcam_one_person_640x480.mjpeg in which the man looks ahead, and in which his head is turned.
AHEAD, LEFT, RIGHT = (99, 102, 105), (113, 115, 117), (138, 140, 142)
ANSWERABLE = {"turn_left", "turn_right", "come_closer"}


@cache
def frames(path: Path) -> tuple[bytes, ...]:
    """The JPEG files that the film is made of."""
    data = path.read_bytes()
    parts = data.split(b"\xff\xd8\xff")[1:]
    return tuple(b"\xff\xd8\xff" + part for part in parts)


def answer(path: Path, steps: Sequence[str], take: int = 0) -> tuple[list[bytes], list[int]]:
    """Three images of looking ahead and of each step, and their step numbers; every take has bytes of its own."""
    film = frames(path)
    images = [_taken(film[at], 1.0, take) for at in AHEAD]
    for step in steps:
        shown = {"turn_left": LEFT, "turn_right": RIGHT, "come_closer": AHEAD}[step]
        images += [_taken(film[at], 1.25 if step == "come_closer" else 1.0, take) for at in shown]
    return images, [number for number in range(len(steps) + 1) for _ in range(3)]


def _taken(image: bytes, times: float, take: int) -> bytes:
    """The frame as a camera might have taken it another time: enlarged, with other noise."""
    pixels = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    height, width = pixels.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 0, times)
    noise = np.random.default_rng([take, len(image), round(times * 100)]).normal(0, 1, pixels.shape)
    noisy = np.clip(cv2.warpAffine(pixels, matrix, (width, height)) + noise, 0, 255).astype(np.uint8)
    return bytes(cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 90])[1])
