"""Which way to make one score of several images misses least? Prints a table as Markdown.

    python -m face_server.evaluation.fusion --images DIR [--config FILE] [--json]

For so many enrolled and so many probe images of a person: FNMR at the threshold at which the same photographs of
different people have the stated FMR, and by how much that is less or more than the shipped fusion's, the centroid. The
threshold is taken on the same data, so these figures compare ways; what a stated rate is worth on other people is
`holdout`'s. All starts from the network's vectors as they are, whatever [embedding] centre says. Owns the ways; the
daemon knows the centroid only, of centred vectors where there is a centre.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from face_server.assembly import assemble_embedder, assemble_pipeline
from face_server.config import Config
from face_server.errors import EvaluationError
from face_server.evaluation import study
from face_server.evaluation.bootstrap import REPLICATES, misses, percentiles, replicated_misses
from face_server.evaluation.calibration import centroids
from face_server.evaluation.captures import Captures, Fuse, compare_captures, rows_of
from face_server.evaluation.centring import centred, uncentred
from face_server.evaluation.commands import tell
from face_server.evaluation.embeddings import read_image
from face_server.evaluation.folders import People
from face_server.evaluation.mirroring import mirrored_pipeline, with_mirror_images
from face_server.evaluation.rates import RULE_OF_30, Interval
from face_server.evaluation.weighting import learnt_weights, pose_weights
from face_server.types import FloatArray, Quality, RgbImage
from face_server.vision import imaging, quality
from face_server.vision.embedding import Embedder
from face_server.vision.pipeline import FacePipeline, Purpose
from face_server.vision.quality import Limits

COUNTS = ((1, 1), (1, 3), (3, 1), (3, 3), (5, 3))
TARGETS = (1e-3, 1e-4)
#: The shipped way. The ways that fuse the same vectors differently are all this one for single images.
CENTROID = "centroid"
FUSES_ONLY = ("mean score", "best score", "weighted")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="fusion", description=__doc__.splitlines()[0])
    study.add_options(parser)
    study.run(parser, _fusion)


def _fusion(people: People, options: argparse.Namespace, config: Config) -> None:
    config = uncentred(config)
    pipeline, embedder = assemble_pipeline(config), assemble_embedder(config)
    faces = study.faces_of(people, options, config, pipeline)
    mirrored = study.faces_of(people, options, config, mirrored_pipeline(config, pipeline, embedder))
    measured, own = _qualities(faces, config), rows_of(faces.people)
    weights = {
        "by pose": pose_weights(measured, Limits.of(config.quality, Purpose.ENROL.value)),
        "as learnt": learnt_weights(faces.vectors, own, measured),
    }
    both = with_mirror_images(faces.vectors, mirrored.vectors)
    others = {"mirrored": both, "centred": centred(faces.vectors, own), "mirrored, centred": centred(both, own)}
    ways = ways_of(faces.vectors, weights, others)
    with tqdm(total=(len(COUNTS) - 1) * len(ways) + 1 + len(others), unit="row", disable=None) as bar:
        rows = list(measure(own, ways, progress=bar.update))
    alone_ms, both_ms = _embedding_ms(embedder, _first_crop(faces, pipeline))
    about = {"model": config.embedding.model, "photos": len(faces.photos), "people": len(own)}
    told = about | {"embedding_ms": {"one": alone_ms, "mirrored": both_ms}, "rows": as_json(rows)}
    heading = f"{config.embedding.model}, {len(faces.photos):,} photographs of {len(own):,} people"
    cost = f"To embed one crop takes {alone_ms:.1f} ms, with its mirror image {both_ms:.1f} ms (median)."
    tell(options, told, [heading, "", *lines(rows), "", cost])


@dataclass(frozen=True, slots=True)
class Figure:
    """FNMR at an FMR, and its difference to the centroid's for the same people drawn (negative: misses fewer).

    supported: whether 30 false matches and 30 misses stand behind it, in the pictures of one round.
    """

    target: float
    fnmr: float
    interval: Interval
    difference: float
    difference_interval: Interval
    supported: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One way for one pair of counts; comparisons of different people, mated of the same, in one round."""

    enrolled: int
    probes: int
    way: str
    comparisons: int
    mated: int
    figures: tuple[Figure, ...]


def ways_of(
    vectors: FloatArray, weights: dict[str, NDArray[np.float64]], others: dict[str, FloatArray]
) -> dict[str, Fuse]:
    """Each way by its name. weights: (n,) by a weighting's name; others: the same photos' other vectors by theirs."""

    def centroid(vectors: FloatArray) -> Fuse:
        return lambda subjects, probes: centroids(vectors, subjects) @ centroids(vectors, probes).T

    def mean(subjects: NDArray[np.int64], probes: NDArray[np.int64]) -> FloatArray:
        scores: FloatArray = vectors[subjects].mean(axis=1) @ vectors[probes].mean(axis=1).T
        return scores

    def best(subjects: NDArray[np.int64], probes: NDArray[np.int64]) -> FloatArray:
        scores = [vectors[one] @ vectors[other].T for one in subjects.T for other in probes.T]
        highest: FloatArray = np.max(scores, axis=0)
        return highest

    ways = {CENTROID: centroid(vectors), "mean score": mean, "best score": best}
    for name, by in weights.items():
        ways[f"weighted {name}"] = centroid((vectors * by[:, None]).astype(np.float32))
    return ways | {f"{CENTROID}, {name}": centroid(other) for name, other in others.items()}


