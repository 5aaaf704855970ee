"""Do the error rates that curves state hold for people whom the curves do not know? Prints a table as Markdown.

    python -m face_server.evaluation.holdout --images DIR [--blocks 8] [--config FILE] [--plot OUT.png] [--json]

People are dealt to blocks. Curves are made, as `face-server calibrate` makes them, from all blocks but two, and the
share of different people of those two that match is measured; then with every other two. So any two people meet at
thresholds that neither of them has moved. Two people of one block meet in several splits, and count for their mean.

With 8 blocks the curves rest on three quarters of the people: of lfw-dev the least, rounded, that can state 1e-4 for
three images against three.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from face_server.assembly import assemble_pipeline
from face_server.calibration import Calibration
from face_server.config import Config
from face_server.errors import ConfigError, EvaluationError, ThresholdUnsupported
from face_server.evaluation import study
from face_server.evaluation.bootstrap import REPLICATES, percentiles, replicated_matches
from face_server.evaluation.calibration import calibrate, centroids
from face_server.evaluation.captures import Captures, compare_captures, rows_of
from face_server.evaluation.commands import positive, tell, write
from face_server.evaluation.folders import People
from face_server.evaluation.plots import stated_and_measured
from face_server.evaluation.rates import RULE_OF_30, Interval, Proportion
from face_server.types import FloatArray

COUNTS = ((1, 1), (3, 1), (3, 3))
#: Of these rates the table tells; those between are drawn.
TOLD = (1e-3, 1e-4)
STATED = tuple(10.0 ** (-step / 4) for step in range(8, 17))
BLOCKS, DEALS = 8, 4

#: Which thresholds two people meet at: (blocks, blocks, rates), symmetric; NaN where a rate is not supported.
Thresholds = NDArray[np.float64]
Deal = tuple[NDArray[np.intp], Thresholds]


@dataclass(frozen=True, slots=True)
class Cell:
    """What curves state for these counts and what was measured; `measured` None where a split cannot state the rate.

    interval: of the measured rate, 95 %, by drawing people anew; thresholds stay. people: pairs of people of whom any
    images matched. thresholds: least and greatest of the splits.
    """

    enrolled: int
    probes: int
    stated: float
    measured: float | None
    interval: Interval
    people: int
    thresholds: tuple[float, float]

    @property
    def supported(self) -> bool:
        """Whether 30 pairs of people stand behind it."""
        return self.people >= RULE_OF_30


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="holdout", description=__doc__.splitlines()[0])
    study.add_options(parser)
    parser.add_argument("--blocks", type=positive, default=BLOCKS, help=f"3 or more, two held out (default {BLOCKS})")
    parser.add_argument("--deals", type=positive, default=DEALS, help=f"deal people so often anew (default {DEALS})")
    parser.add_argument("--plot", type=Path, metavar="OUT.png", help="stated against measured rates")
    study.run(parser, _holdout)


def _holdout(people: People, options: argparse.Namespace, config: Config) -> None:
    faces = study.faces_of(people, options, config, assemble_pipeline(config))
    splits = options.deals * options.blocks * (options.blocks - 1) // 2
    with tqdm(total=splits, unit="split", disable=None) as bar:
        cells = measure(faces.vectors, faces.people, options.blocks, options.deals, progress=bar.update)
    counted = len(set(faces.people))
    about = {"model": config.embedding.model, "photos": len(faces.photos), "people": counted, "splits": splits}
    heading = (
        f"{config.embedding.model}, {len(faces.photos):,} photographs of {counted:,} people; curves from"
        f" {1 - 2 / options.blocks:.0%} of them, measured on the others, {splits} splits"
    )
    if options.plot:
        write(options.plot, plotted(cells, config.embedding.model))
    tell(options, about | {"cells": [as_json(cell) for cell in cells]}, [heading, "", *lines(cells)])


def measure(
    vectors: FloatArray,
    people: Sequence[str],
    blocks: int = BLOCKS,
    deals: int = DEALS,
    counts: Sequence[tuple[int, int]] = COUNTS,
    replicates: int = REPLICATES,
    progress: Callable[[], object] = lambda: None,
) -> list[Cell]:
    """A cell for each pair of counts and each rate of STATED, from unit vectors (n, dimension) and whose each is.

    Raises EvaluationError when the people are too few.
    """
    own = rows_of(people)
    if blocks < 3 or len(own) < 2 * blocks:
        raise EvaluationError(
            f"{len(own)} people cannot be dealt to {blocks} blocks: 3 or more of two people are needed"
        )
    dealt = [_dealt(own, blocks, seed) for seed in range(deals)]
    made = [_thresholds(vectors, people, own, block, counts, progress) for block in dealt]

    def fuse(subjects: NDArray[np.int64], probes: NDArray[np.int64]) -> FloatArray:
        scores: FloatArray = centroids(vectors, subjects) @ centroids(vectors, probes).T
        return scores

    cells: list[Cell] = []
    for place, (enrolled, probes) in enumerate(counts):
        found = compare_captures(own, enrolled, probes, fuse)
        both = [(block, thresholds[place]) for block, thresholds in zip(dealt, made, strict=True)]
        cells += _cells(found, both, enrolled, probes, len(own), replicates)
    return cells


def _dealt(own: Sequence[NDArray[np.int64]], blocks: int, seed: int) -> NDArray[np.intp]:
    """(people,): the block of each, at random, but each block with its share of those who have many photos."""
    random = np.random.default_rng(seed)
    photos = np.array([len(rows) for rows in own])
    order = np.lexsort((random.random(len(own)), -photos))
    block = np.empty(len(own), np.intp)
    for start in range(0, len(own), blocks):
        dealt = order[start : start + blocks]
        block[dealt] = random.permutation(blocks)[: len(dealt)]
    return block


def _thresholds(
    vectors: FloatArray,
    people: Sequence[str],
    own: Sequence[NDArray[np.int64]],
    block: NDArray[np.intp],
    counts: Sequence[tuple[int, int]],
    progress: Callable[[], object],
) -> NDArray[np.float64]:
    """(counts, blocks, blocks, rates): the thresholds of the curves that do not know the people of two blocks."""
    blocks = int(block.max()) + 1
    wanted = tuple(sorted({one[side] for one in counts}) for side in (0, 1))
    thresholds = np.full((len(counts), blocks, blocks, len(STATED)), np.nan)
    for first, second in combinations(range(blocks), 2):
        kept = np.concatenate([rows for rows, at in zip(own, block, strict=True) if at not in (first, second)])
        try:
            made = calibrate(vectors[kept], [people[row] for row in kept], "", "", counts=(wanted[0], wanted[1]))
        except ConfigError as error:
            raise EvaluationError(f"without two of {blocks} blocks: {error}") from error
        of = [[_threshold(made, rate, *one) for rate in STATED] for one in counts]
        thresholds[:, first, second] = thresholds[:, second, first] = of
        progress()
    return thresholds


def _threshold(made: Calibration, rate: float, enrolled: int, probes: int) -> float:
    """NaN where the curve of exactly these counts is missing or cannot state the rate."""
    curve = made.curve(enrolled, probes)
    try:
        return curve.threshold(rate) if (curve.enrolled, curve.probes) == (enrolled, probes) else float("nan")
    except ThresholdUnsupported:
        return float("nan")


def _cells(
    found: Captures, deals: Sequence[Deal], enrolled: int, probes: int, people: int, replicates: int
) -> list[Cell]:
    matched = np.mean([_matched(found, block, thresholds) for block, thresholds in deals], axis=0)
    measured = matched.sum(axis=0) / found.impostors.total(np.ones(people))
    intervals = percentiles(replicated_matches(found.impostors, matched, people, replicates))
    pair = np.minimum(found.first, found.second) * people + np.maximum(found.first, found.second)
    off = ~np.eye(len(deals[0][1]), dtype=bool)
    of_splits = np.concatenate([thresholds[off] for _, thresholds in deals])
    cells = []
    for at, stated in enumerate(STATED):
        matching = len(np.unique(pair[matched[:, at] > 0]))
        known = not np.isnan(of_splits[:, at]).any()
        # Of no match at all the bootstrap would say that there never is one.
        interval = intervals[at] if matching else Proportion(0, people * (people - 1) // 2).interval()
        between = (float(of_splits[:, at].min()), float(of_splits[:, at].max()))
        cells.append(
            Cell(enrolled, probes, stated, float(measured[at]) if known else None, interval, matching, between)
        )
    return cells


def _matched(found: Captures, block: NDArray[np.intp], thresholds: Thresholds) -> NDArray[np.float64]:
    """(scores, rates), 0..1: the share of the splits that hold out both people in which they match."""
    scores, first, second = found.impostors.scores[:, None], block[found.first], block[found.second]
    matched = (scores >= thresholds[first, second]).astype(np.float64)
    together = first == second
    blocks = len(thresholds)
    # The diagonal is NaN, which no score reaches, so the sum is over the other blocks.
    meetings = [scores[together] >= thresholds[first[together], other] for other in range(blocks)]
    matched[together] = np.sum(meetings, axis=0) / (blocks - 1)
    return matched


def lines(cells: Sequence[Cell]) -> list[str]:
    """The table. A figure in brackets rests on fewer than 30 pairs of people."""
    told = [
        "| enrolled + probes | stated FMR | measured FMR | measured / stated | 95 %, over people | within a factor 2 |"
        " pairs of people that matched | thresholds of the splits |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for cell in cells:
        if cell.stated not in TOLD:
            continue
        counts = f"| {cell.enrolled} + {cell.probes} | {cell.stated:.0e} |"
        if cell.measured is None:
            told.append(f"{counts} not supported by so few people | | | | | |")
            continue
        ratio, (low, high) = cell.measured / cell.stated, (end / cell.stated for end in cell.interval)
        share = f"{ratio:.2f}" if cell.supported else f"({ratio:.2f})"
        within = "yes" if 0.5 <= ratio <= 2 else "no"
        told.append(
            f"{counts} {cell.measured:.2e} | {share} | {low:.2f}-{high:.2f} | {within} | {cell.people:,} |"
            f" {cell.thresholds[0]:.3f}-{cell.thresholds[1]:.3f} |"
        )
    return told


def as_json(cell: Cell) -> dict[str, Any]:
    """JSON-able."""
    return {
        "enrolled": cell.enrolled,
        "probes": cell.probes,
        "stated": cell.stated,
        "measured": cell.measured,
        "people_interval": list(cell.interval),
        "pairs_of_people": cell.people,
        "thresholds": None if cell.measured is None else list(cell.thresholds),
        "supported": cell.supported,
    }


def plotted(cells: Sequence[Cell], title: str) -> bytes:
    """The picture of all cells, PNG."""
    series: dict[str, list[tuple[float, float, float, float]]] = {}
    for cell in cells:
        if cell.measured:
            name = f"{cell.enrolled} + {cell.probes}"
            series.setdefault(name, []).append((cell.stated, cell.measured, *cell.interval))
    return stated_and_measured(series, title)


if __name__ == "__main__":
    main()
