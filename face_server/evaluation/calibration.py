"""Makes calibration curves from unit vectors of known people: comparisons of different people give the FMR of a score,
comparisons of the same person its FNMR, for each number of enrolled and probe images.

Scores are counted in bins, so that a gallery of any size takes little memory. Images of one person are drawn anew in
several rounds; that steadies a curve but adds no people, so what a curve may claim follows from the comparisons of one
round alone. Below 30 false matches a rate is not measured (Doddington's rule of 30: 30 errors give the rate within
about 30 % at 90 % confidence); from there the curve goes on for one decade as a straight line of log FMR over score,
the exponential tail of extreme value theory, which falls more slowly than the Gaussian-like scores it continues.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from face_server.calibration import Calibration, Curve
from face_server.errors import ConfigError
from face_server.types import FloatArray

#: The counts that get a curve; more templates or images than these are judged by the last.
ENROLLED, PROBES = (1, 2, 3, 5), (1, 2, 3)
#: Draws of the images of each person. More change the thresholds of lfw-dev by less than 0.003.
ROUNDS = 8
#: Score bins from -1 to 1: finer than any threshold needs to be.
BINS = 20_000
RULE_OF_30 = 30
#: Points of a curve per factor of ten in FMR.
POINTS_PER_DECADE = 10
#: Rows of the score matrix that exist at once.
BLOCK = 2048

Counts = NDArray[np.int64]


@dataclass(slots=True)
class Tally:
    """Counted scores of one pair of counts; `comparisons` of different people in one round."""

    impostors: Counts
    mated: Counts
    comparisons: int = 0


def calibrate(
    vectors: FloatArray,
    people: Sequence[str],
    fingerprint: str,
    source: str,
    seed: int = 0,
    progress: Callable[[], object] = lambda: None,
) -> Calibration:
    """A calibration from unit vectors (n, dimension) and whose each is. `progress` is called after each curve.

    Raises ConfigError when the people are too few to measure anything.
    """
    rows: dict[str, list[int]] = {}
    for row, person in enumerate(people):
        rows.setdefault(person, []).append(row)
    curves = []
    for enrolled in ENROLLED:
        for probes in PROBES:
            curve = _curve(vectors, [np.array(own) for own in rows.values()], enrolled, probes, seed)
            if curve is not None:
                curves.append(curve)
            progress()
    complete = _rectangle(curves)
    if not complete:
        raise ConfigError(
            f"{len(rows)} people with {len(vectors)} images are too few to calibrate: enrol more people, and some of "
            "them with several images"
        )
    return Calibration(fingerprint, source, complete)


def _rectangle(curves: list[Curve]) -> tuple[Curve, ...]:
    """The curves of the largest set of counts that is complete: a look-up must find every pair."""
    by_counts = {(curve.enrolled, curve.probes): curve for curve in curves}
    sets = [
        [by_counts[n, m] for n in ENROLLED[:i] for m in PROBES[:j]]
        for i in range(1, len(ENROLLED) + 1)
        for j in range(1, len(PROBES) + 1)
        if all((n, m) in by_counts for n in ENROLLED[:i] for m in PROBES[:j])
    ]
    largest: list[Curve] = max(sets, key=len, default=[])
    return tuple(largest)


def _curve(vectors: FloatArray, own: list[NDArray[np.int64]], enrolled: int, probes: int, seed: int) -> Curve | None:
    random = np.random.default_rng((seed, enrolled, probes))
    tally = Tally(np.zeros(BINS, np.int64), np.zeros(BINS, np.int64))
    for _ in range(1 if enrolled * probes == 1 else ROUNDS):
        tally.comparisons = _round(vectors, own, enrolled, probes, random, tally)
    return _curve_of(tally, enrolled, probes)


def _round(
    vectors: FloatArray,
    own: list[NDArray[np.int64]],
    enrolled: int,
    probes: int,
    random: np.random.Generator,
    tally: Tally,
) -> int:
    """Draw each person's images once, compare everybody with everybody; returns the comparisons of different people."""
    draw = _singles if enrolled == probes == 1 else _drawn
    subjects, subject_of, searches, search_of = draw(own, enrolled, probes, random)
    if not len(subjects) or not len(searches):
        return 0
    probe_vectors = centroids(vectors, searches)
    counted = 0
    for start in range(0, len(subjects), BLOCK):
        block = subjects[start : start + BLOCK]
        scores = centroids(vectors, block) @ probe_vectors.T
        same = subject_of[start : start + BLOCK, None] == search_of[None]
        tally.impostors += _binned(scores[~same])
        tally.mated += _binned(scores[same & _apart(block, searches)])
        counted += int(np.count_nonzero(~same))
    # Of single images each pair was met from both sides.
    return counted // 2 if enrolled == probes == 1 else counted


