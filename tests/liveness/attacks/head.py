"""A photograph animated in three dimensions: laid on a modelled head, which turns. What a deepfake does, only cruder.

It serves twice: as the attack that no check of geometry can stop, since its geometry is a head's; and as a stand-in for
the honest turns of many people, of whom there are photographs only. It proves nothing about real people: the head's
shape is one formula. Depths in eye distances: the tip of a nose stands 0.55 before the eyes, the mouth 0.2, the head is
an ellipsoid 2.4 wide, 3.5 high and 2.8 deep: rough figures of a grown man's, an eye distance being 63 mm.
"""

from __future__ import annotations

import cv2
import numpy as np
from liveness.attacks.attempt import EYES_MM, HEIGHT_PX, WIDTH_PX
from liveness.attacks.performing import Pose
from liveness.attacks.photographs import Photograph
from liveness.attacks.sheet import FOCAL_PX, rotation

from face_server.types import FloatArray, RgbImage

_HALF = (1.2, 1.75, 1.4)
_BELOW_EYES = 0.15
_NOSE, _NOSE_WIDE, _NOSE_HIGH = 0.42, 0.19, 0.3
#: The neck's joint, behind the face's middle, in eye distances.
_PIVOT = 1.5
_ROUNDS = 14


def animated(photo: Photograph, pose: Pose, eyes_px: float, depth: float = 1.0) -> RgbImage:
    """The photograph as a camera would see the head in this pose; depth scales the head's relief (0 is flat).

    The picture behind the head stays; where a turn would show what no photograph has, the skin is stretched.
    """
    front = framed(photo, eyes_px)
    nose = (np.array(photo.face.landmarks[2]) - photo.texture.middle) / photo.eyes_px
    small = (WIDTH_PX // 2, HEIGHT_PX // 2)
    rows, columns = np.mgrid[: small[1], : small[0]].astype(np.float32) * 2
    target = np.stack([columns - WIDTH_PX / 2, rows - HEIGHT_PX / 2], axis=-1) / eyes_px
    source = target.copy()
    for _ in range(_ROUNDS):
        # Where does this point of the photograph go, and by how much is that wrong?
        source += 0.9 * (target - _moved(source, pose, nose, depth, eyes_px))
    maps = cv2.resize(source.astype(np.float32) * eyes_px, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_LINEAR)
    x, y = maps[..., 0] + WIDTH_PX / 2, maps[..., 1] + HEIGHT_PX / 2
    return cv2.remap(front, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def framed(photo: Photograph, eyes_px: float) -> RgbImage:
    """The photograph as a webcam's picture, the middle of the face in the middle."""
    ratio = eyes_px / photo.eyes_px
    x, y = photo.texture.middle
    matrix = np.array([[ratio, 0, WIDTH_PX / 2 - ratio * x], [0, ratio, HEIGHT_PX / 2 - ratio * y]])
    return cv2.warpAffine(
        photo.image, matrix, (WIDTH_PX, HEIGHT_PX), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def relief(at: FloatArray, nose: np.ndarray, depth: float) -> FloatArray:
    """How far before the plane of the eyes the head stands at (..., 2) points, in eye distances."""
    inside = 1 - (at[..., 0] / _HALF[0]) ** 2 - ((at[..., 1] - _BELOW_EYES) / _HALF[1]) ** 2
    round_ = _HALF[2] * (np.sqrt(np.clip(inside, 0.02, None)) - 0.9)
    tip = ((at[..., 0] - nose[0]) / _NOSE_WIDE) ** 2 + ((at[..., 1] - nose[1]) / _NOSE_HIGH) ** 2
    stands: FloatArray = depth * (round_ + _NOSE * np.exp(-tip / 2))
    return stands


def _moved(at: FloatArray, pose: Pose, nose: np.ndarray, depth: float, eyes_px: float) -> FloatArray:
    """Where points of the front view are seen in the pose; further from the head, less and less of it applies."""
    z = -relief(at, nose, depth)
    points = np.concatenate([at, z[..., None]], axis=-1).astype(np.float64)
    pivot = np.array([0, 0, _PIVOT])
    turned = (points - pivot) @ rotation(pose).T + pivot
    far = FOCAL_PX / eyes_px
    shift = np.array([pose.right_mm, pose.down_mm]) / EYES_MM
    seen = (turned[..., :2] + shift) * (far / (far / pose.nearer + turned[..., 2]))[..., None]
    front = at * (far / (far + z))[..., None]
    radius = np.hypot(at[..., 0] / 1.5, (at[..., 1] - _BELOW_EYES) / 2.0)
    share = np.clip(2.2 - radius, 0, 1)[..., None]
    # The front view is the photograph itself: only what changes against it counts.
    return (at + share * (seen - front)).astype(np.float32)
