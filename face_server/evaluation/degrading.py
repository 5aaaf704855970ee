"""Photographs made worse on purpose, each in one way, as a bad capture would be. Knows no face but its box."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from face_server.types import BoundingBox, FloatArray, RgbImage
from face_server.vision.imaging import decode

#: A picture and its face's box to the worse picture, and where the middle of the face went, pixels.
Degrade = Callable[[RgbImage, BoundingBox], tuple[RgbImage, tuple[float, float]]]

#: Exponent between a pixel and the light it stands for: IEC 61966-2-1 is close to it.
_GAMMA = 2.2

#: A small sensor at a high gain: electrons that make a pixel white, and the noise of reading one.
_WHITE_ELECTRONS, _READ_ELECTRONS = 2000.0, 4.0


def degradations() -> list[tuple[str, str, Degrade]]:
    """(the reason that should be told, what was done, how) of every degradation."""
    return [
        *(("face_too_small", f"face {px} px wide", shrunk(px)) for px in (60, 50, 40, 30, 20)),
        *(("too_dark", f"{share:g} of the light", _in_place(exposed(share))) for share in (0.2, 0.1, 0.05, 0.02)),
        *(("too_dark", f"mean grey {mean}, noisy", _in_place(in_the_dark(mean))) for mean in (30, 18, 12)),
        *(("too_bright", f"{share:g} times the light", _in_place(exposed(share))) for share in (2, 3, 4, 6)),
        *(("blurred", f"out of focus, sigma {s:g} px", _in_place(defocused(s))) for s in (1, 1.5, 2, 2.5, 3)),
        *(("blurred", f"moved sideways by {px} px", _in_place(moved(px))) for px in (5, 9, 13, 17)),
        *(("turned_away", f"tilted by {angle} degrees", tilted(angle)) for angle in (30, 40, 50, 60)),
        *(("cut_off", f"{s:.0%} of the face cut off above", cropped(s, "above")) for s in (0.1, 0.2, 0.3)),
        *(("cut_off", f"{s:.0%} of the face cut off below", cropped(s, "below")) for s in (0.1, 0.2, 0.3)),
        *(("cut_off", f"{s:.0%} of the face cut off left", cropped(s, "left")) for s in (0.1, 0.2, 0.3)),
    ]


def middle(box: BoundingBox) -> tuple[float, float]:
    """The centre of a box, pixels."""
    return (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2


def shrunk(face_px: int) -> Degrade:
    """So far away that the face is face_px wide."""

    def degrade(image: RgbImage, box: BoundingBox) -> tuple[RgbImage, tuple[float, float]]:
        ratio = face_px / box.width
        x, y = middle(box)
        smaller = cv2.resize(image, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
        return np.asarray(smaller, np.uint8), (x * ratio, y * ratio)

    return degrade


def exposed(light: float) -> Callable[[RgbImage], RgbImage]:
    """With so many times the light; no noise."""
    levels = 255 * (np.arange(256) / 255) * light ** (1 / _GAMMA)
    table = np.clip(np.round(levels), 0, 255).astype(np.uint8)
    return lambda image: np.asarray(cv2.LUT(image, table), np.uint8)


def defocused(sigma: float) -> Callable[[RgbImage], RgbImage]:
    """Blurred by a Gaussian of this standard deviation, pixels."""
    return lambda image: np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def moved(length: int) -> Callable[[RgbImage], RgbImage]:
    """Blurred along the rows over so many pixels, an odd number."""
    return lambda image: np.asarray(cv2.blur(image, (length, 1)), np.uint8)


def tilted(degrees: float) -> Degrade:
    """Turned about the face, counter-clockwise."""

    def degrade(image: RgbImage, box: BoundingBox) -> tuple[RgbImage, tuple[float, float]]:
        matrix = cv2.getRotationMatrix2D(middle(box), degrees, 1)
        turned = cv2.warpAffine(image, matrix, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(turned, np.uint8), middle(box)

    return degrade


def cropped(share: float, side: str) -> Degrade:
    """The picture ends so far inside the face's box: above, below or left."""

    def degrade(image: RgbImage, box: BoundingBox) -> tuple[RgbImage, tuple[float, float]]:
        x, y = middle(box)
        if side == "below":
            return np.ascontiguousarray(image[: max(1, round(box.y2 - share * box.height))]), (x, y)
        if side == "above":
            cut = max(0, round(box.y1 + share * box.height))
            return np.ascontiguousarray(image[cut:]), (x, y - cut)
        cut = max(0, round(box.x1 + share * box.width))
        return np.ascontiguousarray(image[:, cut:]), (x - cut, y)

    return degrade


