"""A sealed store: without the key its files show nothing but ids, with it everything is as it was."""

import hashlib
import os
import random
import signal
import threading
from pathlib import Path
from typing import Any

import lmdb
import pytest
from people import DIMENSION, FINGERPRINT, gallery_options, make_template, open_store, run_child
from test_reading import BIG, CROP, FACE, records_of

from face_server.errors import ConfigError, KeyMismatch, ModelMismatch, StorageFull, StoreDamaged
from face_server.gallery.store.reading import StoreReader
from face_server.gallery.store.sealing import KEY_BYTES, StoreKey
from face_server.gallery.store.template_store import TemplateStore
from face_server.types import FaceCrop


@pytest.fixture
def key(tmp_path: Path) -> StoreKey:
    return StoreKey.make(tmp_path / "keys" / "one")


@pytest.fixture
def other(tmp_path: Path) -> StoreKey:
    return StoreKey.make(tmp_path / "keys" / "two")


def people_in(store: TemplateStore) -> list[Any]:
    """Everything that it has, crops too."""
    subjects = [entry.subject for entry in store.subjects(None, 100).subjects]
    return [
        (subject, one.template_id, one.template.vector.tobytes(), one.template.image_sha256, one.template.crop)
        for subject in subjects
        for one in store.subject(subject, crops=True).templates
    ]


def enrol_some(store: TemplateStore, dimension: int = DIMENSION) -> None:
    store.enrol("ada", [make_template(1, crop=CROP, dimension=dimension), make_template(2, dimension=dimension)])
    store.enrol(7, [make_template(3, crop=FaceCrop(b"another photograph", FACE), dimension=dimension)])


def shown(directory: Path, dimension: int = DIMENSION) -> list[str]:
    """What of `enrol_some` can be read in these files without the key."""
    marks = {f"vector {seed}": make_template(seed, dimension=dimension).vector.tobytes() for seed in (1, 2, 3)}
    marks |= {f"half of {seed}": make_template(seed, dimension=dimension).vector.tobytes()[:24] for seed in (1, 2, 3)}
    marks |= {f"image of {seed}": make_template(seed).image_sha256.encode() for seed in (1, 2, 3)}
    marks |= {"a crop": CROP.picture, "the other crop": b"another photograph", "a header": b'"created_s"'}
    contents = [file.read_bytes() for file in directory.iterdir()]
    return [what for what, mark in marks.items() if any(mark in content for content in contents)]


@pytest.mark.parametrize("dimension", [16, 512])
def test_a_sealed_store_gives_back_everything_and_its_files_show_nothing_but_ids(
    tmp_path: Path, key: StoreKey, dimension: int
) -> None:
    for name, used in (("plain", None), ("sealed", key)):
        with open_store(tmp_path / name, key=used, dimension=dimension) as store:
            enrol_some(store, dimension)
    with open_store(tmp_path / "plain", dimension=dimension) as plain:
        stored = people_in(plain)
    with open_store(tmp_path / "sealed", key=key, dimension=dimension) as sealed:
        assert people_in(sealed) == stored
        sealed.enrol("ada", [make_template(1, dimension=dimension)])  # a duplicate is known as one
        assert sealed.template_count() == 3
    assert len(shown(tmp_path / "plain", dimension)) == 12
    assert not shown(tmp_path / "sealed", dimension)
    assert b"ada" in (tmp_path / "sealed" / "data.mdb").read_bytes()


def test_the_same_record_is_never_sealed_to_the_same_bytes(tmp_path: Path, key: StoreKey) -> None:
    seal = key.seal("2", FINGERPRINT)
    sealed = {seal.close("templates", b"ada\0" + b"\0" * 8, b"record") for _ in range(100)}
    assert len(sealed) == 100
    assert {seal.open("templates", b"ada\0" + b"\0" * 8, one) for one in sealed} == {b"record"}


