"""Makes what a webcam would show of a person, from a portrait: slow zoom and drift, and noise that is never the same.

The noise matters: a site that refuses a frame it has seen would refuse a clip that repeats itself, so every clip is
made anew. Knows pictures and files; no browser and no site.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture: TypeAlias = NDArray[np.uint8]

WIDTH, HEIGHT = 640, 480
#: Slow, so that a clip of a given size lasts long; Chromium starts it anew at its end.
FRAMES_PER_S = 10
#: Grey levels; what a small sensor gives in a lit room.
NOISE = 3.0


@dataclass(frozen=True)
class Portrait:
    """A photograph and where the face is in it: x1, y1, x2, y2."""

    path: Path
    face: tuple[float, float, float, float]


@dataclass(frozen=True)
class Scene:
    """How a portrait is shown.

    size: height of the face, right, down: shift of its middle, all as shares of the picture's height.
    """

    size: float = 0.5
    right: float = 0.0
    down: float = 0.02
    light: float = 1.0


def frames(portrait: Portrait, count: int, scene: Scene | None = None) -> Iterator[Picture]:
    """RGB pictures of 640x480, each a little different from the one before."""
    shown = scene or Scene()
    smaller, middle = _scaled(portrait, shown.size)
    noise = Noise()
    turn = noise.random.uniform(0, 2 * math.pi)
    for _ in range(count):
        turn += 2 * math.pi / FRAMES_PER_S / 9
        still = cv2.warpAffine(smaller, _drift(middle, shown, turn), (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
        yield noise.over(cv2.convertScaleAbs(still, alpha=shown.light))


@cache
def _scaled(portrait: Portrait, size: float) -> tuple[Picture, tuple[float, float]]:
    """The photograph with the face as large as wanted, and the middle of the face in it."""
    x1, y1, x2, y2 = portrait.face
    scale = size * HEIGHT / (y2 - y1)
    photo = Image.open(portrait.path).convert("RGB")
    smaller = photo.resize((round(scale * photo.width), round(scale * photo.height)), Image.Resampling.LANCZOS)
    return np.asarray(smaller), (scale * (x1 + x2) / 2, scale * (y1 + y2) / 2)


def _drift(middle: tuple[float, float], scene: Scene, turn: float) -> Any:
    zoom = 1 + 0.04 * math.sin(turn)
    x = WIDTH / 2 + HEIGHT * (scene.right + 0.02 * math.sin(0.7 * turn))
    y = HEIGHT / 2 + HEIGHT * (scene.down + 0.01 * math.cos(1.3 * turn))
    return np.array([[zoom, 0, x - zoom * middle[0]], [0, zoom, y - zoom * middle[1]]], np.float32)


class Noise:
    """A sensor's, in grey levels, new in every run: a large field of it, of which each frame gets another part."""

    def __init__(self, levels: float = NOISE) -> None:
        self.random = np.random.default_rng()
        self._field = _noise_field(levels)

    def over(self, picture: Picture) -> Picture:
        """The picture with noise on it."""
        top, left = self.random.integers(0, 1000, 2)
        noise = np.ascontiguousarray(self._field[top : top + HEIGHT, left : left + WIDTH])
        return np.asarray(cv2.add(picture, noise, dtype=cv2.CV_8U), np.uint8)


@cache
def _noise_field(levels: float) -> NDArray[np.int16]:
    return np.random.default_rng().normal(0, levels, (HEIGHT + 1000, WIDTH + 1000, 3)).astype(np.int16)


def burst(portrait: Portrait, count: int = 3, scene: Scene | None = None) -> list[bytes]:
    """JPEG frames as the page would send them."""
    return [jpeg(picture) for picture in frames(portrait, count, scene)]


def jpeg(picture: Picture) -> bytes:
    """A picture as JPEG."""
    target = io.BytesIO()
    Image.fromarray(picture).save(target, "JPEG", quality=92)
    return target.getvalue()


def write_clip(path: Path, pictures: Iterator[Picture], frames_per_s: int = FRAMES_PER_S) -> None:
    """A Y4M file, which Chromium's fake camera plays; it appears whole, so that a playing one may be replaced."""
    part = path.with_suffix(".part")
    first = next(pictures)
    height, width, _ = first.shape
    with part.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F{frames_per_s}:1 Ip A1:1 C420jpeg\n".encode())
        for picture in chain([first], pictures):
            file.write(b"FRAME\n" + cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420).tobytes())
    part.replace(path)


def portrait_clip(path: Path, portrait: Portrait, seconds: float = 15, scene: Scene | None = None) -> None:
    """A clip of one person before the camera."""
    write_clip(path, frames(portrait, round(seconds * FRAMES_PER_S), scene))


def upright_clip(path: Path, portrait: Portrait, scene: Scene, seconds: float = 5) -> None:
    """The same by the camera of a phone that is held upright: the middle of the picture."""
    write_clip(path, (picture[:, 140:500] for picture in frames(portrait, round(seconds * FRAMES_PER_S), scene)))


def recorded_clip(path: Path, recording: Path) -> None:
    """A clip of a recorded MJPEG file of 640x480, with noise of its own over it."""
    noise = Noise()
    data = recording.read_bytes()
    pictures = (
        np.asarray(Image.open(io.BytesIO(data[at:])).convert("RGB")) for at in _occurrences(data, b"\xff\xd8\xff")
    )
    write_clip(path, (noise.over(picture) for picture in pictures))


def _occurrences(data: bytes, mark: bytes) -> Iterator[int]:
    at = data.find(mark)
    while at >= 0:
        yield at
        at = data.find(mark, at + 1)
