"""How good a found face is: measured numbers, and the refusals that follow from them. Knows no network and no codec.

Refusals are advice to the person in front of the camera, with the measured value and the limit. What is measured is
the picture as the camera gave it (before low-light correction), and in one fixed crop whatever the embedding network
wants, so that one limit means the same for all networks.

The limits are those of [quality]. On lfw-dev, whose photographs are mostly good, what the natural ones show is thin, so
each limit also was held against degraded copies: `python -m face_server.evaluation.quality` prints both tables.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from face_server.config import AlignmentConfig, QualityConfig
from face_server.errors import Blurred, CutOff, FaceTooSmall, SeveralFaces, TooBright, TooDark, TurnedAway
from face_server.types import DetectedFace, FloatArray, Landmarks, Quality, RgbImage
from face_server.vision.alignment import Aligner

#: The crop in which luminance and sharpness are measured, 160 px wide: FaceNet's, whatever [alignment] says.
_CROP = Aligner(AlignmentConfig(method="similarity"))

#: The face itself in that crop, without hair, collar and wall: from brows to chin, from cheek to cheek.
_INNER = (slice(40, 130), slice(35, 125))

#: From this grey level on a pixel counts as burnt out: JPEG moves 255 a little.
_BURNT_OUT = 250

#: A face darker than this is measured as if it were brightened to it: sharpness would else see a dim face as a blurred
#: one. The median of lfw-dev is 113; a quarter is darker than 100.
_SHARPNESS_LUMINANCE = 100.0

#: Pitch of a face that looks straight ahead: the median of lfw-dev is 0.044, of the portraits and webcam frames 0.10.
STRAIGHT_PITCH = 0.05


@dataclass(frozen=True, slots=True)
class Limits:
    """What a face must have for one purpose; units as in `Quality`. Pitch counts from STRAIGHT_PITCH.

    max_overexposed: share of the inner face that is burnt out. max_cut_off: share of the box outside the picture.
    second_face: a second face of this share of the first one's width refuses.
    """

    min_face_px: int
    min_luminance: float
    max_overexposed: float
    min_sharpness: float
    max_yaw: float
    max_pitch: float
    max_roll: float
    max_cut_off: float
    second_face: float

    @classmethod
    def of(cls, config: QualityConfig, prefix: str) -> Limits:
        """The options that begin with `enrol` or `search`."""
        return cls(**{name: getattr(config, f"{prefix}_{name}") for name in cls.__slots__})


def measuring_crop(image: RgbImage, face: DetectedFace) -> RgbImage:
    """The crop (160, 160, 3) uint8 in which a face is measured. Raises TurnedAway as Aligner.align."""
    return _CROP.align(image, face)


def measure(face: DetectedFace, crop: RgbImage) -> Quality:
    """Measure a face and its measuring crop.

    luminance: mean grey (Rec. 601) of the aligned crop, 0..255. sharpness: variance of the second differences of that
    crop's grey levels along x or along y, whichever is less, in grey levels squared. Of the crop and not of the
    picture, since there a hand or a poster may be sharper than the face, and since a face that had to be enlarged
    should count as blurred. The lesser of the two, since a moved camera blurs along one direction: with limits that
    refuse the same 0.2 % of lfw-dev it tells 92 % of faces moved by 13 px, the variance of the Laplacian 40 %.
    """
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    luminance = float(grey.mean())
    yaw, pitch, roll = _pose(face.landmarks)
    return Quality(
        face_px=float(face.box.width),
        confidence=float(face.confidence),
        sharpness=_sharpness(grey.astype(np.float32) * max(1.0, _SHARPNESS_LUMINANCE / max(luminance, 1.0))),
        luminance=luminance,
        yaw=yaw,
        pitch=pitch,
        roll=roll,
    )


def overexposed(crop: RgbImage) -> float:
    """Share 0..1 of the inner face in a measuring crop whose grey is burnt out."""
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    return float((grey[_INNER] >= _BURNT_OUT).mean())


def cut_off(face: DetectedFace, width: int, height: int) -> float:
    """Share 0..1 of a face's box that lies outside a picture of this width and height; 1 for a box without area."""
    box = face.box
    inside = max(0.0, min(box.x2, width) - max(box.x1, 0)) * max(0.0, min(box.y2, height) - max(box.y1, 0))
    area = box.width * box.height
    return 1 - inside / area if box.width > 0 and box.height > 0 else 1.0


def check(image: RgbImage, face: DetectedFace, limits: Limits) -> Quality:
    """Measure a face of a picture as the camera gave it and raise the first reason against it.

    Raises FaceTooSmall, CutOff, TooDark, TooBright, TurnedAway, Blurred, in this order: a cause before what it causes.
    Landmarks of a face that is cut off or unlit are guesses, and a face that is small, cut off, dark or turned away
    also measures as blurred, while "hold still" would help none of these people.
    """
    check_size(face, limits.min_face_px)
    check_whole(cut_off(face, image.shape[1], image.shape[0]), limits.max_cut_off)
    crop = measuring_crop(image, face)
    quality = measure(face, crop)
    check_light(quality.luminance, overexposed(crop), limits)
    check_pose(quality, limits)
    check_sharp(quality.sharpness, limits.min_sharpness)
    return quality


