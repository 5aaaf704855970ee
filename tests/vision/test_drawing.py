"""Faces drawn into a picture."""

from __future__ import annotations

import numpy as np
import pytest

from face_server.types import BoundingBox, DetectedFace
from face_server.vision.drawing import annotate


def face(x: float, y: float, width: float) -> DetectedFace:
    points = tuple(
        (x + a * width, y + b * width) for a, b in ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.9), (0.65, 0.9))
    )
    return DetectedFace(BoundingBox(x, y, x + width, y + 1.3 * width), points, 1.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("side", [60, 640, 6000])
def test_box_points_and_a_legible_label_are_drawn_at_any_picture_size(side: int) -> None:
    image = np.full((side, side, 3), 128, np.uint8)
    one = face(side * 0.3, side * 0.3, side * 0.4)
    bare, labelled = annotate(image, [one], [""]), annotate(image, [one], ["Ada Lovelace"])
    assert (bare[:, round(one.box.x1)] != 128).any(axis=1).sum() >= one.box.height * 0.9
    assert all((bare[int(y) : int(y) + 2, int(x) : int(x) + 2] != 128).any() for x, y in one.landmarks)
    rows = np.flatnonzero((labelled != bare).any(axis=(1, 2)))
    assert len(rows) >= max(8, side // 40)
    assert (image == 128).all()


def test_a_label_stays_inside_the_picture_when_the_box_does_not() -> None:
    image = np.full((200, 200, 3), 128, np.uint8)
    for x, y in ((-40, -60), (150, 150), (500, 500)):
        one = face(x, y, 100)
        changed = (annotate(image, [one], ["Ada"]) != annotate(image, [one], [""])).any(axis=2)
        assert changed.sum() > 100


def test_labels_and_faces_must_be_equally_many() -> None:
    with pytest.raises(ValueError, match="shorter"):
        annotate(np.zeros((9, 9, 3), np.uint8), [face(1, 1, 5)], [])