def raw_records(path: Path, database: bytes) -> dict[bytes, bytes]:
    with lmdb.open(str(path), max_dbs=3) as env, env.begin(db=env.open_db(database)) as txn:
        return dict(txn.cursor())


def put_raw(path: Path, database: bytes, records: dict[bytes, bytes]) -> None:
    with lmdb.open(str(path), max_dbs=3, map_size=2**26) as env:
        opened = env.open_db(database)
        with env.begin(write=True, db=opened) as txn:
            for name, record in records.items():
                txn.put(name, record)


@pytest.mark.parametrize("database", [b"templates", b"crops"])
@pytest.mark.parametrize("place", [0, 1, 2, 13, 14, 60, -17, -16, -1])
def test_a_flipped_bit_anywhere_is_denied(tmp_path: Path, key: StoreKey, database: bytes, place: int) -> None:
    with open_store(tmp_path / "store", key=key) as store:
        enrol_some(store)
    name, record = sorted(raw_records(tmp_path / "store", database).items())[-1]
    damaged = bytearray(record)
    damaged[place] ^= 1
    put_raw(tmp_path / "store", database, {name: bytes(damaged)})
    with open_store(tmp_path / "store", key=key) as store, pytest.raises(StoreDamaged, match="template"):
        people_in(store)


@pytest.mark.parametrize("record", [b"", b"S", b"S\1", b"S\1" + bytes(12), b"S\1" + bytes(27), b"S\1" + bytes(28)])
def test_a_record_too_short_to_be_sealed_is_denied(tmp_path: Path, key: StoreKey, record: bytes) -> None:
    with open_store(tmp_path / "store", key=key) as store:
        enrol_some(store)
    name = max(raw_records(tmp_path / "store", b"templates"))
    put_raw(tmp_path / "store", b"templates", {name: record})
    with open_store(tmp_path / "store", key=key) as store, pytest.raises(StoreDamaged, match="template 2 "):
        records_of(store)


def moved_to_another_id(records: dict[bytes, bytes]) -> dict[bytes, bytes]:
    one, two, *_ = sorted(name for name in records if name.startswith(b"ada\0"))
    return {two: records[one]}


def moved_to_another_subject(records: dict[bytes, bytes]) -> dict[bytes, bytes]:
    name = min(name for name in records if name.startswith(b"ada\0"))
    return {b"eve" + name[3:]: records[name]}


@pytest.mark.parametrize("move", [moved_to_another_id, moved_to_another_subject])
def test_a_record_moved_to_another_id_or_subject_is_denied(tmp_path: Path, key: StoreKey, move: Any) -> None:
    with open_store(tmp_path / "store", key=key) as store:
        enrol_some(store)
    put_raw(tmp_path / "store", b"templates", move(raw_records(tmp_path / "store", b"templates")))
    with open_store(tmp_path / "store", key=key) as store, pytest.raises(StoreDamaged, match="does not open"):
        records_of(store)


def test_a_record_that_stands_for_a_crop_is_denied(tmp_path: Path, key: StoreKey) -> None:
    with open_store(tmp_path / "store", key=key) as store:
        enrol_some(store)
    put_raw(tmp_path / "store", b"crops", raw_records(tmp_path / "store", b"templates"))
    with open_store(tmp_path / "store", key=key) as store, pytest.raises(StoreDamaged, match="in crops"):
        people_in(store)


def test_plain_records_put_into_a_sealed_store_are_denied(tmp_path: Path, key: StoreKey) -> None:
    """Who can write the file, and has no key, cannot enrol."""
    for name, used in (("plain", None), ("sealed", key)):
        with open_store(tmp_path / name, key=used) as store:
            enrol_some(store)
    put_raw(tmp_path / "sealed", b"templates", raw_records(tmp_path / "plain", b"templates"))
    with open_store(tmp_path / "sealed", key=key) as store, pytest.raises(StoreDamaged, match="does not open"):
        records_of(store)