Draw = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def _singles(own: list[NDArray[np.int64]], enrolled: int, probes: int, random: np.random.Generator) -> Draw:
    """Every image as a subject and as a probe: groups (n, 1) and whose they are, twice."""
    groups = np.concatenate(own)[:, None]
    whose = np.repeat(np.arange(len(own)), [len(rows) for rows in own])
    return groups, whose, groups, whose


def _drawn(own: list[NDArray[np.int64]], enrolled: int, probes: int, random: np.random.Generator) -> Draw:
    """Subjects (g, enrolled) and probes (h, probes), rows of images drawn at random, and whose each is.

    Who has images enough for both is searched with others than enrolled; who has not, with all, by others only.
    """
    subjects, subject_of, searches, search_of = [], [], [], []
    for person, rows in enumerate(own):
        drawn = random.permutation(rows)
        if len(drawn) >= enrolled:
            subjects.append(drawn[:enrolled])
            subject_of.append(person)
        rest = drawn[enrolled:] if len(drawn) >= enrolled + probes else drawn
        for start in range(0, len(rest) - probes + 1, probes):
            searches.append(rest[start : start + probes])
            search_of.append(person)
    return np.array(subjects), np.array(subject_of), np.array(searches), np.array(search_of)


def _apart(subjects: NDArray[np.int64], searches: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(g, h): whether a subject and a probe share no image, which would be no evidence about itself."""
    apart = np.ones((len(subjects), len(searches)), bool)
    for enrolled in subjects.T:
        for probed in searches.T:
            apart &= enrolled[:, None] != probed[None]
    return apart


def centroids(vectors: FloatArray, groups: NDArray[np.int64]) -> FloatArray:
    """(g, dimension) float32 unit vectors: the fusion of each group (g, k) of rows."""
    means = vectors[groups].astype(np.float64).mean(axis=1)
    fused: FloatArray = (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)
    return fused


def _binned(scores: NDArray[np.float32]) -> Counts:
    places = ((scores.astype(np.float64) + 1) * (BINS / 2)).astype(np.int64).clip(0, BINS - 1)
    return np.bincount(places, minlength=BINS)


def _curve_of(tally: Tally, enrolled: int, probes: int) -> Curve | None:
    """Points at even steps of log FMR, from one in ten to one decade below what was measured."""
    measured = RULE_OF_30 / max(tally.comparisons, 1)
    mated = int(tally.mated.sum())
    if measured > 1e-2 or not mated:
        return None
    # Of a bin's lower edge: the share of different people at or above it, of the same person below it.
    fmr = tally.impostors[::-1].cumsum()[::-1] / tally.impostors.sum()
    fnmr = np.concatenate(([0], tally.mated.cumsum()[:-1])) / mated
    edges = np.linspace(-1, 1, BINS + 1)[:-1]
    tail = (fmr <= 10 * measured) & (fmr >= measured)
    slope, offset = np.polyfit(edges[tail], np.log10(fmr[tail]), 1)
    decades = np.arange(-1, np.log10(measured / 10) - 1e-9, -1 / POINTS_PER_DECADE)
    scores = [
        # searchsorted wants ascending values; FMR falls with the score.
        edges[np.searchsorted(-fmr, -(10.0**d))] if 10.0**d >= measured else (d - offset) / slope
        for d in decades
    ]
    rising = np.maximum.accumulate(scores) + np.arange(len(scores)) * 1e-5
    points = [
        (float(s), float(10.0**d), float(np.interp(s, edges, fnmr))) for s, d in zip(rising, decades, strict=True)
    ]
    return Curve(enrolled, probes, tally.comparisons, mated, measured, tuple(p for p in points if p[0] < 1))
