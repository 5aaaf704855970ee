"""`export` and `import`: every bit of a vector and every field of its provenance goes round; no half file gets in."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pytest
from backends import WITHOUT_MILVUS, open_backend
from daemons import ROOT, Daemon
from people import DIMENSION, unit
from upkeep.galleries import configured, damage, enrol, opened_gallery, people_in, template
from upkeep.killing import killed_at

from face_server.assembly import expected_fingerprint
from face_server.cli import run
from face_server.config import Config, load_config
from face_server.errors import ModelMismatch, StoreDamaged, TooManyImages, UpkeepError
from face_server.gallery.store.reading import StoreReader
from face_server.upkeep.exporting import everybody, export
from face_server.upkeep.importing import Import, Into, import_file, import_original
from face_server.upkeep.portable import read_subjects
from face_server.upkeep.restore import restore

PEOPLE = {"ada": [1, 2], 7: [3], '数字 "{}': [4, 5], "8": [6]}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    made = configured(tmp_path / "house")
    enrol(made, PEOPLE, crop_bytes=3000)
    return made


@pytest.fixture
def other(tmp_path: Path) -> Config:
    """Another house of the same model."""
    return configured(tmp_path / "other")


@pytest.fixture
def kept(config: Config, tmp_path: Path) -> Path:
    export(config, tmp_path / "kept.export", plaintext=True, crops=True)
    return tmp_path / "kept.export"


def into(config: Config, **changes: Any) -> Into:
    told = {"fingerprint": expected_fingerprint(config), "dimension": DIMENSION}
    return Into(**(told | {"max_templates_per_subject": 20, "keep_crops": True} | changes))


def imported(config: Config, path: Path, **changes: Any) -> Import:
    with opened_gallery(config) as gallery:
        return import_file(path, gallery, into(config, **changes))


def without_ids(people: dict[Any, list[tuple[Any, ...]]]) -> dict[Any, list[tuple[Any, ...]]]:
    return {subject: [one[1:] for one in told] for subject, told in people.items()}


def test_what_was_exported_comes_back_to_the_last_bit(config: Config, other: Config, kept: Path) -> None:
    done = imported(other, kept)
    assert (done.subjects, done.enrolled, done.duplicates, done.crops, done.left_out) == (4, 6, 0, 6, 0)
    assert without_ids(people_in(other)) == without_ids(people_in(config))
    assert [type(subject) for subject in people_in(other)] == [type(subject) for subject in people_in(config)]


def test_importing_it_again_changes_nothing(other: Config, kept: Path) -> None:
    imported(other, kept)
    there = people_in(other)
    done = imported(other, kept)
    assert (done.enrolled, done.duplicates) == (0, 6) and people_in(other) == there


def test_without_crops_no_byte_of_one_is_in_the_file(config: Config, tmp_path: Path) -> None:
    done = export(config, tmp_path / "plain", plaintext=True)
    crop = template(config, 1, 3000).crop
    assert done.counts.crops == 0 and crop is not None
    assert crop.picture[:50] not in (tmp_path / "plain").read_bytes()


def test_crops_are_taken_only_where_the_configuration_keeps_them(other: Config, kept: Path) -> None:
    done = imported(other, kept, keep_crops=False)
    assert (done.crops, done.left_out) == (0, 6) and "6 crops left out" in list(done.lines())[1]
    assert all(one[-1] is None for told in people_in(other).values() for one in told)


def test_it_must_be_said_that_the_file_is_not_encrypted(config: Config, tmp_path: Path) -> None:
    with pytest.raises(UpkeepError, match=r"not encrypted.*--plaintext"):
        export(config, tmp_path / "file", plaintext=False)
    assert not (tmp_path / "file").exists()


def test_only_its_owner_may_read_it_and_it_is_overwritten_only_when_told_to(config: Config, kept: Path) -> None:
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    with pytest.raises(UpkeepError, match="--force"):
        export(config, kept, plaintext=True)
    assert export(config, kept, plaintext=True, force=True).counts.templates == 6


def test_an_export_that_is_killed_at_any_step_leaves_no_file_of_that_name(config: Config, tmp_path: Path) -> None:
    path, step = tmp_path / "file", 0
    while killed_at(step, lambda: export(config, path, plaintext=True)):
        assert not path.exists() or len(list(read_subjects(path))) == 4
        path.unlink(missing_ok=True)
        step += 1
    assert step > 3 and [one.name for one in tmp_path.glob("file*")] == ["file"]


def test_a_damaged_record_is_not_exported_as_if_it_were_whole(config: Config, tmp_path: Path) -> None:
    damage(config, unit(4).tobytes())
    with pytest.raises(StoreDamaged, match="template 4"):
        export(config, tmp_path / "file", plaintext=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["house"]


def test_the_ten_lines_of_the_document_read_it(kept: Path, config: Config) -> None:
    document = (ROOT / "docs" / "portable-format.md").read_text()
    block = re.search(r"```python\n(.*?)```", document, re.DOTALL)
    assert block is not None and len(block[1].splitlines()) <= 11
    kept.rename(kept.with_name("gallery.export"))
    done = subprocess.run([sys.executable, "-c", block[1]], cwd=kept.parent, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 6
    assert f"ada {template(config, 1).image_sha256[:8]} [{unit(1)[0]:.8f}"[:20] in done.stdout


def test_the_document_names_every_key(kept: Path) -> None:
    document = (ROOT / "docs" / "portable-format.md").read_text()
    lines = [json.loads(line) for line in kept.read_bytes().split(b"\n") if line.startswith(b'{"')]
    keys = {key for line in lines for key in (*line, *line.get("crop", {}), *line.get("quality", {}))}
    assert len(keys) > 20 and [key for key in keys if f"`{key}`" not in document] == []


@WITHOUT_MILVUS
def test_a_gallery_in_milvus_is_filled_and_read_the_same_way(config: Config, kept: Path, tmp_path: Path) -> None:
    changes = {"fingerprint": expected_fingerprint(config), "max_templates_per_subject": 20}
    with open_backend("milvus lite", tmp_path, **changes) as gallery:
        assert import_file(kept, gallery, into(config, keep_crops=False)).enrolled == 6
        assert import_file(kept, gallery, into(config, keep_crops=False)).duplicates == 6
        found = list(everybody(gallery))
    told = [
        (detail.subject, one.vector.tobytes(), one.created_s, one.image_sha256, one.quality)
        for detail in found
        for one in (stored.template for stored in detail.templates)
    ]
    assert told == [(subject, *one[1:5]) for subject, templates in people_in(config).items() for one in templates]


# hostile files


def parts(path: Path) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Each line of a file and the bytes that follow it."""
    with path.open("rb") as file:
        dimension = DIMENSION
        while line := file.readline():
            told = json.loads(line)
            size = (4 * dimension + told.get("crop", {}).get("bytes", 0)) if "subject" in told else 0
            yield told, file.read(size)


