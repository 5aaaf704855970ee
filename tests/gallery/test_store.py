"""TemplateStore over real LMDB: what is acknowledged stays, what is damaged is denied."""

import os
import random
import signal
import stat
import threading
import time

import lmdb
import numpy as np
import pytest
from people import DIMENSION, FINGERPRINT, make_template, open_store, run_child, unit

from face_server.errors import (
    ModelMismatch,
    StorageFull,
    StoreDamaged,
    StoreLocked,
)
from face_server.gallery.store import environment


def ids_of(store, subject):
    return [one.template_id for one in store.subject(subject).templates]


def everything(store):
    with store.snapshot() as snapshot:
        return {number: (subject, vector.copy()) for number, subject, vector in snapshot}


def raw(path):
    return lmdb.open(str(path), max_dbs=2, map_size=2**26)


def rewrite(path, change):
    """Change the stored bytes behind the store's back: `change` maps a dict of records to another."""
    with raw(path) as env:
        templates = env.open_db(b"templates")
        with env.begin(write=True, db=templates) as txn:
            before = dict(txn.cursor())
            for key in before:
                txn.delete(key)
            for key, record in change(dict(before)).items():
                txn.put(key, record)


def test_directory_and_files_belong_to_the_owner_alone(tmp_path):
    previous = os.umask(0)
    try:
        path = tmp_path / "deep" / "gallery"
        path.mkdir(parents=True, mode=0o777)
        with open_store(path) as store:
            store.enrol("ada", [make_template(1)])
    finally:
        os.umask(previous)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.iterdir()} == {0o600}


def test_a_snapshot_shows_one_moment_whatever_is_changed_meanwhile(store):
    for seed in range(3):
        store.enrol(seed, [make_template(seed)])
    with store.snapshot() as snapshot:
        reader = iter(snapshot)
        first = next(reader)
        writer = threading.Thread(target=lambda: (store.enrol("new", [make_template(9)]), store.remove([2])))
        writer.start()
        writer.join()
        rest = list(reader)
        assert [number for number, _, _ in [first, *rest]] == [1, 2, 3] == snapshot.newest_ids().tolist()
        assert snapshot.sequence == 3
    assert sorted(everything(store)) == [1, 2, 4]


def test_a_snapshot_goes_subject_by_subject_in_the_order_of_ids_and_knows_each_ones_newest(store):
    for seed, subject in enumerate(["b", "a", "b", "ab", "a", "b", "a!"]):
        store.enrol(subject, [make_template(seed)])
    with store.snapshot() as snapshot:
        walked = [(subject, number) for number, subject, _ in snapshot]
        assert walked == [("a", 2), ("a", 5), ("a!", 7), ("ab", 4), ("b", 1), ("b", 3), ("b", 6)]
        assert snapshot.newest_ids().tolist() == [5, 7, 4, 6]


@pytest.mark.parametrize("place", [0, 1, 2, 4, 20, -80, -20, -1])
def test_a_flipped_bit_in_a_record_is_denied_and_names_the_template(tmp_path, place):
    with open_store(tmp_path) as store:
        store.enrol("ada", [make_template(1), make_template(2)])

    def flip(records):
        key = sorted(records)[1]
        damaged = bytearray(records[key])
        damaged[place] ^= 1
        return records | {key: bytes(damaged)}

    rewrite(tmp_path, flip)
    with open_store(tmp_path) as store:
        with pytest.raises(StoreDamaged, match="template 2 "):
            everything(store)
        with pytest.raises(StoreDamaged, match="template 2 "):
            store.subject("ada")


def test_records_that_changed_places_are_denied(tmp_path):
    with open_store(tmp_path) as store:
        store.enrol("ada", [make_template(1)])
        store.enrol("bob", [make_template(2)])

    def swap(records):
        (one, two) = records
        return {one: records[two], two: records[one]}

    rewrite(tmp_path, swap)
    with open_store(tmp_path) as store, pytest.raises(StoreDamaged):
        everything(store)


def test_a_record_too_short_to_have_a_checksum_is_denied(tmp_path):
    with open_store(tmp_path) as store:
        store.enrol("ada", [make_template(1)])
    rewrite(tmp_path, lambda records: {key: b"\1" for key in records})
    with open_store(tmp_path) as store, pytest.raises(StoreDamaged):
        everything(store)


def test_an_unknown_schema_is_denied(tmp_path):
    open_store(tmp_path).close()
    with raw(tmp_path) as env, env.begin(write=True, db=env.open_db(b"meta")) as txn:
        txn.put(b"schema", b"2")
    with pytest.raises(StoreDamaged, match="schema 2"):
        open_store(tmp_path)
    with raw(tmp_path) as env, env.begin(write=True, db=env.open_db(b"meta")) as txn:
        txn.delete(b"schema")
    with pytest.raises(StoreDamaged, match="no schema"):
        open_store(tmp_path)


