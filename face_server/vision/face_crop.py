"""The crop that is kept of an enrolled face: cut out with a margin, not warped, and aligned again for any network.
Owns how much of a picture that is, at which size and in which format; may not know networks, templates or the store.

The margin holds all that an alignment may ask for. How far the crops of 466 photographs (lfw-dev and portraits) reach
from the middle of the face's box, in its longer sides, at most: `similarity` 0.82, MobileFaceNet's 0.80, `box` 0.63,
`affine3` 1.02; with the landmarks turned by 40 degrees, which is the most roll to enrol with, 1.01, 1.02 and 1.30.

Size and format, by the cosine of the vector made again from the crop with the one made from the picture: the least of
21 photographs whose faces are larger than the crop's, and bytes at most. Without shrinking (100 of lfw-dev, faces of
130 px) JPEG 95 has 0.9996 at 20 kB, WebP 95, which halves the colours' resolution, 0.9953 at 12 kB.

    face's longer side     160            192            224            256            320
    FaceNet, similarity    0.9975         0.9986         0.9994         0.9994         0.9997
    FaceNet, box           0.9956         0.9972         0.9980         0.9986         0.9993
    MobileFaceNet          0.9991         0.9995         0.9996         0.9996         0.9998
    bytes, JPEG 95         72 kB          98 kB          126 kB         157 kB         226 kB
    (at 224: JPEG 90 has 0.9991, 0.9978, 0.9996 at 86 kB; lossless WebP 0.9994, 0.9979, 0.9996 at 304 kB)
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from face_server.types import BoundingBox, DetectedFace, FaceCrop, Point, RgbImage
from face_server.vision.alignment import Aligner
from face_server.vision.imaging import decode, encode_jpeg

#: From the middle of the box to each edge of the crop, in the box's longer sides; see above.
_REACH = 1.3
#: The box's longer side in the crop at most, pixels: the face that a 224 px input of ArcFace's proportions shows has
#: 170, so there is detail to spare for the networks to come.
_MOST_FACE_PX = 224
_JPEG_QUALITY = 95
#: A crop has 2.6 * 224 pixels a side at most, and a few by rounding.
_MAX_PIXELS = 600 * 600


def cut(image: RgbImage, face: DetectedFace) -> FaceCrop:
    """The crop of one face of a picture (height, width, 3), cut off where the picture ends.

    So an alignment shows grey beyond the crop's edge exactly where it would beyond the picture's.
    """
    box, (height, width) = face.box, image.shape[:2]
    longer = max(box.width, box.height)
    x, y, reach = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2, _REACH * longer
    left, top = max(0, math.floor(x - reach)), max(0, math.floor(y - reach))
    region = image[top : min(height, math.ceil(y + reach)), left : min(width, math.ceil(x + reach))]
    picture = _shrunk(region, _MOST_FACE_PX / longer)
    ratio_y, ratio_x = picture.shape[0] / region.shape[0], picture.shape[1] / region.shape[1]

    def moved(point: Point) -> Point:
        # A pixel's middle lies at +0.5.
        return float((point[0] - left + 0.5) * ratio_x - 0.5), float((point[1] - top + 0.5) * ratio_y - 0.5)

    eye, other_eye, nose, mouth, other_mouth = map(moved, face.landmarks)
    corners = BoundingBox(*moved((box.x1, box.y1)), *moved((box.x2, box.y2)))
    found = DetectedFace(corners, (eye, other_eye, nose, mouth, other_mouth), float(face.confidence))
    return FaceCrop(encode_jpeg(picture, _JPEG_QUALITY), found)


def realign(crop: FaceCrop, aligner: Aligner) -> RgbImage:
    """A network's input (size, size, 3) uint8 out of a kept crop. Raises TurnedAway, CutOff, ImageUnreadable."""
    return aligner.align(decode(crop.picture, _MAX_PIXELS), crop.face)


def _shrunk(region: RgbImage, ratio: float) -> RgbImage:
    if ratio >= 1:
        return region
    size = (max(1, round(region.shape[1] * ratio)), max(1, round(region.shape[0] * ratio)))
    return np.asarray(cv2.resize(region, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
