"""Crops in the store: they come and go with their templates, and are read only when asked for."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import lmdb
import numpy as np
import pytest
from people import make_template, open_store

from face_server.errors import MigrationError, StorageFull, StoreDamaged
from face_server.gallery import LocalGallery, TemplateStore
from face_server.types import BoundingBox, DetectedFace, FaceCrop, Template

FACE = DetectedFace(
    BoundingBox(-3.25, 10.1, 99.9, 140.0), ((30, 60), (70.125, 61), (50, 80), (35, 100), (65, 99)), 0.998
)


def with_crop(seed: int, size: int = 30_000) -> Template:
    picture = np.random.default_rng(seed).bytes(size)
    return dataclasses.replace(make_template(seed), crop=FaceCrop(picture, FACE))


def crops_of(store: TemplateStore, subject: str) -> list[FaceCrop | None]:
    return [one.template.crop for one in store.subject(subject, crops=True).templates]


def crop_keys(path: Path) -> list[bytes]:
    """What lies in the closed store, as LMDB has it."""
    with lmdb.open(str(path), max_dbs=3) as env, env.begin(db=env.open_db(b"crops")) as txn:
        return [bytes(key) for key, _ in txn.cursor()]


def change_crops(path: Path, change: Callable[[dict[bytes, bytes]], dict[bytes, bytes]]) -> None:
    """Behind the store's back."""
    with (
        lmdb.open(str(path), max_dbs=3, map_size=2**26) as env,
        env.begin(write=True, db=env.open_db(b"crops")) as txn,
    ):
        for key, record in change({bytes(key): bytes(record) for key, record in txn.cursor()}).items():
            txn.put(key, record)


def test_a_crop_comes_back_as_it_was_enrolled_also_after_a_restart(tmp_path: Path) -> None:
    offered = [with_crop(1), make_template(2), with_crop(3)]
    with open_store(tmp_path) as store:
        store.enrol("ada", offered)
        assert crops_of(store, "ada") == [one.crop for one in offered]
    with open_store(tmp_path) as store:
        assert crops_of(store, "ada") == [one.crop for one in offered]


def test_who_does_not_ask_gets_templates_without_their_crops(store: TemplateStore) -> None:
    store.enrol("ada", [with_crop(1)])
    assert [one.template.crop for one in store.subject("ada").templates] == [None]


