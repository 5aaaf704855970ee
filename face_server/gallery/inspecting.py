"""Looks at a store and its index as they lie on the disk, whether a daemon is at work on them or not; changes neither.

The looking is a program of its own, `python -m face_server.gallery.inspecting`: a damaged file may end it by a signal,
and that is an answer too. LMDB's lock file lets it read one moment while a daemon writes; the daemon's own lock, which
would keep one from starting, is left alone. May not know scores or config.ini; imports lmdb only to read.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lmdb

from face_server.errors import FaceLoginError, StoreDamaged
from face_server.gallery.index import IndexUnusable, NoIndex, read_index
from face_server.gallery.record import open_record, split_key
from face_server.gallery.rows import Rows
from face_server.gallery.store import SCHEMA, Snapshot, used_bytes

#: A million templates are read in 20 s or so; a disk that is slower has a problem of its own.
_PATIENCE_S = 600.0


@dataclass(frozen=True, slots=True)
class Inspection:
    """What lies there. newest_s: when the newest template was made (Unix time); index_error: why there is no index."""

    fingerprint: str
    dimension: int
    subjects: int
    templates: int
    used_bytes: int
    newest_s: float | None
    index_subjects: int | None
    index_error: str | None


def look(store: Path, index: Path, search_k: int) -> Inspection:
    """Every record and the index, read in a process of its own. Raises StoreDamaged."""
    command = [sys.executable, "-m", __name__, str(store), str(index), str(search_k)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        raise StoreDamaged(f"Reading the gallery in {store} takes longer than {_PATIENCE_S:g} s.") from None
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise StoreDamaged(f"Reading the gallery in {store} ended in {name}: its data file is damaged.")
    try:
        told = json.loads(done.stdout)
    except ValueError:
        raise StoreDamaged(f"The gallery in {store} cannot be read: {done.stderr.strip()[-500:]}") from None
    if "damage" in told:
        raise StoreDamaged(told["damage"])
    return Inspection(**told)


def inspect(store: Path, index: Path, search_k: int) -> Inspection:
    """As `look`, in this process, which a damaged file may end."""
    # Without its lock file nobody has it open; to make one would be a change.
    with lmdb.open(str(store), readonly=True, lock=(store / "lock.mdb").exists(), max_dbs=3, create=False) as env:
        needed = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
        if (store / "data.mdb").stat().st_size < needed:
            raise StoreDamaged(f"The gallery in {store} is damaged: its data file has been cut short.")
        meta, templates = (env.open_db(name, create=False) for name in (b"meta", b"templates"))
        with env.begin() as txn:
            told = {str(name, "ascii"): str(value, "ascii") for name, value in txn.cursor(meta)}
            if told["schema"] != SCHEMA:
                raise StoreDamaged(f"The gallery has schema {told['schema']}; this program reads schema {SCHEMA}.")
            return _inspection(env, txn, templates, told, index, search_k)


def _inspection(env: Any, txn: Any, templates: Any, told: dict[str, str], index: Path, search_k: int) -> Inspection:
    dimension, sequence = int(told["dimension"]), int(told["last_id"])
    snapshot = Snapshot(txn, templates, sequence, dimension)
    rows = Rows.load(dimension, sequence, snapshot.newest_ids(), snapshot)
    names = [b"meta", b"templates", *([b"crops"] if txn.get(b"crops") is not None else [])]
    held, error = _index_of(index, told, rows, search_k)
    return Inspection(
        told["fingerprint"],
        dimension,
        rows.subject_count(),
        rows.templates,
        used_bytes([env.stat(), *(txn.stat(env.open_db(name, txn, create=False)) for name in names)]),
        _newest_s(txn, templates, dimension),
        held,
        error,
    )


def _newest_s(txn: Any, templates: Any, dimension: int) -> float | None:
    keys = txn.cursor(templates).iternext(values=False)
    newest = max(keys, key=lambda key: split_key(key)[1], default=None)
    return None if newest is None else open_record(newest, txn.get(newest, db=templates), dimension).template.created_s


def _index_of(index: Path, told: dict[str, str], rows: Rows, search_k: int) -> tuple[int | None, str | None]:
    """How many subjects it holds, or why it cannot be used; neither where there is none."""
    try:
        found = read_index(
            index, store_id=told["store_id"], fingerprint=told["fingerprint"], dimension=int(told["dimension"])
        )
        view = rows.view()
        found.require_fits(view.ids, view.vectors, rows.sequence, search_k)
    except NoIndex:
        return None, None
    except IndexUnusable as error:
        return None, str(error)
    return found.manifest.count, None


def main(arguments: list[str]) -> None:
    """Print what `inspect` finds as one JSON object."""
    store, index, search_k = arguments
    try:
        told = asdict(inspect(Path(store), Path(index), int(search_k)))
    except FaceLoginError as error:
        told = {"damage": str(error)}
    except (lmdb.Error, OSError, KeyError, ValueError) as error:
        told = {"damage": f"The gallery in {store} cannot be opened: {error}."}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1:])
