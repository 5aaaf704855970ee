"""Gallery over real LMDB and real Annoy: what is enrolled is found, what is removed is not, in every state."""

import hashlib
import json
import os
import shutil
import stat
import threading
import time
from dataclasses import replace

import annoy
import numpy as np
import pytest
from agreement import enrol_many, expected, found, noisy, told
from people import DIMENSION, make_template, unit

from face_server.errors import ModelMismatch, StorageFull, StoreDamaged, TooManyImages
from face_server.gallery import local as gallery_module
from face_server.gallery import rows as rows_module
from face_server.gallery.index import current_index


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.005)


# Searching


@pytest.mark.parametrize("state", ["absent", "ready", "ready with an overlay", "restarted"])
def test_identify_agrees_with_plain_numpy(open_gallery, state):
    gallery = open_gallery()
    enrolled = enrol_many(gallery, 300)
    if state != "absent":
        gallery.rebuild()
    if state in ("ready with an overlay", "restarted"):
        enrolled |= enrol_many(gallery, 50, start=300)
        for seed in range(0, 100, 3):
            gallery.enrol(seed, [make_template(seed + 5000)])
            enrolled[seed].append(unit(seed + 5000))
        gallery.remove(list(range(50, 150, 2)))
        for seed in range(50, 150, 2):
            del enrolled[seed]
    if state == "restarted":
        gallery = open_gallery()
        assert gallery.index_status().state == "ready"
    for seed in range(0, 350, 7):
        assert told(gallery.identify(noisy(seed), 4)) == expected(enrolled, noisy(seed), 4)


def test_a_restart_gives_the_same_scores_to_the_last_bit_and_keeps_the_index(open_gallery):
    gallery = open_gallery(max_templates_per_subject=20)
    for round_ in range(3):
        for subject in range(40):
            start = 1000 * subject + 10 * round_
            gallery.enrol(f"{subject}", [make_template(start + one) for one in range(1 + (subject + round_) % 6)])
    gallery.enrol("7", [make_template(5), make_template(6)], replace=True)
    gallery.enrol("8", [make_template(5), make_template(-5)], replace=True)
    gallery.remove(["9"])
    for _ in range(2):
        candidates = [gallery.identify(unit(probe), 40) for probe in range(20)]
        rows, status = gallery._rows.view(), gallery.index_status()
        gallery = open_gallery(max_templates_per_subject=20)
        again = gallery._rows.view()
        live = np.flatnonzero(~rows.removed)
        assert len(live) == 38 and np.array_equal(rows.ids[live], again.ids)
        assert rows.vectors[live].tobytes() == again.vectors.tobytes()
        assert [gallery.identify(unit(probe), 40) for probe in range(20)] == candidates
        assert status.state == "absent" or gallery.index_status() == status
        gallery.rebuild()
    status = gallery.index_status()
    assert (status.state, status.subjects, status.overlay, status.error) == ("ready", 38, 0, None)


def test_the_running_process_and_a_restart_add_up_the_same_vectors_in_the_order_of_their_ids(open_gallery, monkeypatch):
    gallery = open_gallery()
    summed, centroid = [], rows_module.centroid

    def noting(vectors):
        summed.append([vector.tobytes() for vector in vectors])
        return centroid(vectors)

    monkeypatch.setattr(gallery_module, "centroid", noting)
    monkeypatch.setattr(rows_module, "centroid", noting)
    gallery.enrol("ada", [make_template(5), make_template(3)])
    gallery.enrol("ada", [make_template(3), make_template(4), make_template(1)])
    open_gallery()
    in_order = [unit(seed).tobytes() for seed in (5, 3, 4, 1)]
    assert summed == [in_order[:2], in_order, in_order]


def test_a_gallery_of_none_but_a_subject_without_direction_finds_nobody(open_gallery):
    gallery = open_gallery()
    gallery.enrol("ada", [make_template(1), make_template(-1)])
    for _ in range(2):
        assert gallery.identify(unit(1), 5) == () and gallery.subject_count() == 1
        assert gallery.rebuild().subjects == 0
        gallery = open_gallery()
        assert gallery.index_status().state == "absent"


