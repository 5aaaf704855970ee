"""Pure geometry: a found face to the square crop that the embedding network was trained on. Knows no network.

Every method is one 2x3 matrix from pixels of the picture to pixels of the crop, and one warp. `similarity` is the
default: the 2018 FaceNet checkpoints were trained on MTCNN boxes squeezed to a square, so a face there is wider than
in life; the least-squares similarity takes out position, size and roll, and the stretch puts the training shape back.
Target points and stretch are means over LFW. `affine3` is the first generation's alignment, `box` what the
checkpoints were trained on; both are there to compare with. MobileFaceNet's crop is `ARCFACE_112`, which no option
changes.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from face_server.config import AlignmentConfig
from face_server.errors import ConfigError, CutOff, TurnedAway
from face_server.types import DetectedFace, RgbImage

#: Points (n, 2) and matrices (2, 3), float64.
Geometry = NDArray[np.float64]

#: Landmarks that spread across their main direction by a smaller share of the spread along it lie on a line. The
#: flattest of 2,348 LFW faces has 0.47.
_MIN_FLATNESS = 0.1

#: What a crop shows beyond the picture's edge: 0 after standardisation. Of faces cut off by up to 15 % it keeps more
#: of the score (mean 0.971 with the whole face) than black (0.969) or smeared edges (0.963).
_BEYOND = (127, 127, 127)


#: The crop of networks trained as ArcFace was (Deng et al. 2019, arXiv:1801.07698), MobileFaceNet among them: the five
#: points of its authors' reference code (insightface, `arcface_dst`), which are the 112x96 points of SphereFace (Liu et
#: al. 2017) moved right by 8 px. A face keeps its proportions. It belongs to the weights, so it is no option.
ARCFACE_112 = AlignmentConfig(
    method="similarity",
    image_size=112,
    stretch=1.0,
    eye_left=(38.2946, 51.6963),
    eye_right=(73.5318, 51.5014),
    nose=(56.0252, 71.7366),
    mouth_left=(41.5493, 92.3655),
    mouth_right=(70.7299, 92.2041),
)


class Aligner:
    """Crops faces by the configured method. Immutable once made.

    Raises ConfigError when the configured points lie on a line or the margin leaves no room for the face.
    """

    def __init__(self, config: AlignmentConfig) -> None:
        self._config = config
        self._size = config.image_size
        self._points = _target_points(config)
        if config.method != "box" and _flatness(self._points) < _MIN_FLATNESS:
            raise ConfigError(f"[alignment] the target points of {config.method} must not lie on a line")
        if config.method == "box" and config.box_margin_px >= self._size:
            raise ConfigError("[alignment] box_margin_px must be smaller than image_size")

    def describe(self) -> dict[str, Any]:
        """The settings that change pixels, and only those, JSON-able: a part of every template's fingerprint."""
        settings: dict[str, Any] = {"method": self._config.method, "image_size": self._size}
        if self._config.method == "box":
            return settings | {"box_margin_px": self._config.box_margin_px}
        settings["points"] = self._points.tolist()
        return settings | ({"stretch": self._config.stretch} if self._config.method == "similarity" else {})

    def align(self, image: RgbImage, face: DetectedFace) -> RgbImage:
        """The crop (size, size, 3) uint8 of one face of a picture (height, width, 3); grey beyond its edges.

        Raises TurnedAway when the landmarks lie on a line or in one point, CutOff when the box lies outside.
        """
        return _warp(image, self.matrix(face, image.shape[1], image.shape[0]), self._size)

    def matrix(self, face: DetectedFace, width: int, height: int) -> Geometry:
        """(2, 3) float64 from pixels of a picture of this width and height to pixels of the crop. Raises as align."""
        if self._config.method == "box":
            return self._box(face, width, height)
        landmarks = np.array(face.landmarks, dtype=np.float64)
        if self._config.method == "affine3":
            return _exact_affine(_usable(landmarks[:3]), self._points)
        squeezed = _stretch(1 / self._config.stretch, self._size) @ _homogeneous(self._points)
        similarity = similarity_transform(_usable(landmarks), squeezed.T)
        stretched: Geometry = _stretch(self._config.stretch, self._size) @ np.vstack([similarity, (0, 0, 1)])
        return stretched

    def _box(self, face: DetectedFace, width: int, height: int) -> Geometry:
        """The box widened so that it leaves box_margin_px of the crop to the margin, cut to the picture, squeezed."""
        box = face.box
        share = self._config.box_margin_px / (self._size - self._config.box_margin_px) / 2
        x1, x2 = max(box.x1 - share * box.width, 0.0), min(box.x2 + share * box.width, float(width))
        y1, y2 = max(box.y1 - share * box.height, 0.0), min(box.y2 + share * box.height, float(height))
        if not (x2 - x1 >= 1 and y2 - y1 >= 1):  # NaN is refused too
            raise CutOff("The face lies outside the picture: move to the middle of it.")
        corners = np.array([(x1, y1), (x2, y1), (x1, y2)]) - 0.5
        return _exact_affine(corners, np.array([(0, 0), (self._size, 0), (0, self._size)]) - 0.5)


