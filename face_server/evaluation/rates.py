"""Error rates of comparisons and how far to trust them. Numbers only: knows no faces, files or plots.

FMR is the share of comparisons of different people that reach a threshold, FNMR the share of the same person's that do
not (ISO/IEC 19795-1). The interval of a count is Wilson's score interval (Wilson 1927; Brown, Cai and DasGupta 2001),
which takes comparisons as independent; they are not, as they share people: `bootstrap` has the other interval. A rate
that rests on fewer than 30 errors is marked: from 30 on, the true rate lies within 30 % of the measured one with 90 %
confidence (Doddington et al., "The NIST speaker recognition evaluation", Speech Communication 31, 2000: rule of 30).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from face_server.types import FloatArray

RULE_OF_30 = 30
CONFIDENCE = 0.95

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Proportion:
    """So many errors among so many trials, at least one."""

    errors: int
    trials: int

    @property
    def share(self) -> float:
        return self.errors / self.trials

    @property
    def enough(self) -> bool:
        """Whether the rule of 30 lets the share be stated."""
        return self.errors >= RULE_OF_30

    def interval(self) -> Interval:
        """Wilson's score interval for the share, 95 %."""
        z2, n, p = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) ** 2, self.trials, self.share
        middle = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = math.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n * n))) / (1 + z2 / n)
        # Rounding must not keep the ends from 0 and 1, nor the share from lying within.
        return (max(0.0, min(middle - half, p)) if self.errors else 0.0, max(p, min(middle + half, 1.0)))

    def exact_interval(self) -> Interval:
        """Clopper and Pearson's exact interval for the share, 95 % (Biometrika 26, 1934): holds for few trials too."""
        tail = (1 - CONFIDENCE) / 2
        low = _share_where(lambda share: 1 - _at_most(self.errors - 1, self.trials, share), tail, True)
        high = _share_where(lambda share: _at_most(self.errors, self.trials, share), tail, False)
        return (low if self.errors else 0.0, high if self.errors < self.trials else 1.0)

    def upper_bound(self) -> float:
        """What the share is at most with a confidence of 95 %, one-sided: of 50 trials without an error, 5.8 %."""
        if self.errors == self.trials:
            return 1.0
        return _share_where(lambda share: _at_most(self.errors, self.trials, share), 1 - CONFIDENCE, False)

    def as_json(self) -> dict[str, Any]:
        return {"errors": self.errors, "trials": self.trials, "share": self.share, "interval": list(self.interval())}


class ErrorRates:
    """FMR and FNMR at any threshold. Keeps both sets of scores in ascending order.

    Raises ValueError when a set is empty or holds what is no number.
    """

    def __init__(self, mated: FloatArray, nonmated: FloatArray) -> None:
        if not (len(mated) and len(nonmated)) or np.isnan(mated).any() or np.isnan(nonmated).any():
            raise ValueError("rates need scores of the same person's and of different people's comparisons")
        self.mated, self.nonmated = np.sort(mated), np.sort(nonmated)

    def fmr(self, threshold: float) -> Proportion:
        """Of different people's comparisons, those with score >= threshold."""
        return Proportion(len(self.nonmated) - _below(self.nonmated, threshold), len(self.nonmated))

    def fnmr(self, threshold: float) -> Proportion:
        """Of the same person's comparisons, those with score < threshold."""
        return Proportion(_below(self.mated, threshold), len(self.mated))

    def threshold_at(self, fmr: float) -> float:
        """The lowest threshold whose FMR is at most this (0..1): just above the best score that must not match."""
        allowed = allowed_errors(fmr, len(self.nonmated))
        if allowed >= len(self.nonmated):
            return float(self.nonmated[0])
        return float(np.nextafter(self.nonmated[-1 - allowed], np.inf, dtype=self.nonmated.dtype))

    def curve(self, thresholds: Sequence[float]) -> list[tuple[float, float, float]]:
        """(threshold, FMR, FNMR) for each threshold."""
        return [(t, self.fmr(t).share, self.fnmr(t).share) for t in thresholds]


def allowed_errors(rate: float, trials: float) -> int:
    """How many of so many trials may be errors at this rate. 0.29 of 100 are 29, although 0.29 * 100 < 29."""
    return math.floor(rate * trials * (1 + 1e-12))