@pytest.mark.parametrize("changes", [{"fingerprint": "model-b"}, {"dimension": 8}])
def test_templates_of_another_model_are_refused_with_what_to_do(tmp_path, changes):
    with open_store(tmp_path) as store:
        store.enrol("ada", [make_template(1)])
    with pytest.raises(ModelMismatch, match=r"config\.ini.*\[gallery\] path") as caught:
        open_store(tmp_path, **changes)
    assert caught.value.detail["stored_fingerprint"] == FINGERPRINT
    open_store(tmp_path).close()  # and the refusal gave the lock back


def test_an_empty_store_takes_on_the_new_model_but_not_old_template_ids(tmp_path):
    with open_store(tmp_path) as store:
        store.enrol("ada", [make_template(1)])
        store.remove(["ada"])
    with open_store(tmp_path, fingerprint="model-b", dimension=8) as store:
        assert store.enrol("ada", [make_template(1, "model-b", 8)]).added[0].template_id == 2
    with pytest.raises(ModelMismatch):
        open_store(tmp_path)


@pytest.mark.parametrize("content", [b"", b"garbage" * 5000])
def test_a_data_file_that_is_no_lmdb_is_damaged_or_for_no_bytes_new(tmp_path, content):
    (tmp_path / "data.mdb").write_bytes(content)
    if content:
        with pytest.raises(StoreDamaged):
            open_store(tmp_path)
    else:
        open_store(tmp_path).close()


@pytest.mark.parametrize("part", [0.1, 0.6, 0.99])
def test_a_data_file_cut_short_is_denied_and_does_not_kill_the_process(tmp_path, part):
    with open_store(tmp_path) as store:
        for seed in range(100):
            store.enrol(f"subject {seed}", [make_template(seed)])
        used = (store._environment._env.info()["last_pgno"] + 1) * 4096
    data = tmp_path / "data.mdb"
    whole = data.read_bytes()
    os.truncate(data, used)
    open_store(tmp_path).close()  # all that is used is there
    data.write_bytes(whole[: int(used * part)])
    with pytest.raises(StoreDamaged, match="cut short"):
        open_store(tmp_path)


def test_a_path_that_cannot_be_a_directory_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreDamaged, match="cannot be used"):
        open_store(tmp_path / "file")


def test_a_second_opener_in_this_process_is_locked_out_until_the_first_closes(tmp_path):
    first = open_store(tmp_path)
    with pytest.raises(StoreLocked, match=f"process {os.getpid()}"):
        open_store(tmp_path)
    first.close()
    first.close()
    open_store(tmp_path).close()


def test_a_second_process_is_told_the_pid_of_the_first(tmp_path):
    code = "import sys; s = open_store(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    with open_store(tmp_path):
        second = run_child(code + "\n", tmp_path)
        assert second.wait(30) != 0
        second.stdout.close()
    holder = run_child("import time\n" + code.replace("sys.stdin.read()", "time.sleep(60)"), tmp_path)
    try:
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(StoreLocked, match=f"process {holder.pid}"):
            open_store(tmp_path)
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    open_store(tmp_path).close()  # the lock of a dead process is no lock


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_may_not_use_the_store_and_its_end_frees_no_lock(tmp_path):
    with open_store(tmp_path) as store:
        child = os.fork()
        if child == 0:
            try:
                store.template_count()
            except RuntimeError:
                store.close()
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        with pytest.raises(StoreLocked):
            open_store(tmp_path)
        store.enrol("ada", [make_template(1)])


def test_a_closed_store_says_so(store):
    store.close()
    with pytest.raises(RuntimeError, match="closed"):
        store.template_count()


ENROL_FOR_EVER = """
import sys, itertools
with open_store(Path(sys.argv[1]), max_templates_per_subject=10**6) as store:
    for seed in itertools.count(int(sys.argv[2])):
        done = store.enrol(seed % 50, [make_template(2 * seed), make_template(2 * seed + 1)])
        print(*(one.template_id for one in done.added), seed, flush=True)
"""


