"""What can be done to a gallery, and is to be cut short: each operation by the code that does it in earnest."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from people import DIMENSION, make_template, open_store, unit
from upkeep.galleries import configured, opened_gallery, opened_store

from face_server.assembly import expected_fingerprint
from face_server.gallery import LocalGallery, TemplateStore
from face_server.types import BoundingBox, DetectedFace, FaceCrop, FloatArray, RgbImage, Template

Asked = dict[str, Any]

#: What a migration is to.
OTHER_FINGERPRINT = "model-b"


class Place:
    """A directory with an open gallery."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = configured(root)
        self.fingerprint = expected_fingerprint(self.config)
        self.gallery = self.open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.gallery.close()

    def open(self) -> LocalGallery:
        return opened_gallery(self.config)

    def defects(self) -> list[str]:
        """What is wrong beside the gallery."""
        from face_server.calibration import find_calibration
        from face_server.errors import FaceLoginError
        from face_server.upkeep import archive

        wrong = []
        try:
            find_calibration((self.config.decision.calibration_path,), self.fingerprint)
            if self.backup.exists():
                archive.verify(self.backup)
        except FaceLoginError as error:
            wrong.append(str(error))
        return wrong

    @property
    def backup(self) -> Path:
        return self.root / "backup.tar"

    @contextmanager
    def closed(self) -> Iterator[None]:
        """For what needs the gallery to itself."""
        self.gallery.close()
        try:
            yield
        finally:
            self.gallery = self.open()


def enrol(place: Place, asked: Asked) -> None:
    templates = [with_crop(seed, place.fingerprint) for seed in asked["seeds"]]
    place.gallery.enrol(asked["subjects"][0], templates, replace=asked["kind"] == "replace")


def remove(place: Place, asked: Asked) -> None:
    place.gallery.remove(asked["subjects"])


def rebuild(place: Place, asked: Asked) -> None:
    place.gallery.rebuild()


def migrate(place: Place, asked: Asked) -> None:
    """By the crops, to a network that is made up; on what is left of one that was cut short."""
    from face_server.config import AlignmentConfig
    from face_server.migration import _copy
    from face_server.vision.alignment import Aligner

    with (
        place.closed(),
        opened_store(place.config) as source,
        open_store(place.root / "migrated", fingerprint=OTHER_FINGERPRINT, copy_of=source.store_id) as target,
    ):
        _copy(source, target, Aligner(AlignmentConfig()), MadeUpNetwork())
        if _held(source) != _held(target):
            raise RuntimeError(f"migrated {_held(target)} instead of {_held(source)}")


def compact(place: Place, asked: Asked) -> None:
    place.gallery._store.compact()


def backup(place: Place, asked: Asked) -> None:
    from face_server.upkeep.backup import backup

    with place.closed():
        backup(place.config, place.backup, force=True)


def restore(place: Place, asked: Asked) -> None:
    from face_server.upkeep.restore import restore

    shutil.rmtree(place.root / "migrated", ignore_errors=True)  # what is restored is another store
    with place.closed():
        restore(place.config, place.backup, force=True)


def calibrate(place: Place, asked: Asked) -> None:
    from face_server.calibration import write_calibration
    from face_server.evaluation.calibration import calibrate

    vectors = np.stack([unit(seed) for seed in range(1, 121)])
    people = [str(seed // 3) for seed in range(120)]
    measured = calibrate(vectors, people, place.fingerprint, "made up", counts=((1,), (1,)))
    write_calibration(place.config.decision.calibration_path, measured)


class MadeUpNetwork:
    """Gives each picture a vector of its own."""

    fingerprint = OTHER_FINGERPRINT
    dimension = DIMENSION

    def embed(self, crops: np.ndarray) -> FloatArray:
        return np.stack([unit(int.from_bytes(hashlib.sha256(crop.tobytes()).digest()[:4], "big")) for crop in crops])


def with_crop(seed: int, fingerprint: str) -> Template:
    """A template whose crop only one seed has."""
    return dataclasses.replace(make_template(seed, fingerprint), crop=FaceCrop(picture(seed), FACE))


#: Where a face of a picture of 100 pixels would be.
FACE = DetectedFace(BoundingBox(20, 20, 80, 85), ((38, 45), (62, 45), (50, 57), (40, 69), (60, 69)), 0.99)


@cache
def picture(seed: int) -> bytes:
    from face_server.vision.imaging import encode_jpeg

    image: RgbImage = np.random.default_rng(seed).integers(0, 256, (100, 100, 3)).astype(np.uint8)
    return encode_jpeg(image, 90)


def _held(store: TemplateStore) -> dict[Any, list[str]]:
    subjects = [entry.subject for entry in store.subjects(None, 10_000).subjects]
    return {one: [stored.template.image_sha256 for stored in store.subject(one).templates] for one in subjects}


DEEDS: dict[str, Callable[[Place, Asked], None]] = {
    "enrol": enrol,
    "replace": enrol,
    "remove": remove,
    "rebuild": rebuild,
    "migrate": migrate,
    "calibrate": calibrate,
    "compact": compact,
    "backup": backup,
    "restore": restore,
}

#: How often each is drawn.
WEIGHTS = {
    **{"enrol": 6, "replace": 2, "remove": 3, "rebuild": 3, "compact": 2},
    **{"migrate": 1, "calibrate": 1, "backup": 1, "restore": 1},
}