def test_many_templates_of_one_subject_do_not_hide_the_next_one(open_gallery):
    gallery = open_gallery(neighbours=1)
    near = [replace(make_template(seed), vector=unit(1)) for seed in range(5)]
    gallery.enrol("ada", near)
    enrolled = {"ada": [unit(1)] * 5} | enrol_many(gallery, 30, start=50)
    gallery.rebuild()
    for limit in (1, 2, 3):
        assert told(gallery.identify(unit(1), limit)) == expected(enrolled, unit(1), limit)


def test_a_lowered_limit_of_templates_does_not_hide_subjects_either(open_gallery):
    gallery = open_gallery()
    gallery.enrol("ada", [replace(make_template(seed), vector=unit(1)) for seed in range(5)])
    enrolled = {"ada": [unit(1)] * 5} | enrol_many(gallery, 30, start=50)
    gallery.rebuild()
    gallery = open_gallery(max_templates_per_subject=1, neighbours=1)
    assert told(gallery.identify(unit(1), 3)) == expected(enrolled, unit(1), 3)


def test_many_removals_since_the_build_do_not_hide_those_who_stay(open_gallery):
    gallery = open_gallery(overlay_max=3, neighbours=1)
    for seed in range(200):
        gallery.enrol(seed, [replace(make_template(seed), vector=unit(1))])
    enrolled = enrol_many(gallery, 5, start=300)
    gallery.rebuild()
    gallery.remove(list(range(200)))
    assert told(gallery.identify(unit(1), 5)) == expected(enrolled, unit(1), 5)


@pytest.mark.parametrize("overlay_max", [3, 1000])
def test_a_subject_that_changed_many_times_is_only_what_it_is_now(open_gallery, monkeypatch, overlay_max):
    monkeypatch.setattr(rows_module, "_START_ROWS", 8)
    gallery = open_gallery(overlay_max=overlay_max, neighbours=1)
    enrolled = enrol_many(gallery, 30)
    gallery.rebuild()
    for turn in range(120):
        subject, seed = turn % 7, 1000 + turn
        swap = turn % 3 == 0 or len(enrolled[subject]) == 5
        former = unit(seed - 7)
        gallery.enrol(subject, [make_template(seed)], replace=swap)
        enrolled[subject] = ([] if swap else enrolled[subject]) + [unit(seed)]
        for probe in (unit(seed), former, unit(subject)):
            assert told(gallery.identify(probe, 3)) == expected(enrolled, probe, 3)
            assert len(gallery.identify(probe, 100)) == 30
        if turn == 60:
            gallery.rebuild()
    status = gallery.index_status()
    assert (status.subjects, status.overlay) == (30, 7) and gallery.template_count() == sum(map(len, enrolled.values()))
    assert len(gallery._rows._ids) <= 2 * 30 + 8  # rows that are gone take no room for ever
    gallery = open_gallery(overlay_max=overlay_max, neighbours=1)
    assert gallery.index_status() == status
    for probe in map(unit, [*range(7), *range(1000, 1120)]):
        assert told(gallery.identify(probe, 3)) == expected(enrolled, probe, 3)


@pytest.mark.parametrize("rebuild", [False, True])
def test_a_search_under_way_while_a_subject_changes_still_finds_it(open_gallery, monkeypatch, rebuild):
    gallery = open_gallery()
    enrolled = enrol_many(gallery, 20)
    if rebuild:
        gallery.rebuild()
    nearest = gallery._nearest

    def nearest_after_a_change(*arguments):
        gallery.enrol(3, [make_template(503)])
        return nearest(*arguments)

    monkeypatch.setattr(gallery, "_nearest", nearest_after_a_change)
    assert told(gallery.identify(unit(3), 1)) == expected(enrolled, unit(3), 1)


# Changes are seen at once, in every state


def test_a_refused_enrolment_changes_nothing_in_memory(open_gallery):
    gallery = open_gallery()
    gallery.enrol("ada", [make_template(seed) for seed in range(5)])
    with pytest.raises(TooManyImages):
        gallery.enrol("ada", [make_template(7)])
    assert gallery.identify(unit(7), 1)[0].score < 0.99 and gallery.template_count() == 5
    gallery.rebuild()
    before = gallery.identify(unit(7), 1), gallery.verify("ada", unit(7)), gallery.index_status()
    assert all(one.duplicate for one in gallery.enrol("ada", [make_template(2)]).added)
    assert gallery.template_count() == 5
    assert (gallery.identify(unit(7), 1), gallery.verify("ada", unit(7)), gallery.index_status()) == before