def test_whatever_was_acknowledged_survives_kill_9_and_no_enrolment_is_half_there(tmp_path):
    acknowledged = {}
    for round_ in range(4):
        child = run_child(ENROL_FOR_EVER, tmp_path, round_ * 10**6)
        lines = [child.stdout.readline()]
        killer = threading.Timer(random.uniform(0.02, 0.4), child.send_signal, [signal.SIGKILL])
        killer.start()
        lines += child.stdout.readlines()
        assert child.wait() == -signal.SIGKILL
        child.stdout.close()
        for line in (line for line in lines if line.endswith("\n")):
            first, second, seed = map(int, line.split())
            acknowledged |= {first: 2 * seed, second: 2 * seed + 1}
    with open_store(tmp_path) as store:
        stored = everything(store)
        assert len(acknowledged) > 8 and acknowledged.keys() <= stored.keys()
        for template_id, seed in acknowledged.items():
            assert np.array_equal(stored[template_id][1], unit(seed))
        assert len(stored) % 2 == 0
        assert store.enrol("next", [make_template(10**9)]).added[0].template_id == max(stored) + 1


def test_the_map_grows_by_itself_and_takes_more_than_it_started_with(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "_START_MAP_BYTES", 2**18)
    with open_store(tmp_path) as store:
        for seed in range(300):
            store.enrol(seed, [make_template(5 * seed + one) for one in range(5)])
    data = tmp_path / "data.mdb"
    assert data.stat().st_size > 2**18
    with open_store(tmp_path) as store:  # its data are larger than the map that it asks for
        store.enrol("one more", [make_template(10**6)])
        assert len(everything(store)) == 1501


def fill(store, start=0, dimension=DIMENSION):
    count = start
    with pytest.raises(StorageFull, match="max_map_bytes"):
        while True:
            store.enrol(count, [make_template(2 * count + one, dimension=dimension) for one in range(2)])
            count += 1
    return count


def test_a_full_store_says_so_loses_nothing_still_reads_and_can_still_forget(tmp_path):
    with open_store(tmp_path, max_map_bytes=2**20) as store:
        count = fill(store)
        assert count > 100 and store.template_count() == 2 * count
        assert (tmp_path / "data.mdb").stat().st_size <= 2**20
        for subject in range(count - 1):
            assert store.remove([subject]).removed == (subject,)
        assert fill(store, count) > count + 100
    with open_store(tmp_path, max_map_bytes=2**20) as store:
        assert ids_of(store, count - 1) == [2 * count - 1, 2 * count]


def test_removing_everyone_from_a_full_store_at_once_works(tmp_path):
    with open_store(tmp_path, max_map_bytes=2**22, dimension=512) as store:
        count = fill(store, dimension=512)
        assert len(store.remove(range(count)).removed) == count
        assert store.template_count() == 0


ENROL_UNTIL_THE_FILE_MAY_NOT_GROW = """
import resource, sys
from face_server.errors import StorageFull
with open_store(Path(sys.argv[1])) as store:
    store.enrol("first", [make_template(0)])
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    done = 0
    try:
        while True:
            store.enrol(done, [make_template(done)])
            done += 1
    except StorageFull as full:
        again = 0
        try:
            store.enrol("x", [make_template(10**6 + one) for one in range(5)])
        except StorageFull:
            again = 1
        with store.snapshot() as all_of_them:
            print(done, len(list(all_of_them)), again)
"""


def test_a_disk_that_takes_no_more_is_storage_full_with_nothing_half_written(tmp_path):
    child = run_child(ENROL_UNTIL_THE_FILE_MAY_NOT_GROW, tmp_path)
    output = child.communicate(timeout=60)[0]
    assert child.returncode == 0
    done, count, _ = map(int, output.split())
    assert done > 50 and count == done + 1
    with open_store(tmp_path) as store:
        assert store.template_count() == count and len(everything(store)) == count


def test_growth_waits_for_a_reader_and_gives_up_instead_of_hanging(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "_START_MAP_BYTES", 2**18)
    monkeypatch.setattr(environment, "_GROWTH_WAIT_S", 0.2)
    with open_store(tmp_path) as store:
        with store.snapshot(), pytest.raises(StorageFull, match="a read kept it"):
            for seed in range(2000):
                store.enrol(seed, [make_template(seed)])
        stored = store.template_count()
        assert stored > 5 and len(everything(store)) == stored
        for seed in range(2000, 3000):
            store.enrol(seed, [make_template(seed)])
        assert store._environment.map_bytes() > 2**18


def test_readers_and_a_growing_writer_do_not_disturb_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "_START_MAP_BYTES", 2**17)
    with open_store(tmp_path) as store:
        stop, seen, failures = threading.Event(), [], []

        def read():
            try:
                while not stop.is_set():
                    seen.append(len(everything(store)))
                    time.sleep(0.001)
            except BaseException as error:
                failures.append(error)
                raise

        reader = threading.Thread(target=read)
        reader.start()
        for seed in range(400):
            store.enrol(seed, [make_template(5 * seed + one) for one in range(5)])
        stop.set()
        reader.join()
        assert not failures and len(seen) > 3 and seen == sorted(seen)
        assert store._environment.map_bytes() > 2**17
