"""What can be done to a gallery, and is to be cut short: each operation by the code that does it in earnest."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from people import DIMENSION, make_template, open_store, unit
from upkeep.galleries import configured, opened_gallery, opened_store

from face_server.assembly import expected_fingerprint
from face_server.errors import IndexFailed
from face_server.gallery import LocalGallery, TemplateStore
from face_server.gallery.store.reading import StoreReader
from face_server.gallery.store.sealing import StoreKey
from face_server.types import BoundingBox, DetectedFace, FaceCrop, FloatArray, RgbImage, Template

Asked = dict[str, Any]

#: What a migration is to.
OTHER_FINGERPRINT = "model-b"


class Place:
    """A directory with an open gallery, `sealed` with one of two keys or not at all."""

    def __init__(self, root: Path, sealed: bool) -> None:
        self.root = root
        self.keys = [_key(root / name) for name in ("key-a", "key-b")] if sealed else []
        self.config = configured(root, "[gallery]\nencryption_key_file = key-a\n" if sealed else "")
        self.fingerprint = expected_fingerprint(self.config)
        self.gallery = self.open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.gallery.close()

    def open(self) -> LocalGallery:
        self.sort_keys()
        if self.keys:
            return opened_gallery(self.config, kind="exact", key=self.keys[0])
        return opened_gallery(self.config)

    def sort_keys(self) -> None:
        """The key that the store is sealed with comes first, and is the configured one."""
        store = self.config.gallery.path
        if self.keys and (store / "data.mdb").exists():
            with StoreReader(store) as reader:
                self.keys.sort(key=lambda key: key.key_id != reader.key_id)
            own = replace(self.config.gallery, encryption_key_file=self.keys[0].path)
            self.config = replace(self.config, gallery=own)

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


def lose_builder(place: Place, asked: Asked) -> None:
    """The process that builds the index is killed, this one goes on."""
    os.environ["STEPS_DIE_AT"] = str(asked["seeds"][0])
    try:
        with suppress(IndexFailed):
            place.gallery.rebuild()
    finally:
        del os.environ["STEPS_DIE_AT"]


def forget(place: Place, asked: Asked) -> None:
    place.gallery.forget(asked["subjects"])


def rekey(place: Place, asked: Asked) -> None:
    from face_server.upkeep.keys import rekey

    with place.closed():
        rekey(place.config, place.keys[1].path)


def export(place: Place, asked: Asked) -> None:
    from face_server.upkeep.exporting import export

    with place.closed():
        export(place.config, place.root / "export", plaintext=True, crops=True, force=True)


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


def _key(path: Path) -> StoreKey:
    return StoreKey.read(path) if path.exists() else StoreKey.make(path)


class MadeUpNetwork:
    """Gives each picture a vector of its own."""

    fingerprint = OTHER_FINGERPRINT
    dimension = DIMENSION

    def embed(self, crops: np.ndarray) -> FloatArray:
        return np.stack([unit(int.from_bytes(hashlib.sha256(crop.tobytes()).digest()[:4], "big")) for crop in crops])


def with_crop(seed: int, fingerprint: str) -> Template:
    """A template whose crop only one seed has."""
    return replace(make_template(seed, fingerprint), crop=FaceCrop(picture(seed), FACE))


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
    "forget": forget,
    "rebuild": rebuild,
    "lose_builder": lose_builder,
    "migrate": migrate,
    "calibrate": calibrate,
    "backup": backup,
    "restore": restore,
    "export": export,
    "rekey": rekey,
}

#: How often each is drawn; of a sealed gallery, whose searches are exact, there is no index.
PLAIN = {
    **{"enrol": 6, "replace": 2, "remove": 3, "forget": 2, "rebuild": 3, "lose_builder": 1},
    **{"migrate": 1, "calibrate": 1, "backup": 1, "restore": 1, "export": 1},
}
SEALED = {"enrol": 6, "replace": 2, "remove": 3, "forget": 2, "backup": 1, "restore": 1, "rekey": 3}
