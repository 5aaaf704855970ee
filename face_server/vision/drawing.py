"""Found faces drawn into a picture, for the eyes of whoever tests the daemon. Knows no network and no files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from face_server.types import DetectedFace, RgbImage

_BOX = (0, 230, 90)
_POINT = (255, 220, 0)
_INK = (0, 0, 0)
#: Lines and letters grow with the picture, which a viewer shrinks to the screen: at a height of 900 px on screen,
#: lines are about 3 px wide and letters about 25 px high. Below the minimum nothing can be read.
_LINES_PER_SIDE = 300
_LETTERS_PER_SIDE = 36
_MIN_LETTER_PX = 11


def annotate(image: RgbImage, faces: Sequence[DetectedFace], labels: Sequence[str]) -> RgbImage:
    """A copy of the picture (height, width, 3) uint8 with each face's box, five landmarks and label.

    A label stands above its box, or inside it where there is no room, always within the picture; an empty one is left
    out. Raises ValueError when there are not as many labels as faces.
    """
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    line = max(1, max(picture.size) // _LINES_PER_SIDE)
    for face, label in zip(faces, labels, strict=True):
        box = face.box
        draw.rectangle((box.x1, box.y1, box.x2, box.y2), outline=_BOX, width=line)
        for x, y in face.landmarks:
            draw.ellipse((x - line, y - line, x + line, y + line), fill=_POINT)
        if label:
            _write(draw, label, box.x1, box.y1, picture.size)
    return np.array(picture)


def _write(draw: ImageDraw.ImageDraw, label: str, x: float, bottom: float, size: tuple[int, int]) -> None:
    letter = max(_MIN_LETTER_PX, max(size) // _LETTERS_PER_SIDE)
    font = ImageFont.load_default(letter)
    left, top, right, low = draw.textbbox((0, 0), label, font=font)
    width, height = right - left, low - top
    pad = letter // 4
    x = min(max(x, 0), max(0, size[0] - width - 2 * pad))
    y = min(max(bottom - height - 2 * pad, 0), max(0, size[1] - height - 2 * pad))
    draw.rectangle((x, y, x + width + 2 * pad, y + height + 2 * pad), fill=_BOX)
    draw.text((x + pad - left, y + pad - top), label, font=font, fill=_INK)