def _at_most(errors: int, trials: int, share: float) -> float:
    """The probability of at most so many errors when each trial is one with probability share (0 < share < 1)."""
    counts = np.arange(errors + 1)
    ways = [math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1) for k in counts]
    return float(np.exp(np.array(ways) + counts * math.log(share) + (trials - counts) * math.log1p(-share)).sum())


def _share_where(probability: Callable[[float], float], wanted: float, rising: bool) -> float:
    """The share at which a probability that rises (or falls) with it has the wanted value, to 1e-9."""
    low, high = 0.0, 1.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if (probability(middle) < wanted) is rising else (low, middle)
    return (low + high) / 2


def _below(ascending: FloatArray, threshold: float) -> int:
    """How many scores lie below a threshold, compared as float64 however the scores are kept."""
    key = ascending.dtype.type(threshold)
    if float(key) < threshold:
        key = np.nextafter(key, ascending.dtype.type(np.inf))
    return int(np.searchsorted(ascending, key, side="left"))


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What is missed at the threshold for a stated rate of false matches (FNMR at FMR) or positives (FNIR at FPIR).

    accepted: impostors that reach the threshold. missed: genuine ones that do not; people_interval is the interval of
    that share by the bootstrap over people.
    """

    target: float
    threshold: float
    accepted: Proportion
    missed: Proportion
    people_interval: Interval

    @property
    def doubt(self) -> str:
        """Why so few comparisons cannot support this point (rule of 30); "" when they can."""
        allowed = allowed_errors(self.target, self.accepted.trials)
        doubts = []
        if allowed < RULE_OF_30:
            doubts.append(f"{self.accepted.trials} impostors allow {allowed} errors at this rate, 30 are needed")
        if not self.missed.enough:
            doubts.append(f"{self.missed.errors} missed, 30 are needed")
        return "; ".join(doubts)

    def as_json(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "threshold": self.threshold,
            "accepted": self.accepted.as_json(),
            "missed": self.missed.as_json() | {"people_interval": list(self.people_interval)},
            "supported": not self.doubt,
            "doubt": self.doubt,
        }


def operating_points(
    rates: ErrorRates, targets: Sequence[float], people_intervals: Sequence[Interval]
) -> tuple[OperatingPoint, ...]:
    """One for each target, with its interval from the bootstrap."""
    points = []
    for target, interval in zip(targets, people_intervals, strict=True):
        threshold = rates.threshold_at(target)
        points.append(OperatingPoint(target, threshold, rates.fmr(threshold), rates.fnmr(threshold), interval))
    return tuple(points)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Share of right answers in each fold at a threshold chosen on the others; `trials` in all folds."""

    folds: tuple[float, ...]
    thresholds: tuple[float, ...]
    trials: int

    @property
    def mean(self) -> float:
        return float(np.mean(self.folds))

    @property
    def standard_error(self) -> float:
        """Of the mean: the folds' standard deviation (n - 1) over the root of their number (LFW's README, eq. 2)."""
        return float(np.std(self.folds, ddof=1) / math.sqrt(len(self.folds)))


def cross_validated(scores: Sequence[FloatArray], mated: Sequence[NDArray[np.bool_]]) -> Accuracy:
    """Accuracy over folds (two at least), each with its scores and whether they are mated.

    NaN is a pair that could not be compared. It is answered "different", as the daemon does that refuses a picture.
    """
    accuracies, thresholds = [], []
    for fold in range(len(scores)):
        others = [other for other in range(len(scores)) if other != fold]
        threshold = best_threshold(
            np.concatenate([scores[other] for other in others]), np.concatenate([mated[other] for other in others])
        )
        accuracies.append(float(np.mean((scores[fold] >= threshold) == mated[fold])))
        thresholds.append(threshold)
    return Accuracy(tuple(accuracies), tuple(thresholds), sum(map(len, scores)))


def best_threshold(scores: FloatArray, mated: NDArray[np.bool_]) -> float:
    """The threshold with the most right answers, in the middle between two scores; of several the lowest."""
    steps = np.unique(scores[~np.isnan(scores)].astype(np.float64))
    if not len(steps):
        return 0.0
    right = np.searchsorted(np.sort(scores[~mated]), steps) - np.searchsorted(np.sort(scores[mated]), steps)
    best = int(np.argmax(right))
    return float(steps[best] if best == 0 else (steps[best - 1] + steps[best]) / 2)
