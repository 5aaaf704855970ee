"""Changes to a store at rest that no request makes: another store's data put in its place, a new store_id, records that
cannot be read taken out. The caller holds the store's lock. May not know why anything is done, nor config.ini.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from face_server.gallery.directory import sync
from face_server.gallery.store.contents import Contents
from face_server.gallery.store.data_file import Access, SharedEnvironment
from face_server.gallery.store.environment import Environment
from face_server.gallery.store.opening import make_open_lock, opening

#: Room for the pages that a change copies, however full the store is.
_SPARE_BYTES = 64 << 20

_Result = TypeVar("_Result")


def renew_store_id(store: Path) -> str:
    """Make the store another one than that whose copy it is: an index of that one, also of a later moment in which the
    same template ids were given to others, is then refused. Raises StoreDamaged, StorageFull.
    """
    store_id = uuid.uuid4().hex
    _change(store, lambda access: Contents(access, store).put_meta(store_id=store_id))
    return store_id


def take_out(store: Path, kind: str, keys: Iterable[bytes]) -> int:
    """Delete records, of "template" or "crop", by their keys; how many were there. Raises StoreDamaged, StorageFull."""
    wanted = list(keys)

    def delete(access: Access) -> int:
        database = {"template": access.templates, "crop": access.crops}[kind]
        return sum(access.txn.delete(key, db=database) for key in wanted)

    return _change(store, delete)


def raw_records(store: Path, kind: str, keys: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
    """Records, of "template" or "crop", as they lie there, by their keys, as far as there are any. Raises StoreDamaged.

    Only for keys that a child has read before: a damaged page may end the process.
    """
    wanted = list(keys)
    with closing(SharedEnvironment(store)) as environment, environment.read() as access:
        database = {"template": access.templates, "crop": access.crops}[kind]
        if database is None:
            return []
        found = ((key, access.txn.get(key, db=database)) for key in wanted)
        return [(key, bytes(record)) for key, record in found if record is not None]


def raise_sequence(store: Path, highest: int) -> None:
    """Let ids be given out after `highest` only: one that is given out twice would be two people's in an index."""
    _change(store, lambda access: Contents(access, store).put_meta(last_id=str(highest)))


def put_in_place(store: Path, data: Path, former: Path | None) -> None:
    """Make a data file, which lies on the same disk, that of the store; what it was stays in the directory `former`.

    One rename decides: before it the store is what it was, after it what `data` is. LMDB's table of readers must not
    be shared by two data files, so it goes first; who still reads the old one keeps both. Raises OSError.
    """
    make_open_lock(store)
    with opening(store, alone=True):
        if former is not None and (store / "data.mdb").exists():
            _keep(store / "data.mdb", former)
        (store / "lock.mdb").unlink(missing_ok=True)
        sync(data)
        data.replace(store / "data.mdb")
        sync(store)


def _change(store: Path, change: Callable[[Access], _Result]) -> _Result:
    most = (store / "data.mdb").stat().st_size + _SPARE_BYTES
    environment = Environment(store, start_bytes=most, max_bytes=most)
    try:
        return environment.write(change, most)
    finally:
        environment.close()


def _keep(data: Path, former: Path) -> None:
    former.mkdir(mode=0o700)
    try:
        os.link(data, former / data.name)
    except OSError:  # another disk, or one without links
        shutil.copyfile(data, former / data.name)
        (former / data.name).chmod(0o600)
    for path in (former / data.name, former, former.parent):
        sync(path)
