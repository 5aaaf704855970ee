"""A store read beside its holder, by real processes: one moment, whatever the holder does."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from people import DIMENSION, FINGERPRINT, make_template, open_store, run_child

from face_server.errors import StoreDamaged, StoreLocked
from face_server.gallery.store import environment
from face_server.gallery.store.reading import StoreReader
from face_server.gallery.store.template_store import TemplateStore
from face_server.types import BoundingBox, DetectedFace, FaceCrop

FACE = DetectedFace(BoundingBox(1, 2, 3, 4), ((1, 2), (3, 4), (5, 6), (7, 8), (9, 9)), 1)
CROP = FaceCrop(b"a small photograph", FACE)
BIG = FaceCrop(os.urandom(100_000), FACE)

#: Says what it sees when it has opened its snapshot, and again, in the same snapshot, at every line it is sent.
READ = """
import sys
from face_server.gallery.store.reading import StoreReader
with StoreReader(Path(sys.argv[1])) as reader, reader.snapshot() as snapshot:
    while True:
        print(*(f"{subject}:{number}" for number, subject, _ in snapshot), flush=True)
        if not sys.stdin.readline().strip():
            break
"""


READ_LATER = """
import sys
from face_server.gallery.store.reading import StoreReader
with StoreReader(Path(sys.argv[1])) as reader:
    print(flush=True)
    sys.stdin.readline()
    with reader.snapshot() as snapshot:
        print(*(number for number, _, _ in snapshot))
