"""Every photo against every other, block by block, and which pairs were the hardest. Knows vectors and rows only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from face_server.types import FloatArray

#: Rows of the score matrix that exist at once.
BLOCK = 512
#: Of the comparisons of different people, those whose rows are kept: the share with the highest scores, and how many
#: in any case. All that any stated rate (1e-2 at most) and its replicates look at lies in it.
TAIL_SHARE, TAIL_LEAST = 0.05, 200_000

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Listed:
    """Comparisons with the rows of their two photos, hardest first: mated by rising score, non-mated by falling."""

    scores: FloatArray
    first: Rows
    second: Rows


@dataclass(frozen=True, slots=True)
class Comparisons:
    """All comparisons of n photos: `mated` of one person, `nonmated` scores of two; `closest` lists the highest."""

    mated: Listed
    nonmated: FloatArray
    closest: Listed


def compare_all(vectors: FloatArray, people: Rows) -> Comparisons:
    """Compare unit vectors (n, dimension), people[i] being whose row i is. Takes about 4 n^2 bytes."""
    nonmated = np.concatenate([scores[other] for scores, other, _, _ in _blocks(vectors, people)])
    kept = min(len(nonmated), max(TAIL_LEAST, int(TAIL_SHARE * len(nonmated))))
    least = float(np.partition(nonmated, -kept)[-kept]) if kept else np.inf
    mated, closest = [], []
    for scores, other, first, second in _blocks(vectors, people):
        mated.append((scores[~other], first[~other], second[~other]))
        near = other & (scores >= least)
        closest.append((scores[near], first[near], second[near]))
    return Comparisons(_sorted(mated, rising=True), nonmated, _sorted(closest, rising=False))


def _blocks(vectors: FloatArray, people: Rows) -> Iterator[tuple[FloatArray, NDArray[np.bool_], Rows, Rows]]:
    """Scores, whether of different people, and the two rows, of each pair once."""
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK] @ vectors[start:].T
        row, column = np.nonzero(np.triu(np.ones(block.shape, bool), k=1))
        first, second = row + start, column + start
        yield block[row, column], people[first] != people[second], first, second


def _sorted(parts: list[tuple[FloatArray, Rows, Rows]], *, rising: bool) -> Listed:
    scores, first, second = (np.concatenate(side) for side in zip(*parts, strict=True))
    order = np.argsort(scores if rising else -scores, kind="stable")
    return Listed(scores[order], first[order], second[order])
