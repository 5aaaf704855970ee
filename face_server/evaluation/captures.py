"""Several images of one person against several of another, by any way to make one score of them: what score, and whose.

Knows rows and scores only. Which images meet is drawn by `calibration`, so what is measured here is what a curve would
be made of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from face_server.errors import EvaluationError
from face_server.evaluation.bootstrap import Genuine, Impostors, pairs_of_people
from face_server.evaluation.calibration import BLOCK, Draw, apart, draws
from face_server.evaluation.comparisons import Rows
from face_server.types import FloatArray

#: Of the comparisons of different people, those that are listed: the share with the highest scores, and how many in
#: any case of each block. All that a stated rate (1e-2 at most) and its replicates look at lies in it.
TAIL_SHARE, TAIL_LEAST = 0.05, 20_000

#: Scores (g, h) of groups (g, enrolled) against groups (h, probes) of rows.
Fuse = Callable[[NDArray[np.int64], NDArray[np.int64]], FloatArray]


@dataclass(frozen=True, slots=True)
class Captures:
    """Scores of all rounds.

    genuine: of one person, no image on both sides. impostors: of different people, the highest; first, second: who is
    enrolled and who is searched in each. comparisons, mated: those of one round, a pair of single images counted once.
    """

    genuine: Genuine
    impostors: Impostors
    first: Rows
    second: Rows
    comparisons: int
    mated: int


def rows_of(people: Sequence[str]) -> list[NDArray[np.int64]]:
    """The rows of each person, people in the order in which they first come."""
    rows: dict[str, list[int]] = {}
    for row, person in enumerate(people):
        rows.setdefault(person, []).append(row)
    return [np.array(own) for own in rows.values()]


def compare_captures(
    own: Sequence[NDArray[np.int64]], enrolled: int, probes: int, fuse: Fuse, seed: int = 0
) -> Captures:
    """Everybody against everybody, own[i] being person i's rows. Raises EvaluationError where no two people can meet.

    Of the same person there may be no comparison.
    """
    rounds = list(draws(own, enrolled, probes, seed))
    _, subject_of, _, search_of = rounds[0]
    mated, person, closest, floor = [], [], [], -np.inf
    for drawn in rounds:
        for scores, first, second, alone in _blocks(drawn, fuse):
            other = first != second
            mated.append(scores[~other & alone])
            person.append(first[~other & alone])
            kept = min(int(other.sum()), max(TAIL_LEAST, int(TAIL_SHARE * other.sum())))
            if kept < other.sum():
                floor = max(floor, float(np.partition(scores[other], -kept)[-kept]))
            near = other & (scores >= floor)
            closest.append((scores[near], first[near], second[near]))
    if not sum(len(scores) for scores, _, _ in closest):
        raise EvaluationError(f"no two people have {enrolled} and {probes} photos with a face: nothing can be compared")
    scores, first, second = (np.concatenate(side) for side in zip(*closest, strict=True))
    order = np.argsort(-scores, kind="stable")[: np.count_nonzero(scores >= floor)]
    counts = [np.bincount(whose, minlength=len(own)) for whose in (subject_of, search_of)]
    impostors = pairs_of_people(scores[order], first[order], second[order], counts[0], counts[1], len(rounds))
    genuine = Genuine(np.concatenate(mated), np.concatenate(person))
    everybody = np.ones(len(own))
    met = 2 if enrolled == probes == 1 else len(rounds)  # of single images each pair was met from both sides
    return Captures(
        genuine,
        impostors,
        first[order],
        second[order],
        round(impostors.total(everybody) / met),
        len(genuine.scores) // met,
    )


def _blocks(drawn: Draw, fuse: Fuse) -> Iterator[tuple[FloatArray, Rows, Rows, NDArray[np.bool_]]]:
    """Scores, who is enrolled, who is searched, and whether no image is on both sides."""
    subjects, subject_of, searches, search_of = drawn
    for start in range(0, len(subjects) if len(searches) else 0, BLOCK):
        block = subjects[start : start + BLOCK]
        scores = fuse(block, searches)
        first, second = np.broadcast_arrays(subject_of[start : start + BLOCK, None], search_of[None])
        yield scores.ravel(), first.ravel(), second.ravel(), apart(block, searches).ravel()
