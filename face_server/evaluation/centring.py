"""The mean of all faces: made for models/centres, and what taking it away wins. Knows vectors and whose they are.

    python -m face_server.evaluation.centring --images DIR --source WORDS    writes the mean for the configured network

The photographs should show many people, a few of each. Whoever changes a centre locks the galleries made with the
former one, and needs new calibration curves (`face-server calibrate`).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from face_server.assembly import assemble_pipeline
from face_server.config import Config
from face_server.evaluation import study
from face_server.evaluation.captures import rows_of
from face_server.evaluation.folders import People
from face_server.types import FloatArray
from face_server.vision.centring import write_centre


def uncentred(config: Config) -> Config:
    """The same with the network's vectors as they are."""
    return replace(config, embedding=replace(config.embedding, centre=False))


def mean_face(vectors: FloatArray, own: Sequence[NDArray[np.int64]]) -> FloatArray:
    """(dimension,) float32: the mean of the people's means, own[i] being person i's rows of (n, dimension) vectors."""
    mean: FloatArray = np.mean([vectors[rows].mean(axis=0) for rows in own], axis=0).astype(np.float32)
    return mean


def centred(vectors: FloatArray, own: Sequence[NDArray[np.int64]], seed: int = 0) -> FloatArray:
    """(n, dimension) float32 unit vectors less a mean, own[i] being person i's rows.

    The mean is that of the other half of the people, each person once, so that nobody is measured by a mean of their
    own faces. With fewer than two people nothing is taken away.
    """
    halves = np.random.default_rng(seed).permutation(len(own)) % 2
    less = vectors.astype(np.float64)
    for half in (0, 1):
        others = [rows for person, rows in enumerate(own) if halves[person] != half]
        mean = mean_face(vectors, others) if others else np.zeros(vectors.shape[1])
        for person, rows in enumerate(own):
            if halves[person] == half:
                less[rows] -= mean
    unit: FloatArray = (less / np.linalg.norm(less, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _write(people: People, options: argparse.Namespace, config: Config) -> None:
    config = uncentred(config)
    faces = study.faces_of(people, options, config, assemble_pipeline(config))
    mean = mean_face(faces.vectors, rows_of(faces.people))
    path = write_centre(options.out or config.models.path / "centres", faces.fingerprint, mean, options.source)
    print(f"written to {path}: length {np.linalg.norm(mean):.3f}, of {len(faces.photos):,} photographs")


def main() -> None:
    """The command line of the module."""
    parser = argparse.ArgumentParser(prog="centring", description=__doc__.splitlines()[0])
    study.add_options(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="write here instead of models/centres")
    parser.add_argument("--source", required=True, help="how the data is described in the file")
    study.run(parser, _write)


if __name__ == "__main__":
    main()
