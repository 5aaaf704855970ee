"""The original system's gallery: an LMDB whose keys are ids and whose values are vectors as comma-separated text. Owns
how it is read and made into a file of the portable format; may not know a gallery or config.ini.

A program of its own, `python -m face_server.upkeep.original FILE OUT FINGERPRINT DIMENSION`: a damaged file may end it
by a signal. The original kept no photographs and no more about a vector, so a template is given

    image_sha256   the sha256 of the vector's text: the same text imported again is the same template
    quality        0 in everything, which no photograph has
    created_s      when it is imported
"""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lmdb
import numpy as np

from face_server import __version__
from face_server.errors import FaceLoginError, UpkeepError
from face_server.gallery.results import StoredTemplate, SubjectDetail
from face_server.types import MAX_SUBJECT_ID_INT, FloatArray, Quality, SubjectId, Template, subject_key
from face_server.upkeep.portable import ExportWriter, Header

#: 4,096 components of 16 characters.
_MAX_TEXT_BYTES = 64 << 10
_UNKNOWN = Quality(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
#: A vector shorter than this points wherever rounding pushes it.
_LEAST_LENGTH = 1e-6


def convert(original: Path, out: Path, fingerprint: str, dimension: int) -> None:
    """Write `out`, a file of the portable format, in a process of its own. Raises UpkeepError, naming what is wrong."""
    if not original.exists():
        raise UpkeepError(f"There is no {original}.")
    command = [sys.executable, "-m", __name__, str(original), str(out), fingerprint, str(dimension)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode < 0:
        raise UpkeepError(f"Reading {original} ended in {signal.Signals(-done.returncode).name}: it is damaged.")
    try:
        problem = json.loads(done.stdout)
    except ValueError:
        raise UpkeepError(f"{original} cannot be read: {done.stderr.strip()[-500:]}") from None
    if problem is not None:
        raise UpkeepError(problem)


def _converted(original: Path, out: Path, fingerprint: str, dimension: int) -> None:
    now_s = time.time()
    with lmdb.open(str(original), subdir=original.is_dir(), readonly=True, lock=False, create=False) as env:
        needed = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
        data = original / "data.mdb" if original.is_dir() else original
        if data.stat().st_size < needed:
            raise UpkeepError(f"{original} is damaged: it has been cut short.")
        with env.begin() as txn, out.open("wb") as file:
            writer = ExportWriter(file, Header(fingerprint, dimension, now_s, f"{__version__}, of an original gallery"))
            for number, (subject, text) in enumerate(_pairs(txn), 1):
                image, vector = hashlib.sha256(text).hexdigest(), _vector(subject, text, dimension)
                template = Template(vector, fingerprint, now_s, image, _UNKNOWN)
                writer.write(SubjectDetail(subject, (StoredTemplate(number, template),)), crops=False)
            writer.finish()


def _pairs(txn: Any) -> Iterator[tuple[SubjectId, bytes]]:
    """LMDB's order is that of the portable format: of the keys' bytes."""
    for key, value in txn.cursor():
        if len(value) > _MAX_TEXT_BYTES:
            raise UpkeepError(f"The value of {key!r} has {len(value):,} bytes: that is no vector.")
        yield _subject(key), value


def _subject(key: bytes) -> SubjectId:
    """An integer where it is one: the original's clients were answered with integers."""
    try:
        text = key.decode("utf-8")
        subject_key(text)
    except ValueError as error:
        raise UpkeepError(f"The key {key!r} is no id of a subject: {error}.") from None
    number = int(text) if text.isascii() and text.isdigit() else -1
    return number if str(number) == text and number <= MAX_SUBJECT_ID_INT else text


def _vector(subject: SubjectId, text: bytes, dimension: int) -> FloatArray:
    """Made (dimension,) of length 1: the original stored what its network gave."""
    try:
        vector = np.array(text.decode("ascii").split(","), np.float64)
    except ValueError:
        raise UpkeepError(f"The value of {subject!a} is no list of numbers with commas between them.") from None
    if vector.shape != (dimension,):
        raise UpkeepError(f"The vector of {subject!a} has {vector.size} components, the configured model {dimension}.")
    length = float(np.linalg.norm(vector))
    if not _LEAST_LENGTH < length < np.inf:
        raise UpkeepError(f"The vector of {subject!a} has no direction.")
    unit: FloatArray = (vector / length).astype(np.float32)
    return unit


def main(arguments: list[str]) -> None:
    """Print null, or what is wrong, as JSON."""
    original, out, fingerprint, dimension = arguments
    problem: str | None = None
    try:
        _converted(Path(original), Path(out), fingerprint, int(dimension))
    except FaceLoginError as error:
        problem = str(error)
    except (lmdb.Error, OSError) as error:
        problem = f"{original} cannot be read: {error}."
    sys.stdout.write(json.dumps(problem))


if __name__ == "__main__":
    main(sys.argv[1:])
