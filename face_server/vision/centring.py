"""The mean of all faces, taken away from every vector. Owns the files in models/centres; may not know networks.

A network's vectors of all faces share a direction, its idea of a face as such, which makes strangers alike and says
nothing of who it is. Without it FaceNet misses 0.18 instead of 0.22 at a false match rate of 1e-4, and 0.055 instead of
0.088 with three photographs enrolled (docs/measurements.md); it costs one subtraction. A mean belongs to one network
and one alignment, so a file is named after that fingerprint, and there is none where it wins nothing (MobileFaceNet).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from face_server.errors import ModelFileError
from face_server.types import FloatArray

SCHEMA = 1


@dataclass(frozen=True, slots=True, eq=False)
class Centre:
    """The mean (dimension,) float32 of the unit vectors of many people, and the sha256 of what it was read from."""

    mean: FloatArray
    sha256: str


def centre_name(fingerprint: str) -> str:
    """The file name of the centre of the vectors that have this fingerprint before it is taken away."""
    return f"{fingerprint[:16]}.json"


def find_centre(directory: Path, fingerprint: str) -> Centre | None:
    """The centre of these vectors, None when there is none.

    Raises ModelFileError for a file that is damaged or of another fingerprint: a wrong mean would make strangers alike.
    """
    path = directory / centre_name(fingerprint)
    if not path.is_file():
        return None
    try:
        content = path.read_bytes()
        told = json.loads(content)
        if (told["schema"], told["fingerprint"]) != (SCHEMA, fingerprint):
            raise ValueError("it is of another model, alignment or schema")
        mean = np.array(told["mean"], np.float32)
        # The mean of unit vectors is shorter than they are.
        if mean.ndim != 1 or not 0 < np.linalg.norm(mean) < 1:
            raise ValueError("it holds no mean of unit vectors")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelFileError(f"the centre {path} cannot be used: {error}; put the right file back") from error
    return Centre(mean, hashlib.sha256(content).hexdigest())


def write_centre(directory: Path, fingerprint: str, mean: FloatArray, source: str) -> Path:
    """Write it where `find_centre` finds it, whole or not at all. source: in words, whose faces these are."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / centre_name(fingerprint)
    told = {
        "schema": SCHEMA,
        "fingerprint": fingerprint,
        "source": source,
        "mean": [round(float(component), 7) for component in mean],
    }
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)
    return path
