"""A store that is not what it was: it is opened as it was, or refused by name; never a process ended by a signal, never
somebody less without a word. And disks that are full or may only be read.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from people import gallery_options, make_template, open_store, run_child, unit
from test_reading import CROP, records_of

from face_server.errors import StoreDamaged
from face_server.gallery import LocalGallery
from face_server.gallery.store import doubt, environment
from face_server.types import FaceCrop

HERE = Path(__file__).parent
PAGE = 4096


def enrol_some(path: Path, subjects: int = 60) -> None:
    """Records of both kinds, in several levels of pages, and pages that are free."""
    with open_store(path) as store:
        for seed in range(subjects):
            store.enrol(f"subject {seed}", [make_template(seed, crop=FaceCrop(bytes(9000), CROP.face))])
        store.remove([f"subject {seed}" for seed in range(0, subjects, 3)])


def looks(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Where a store was looked at in a process of its own, from now on."""
    seen: list[Path] = []
    look = doubt._look

    def noting(path: Path) -> None:
        seen.append(path)
        look(path)

    monkeypatch.setattr(doubt, "_look", noting)
    return seen


# When a store is doubted


def test_a_store_that_was_closed_is_not_doubted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = looks(monkeypatch)
    enrol_some(tmp_path / "store", 3)
    for seed in range(3):
        with open_store(tmp_path / "store") as store:
            store.enrol("more", [make_template(100 + seed)])
            store.compact()
    assert not seen


def killed(path: Path) -> None:
    child = run_child("import sys, os; store = open_store(Path(sys.argv[1])); os.kill(os.getpid(), 9)", path)
    assert child.wait(60) == -signal.SIGKILL
    child.stdout.close()  # type: ignore[union-attr]


def copied(path: Path) -> None:
    shutil.copy2(path / "data.mdb", path / "copy")
    (path / "copy").rename(path / "data.mdb")


def written(path: Path) -> None:
    with (path / "data.mdb").open("r+b") as file:
        file.write(file.read(1).join((b"", b"")))


def lengthened(path: Path) -> None:
    os.truncate(path / "data.mdb", (path / "data.mdb").stat().st_size + PAGE)


def from_before_there_was_a_note(path: Path) -> None:
    (path / "state").unlink()


@pytest.mark.parametrize("change", [killed, copied, written, lengthened, from_before_there_was_a_note])
def test_a_store_that_was_not_closed_or_is_not_the_file_that_was_is_looked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    path = tmp_path / "store"
    enrol_some(path, 3)
    with open_store(path) as store:
        stored = records_of(store)
    change(path)
    seen = looks(monkeypatch)
    for _ in range(2):
        with open_store(path) as store:
            assert records_of(store) == stored
    assert seen == [path]


def test_a_refused_open_leaves_a_doubtful_store_doubtful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enrol_some(tmp_path / "store", 3)
    killed(tmp_path / "store")
    monkeypatch.setattr(environment, "_START_MAP_BYTES", "no number")
    with pytest.raises(TypeError):
        open_store(tmp_path / "store")
    monkeypatch.undo()
    seen = looks(monkeypatch)
    open_store(tmp_path / "store").close()
    assert seen


@pytest.mark.parametrize("content", [None, b""])
def test_a_data_file_that_is_gone_or_empty_is_no_new_gallery(tmp_path: Path, content: bytes | None) -> None:
    enrol_some(tmp_path / "store", 3)
    (tmp_path / "store" / "data.mdb").unlink()
    if content is not None:
        (tmp_path / "store" / "data.mdb").write_bytes(content)
    for _ in range(2):
        with pytest.raises(StoreDamaged, match=r"data\.mdb, is gone or empty.*face-server restore.*To begin anew"):
            open_store(tmp_path / "store")


def test_a_store_whose_making_was_cut_off_is_made_when_it_is_opened_again(tmp_path: Path) -> None:
    code = """
import os, sys
from face_server.gallery.store.template_store import TemplateStore
TemplateStore._settle_meta = lambda *_: os.kill(os.getpid(), 9)
open_store(Path(sys.argv[1]))
"""
    child = run_child(code, tmp_path)
    assert child.wait(60) == -signal.SIGKILL
    child.stdout.close()  # type: ignore[union-attr]
    with open_store(tmp_path) as store:
        store.enrol("first", [make_template(1)])


# What may be wrong with it


