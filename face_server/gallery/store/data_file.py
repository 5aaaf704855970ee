"""LMDB's data file: what it is to read one moment of it beside whoever holds it, to copy it, and to walk it. Owns the
names that LMDB's errors have here; may not know what the records mean. It and environment.py alone import lmdb.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import lmdb

from face_server.errors import StoreDamaged, StoreLocked
from face_server.gallery.store.opening import inode, opening

#: Records that a copy commits at a time; LMDB keeps what is not committed in memory.
_COPY_BATCH = 1000
#: Of a copy's map, beside twice what the records take: address space only.
_SPARE_MAP_BYTES = 8 * 2**20

#: Key and record.
Pair = tuple[bytes, bytes]
#: From the name of a database and what is in it, in the order of keys, what a copy gets, in the order of keys.
Rewrite = Callable[[str, Iterable[Pair]], Iterable[Pair]]


@dataclass(frozen=True, slots=True)
class Access:
    """An LMDB transaction and its databases. A store from before there were crops, only read, has None."""

    txn: Any
    meta: Any
    templates: Any
    crops: Any


class SharedEnvironment:
    """A store's data file, only read, whoever holds it. Raises StoreDamaged, StoreLocked.

    One transaction at a time: the map may have to follow the file's growth, which it cannot under a reader.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reading = threading.Lock()
        try:
            with opening(path):
                self._table, self._data = inode(path / "lock.mdb"), inode(path / "data.mdb")
                # Without its table of readers nobody has it open; to make one would be a change, and perhaps by root.
                self._env = lmdb.open(str(path), readonly=True, lock=self._table is not None, max_dbs=3, create=False)
        except (lmdb.Error, OSError) as error:
            raise unusable(path, error) from error
        try:
            with reading(path):
                require_whole(path, self._env)
                self._databases = [self._database(name) for name in (b"meta", b"templates", b"crops")]
        except BaseException:
            self._env.close()
            raise

    def close(self) -> None:
        """Close it; harmless when repeated."""
        self._env.close()

    @contextmanager
    def read(self) -> Iterator[Access]:
        """A moment of it, whatever the holder does meanwhile. Raises StoreDamaged, StoreLocked."""
        if not self._reading.acquire(blocking=False):
            raise RuntimeError("one moment of a store is read at a time")
        try:
            with reading(self._path), self._begin() as txn:
                yield Access(txn, *self._databases)
            self._require_guarded()
        finally:
            self._reading.release()

    def used_bytes(self, access: Access) -> int:
        """Bytes of the pages that records lie in."""
        return used_pages_bytes(self._env, access)

    def _begin(self) -> Any:
        return self._following(self._env.begin)

    def _database(self, name: bytes) -> Any:
        try:
            return self._following(lambda: self._env.open_db(name, create=False))
        except lmdb.NotFoundError:
            if name != b"crops":
                raise
            return None

    def _following(self, step: Callable[[], Any]) -> Any:
        """Do it with a map as large as the holder's."""
        while True:
            try:
                return step()
            except lmdb.MapResizedError:
                self._env.set_mapsize(0)

    def _require_guarded(self) -> None:
        """What was read was one moment only if the holder, if there was one, saw us in its table of readers."""
        if inode(self._path / "data.mdb") == self._data and inode(self._path / "lock.mdb") != self._table:
            raise StoreLocked(f"The gallery in {self._path} was opened by a daemon while it was read: try again.")


def as_it_is(database: str, pairs: Iterable[Pair]) -> Iterable[Pair]:
    """The Rewrite that changes nothing."""
    return pairs