@pytest.mark.parametrize("changed", [{b"fingerprint": b"model-b"}, {b"key_id": b"0" * 32}])
def test_a_changed_fingerprint_or_key_id_opens_no_record(
    tmp_path: Path, key: StoreKey, changed: dict[bytes, bytes]
) -> None:
    with open_store(tmp_path / "store", key=key) as store:
        enrol_some(store)
    put_raw(tmp_path / "store", b"meta", changed)
    with pytest.raises((ModelMismatch, KeyMismatch)):
        open_store(tmp_path / "store", key=key)
    if b"fingerprint" in changed:  # also for who runs that model
        store = open_store(tmp_path / "store", key=key, fingerprint="model-b")
        with store, pytest.raises(StoreDamaged, match="does not open"):
            records_of(store)


def test_a_seal_taken_off_in_meta_alone_opens_nothing(tmp_path: Path, key: StoreKey) -> None:
    with open_store(tmp_path / "store", key=key) as store:
        enrol_some(store)
    with lmdb.open(str(tmp_path / "store"), max_dbs=3) as env:
        meta = env.open_db(b"meta")
        with env.begin(write=True, db=meta) as txn:
            txn.put(b"schema", b"1")
    with pytest.raises(StoreDamaged, match="schema 1 and a key"):
        open_store(tmp_path / "store")
    with lmdb.open(str(tmp_path / "store"), max_dbs=3) as env:
        meta = env.open_db(b"meta")
        with env.begin(write=True, db=meta) as txn:
            txn.delete(b"key_id")
    with open_store(tmp_path / "store") as store, pytest.raises(StoreDamaged):
        records_of(store)


# The right key, or none of the doors opens


def test_another_key_no_key_and_a_key_for_a_plain_store_are_refused_each_with_what_to_do(
    tmp_path: Path, key: StoreKey, other: StoreKey
) -> None:
    for name, used in (("plain", None), ("sealed", key)):
        with open_store(tmp_path / name, key=used) as store:
            enrol_some(store)
    refusals = {
        ("sealed", other): f"sealed with the key of id {key.key_id}.*{other.path}.*{other.key_id}.*encryption_key_file",
        ("sealed", None): f"sealed with the key of id {key.key_id}: set .gallery. encryption_key_file",
        ("plain", key): f"not sealed.*face-server rekey --to {key.path}.*unset",
    }
    for (name, used), words in refusals.items():
        before = (tmp_path / name / "data.mdb").read_bytes()
        with pytest.raises(KeyMismatch, match=words):
            open_store(tmp_path / name, key=used)
        with StoreReader(tmp_path / name, used) as reader, pytest.raises(KeyMismatch, match=words), reader.snapshot():
            pass
        assert (tmp_path / name / "data.mdb").read_bytes()[8192:] == before[8192:]


def test_a_sealed_store_that_is_empty_is_not_opened_without_its_key_either(tmp_path: Path, key: StoreKey) -> None:
    with open_store(tmp_path / "store", key=key) as store:
        enrol_some(store)
        store.remove(["ada", 7])
    with pytest.raises(KeyMismatch):
        open_store(tmp_path / "store")
    with open_store(tmp_path / "store", key=key, fingerprint="model-b") as store:  # as a plain one takes a new model
        store.enrol("ada", [make_template(1, "model-b")])
        assert len(records_of(store)) == 1


def test_a_plain_store_that_is_empty_takes_the_key_on_and_forgets_what_it_held(tmp_path: Path, key: StoreKey) -> None:
    with open_store(tmp_path / "store") as store:
        enrol_some(store)
        store.remove(["ada", 7])
        told = store.store_id
    assert shown(tmp_path / "store")
    with open_store(tmp_path / "store", key=key) as store:
        assert store.store_id == told and not shown(tmp_path / "store")
        assert store.enrol("ada", [make_template(1)]).added[0].template_id == 4
        assert not shown(tmp_path / "store")
    with pytest.raises(KeyMismatch):
        open_store(tmp_path / "store")