#: Damages a copy of the store in every way that it is told, opens it, and says what came of it; a signal ends it.
DAMAGE = """
import json, random, shutil, sys
from face_server.errors import FaceLoginError
store, work, pages, rounds = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]), int(sys.argv[4])
whole = (store / "data.mdb").read_bytes()
def everything(opened):
    with opened.snapshot() as snapshot:
        return [(subject, number, vector.tobytes()) for number, subject, vector in snapshot]
shutil.copytree(store, work)
with open_store(work) as opened:
    stored = everything(opened)
for seed in range(rounds):
    draw = random.Random(seed)
    way = ("garbled", "zeroed", "exchanged", "bits")[seed % 4]
    damaged = bytearray(whole)
    page, other = draw.sample(pages, 2)
    at = 4096 * page
    if way == "garbled":
        damaged[at : at + 4096] = draw.randbytes(4096)
    elif way == "zeroed":
        damaged[at : at + 4096] = bytes(4096)
    elif way == "exchanged":
        damaged[at : at + 4096] = whole[4096 * other : 4096 * other + 4096]
    else:
        for _ in range(8):
            damaged[at + draw.randrange(200)] ^= 1 << draw.randrange(8)
    (work / "data.mdb").write_bytes(damaged)
    print(seed, way, page, end=" ", flush=True)
    try:
        with open_store(work) as opened:
            seen = everything(opened)
            if seen == stored:
                opened.enrol("new", [make_template(10**6)])
                opened.remove(["new"])
            print("as it was" if seen == stored else "LESS", flush=True)
    except FaceLoginError as error:
        print("refused:", error, flush=True)
"""


