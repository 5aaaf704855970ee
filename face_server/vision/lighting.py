"""Low light: a picture taken in the dark, made bright and smooth enough for the networks. Knows no faces and no codec.

A dark picture is multiplied until its brightest parts are white, and smoothed the more it had to be multiplied, since
that multiplies the noise too. Equalising, which a sibling system does to each channel, spreads the noise of the large
dark areas over the whole range and changes the face. `python -m face_server.evaluation.quality` compares them: share of
150 mated comparisons of lfw-dev lost, faces not found included, with FaceNet at FMR 1e-4 (0.173 before darkening).
The copies were darkened in linear light to this mean grey, with photon and read noise or none, 8 bits and JPEG:

    mean grey                              30, noisy   30, no noise   18, noisy   18, no noise
    as it is                                   0.373          0.267       0.600          0.487
    each of R, G, B equalised                  0.433          0.280       0.700          0.273
    luminance equalised                        0.387          0.260       0.640          0.313
    CLAHE on luminance                         0.407          0.240       0.573          0.307
    gain alone                                 0.320          0.187       0.640          0.193
    gain, smoothed by the noise (this)         0.247          0.187       0.433          0.200
    this, for detection only                   0.360          0.273       0.560          0.460

A picture above the threshold is never touched, and templates stay comparable: the fingerprint tells how a crop becomes
a vector, not how the camera's exposure was mended.
"""

from __future__ import annotations

import cv2
import numpy as np

from face_server.types import RgbImage

#: Grey of Rec. 601, as everywhere here.
_LUMA = (0.299, 0.587, 0.114)

#: The brightest hundredth becomes white: lamps and windows clip, which a face does not mind.
_WHITE_PERCENTILE = 99

#: A picture whose mean is low because of a black wall behind a well-lit face has its white already or nearly: the 17 of
#: lfw-dev below a mean of 40 would have gains from 1.1 to 1.9. Below this one nothing is to be won.
_LEAST_GAIN = 1.1

#: Past four doublings a picture of 8 bits has a dozen grey levels left: already at a mean of 8 with noise 3 of 100
#: faces are matched with the best correction tried.
_MOST_GAIN = 16.0

#: Standard deviation of the Gaussian, pixels per doubling; and at most so many per grey level of noise after the gain.
#: Of 200 noisy copies of mean 18 (vectors not centred) 0.54 are not matched with 0.35 per doubling, 0.46 with 0.5, 0.47
#: with 0.6.
#: A camera that has removed its noise itself must not be smoothed again (0.33 instead of 0.28): so the second bound.
_SIGMA_PER_DOUBLING, _SIGMA_PER_NOISE = 0.5, 0.3


def luminance(image: RgbImage) -> float:
    """Mean grey of a picture, 0..255."""
    return float(np.dot(_LUMA, cv2.mean(image)[:3]))


def brightened(image: RgbImage, low_light_luminance: float) -> RgbImage:
    """The picture (height, width, 3) as it is, or brightened when its mean luminance is below the threshold (0..255).

    The very same array comes back when nothing is to be done.
    """
    if luminance(image) >= low_light_luminance:
        return image
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    gain = min(255 / max(_percentile(grey, _WHITE_PERCENTILE), 1), _MOST_GAIN)
    return image if gain < _LEAST_GAIN else _multiplied(image, gain, _sigma(grey, gain))


def _multiplied(image: RgbImage, gain: float, sigma: float) -> RgbImage:
    """Smoothed before it is rounded: between the few grey levels of a dark picture lie the ones the noise hides."""
    result = np.empty_like(image)
    for channel in range(3):  # one at a time, as 40 megapixels of floats are 160 MB
        plane = image[:, :, channel].astype(np.float32)
        if sigma > 0:
            plane = cv2.GaussianBlur(plane, (0, 0), sigma)
        result[:, :, channel] = cv2.convertScaleAbs(plane, alpha=gain)
    return result


def _sigma(grey: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], gain: float) -> float:
    return min(_SIGMA_PER_DOUBLING * float(np.log2(gain)), _SIGMA_PER_NOISE * _noise(grey) * gain)


def _noise(grey: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> float:
    """Standard deviation of a picture's noise in grey levels, from what neither edges nor slopes leave.

    Immerkaer 1996 (doi:10.1006/cviu.1996.0060): the difference of two Laplacians, whose response to white noise of 1 is
    6. Its median, times 1.4826 for a normal distribution, does not see the textured minority. A middle part is enough.
    """
    height, width = grey.shape
    top, left = max(0, height // 2 - 256), max(0, width // 2 - 256)
    middle = grey[top : top + 512, left : left + 512].astype(np.float32)
    response = cv2.filter2D(middle, -1, np.array([(1, -2, 1), (-2, 4, -2), (1, -2, 1)], np.float32))
    return 1.4826 * float(np.median(np.abs(response))) / 6


def _percentile(grey: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], percent: float) -> float:
    """The grey level that so many percent do not exceed; by counting, as sorting 40 megapixels takes seconds."""
    counts = cv2.calcHist([grey], [0], None, [256], [0, 256]).ravel()
    return float(np.searchsorted(np.cumsum(counts), percent / 100 * grey.size))
