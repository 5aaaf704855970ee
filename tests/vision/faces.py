"""Faces of the sample photographs at fixed places, so that geometry and embedding are tested without a detector."""

from __future__ import annotations

from pathlib import Path

from face_server.types import BoundingBox, DetectedFace, RgbImage
from face_server.vision.imaging import decode

#: As MtcnnDetector gave them, to the pixel; looked at by eye.
FACES = {
    "biden": DetectedFace(
        BoundingBox(438, 173, 708, 556), ((534, 323), (654, 348), (595, 406), (518, 460), (628, 480)), 1.0
    ),
    "obama": DetectedFace(
        BoundingBox(386, 90, 609, 413), ((446, 213), (546, 212), (497, 276), (438, 320), (551, 316)), 1.0
    ),
    "obama2": DetectedFace(
        BoundingBox(195, 224, 465, 623), ((252, 367), (372, 379), (288, 446), (247, 519), (353, 523)), 1.0
    ),
    "obama3": DetectedFace(
        BoundingBox(648, 266, 907, 608), ((737, 381), (858, 397), (808, 441), (733, 509), (843, 523)), 1.0
    ),
}


def photo(directory: Path, name: str) -> RgbImage:
    """One of the sample photographs."""
    return decode((directory / f"{name}.jpg").read_bytes(), 40_000_000)
