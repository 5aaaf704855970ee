"""Intervals that know that comparisons share people: whole people are drawn anew, with replacement, and everything is
measured again, the threshold for the stated rate included.

The subsets bootstrap of Bolle, Ratha and Pankanti ("Error analysis of pattern recognition systems: the subsets
bootstrap", Computer Vision and Image Understanding 93, 2004), the subset being a person; a comparison of two people
counts as often as both were drawn, the product of their counts (the vertex bootstrap of Snijders and Borgatti 1999).
Intervals are the 2.5 and 97.5 percentiles of the replicates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from face_server.evaluation.rates import CONFIDENCE, Interval
from face_server.types import FloatArray

REPLICATES = 1000

#: How often each person was drawn.
Drawn = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Genuine:
    """Scores that should match, and whose each is (a row of the people)."""

    scores: FloatArray
    person: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Impostors:
    """Scores that should not match, the highest first; lower ones may be left out if `total` counts them.

    weights: how often each counts when people were drawn so often. total: how often all of them count.
    """

    scores: FloatArray
    weights: Callable[[Drawn], Drawn]
    total: Callable[[Drawn], float]


def pairs_of_people(
    scores: FloatArray,
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    photos: NDArray[np.intp],
    probes: NDArray[np.intp],
    times: float = 1.0,
) -> Impostors:
    """Comparisons, the highest score first, of person first[i] with another person, second[i].

    photos, probes: how many of either side each person has; all pairs of different people's are counted by `total`,
    so often as they are compared. `times` is 1/2 where both sides are the same photos and each pair is met once.
    """

    def weights(drawn: Drawn) -> Drawn:
        product: Drawn = drawn[first] * drawn[second]
        return product

    def total(drawn: Drawn) -> float:
        return times * float((drawn @ photos) * (drawn @ probes) - (drawn**2 * photos * probes).sum())

    return Impostors(scores, weights, total)


def replicated_misses(
    genuine: Genuine,
    impostors: Impostors,
    people: int,
    rates: Sequence[float],
    replicates: int = REPLICATES,
    seed: int = 0,
) -> NDArray[np.float64]:
    """(replicates, rates): the share of genuine scores below the threshold for each rate of false matches.

    A replicate without any genuine or impostor score is left out.
    """
    return _misses(genuine, impostors, _draws(people, replicates, seed), rates)


def misses(genuine: Genuine, impostors: Impostors, people: int, rates: Sequence[float]) -> FloatArray:
    """(rates,): what `replicated_misses` measures, of everybody once. Both kinds of scores must be there."""
    share: FloatArray = _misses(genuine, impostors, [np.ones(people)], rates)[0]
    return share


def replicated_matches(
    impostors: Impostors, matched: NDArray[np.float64], people: int, replicates: int = REPLICATES, seed: int = 0
) -> NDArray[np.float64]:
    """(replicates, rates): the share of impostor comparisons that match at thresholds that others gave.

    matched: (scores, rates), 0..1, how far each score matches; thresholds stay as they are in every replicate.
    """
    found = []
    for drawn in _draws(people, replicates, seed):
        total = impostors.total(drawn)
        if total:
            found.append(impostors.weights(drawn) @ matched / total)
    return np.array(found).reshape(len(found), matched.shape[1])


def percentiles(replicates: NDArray[np.float64]) -> list[Interval]:
    """The interval of each column; (0, 1), that is nothing known, where there are no replicates."""
    if not len(replicates):
        return [(0.0, 1.0)] * replicates.shape[1]
    ends = np.quantile(replicates, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    return [(float(low), float(high)) for low, high in ends.T]


def _misses(
    genuine: Genuine, impostors: Impostors, draws: Iterable[Drawn], rates: Sequence[float]
) -> NDArray[np.float64]:
    order = np.argsort(genuine.scores, kind="stable")
    scores, person = genuine.scores[order], genuine.person[order]
    found = []
    for drawn in draws:
        missed, total = np.cumsum(drawn[person]), impostors.total(drawn)
        if missed[-1] and total:
            last = _first_refused(impostors, drawn, total, rates)
            # What ties with the first score that must not match is refused with it.
            below = np.searchsorted(scores, last, side="right")
            found.append(np.concatenate([[0.0], missed])[below] / missed[-1])
    return np.array(found).reshape(len(found), len(rates))


def _draws(people: int, replicates: int, seed: int) -> Iterator[Drawn]:
    random = np.random.default_rng(seed)
    for _ in range(replicates):
        yield random.multinomial(people, np.full(people, 1 / people)).astype(np.float64)


def _first_refused(impostors: Impostors, drawn: Drawn, total: float, rates: Sequence[float]) -> FloatArray:
    """For each rate (below 1) the highest impostor score that must not match."""
    counted = np.cumsum(impostors.weights(drawn))
    at = np.searchsorted(counted, np.asarray(rates) * total * (1 + 1e-12), side="right")
    # Past the end only where lower scores were left out and a replicate is poor beyond measure.
    last: FloatArray = impostors.scores[np.minimum(at, len(impostors.scores) - 1)]
    return last
