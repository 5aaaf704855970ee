"""Intervals that know that comparisons share people: whole people are drawn anew, with replacement, and everything is
measured again, the threshold for the stated rate included.

The subsets bootstrap of Bolle, Ratha and Pankanti ("Error analysis of pattern recognition systems: the subsets
bootstrap", Computer Vision and Image Understanding 93, 2004), the subset being a person; a comparison of two people
counts as often as both were drawn, the product of their counts (the vertex bootstrap of Snijders and Borgatti 1999).
Intervals are the 2.5 and 97.5 percentiles of the replicates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    scores: FloatArray, first: NDArray[np.intp], second: NDArray[np.intp], photos: NDArray[np.intp]
) -> Impostors:
    """Comparisons, the highest score first, of a photo of person first[i] with one of another person, second[i].

    photos: how many each person has; all pairs of photos of different people are counted by `total`.
    """

    def weights(drawn: Drawn) -> Drawn:
        product: Drawn = drawn[first] * drawn[second]
        return product

    def total(drawn: Drawn) -> float:
        return float(((drawn @ photos) ** 2 - ((drawn * photos) ** 2).sum()) / 2)

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
    random = np.random.default_rng(seed)
    order = np.argsort(genuine.scores, kind="stable")
    scores, person = genuine.scores[order], genuine.person[order]
    found = []
    for _ in range(replicates):
        drawn = random.multinomial(people, np.full(people, 1 / people)).astype(np.float64)
        missed, total = np.cumsum(drawn[person]), impostors.total(drawn)
        if missed[-1] and total:
            last = _first_refused(impostors, drawn, total, rates)
            # What ties with the first score that must not match is refused with it.
            below = np.searchsorted(scores, last, side="right")
            found.append(np.concatenate([[0.0], missed])[below] / missed[-1])
    return np.array(found).reshape(len(found), len(rates))


def percentiles(replicates: NDArray[np.float64]) -> list[Interval]:
    """The interval of each column; (0, 1), that is nothing known, where there are no replicates."""
    if not len(replicates):
        return [(0.0, 1.0)] * replicates.shape[1]
    ends = np.quantile(replicates, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    return [(float(low), float(high)) for low, high in ends.T]


def _first_refused(impostors: Impostors, drawn: Drawn, total: float, rates: Sequence[float]) -> FloatArray:
    """For each rate (below 1) the highest impostor score that must not match."""
    counted = np.cumsum(impostors.weights(drawn))
    at = np.searchsorted(counted, np.asarray(rates) * total * (1 + 1e-12), side="right")
    # Past the end only where lower scores were left out and a replicate is poor beyond measure.
    last: FloatArray = impostors.scores[np.minimum(at, len(impostors.scores) - 1)]
    return last
