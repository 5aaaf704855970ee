"""The enrolled subjects in memory, one row each: its centroid, under the id of its newest template. Owns the matrix,
what a centroid is and the arithmetic of scores; may not know LMDB, Annoy, files, threads or locks. Split from
local.py, which keeps the three parts in step, because this part is numpy alone.

A subject's score is the cosine of its centroid and the probe. That beats the best and the mean of the scores of its
templates (lfw-dev, FaceNet before centring, FNMR at FMR 1e-4: 3 templates and 1 probe 0.088 against 0.123 and 0.145, 3
and 3 0.011 against 0.039 and 0.101), and many templates of one subject cannot hide the next one.

Rows are appended in the order of their ids, and marked when removed; none is rewritten. A subject that changes has a
newer template than before: its former row is removed and a new one appended.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Self

import numpy as np
from numpy.typing import NDArray

from face_server.types import Candidate, FloatArray, SubjectId, subject_key

_START_ROWS = 1024
#: A BLAS product of float32 rounds the same pair differently by the row's place in the matrix, by less than this. Rows
#: this close to the cut are kept, so that the final score alone decides.
ROUNDING = 1e-5
#: A mean of unit vectors shorter than this points wherever rounding pushes it.
_CANCELLED = 1e-3
#: Below any score there is.
_GONE = -2.0
#: The score of a subject without a direction: no threshold is as low.
_NOBODY = -1.0


def centroid(vectors: Sequence[FloatArray]) -> FloatArray | None:
    """The direction (D,) float32 of the mean of M >= 1 unit vectors (D,), None where they cancel each other out.

    Summed in float64 in the order given: the same vectors in the same order give the same bits in every process.
    """
    mean = np.array(vectors, np.float32).astype(np.float64).mean(axis=0)
    length = math.sqrt(np.square(mean).sum())
    if length < _CANCELLED:
        return None
    unit: FloatArray = (mean / length).astype(np.float32)
    return unit


def exact_scores(vectors: FloatArray, probe: FloatArray) -> NDArray[np.float64]:
    """Cosine similarity (M,) float64 in [-1, 1] of unit vectors (M, D) and a unit vector (D,).

    Not a BLAS product: the same two vectors give the same score to the last bit wherever the row stands, so equal
    centroids of two subjects are a true tie.
    """
    scores: NDArray[np.float64] = (vectors.astype(np.float64) * probe.astype(np.float64)).sum(axis=1)
    return scores.clip(-1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A subject in its stored type, the id of its newest template, which is its row's, and how many it has."""

    subject: SubjectId
    newest: int
    templates: int


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The rows of one moment: ids (N,) int64 ascending, vectors (N, D), removed (N,) bool, whose each row is."""

    ids: NDArray[np.int64]
    vectors: FloatArray
    removed: NDArray[np.bool_]
    enrolled: list[Enrolled]

    def first_after(self, sequence: int) -> int:
        """The first row whose id is higher than `sequence`."""
        return int(np.searchsorted(self.ids, sequence, side="right"))

    def live(self, row: int) -> NDArray[np.intp]:
        """The rows before this one that are not removed."""
        return np.flatnonzero(~self.removed[:row])

    def live_before(self, row: int) -> int:
        """How many rows before this one are not removed."""
        return row - int(np.count_nonzero(self.removed[:row]))

    def rows_of(self, ids: NDArray[np.int64]) -> NDArray[np.intp]:
        """The live rows with these ids; ids without one are left out."""
        if not len(self.ids):
            return np.empty(0, np.intp)
        rows = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        return np.compress((self.ids[rows] == ids) & ~self.removed[rows], rows)

    def nearest(self, probe: FloatArray, count: int, start: int = 0) -> NDArray[np.intp]:
        """The live rows from `start` on whose score is among the `count` highest, and those that may tie with them."""
        scores, removed = self.vectors[start:] @ probe, self.removed[start:]
        gone = np.count_nonzero(removed)
        if len(scores) - gone <= count:
            return start + np.flatnonzero(~removed)
        if gone:
            scores[removed] = _GONE
        cut = scores.max() if count == 1 else np.partition(scores, -count)[-count]
        return start + np.flatnonzero(scores >= cut - ROUNDING)

    def rank(self, rows: NDArray[np.intp], probe: FloatArray, limit: int) -> tuple[Candidate, ...]:
        """At most `limit` subjects of these rows, the highest exact score first, ties in the order of subject keys."""
        scores = exact_scores(self.vectors[rows], probe).tolist()
        scored = zip((self.enrolled[row] for row in rows.tolist()), scores, strict=True)
        candidates = [Candidate(one.subject, score, one.templates) for one, score in scored]
        return tuple(sorted(candidates, key=lambda one: (-one.score, subject_key(one.subject)))[:limit])


class Rows:
    """The growing matrix. `dimension` is D.

    sequence: the highest template id there ever was. templates: how many are enrolled. A subject whose templates cancel
    each other out counts, but has no live row: nobody is identified as it.
    """

    def __init__(self, dimension: int, capacity: int = _START_ROWS) -> None:
        self.sequence = 0
        self.templates = 0
        self._size = 0
        self._ids = np.empty(capacity, np.int64)
        self._vectors: FloatArray = np.empty((capacity, dimension), np.float32)
        self._removed = np.zeros(capacity, np.bool_)
        self._enrolled: list[Enrolled] = []
        self._of_subject: dict[bytes, Enrolled] = {}

    @classmethod
    def load(
        cls,
        dimension: int,
        sequence: int,
        newest_ids: NDArray[np.int64],
        templates: Iterable[tuple[int, SubjectId, FloatArray]],
    ) -> Self:
        """Rows of templates that come subject by subject, in the order of their ids within each.

        newest_ids (S,): the highest id of each subject, in the same order of subjects.
        """
        # Room that nobody has written to is none of memory; without it the first enrolment would copy all rows.
        rows = cls(dimension, len(newest_ids) + max(_START_ROWS, len(newest_ids) // 8))
        order = np.argsort(newest_ids)
        rows._size, rows.sequence = len(order), sequence
        rows._ids[: rows._size] = newest_ids[order]
        listed: list[Enrolled] = []
        subjects = groupby(templates, key=itemgetter(1))
        for row, newest, (subject, own) in zip(np.argsort(order), newest_ids.tolist(), subjects, strict=True):
            vectors = [vector for _, _, vector in own]
            listed.append(Enrolled(subject, newest, len(vectors)))
            rows._enter(listed[-1])
            rows._fill(row, centroid(vectors))
        rows._enrolled = [listed[place] for place in order]
        rows.compact(0.0)
        return rows

    def view(self) -> View:
        """The rows as they are. A copy of the marks: whoever looks while a subject changes finds it as it was."""
        size = self._size
        return View(self._ids[:size], self._vectors[:size], self._removed[:size].copy(), self._enrolled)

    def subject_count(self) -> int:
        """How many subjects are enrolled."""
        return len(self._of_subject)

    def candidate(self, key: bytes, probe: FloatArray) -> Candidate | None:
        """The subject of this key and its exact score, -1.0 when it has no direction; None when it is unknown."""
        one = self._of_subject.get(key)
        if one is None:
            return None
        view = self.view()
        own = view.vectors[view.rows_of(np.array([one.newest], np.int64))]
        return Candidate(one.subject, float(exact_scores(own, probe).max(initial=_NOBODY)), one.templates)

    def reserve(self) -> None:
        """Have room for one more row, so that `put` cannot run out of memory. Raises MemoryError."""
        if self._size == len(self._ids):
            live = self.view().live_before(self._size)
            self._move(max(_START_ROWS, 2 * live))

    def put(self, one: Enrolled, vector: FloatArray | None) -> None:
        """A subject's one row from now on, its centroid (D,); its newest template's id is higher than all before."""
        self.reserve()
        self.remove((one.subject,))
        self._enter(one)
        self._enrolled.append(one)
        self._ids[self._size] = self.sequence = one.newest
        self._fill(self._size, vector)
        self._size += 1

    def remove(self, subjects: Iterable[SubjectId]) -> None:
        """Mark the rows of these subjects removed, as far as there are any: no later view finds them."""
        popped = [self._of_subject.pop(subject_key(subject), None) for subject in subjects]
        gone = [one for one in popped if one is not None]
        self.templates -= sum(one.templates for one in gone)
        self._removed[self.view().rows_of(np.array([one.newest for one in gone], np.int64))] = True

    def compact(self, share: float = 0.25) -> None:
        """Give back the room of removed rows where they are more than this share, which is worth a copy of the rest.

        Views taken before keep the former matrix.
        """
        live = self.view().live_before(self._size)
        if self._size - live > share * self._size:
            self._move(max(_START_ROWS, live + live // 8))

    def _enter(self, one: Enrolled) -> None:
        self._of_subject[subject_key(one.subject)] = one
        self.templates += one.templates

    def _fill(self, row: int, vector: FloatArray | None) -> None:
        """A subject without a direction gets a row that is removed: a row of noughts is none that Annoy could find."""
        self._vectors[row] = 0 if vector is None else vector
        self._removed[row] = vector is None

    def _move(self, capacity: int) -> None:
        """The live rows into new arrays, since views may hold these."""
        live = np.flatnonzero(~self._removed[: self._size])
        moved = type(self)(self._vectors.shape[1], capacity)
        for name in ("_ids", "_vectors"):
            getattr(moved, name)[: len(live)] = getattr(self, name)[live]
        self._ids, self._vectors, self._removed = moved._ids, moved._vectors, moved._removed
        self._enrolled, self._size = [self._enrolled[row] for row in live.tolist()], len(live)
