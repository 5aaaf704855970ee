"""Galleries of made-up people with a configuration of their own: a stand-in for a network's file gives the fingerprint,
which is all that upkeep wants to know of a network.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from people import DIMENSION, gallery_options, make_template

from face_server.assembly import assemble_key, expected_fingerprint
from face_server.config import Config, load_config
from face_server.gallery import LocalGallery, TemplateStore
from face_server.types import BoundingBox, DetectedFace, FaceCrop, SubjectId, Template

FACE = DetectedFace(
    BoundingBox(-3.25, 10.1, 99.9, 140.0), ((30, 60), (70.125, 61), (50, 80), (35, 100), (65, 99)), 0.998
)


def configured(root: Path, settings: str = "", weights: bytes = b"weights") -> Config:
    """A configuration in `root`; other weights give another fingerprint."""
    root.mkdir(exist_ok=True)
    (root / "network.pb").write_bytes(weights)
    sha256 = hashlib.sha256(weights).hexdigest()
    path = root / "config.ini"
    model = f"[embedding]\nmodel = network.pb\nsha256 = {sha256}\ncentre = false\n"
    # So few people need no index of Annoy's; where one is allowed, it is what holds vectors beside the store.
    index = "" if "encryption_key_file" in settings else "[index]\nkind = annoy\nrecall = 0.9\ntrees = 10\n"
    path.write_text(model + index + settings)
    return load_config(path)


def template(config: Config, seed: int, crop_bytes: int = 0) -> Template:
    """The same seed is the same image."""
    made = make_template(seed, expected_fingerprint(config))
    crop = FaceCrop(np.random.default_rng(seed).bytes(crop_bytes), FACE) if crop_bytes else None
    return dataclasses.replace(made, crop=crop)


def opened_store(config: Config, **changes: Any) -> TemplateStore:
    options = {"fingerprint": expected_fingerprint(config), "dimension": DIMENSION, "max_map_bytes": 2**26}
    return TemplateStore(
        config.gallery.path, **(options | {"max_templates_per_subject": 20, "key": assemble_key(config)} | changes)
    )


def opened_gallery(config: Config, **changes: Any) -> LocalGallery:
    where = {"store_path": config.gallery.path, "index_path": config.index.path}
    options = where | {"fingerprint": expected_fingerprint(config), "max_templates_per_subject": 20}
    return LocalGallery(gallery_options(config.gallery.path.parent, **(options | changes)))


def enrol(config: Config, people: dict[SubjectId, Sequence[int]], crop_bytes: int = 0) -> None:
    """Subjects and the seeds of their templates."""
    with opened_store(config) as store:
        for subject, seeds in people.items():
            store.enrol(subject, [template(config, seed, crop_bytes) for seed in seeds])


def people_in(config: Config) -> dict[SubjectId, list[tuple[object, ...]]]:
    """All that is stored of everybody, to the last bit."""
    with opened_store(config) as store:
        subjects = [entry.subject for entry in store.subjects(None, 10**6).subjects]
        return {subject: list(_told(store, subject)) for subject in subjects}


def _told(store: TemplateStore, subject: SubjectId) -> Iterable[tuple[object, ...]]:
    for stored in store.subject(subject, crops=True).templates:
        one = stored.template
        yield stored.template_id, one.vector.tobytes(), one.created_s, one.image_sha256, one.quality, one.crop


def files_below(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def damage(config: Config, stored: bytes) -> None:
    """Flip a bit of these bytes wherever they lie in the store: in the page in use, and in former copies of it."""
    path = config.gallery.path / "data.mdb"
    data = path.read_bytes()
    if stored not in data:
        raise ValueError("there are no such bytes")
    path.write_bytes(data.replace(stored, bytes((stored[0] ^ 1,)) + stored[1:]))
