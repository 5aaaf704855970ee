"""How much each of several images should count, from what the pipeline measures of a face. Knows no pictures.

Two weightings that no rate was tuned by. By pose: from the limits of [quality] alone. Learnt: each image counts by the
inverse of its expected deviation from the person's other images, a log-linear model of what was measured, fitted to
half of the people and applied to the other half, so that nobody's weights come from themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from face_server.types import FloatArray, Quality
from face_server.vision.quality import STRAIGHT_PITCH, Limits

#: Float64.
Numbers = NDArray[np.float64]


def pose_weights(measured: Sequence[Quality], limits: Limits) -> Numbers:
    """(n,): 1 for a face straight ahead, a half for one turned as far to a side, or up or down, as the limits allow."""
    yaw = np.array([one.yaw for one in measured]) / limits.max_yaw
    pitch = (np.array([one.pitch for one in measured]) - STRAIGHT_PITCH) / limits.max_pitch
    weights: Numbers = 1 / (1 + yaw**2 + pitch**2)
    return weights


def learnt_weights(
    vectors: FloatArray, own: Sequence[NDArray[np.int64]], measured: Sequence[Quality], seed: int = 0
) -> Numbers:
    """(n,) for unit vectors (n, dimension), own[i] being person i's rows; 1 where too few people have two images."""
    features = _features(measured)
    weights = np.ones(len(vectors))
    halves = np.random.default_rng(seed).permutation(len(own)) % 2
    for half in (0, 1):
        learnt = [rows for person, rows in enumerate(own) if halves[person] == half and len(rows) > 1]
        others = _joined([rows for person, rows in enumerate(own) if halves[person] != half])
        known = _joined(learnt)
        if len(known) > features.shape[1]:
            deviations = np.concatenate([_deviations(vectors[rows]) for rows in learnt])
            model, *_ = np.linalg.lstsq(features[known], np.log(deviations), rcond=None)
            weights[others] = np.exp(-(features[others] @ model))
    return weights


def _joined(rows: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate([np.empty(0, np.int64), *rows])


def _deviations(vectors: FloatArray) -> Numbers:
    """(k,): one minus the cosine of each of a person's vectors with the sum of the others."""
    rest = vectors.sum(axis=0, dtype=np.float64) - vectors
    cosines = (vectors * rest).sum(axis=1) / np.linalg.norm(rest, axis=1)
    deviations: Numbers = np.maximum(1 - cosines, 1e-3)  # the same picture twice deviates by nothing
    return deviations


def _features(measured: Sequence[Quality]) -> Numbers:
    rows = [
        (
            1.0,
            np.log(max(one.sharpness, 1e-3)),
            np.log(max(one.face_px, 1.0)),
            one.yaw**2,
            (one.pitch - STRAIGHT_PITCH) ** 2,
            one.confidence,
        )
        for one in measured
    ]
    return np.array(rows, np.float64)
