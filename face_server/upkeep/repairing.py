"""`face-server check --repair`: mends what can be made again from what is whole. Owns the order of the repairs.

A damaged record is somebody's: it stays where it is, and named, unless a file is given to keep it in. Then it is
written there first, so that nothing is lost that a better tool might read.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from face_server.assembly import assemble_gallery, require_lmdb
from face_server.config import Config
from face_server.errors import StorageFull
from face_server.gallery.directory import DirectoryLock
from face_server.gallery.store.mending import raise_sequence, raw_records, take_out
from face_server.terminal import counted
from face_server.upkeep.checking import Checked, check, leftovers
from face_server.upkeep.drafts import drafting, require_free
from face_server.upkeep.examining import Examination, examine


def repair(config: Config, damaged_to: Path | None = None, force: bool = False) -> list[str]:
    """What was done, in words. damaged_to: a file that damaged records are moved to; without it they stay.

    Raises StoreLocked while a daemon runs, UpkeepError for a file that is there (unless `force`) or cannot be written,
    StoreDamaged, StorageFull.
    """
    require_lmdb(config, "check")
    store = config.gallery.path
    if damaged_to is not None:
        require_free(damaged_to, force)
    if not (store / "data.mdb").exists():
        return []
    lock = DirectoryLock(store)
    try:
        done = list(_delete_leftovers(store))
        before = check(config)
        if before.store is not None:
            done += _mend_store(config, before.store, damaged_to, force)
    except OSError as error:
        raise StorageFull(f"Not all could be repaired: {error}. Run it again when there is room.") from error
    finally:
        lock.close()
    return [*done, *_build_index(config, before)]


def _delete_leftovers(store: Path) -> Iterator[str]:
    for path in leftovers(store):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
        yield f"deleted {path}"


def _mend_store(config: Config, seen: Examination, damaged_to: Path | None, force: bool) -> Iterator[str]:
    store = config.gallery.path
    if seen.damaged and damaged_to is not None:
        yield _move_damaged(store, seen, damaged_to.absolute(), force)
        seen = examine(store, config.gallery.encryption_key_file)
    if seen.orphans:
        take_out(store, "crop", map(bytes.fromhex, seen.orphans))
        yield f"deleted {counted(len(seen.orphans), 'crop')} without a template"
    if seen.highest > seen.sequence:
        raise_sequence(store, seen.highest)
        yield f"ids are given out from {seen.highest + 1} on"


def _move_damaged(store: Path, seen: Examination, path: Path, force: bool) -> str:
    """A template's crop goes with it: the file has all that there is of it."""
    why = {(one.kind, bytes.fromhex(one.key)): one.why for one in seen.damaged}
    why |= {("crop", key): "its template is damaged" for kind, key in why if kind == "template"} | why
    keys = {kind: [key for of, key in why if of == kind] for kind in ("template", "crop")}
    records = [(kind, *pair) for kind in keys for pair in raw_records(store, kind, keys[kind])]
    with drafting(path, force) as draft, (draft / path.name).open("w", encoding="ascii") as file:
        for kind, key, record in records:
            told = {"kind": kind, "key": key.hex(), "why": why[kind, key]}
            file.write(json.dumps(told | {"record_base64": base64.b64encode(record).decode("ascii")}) + "\n")
    for kind in keys:
        take_out(store, kind, keys[kind])
    return f"{counted(len(records), 'record')} moved to {path}"


def _build_index(config: Config, before: Checked) -> Iterator[str]:
    """Opening the gallery sweeps what dead builds left; one that is damaged is not opened, and said to be."""
    if before.store is None or examine(config.gallery.path, config.gallery.encryption_key_file).damaged:
        return
    of = before.store
    with assemble_gallery(config, of.fingerprint, of.dimension, background=False) as gallery:
        if before.index_is_wrong or before.store.damaged:
            done = gallery.rebuild()
            yield f"built the index of {counted(done.subjects, 'subject')}"
