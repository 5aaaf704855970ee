"""Photographs that attacks are made of: real faces, and where the eyes and the mouth are in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from liveness.attacks.attempt import EYES_MM, decoded
from liveness.attacks.footage import Detect
from liveness.attacks.sheet import Texture

from face_server.types import BoundingBox, DetectedFace, RgbImage

#: A print from fewer pixels between the eyes looks like one to everybody.
_LEAST_EYES_PX = 40
#: More than a webcam shows of a face before it: larger photographs are shrunk, which also smooths them as a lens would.
_MOST_EYES_PX = 105
_WIDEST_PX = 1600


@dataclass(frozen=True, slots=True)
class Photograph:
    """A photograph of one person and the face in it."""

    name: str
    image: RgbImage
    face: DetectedFace

    @property
    def eyes_px(self) -> float:
        return float(np.hypot(*np.subtract(self.face.landmarks[1], self.face.landmarks[0])))

    @property
    def texture(self) -> Texture:
        """In life size, its middle between eyes and mouth."""
        points = np.array(self.face.landmarks)
        x, y = points[[0, 1, 3, 4]].mean(axis=0)
        return Texture(self.image, self.eyes_px / EYES_MM, (float(x), float(y)))

    def cut(self, width_mm: float, height_mm: float) -> tuple[tuple[float, float], tuple[float, float]]:
        """(size, upper left corner) in mm of a print of at most this size that stays within the photograph."""
        texture = self.texture
        height, width = self.image.shape[:2]
        left, right = texture.middle[0] / texture.pixels_per_mm, (width - texture.middle[0]) / texture.pixels_per_mm
        up, down = texture.middle[1] / texture.pixels_per_mm, (height - texture.middle[1]) / texture.pixels_per_mm
        left, right = min(left, width_mm / 2), min(right, width_mm / 2)
        up, down = min(up, height_mm * 0.5), min(down, height_mm * 0.5)
        return (left + right, up + down), (-left, -up)


def photographs(folders: list[Path], detect: Detect, wanted: int) -> list[Photograph]:
    """The first `wanted` photographs with one large, upright face looking ahead, of all these folders in turn."""
    found: list[Photograph] = []
    for path in _files(folders):
        if len(found) == wanted:
            break
        image = decoded(path.read_bytes())
        if max(image.shape) > _WIDEST_PX:
            ratio = _WIDEST_PX / max(image.shape)
            image = cv2.resize(image, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
        faces = detect(image)
        if len(faces) == 1 and _suits(photo := Photograph(path.stem, image, faces[0])):
            found.append(_shrunk(photo))
    return found


def _files(folders: list[Path]) -> Iterator[Path]:
    """Every picture; of a folder of people one of each."""
    for folder in folders:
        yield from sorted(path for path in folder.iterdir() if path.suffix in (".jpg", ".png", ".jpeg"))
        for person in sorted(path for path in folder.iterdir() if path.is_dir()):
            yield from sorted(person.iterdir())[:1]


def _shrunk(photo: Photograph) -> Photograph:
    ratio = _MOST_EYES_PX / photo.eyes_px
    if ratio >= 1:
        return photo
    image = cv2.resize(photo.image, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
    box, points = photo.face.box, tuple((x * ratio, y * ratio) for x, y in photo.face.landmarks)
    box = BoundingBox(box.x1 * ratio, box.y1 * ratio, box.x2 * ratio, box.y2 * ratio)
    return Photograph(photo.name, image, DetectedFace(box, points, photo.face.confidence))  # type: ignore[arg-type]


def _suits(photo: Photograph) -> bool:
    points = np.array(photo.face.landmarks)
    off = (points[2] - points[[0, 1, 3, 4]].mean(axis=0)) / photo.eyes_px
    level = abs(points[1, 1] - points[0, 1]) / photo.eyes_px
    (width, height), (left, top) = photo.cut(170, 220)
    whole = left < -70 and left + width > 70 and top < -80 and top + height > 80
    return whole and photo.eyes_px >= _LEAST_EYES_PX and abs(off[0]) < 0.1 and -0.05 < off[1] < 0.25 and level < 0.1