def test_searching_goes_on_when_the_store_is_full(open_gallery):
    gallery = open_gallery(max_map_bytes=2**19)
    with pytest.raises(StorageFull):
        enrol_many(gallery, 10**6)
    count = gallery.template_count()
    assert count > 50 and found(gallery, 3) and found(gallery, count - 1) and not found(gallery, count)
    gallery.remove([3])
    assert not found(gallery, 3)
    gallery = open_gallery(max_map_bytes=2**19)
    assert gallery.template_count() == count - 1 and found(gallery, count - 1)


def test_a_damaged_record_keeps_the_gallery_shut_and_unlocked(open_gallery, tmp_path):
    gallery = open_gallery()
    enrol_many(gallery, 5)
    gallery.close()
    data = tmp_path / "gallery" / "data.mdb"
    content = data.read_bytes()
    needle = unit(2).tobytes()
    assert needle in content
    data.write_bytes(content.replace(needle, needle[:-1] + b"\x01"))
    for _ in range(2):
        with pytest.raises(StoreDamaged, match="template 3 "):
            open_gallery()


def test_another_model_is_refused_also_with_an_index_in_place(open_gallery):
    gallery = open_gallery()
    enrol_many(gallery, 5)
    gallery.rebuild()
    with pytest.raises(ModelMismatch):
        open_gallery(fingerprint="model-b")


# The index on disk


def manifest_of(index):
    return json.loads((index / "manifest.json").read_text())


def change_manifest(index, **changes):
    (index / "manifest.json").write_text(json.dumps(manifest_of(index) | changes))


def reseal(index, name):
    """Make the manifest fit a changed file, as an adversary or a mixed-up backup would."""
    manifest = manifest_of(index)
    content = (index / manifest[name]["name"]).read_bytes()
    seal = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    change_manifest(index, **{name: manifest[name] | seal})


