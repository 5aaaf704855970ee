"""The portable format of `export` and `import`: who is enrolled, readable in any language (docs/portable-format.md is
the norm). Owns the bytes and their checks; may not know a gallery, config.ini or where a file comes from.

What is read is somebody's file: every length is capped before it is read, every value checked, and `read_subjects`
gives nothing that the norm does not allow.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, astuple, dataclass, fields
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from face_server.errors import UpkeepError
from face_server.gallery.results import StoredTemplate, SubjectDetail
from face_server.types import (
    BoundingBox,
    DetectedFace,
    FaceCrop,
    FloatArray,
    Quality,
    SubjectId,
    Template,
    subject_key,
)
from face_server.upkeep.regular_file import open_regular

FORMAT = "face-login export"
VERSION = 1
#: A line has some 500 bytes; an id of 128 bytes in escapes has 768.
_MAX_LINE_BYTES = 16 << 10
#: The store keeps crops of 130 kB at most.
_MAX_CROP_BYTES = 16 << 20
_MAX_DIMENSION = 1 << 16
#: [gallery] max_templates_per_subject may be no more.
_MAX_TEMPLATES = 1000
_UNIT_TOLERANCE = 1e-3
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Header:
    """The first line: of which model the vectors (D,) are. made_s is Unix time; program is for people."""

    fingerprint: str
    dimension: int
    made_s: float
    program: str
    format: str = FORMAT
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Counts:
    """What the last line says."""

    subjects: int
    templates: int
    crops: int


class ExportWriter:
    """Writes a file: the header at once, subject by subject in key order, the last line by `finish`. Raises OSError."""

    def __init__(self, file: BinaryIO, header: Header) -> None:
        self._file, self._digest = file, hashlib.sha256()
        self._subjects = self._templates = self._crops = 0
        self._line(asdict(header))

    def write(self, detail: SubjectDetail, *, crops: bool) -> None:
        """A subject and its templates, with their crops if these are wanted."""
        self._subjects += 1
        for stored in detail.templates:
            self._templates += 1
            self._record(detail.subject, stored, stored.template.crop if crops else None)

    def finish(self) -> Counts:
        """Write the last line."""
        counts = Counts(self._subjects, self._templates, self._crops)
        self._line({"end": True, **asdict(counts), "sha256": self._digest.hexdigest()})
        return counts

    def _record(self, subject: SubjectId, stored: StoredTemplate, crop: FaceCrop | None) -> None:
        one = stored.template
        told: dict[str, Any] = {
            "subject": subject,
            "template": stored.template_id,
            "created_s": one.created_s,
            "image_sha256": one.image_sha256,
            "quality": asdict(one.quality),
        }
        if crop is not None:
            self._crops += 1
            face = crop.face
            told["crop"] = {
                "bytes": len(crop.picture),
                "box": astuple(face.box),
                "landmarks": face.landmarks,
                "confidence": face.confidence,
            }
        self._line(told)
        self._put(one.vector.astype("<f4").tobytes() + (crop.picture if crop is not None else b""))

    def _line(self, told: Mapping[str, Any]) -> None:
        self._put(json.dumps(told, separators=(",", ":")).encode("ascii") + b"\n")

    def _put(self, data: bytes) -> None:
        self._digest.update(data)
        self._file.write(data)


def read_header(path: Path) -> Header:
    """The first line. Raises UpkeepError."""
    with open_regular(path) as file:
        return _Reading(path, file).header()


def read_subjects(path: Path, tell: Callable[[int], object] = lambda count: None) -> Iterator[SubjectDetail]:
    """Every subject, in key order; after the last one the checksum is compared. Raises UpkeepError.

    `tell` is told how many templates each subject has. Who must not act on half a file goes through it once before.
    """
    with open_regular(path) as file:
        yield from _Reading(path, file).subjects(tell)


class _Reading:
    """One pass through a file."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file, self._digest = path, file, hashlib.sha256()
        self._size = os.fstat(file.fileno()).st_size
        self._record_number = 0

    def header(self) -> Header:
        told = self._line()
        if told.get("format") != FORMAT:
            raise UpkeepError(f"{self._path} is no export of a gallery.")
        if type(told.get("version")) is not int or told["version"] != VERSION:
            raise UpkeepError(
                f"{self._path} has version {str(told.get('version'))[:20]} of the format; this program reads {VERSION}."
            )
        header: Header = self._built(lambda: Header(**told))
        texts, dimension = (header.fingerprint, header.program), header.dimension
        if not all(isinstance(text, str) for text in texts) or not _is_number(header.made_s):
            raise self._wrong("its header holds values of another type")
        if type(dimension) is not int or not 1 <= dimension <= _MAX_DIMENSION:
            raise self._wrong("its header has no dimension")
        return header

    def subjects(self, tell: Callable[[int], object]) -> Iterator[SubjectDetail]:
        for _, records in groupby(self._records(self.header()), key=itemgetter(0)):
            held: list[StoredTemplate] = []
            first: SubjectId | None = None
            for _, subject, stored in records:
                first = subject if first is None else first
                self._require_further(first, held, subject, stored)
                held.append(stored)
            if first is not None:
                yield SubjectDetail(first, tuple(held))
                tell(len(held))

    def _records(self, header: Header) -> Iterator[tuple[bytes, SubjectId, StoredTemplate]]:
        """Subject key, subject and template of every record, keys never descending: so no subject comes twice."""
        before, counts = b"", Counts(0, 0, 0)
        while "end" not in (told := self._next()):
            subject, stored = self._record(told, header)
            key = self._key(subject)
            if key < before:
                raise self._wrong(f"subject {subject!a} is not in the order of ids, or comes twice")
            counts = _counted(counts, key != before, stored)
            before = key
            yield key, subject, stored
        self._end(told, counts)

    def _end(self, told: dict[str, Any], counts: Counts) -> None:
        if told != {"end": True, **asdict(counts), "sha256": self._before_line}:
            raise self._wrong("its last line tells another checksum, or other counts, than what stands before")
        if self._file.read(1):
            raise self._wrong("something follows its last line")

    def _next(self) -> dict[str, Any]:
        self._record_number += 1
        self._before_line = self._digest.hexdigest()
        return self._line()

    def _record(self, told: dict[str, Any], header: Header) -> tuple[SubjectId, StoredTemplate]:
        crop_told = told.pop("crop", None)
        known = {"subject", "template", "created_s", "image_sha256", "quality"}
        if told.keys() != known:
            raise self._wrong(f"it has {', '.join(sorted(told)) or 'nothing'} in place of {', '.join(sorted(known))}")
        template_id, image = told["template"], told["image_sha256"]
        if type(template_id) is not int or not 1 <= template_id < 1 << 62:
            raise self._wrong("its template is no id")
        if not isinstance(image, str) or not _SHA256.fullmatch(image):
            raise self._wrong("its image_sha256 is none")
        if not _is_number(told["created_s"]):
            raise self._wrong("its created_s is no time")
        quality = self._quality(told["quality"])
        vector = self._vector(header.dimension)
        crop = None if crop_told is None else self._crop(crop_told)
        template = Template(vector, header.fingerprint, float(told["created_s"]), image, quality, crop)
        return told["subject"], StoredTemplate(template_id, template)

    def _key(self, subject: Any) -> bytes:
        try:
            return subject_key(subject)
        except ValueError as error:
            raise self._wrong(f"its subject is none: {error}") from None

    def _require_further(
        self, first: SubjectId, held: list[StoredTemplate], subject: SubjectId, stored: StoredTemplate
    ) -> None:
        """Raises UpkeepError unless this template may follow those of the same subject."""
        if len(held) >= _MAX_TEMPLATES:
            raise self._wrong(f"its subject has more than {_MAX_TEMPLATES} templates")
        if type(subject) is not type(first) or (held and stored.template_id <= held[-1].template_id):
            raise self._wrong("it is not in the order of its subject's templates, or of another type of id")
        if stored.template.image_sha256 in {one.template.image_sha256 for one in held}:
            raise self._wrong("its image comes twice")

    def _quality(self, told: Any) -> Quality:
        names = {field.name for field in fields(Quality)}
        if not isinstance(told, dict) or told.keys() != names or not all(map(_is_number, told.values())):
            raise self._wrong(f"its quality is not the numbers {', '.join(sorted(names))}")
        return Quality(**{name: float(value) for name, value in told.items()})

    def _vector(self, dimension: int) -> FloatArray:
        vector = np.frombuffer(self._bytes(4 * dimension), "<f4")
        # A component that is not finite makes a length that is not near 1 either.
        with np.errstate(all="ignore"):
            length = float(np.linalg.norm(vector.astype(np.float64)))
        if not abs(length - 1) <= _UNIT_TOLERANCE:
            raise self._wrong("its vector has not length 1")
        return vector

    def _crop(self, told: Any) -> FaceCrop:
        names = {"bytes", "box", "landmarks", "confidence"}
        if not isinstance(told, dict) or told.keys() != names:
            raise self._wrong(f"its crop has not {', '.join(sorted(names))}")
        size, box, landmarks = told["bytes"], told["box"], told["landmarks"]
        if type(size) is not int or not 1 <= size <= _MAX_CROP_BYTES:
            raise self._wrong(f"its crop has not 1 to {_MAX_CROP_BYTES:,} bytes")
        points = landmarks if isinstance(landmarks, list) and len(landmarks) == 5 else [None]
        if not _is_numbers(box, 4) or not all(_is_numbers(point, 2) for point in points):
            raise self._wrong("its crop has no box of 4 numbers, or no 5 landmarks of 2")
        if not _is_number(told["confidence"]):
            raise self._wrong("its crop has no confidence")
        a, b, c, d, e = ((float(x), float(y)) for x, y in landmarks)
        face = DetectedFace(BoundingBox(*map(float, box)), (a, b, c, d, e), float(told["confidence"]))
        return FaceCrop(self._bytes(size), face)

    # Bytes

    def _line(self) -> dict[str, Any]:
        line = self._read(lambda: self._file.readline(_MAX_LINE_BYTES))
        if not line.endswith(b"\n"):
            raise self._wrong("it has been cut short, or a line of it is too long")
        self._digest.update(line)
        told = self._built(lambda: json.loads(line, parse_constant=_no_constant))
        if not isinstance(told, dict):
            raise self._wrong("a line of it is no JSON object")
        return told

    def _bytes(self, count: int) -> bytes:
        if count > self._size - self._file.tell():
            raise self._wrong("it has been cut short")
        data = self._read(lambda: self._file.read(count))
        if len(data) != count:
            raise self._wrong("it has been cut short")
        self._digest.update(data)
        return data

    def _read(self, read: Callable[[], bytes]) -> bytes:
        try:
            return read()
        except OSError as error:
            raise UpkeepError(f"{self._path} cannot be read: {error.strerror}.") from error

    def _built(self, build: Callable[[], Any]) -> Any:
        try:
            return build()
        except (ValueError, TypeError, RecursionError) as error:
            raise self._wrong(f"a line of it cannot be read ({str(error)[:100]})") from error

    def _wrong(self, why: str) -> UpkeepError:
        where = f"record {self._record_number} of {self._path}" if self._record_number else f"{self._path}"
        return UpkeepError(f"{where} is damaged: {why}. Nothing was imported.")


def _counted(counts: Counts, new: bool, stored: StoredTemplate) -> Counts:
    crops = counts.crops + (stored.template.crop is not None)
    return Counts(counts.subjects + new, counts.templates + 1, crops)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and abs(value) < 1e18


def _is_numbers(value: Any, count: int) -> bool:
    return isinstance(value, list) and len(value) == count and all(map(_is_number, value))


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")
