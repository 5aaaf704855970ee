"""How hard must Annoy look to find who is there, and is it then cheaper than looking at everybody? Measured on the
gallery's own vectors, whenever an index is built. Owns the probes, the search for the least effort and the statistics;
may not know files, processes or the store.

A probe is a subject's centroid moved to the score that a photograph of that subject would have: s c + sqrt(1 - s^2) r,
with r a random direction across c. It is found where the nearest of all subjects by exact search, who need not be the
one it was made from, is among those that Annoy proposes.

The effort is chosen on one set of probes and confirmed on another, since the least that passes on the first passes
partly by luck. Either set is large enough that passing means: with a confidence of 95 % the recall is at least the one
asked for. For 0.999 that is none missed of 2,995, and then at most one of 4,793.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from face_server.gallery.index.annoy_index import Forest
from face_server.gallery.index.manifest import IndexUnusable, Measured
from face_server.gallery.rows import ROUNDING, View
from face_server.types import FloatArray

#: Quantiles 0, 0.05 .. 1 of the scores of real mated pairs, one photograph against one: lfw-dev (2,717 photographs, the
#: face nearest the centre, 4,195 mated pairs), FaceNet 20180408-102900 as shipped, centred. Only of the 3,439 pairs
#: that reach 0.5675, the lowest threshold there is at the default error rates (1 + 1 images, FMR 1e-4): whoever scores
#: less is refused whatever a search finds. More images for a template or a probe score higher, and are found sooner.
MATED_SCORES = (
    0.568, 0.587, 0.604, 0.619, 0.634, 0.647, 0.660, 0.673, 0.687, 0.701, 0.711,
    0.722, 0.733, 0.745, 0.757, 0.773, 0.786, 0.800, 0.821, 0.848, 0.961,
)  # fmt: skip

#: Any fixed number: the same gallery is asked the same.
_SEED = 20180408
#: The chance of passing with a recall below the one asked for.
_RISK = 0.05
#: Probes to confirm with, as a multiple of the fewest that could confirm anything: one may be missed.
_CONFIRMING = 1.6
#: The least effort that is tried, in items: Annoy takes longer for it than exact search for 10,000 subjects, and more
#: of them need more. And by how much more the next is.
_FIRST_SEARCH_K = 4000
_STEP = 2.0
#: How finely the least that passes is sought between two steps: 2 ** (1 / 8) is 9 %. A confirmation goes up by more.
_HALVINGS = 3
_NUDGE = 2 ** (1 / 4)
#: Searches in either way in turn, of which the median is the cost.
_ROUNDS = 31
#: Rows compared with all probes at a time: 80 MiB of scores.
_BLOCK = 4096

Told = Callable[[float], None]


class RecallTooLow(IndexUnusable):
    """Annoy does not find enough within the limits."""


@dataclass(frozen=True, slots=True)
class Limits:
    """recall: the one asked for. neighbours: proposed in a search. search_k_max: the most effort.

    or_exact: exact search will do as well, where it costs no more.
    """

    recall: float
    neighbours: int
    search_k_max: int
    or_exact: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """Annoy with this effort, or not Annoy (`exact`) since it costs as much by then; and what was measured with it."""

    exact: bool
    search_k: int
    measured: Measured


@dataclass(frozen=True, slots=True, eq=False)
class Probes:
    """Unit vectors (P, D) and the score (P,) of the nearest subject of each by exact search."""

    vectors: FloatArray
    best: FloatArray


class Tuning:
    """Measures a forest of `trees` trees over the vectors of a view, none of whose rows is removed.

    `told` is given the share that is done.
    """

    def __init__(self, forest: Forest, trees: int, view: View, limits: Limits, told: Told = lambda share: None) -> None:
        self._forest, self._view, self._limits, self._told = forest, view, limits, told
        # With as much effort as there are items in all trees Annoy looks at everybody.
        self._most = min(limits.search_k_max, len(forest) * trees)
        least, random = fewest_probes(limits.recall), np.random.default_rng(_SEED)
        self._choosing = self._draw(least, random)
        told(0.2)
        self._confirming = self._draw(math.ceil(_CONFIRMING * least), random)
        told(0.4)

    def choose(self) -> Choice:
        """The least effort that finds enough, as far as it is cheaper. Raises RecallTooLow."""
        tried = self._climb(_FIRST_SEARCH_K, _STEP, self._choosing)
        if tried.exact:
            return tried
        enough = self._lowered(tried.search_k)
        self._told(0.8)
        return self._climb(enough, _NUDGE, self._confirming)

    def _draw(self, count: int, random: np.random.Generator) -> Probes:
        probes = draw_probes(self._view.vectors, count, random)
        return Probes(probes, best_scores(self._view.vectors, probes))

    def _climb(self, search_k: int, step: float, probes: Probes) -> Choice:
        """Raise the effort until enough is found, or exact search is as cheap."""
        while True:
            search_k = min(search_k, self._most)
            tried = self._try(search_k, probes)
            dear = self._limits.or_exact and tried.annoy_s >= tried.exact_s
            if dear or tried.at_least >= tried.target:
                return Choice(dear, search_k, tried)
            if search_k == self._most:
                raise self._too_low(search_k, tried)
            search_k = math.ceil(search_k * step)

    def _lowered(self, enough: int) -> int:
        """An effort that was found enough, or less where that is enough too."""
        too_low = enough / _STEP
        for _ in range(_HALVINGS if enough > _FIRST_SEARCH_K else 0):
            middle = round(math.sqrt(too_low * enough))
            misses, _ = self._misses(middle, self._choosing)
            too_low, enough = (middle, enough) if misses else (too_low, middle)
        return enough

    def _try(self, search_k: int, probes: Probes) -> Measured:
        misses, asked = self._misses(search_k, probes)
        return Measured(self._limits.recall, asked, misses, lower_bound(misses, asked), *self._costs(search_k))

    def _misses(self, search_k: int, probes: Probes) -> tuple[int, int]:
        """How many were missed of how many, the rest being left out once they cannot pass any more."""
        vectors, misses = self._view.vectors, 0
        allowed = allowed_misses(len(probes.best), self._limits.recall)
        for asked, (probe, best) in enumerate(zip(probes.vectors, probes.best.tolist(), strict=True), 1):
            found = self._forest.nearest(probe, self._limits.neighbours, search_k)
            misses += float((vectors[found] @ probe).max(initial=-1)) < best - ROUNDING
            if misses > allowed:
                return misses, asked
        return misses, len(probes.best)

    def _costs(self, search_k: int) -> tuple[float, float]:
        """The median seconds of an exact search and of one by Annoy, which take turns on the same probes."""
        view, n = self._view, self._limits.neighbours
        exact, by_annoy = [], []
        for probe in self._choosing.vectors[:_ROUNDS]:
            started_s = time.perf_counter()
            view.rank(view.nearest(probe, 1), probe, 1)
            half_s = time.perf_counter()
            view.rank(view.rows_of(view.ids.take(self._forest.nearest(probe, n, search_k))), probe, 1)
            exact.append(half_s - started_s)
            by_annoy.append(time.perf_counter() - half_s)
        return statistics.median(exact), statistics.median(by_annoy)

    def _too_low(self, search_k: int, tried: Measured) -> RecallTooLow:
        return RecallTooLow(
            f"Annoy missed {tried.misses} of the first {tried.probes} probes with all the {search_k} items that it may "
            f"look at. That is no recall of {tried.target:g}: raise [index] search_k_max or trees_max, or set kind to "
            "exact."
        )


def draw_probes(vectors: FloatArray, count: int, random: np.random.Generator) -> FloatArray:
    """Probes (count, D) as at the top of this file, of subjects drawn with replacement from vectors (N, D)."""
    own = vectors[random.integers(0, len(vectors), count)].astype(np.float64)
    steps = np.linspace(0, 1, len(MATED_SCORES))
    scores = np.interp(random.random(count), steps, MATED_SCORES)[:, np.newaxis]
    across = random.standard_normal(own.shape)
    across -= (across * own).sum(axis=1, keepdims=True) * own
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    probes = scores * own + np.sqrt(1 - np.square(scores)) * across
    unit: FloatArray = (probes / np.linalg.norm(probes, axis=1, keepdims=True)).astype(np.float32)
    return unit


def best_scores(vectors: FloatArray, probes: FloatArray) -> FloatArray:
    """The highest score (P,) that each probe (P, D) has with any of the vectors (N, D)."""
    blocks = (vectors[start : start + _BLOCK] @ probes.T for start in range(0, len(vectors), _BLOCK))
    best: FloatArray = np.full(len(probes), -1, np.float32)
    for scores in blocks:
        np.maximum(best, scores.max(axis=0), out=best)
    return best


def fewest_probes(recall: float) -> int:
    """As many as must all be found before the recall is, with a confidence of 95 %, at least this."""
    return math.ceil(math.log(_RISK) / math.log(recall))


def allowed_misses(probes: int, recall: float) -> int:
    """How many of the probes may be missed while the recall is still, with a confidence of 95 %, at least this."""
    misses = 0
    while _at_most(misses, probes, 1 - recall) <= _RISK:
        misses += 1
    return misses - 1


def lower_bound(misses: int, probes: int) -> float:
    """The recall that is reached with a confidence of 95 % where so many of the probes were missed.

    The one-sided bound of Clopper and Pearson (Biometrika 26, 1934, 404).
    """
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if _at_most(misses, probes, 1 - middle) > _RISK else (middle, high)
    return low


def _at_most(misses: int, probes: int, rate: float) -> float:
    """The chance of no more than so many misses, each probe being missed at this rate."""
    return math.fsum(math.comb(probes, k) * rate**k * (1 - rate) ** (probes - k) for k in range(misses + 1))