"""


@contextmanager
def reading(path: Path) -> Iterator[subprocess.Popen[str]]:
    child = run_child(READ, path, stdin=subprocess.PIPE)
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            assert pipe is not None
            pipe.close()


def seen(child: subprocess.Popen[str]) -> list[str]:
    assert child.stdout is not None
    return child.stdout.readline().split()


def seen_again(child: subprocess.Popen[str]) -> list[str]:
    assert child.stdin is not None
    child.stdin.write("again\n")
    child.stdin.flush()
    return seen(child)


def records_of(store: TemplateStore) -> list[tuple[object, int, bytes]]:
    with store.snapshot() as snapshot:
        return [(subject, number, vector.tobytes()) for number, subject, vector in snapshot]


def read_apart(path: Path) -> str:
    """What a reader that begins now sees."""
    with reading(path) as child:
        return " ".join(seen(child))


def test_a_reader_knows_whose_templates_they_are_and_sees_all_of_them_with_their_crops(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.enrol("b", [make_template(1, crop=CROP), make_template(2)])
        store.enrol(7, [make_template(3)])
        told = store.store_id
        details = [store.subject(subject, crops=True) for subject in (7, "b")]
    with StoreReader(tmp_path) as reader:
        assert (reader.schema, reader.store_id, reader.key_id) == ("1", told, None)
        assert (reader.fingerprint, reader.dimension) == (FINGERPRINT, DIMENSION)
        with reader.snapshot() as snapshot:
            for ours, theirs in zip(snapshot.details(), details, strict=True):
                assert ours.subject == theirs.subject
                for one, other in zip(ours.templates, theirs.templates, strict=True):
                    assert one.template_id == other.template_id
                    assert one.template.vector.tobytes() == other.template.vector.tobytes()
                    assert one.template.crop == other.template.crop
            assert snapshot.newest().image_sha256 == make_template(3).image_sha256
            assert snapshot.template_count() == 3 and snapshot.sequence == 3


def test_a_reader_sees_its_moment_while_the_holder_enrols_removes_and_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "_START_MAP_BYTES", 2**18)
    with open_store(tmp_path) as store:
        store.enrol("a", [make_template(1)])
        store.enrol("b", [make_template(2)])
        with reading(tmp_path) as child:
            assert seen(child) == ["a:1", "b:2"]
            store.remove(["a"])
            for seed in range(600):
                store.enrol(seed, [make_template(5 * seed + one) for one in range(5)])
            assert (tmp_path / "data.mdb").stat().st_size > 2**18
            assert seen_again(child) == ["a:1", "b:2"]
        assert len(read_apart(tmp_path).split()) == 3001


def test_a_reader_follows_a_store_that_grew_past_the_map_it_opened_with(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.enrol("a", [make_template(0)])
        child = run_child(READ_LATER, tmp_path, stdin=subprocess.PIPE)
        assert seen(child) == []  # it has the store open, and no snapshot yet
        for seed in range(40):
            store.enrol(seed, [make_template(5 * seed + one, crop=BIG) for one in range(5)])
        assert (tmp_path / "data.mdb").stat().st_size > 16 * 2**20
        output, _ = child.communicate("\n", timeout=60)
        assert len(output.split()) == 201


def test_what_a_killed_reader_saw_does_not_make_the_file_grow_for_ever(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.enrol("a", [make_template(0, crop=BIG)])
        with reading(tmp_path) as child:
            seen(child)
            child.send_signal(signal.SIGKILL)
            child.wait()
            for seed in range(300):
                store.enrol("a", [make_template(seed + 1, crop=BIG)], replace=True)
        assert (tmp_path / "data.mdb").stat().st_size == 8 * 2**20  # 300 crops would be 30 MB


def test_a_copy_is_a_store_of_the_same_moment_and_has_nothing_of_what_was_removed(tmp_path: Path) -> None:
    gone = make_template(1, crop=FaceCrop(b"of somebody who left", CROP.face))
    with open_store(tmp_path / "of") as store:
        store.enrol("somebody who left", [gone])
        store.enrol("b", [make_template(2, crop=CROP), make_template(3)])
        store.remove(["somebody who left"])
        stored, told = records_of(store), store.store_id
    (tmp_path / "to").mkdir()
    with StoreReader(tmp_path / "of") as reader, (tmp_path / "to" / "data.mdb").open("x+b") as file:
        reader.copy_to(file.fileno())
        with pytest.raises(ValueError, match="empty file"):
            reader.copy_to(file.fileno())
    content = (tmp_path / "to" / "data.mdb").read_bytes()
    assert gone.vector.tobytes() not in content and b"who left" not in content
    with open_store(tmp_path / "to") as copied:
        assert records_of(copied) == stored and copied.store_id == told
        assert copied.subject("b", crops=True).templates[0].template.crop == CROP
        assert copied.enrol("c", [make_template(4)]).added[0].template_id == 4


def test_a_reader_changes_nothing_and_takes_no_lock_of_the_daemons(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    for name in ("lock.mdb", "open.lock"):
        (tmp_path / name).unlink()
    before = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    with StoreReader(tmp_path) as reader, reader.snapshot():
        assert {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == before
    child = run_child("import sys; open_store(Path(sys.argv[1])); print('held')", tmp_path)
    with reading(tmp_path) as other:
        assert seen(other) == []
        assert child.communicate(timeout=60)[0] == "held\n"


def test_a_reading_that_a_holder_could_not_see_is_not_trusted(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    (tmp_path / "lock.mdb").unlink()
    with StoreReader(tmp_path) as reader, pytest.raises(StoreLocked, match="try again"), reader.snapshot():
        child = run_child("import sys; open_store(Path(sys.argv[1])).close()", tmp_path)
        child.communicate(timeout=60)
        assert child.returncode == 0 and (tmp_path / "lock.mdb").exists()


def test_what_is_no_store_is_told_and_not_made(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(StoreDamaged):
            StoreReader(path)
    assert not list(tmp_path.iterdir())
    (tmp_path / "data.mdb").write_bytes(b"garbage" * 5000)
    with pytest.raises(StoreDamaged):
        StoreReader(tmp_path)


def test_the_holder_itself_is_no_reader_beside_it(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        with pytest.raises(StoreDamaged, match="already open"):
            StoreReader(tmp_path)
        store.enrol("a", [make_template(1)])


def test_one_snapshot_at_a_time(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    with StoreReader(tmp_path) as reader:
        with reader.snapshot(), pytest.raises(RuntimeError, match="at a time"), reader.snapshot():
            pass
        with reader.snapshot() as snapshot:
            assert not list(snapshot)
