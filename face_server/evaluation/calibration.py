"""Makes calibration curves from unit vectors of known people: comparisons of different people give the FMR of a score,
comparisons of the same person its FNMR, for each number of enrolled and probe images.

Scores are counted in bins, so that a gallery of any size takes little memory. Images of one person are drawn anew in
several rounds; that steadies a curve but adds no people, so what a curve may claim follows from the comparisons of one
round alone. Below 30 false matches a rate is not measured (Doddington's rule of 30: 30 errors give the rate within
about 30 % at 90 % confidence); from there a curve goes on for one decade.

The curve of single images goes on as a straight line of log FMR over score, the exponential tail of extreme value
theory, which falls more slowly than the Gaussian-like scores it continues. Those of several images, which rest on a
tenth or a hundredth of the comparisons, go on as that of single images does, moved by as much as it lies apart over
their last measured decade: against each other, the scores reached at the same rates lie on straight lines of slope 1.0
to 1.1. As lines of their own they would be stricter than stated by a factor 2 to 3, and up to 20; docs/measurements.md
has what each way came to on other people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from face_server.calibration import Calibration, Curve
from face_server.errors import ConfigError
from face_server.types import FloatArray

#: The counts that get a curve; for more templates or images the look-up goes on from the last two.
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

#: Their lower edges.
_EDGES = np.linspace(-1, 1, BINS + 1)[:-1]

Counts = NDArray[np.int64]
Numbers = NDArray[np.float64]
#: Subjects (g, enrolled) and whose each is (g,), probes (h, probes) and whose each is (h,): rows of images, of people.
Draw = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


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
    counts: tuple[Sequence[int], Sequence[int]] = (ENROLLED, PROBES),
) -> Calibration:
    """A calibration from unit vectors (n, dimension) and whose each is. `progress` is called after each curve.

    counts: the numbers of enrolled and of probe images, ascending, that get a curve for each pair.
    Raises ConfigError when the people are too few to measure anything.
    """
    rows: dict[str, list[int]] = {}
    for row, person in enumerate(people):
        rows.setdefault(person, []).append(row)
    own = [np.array(images) for images in rows.values()]
    single = _tally(vectors, own, 1, 1, seed)
    singles = _points(single)
    curves = []
    for enrolled in counts[0]:
        for probes in counts[1]:
            tally = single if enrolled == probes == 1 else _tally(vectors, own, enrolled, probes, seed)
            curve = _curve_of(tally, enrolled, probes, singles)
            if curve is not None:
                curves.append(curve)
            progress()
    complete = _rectangle(curves, *counts)
    if not complete:
        raise ConfigError(
            f"{len(rows)} people with {len(vectors)} images are too few to calibrate, or many of them are here under "
            "two ids: enrol more people, and some of them with several images"
        )
    return Calibration(fingerprint, source, complete)


def _rectangle(curves: list[Curve], enrolled: Sequence[int], probes: Sequence[int]) -> tuple[Curve, ...]:
    """The curves of the largest set of counts that is complete: a look-up must find every pair."""
    by_counts = {(curve.enrolled, curve.probes): curve for curve in curves}
    sets = [
        [by_counts[n, m] for n in enrolled[:i] for m in probes[:j]]
        for i in range(1, len(enrolled) + 1)
        for j in range(1, len(probes) + 1)
        if all((n, m) in by_counts for n in enrolled[:i] for m in probes[:j])
    ]
    largest: list[Curve] = max(sets, key=len, default=[])
    return tuple(largest)


def _tally(vectors: FloatArray, own: list[NDArray[np.int64]], enrolled: int, probes: int, seed: int) -> Tally:
    """All rounds of these counts."""
    tally = Tally(np.zeros(BINS, np.int64), np.zeros(BINS, np.int64))
    for drawn in draws(own, enrolled, probes, seed):
        tally.comparisons = _round(vectors, drawn, tally)
        if enrolled == probes == 1:  # of single images each pair was met from both sides
            tally.comparisons //= 2
    return tally


def _round(vectors: FloatArray, drawn: Draw, tally: Tally) -> int:
    """Compare everybody with everybody; returns the comparisons of different people."""
    subjects, subject_of, searches, search_of = drawn
    if not len(subjects) or not len(searches):
        return 0
    probe_vectors = centroids(vectors, searches)
    counted = 0
    for start in range(0, len(subjects), BLOCK):
        block = subjects[start : start + BLOCK]
        scores = centroids(vectors, block) @ probe_vectors.T
        same = subject_of[start : start + BLOCK, None] == search_of[None]
        tally.impostors += _binned(scores[~same])
        tally.mated += _binned(scores[same & apart(block, searches)])
        counted += int(np.count_nonzero(~same))
    return counted - _met_twice(drawn)


def _met_twice(drawn: Draw) -> int:
    """Pairs of people met from both sides: whose only probe are the very images that are enrolled."""
    subjects, subject_of, searches, search_of = drawn
    if subjects.shape[1] != searches.shape[1] or subjects.shape[1] == 1:
        return 0
    enrolled = {person: set(rows) for person, rows in zip(subject_of.tolist(), subjects.tolist(), strict=True)}
    both = sum(
        enrolled.get(person) == set(rows) for person, rows in zip(search_of.tolist(), searches.tolist(), strict=True)
    )
    return both * (both - 1) // 2


def draws(own: Sequence[NDArray[np.int64]], enrolled: int, probes: int, seed: int) -> Iterator[Draw]:
    """The rounds of drawing from each person's rows; single images need one, which holds all of them."""
    if enrolled == probes == 1:
        yield _singles(own)
        return
    random = np.random.default_rng((seed, enrolled, probes))
    for _ in range(ROUNDS):
        yield _drawn(own, enrolled, probes, random)


