"""The nouns that all rooms share: frozen results, no behaviour beyond arithmetic. Knows no wire, no network, no store.

Coordinates are pixels of the upright (EXIF-applied) picture, x to the right, y down. "Left" means left in the picture.
A score is the cosine similarity of two unit vectors, higher is more alike; the Euclidean distance of the same vectors
is d with d^2 = 2 - 2 * score.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

#: RGB picture, (height, width, 3) uint8.
RgbImage: TypeAlias = NDArray[np.uint8]
#: Vectors, coordinates, network inputs.
FloatArray: TypeAlias = NDArray[np.float32]

#: 1 and "1" name the same subject; it is given back in the type of its first enrolment.
SubjectId: TypeAlias = str | int

MAX_SUBJECT_ID_BYTES = 128
#: The largest integer that JSON readers built on doubles (JavaScript) keep exact.
MAX_SUBJECT_ID_INT = 2**53 - 1


def subject_key(subject_id: SubjectId) -> bytes:
    """The bytes under which a subject is stored: UTF-8 of its text, the same for 1 and "1".

    Raises ValueError with a sentence when the id is no valid subject id: a string of 1 to 128 bytes of NFC text
    without control characters, or an integer 0..2^53-1.
    """
    if isinstance(subject_id, bool) or not isinstance(subject_id, (str, int)):
        raise ValueError("a subject id is a string or an integer")
    if isinstance(subject_id, int):
        if not 0 <= subject_id <= MAX_SUBJECT_ID_INT:
            raise ValueError(f"an integer subject id lies between 0 and {MAX_SUBJECT_ID_INT}")
        return b"%d" % subject_id
    # Cut before the Unicode work: normalising a text of megabytes is work an attacker would like to be given.
    if not 1 <= len(subject_id) <= MAX_SUBJECT_ID_BYTES:
        raise ValueError(f"a subject id has 1 to {MAX_SUBJECT_ID_BYTES} bytes of UTF-8")
    try:
        key = subject_id.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("a subject id is text that UTF-8 can hold") from None
    if len(key) > MAX_SUBJECT_ID_BYTES:
        raise ValueError(f"a subject id has 1 to {MAX_SUBJECT_ID_BYTES} bytes of UTF-8, this one {len(key)}")
    if any(unicodedata.category(char) == "Cc" for char in subject_id):
        raise ValueError("a subject id has no control characters")
    if not unicodedata.is_normalized("NFC", subject_id):
        raise ValueError("a subject id is Unicode in normal form C")
    return key


@dataclass(frozen=True, slots=True)
class BoundingBox:
    """Corners in pixels; may reach past the picture's edge."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def width(self) -> float:
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        return self.y2 - self.y1


Point: TypeAlias = tuple[float, float]
#: Eye, eye, nose, mouth corner, mouth corner, in pixels; of each pair the one further left in the picture comes first.
Landmarks: TypeAlias = tuple[Point, Point, Point, Point, Point]


@dataclass(frozen=True, slots=True)
class DetectedFace:
    """One face as a detector reports it; confidence in 0..1 is the detector's own."""

    box: BoundingBox
    landmarks: Landmarks
    confidence: float


@dataclass(frozen=True, slots=True)
class Quality:
    """What was measured of a face before it was embedded.

    face_px: width of the face in pixels of the upright picture. sharpness: variance of the second differences of the
    aligned grey crop along x or y, whichever is less. luminance: its mean, 0..255. yaw, pitch: how far the nose stands
    from the middle of eyes and mouth, 0 straight ahead, signed as (right, down); roll: degrees, clockwise positive.
    """

    face_px: float
    confidence: float
    sharpness: float
    luminance: float
    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True, slots=True)
class FaceCrop:
    """A face cut out of its picture with a margin and not warped: what any network's alignment can be made from.

    picture: an image file's bytes. face: the face in the pixels of that image, whose edge its box may reach past.
    """

    picture: bytes = field(repr=False)
    face: DetectedFace


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """A unit vector (dimension,) float32 and where it comes from. created_s is Unix time in seconds.

    crop: what the vector can be made anew from, None where it is not kept or was not asked for.
    """

    vector: FloatArray
    fingerprint: str
    created_s: float
    image_sha256: str
    quality: Quality
    crop: FaceCrop | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """An enrolled subject, the score of the centroid of its templates against the probe, and how many those are."""

    subject: SubjectId
    score: float
    templates: int


@dataclass(frozen=True, slots=True)
class Identification:
    """1:N. Candidates in descending score; `match` is whether the first reaches its threshold.

    threshold: the first candidate's, which depends on its number of templates; None when there is no candidate.
    """

    match: bool
    candidates: tuple[Candidate, ...]
    threshold: float | None


@dataclass(frozen=True, slots=True)
class Verification:
    """1:1. `match` is whether score reaches the threshold."""

    match: bool
    score: float
    threshold: float