def rewritten(path: Path, change: Callable[[list[list[Any]]], object], sealed: bool = True) -> None:
    """With other parts, and a last line that fits them."""
    held = [list(part) for part in parts(path)]
    change(held)
    data = b"".join(json.dumps(told).encode() + b"\n" + tail for told, tail in held[:-1])
    end = held[-1][0]
    records = [told for told, _ in held if "subject" in told]
    if sealed:
        end |= {
            "subjects": len({str(one["subject"]) for one in records}),
            "templates": len(records),
            "crops": sum("crop" in one for one in records),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
    path.write_bytes(data + json.dumps(end).encode() + b"\n" + held[-1][1])


def setting(place: int, **fields: Any) -> Callable[[list[list[Any]]], object]:
    return lambda held: held[place][0].update(fields)


def vector(values: Any) -> Callable[[list[list[Any]]], object]:
    def change(held: list[list[Any]]) -> None:
        held[2][1] = np.asarray(values, "<f4").tobytes() + held[2][1][4 * DIMENSION :]

    return change


def in_part(place: int, name: str, **fields: Any) -> Callable[[list[list[Any]]], object]:
    return lambda held: held[place][0][name].update(fields)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda held: None, None),
        (setting(0, format="something"), "no export"),
        (setting(0, version=2), "version 2"),
        (setting(0, version=True), "version True"),
        (setting(0, dimension=0), "no dimension"),
        (setting(0, dimension=1 << 40), "no dimension"),
        (setting(0, fingerprint=5), "another type"),
        (setting(0, more=5), "cannot be read"),
        (setting(2, subject=""), "its subject is none"),
        (setting(2, subject="a\n"), "its subject is none"),
        (setting(2, subject=1.5), "its subject is none"),
        (setting(2, subject=None), "its subject is none"),
        (setting(2, template=0), "no id"),
        (setting(2, template="1"), "no id"),
        (setting(2, image_sha256="G" * 64), "image_sha256"),
        (setting(2, created_s="now"), "no time"),
        (setting(2, created_s=1e300), "no time"),
        (setting(2, more=1), "in place of"),
        (in_part(2, "quality", yaw=True), "quality"),
        (in_part(2, "quality", more=1), "quality"),
        (in_part(2, "crop", bytes=0), "crop has not 1 to"),
        (in_part(2, "crop", bytes=1 << 50), "crop has not 1 to"),
        (in_part(2, "crop", bytes=16 << 20), "cut short"),
        (in_part(2, "crop", box=[1, 2, 3]), "no box"),
        (in_part(2, "crop", landmarks=[[1, 2]] * 6), "no 5 landmarks"),
        (in_part(2, "crop", landmarks=[[1, 2]] * 4 + [7]), "no 5 landmarks"),
        (in_part(2, "crop", confidence=None), "no confidence"),
        (vector(2 * unit(3)), "length 1"),
        (vector(np.zeros(DIMENSION)), "length 1"),
        (vector(np.full(DIMENSION, np.nan)), "length 1"),
        (vector(np.full(DIMENSION, np.inf)), "length 1"),
        (lambda held: held.insert(2, held[2]), "order of its subject's templates"),
        (lambda held: held.insert(5, [held[1][0] | {"template": 99}, held[1][1]]), "comes twice"),
        (lambda held: held.insert(4, held.pop(3)), "order of its subject's templates"),
        (lambda held: held[4][0].update(image_sha256=held[3][0]["image_sha256"]), "image comes twice"),
        (lambda held: held[4][0].update(subject=8), "in the order of ids"),
        (lambda held: held[-1].__setitem__(1, b"x"), "follows its last line"),
    ],
)
def test_a_file_that_the_document_does_not_allow_is_refused_and_nothing_is_enrolled(
    other: Config, kept: Path, change: Callable[[list[list[Any]]], object], said: str | None
) -> None:
    rewritten(kept, change)
    if said is None:  # the way the others are made is no reason to refuse them
        assert imported(other, kept).enrolled == 6
        return
    with pytest.raises(UpkeepError, match=said):
        imported(other, kept)
    assert people_in(other) == {}


