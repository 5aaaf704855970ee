"""Looks at a store and its index as they lie on the disk, whether a daemon is at work on them or not; changes neither.

The looking is a program of its own, `python -m face_server.gallery.inspecting`: a damaged file may end it by a signal,
and that is an answer too. May not know LMDB, scores or config.ini.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from face_server.errors import ConfigError, FaceLoginError, KeyMismatch, StoreDamaged
from face_server.gallery.index.annoy_index import read_index, require_fits
from face_server.gallery.index.manifest import IndexUnusable, NoIndex
from face_server.gallery.rows import Rows
from face_server.gallery.store.reading import StoreReader
from face_server.gallery.store.sealing import StoreKey

#: A million templates are read in 20 s or so; a disk that is slower has a problem of its own.
_PATIENCE_S = 600.0
#: The names under which the process tells why it could not look.
_TOLD: dict[str, type[FaceLoginError]] = {
    "damage": StoreDamaged,
    "KeyMismatch": KeyMismatch,
    "ConfigError": ConfigError,
}


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


def look(store: Path, index: Path, key_file: Path | None = None) -> Inspection:
    """Every record and the index, read in a process of its own. Raises StoreDamaged, KeyMismatch, ConfigError."""
    command = [sys.executable, "-m", __name__, str(store), str(index), str(key_file or "")]
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
    for name, error in _TOLD.items():
        if name in told:
            raise error(told[name])
    return Inspection(**told)


def inspect(store: Path, index: Path, key_file: Path | None = None) -> Inspection:
    """As `look`, in this process, which a damaged file may end."""
    key = None if key_file is None else StoreKey.read(key_file)
    with StoreReader(store, key) as reader:
        with reader.snapshot() as snapshot:
            rows = Rows.load(reader.dimension, snapshot.sequence, snapshot.newest_ids(), snapshot)
            newest = snapshot.newest()
        held, error = _index_of(index, reader, rows)
        return Inspection(
            reader.fingerprint,
            reader.dimension,
            rows.subject_count(),
            rows.templates,
            reader.used_bytes(),
            None if newest is None else newest.created_s,
            held,
            error,
        )


def _index_of(index: Path, reader: StoreReader, rows: Rows) -> tuple[int | None, str | None]:
    """How many subjects it holds, or why it cannot be used; neither where there is none."""
    try:
        loaded = read_index(index, store_id=reader.store_id, fingerprint=reader.fingerprint, dimension=reader.dimension)
        view = rows.view()
        require_fits(loaded, view.ids, view.vectors, view.live(len(view.ids)), rows.sequence)
    except NoIndex:
        return None, None
    except IndexUnusable as error:
        return None, str(error)
    return loaded[0].count, None


def main(arguments: list[str]) -> None:
    """Print what `inspect` finds as one JSON object."""
    store, index, key_file = arguments
    try:
        told = asdict(inspect(Path(store), Path(index), Path(key_file) if key_file else None))
    except (KeyMismatch, ConfigError) as error:
        told = {type(error).__name__: str(error)}
    except FaceLoginError as error:
        told = {"damage": str(error)}
    except (OSError, ValueError) as error:
        told = {"damage": f"The gallery in {store} cannot be opened: {error}."}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1:])
