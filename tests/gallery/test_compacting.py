"""A store written afresh: what was removed is gone from its files, everything else is there, whenever it is killed."""

import os
import random
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from people import make_template, open_store, run_child
from test_reading import CROP, read_apart, reading, records_of, seen, seen_again

from face_server.errors import StorageFull
from face_server.types import FaceCrop


def crop_of(subject: str) -> FaceCrop:
    return FaceCrop(b"photograph of " + subject.encode() + b"\0" * 3000, CROP.face)


SEEDS = {"before": range(100, 103), "leaving": range(200, 203), "moving": range(300, 303), "staying": range(400, 403)}


def traces(directory: Path, subject: str, dimension: int) -> list[str]:
    """Where what this subject was first enrolled with still lies."""
    marks = {f"{subject}'s id": subject.encode(), f"{subject}'s crop": crop_of(subject).picture[:60]}
    vectors = {seed: make_template(seed, dimension=dimension).vector for seed in SEEDS[subject]}
    marks |= {f"vector {seed}": vector.tobytes() for seed, vector in vectors.items()}
    contents = [file.read_bytes() for file in directory.iterdir()]
    return [what for what, mark in marks.items() if any(mark in content for content in contents)]


@pytest.mark.parametrize("dimension", [16, 512])  # many records to a page, and pages of their own
def test_no_byte_of_who_was_removed_is_left_and_everything_else_is(tmp_path: Path, dimension: int) -> None:
    with open_store(tmp_path, dimension=dimension) as store:
        for subject, seeds in SEEDS.items():
            store.enrol(subject, [make_template(seed, dimension=dimension, crop=crop_of(subject)) for seed in seeds])
        store.enrol("moving", [make_template(1, dimension=dimension)], replace=True)
        store.remove(["leaving"])
        assert traces(tmp_path, "leaving", dimension)
        kept, told = records_of(store), store.store_id
        store.compact()
        assert not traces(tmp_path, "leaving", dimension)
        assert traces(tmp_path, "moving", dimension) == ["moving's id"]
        assert records_of(store) == kept and store.store_id == told
        assert store.subject("staying", crops=True).templates[0].template.crop == crop_of("staying")
        assert store.enrol("next", [make_template(2, dimension=dimension)]).added[0].template_id == 14
    with open_store(tmp_path, dimension=dimension) as store:
        assert records_of(store)[:1] == kept[:1] and store.template_count() == len(kept) + 1


