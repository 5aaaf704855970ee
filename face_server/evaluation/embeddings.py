"""Photos to embeddings by the daemon's own pipeline, once: what was computed is kept, photo by photo.

`capture` is what the daemon runs on a search. Evaluation differs in one thing, and says so: where the daemon would
refuse a picture that shows several people, or answer about another face than the data set means, the chosen face goes
on through the pipeline's remaining steps. The refusal is noted beside it.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np

from face_server.errors import ClientError, EvaluationError, NoFace, PersonError
from face_server.evaluation.folders import Photo, printable
from face_server.types import DetectedFace, FloatArray, RgbImage
from face_server.vision.detection import Detector
from face_server.vision.pipeline import Capture, FacePipeline, Purpose


class FaceChoice(Enum):
    """Whose face counts where a picture shows several: LFW means the one nearest the centre, the daemon the largest."""

    CENTRE = "centre"
    LARGEST = "largest"


@dataclass(frozen=True, slots=True)
class Chosen:
    """The face of one picture that is evaluated: its vector (dimension,) and aligned crop (size, size, 3).

    faces: how many were found. refusal: the code with which the daemon would refuse to search with this picture, or "".
    """

    face: DetectedFace
    vector: FloatArray
    crop: RgbImage
    faces: int
    refusal: str


@dataclass(frozen=True, slots=True, eq=False)
class Acquired:
    """What became of one photo. Without a vector it was not acquired, and `failure` is the code that says why."""

    image_sha256: str
    vector: FloatArray | None
    face: DetectedFace | None
    faces: int
    refusal: str
    failure: str


class Keeper:
    """Keeps what was acquired; this one does not. `cache.EmbeddingCache` is the one that does."""

    def get(self, image_sha256: str) -> Acquired | None:
        """What became of the photo with this hash, if it is known."""
        return None

    def put(self, acquired: Acquired) -> None:
        """Keep it."""


def acquire_all(
    photos: Sequence[Photo],
    pipeline: FacePipeline,
    choice: FaceChoice,
    keeper: Keeper,
    progress: Callable[[], object] = lambda: None,
) -> list[Acquired]:
    """Every photo in its order; one that is kept costs nothing. Raises EvaluationError when a file cannot be read."""
    done = []
    for photo in photos:
        data = read_image(photo.path)
        acquired = keeper.get(hashlib.sha256(data).hexdigest())
        if acquired is None:
            acquired = acquire(pipeline, data, choice)
            keeper.put(acquired)
        done.append(acquired)
        progress()
    return done


def read_image(path: Path) -> bytes:
    """The bytes of a file. Raises EvaluationError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise EvaluationError(f"{printable(path)} cannot be read: {error.strerror}") from error


def acquire(pipeline: FacePipeline, data: bytes, choice: FaceChoice) -> Acquired:
    """The chosen face of a picture, or why there is none."""
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        chosen = choose(pipeline, data, choice)
    except (PersonError, ClientError) as error:
        return Acquired(sha256, None, None, 0, error.code, error.code)
    return Acquired(sha256, chosen.vector, chosen.face, chosen.faces, chosen.refusal, "")


def choose(pipeline: FacePipeline, data: bytes, choice: FaceChoice) -> Chosen:
    """The face that counts. Raises ImageUnreadable, ImageTooLarge, NoFace, and TurnedAway or CutOff from alignment."""
    image = pipeline.decode(data)
    faces, answer = _answer(pipeline, data)
    if not faces:
        raise answer if isinstance(answer, PersonError) else NoFace("no face was found")
    face = faces[0] if choice is FaceChoice.LARGEST else _nearest_centre(faces, image)
    crop = pipeline.crop(image, face)
    if isinstance(answer, Capture) and answer.face == face:
        return Chosen(face, answer.template.vector, crop, len(faces), "")
    refusal = "" if isinstance(answer, Capture) else answer.code
    return Chosen(face, pipeline.embed(crop), crop, len(faces), refusal)


def _answer(pipeline: FacePipeline, data: bytes) -> tuple[tuple[DetectedFace, ...], Capture | PersonError]:
    """All faces that were found, largest first, and what a search with this picture gets from the daemon."""
    watched = _Watched(pipeline.detector)
    observed = copy.copy(pipeline)
    observed.detector = watched
    answer: Capture | PersonError
    try:
        answer = observed.capture(data, Purpose.SEARCH)
    except PersonError as error:
        answer = error
    return watched.faces, answer


class _Watched:
    """A detector whose last answer can be read: `capture` looks again where it finds nothing, and shows one face."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self.faces: tuple[DetectedFace, ...] = ()

    def detect(self, image: RgbImage, min_face_px: int | None = None) -> tuple[DetectedFace, ...]:
        self.faces = self._detector.detect(image, min_face_px)
        return self.faces


def _nearest_centre(faces: Sequence[DetectedFace], image: RgbImage) -> DetectedFace:
    height, width = image.shape[:2]

    def from_centre(face: DetectedFace) -> float:
        box = face.box
        return float(np.hypot((box.x1 + box.x2 - width) / 2, (box.y1 + box.y2 - height) / 2))

    return min(faces, key=from_centre)