def write_copy(path: Path, access: Access, rewrite: Rewrite = as_it_is) -> None:
    """Write what this transaction sees, and nothing that was removed before, to an absent or empty file; durable.

    Record by record: LMDB's own copy takes pages as they are, and between the records of a page lies what was removed
    from it. Raises OSError.
    """
    named = {"meta": access.meta, "templates": access.templates, "crops": access.crops}
    # Address space only. Records may be a little longer than they were, and a page fuller than the copy's.
    size = _SPARE_MAP_BYTES + 2 * sum(map(_pages_bytes, _stats(access)))
    with (
        writing(path.parent),
        lmdb.open(str(path), subdir=False, lock=False, map_size=size, max_dbs=3, mode=0o600, sync=False) as copy,
    ):
        for name, database in named.items():
            fresh = copy.open_db(name.encode("ascii"))
            pairs = iter(rewrite(name, access.txn.cursor(database) if database is not None else ()))
            while batch := list(islice(pairs, _COPY_BATCH)):
                with copy.begin(write=True) as txn, txn.cursor(fresh) as end:
                    end.putmulti(batch, append=True)
        copy.sync(True)


def walk(path: Path) -> None:
    """Read every page of a data file that nobody has open to change it, and find every record under its key.

    Raises StoreDamaged; a damaged file may also end the process by a signal.
    """
    with reading(path), lmdb.open(str(path), readonly=True, lock=False, max_dbs=3) as env:
        require_whole(path, env)
        with Path(os.devnull).open("wb") as nowhere:
            env.copyfd(nowhere.fileno(), compact=True)  # goes over all pages, and over those that are free
        with env.begin(buffers=True) as txn:
            for name in [bytes(name) for name, _ in txn.cursor()]:
                database = env.open_db(name, txn, create=False)
                found = [txn.get(key, db=database) == record for key, record in txn.cursor(database)]
                if not all(found) or len(found) != txn.stat(database)["entries"]:
                    raise StoreDamaged(f"The gallery in {path} is damaged: records are not found under their keys.")


def used_pages_bytes(env: Any, access: Access) -> int:
    return sum(map(_pages_bytes, [env.stat(), *_stats(access)]))


def _stats(access: Access) -> list[dict[str, int]]:
    databases = (access.meta, access.templates, access.crops)
    return [access.txn.stat(database) for database in databases if database is not None]


def _pages_bytes(stat: dict[str, int]) -> int:
    return sum(stat[kind] for kind in ("branch_pages", "leaf_pages", "overflow_pages")) * stat["psize"]


def require_whole(path: Path, env: Any) -> None:
    """Refuse a data file that was cut short: reading past its end would be a SIGBUS."""
    needed = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
    if (path / "data.mdb").stat().st_size < needed:
        raise StoreDamaged(f"The gallery in {path} is damaged: its data file has been cut short.")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """LMDB's errors of a read, under our names: StoreDamaged, StoreLocked."""
    try:
        yield
    except lmdb.ReadersFullError:
        raise StoreLocked(f"The gallery in {path} is read by too many at once: wait for the others to end.") from None
    except lmdb.Error as error:
        raise StoreDamaged(f"The gallery in {path} cannot be read: {error}.") from error


class NoRoom(OSError):
    """What is to be written cannot be."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What LMDB says when the disk of `path` takes no more, as NoRoom; on a full one that may be any of these."""
    try:
        yield
    except NoRoom:
        raise
    except (lmdb.DiskError, lmdb.PanicError, OSError) as error:
        raise NoRoom(f"{error}{_free_told(path)}") from error
    except lmdb.Error as error:
        # An errno without a class of its own: EFBIG, EDQUOT, EIO. Anything else is a mistake in here, or damage.
        if type(error) is not lmdb.Error:
            raise
        raise NoRoom(f"{error}{_free_told(path)}") from error


def _free_told(path: Path) -> str:
    try:
        return f" ({shutil.disk_usage(path).free:,} bytes are free on the disk)"
    except OSError:  # the directory itself is gone
        return ""


def unusable(path: Path, error: Exception) -> StoreDamaged:
    return StoreDamaged(f"The gallery in {path} cannot be opened: {error}.")