def check_alone(faces: Sequence[DetectedFace], second_face_share: float) -> None:
    """Raise SeveralFaces when another face is at least this share (0..1) as wide as the first; [] is fine."""
    if len(faces) < 2:
        return
    first, second = faces[0].box.width, max(face.box.width for face in faces[1:])
    if second >= second_face_share * first:
        raise SeveralFaces(
            f"Only one person may be in front of the camera: the largest face is {first:.0f} pixels wide, another"
            f" {second:.0f}; it may be less than {second_face_share:.0%} as wide.",
            faces=len(faces),
            face_px=round(first),
            second_face_px=round(second),
            second_face=second_face_share,
        )


def check_size(face: DetectedFace, min_face_px: int) -> None:
    """Raise FaceTooSmall when the face is narrower than min_face_px pixels of the picture."""
    width = face.box.width
    if width < min_face_px:
        raise FaceTooSmall(
            f"Please come closer: the face is {width:.0f} pixels wide, at least {min_face_px} are needed.",
            face_px=round(width),
            min_face_px=min_face_px,
            measured=round(width, 1),
            limit=min_face_px,
        )


def check_whole(share: float, max_cut_off: float) -> None:
    """Raise CutOff when more than this share (0..1) of the face lies outside the picture."""
    if share > max_cut_off:
        raise CutOff(
            f"Please move to the middle of the picture: {share:.1%} of the face lies outside it, at most"
            f" {max_cut_off:.1%} may.",
            measured=round(share, 3),
            limit=max_cut_off,
        )


def check_light(luminance: float, burnt_out: float, limits: Limits) -> None:
    """Raise TooDark below the least mean luminance (0..255), TooBright above the share (0..1) that may be burnt out."""
    if luminance < limits.min_luminance:
        raise TooDark(
            f"Please turn on a light or face a window: the face has a brightness of {luminance:.1f} of 255, at least"
            f" {limits.min_luminance:g} is needed.",
            measured=round(luminance, 1),
            limit=limits.min_luminance,
        )
    if burnt_out > limits.max_overexposed:
        raise TooBright(
            f"Please turn away from the bright light: {burnt_out:.1%} of the face is pure white, at most"
            f" {limits.max_overexposed:.1%} may be.",
            measured=round(burnt_out, 3),
            limit=limits.max_overexposed,
        )


def check_pose(quality: Quality, limits: Limits) -> None:
    """Raise TurnedAway for the first of yaw, pitch (from STRAIGHT_PITCH) and roll that is past its limit."""
    turns = (
        ("yaw", quality.yaw, limits.max_yaw, "is turned to the side by", ""),
        ("pitch", quality.pitch - STRAIGHT_PITCH, limits.max_pitch, "is raised or lowered by", ""),
        ("roll", quality.roll, limits.max_roll, "is tilted by", " degrees"),
    )
    for axis, angle, limit, words, unit in turns:
        if abs(angle) > limit:
            raise TurnedAway(
                f"Please look straight into the camera: the face {words} {abs(angle):.2f}{unit}, at most"
                f" {limit:g}{unit} is taken.",
                axis=axis,
                measured=round(abs(angle), 3),
                limit=limit,
            )


def check_sharp(sharpness: float, min_sharpness: float) -> None:
    """Raise Blurred when the sharpness, in grey levels squared, is below the limit."""
    if sharpness < min_sharpness:
        raise Blurred(
            f"Please hold still and wipe the lens: the face has a sharpness of {sharpness:.2f}, at least"
            f" {min_sharpness:g} is needed.",
            measured=round(sharpness, 2),
            limit=min_sharpness,
        )


def _sharpness(grey: FloatArray) -> float:
    second = np.array([(1, -2, 1)], np.float32)
    return float(min(cv2.filter2D(grey, -1, kernel).var() for kernel in (second, second.T)))


def _pose(landmarks: Landmarks) -> tuple[float, float, float]:
    """(yaw, pitch, roll) of a face from its five points, taken as complex numbers so that a turn is a division.

    Each shift of the nose is measured with the ruler that this turn does not shorten: yaw in heights from eyes to
    mouth, pitch in distances between the eyes.
    """
    eye_left, eye_right, nose, mouth_left, mouth_right = (complex(x, y) for x, y in landmarks)
    across = eye_right - eye_left
    down = (mouth_left + mouth_right - eye_left - eye_right) / 2
    roll = cmath.phase(across)
    middle = (eye_left + eye_right + mouth_left + mouth_right) / 4
    shift = (nose - middle) * cmath.rect(1, -roll)
    # A ruler below one pixel measures nothing; it only must not divide by zero.
    return shift.real / max(abs(down), 1), shift.imag / max(abs(across), 1), math.degrees(roll)