@pytest.mark.parametrize("change", [{"subjects": 5}, {"templates": 5}, {"crops": 0}, {"sha256": "0" * 64}, {"end": 1}])
def test_a_last_line_that_does_not_fit_is_refused(other: Config, kept: Path, change: dict[str, Any]) -> None:
    rewritten(kept, setting(-1, **change), sealed=False)
    with pytest.raises(UpkeepError, match="last line"):
        imported(other, kept)
    assert people_in(other) == {}


def test_a_file_that_is_cut_short_anywhere_is_refused(other: Config, kept: Path) -> None:
    whole = kept.read_bytes()
    with opened_gallery(other) as gallery:
        for length in [*range(0, len(whole), 501), len(whole) - 1, len(whole) - 2]:
            kept.write_bytes(whole[:length])
            with pytest.raises(UpkeepError, match="cut short"):
                import_file(kept, gallery, into(other))
        assert gallery.template_count() == 0


def test_no_flipped_bit_goes_unnoticed(other: Config, kept: Path) -> None:
    whole, draw = kept.read_bytes(), np.random.default_rng(1)
    with opened_gallery(other) as gallery:
        for place in [*range(0, len(whole), 97), len(whole) - 1]:
            data = bytearray(whole)
            data[place] ^= 1 << int(draw.integers(8))
            kept.write_bytes(data)
            with pytest.raises((UpkeepError, ModelMismatch)):
                import_file(kept, gallery, into(other))
        assert gallery.template_count() == 0


def test_a_line_without_an_end_is_not_read_whole(other: Config, tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b'{"format":"' + b"x" * (32 << 20))
    with pytest.raises(UpkeepError, match="too long"):
        imported(other, tmp_path / "long")
    (tmp_path / "deep").write_bytes(b"[" * 10_000 + b"\n")
    with pytest.raises(UpkeepError, match=r"cannot be read|no JSON object"):
        imported(other, tmp_path / "deep")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UpkeepError, match="no file"):
        imported(other, tmp_path / "pipe")


