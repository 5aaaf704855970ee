"""Made-up people, unit vectors in 16 dimensions, and galleries to put them in. Also used by child processes."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from face_server.gallery import GalleryOptions, TemplateStore
from face_server.types import FaceCrop, Quality, Template

DIMENSION = 16
FINGERPRINT = "model-a"
QUALITY = Quality(face_px=90.0, confidence=0.99, sharpness=50.0, luminance=120.0, yaw=0.1, pitch=0.0, roll=-1.5)


def unit(seed: int, dimension: int = DIMENSION) -> np.ndarray:
    """-3 is the opposite of 3."""
    vector = np.random.default_rng(abs(seed)).standard_normal(dimension)
    return (np.copysign(1, seed) * vector / np.linalg.norm(vector)).astype(np.float32)


def make_template(
    seed: int, fingerprint: str = FINGERPRINT, dimension: int = DIMENSION, crop: FaceCrop | None = None
) -> Template:
    """The same seed is the same image."""
    image = hashlib.sha256(b"%d" % seed).hexdigest()
    return Template(unit(seed, dimension), fingerprint, 1700000000.25 + seed, image, QUALITY, crop)


def open_store(path: Path, **changes: Any) -> TemplateStore:
    options = {
        "fingerprint": FINGERPRINT,
        "dimension": DIMENSION,
        "max_templates_per_subject": 5,
        "max_map_bytes": 2**26,
    }
    return TemplateStore(path, **(options | changes))


def gallery_options(root: Path, **changes: Any) -> GalleryOptions:
    options = {
        "store_path": root / "gallery",
        "index_path": root / "index",
        "fingerprint": FINGERPRINT,
        "dimension": DIMENSION,
        "max_templates_per_subject": 5,
        "max_map_bytes": 2**26,
        "trees": 10,
        "neighbours": 10,
        "overlay_max": 1000,
        # Auto would leave so few people to exact search. Measured on a few dozen probes, which takes no time; the least
        # effort that is tried is as much as there is in a few hundred subjects.
        "kind": "annoy",
        "recall": 0.9,
        "background": False,
    }
    return GalleryOptions(**(options | changes))


def run_child(code: str, *arguments: object, stdin: int | None = None) -> subprocess.Popen[str]:
    """A process of its own that knows everything here; `arguments` are its sys.argv[1:]."""
    command = [sys.executable, "-c", "from people import *\n" + code, *map(str, arguments)]
    here = Path(__file__).parent
    paths = os.pathsep.join(map(str, (here, here.parents[1])))
    environment = os.environ | {"PYTHONPATH": paths}
    return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, text=True, env=environment)
