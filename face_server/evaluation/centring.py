"""Vectors less what all faces have in common: for measuring what that would win. Knows vectors and whose they are.

A network's vectors of all faces share a direction, its idea of a face as such, which makes strangers alike. The daemon
keeps it; to take a fixed mean away would be a change of the templates, though one that stored templates could follow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from face_server.types import FloatArray


def centred(vectors: FloatArray, own: Sequence[NDArray[np.int64]], seed: int = 0) -> FloatArray:
    """(n, dimension) float32 unit vectors less a mean, own[i] being person i's rows.

    The mean is that of the other half of the people, each person once, so that nobody is measured by a mean of their
    own faces. With fewer than two people nothing is taken away.
    """
    halves = np.random.default_rng(seed).permutation(len(own)) % 2
    less = vectors.astype(np.float64)
    for half in (0, 1):
        others = [vectors[rows].mean(axis=0) for person, rows in enumerate(own) if halves[person] != half]
        mean = np.mean(others, axis=0) if others else np.zeros(vectors.shape[1])
        for person, rows in enumerate(own):
            if halves[person] == half:
                less[rows] -= mean
    unit: FloatArray = (less / np.linalg.norm(less, axis=1, keepdims=True)).astype(np.float32)
    return unit