def test_vectors_of_another_model_are_refused_with_what_to_do(kept: Path, tmp_path: Path) -> None:
    stranger = configured(tmp_path / "stranger", weights=b"other weights")
    with pytest.raises(ModelMismatch, match="migrate"):
        imported(stranger, kept)
    assert people_in(stranger) == {}


def test_more_templates_than_a_subject_may_have_are_refused_before_anything_is_stored(
    other: Config, kept: Path
) -> None:
    with pytest.raises(UpkeepError, match="has 2 templates and may have 1"):
        imported(other, kept, max_templates_per_subject=1)
    assert people_in(other) == {}


def test_what_does_not_fit_beside_others_stops_it_and_what_was_enrolled_stays(other: Config, kept: Path) -> None:
    with opened_gallery(other, max_templates_per_subject=2) as gallery:
        gallery.enrol("ada", [template(other, 50)])
        with pytest.raises(TooManyImages):
            import_file(kept, gallery, into(other, max_templates_per_subject=2))
        assert gallery.subject_count() == 3  # 7 and 8 come before ada


def test_killed_while_it_imports_every_subject_is_whole_and_the_next_run_finishes(
    config: Config, other: Config, kept: Path
) -> None:
    sizes = {subject: len(seeds) for subject, seeds in PEOPLE.items()}
    program = (
        "import os, signal, sys; sys.path[:0] = ['tests', 'tests/gallery']\n"
        "from pathlib import Path; from upkeep.galleries import opened_gallery\n"
        "from face_server.config import load_config; from face_server.upkeep import importing\n"
        "from face_server.upkeep.importing import Into, import_file\n"
        f"config = load_config(Path({str(other.source)!r}))\n"
        "left = int(sys.argv[1])\n"
        "with opened_gallery(config) as gallery:\n"
        "    enrol = gallery.enrol\n"
        "    def counted(*arguments):\n"
        "        global left\n"
        "        done = enrol(*arguments)\n"
        "        left -= 1\n"
        "        if not left: os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return done\n"
        "    gallery.enrol = counted\n"
        f"    import_file(Path({str(kept)!r}), gallery, Into({expected_fingerprint(other)!r}, {DIMENSION}, 20, True))\n"
    )
    for subjects in (1, 3):
        done = subprocess.run([sys.executable, "-c", program, str(subjects)], cwd=ROOT, check=False)
        assert done.returncode == -9
        there = {subject: len(told) for subject, told in people_in(other).items()}
        assert len(there) == subjects and there.items() <= sizes.items()
    imported(other, kept)
    assert without_ids(people_in(other)) == without_ids(people_in(config))


# the original system


def original(path: Path, people: dict[bytes, bytes], *, file: bool = False) -> Path:
    with lmdb.open(str(path), subdir=not file, map_size=2**24) as env, env.begin(write=True) as txn:
        for key, value in people.items():
            txn.put(key, value)
    return path


def text(seed: int, length: float = 1.0) -> bytes:
    return ",".join(str(float(value) * length) for value in unit(seed)).encode()


def imported_original(config: Config, path: Path) -> Import:
    with opened_gallery(config) as gallery:
        return import_original(path, gallery, into(config), config.gallery.path)


@pytest.mark.parametrize("file", [False, True])
def test_the_original_systems_gallery_is_enrolled_with_vectors_of_length_1(
    other: Config, tmp_path: Path, file: bool
) -> None:
    there = {b"7": text(1, 3.5), b"12": text(2), b"007": text(3), b"ada": text(4)}
    path = original(tmp_path / "lmdb", there, file=file)
    before = (path if file else path / "data.mdb").read_bytes()
    done = imported_original(other, path)
    assert (done.path, done.subjects, done.enrolled) == (path, 4, 4)
    assert [one.name for one in (tmp_path if file else path).glob("lock*")] in ([], ["lock.mdb"])
    assert (path if file else path / "data.mdb").read_bytes() == before
    with opened_gallery(other) as gallery:
        for seed, subject in ((1, 7), (2, 12), (3, "007"), (4, "ada")):
            (found,) = gallery.identify(unit(seed), 1)
            assert (found.subject, type(found.subject)) == (subject, type(subject)) and found.score > 0.999999
        (stored,) = gallery.subject(7).templates
        assert stored.template.image_sha256 == hashlib.sha256(text(1, 3.5)).hexdigest()
        assert set(vars_of(stored.template.quality)) == {0.0}
    assert imported_original(other, path).duplicates == 4
    assert list(other.gallery.path.glob("converting*")) == []