def test_it_says_by_how_much_the_file_became_smaller(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        for seed in range(200):
            store.enrol(seed, [make_template(seed, crop=FaceCrop(os.urandom(100_000), CROP.face))])
        large = (tmp_path / "data.mdb").stat().st_size
        store.remove(range(200))
        assert store.compact() > 19_000_000
        assert (tmp_path / "data.mdb").stat().st_size == 8 * 2**20 < large
        assert -4096 <= store.compact() <= 4096 * 4  # nothing to gain


def test_a_reader_of_before_goes_on_reading_its_moment_while_the_holder_enrols(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.enrol("a", [make_template(1)])
        store.enrol("b", [make_template(2)])
        with reading(tmp_path) as child:
            assert seen(child) == ["a:1", "b:2"]
            store.remove(["a"])
            store.compact()
            for seed in range(300):  # pages of the moment would be taken again, were it not for the old table
                store.enrol("c", [make_template(10 + seed)], replace=True)
                assert seed % 100 or seen_again(child) == ["a:1", "b:2"]
            assert seen_again(child) == ["a:1", "b:2"]
            assert read_apart(tmp_path) == "b:2 c:302"
            store.compact()
            assert seen_again(child) == ["a:1", "b:2"]
        assert read_apart(tmp_path) == "b:2 c:302"


def test_the_table_of_a_reader_of_before_says_nothing_about_the_new_file(tmp_path: Path) -> None:
    """It holds the old file's last transaction, by which LMDB would take the new one's state of an earlier one."""
    with open_store(tmp_path) as store:
        store.enrol("a", [make_template(1)])
        with reading(tmp_path) as child:
            assert seen(child) == ["a:1"]
            for number in (1, 2, 4, 5):  # odd and even
                for seed in range(number):
                    store.enrol("b", [make_template(seed, crop=CROP)])
                kept = records_of(store)
                store.compact()
                assert records_of(store) == kept and len(read_apart(tmp_path).split()) == number + 1
                assert all(one.template.crop == CROP for one in store.subject("b", crops=True).templates)
            assert seen_again(child) == ["a:1"]


def test_a_reader_of_afterwards_is_seen_by_the_holder(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.enrol("a", [make_template(1)])
        store.compact()
        with reading(tmp_path) as child:
            assert seen(child) == ["a:1"]
            for seed in range(300):
                store.enrol("a", [make_template(10 + seed)], replace=True)
            assert seen_again(child) == ["a:1"]


def test_reads_and_enrolments_of_other_threads_go_through_it(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.enrol("always", [make_template(0)])
        stop, failures = threading.Event(), []

        def work() -> None:
            number = 0
            try:
                while not stop.is_set():
                    number += 1
                    store.enrol("changing", [make_template(number)], replace=True)
                    with store.snapshot() as snapshot:
                        assert [subject for _, subject, _ in snapshot] == ["always", "changing"]
            except BaseException as error:
                failures.append(error)
                raise

        worker = threading.Thread(target=work)
        worker.start()
        for _ in range(20):
            store.compact()
        stop.set()
        worker.join()
        assert not failures


COMPACT_FOR_EVER = """
import sys, itertools
with open_store(Path(sys.argv[1])) as store:
    for seed in itertools.count(int(sys.argv[2])):
        store.enrol(seed % 50, [make_template(seed)], replace=True)
        print(seed, flush=True)
        store.compact()
"""


def test_killed_at_any_moment_the_store_is_whole_and_no_draft_is_left(tmp_path: Path) -> None:
    newest: dict[int, int] = {}
    for round_ in range(6):
        child = run_child(COMPACT_FOR_EVER, tmp_path, round_ * 10**6)
        assert child.stdout is not None
        lines = [child.stdout.readline()]
        killer = threading.Timer(random.uniform(0.02, 0.5), child.send_signal, [signal.SIGKILL])
        killer.start()
        lines += child.stdout.readlines()
        assert child.wait() == -signal.SIGKILL
        child.stdout.close()
        for seed in (int(line) for line in lines if line.endswith("\n")):
            newest[seed % 50] = seed
        with open_store(tmp_path) as store:
            assert not (tmp_path / "draft.mdb").exists()
            for subject, seed in newest.items():
                (stored,) = store.subject(subject).templates
                # The one that was being enrolled when it was killed may be there too.
                assert stored.template.created_s >= make_template(seed).created_s
            assert store.template_count() in (len(newest), len(newest) + 1)


def test_a_draft_that_a_killed_process_left_is_swept_when_the_store_is_opened(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    (tmp_path / "draft.mdb").write_bytes(b"half a copy")
    open_store(tmp_path).close()
    assert not (tmp_path / "draft.mdb").exists()


COMPACT_WITH_A_FILE_THAT_MAY_NOT_GROW = """
import resource, signal, sys
from face_server.errors import StorageFull
with open_store(Path(sys.argv[1])) as store:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
        store.compact()
    except StorageFull as full:
        print(full)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    print(sorted(file.name for file in Path(sys.argv[1]).iterdir()))
    print(store.enrol("afterwards", [make_template(10**6)]).templates, store.template_count())
    print(store.compact() != 0)
"""


def test_a_disk_without_room_for_the_copy_leaves_all_as_it_was_and_no_draft(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        for seed in range(300):
            store.enrol(seed, [make_template(seed)])
    child = run_child(COMPACT_WITH_A_FILE_THAT_MAY_NOT_GROW, tmp_path)
    full, files, enrolled, again = child.communicate(timeout=60)[0].splitlines()
    assert child.returncode == 0
    assert "could not be compacted" in full and "as it was" in full
    assert "draft" not in files and enrolled == "1 301" and again == "True"


def test_a_read_that_does_not_end_holds_it_up_and_all_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from face_server.gallery.store import environment

    monkeypatch.setattr(environment, "_GROWTH_WAIT_S", 0.2)
    with open_store(tmp_path) as store:
        store.enrol("a", [make_template(1)])
        with store.snapshot() as snapshot, pytest.raises(StorageFull, match="a read kept it waiting"):
            store.compact()
        assert not (tmp_path / "draft.mdb").exists()
        store.enrol("b", [make_template(2)])
        store.compact()
        assert store.template_count() == 2
        del snapshot


def test_a_process_that_does_not_end_opening_it_holds_it_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from face_server.gallery.store import opening

    monkeypatch.setattr(opening, "_PATIENCE_S", 0.2)
    code = "import sys; from face_server.gallery.store.opening import opening\n"
    code += "with opening(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    with open_store(tmp_path) as store:
        store.enrol("a", [make_template(1)])
        child = run_child(code, tmp_path, stdin=subprocess.PIPE)
        assert child.stdout is not None and child.stdout.readline() == "held\n"
        with pytest.raises(StorageFull, match="another process has been opening it"):
            store.compact()
        child.communicate(timeout=60)
        assert store.template_count() == 1
        store.compact()
        assert store.enrol("a", [make_template(2)]).templates == 2
