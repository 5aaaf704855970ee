"""1:1 error rates of a folder of people: LFW's 10-fold accuracy, and FMR and FNMR over all pairs of its photos.

A photo without an embedding was not acquired (FTA). It stands beside the rates and is in none of them, except that a
pair of the pairs file with such a photo is answered "different". Nothing is returned unless everything was measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from face_server.errors import EvaluationError
from face_server.evaluation.bootstrap import REPLICATES, Genuine, pairs_of_people, percentiles, replicated_misses
from face_server.evaluation.comparisons import Comparisons, Listed, Rows, compare_all
from face_server.evaluation.embeddings import Acquired
from face_server.evaluation.folders import People, Photo
from face_server.evaluation.pairs import Fold
from face_server.evaluation.rates import (
    Accuracy,
    ErrorRates,
    Interval,
    OperatingPoint,
    Proportion,
    cross_validated,
    operating_points,
)
from face_server.types import FloatArray

#: The rates of false matches at which FNMR is stated.
TARGETS = (1e-2, 1e-3, 1e-4, 1e-5)
#: Where the interval of the DET curve is drawn.
BAND = tuple(float(rate) for rate in np.geomspace(1e-6, 2e-2, 44))
#: Pairs of each kind that a report shows.
WORST = 12


@dataclass(frozen=True, slots=True)
class Photos:
    """All photos and what became of each, in the same order."""

    photos: Sequence[Photo]
    acquired: Sequence[Acquired]

    @property
    def failures(self) -> Proportion:
        """Failures to acquire."""
        return Proportion(sum(1 for one in self.acquired if one.failure), len(self.acquired))

    @property
    def failure_reasons(self) -> Counter[str]:
        return Counter(one.failure for one in self.acquired if one.failure)

    @property
    def refusals(self) -> Counter[str]:
        """What the daemon would refuse to search with, although a face was acquired: code -> photos."""
        return Counter(one.refusal for one in self.acquired if one.refusal and not one.failure)

    @property
    def identical(self) -> int:
        """Photos that are byte for byte another one."""
        return len(self.acquired) - len({one.image_sha256 for one in self.acquired})

    def usable(self) -> tuple[list[Photo], FloatArray]:
        """The acquired photos and their vectors (n, dimension). Raises EvaluationError when there are none."""
        both = [(p, a.vector) for p, a in zip(self.photos, self.acquired, strict=True) if a.vector is not None]
        if not both:
            raise EvaluationError(
                f"none of {len(self.photos)} photos holds a usable face: {dict(self.failure_reasons)}"
            )
        return [photo for photo, _ in both], np.stack([vector for _, vector in both])


@dataclass(frozen=True, slots=True)
class WorstPair:
    """A pair that came out wrong, or nearest to it."""

    first: Photo
    second: Photo
    score: float


@dataclass(frozen=True, slots=True)
class Verification:
    """Everything that was measured. curve: (threshold, FMR, FNMR); band: (FMR, low, high FNMR) of the DET curve."""

    photos: Photos
    people: int
    accuracy: Accuracy
    unanswered: int
    rates: ErrorRates
    points: tuple[OperatingPoint, ...]
    curve: list[tuple[float, float, float]]
    band: list[tuple[float, float, float]]
    false_matches: list[WorstPair]
    false_non_matches: list[WorstPair]


def check_people(people: People) -> None:
    """Raises EvaluationError where comparing these people could measure nothing."""
    if len(people) < 2:
        raise EvaluationError("there is one person only, so no two people can be compared and there is no FMR")
    if max(map(len, people.values())) < 2:
        raise EvaluationError("nobody has two photos, so there is no mated pair and no FNMR")


def verification(
    photos: Photos, folds: Sequence[Fold], replicates: int = REPLICATES, targets: Sequence[float] = TARGETS
) -> Verification:
    """Measure. Raises EvaluationError when what was acquired leaves nothing to compare."""
    usable, vectors = photos.usable()
    by_person: People = {}
    for photo in usable:
        by_person.setdefault(photo.person, {})[photo.number] = photo
    check_people(by_person)
    number = {person: place for place, person in enumerate(by_person)}
    people = np.array([number[photo.person] for photo in usable], np.intp)
    comparisons = compare_all(vectors, people)
    rates = ErrorRates(comparisons.mated.scores, comparisons.nonmated)
    intervals = _intervals(comparisons, people, (*targets, *BAND), replicates)
    scores, mated = _answers(folds, usable, vectors)
    steps = [round(float(step), 2) for step in np.arange(np.floor(rates.nonmated[0] * 100), 101) / 100]
    return Verification(
        photos=photos,
        people=len(by_person),
        accuracy=cross_validated(scores, mated),
        unanswered=int(sum(np.isnan(fold).sum() for fold in scores)),
        rates=rates,
        points=operating_points(rates, targets, intervals[: len(targets)]),
        curve=rates.curve(steps),
        band=[(rate, *at) for rate, at in zip(BAND, intervals[len(targets) :], strict=True)],
        false_matches=_worst(comparisons.closest, usable),
        false_non_matches=_worst(comparisons.mated, usable),
    )


def _intervals(comparisons: Comparisons, people: Rows, rates: Sequence[float], replicates: int) -> list[Interval]:
    """Bootstrap intervals of FNMR at each FMR."""
    closest, photos = comparisons.closest, np.bincount(people)
    impostors = pairs_of_people(closest.scores, people[closest.first], people[closest.second], photos, photos, 0.5)
    genuine = Genuine(comparisons.mated.scores, people[comparisons.mated.first])
    return percentiles(replicated_misses(genuine, impostors, len(photos), rates, replicates))


def _answers(
    folds: Sequence[Fold], usable: Sequence[Photo], vectors: FloatArray
) -> tuple[list[FloatArray], list[NDArray[np.bool_]]]:
    """The score of each pair of each fold, NaN where a photo was not acquired, and whether it is mated."""
    row = {photo: number for number, photo in enumerate(usable)}

    def score(first: Photo, second: Photo) -> float:
        if first not in row or second not in row:
            return float("nan")
        return float(vectors[row[first]] @ vectors[row[second]])

    scores = [np.array([score(pair.first, pair.second) for pair in fold], np.float32) for fold in folds]
    return scores, [np.array([pair.mated for pair in fold]) for fold in folds]


def _worst(listed: Listed, photos: Sequence[Photo]) -> list[WorstPair]:
    """The hardest pairs, each photo once: one mislabelled photo would else fill the list."""
    shown: set[int] = set()
    worst: list[WorstPair] = []
    for score, first, second in zip(listed.scores, listed.first, listed.second, strict=True):
        if len(worst) == WORST:
            break
        if shown.isdisjoint((int(first), int(second))):
            shown |= {int(first), int(second)}
            worst.append(WorstPair(photos[first], photos[second], float(score)))
    return worst