def _singles(own: Sequence[NDArray[np.int64]]) -> Draw:
    """Every image as a subject and as a probe, so that each pair is met from both sides."""
    groups = np.concatenate(own)[:, None]
    whose = np.repeat(np.arange(len(own)), [len(rows) for rows in own])
    return groups, whose, groups, whose


def _drawn(own: Sequence[NDArray[np.int64]], enrolled: int, probes: int, random: np.random.Generator) -> Draw:
    """Each person's images drawn at random.

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


def apart(subjects: NDArray[np.int64], searches: NDArray[np.int64]) -> NDArray[np.bool_]:
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


def _curve_of(tally: Tally, enrolled: int, probes: int, singles: Numbers | None) -> Curve | None:
    """The points to one decade below what was measured, with what the same person's comparisons miss at each.

    Where nobody has images enough for both sides the FMR is known all the same, and the FNMR is told as 1.
    """
    rising = _points(tally, singles)
    counted = int(tally.mated.sum())
    if rising is None or (not counted and enrolled == probes == 1):
        return None
    # Of a bin's lower edge: the share of the same person below it.
    below = np.concatenate(([0], tally.mated.cumsum()[:-1])) / counted if counted else np.ones(BINS)
    fnmr = np.interp(rising, _EDGES, below)
    mated = counted // (2 if enrolled == probes == 1 else ROUNDS)
    decades = _decades(tally)
    points = [(float(s), float(10.0**d), float(m)) for s, d, m in zip(rising, decades, fnmr, strict=True)]
    return Curve(enrolled, probes, tally.comparisons, mated, _measured(tally), tuple(p for p in points if p[0] < 1))


def _measured(tally: Tally) -> float:
    """The least rate with 30 false matches in one round."""
    return RULE_OF_30 / max(tally.comparisons, 1)


def _decades(tally: Tally) -> Numbers:
    """log10 of the rates of a curve's points: even steps from one in ten to one decade below what was measured."""
    decades: Numbers = np.arange(-1, np.log10(_measured(tally) / 10) - 1e-9, -1 / POINTS_PER_DECADE)
    return decades


def _points(tally: Tally, singles: Numbers | None = None) -> Numbers | None:
    """The ascending scores of a curve's points; `singles` are those of single images. None where too little was met."""
    measured, decades = _measured(tally), _decades(tally)
    if measured > 1e-2:
        return None
    # Of a bin's lower edge: the share of different people at or above it.
    fmr = tally.impostors[::-1].cumsum()[::-1] / tally.impostors.sum()
    seen = 10.0**decades >= measured
    # searchsorted wants ascending values; FMR falls with the score.
    scores = _EDGES[np.searchsorted(-fmr, -(10.0**decades)).clip(max=BINS - 1)]
    if singles is not None and len(singles) > len(scores):
        alike = singles[: len(scores)]
        last = seen & (10.0**decades <= 10 * measured)
        beyond = alike + (scores - alike)[last].mean()
    else:
        tail = (fmr <= 10 * measured) & (fmr >= measured)
        if tail.sum() < 2:  # so many are enrolled under two ids that their own score is the tail
            return None
        slope, offset = np.polyfit(_EDGES[tail], np.log10(fmr[tail]), 1)
        beyond = (decades - offset) / slope
    rising: Numbers = np.maximum.accumulate(np.where(seen, scores, beyond)) + np.arange(len(scores)) * 1e-5
    return rising
