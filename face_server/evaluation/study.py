"""What the studies `python -m face_server.evaluation.NAME` share: options, a folder's embeddings, and the exit status.

Exit status: 0, or 2 by an error that has a name.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from face_server.config import ENVIRONMENT_VARIABLE, Config, load_config
from face_server.errors import FaceLoginError
from face_server.evaluation.commands import acquire_groups, add_cache, add_face
from face_server.evaluation.folders import People, Photo, all_photos, read_people
from face_server.types import DetectedFace, FloatArray
from face_server.vision.pipeline import FacePipeline


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """The photos in which a face was found, the face, and its unit vector (n, dimension)."""

    photos: list[Photo]
    found: list[DetectedFace]
    vectors: FloatArray
    fingerprint: str

    @property
    def people(self) -> list[str]:
        """Whose each photo is."""
        return [photo.person for photo in self.photos]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that every study takes."""
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="photographs as person/photo")
    default = Path(os.environ.get(ENVIRONMENT_VARIABLE) or "config.ini")
    parser.add_argument("--config", type=Path, default=default, metavar="FILE", help="whose [embedding] is measured")
    add_face(parser, "centre")
    add_cache(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")


def faces_of(people: People, options: argparse.Namespace, config: Config, pipeline: FacePipeline) -> Faces:
    """Every photo through this pipeline. Raises EvaluationError when none holds a face."""
    (photos,), fingerprint = acquire_groups([all_photos(people)], options, config, pipeline)
    usable, vectors = photos.usable()
    return Faces(usable, [one.face for one in photos.acquired if one.face is not None], vectors, fingerprint)


def run(parser: argparse.ArgumentParser, action: Callable[[People, argparse.Namespace, Config], None]) -> None:
    """Parse the command line, read the folder, act, and leave."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    options = parser.parse_args()
    try:
        config = load_config(options.config)
        action(read_people(options.images), options, config)
    except FaceLoginError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        sys.exit(2)
