"""Upkeep of a sealed gallery: a backup is as sealed as the gallery, and says which key it takes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from people import DIMENSION, unit
from upkeep.galleries import configured, damage, enrol, opened_gallery, opened_store, people_in, template

from face_server.assembly import assemble_key, expected_fingerprint
from face_server.checks.findings import Level
from face_server.config import Config
from face_server.errors import ConfigError, KeyMismatch, UpkeepError
from face_server.gallery.store.sealing import StoreKey
from face_server.upkeep.backup import backup
from face_server.upkeep.checking import check
from face_server.upkeep.exporting import export
from face_server.upkeep.forgetting import forget
from face_server.upkeep.importing import Into, import_file
from face_server.upkeep.repairing import repair
from face_server.upkeep.restore import restore

PEOPLE = {"ada": [1, 2], 7: [3]}


def with_key(config: Config, key: StoreKey | None) -> Config:
    file = None if key is None else key.path
    return dataclasses.replace(config, gallery=dataclasses.replace(config.gallery, encryption_key_file=file))


@pytest.fixture
def key(tmp_path: Path) -> StoreKey:
    return StoreKey.make(tmp_path / "keys" / "one")


@pytest.fixture
def config(tmp_path: Path, key: StoreKey) -> Config:
    made = configured(tmp_path / "house", f"[gallery]\nencryption_key_file = {key.path}\n")
    enrol(made, PEOPLE, crop_bytes=5000)
    return made


def test_a_backup_is_as_sealed_as_the_gallery_and_says_which_key_it_takes(
    config: Config, key: StoreKey, tmp_path: Path
) -> None:
    done = backup(config, tmp_path / "file.tar")
    assert done.manifest.key_id == key.key_id and key.key_id in done.lines()[1]
    crop = template(config, 1, 5000).crop
    assert crop is not None
    data = (tmp_path / "file.tar").read_bytes()
    assert unit(1).tobytes()[:8] not in data and crop.picture[:50] not in data
    other = with_key(configured(tmp_path / "other"), key)
    restore(other, tmp_path / "file.tar")
    assert people_in(other) == people_in(config)


def test_a_backup_is_restored_with_its_own_key_and_no_other(config: Config, key: StoreKey, tmp_path: Path) -> None:
    backup(config, tmp_path / "file.tar")
    wrong = StoreKey.make(tmp_path / "keys" / "two")
    for held in (None, wrong):
        with pytest.raises(KeyMismatch, match=key.key_id):
            restore(with_key(configured(tmp_path / "other"), held), tmp_path / "file.tar")
    assert not (tmp_path / "other" / "var").exists()
    with pytest.raises(KeyMismatch):
        backup(with_key(config, wrong), tmp_path / "second.tar")
    assert not (tmp_path / "second.tar").exists()


def test_a_backup_that_is_not_sealed_is_not_taken_for_one(key: StoreKey, tmp_path: Path) -> None:
    plain = configured(tmp_path / "plain")
    enrol(plain, PEOPLE)
    backup(plain, tmp_path / "file.tar")
    with pytest.raises(KeyMismatch, match=r"not sealed.*rekey"):
        restore(with_key(configured(tmp_path / "other"), key), tmp_path / "file.tar")


def test_a_gallery_under_another_key_is_not_taken_for_an_empty_one(
    config: Config, key: StoreKey, tmp_path: Path
) -> None:
    backup(config, tmp_path / "file.tar")
    wrong = with_key(configured(tmp_path / "other"), StoreKey.make(tmp_path / "keys" / "two"))
    enrol(wrong, {"somebody": [9]})
    with pytest.raises(UpkeepError, match="--force"):
        restore(with_key(wrong, key), tmp_path / "file.tar")
    restore(with_key(wrong, key), tmp_path / "file.tar", force=True)
    assert people_in(with_key(wrong, key)).keys() == PEOPLE.keys()


def test_check_reads_what_is_sealed_and_names_what_is_damaged(config: Config, tmp_path: Path) -> None:
    assert check(config).sound
    with opened_store(config) as store, store._held.read() as access:
        stored = bytes(next(iter(access.txn.cursor(access.templates)))[1])
    damage(config, stored[30:60])
    said = [one.text for one in check(config).findings if one.level is Level.PROBLEM]
    assert "template 3 of subject 7 is damaged" in said[0]
    assert "2 records moved" in repair(config, tmp_path / "damaged")[0]
    assert check(config).sound and people_in(config).keys() == {"ada"}
    assert "is sealed with the key" in check(with_key(config, None)).findings[0].text
    gone = StoreKey.make(tmp_path / "keys" / "gone")
    gone.path.unlink()
    with pytest.raises(ConfigError):
        check(with_key(config, gone))


def test_an_export_is_readable_without_the_key_and_comes_back_sealed(config: Config, tmp_path: Path) -> None:
    export(config, tmp_path / "file", plaintext=True, crops=True)
    assert unit(1).tobytes() in (tmp_path / "file").read_bytes()
    other = with_key(configured(tmp_path / "other"), StoreKey.make(tmp_path / "keys" / "two"))
    with opened_gallery(other, key=assemble_key(other)) as gallery:
        done = import_file(tmp_path / "file", gallery, Into(expected_fingerprint(other), DIMENSION, 20, True))
    assert done.enrolled == 3
    assert unit(1).tobytes()[:8] not in (other.gallery.path / "data.mdb").read_bytes()


def test_forgetting_leaves_no_id_and_looks_into_sealed_backups_without_a_key(config: Config, tmp_path: Path) -> None:
    backup(config, tmp_path / "file.tar")
    receipt = forget(config, ["ada"], offline=True)
    assert [one.holds for one in receipt.copies] == [("ada",)]
    assert b"ada\0" not in (config.gallery.path / "data.mdb").read_bytes()
    assert people_in(config).keys() == {7}