def test_a_reader_copies_a_sealed_store_without_the_key_and_the_copy_is_as_sealed(
    tmp_path: Path, key: StoreKey
) -> None:
    with open_store(tmp_path / "store", key=key) as store:
        enrol_some(store)
        stored = people_in(store)
    (tmp_path / "copy").mkdir()
    with StoreReader(tmp_path / "store") as reader, (tmp_path / "copy" / "data.mdb").open("x+b") as file:
        assert (reader.schema, reader.key_id) == ("2", key.key_id)
        reader.copy_to(file.fileno())
    assert not shown(tmp_path / "copy")
    with open_store(tmp_path / "copy", key=key) as store:
        assert people_in(store) == stored
    with StoreReader(tmp_path / "copy", key) as reader, reader.snapshot() as snapshot:
        assert [detail.subject for detail in snapshot.details()] == [7, "ada"]


# The key's file


def test_a_key_is_made_private_and_never_overwrites(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        made = StoreKey.make(tmp_path / "deep" / "key")
    finally:
        os.umask(previous)
    content = made.path.read_bytes()
    assert len(content) == KEY_BYTES and made.path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="never overwritten"):
        StoreKey.make(made.path)
    assert made.path.read_bytes() == content
    assert StoreKey.make(tmp_path / "second").path.read_bytes() != content


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o660, 0o601])
def test_a_key_that_others_may_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    made = StoreKey.make(tmp_path / "key")
    made.path.chmod(mode)
    with pytest.raises(ConfigError, match=f"mode {mode:04o}.*chmod 600"):
        StoreKey.read(made.path)
    made.path.chmod(0o400)
    assert StoreKey.read(made.path).key_id == made.key_id


@pytest.mark.parametrize("content", [b"", bytes(31), bytes(33), b"ab" * 32])
def test_a_file_of_another_length_is_no_key(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="must hold 32 bytes"):
        StoreKey.read(path)


def test_a_key_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        StoreKey.read(tmp_path / "key")


def test_what_tells_keys_apart_tells_nothing_of_them(tmp_path: Path, key: StoreKey, other: StoreKey) -> None:
    secret = key.path.read_bytes()
    assert key.key_id != other.key_id and StoreKey.read(key.path).key_id == key.key_id
    assert key.key_id not in (hashlib.sha256(secret).hexdigest()[:32], secret.hex()[:32])
    assert secret.hex() not in repr(key) and str(secret) not in repr(key)


# Another key


@pytest.mark.parametrize("way", ["seal", "change", "take off"])
def test_rekeying_changes_every_record_and_nothing_of_what_it_says(
    tmp_path: Path, key: StoreKey, other: StoreKey, way: str
) -> None:
    former, latter = {"seal": (None, key), "change": (key, other), "take off": (key, None)}[way]
    with open_store(tmp_path / "store", key=former) as store:
        enrol_some(store)
        store.enrol("gone", [make_template(9, crop=BIG)])
        store.remove(["gone"])
        stored, told, counted = people_in(store), store.store_id, []
        before = set(raw.values()) if (raw := sealed_bytes(tmp_path / "store")) else set()
        store.rekey(latter, lambda: counted.append(1))
        assert len(counted) == 3 and people_in(store) == stored and store.store_id == told
        store.enrol("later", [make_template(10)])
        assert bool(shown(tmp_path / "store")) == (latter is None)
        content = (tmp_path / "store" / "data.mdb").read_bytes()
        assert not [one for one in before if one in content] and BIG.picture not in content
    for wrong in {former, key, other, None} - {latter}:
        with pytest.raises(KeyMismatch):
            open_store(tmp_path / "store", key=wrong)
    with open_store(tmp_path / "store", key=latter) as store:
        assert [one for one in people_in(store) if one[0] != "later"] == stored
        assert store.subject("later").templates[0].template_id == 5


def sealed_bytes(path: Path) -> dict[int, bytes]:
    """A piece of every record as it lies there; LMDB is held open by this process, hence the copy."""
    content = (path / "data.mdb").read_bytes()
    marks = [place for place in range(len(content) - 60) if content.startswith(b"S\1", place)]
    return {place: content[place : place + 60] for place in marks if content[place : place + 60].count(0) < 4}