def measure(
    own: Sequence[NDArray[np.int64]],
    ways: dict[str, Fuse],
    counts: Sequence[tuple[int, int]] = COUNTS,
    replicates: int = REPLICATES,
    progress: Callable[[], object] = lambda: None,
) -> Iterator[Row]:
    """A row for each way and pair of counts, own[i] being person i's rows. Raises EvaluationError."""
    for enrolled, probes in counts:
        base: tuple[FloatArray, NDArray[np.float64]] | None = None
        for name, fuse in ways.items():
            if enrolled * probes == 1 and name.startswith(FUSES_ONLY):
                continue
            found = compare_captures(own, enrolled, probes, fuse)
            if not found.mated:
                raise EvaluationError(f"nobody has {enrolled} + {probes} photos with a face, so there is no FNMR")
            share = misses(found.genuine, found.impostors, len(own), TARGETS)
            # The same seed draws the same people for every way, so differences are of pairs.
            drawn = replicated_misses(found.genuine, found.impostors, len(own), TARGETS, replicates)
            base = base or (share, drawn)
            figures = _figures(found, share, drawn, base)
            progress()
            yield Row(enrolled, probes, name, found.comparisons, found.mated, figures)


def _figures(
    found: Captures,
    share: FloatArray,
    drawn: NDArray[np.float64],
    base: tuple[FloatArray, NDArray[np.float64]],
) -> tuple[Figure, ...]:
    intervals, differences = percentiles(drawn), percentiles(drawn - base[1])
    return tuple(
        Figure(
            target,
            float(share[at]),
            intervals[at],
            float(share[at] - base[0][at]),
            differences[at],
            min(found.comparisons * target, found.mated * float(share[at])) >= RULE_OF_30,
        )
        for at, target in enumerate(TARGETS)
    )


def lines(rows: Sequence[Row]) -> list[str]:
    """The table. A figure in brackets rests on fewer than 30 false matches or misses."""
    heads = [f"FNMR at FMR {target:.0e} (95 %) | minus the centroid's" for target in TARGETS]
    told = [
        f"| enrolled + probes | comparisons of different people / of one | fused as | {' | '.join(heads)} |",
        f"|---|---|---|{'---|---|' * len(TARGETS)}",
    ]
    for row in rows:
        cells = " | ".join(_cells(figure, row.way == CENTROID) for figure in row.figures)
        told.append(
            f"| {row.enrolled} + {row.probes} | {row.comparisons:,} / {row.mated:,} | {row.way} | {cells} |",
        )
    return told


def _cells(figure: Figure, base: bool) -> str:
    share = f"{figure.fnmr:.3f}" if figure.supported else f"({figure.fnmr:.3f})"
    low, high = figure.interval
    told = f"{share} {low:.3f}-{high:.3f}"
    if base:
        return f"{told} | "
    less, more = figure.difference_interval
    return f"{told} | {figure.difference:+.3f} ({less:+.3f} to {more:+.3f})"


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """JSON-able rows."""
    return [
        {
            "enrolled": row.enrolled,
            "probes": row.probes,
            "way": row.way,
            "comparisons": row.comparisons,
            "mated": row.mated,
            "figures": [
                {
                    "fmr": one.target,
                    "fnmr": one.fnmr,
                    "people_interval": list(one.interval),
                    "difference": one.difference,
                    "difference_interval": list(one.difference_interval),
                    "supported": one.supported,
                }
                for one in row.figures
            ],
        }
        for row in rows
    ]


def _qualities(faces: study.Faces, config: Config) -> list[Quality]:
    """What the pipeline measures of each face, in the picture as it was given."""
    measured = []
    for photo, face in zip(tqdm(faces.photos, desc="quality", unit="photo", disable=None), faces.found, strict=True):
        given = imaging.decode(read_image(photo.path), config.imaging.max_image_pixels)
        measured.append(quality.measure(face, quality.measuring_crop(given, face)))
    return measured


def _first_crop(faces: study.Faces, pipeline: FacePipeline) -> RgbImage:
    return pipeline.crop(pipeline.decode(read_image(faces.photos[0].path)), faces.found[0])


def _embedding_ms(embedder: Embedder, crop: RgbImage, repeats: int = 40) -> tuple[float, float]:
    """Median ms for one crop, and for it with its mirror image in one batch."""
    batches = (crop[None], np.stack([crop, crop[:, ::-1]]))
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for batch, taken in zip(batches, times, strict=True):
            started = time.perf_counter()
            embedder.embed(batch)
            taken.append((time.perf_counter() - started) * 1e3)
    return statistics.median(times[0]), statistics.median(times[1])


if __name__ == "__main__":
    main()