def darkened(image: RgbImage, mean: float, seed: int, noisy: bool = True) -> RgbImage:
    """Taken with so little light that the mean of the channels is this (0..255); 8 bits, JPEG quality 90.

    Noisy: with photon noise and read noise, which a dark picture has, and which dividing its pixels does not give.
    """
    random = np.random.default_rng(seed)
    light = (image.astype(np.float64) / 255) ** _GAMMA * (mean / max(float(image.mean()), 1.0)) ** _GAMMA
    if noisy:
        light = random.poisson(light * _WHITE_ELECTRONS) + random.normal(0, _READ_ELECTRONS, image.shape)
        light /= _WHITE_ELECTRONS
    pixels = np.round(255 * np.clip(light, 0, 1) ** (1 / _GAMMA)).astype(np.uint8)
    _, data = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    return decode(data.tobytes(), image.size)


def in_the_dark(mean: float) -> Callable[[RgbImage], RgbImage]:
    """Darkened to this mean, with noise that is the same for the same picture."""
    return lambda image: darkened(image, mean, int(image.sum()))


def equalised_channels(image: RgbImage) -> RgbImage:
    """The histogram of each of R, G and B spread evenly, as a sibling system does."""
    return np.dstack([cv2.equalizeHist(np.ascontiguousarray(image[:, :, channel])) for channel in range(3)])


def equalised_luminance(image: RgbImage) -> RgbImage:
    """The histogram of the luminance alone spread evenly."""
    return _on_luminance(image, cv2.equalizeHist)


def clahe(image: RgbImage) -> RgbImage:
    """Contrast-limited adaptive equalisation of the luminance, OpenCV's 8x8 tiles at a clip limit of 2."""
    return _on_luminance(image, cv2.createCLAHE(2.0, (8, 8)).apply)


def gamma_stretched(image: RgbImage) -> RgbImage:
    """The exponent that brings the mean to 90."""
    shares: FloatArray = (np.bincount(image.ravel(), minlength=256) / image.size).astype(np.float32)
    levels = np.arange(256) / 255
    low, high = 0.1, 1.0
    for _ in range(20):
        gamma = (low + high) / 2
        low, high = (gamma, high) if float(shares @ levels**gamma) * 255 > 90 else (low, gamma)
    return np.asarray(cv2.LUT(image, np.round(255 * levels**low).astype(np.uint8)), np.uint8)


def gained(image: RgbImage) -> RgbImage:
    """Multiplied until the brightest hundredth is white, not smoothed."""
    white = float(np.percentile(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), 99))
    return np.asarray(cv2.convertScaleAbs(image, alpha=255 / max(white, 1)), np.uint8)


def _in_place(change: Callable[[RgbImage], RgbImage]) -> Degrade:
    return lambda image, box: (change(image), middle(box))


def _on_luminance(image: RgbImage, change: Callable[[RgbImage], RgbImage]) -> RgbImage:
    planes = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)
    planes[:, :, 0] = change(np.ascontiguousarray(planes[:, :, 0]))
    return np.asarray(cv2.cvtColor(planes, cv2.COLOR_YCrCb2RGB), np.uint8)
