"""`backup` and `restore` on real stores: the same people to the last bit, or a refusal that changes nothing."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from random import randrange

import numpy as np
import pytest
from people import unit
from upkeep.galleries import configured, damage, enrol, files_below, opened_gallery, opened_store, people_in, template
from upkeep.killing import killed_at

from face_server.cli import run
from face_server.config import Config
from face_server.errors import ModelMismatch, StoreDamaged, StoreLocked, UpkeepError
from face_server.upkeep.backup import backup
from face_server.upkeep.ledger import noted_backups
from face_server.upkeep.restore import restore

PEOPLE = {"ada": [1, 2], 7: [3], "数字": [4, 5]}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    made = configured(tmp_path / "house")
    enrol(made, PEOPLE, crop_bytes=5000)
    return made


@pytest.fixture
def kept(config: Config, tmp_path: Path) -> Path:
    """A backup of the gallery."""
    backup(config, tmp_path / "kept.tar")
    return tmp_path / "kept.tar"


def test_a_restored_gallery_has_the_same_people_templates_and_crops_to_the_last_bit(
    config: Config, kept: Path, tmp_path: Path
) -> None:
    other = configured(tmp_path / "elsewhere")
    done = restore(other, kept)
    assert (done.manifest.subjects, done.manifest.templates, done.manifest.crops, done.former) == (3, 5, 5, None)
    assert people_in(other) == people_in(config)


def test_a_backup_is_a_tar_that_ordinary_tools_read(kept: Path, config: Config) -> None:
    listed = subprocess.run(["tar", "-tf", kept], capture_output=True, text=True, check=True).stdout.split()
    assert listed == ["manifest.json", "data.mdb"]
    with tarfile.open(kept) as archive:
        told = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
        data = archive.extractfile("data.mdb").read()  # type: ignore[union-attr]
    assert told["data_sha256"] == hashlib.sha256(data).hexdigest() and told["data_bytes"] == len(data)
    assert (told["subjects"], told["templates"], told["crops"], told["sequence"]) == (3, 5, 5, 5)
    with opened_store(config) as store:
        assert told["store_id"] == store.store_id


def test_only_its_owner_may_read_a_backup(kept: Path) -> None:
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_nothing_but_the_file_is_left_beside_it(kept: Path) -> None:
    assert sorted(path.name for path in kept.parent.iterdir()) == ["house", "kept.tar"]


def test_a_backup_holds_nothing_of_who_was_removed_before(config: Config, tmp_path: Path) -> None:
    with opened_store(config) as store:
        store.remove(["ada"])
    assert unit(1).tobytes() in (config.gallery.path / "data.mdb").read_bytes()
    backup(config, tmp_path / "later.tar")
    assert unit(1).tobytes() not in (tmp_path / "later.tar").read_bytes()
    assert unit(3).tobytes() in (tmp_path / "later.tar").read_bytes()


def test_a_file_that_is_there_is_overwritten_only_when_told_to(config: Config, kept: Path) -> None:
    before = kept.read_bytes()
    with pytest.raises(UpkeepError, match="--force"):
        backup(config, kept)
    assert kept.read_bytes() == before
    enrol(config, {"new": [9]})
    assert backup(config, kept, force=True).manifest.templates == 6


def test_where_nothing_is_enrolled_yet_there_is_nothing_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(UpkeepError, match="no gallery"):
        backup(configured(tmp_path / "empty"), tmp_path / "file.tar")
    assert not (tmp_path / "file.tar").exists() and not (tmp_path / "empty" / "var").exists()


def test_a_backup_is_made_while_another_process_holds_the_store(config: Config, tmp_path: Path) -> None:
    program = (
        "import sys; sys.path[:0] = ['tests', 'tests/gallery']\n"
        "from pathlib import Path; from face_server.config import load_config\n"
        "from upkeep.galleries import *\n"
        f"config = load_config(Path({str(config.source)!r}))\n"
        "with opened_store(config) as store:\n"
        "    for seed in range(10**6, 10**9):\n"
        "        store.enrol(seed, [template(config, seed)])\n"
        "        print(seed, flush=True)\n"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", program], cwd=root, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        try:
            for number in range(3):
                acknowledged = int(writer.stdout.readline())
                told = backup(config, tmp_path / f"{number}.tar").manifest
                other = configured(tmp_path / f"restored-{number}")
                restore(other, tmp_path / f"{number}.tar")
                there = people_in(other)
                assert len(there) == told.subjects and PEOPLE.keys() <= there.keys()
                assert set(range(10**6, acknowledged + 1)) <= there.keys()
        finally:
            writer.kill()


def test_a_store_with_a_damaged_record_is_not_backed_up_and_the_record_is_named(config: Config, tmp_path: Path) -> None:
    damage(config, unit(4).tobytes())
    with pytest.raises(StoreDamaged, match="template 4 of subject 数字"):
        backup(config, tmp_path / "bad.tar")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["house"]


def test_a_full_disk_leaves_nothing_behind(config: Config, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs to mount a small tmpfs: run as root")
    try:
        with pytest.raises(UpkeepError, match=r"file.tar cannot be written: .*free on that disk"):
            backup(config, small / "file.tar")
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_backup_that_is_killed_at_any_step_leaves_no_file_of_that_name_and_the_next_one_clears_up(
    config: Config, tmp_path: Path
) -> None:
    path, step = tmp_path / "file.tar", 0
    while killed_at(step, lambda: backup(config, path)):
        if path.exists():  # the last step has been taken
            restore(configured(tmp_path / f"check-{step}"), path)
            path.unlink()
        step += 1
    assert step > 5
    assert [one.name for one in tmp_path.glob("file.tar*")] == ["file.tar"]


def test_backups_are_written_down_beside_the_store(config: Config, tmp_path: Path, kept: Path) -> None:
    (entry,) = noted_backups(config.gallery.path)
    assert (entry.path, entry.sequence) == (kept, 5)
    backup(config, tmp_path / "second.tar")
    backup(config, kept, force=True)
    with (config.gallery.path / "backups.jsonl").open("a") as file:
        file.write('{"path": "cut')
    backup(config, tmp_path / "third.tar")
    assert [one.path.name for one in noted_backups(config.gallery.path)] == ["second.tar", "kept.tar", "third.tar"]
    assert stat.S_IMODE((config.gallery.path / "backups.jsonl").stat().st_mode) == 0o600


# restore


def test_a_gallery_with_people_is_replaced_only_when_told_to_and_kept_beside(
    config: Config, kept: Path, tmp_path: Path
) -> None:
    enrol(config, {"new": [9]})
    now = people_in(config)
    with pytest.raises(UpkeepError, match=r"4 subjects, 6 templates.*--force"):
        restore(config, kept)
    assert people_in(config) == now
    done = restore(config, kept, force=True)
    assert people_in(config).keys() == PEOPLE.keys()
    assert done.former is not None and done.former.parent == config.gallery.path.parent
    shutil.rmtree(config.gallery.path)
    done.former.rename(config.gallery.path)
    assert people_in(config) == now


def test_an_empty_gallery_is_replaced_without_a_word(config: Config, kept: Path, tmp_path: Path) -> None:
    other = configured(tmp_path / "elsewhere")
    opened_store(other).close()
    assert restore(other, kept).former is None
    assert people_in(other) == people_in(config)


def test_a_gallery_that_cannot_be_read_is_not_taken_for_an_empty_one(config: Config, kept: Path) -> None:
    (config.gallery.path / "data.mdb").write_bytes(b"gone")
    with pytest.raises(UpkeepError, match=r"cannot be read.*--force"):
        restore(config, kept)
    restore(config, kept, force=True)
    assert people_in(config).keys() == PEOPLE.keys()


def test_a_gallery_that_is_held_is_not_touched(config: Config, kept: Path) -> None:
    with opened_store(config), pytest.raises(StoreLocked, match=f"process {os.getpid()}"):
        restore(config, kept, force=True)


def test_a_backup_of_another_model_is_refused(kept: Path, tmp_path: Path) -> None:
    other = configured(tmp_path / "elsewhere", weights=b"other weights")
    with pytest.raises(ModelMismatch, match="another model"):
        restore(other, kept)
    assert files_below(tmp_path / "elsewhere" / "var") == []


def test_an_index_of_a_later_moment_is_not_taken_for_the_restored_gallerys(config: Config, kept: Path) -> None:
    """After the restoration the same template ids are given to others."""
    with opened_gallery(config) as gallery:
        gallery.enrol("later", [template(config, 50)])
        gallery.rebuild()
    index = {path: path.read_bytes() for path in config.index.path.iterdir()}
    restore(config, kept, force=True)
    assert not any(path.exists() for path in index)
    for path, data in index.items():  # somebody put it back
        path.write_bytes(data)
    with opened_gallery(config) as gallery:
        assert gallery.enrol("other", [template(config, 60)]).added[0].template_id == 6
    with opened_gallery(config) as gallery:
        assert gallery.index_status().state == "absent"
        assert [one.subject for one in gallery.identify(unit(60), 1)] == ["other"]
        assert gallery.identify(unit(50), 1)[0].score < 0.9


def test_a_restoration_that_is_killed_at_any_step_leaves_the_old_gallery_or_the_new_one(
    config: Config, kept: Path
) -> None:
    enrol(config, {"new": [9]})
    old, step, seen = people_in(config), randrange(2), set()
    new = {subject: old[subject] for subject in PEOPLE}
    while killed_at(step, lambda: restore(config, kept, force=True)):
        there = people_in(config)
        assert there in (old, new)
        if there == new:
            with opened_store(config) as store:
                store.enrol("new", [template(config, 9)])
        seen.add(there == new)
        step += 2  # the others in another run
    assert seen == {False, True} and people_in(config) == new
    assert not (config.gallery.path / "restoring").exists()


# hostile files


def repacked(kept: Path, change: Callable[[dict[str, bytes], tarfile.TarFile], None]) -> None:
    with tarfile.open(kept) as archive:
        parts = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    with tarfile.open(kept, "w", format=tarfile.GNU_FORMAT) as archive:
        change(parts, archive)


def add(archive: tarfile.TarFile, name: str, data: bytes, **fields: object) -> None:
    import io

    member = tarfile.TarInfo(name)
    member.size = len(data)
    for field, value in fields.items():
        setattr(member, field, value)
    archive.addfile(member, io.BytesIO(data))


def in_manifest(**fields: object) -> Callable[[dict[str, bytes], tarfile.TarFile], None]:
    def change(parts: dict[str, bytes], archive: tarfile.TarFile) -> None:
        add(archive, "manifest.json", json.dumps(json.loads(parts["manifest.json"]) | fields).encode())
        add(archive, "data.mdb", parts["data.mdb"])

    return change


def both(**names: str) -> Callable[[dict[str, bytes], tarfile.TarFile], None]:
    def change(parts: dict[str, bytes], archive: tarfile.TarFile) -> None:
        for name, data in parts.items():
            add(archive, names.get(name.partition(".")[0], name), data)

    return change


def link(kind: bytes) -> Callable[[dict[str, bytes], tarfile.TarFile], None]:
    def change(parts: dict[str, bytes], archive: tarfile.TarFile) -> None:
        add(archive, "manifest.json", parts["manifest.json"])
        add(archive, "data.mdb", b"", type=kind, linkname="/etc/passwd")

    return change


def with_pax(parts: dict[str, bytes], archive: tarfile.TarFile) -> None:
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, 1 << 40
    archive.fileobj.write(header.tobuf(tarfile.GNU_FORMAT))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (both(data="../../data.mdb"), "not of manifest.json and data.mdb alone"),
        (both(manifest="/manifest.json"), "not of manifest.json and data.mdb alone"),
        (link(tarfile.SYMTYPE), "not of manifest.json and data.mdb alone"),
        (link(tarfile.LNKTYPE), "not of manifest.json and data.mdb alone"),
        (with_pax, "not of manifest.json and data.mdb alone"),
        (in_manifest(version=2, program="9.9"), "version 2 .* made by face-login '9.9'"),
        (in_manifest(version=True), "manifest cannot be read"),
        (in_manifest(format="tarball"), "manifest cannot be read"),
        (in_manifest(more=1), "manifest cannot be read"),
        (in_manifest(subjects="3"), "another type"),
        (in_manifest(key_id=5), "another type"),
        (in_manifest(data_sha256="00" * 32), "sha256"),
        (in_manifest(data_bytes=1 << 60), "another size"),
        (in_manifest(templates=4), "another templates than its data"),
        (in_manifest(store_id="0" * 32), "another store_id than its data"),
    ],
)
def test_a_tar_that_backup_does_not_write_is_refused_and_nothing_is_touched(
    config: Config, kept: Path, change: Callable[[dict[str, bytes], tarfile.TarFile], None], said: str
) -> None:
    before = people_in(config)
    repacked(kept, change)
    with pytest.raises(UpkeepError, match=said):
        restore(config, kept, force=True)
    assert people_in(config) == before
    assert {path.name for path in config.gallery.path.iterdir()} <= {
        "data.mdb", "lock.mdb", "process.lock", "open.lock", "state", "backups.jsonl"
    }  # fmt: skip


def test_a_header_that_claims_a_huge_size_is_refused_before_anything_is_made_of_it(config: Config, kept: Path) -> None:
    data = bytearray(kept.read_bytes())
    header = tarfile.TarInfo("manifest.json")
    header.size = 1 << 60
    data[:512] = header.tobuf(tarfile.GNU_FORMAT)
    kept.write_bytes(data)
    with pytest.raises(UpkeepError, match="too large"):
        restore(config, kept)


def test_a_backup_that_is_cut_short_anywhere_is_refused(config: Config, kept: Path) -> None:
    whole = kept.read_bytes()
    for length in (0, 1, 511, 512, 700, 1024, 1500, len(whole) // 2, len(whole) - 10_240, whole.rindex(b"\1"), 513):
        kept.write_bytes(whole[:length])
        with pytest.raises(UpkeepError, match="damaged"):
            restore(config, kept, force=True)
    kept.write_bytes(whole + b"more")
    with pytest.raises(UpkeepError, match="follows its end"):
        restore(config, kept, force=True)


def test_no_flipped_bit_goes_unnoticed(tmp_path: Path) -> None:
    """In every region of the file. Of headers and manifest some bits (of a mode, a time) change nothing that counts."""
    config = configured(tmp_path / "house")
    enrol(config, PEOPLE)
    path, other = tmp_path / "file.tar", configured(tmp_path / "elsewhere")
    told = backup(config, path).manifest
    whole, people = path.read_bytes(), people_in(config)
    start = whole.index(b"data.mdb") + 512
    draw = np.random.default_rng(1)
    places = [*range(0, start, 37), *draw.integers(start, start + told.data_bytes, 40).tolist(), len(whole) - 1]
    for place in places:
        data = bytearray(whole)
        data[place] ^= 1 << int(draw.integers(8))
        path.write_bytes(data)
        try:
            restore(other, path, force=True)
        except (UpkeepError, ModelMismatch):
            assert not (other.gallery.path / "data.mdb").exists()
        else:
            assert place < start and people_in(other) == people
            shutil.rmtree(other.gallery.path)


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), os.mkfifo, lambda path: None])
def test_what_is_no_file_is_refused_at_once(config: Config, tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "odd")
    with pytest.raises(UpkeepError, match=r"cannot be read|is no file"):
        restore(config, tmp_path / "odd", force=True)


# the commands


def test_the_commands_tell_what_they_did(config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ["--config", str(config.source)]
    path = str(tmp_path / "file.tar")
    assert run(["backup", path, *at]) == 0
    assert "3 subjects, 5 templates, 5 crops" in capsys.readouterr().out
    assert run(["backup", path, "--json", *at]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "UpkeepError"
    assert run(["restore", path, *at]) == 2
    assert "--force" in capsys.readouterr().err
    assert run(["restore", path, "--force", "--json", *at]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["subjects"], Path(told["former"]).is_dir()) == (True, 3, True)