def similarity_transform(source: Geometry, target: Geometry) -> Geometry:
    """(2, 3) float64: rotation, scale and shift, never a reflection, that bring source (n, 2) nearest target (n, 2).

    Least squares as in Umeyama 1991 (doi:10.1109/34.88573). In the plane it needs no singular values: with points as
    complex numbers a similarity is z -> a z + b, and a is the one coefficient of a linear regression.
    Raises ValueError when the source is a single point.
    """
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    p = (source - source_mean) @ (1, 1j)
    q = (target - target_mean) @ (1, 1j)
    spread = np.vdot(p, p).real
    if not spread > 0:
        raise ValueError("a single point has no size and no direction")
    a = np.vdot(p, q) / spread
    linear = np.array([(a.real, -a.imag), (a.imag, a.real)])
    return np.column_stack([linear, target_mean - linear @ source_mean])


def _target_points(config: AlignmentConfig) -> Geometry:
    if config.method == "affine3":
        points = (config.affine3_eye_left, config.affine3_eye_right, config.affine3_nose)
        return np.array(points, dtype=np.float64) * config.image_size / config.affine3_size
    points_5 = (config.eye_left, config.eye_right, config.nose, config.mouth_left, config.mouth_right)
    return np.array(points_5, dtype=np.float64)


def _usable(landmarks: Geometry) -> Geometry:
    if not np.isfinite(landmarks).all() or _flatness(landmarks) < _MIN_FLATNESS:
        raise TurnedAway("The face is turned away too far: please look straight into the camera.")
    return landmarks


def _flatness(points: Geometry) -> float:
    """Spread across the main direction over the spread along it, 0..1; 0 on a line or in one point."""
    along, across = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    return float(across / along) if along > 0 else 0.0


def _exact_affine(source: Geometry, target: Geometry) -> Geometry:
    """(2, 3) that carries three points (3, 2) onto three points (3, 2)."""
    return np.asarray(np.linalg.solve(_homogeneous(source).T, target).T, dtype=np.float64)


def _homogeneous(points: Geometry) -> Geometry:
    return np.vstack([points.T, np.ones(len(points))])


def _stretch(factor: float, size: int) -> Geometry:
    """(2, 3): x stretched about the middle of the crop."""
    return np.array([(factor, 0, size / 2 * (1 - factor)), (0, 1, 0)])


def _warp(image: RgbImage, matrix: Geometry, size: int) -> RgbImage:
    """Warp to size x size; a face that shrinks is first warped to a crop `fine` times finer and then averaged.

    warpAffine looks at four pixels however many fall into one, so a shrinking warp alone keeps a large face's noise:
    with a scale of 1/10 and a noise of 20 grey levels the score with the clean face is 0.94, averaged 0.998.
    """
    scale = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    # No finer than the picture itself, so that no landmarks, however far apart, can ask for a huge crop.
    fine = max(1, min(math.ceil(1 / max(scale, 1e-9)), max(image.shape) // size))
    # A pixel's middle lies at +0.5: u' = fine * (u + 0.5) - 0.5.
    finer = fine * matrix + np.array([(0, 0, (fine - 1) / 2)] * 2)
    side = (fine * size, fine * size)
    crop = cv2.warpAffine(image, finer, side, flags=cv2.INTER_LINEAR, borderValue=_BEYOND)
    return np.asarray(cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA), dtype=np.uint8)