def test_templates_without_crops_store_none(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.enrol("ada", [make_template(1)])
        assert crops_of(store, "ada") == [None]
    assert crop_keys(tmp_path) == []


def test_a_crop_goes_with_its_template_and_no_other_does(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.enrol("a", [with_crop(1), with_crop(2)])
        store.enrol("ab", [with_crop(3)])
        store.enrol("b", [with_crop(4)])
        store.remove(["a"])
        store.enrol("b", [with_crop(5), make_template(6)], replace=True)
        assert crops_of(store, "ab") == [with_crop(3).crop]
        assert crops_of(store, "b") == [with_crop(5).crop, None]
    assert [key[-1] for key in crop_keys(tmp_path)] == [3, 5]


def test_an_image_enrolled_again_with_its_crop_makes_the_missing_one_good_and_changes_no_other(
    store: TemplateStore,
) -> None:
    store.enrol("ada", [make_template(1), with_crop(2)])
    again = store.enrol("ada", [with_crop(1), dataclasses.replace(with_crop(2), crop=with_crop(9).crop)])
    assert [(one.template_id, one.duplicate) for one in again.added] == [(1, True), (2, True)]
    assert crops_of(store, "ada") == [with_crop(1).crop, with_crop(2).crop]


def test_a_gallery_enrols_and_removes_crops_and_shows_none(
    open_gallery: Callable[..., LocalGallery], tmp_path: Path
) -> None:
    gallery = open_gallery()
    gallery.enrol("ada", [with_crop(1)])
    gallery.enrol("bob", [with_crop(2)])
    assert gallery.subject("ada").templates[0].template.crop is None
    gallery.remove(["ada"])
    gallery.close()
    assert crop_keys(tmp_path / "gallery") == [b"bob\0" + (2).to_bytes(8, "big")]


def test_a_store_from_before_there_were_crops_opens_and_takes_them(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.enrol("ada", [make_template(1)])
    with lmdb.open(str(tmp_path), max_dbs=3, map_size=2**26) as env, env.begin(write=True) as txn:
        txn.drop(env.open_db(b"crops", txn))
    with open_store(tmp_path) as store:
        assert crops_of(store, "ada") == [None]
        store.enrol("ada", [with_crop(2)])
        assert crops_of(store, "ada") == [None, with_crop(2).crop]


def test_crops_make_the_store_grow_past_its_first_size(store: TemplateStore) -> None:
    for number in range(15):
        store.enrol(f"p{number}", [with_crop(number, 1_000_000)])
    assert crops_of(store, "p14") == [with_crop(14, 1_000_000).crop]


def test_a_store_full_of_crops_can_still_forget_everyone_at_once(tmp_path: Path) -> None:
    with open_store(tmp_path, max_map_bytes=2**23) as store:
        enrolled = []
        with pytest.raises(StorageFull):
            for number in range(1000):
                store.enrol(f"p{number}", [with_crop(number, 20_000 + 17 * number)])
                enrolled.append(f"p{number}")
        assert len(store.remove(enrolled).removed) == len(enrolled) > 100
        store.enrol("ada", [with_crop(1)])
        assert crops_of(store, "ada") == [with_crop(1).crop]


@pytest.mark.parametrize("place", [0, 1, 40, -20, -1])
def test_a_damaged_crop_is_denied_by_name_and_the_template_is_still_there(tmp_path: Path, place: int) -> None:
    with open_store(tmp_path) as store:
        store.enrol("ada", [make_template(1), with_crop(2)])

    def flip(records: dict[bytes, bytes]) -> dict[bytes, bytes]:
        (key,) = records
        record = bytearray(records[key])
        record[place] ^= 1
        return {key: bytes(record)}

    change_crops(tmp_path, flip)
    with open_store(tmp_path) as store:
        assert len(store.subject("ada").templates) == 2
        with pytest.raises(StoreDamaged, match="crop of template 2 of subject ada"):
            store.subject("ada", crops=True)


def test_crops_that_changed_places_and_templates_in_their_place_are_denied(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.enrol("ada", [with_crop(1)])
        store.enrol("bob", [with_crop(2)])
    shutil.copytree(tmp_path, tmp_path / "copy")

    def swap(records: dict[bytes, bytes]) -> dict[bytes, bytes]:
        return dict(zip(records, reversed(records.values()), strict=True))

    change_crops(tmp_path, swap)
    with open_store(tmp_path) as store, pytest.raises(StoreDamaged, match="checksum"):
        store.subject("ada", crops=True)

    with lmdb.open(str(tmp_path / "copy"), max_dbs=3) as env, env.begin(db=env.open_db(b"templates")) as txn:
        templates = {bytes(key): bytes(record) for key, record in txn.cursor()}
    change_crops(tmp_path / "copy", lambda records: templates)
    with open_store(tmp_path / "copy") as store, pytest.raises(StoreDamaged, match="layout"):
        store.subject("ada", crops=True)


# --- copies ---------------------------------------------------------------------------------------------------------


def test_a_copy_is_opened_and_filled_as_often_as_needed(tmp_path: Path) -> None:
    for seed in (1, 2):
        with open_store(tmp_path, copy_of="a" * 32) as copy:
            copy.enrol("ada", [with_crop(seed)])
    with open_store(tmp_path) as store:  # looked at, not changed
        assert len(store.subject("ada").templates) == 2
    with open_store(tmp_path, copy_of="a" * 32) as copy:
        assert copy.remove(["ada"]).removed == ("ada",)


@pytest.mark.parametrize("change", ["enrol", "remove"])
def test_a_copy_that_was_used_as_a_gallery_of_its_own_is_one(tmp_path: Path, change: str) -> None:
    with open_store(tmp_path, copy_of="a" * 32) as copy:
        copy.enrol("ada", [make_template(1)])
        copy.enrol("bob", [make_template(2)])
    with open_store(tmp_path) as store:
        if change == "enrol":
            store.enrol("eve", [make_template(3)])
        else:
            store.remove(["bob"])
    with pytest.raises(MigrationError, match="no copy of this one"):
        open_store(tmp_path, copy_of="a" * 32)


def test_neither_another_gallery_nor_a_copy_of_another_is_taken_for_a_copy(tmp_path: Path) -> None:
    with open_store(tmp_path / "own") as store:
        store.enrol("ada", [make_template(1)])
    with open_store(tmp_path / "other", copy_of="b" * 32) as store:
        store.enrol("ada", [make_template(1)])
    for name in ("own", "other"):
        with pytest.raises(MigrationError):
            open_store(tmp_path / name, copy_of="a" * 32)
        with open_store(tmp_path / name) as store:
            assert store.template_count() == 1