def vars_of(quality: object) -> list[float]:
    import dataclasses

    return list(dataclasses.astuple(quality))  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        (b"bad", b"1,2,three", "no list of numbers"),
        (b"bad", b"", "no list of numbers"),
        (b"bad", "１,２".encode(), "no list of numbers"),
        (b"bad", b"1,2,3", "3 components, the configured model 16"),
        (b"bad", b",".join([b"0"] * 16), "no direction"),
        (b"bad", b",".join([b"nan"] * 16), "no direction"),
        (b"bad", b",".join([b"1e300"] * 16), "no direction"),
        (b"bad", b"1" * 70_000, "no vector"),
        (b"a\0b", text(1), "no id"),
        (b"\xff", text(1), "no id"),
        (b"x" * 200, text(1), "no id"),
    ],
)
def test_what_is_no_vector_of_somebody_is_refused_and_nobody_is_enrolled(
    other: Config, tmp_path: Path, key: bytes, value: bytes, said: str
) -> None:
    path = original(tmp_path / "lmdb", {b"1": text(1), key: value})
    with pytest.raises(UpkeepError, match=said):
        imported_original(other, path)
    assert people_in(other) == {}


def test_a_damaged_original_ends_at_most_the_process_that_reads_it(other: Config, tmp_path: Path) -> None:
    path = original(tmp_path / "lmdb", {str(seed).encode(): text(seed) for seed in range(200)})
    os.truncate(path / "data.mdb", 4096 * 5)
    with pytest.raises(UpkeepError, match=r"damaged|cannot be read"):
        imported_original(other, path)
    (path / "data.mdb").write_bytes(b"no LMDB" * 5000)
    with pytest.raises(UpkeepError, match="cannot be read"):
        imported_original(other, path)


def test_nothing_is_imported_of_the_original_system_until_it_is_said_what_it_is(
    other: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = original(tmp_path / "lmdb", {b"1": text(1)})
    command = ["import", str(path), "--original", "--config", str(other.source)]
    for stated in ([], ["--fingerprint", "0" * 64]):
        assert run([*command, *stated]) == 2
        said = capsys.readouterr().err
        assert "enrol --folder" in said and f"--fingerprint {expected_fingerprint(other)}" in said
    assert run(["import", str(path), "--fingerprint", "0" * 64, "--config", str(other.source)]) == 2
    assert not other.gallery.path.exists()


# with the real network and a daemon


def test_backup_and_export_of_a_daemon_at_work_hold_everybody_who_was_acknowledged_before(
    daemon: Daemon, tmp_path: Path, sample_photos: Path
) -> None:
    image = (sample_photos / "obama.jpg").read_bytes()
    acknowledged: list[str] = []
    stop = threading.Event()

    def enrol_on_and_on() -> None:
        with daemon.client() as client:
            while not stop.is_set():
                client.enrol(name := f"moving-{len(acknowledged)}", [image])
                acknowledged.append(name)

    with ThreadPoolExecutor(1) as thread:
        enrolling = thread.submit(enrol_on_and_on)
        try:
            assert daemon.command("export", tmp_path / "file").returncode == 2  # it must be said that it is plaintext
            before = [*acknowledged]
            assert daemon.command("backup", tmp_path / "file.tar").returncode == 0
            assert daemon.command("export", tmp_path / "file", "--plaintext").returncode == 0
        finally:
            stop.set()
            enrolling.result()
    assert 0 < len(before) < len(acknowledged)
    restored, filled = (daemon_config(daemon, tmp_path / name) for name in ("restored", "filled"))
    restore(restored, tmp_path / "file.tar")
    assert run(["import", str(tmp_path / "file"), "--config", str(filled.source)]) == 0
    for config in (restored, filled):
        with StoreReader(config.gallery.path) as reader, reader.snapshot() as snapshot:
            assert set(before) <= {detail.subject for detail in snapshot.details()}


def daemon_config(daemon: Daemon, root: Path) -> Config:
    """The daemon's, with a gallery of its own."""
    root.mkdir()
    (root / "config.ini").write_text(daemon.config_path.read_text())
    return load_config(root / "config.ini")
