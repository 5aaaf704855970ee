"""Made-up people for benchmarks of the gallery: unit vectors whose scores within a person are those of real mated
pairs, and between people those of random directions. Fixed seeds; knows no gallery.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

import numpy as np

from face_server.gallery.index.tuning import MATED_SCORES
from face_server.types import FloatArray, Quality, Template

_QUALITY = Quality(face_px=120.0, confidence=0.999, sharpness=30.0, luminance=120.0, yaw=0.0, pitch=0.0, roll=0.0)
_STEPS = np.linspace(0, 1, len(MATED_SCORES))


class Crowd:
    """People of `each` templates (D,) of this fingerprint; who is asked for twice is the same."""

    def __init__(self, fingerprint: str, each: int, dimension: int = 512) -> None:
        self._fingerprint, self.each, self._dimension = fingerprint, each, dimension

    def enrolment(self, number: int) -> tuple[str, list[Template]]:
        """One subject and its templates."""
        random = np.random.default_rng((0, number))
        person = _direction(random, self._dimension)
        return f"subject-{number:07d}", [
            Template(
                self._sample(person, random),
                self._fingerprint,
                1_790_000_000.0 + number,
                hashlib.sha256(b"%d %d" % (number, one)).hexdigest(),
                _QUALITY,
            )
            for one in range(self.each)
        ]

    def probes(self, people: int, count: int) -> Iterator[FloatArray]:
        """Other samples of people drawn at random."""
        drawn = np.random.default_rng(1)
        for number in drawn.integers(0, people, count).tolist():
            person = _direction(np.random.default_rng((0, number)), self._dimension)
            yield self._sample(person, drawn)

    def _sample(self, person: FloatArray, random: np.random.Generator) -> FloatArray:
        """Samples a c + sqrt(1 - a^2) r and b c + ... of one direction c score a b: each has the root of a score."""
        near = math.sqrt(np.interp(random.random(), _STEPS, MATED_SCORES))
        across = random.standard_normal(self._dimension)
        across -= (across @ person) * person
        sample: FloatArray = near * person + math.sqrt(1 - near * near) * across / np.linalg.norm(across)
        return (sample / np.linalg.norm(sample)).astype(np.float32)


def _direction(random: np.random.Generator, dimension: int) -> FloatArray:
    vector = random.standard_normal(dimension)
    unit: FloatArray = vector / np.linalg.norm(vector)
    return unit
