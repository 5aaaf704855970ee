"""Embeddings kept on disk: one small file per photo, written as soon as it is computed, so that an evaluation that is
interrupted goes on where it was.

A file is what `numpy.save` writes for one record (no pickle), then the SHA-256 of that. It lies in a directory named
after the recipe: everything that decides what becomes of a photo (weights and alignment by the pipeline's fingerprint,
whose face counts, the settings, and the source of `face_server.vision`, since an evaluation of yesterday's detector
would be worse than a slow one). Directories of other recipes are never read and may be deleted.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import logging
import os
from pathlib import Path

import numpy as np

import face_server.vision
from face_server.config import Config
from face_server.errors import EvaluationError
from face_server.evaluation.embeddings import Acquired, FaceChoice, Keeper
from face_server.evaluation.folders import printable
from face_server.types import BoundingBox, DetectedFace
from face_server.vision.pipeline import FacePipeline

log = logging.getLogger(__name__)

_DIGEST_BYTES = 32
#: Sections of config.ini that change no embedding; any other, those to come included, is part of the recipe.
_ELSEWHERE = {"source", "server", "access", "models", "gallery", "index", "decision", "web", "database", "log"}


def recipe(config: Config, pipeline: FacePipeline, choice: FaceChoice) -> str:
    """64 hex digits that differ where a photo could become another embedding."""
    sources = hashlib.sha256()
    for directory in face_server.vision.__path__:
        for path in sorted(Path(directory).glob("*.py")):
            sources.update(path.read_bytes())
    settings = {name: value for name, value in dataclasses.asdict(config).items() if name not in _ELSEWHERE}
    decisive = [pipeline.fingerprint, choice.value, settings, sources.hexdigest()]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True, default=str).encode()).hexdigest()


class EmbeddingCache(Keeper):
    """The files of one recipe below a directory. Raises EvaluationError when the directory cannot be written."""

    def __init__(self, directory: Path, recipe: str, dimension: int) -> None:
        self._directory = directory / recipe[:32]
        self._recipe = recipe
        self._record = np.dtype(
            [
                ("recipe", "S64"),
                ("image_sha256", "S64"),
                ("acquired", "?"),
                ("vector", "<f4", (dimension,)),
                ("box", "<f8", (4,)),
                ("landmarks", "<f8", (5, 2)),
                ("confidence", "<f8"),
                ("faces", "<i4"),
                ("refusal", "S32"),
                ("failure", "S32"),
            ]
        )
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EvaluationError(f"the cache {printable(directory)} cannot be made: {error.strerror}") from error

    def path(self, image_sha256: str) -> Path:
        """The file of the photo with this hash."""
        return self._directory / f"{image_sha256}.npy"

    def get(self, image_sha256: str) -> Acquired | None:
        """What is kept of a photo. A damaged file is named in the log and counts as none, so it is computed anew."""
        path = self.path(image_sha256)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise EvaluationError(f"the cache file {printable(path)} cannot be read: {error.strerror}") from error
        record = self._verified(content, image_sha256)
        if record is None:
            log.warning("the cache file %s is damaged; its photo is computed anew", printable(path))
            return None
        return _acquired(record)

    def put(self, acquired: Acquired) -> None:
        """Keep it, whole or not at all. Raises EvaluationError when it cannot be written."""
        buffer = io.BytesIO()
        np.save(buffer, self._as_record(acquired), allow_pickle=False)
        content = buffer.getvalue()
        path = self.path(acquired.image_sha256)
        draft = path.with_suffix(f".{os.getpid()}.part")
        try:
            draft.write_bytes(content + hashlib.sha256(content).digest())
            draft.replace(path)
        except OSError as error:
            raise EvaluationError(f"the cache file {printable(path)} cannot be written: {error.strerror}") from error

    def _verified(self, content: bytes, image_sha256: str) -> np.void | None:
        """The record, if the bytes are those that were written, for this photo and recipe."""
        body, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
        if hashlib.sha256(body).digest() != digest:
            return None
        try:
            array = np.load(io.BytesIO(body), allow_pickle=False)
        except (ValueError, EOFError):
            return None
        if array.dtype != self._record or array.shape != ():
            return None
        record: np.void = array[()]
        ours = (record["recipe"], record["image_sha256"]) == (self._recipe.encode(), image_sha256.encode())
        return record if ours else None

    def _as_record(self, acquired: Acquired) -> np.ndarray[tuple[()], np.dtype[np.void]]:
        record = np.zeros((), self._record)
        record["recipe"] = self._recipe
        for name in ("image_sha256", "faces", "refusal", "failure"):
            record[name] = getattr(acquired, name)
        if acquired.vector is not None and acquired.face is not None:
            face = acquired.face
            record["acquired"], record["vector"] = True, acquired.vector
            record["box"] = (face.box.x1, face.box.y1, face.box.x2, face.box.y2)
            record["landmarks"], record["confidence"] = face.landmarks, face.confidence
        return record


def _acquired(record: np.void) -> Acquired:
    texts = (record[name].decode() for name in ("image_sha256", "refusal", "failure"))
    image_sha256, refusal, failure = texts
    if not record["acquired"]:
        return Acquired(image_sha256, None, None, int(record["faces"]), refusal, failure)
    landmarks = tuple((float(x), float(y)) for x, y in record["landmarks"])
    box = BoundingBox(*map(float, record["box"]))
    face = DetectedFace(box, landmarks, float(record["confidence"]))  # type: ignore[arg-type]
    return Acquired(image_sha256, record["vector"].copy(), face, int(record["faces"]), refusal, failure)