REKEY_FOR_EVER = """
import sys, itertools
from face_server.gallery.store.sealing import StoreKey
path, *files = map(Path, sys.argv[1:])
keys = [StoreKey.read(file) for file in files]
for turn in itertools.count(int(open(path.with_name("turn")).read())):
    with open_store(path, key=keys[turn % 2]) as store:
        print(turn, flush=True)
        store.rekey(keys[(turn + 1) % 2])
"""


def test_killed_at_any_moment_the_store_is_whole_under_the_one_or_the_other_key(
    tmp_path: Path, key: StoreKey, other: StoreKey
) -> None:
    path, keys = tmp_path / "store", [key, other]
    with open_store(path, key=key, max_templates_per_subject=2000) as store:
        store.enrol("many", [make_template(seed) for seed in range(2000)])
        stored = records_of(store)
    turn = 0
    for _ in range(6):
        path.with_name("turn").write_text(str(turn))
        child = run_child(REKEY_FOR_EVER, path, key.path, other.path)
        assert child.stdout is not None
        lines = [child.stdout.readline()]
        killer = threading.Timer(random.uniform(0.0, 0.3), child.send_signal, [signal.SIGKILL])
        killer.start()
        lines += child.stdout.readlines()
        assert child.wait() == -signal.SIGKILL
        child.stdout.close()
        turn = int(lines[-1])
        with StoreReader(path) as reader:
            assert reader.key_id in (key.key_id, other.key_id)
            turn += reader.key_id != keys[turn % 2].key_id
        with open_store(path, key=keys[turn % 2]) as store:
            assert records_of(store) == stored and not (path / "draft.mdb").exists()


def test_a_damaged_record_is_told_and_the_store_stays_under_its_key(
    tmp_path: Path, key: StoreKey, other: StoreKey
) -> None:
    with open_store(tmp_path / "store", key=key) as store:
        enrol_some(store)
    name, record = max(raw_records(tmp_path / "store", b"templates").items())
    put_raw(tmp_path / "store", b"templates", {name: record[:-1] + bytes([record[-1] ^ 1])})
    with open_store(tmp_path / "store", key=key) as store:
        with pytest.raises(StoreDamaged, match="template 2 "):
            store.rekey(other)
        assert not (tmp_path / "store" / "draft.mdb").exists()
        assert store.subject(7).subject == 7
        store.enrol(8, [make_template(8)])
    open_store(tmp_path / "store", key=key).close()


def test_a_disk_without_room_leaves_the_store_under_its_key(
    tmp_path: Path, key: StoreKey, other: StoreKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    from face_server.gallery.store import environment

    with open_store(tmp_path / "store", key=key) as store:
        enrol_some(store)
        stored = people_in(store)
        monkeypatch.setattr(environment, "_GROWTH_WAIT_S", 0.1)
        with store.snapshot(), pytest.raises(StorageFull):
            store.rekey(other)
        assert people_in(store) == stored
    with open_store(tmp_path / "store", key=key) as store:
        assert people_in(store) == stored


def test_options_of_a_gallery_do_not_show_the_key(tmp_path: Path, key: StoreKey) -> None:
    assert key.path.read_bytes().hex() not in repr(gallery_options(tmp_path, key=key))


def test_a_copy_of_a_sealed_gallery_is_sealed_too_and_is_gone_on_with(tmp_path: Path, key: StoreKey) -> None:
    with open_store(tmp_path / "of", key=key) as source:
        enrol_some(source)
        for _ in range(2):
            with open_store(tmp_path / "to", key=key, fingerprint="model-b", copy_of=source.store_id) as target:
                target.enrol("ada", [make_template(1, "model-b")])
    assert not shown(tmp_path / "to")
    with pytest.raises(KeyMismatch):
        open_store(tmp_path / "to", fingerprint="model-b")