def used_pages(path: Path) -> list[int]:
    """Pages with something on them; noughts are the hole at the end."""
    content = (path / "data.mdb").read_bytes()
    return [page for page in range(len(content) // PAGE) if any(content[PAGE * page : PAGE * page + PAGE])]


def test_damaged_pages_are_refused_or_do_no_harm_and_end_no_process(tmp_path: Path) -> None:
    with open_store(tmp_path / "store") as store:  # pages of records without crops, which are what an opening reads
        for seed in range(150):
            store.enrol(f"subject {seed}", [make_template(seed)])
        store.compact()
        store.remove([f"subject {seed}" for seed in range(0, 150, 10)])
    pages = used_pages(tmp_path / "store")
    child = run_child(DAMAGE, tmp_path / "store", tmp_path / "work", json.dumps(pages), 20)
    told = child.communicate(timeout=250)[0].splitlines()
    assert child.returncode == 0 and len(told) == 20, told[-1]
    assert not [line for line in told if line.endswith("LESS")]
    assert sum(" refused: " in line for line in told) > 5
    for line in told:
        assert " refused: " not in line or "amaged" in line or "cannot be" in line or "has no" in line, line


@pytest.mark.parametrize("part", [0.02, 0.3, 0.9])
def test_a_store_cut_short_is_refused_also_where_it_was_closed(tmp_path: Path, part: float) -> None:
    enrol_some(tmp_path / "store")
    data = tmp_path / "store" / "data.mdb"
    used = PAGE * (max(used_pages(tmp_path / "store")) + 1)
    os.truncate(data, int(used * part))
    for _ in range(2):
        with pytest.raises(StoreDamaged, match=r"cut short|cannot be"):
            open_store(tmp_path / "store")


def test_reading_that_ends_in_a_signal_is_told_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enrol_some(tmp_path / "store", 3)
    killed(tmp_path / "store")
    crash = tmp_path / "python"
    crash.write_text("#!/bin/sh\nkill -SEGV $$\n")
    crash.chmod(0o700)
    with monkeypatch.context() as broken:
        broken.setattr(sys, "executable", str(crash))
        with pytest.raises(StoreDamaged, match=r"ended in SIGSEGV.*face-server restore"):
            open_store(tmp_path / "store")
    with open_store(tmp_path / "store") as store:
        assert len(records_of(store)) == 2


def test_the_data_file_of_another_gallery_has_its_people_and_no_index_of_ours(tmp_path: Path) -> None:
    for name, seeds in (("ours", range(20)), ("theirs", range(100, 130))):
        with LocalGallery(gallery_options(tmp_path / name)) as gallery:
            for seed in seeds:
                gallery.enrol(f"of {name} {seed}", [make_template(seed)])
            gallery.rebuild()
    shutil.copy(tmp_path / "theirs" / "gallery" / "data.mdb", tmp_path / "ours" / "gallery" / "data.mdb")
    with LocalGallery(gallery_options(tmp_path / "ours")) as gallery:
        assert gallery.index_status().state == "absent"
        assert gallery.identify(unit(100), 1)[0].subject == "of theirs 100"
        assert not [one for one in gallery.identify(unit(0), 50) if "ours" in str(one.subject)]


def test_nothing_depends_on_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [4e9]
    monkeypatch.setattr("time.time", lambda: now_s[0])
    for turn, seeds in enumerate((range(10), range(10, 20), range(20, 25))):
        with LocalGallery(gallery_options(tmp_path)) as gallery:
            for seed in seeds:
                gallery.enrol(seed, [make_template(-seed - 1)])  # created before the ones before it
            if turn < 2:
                gallery.rebuild()
        now_s[0] -= 1e9
    with LocalGallery(gallery_options(tmp_path)) as gallery:
        told = gallery.index_status()
        assert (told.error, gallery.subject_count(), told.sequence in (0, 20)) == (None, 25, True)
        for seed in range(25):
            assert gallery.identify(unit(-seed - 1), 1)[0].subject == seed
        gallery.enrol(0, [make_template(77)], replace=True)
        assert gallery.identify(unit(77), 1)[0].subject == 0


# Disks


def in_namespace(script: str, code: str, *arguments: object) -> list[str]:
    """What this code prints, in a mount namespace of its own that the script prepares ($1 the first argument)."""
    own = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    try:
        allowed = subprocess.run([*own, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no unshare")
    if allowed.returncode:
        pytest.skip(f"no mount namespace is to be had here: {allowed.stderr.decode().strip()}")
    command = ["sh", "-euc", f'{script}; exec "$0" -c "$CODE" "$@"', sys.executable, *map(str, arguments)]
    paths = os.pathsep.join(map(str, (HERE, HERE.parents[1])))
    environ = os.environ | {"PYTHONPATH": paths, "CODE": "from people import *\n" + code}
    done = subprocess.run([*own, *command], capture_output=True, text=True, timeout=120, env=environ, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


FILL = """
import sys
from face_server.errors import StorageFull
from face_server.gallery import LocalGallery
root = Path(sys.argv[1])
(root / "ballast").write_bytes(bytes(300_000))
with LocalGallery(gallery_options(root, max_map_bytes=2**30)) as gallery:
    count = 0
    try:
        while True:
            gallery.enrol(count, [make_template(count)])
            count += 1
    except StorageFull as full:
        print(full)
    right = all(gallery.identify(unit(seed), 1)[0].subject == seed for seed in range(count))
    print(count, gallery.subject_count(), right)
    try:
        gallery._store.compact()
    except StorageFull as full:
        print(full)
    print((root / "gallery" / "draft.mdb").exists(), gallery.store_usage().free_disk_bytes < 100_000)
    (root / "ballast").unlink()
    print(gallery.enrol("later", [make_template(10**6)]).templates, len(gallery.remove([0]).removed))
with LocalGallery(gallery_options(root, max_map_bytes=2**30)) as gallery:
    print(gallery.subject_count() == count, gallery.identify(unit(10**6), 1)[0].subject)
"""


def test_a_full_disk_is_storage_full_searching_goes_on_and_so_does_all_once_there_is_room(tmp_path: Path) -> None:
    told = in_namespace('mount -t tmpfs -o size=2m tmpfs "$1"', FILL, tmp_path)
    full, found, compacted, draft, later, reopened = told
    assert "bytes are free on the disk" in full and "searching goes on" in full
    count, subjects, right = found.split()
    assert int(count) > 100 and count == subjects and right == "True"
    assert "could not be compacted" in compacted and draft == "False True"
    assert later == "1 1" and reopened == "True later"


OPEN_READ_ONLY = """
import sys
from face_server.errors import StoreDamaged
from face_server.gallery.store.reading import StoreReader
for path in sys.argv[1:]:
    try:
        open_store(Path(path))
    except StoreDamaged as error:
        print(error)
with StoreReader(Path(sys.argv[1])) as reader, reader.snapshot() as snapshot:
    print(len(list(snapshot)))
"""


def test_a_disk_that_may_only_be_read_is_refused_by_name_and_can_be_read(tmp_path: Path) -> None:
    enrol_some(tmp_path / "store", 3)
    (tmp_path / "new").mkdir()
    script = 'for one in "$@"; do mount --bind "$one" "$one"; mount -o remount,bind,ro "$one"; done'
    told = in_namespace(script, OPEN_READ_ONLY, tmp_path / "store", tmp_path / "new")
    assert len(told) == 3 and told[2] == "2"
    for line in told[:2]:
        assert "cannot be used: Read-only file system" in line
    with open_store(tmp_path / "store") as store:
        assert len(records_of(store)) == 2