def file_of(index, name):
    return index / manifest_of(index)[name]["name"]


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def garble(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


def another_trees(index, dimension=DIMENSION, start=5000, count=60):
    trees = annoy.AnnoyIndex(dimension, "angular")
    for item in range(count):
        trees.add_item(item, unit(start + item, dimension).tolist())
    trees.build(10)
    trees.save(str(file_of(index, "annoy")))


def others_index(index):
    """Whole, of the same store, and sealed; but the vectors are other people's."""
    another_trees(index)
    reseal(index, "annoy")


def swapped_newest(index):
    trees = annoy.AnnoyIndex(DIMENSION, "angular")
    for item in range(60):
        trees.add_item(item, rows_module.centroid([unit(item if item < 59 else 7000)]).tolist())
    trees.build(10)
    trees.save(str(file_of(index, "annoy")))
    reseal(index, "annoy")


def wrong_dimension(index):
    another_trees(index, dimension=8)
    reseal(index, "annoy")


def ids_of_others(index):
    np.arange(100, 160, dtype="<i8").tofile(file_of(index, "ids"))
    reseal(index, "ids")


def ids_not_ascending(index):
    np.roll(np.arange(1, 61, dtype="<i8"), 1).tofile(file_of(index, "ids"))
    reseal(index, "ids")


def one_subject_short(index):
    trees = annoy.AnnoyIndex(DIMENSION, "angular")
    for item in range(59):
        trees.add_item(item, rows_module.centroid([unit(item)]).tolist())
    trees.build(10)
    trees.save(str(file_of(index, "annoy")))
    np.arange(1, 60, dtype="<i8").tofile(file_of(index, "ids"))
    reseal(index, "annoy")
    reseal(index, "ids")
    change_manifest(index, count=59)


DAMAGE = {
    "no directory": shutil.rmtree,
    "no manifest": lambda index: (index / "manifest.json").unlink(),
    "empty manifest": lambda index: (index / "manifest.json").write_text(""),
    "truncated manifest": lambda index: truncate(index / "manifest.json"),
    "manifest of bytes": lambda index: (index / "manifest.json").write_bytes(b"\xff\x00" * 9),
    "manifest a list": lambda index: (index / "manifest.json").write_text("[1]"),
    "manifest nested": lambda index: (index / "manifest.json").write_text("[" * 200000),
    "manifest a directory": lambda index: ((index / "manifest.json").unlink(), (index / "manifest.json").mkdir()),
    "manifest lacks a key": lambda index: (index / "manifest.json").write_text("{}"),
    "manifest of other types": lambda index: change_manifest(index, count="60"),
    "manifest names a path": lambda index: change_manifest(
        index, annoy=manifest_of(index)["annoy"] | {"name": "../index/" + manifest_of(index)["annoy"]["name"]}
    ),
    "former schema, an item per template": lambda index: change_manifest(index, schema=1),
    "former schema, nothing measured": lambda index: change_manifest(index, schema=2),
    "later schema": lambda index: change_manifest(index, schema=4),
    "another kind": lambda index: change_manifest(index, kind="exact"),
    "an unknown kind": lambda index: change_manifest(index, kind="guess"),
    "nothing measured": lambda index: change_manifest(index, measured=None),
    "measured for a lower recall": lambda index: change_manifest(
        index, measured=manifest_of(index)["measured"] | {"target": 0.5}
    ),
    "measured in words": lambda index: change_manifest(index, measured="well"),
    "measured by another program": lambda index: change_manifest(index, measured={"recall": 1.0}),
    "another store": lambda index: change_manifest(index, store_id="0" * 32),
    "another model": lambda index: change_manifest(index, fingerprint="model-b"),
    "another dimension in the manifest": lambda index: change_manifest(index, dimension=8),
    "newer than the store": lambda index: change_manifest(index, sequence=10**6),
    "older sequence than its ids": lambda index: change_manifest(index, sequence=10),
    "another count": lambda index: change_manifest(index, count=61),
    "count nought": lambda index: change_manifest(index, count=0),
    "no trees": lambda index: file_of(index, "annoy").unlink(),
    "empty trees": lambda index: os.truncate(file_of(index, "annoy"), 0),
    "truncated trees": lambda index: truncate(file_of(index, "annoy")),
    "garbled trees": lambda index: garble(file_of(index, "annoy")),
    "no ids": lambda index: file_of(index, "ids").unlink(),
    "truncated ids": lambda index: truncate(file_of(index, "ids")),
    "garbled ids": lambda index: garble(file_of(index, "ids")),
    "sealed, of another dimension": wrong_dimension,
    "sealed, of other people": others_index,
    "sealed, the newest differs": swapped_newest,
    "sealed, ids of others": ids_of_others,
    "sealed, ids not ascending": ids_not_ascending,
    "sealed, one subject short": one_subject_short,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_an_unusable_index_means_exact_search_and_a_new_build_never_a_crash(open_gallery, tmp_path, damage):
    gallery = open_gallery()
    enrolled = enrol_many(gallery, 60)
    gallery.rebuild()
    gallery.close()
    damage(tmp_path / "index")
    gallery = open_gallery()
    status = gallery.index_status()
    assert status.state == "absent" and status.overlay == 60 and status.error
    assert told(gallery.identify(noisy(7), 3)) == expected(enrolled, noisy(7), 3)
    if (tmp_path / "index" / "manifest.json").is_dir():
        (tmp_path / "index" / "manifest.json").rmdir()
    gallery.rebuild()
    assert gallery.index_status().state == "ready" and gallery.index_status().error is None
    assert told(open_gallery().identify(noisy(7), 3)) == expected(enrolled, noisy(7), 3)
    assert open_gallery().index_status().state == "ready"


def test_an_older_index_whose_generation_is_whole_is_used_with_a_larger_overlay(open_gallery, tmp_path):
    gallery = open_gallery()
    enrolled = enrol_many(gallery, 30)
    gallery.rebuild()
    shutil.copytree(tmp_path / "index", tmp_path / "older")
    enrolled |= enrol_many(gallery, 30, start=30)
    gallery.remove([4])
    del enrolled[4]
    gallery.rebuild()
    gallery.close()
    shutil.rmtree(tmp_path / "index")
    (tmp_path / "older").rename(tmp_path / "index")
    gallery = open_gallery()
    status = gallery.index_status()
    assert (status.state, status.subjects, status.sequence, status.overlay) == ("ready", 30, 30, 30)
    assert told(gallery.identify(unit(4), 3)) == expected(enrolled, unit(4), 3) and found(gallery, 44)


def test_the_index_directory_is_private_and_holds_one_generation_after_builds_and_dead_builds(open_gallery, tmp_path):
    gallery, index = open_gallery(), tmp_path / "index"
    enrol_many(gallery, 10)
    for _ in range(3):
        gallery.rebuild()
    assert stat.S_IMODE(index.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in index.iterdir()} == {0o600}
    kept = {path.name for path in index.iterdir()}
    assert len(kept) == 3
    for name in ("g-0123.annoy", "g-0123.ids", "manifest.json.new"):
        (index / name).write_text("left behind")
    (index / "notes.txt").write_text("not ours")
    assert open_gallery().index_status().state == "ready"
    assert {path.name for path in index.iterdir()} == kept | {"notes.txt"}


def test_a_gallery_emptied_and_rebuilt_keeps_no_vectors_in_the_index_directory(open_gallery, tmp_path):
    gallery = open_gallery()
    enrol_many(gallery, 10)
    gallery.rebuild()
    gallery.remove(list(range(10)))
    gallery.rebuild()
    assert list((tmp_path / "index").iterdir()) == [] and gallery.index_status().error is None


def test_a_build_that_cannot_be_written_is_storage_full_and_the_former_index_stays(open_gallery, tmp_path, monkeypatch):
    gallery = open_gallery()
    enrol_many(gallery, 10)
    gallery.rebuild()
    kept = {path.name: path.read_bytes() for path in (tmp_path / "index").iterdir()}
    enrol_many(gallery, 10, start=10)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(current_index, "publish", full)
    with pytest.raises(StorageFull, match="No space left"):
        gallery.rebuild()
    assert {path.name: path.read_bytes() for path in (tmp_path / "index").iterdir()} == kept
    status = gallery.index_status()
    assert (status.state, status.subjects, status.overlay) == ("ready", 10, 10) and "No space left" in status.error
    assert found(gallery, 3) and found(gallery, 15)


def test_the_index_is_built_in_the_background_when_missing_and_when_the_overlay_or_removals_grow(open_gallery):
    gallery = open_gallery()
    enrol_many(gallery, 30)
    gallery = open_gallery(background=True, overlay_max=5)
    wait_until(lambda: gallery.index_status().state == "ready")
    assert gallery.index_status().subjects == 30
    enrol_many(gallery, 5, start=100)
    assert gallery.index_status().overlay == 5
    enrol_many(gallery, 1, start=200)
    wait_until(lambda: gallery.index_status().overlay == 0 and gallery.index_status().state == "ready")
    assert gallery.index_status().subjects == 36
    gallery.remove(list(range(6)))
    wait_until(lambda: gallery.index_status().subjects == 30 and gallery.index_status().state == "ready")
    assert found(gallery, 200) and not found(gallery, 3)


def test_a_failed_background_build_is_not_tried_again_at_every_enrolment(open_gallery, monkeypatch):
    tries = []

    def full(*_, **__):
        tries.append(1)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(current_index, "prepare", full)
    gallery = open_gallery(background=True, overlay_max=0)
    for seed in range(20):
        gallery.enrol(seed, [make_template(seed)])
        wait_until(lambda: gallery.index_status().state == "absent")
    assert len(tries) == 1 and "No space left" in gallery.index_status().error and found(gallery, 19)


def test_identify_is_right_while_rebuilds_and_changes_of_whom_they_read_go_on(open_gallery):
    gallery = open_gallery()
    enrolled = enrol_many(gallery, 300)
    wanted = {seed: expected(enrolled, unit(seed), 1) for seed in range(300)}
    failures, searches, stop = [], [], threading.Event()

    def search():
        try:
            for seed in iter(lambda: len(searches) % 300, None):
                if stop.is_set():
                    return
                best = told(gallery.identify(unit(seed), 1))
                if seed % 10 and best != wanted[seed]:
                    failures.append((seed, best))
                searches.append(seed)
        except BaseException as error:
            failures.append(error)
            raise

    searcher = threading.Thread(target=search)
    searcher.start()
    for round_ in range(3):
        builder = threading.Thread(target=gallery.rebuild)
        builder.start()
        gallery.enrol(10 * round_, [make_template(10**4 + round_)], replace=True)
        gallery.enrol(5000 + round_, [make_template(5000 + round_)])
        gallery.remove([10 * round_ + 100])
        assert found(gallery, 5000 + round_) and not found(gallery, 10 * round_ + 100)
        builder.join()
        assert (
            found(gallery, 5000 + round_) and not found(gallery, 10 * round_ + 100) and not found(gallery, 10 * round_)
        )
    stop.set()
    searcher.join()
    assert not failures and len(searches) > 50
