"""`check`: whatever is wrong is named, what can be made again is made again, and nobody's record is deleted unasked."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest
from people import unit
from upkeep.galleries import configured, damage, enrol, files_below, opened_gallery, opened_store, people_in, template
from upkeep.killing import killed_at

from face_server.checks.findings import Level
from face_server.cli import run
from face_server.config import Config
from face_server.errors import StoreLocked, UpkeepError
from face_server.gallery.directory import DirectoryLock
from face_server.gallery.store.record import record_key
from face_server.upkeep.checking import Checked, check
from face_server.upkeep.repairing import repair

PEOPLE = {"ada": [1, 2], 7: [3], "数字": [4, 5]}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    made = configured(tmp_path / "house")
    enrol(made, PEOPLE, crop_bytes=5000)
    with opened_gallery(made) as gallery:
        gallery.rebuild()
    return made


def picture(config: Config, seed: int) -> bytes:
    crop = template(config, seed, 5000).crop
    assert crop is not None
    return crop.picture[1000:1100]


def problems(checked: Checked) -> str:
    return "\n".join(one.text for one in checked.findings if one.level is Level.PROBLEM)


def behind_its_back(config: Config, change: Callable[[lmdb.Transaction, Callable[[str], object]], None]) -> None:
    with lmdb.open(str(config.gallery.path), max_dbs=3, map_size=2**26) as env:
        databases = {name: env.open_db(name.encode()) for name in ("meta", "templates", "crops")}
        with env.begin(write=True) as txn:
            change(txn, databases.__getitem__)


def test_a_sound_gallery_is_said_to_be_sound_and_nothing_is_changed(config: Config) -> None:
    before = {path: path.read_bytes() for path in files_below(config.gallery.path.parent) if path.name != "lock.mdb"}
    checked = check(config)
    assert checked.sound and [one.level for one in checked.findings] == [Level.OK, Level.OK]
    assert "3 subjects, 5 templates, 5 crops" in checked.lines()[0]
    assert before == {
        path: path.read_bytes() for path in files_below(config.gallery.path.parent) if path.name != "lock.mdb"
    }


def test_where_there_is_no_gallery_nothing_is_wrong(tmp_path: Path) -> None:
    assert check(configured(tmp_path)).sound
    assert repair(configured(tmp_path)) == []


def test_every_damaged_record_is_named_and_stays_where_it_is(config: Config) -> None:
    damage(config, unit(2).tobytes())
    damage(config, picture(config, 4))
    said = problems(check(config))
    assert "template 2 of subject ada" in said and "crop 4 of subject 数字" in said and "2 records" in said
    data = (config.gallery.path / "data.mdb").read_bytes()
    assert repair(config) == []
    assert (config.gallery.path / "data.mdb").read_bytes() == data
    assert problems(check(config)) == said


def test_damaged_records_are_moved_to_a_file_when_told_to_with_all_that_there_is_of_them(
    config: Config, tmp_path: Path
) -> None:
    damage(config, unit(2).tobytes())
    damage(config, picture(config, 4))
    done = repair(config, tmp_path / "damaged.jsonl")
    assert "3 records moved" in done[0] and "built the index" in done[-1]
    assert check(config).sound
    moved = [json.loads(line) for line in (tmp_path / "damaged.jsonl").read_text().splitlines()]
    assert [(one["kind"], bytes.fromhex(one["key"])) for one in moved] == [
        ("template", record_key(b"ada", 2)),
        ("crop", record_key("数字".encode(), 4)),
        ("crop", record_key(b"ada", 2)),
    ]
    assert unit(2).tobytes()[1:] in base64.b64decode(moved[0]["record_base64"])
    left = people_in(config)
    assert [one[0] for one in left["ada"]] == [1] and [one[0] for one in left["数字"]] == [4, 5]
    assert left["数字"][0][-1] is None and left["数字"][1][-1] is not None
    with opened_gallery(config) as gallery:
        assert gallery.index_status().state == "ready"
        assert gallery.identify(unit(1), 1)[0].subject == "ada"


def test_a_file_that_is_there_is_not_overwritten_by_damaged_records(config: Config, tmp_path: Path) -> None:
    damage(config, unit(2).tobytes())
    (tmp_path / "damaged.jsonl").write_text("something else")
    with pytest.raises(UpkeepError, match="--force"):
        repair(config, tmp_path / "damaged.jsonl")
    assert (tmp_path / "damaged.jsonl").read_text() == "something else"
    assert "template 2" in problems(check(config))


def test_killed_while_it_moves_damaged_records_they_are_in_the_store_or_in_the_file(
    config: Config, tmp_path: Path
) -> None:
    damage(config, unit(2).tobytes())
    path, step = tmp_path / "damaged.jsonl", 0
    kept = (config.gallery.path / "data.mdb").read_bytes()
    while killed_at(step, lambda: repair(config, path, force=True)):
        assert not check(config).sound or len(path.read_text().splitlines()) == 2
        (config.gallery.path / "data.mdb").write_bytes(kept)
        path.unlink(missing_ok=True)
        step += 7  # each takes a second: children look at the whole store
    assert step > 7 and check(config).sound


def test_crops_that_belong_to_nobody_are_found_and_deleted(config: Config) -> None:
    behind_its_back(config, lambda txn, of: txn.delete(record_key(b"7", 3), db=of("templates")))
    assert "1 crop in" in problems(check(config))
    assert repair(config)[0] == "deleted 1 crop without a template"
    assert check(config).sound and people_in(config).keys() == {"ada", "数字"}


def test_a_store_that_would_give_ids_out_twice_counts_on_from_the_highest(config: Config) -> None:
    behind_its_back(config, lambda txn, of: txn.put(b"last_id", b"3", db=of("meta")))
    assert "has a template 5 and says that it gave out 3" in problems(check(config))
    assert "given out from 6 on" in repair(config)[0]
    with opened_store(config) as store:
        assert store.enrol("new", [template(config, 9)]).added[0].template_id == 6


@pytest.mark.parametrize("spoil", ["manifest", "ids", "annoy"])
def test_a_damaged_index_is_found_and_built_anew(config: Config, spoil: str) -> None:
    (path,) = (path for path in config.index.path.iterdir() if spoil in path.name)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    data += b"?"
    path.write_bytes(data)
    assert "cannot be used" in problems(check(config))
    assert repair(config)[-1] == "built the index of 3 subjects"
    assert check(config).sound
    with opened_gallery(config) as gallery:
        assert gallery.index_status().state == "ready"


def test_what_killed_processes_left_is_named_and_deleted(config: Config) -> None:
    store = config.gallery.path
    (store / "draft.mdb").write_bytes(b"half a copy")
    (store / "restoring").mkdir()
    (store / "restoring" / "data.mdb").write_bytes(b"half a backup")
    (config.index.path / "g-0123456789abcdef.ids").write_bytes(b"half an index")
    checked = check(config)
    assert checked.sound and sum(one.level is Level.WARNING for one in checked.findings) == 2
    assert len(repair(config)) == 2
    assert not (store / "draft.mdb").exists() and not (store / "restoring").exists()
    assert not (config.index.path / "g-0123456789abcdef.ids").exists()


@pytest.mark.parametrize("length", [0, 10, 4096, 12_000])
def test_a_store_that_is_cut_short_is_named_and_left_alone(config: Config, length: int) -> None:
    os.truncate(config.gallery.path / "data.mdb", length)
    data = (config.gallery.path / "data.mdb").read_bytes()
    checked = check(config)
    assert not checked.sound and "restore" in checked.findings[0].remedy
    repair(config)
    assert (config.gallery.path / "data.mdb").read_bytes() == data


def test_garbled_pages_end_at_most_the_process_that_reads_them(config: Config) -> None:
    path = config.gallery.path / "data.mdb"
    whole = path.read_bytes()
    for page in range(2, 14, 4):
        data = bytearray(whole)
        data[page * 4096 : (page + 1) * 4096] = b"\xa5" * 4096
        path.write_bytes(data)
        check(config)  # a page that is free may be anything
    path.write_bytes(whole[: 2 * 4096] + b"\xa5" * (len(whole) - 2 * 4096))
    assert not check(config).sound


def test_it_repairs_nothing_while_the_gallery_is_held(config: Config) -> None:
    lock = DirectoryLock(config.gallery.path)
    with pytest.raises(StoreLocked):
        repair(config)
    assert check(config).sound
    lock.close()


def test_the_command_says_it_by_its_exit_status(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    at = ["--config", str(config.source)]
    assert run(["check", *at]) == 0
    damage(config, unit(2).tobytes())
    assert run(["check", "--json", *at]) == 2
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["ok"] is False and told["damaged"][0]["template"] == 2
    file = str(config.gallery.path.parents[1] / "damaged")
    assert run(["check", "--drop-damaged", file, *at]) == 2
    assert "--repair" in capsys.readouterr().err
    assert run(["check", "--repair", "--drop-damaged", file, *at]) == 0
    assert "repaired  2 records moved" in capsys.readouterr().out
