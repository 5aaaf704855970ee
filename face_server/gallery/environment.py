"""LMDB: the data file of a store, its map, its transactions, and how a compacted copy takes its place. The only module
that imports lmdb; may not know what the records mean, nor scores or config.ini.

Other processes may read beside the holder. A compaction drops the table of readers, lock.mdb, and puts the new data
file in the old one's place, with the lock of opening.py: a reader of before goes on with both old files, which have no
names any more.
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
from typing import Any, TypeVar

import lmdb

from face_server.errors import StorageFull, StoreDamaged, StoreLocked
from face_server.gallery.directory import sync
from face_server.gallery.opening import inode, make_open_lock, opening

#: The map starts here and doubles; a new gallery is small and an unused map costs only address space.
_START_MAP_BYTES = 8 * 2**20
#: The map cannot grow under a reader. Reads take milliseconds: one this long is stuck, or in the writer's own thread.
_GROWTH_WAIT_S = 10.0
#: A change takes milliseconds. One that takes longer is stuck, and goes down with the process, whole or not at all.
_CLOSE_S = 5.0
#: Where a compacted copy is written; one that a killed process left is deleted when the store is opened.
_DRAFT = "draft.mdb"
#: Records that a copy commits at a time; LMDB keeps what is not committed in memory.
_COPY_BATCH = 1000

_Result = TypeVar("_Result")

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


class Environment:
    """A store's data file, to be read and changed by this process, which holds the directory's lock.

    start_bytes is the most that the map starts with, `max_bytes` the size the data file may reach. Raises StoreDamaged.
    Safe to use from several threads, never after a fork (RuntimeError).
    """

    def __init__(self, path: Path, *, start_bytes: int, max_bytes: int) -> None:
        self._path, self._max_bytes = path, max_bytes
        self._start_bytes = min(_START_MAP_BYTES, start_bytes)
        self._writing = threading.Lock()
        self._reads = threading.Condition()
        self._readers = 0
        self._pid = os.getpid()
        self._env: Any = None
        try:
            make_open_lock(path)
            (path / _DRAFT).unlink(missing_ok=True)
            with opening(path):
                self._open()
        except OSError as error:
            raise _unusable(path, error) from error

    def close(self) -> bool:
        """Close it, once no change is under way; harmless when repeated. Whether that is done, and by this call."""
        if self._env is None or os.getpid() != self._pid or not self._writing.acquire(timeout=_CLOSE_S):
            self._env = None
            return False
        self._env.close()
        self._env = None
        self._writing.release()
        return True

    def map_bytes(self) -> int:
        """The size of the map, and of the data file; what is not used of it is a hole."""
        return int(self._env.info()["map_size"])

    def used_bytes(self) -> int:
        """Bytes of the pages that records lie in."""
        with self.read() as access:
            return _used_bytes(self._env, access)

    @contextmanager
    def read(self) -> Iterator[Access]:
        """A moment of it; while it is open the map cannot grow. Raises StoreDamaged."""
        self._require_open()
        with self._reads:
            self._readers += 1
        try:
            with _reading(self._path), self._env.begin() as txn:
                yield Access(txn, *self._databases)
        finally:
            with self._reads:
                self._readers -= 1
                self._reads.notify_all()

    def write(self, change: Callable[[Access], _Result], map_limit: int) -> _Result:
        """Run `change` in one transaction, again in a larger map where it did not fit; all of it is durable or none.

        Raises StorageFull, StoreDamaged.
        """
        self._require_open()
        with self._changing():
            if self.map_bytes() > map_limit:  # a removal has used what is kept for removals
                self._resize(map_limit)
            # Pages that a dead process was reading would stay taken for ever.
            self._env.reader_check()
            return self._commit(change, map_limit)

    def compact(self, rewrite: Rewrite) -> int:
        """Put a fresh copy in the data file's place: nothing of what was removed is in it. The bytes that it is less.

        Changes wait for it, reads go on until the copy is there. Killed at any moment, the one or the other file is the
        store, whole. Takes room for both. Raises StorageFull with all as it was, StoreDamaged.
        """
        self._require_open()
        draft = self._path / _DRAFT
        with self._changing("be compacted"):
            try:
                former = self._used_to()
                with self.read() as access:
                    write_copy(draft, access, rewrite)
                with self._alone():
                    self._put_in_place(draft)
                return former - self._used_to()
            finally:
                draft.unlink(missing_ok=True)

    # Opening

    def _require_open(self) -> None:
        if os.getpid() != self._pid:
            raise RuntimeError("a store is never used after a fork")
        if self._env is None:
            raise RuntimeError("the store is closed")

    def _open(self) -> None:
        try:
            # LMDB itself raises a start below the size of the data that is there.
            self._env = lmdb.open(str(self._path), map_size=self._start_bytes, max_dbs=3, mode=0o600)
            _require_whole(self._path, self._env)
            self._lengthen(self.map_bytes())
            self._databases = [self._env.open_db(name) for name in (b"meta", b"templates", b"crops")]
            sync(self._path)
        except (lmdb.Error, OSError) as error:
            raise _unusable(self._path, error) from error

    def _lengthen(self, size: int) -> None:
        """LMDB leaves the file shorter than its last page when last pages are taken and freed in one transaction.

        Hence it is always as long as its map, by a hole that takes no room on the disk: one that is short is damaged.
        """
        data = self._path / "data.mdb"
        if data.stat().st_size < size:
            os.truncate(data, size)

    def _used_to(self) -> int:
        """Where the last page in use ends, bytes."""
        return int((self._env.info()["last_pgno"] + 1) * self._env.stat()["psize"])

    def _put_in_place(self, draft: Path) -> None:
        with opening(self._path, alone=True):
            self._env.close()
            try:
                (self._path / "lock.mdb").unlink(missing_ok=True)
                draft.rename(self._path / "data.mdb")
                sync(self._path)
            finally:
                self._open()

    # Changes

    def _commit(self, change: Callable[[Access], _Result], map_limit: int) -> _Result:
        while True:
            try:
                with self._env.begin(write=True) as txn:
                    return change(Access(txn, *self._databases))
            except lmdb.MapFullError:
                self._grow(map_limit)

    def _grow(self, limit: int) -> None:
        size = self.map_bytes()
        if size >= limit:
            raise _NoRoom(f"it may hold {self._max_bytes} bytes ([gallery] max_map_bytes)")
        self._resize(min(2 * size, limit))

    def _resize(self, size: int) -> None:
        """Remap the file. The caller holds the writer's lock."""
        with self._alone():
            self._lengthen(size)
            self._env.set_mapsize(size)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Without readers in this process: new ones wait, and running ones are waited for."""
        with self._reads:
            if not self._reads.wait_for(lambda: self._readers == 0, _GROWTH_WAIT_S):
                raise _NoRoom(f"a read kept it waiting for {_GROWTH_WAIT_S:g} s")
            yield

    @contextmanager
    def _changing(self, what: str = "take this in") -> Iterator[None]:
        """Alone in changing it, with errors under our names."""
        try:
            with self._writing, _writing_told(self._path):
                yield
        except _NoRoom as error:
            raise StorageFull(f"The gallery could not {what}: {error}. It is as it was; searching goes on.") from error
        except lmdb.CorruptedError as error:
            raise StoreDamaged(f"The gallery in {self._path} cannot be read: {error}.") from error


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
            raise _unusable(path, error) from error
        try:
            with _reading(path):
                _require_whole(path, self._env)
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
            with _reading(self._path), self._begin() as txn:
                yield Access(txn, *self._databases)
            self._require_guarded()
        finally:
            self._reading.release()

    def used_bytes(self, access: Access) -> int:
        """Bytes of the pages that records lie in."""
        return _used_bytes(self._env, access)

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
    size = _START_MAP_BYTES + 2 * sum(map(_pages_bytes, _stats(access)))
    with (
        _writing_told(path.parent),
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
    with _reading(path), lmdb.open(str(path), readonly=True, lock=False, max_dbs=3) as env:
        _require_whole(path, env)
        with Path(os.devnull).open("wb") as nowhere:
            env.copyfd(nowhere.fileno(), compact=True)  # goes over all pages, and over those that are free
        with env.begin(buffers=True) as txn:
            for name in [bytes(name) for name, _ in txn.cursor()]:
                database = env.open_db(name, txn, create=False)
                found = [txn.get(key, db=database) == record for key, record in txn.cursor(database)]
                if not all(found) or len(found) != txn.stat(database)["entries"]:
                    raise StoreDamaged(f"The gallery in {path} is damaged: records are not found under their keys.")


def _used_bytes(env: Any, access: Access) -> int:
    return sum(map(_pages_bytes, [env.stat(), *_stats(access)]))


def _stats(access: Access) -> list[dict[str, int]]:
    databases = (access.meta, access.templates, access.crops)
    return [access.txn.stat(database) for database in databases if database is not None]


def _pages_bytes(stat: dict[str, int]) -> int:
    return sum(stat[kind] for kind in ("branch_pages", "leaf_pages", "overflow_pages")) * stat["psize"]


def _require_whole(path: Path, env: Any) -> None:
    """Refuse a data file that was cut short: reading past its end would be a SIGBUS."""
    needed = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
    if (path / "data.mdb").stat().st_size < needed:
        raise StoreDamaged(f"The gallery in {path} is damaged: its data file has been cut short.")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """LMDB's errors under our names."""
    try:
        yield
    except lmdb.ReadersFullError:
        raise StoreLocked(f"The gallery in {path} is read by too many at once: wait for the others to end.") from None
    except lmdb.Error as error:
        raise StoreDamaged(f"The gallery in {path} cannot be read: {error}.") from error


class _NoRoom(OSError):
    """What is to be written cannot be."""


@contextmanager
def _writing_told(path: Path) -> Iterator[None]:
    """What LMDB says when the disk of `path` takes no more, as _NoRoom; on a full one that may be any of these."""
    try:
        yield
    except _NoRoom:
        raise
    except (lmdb.DiskError, lmdb.PanicError, OSError) as error:
        raise _NoRoom(f"{error}{_free_told(path)}") from error
    except lmdb.Error as error:
        # An errno without a class of its own: EFBIG, EDQUOT, EIO. Anything else is a mistake in here, or damage.
        if type(error) is not lmdb.Error:
            raise
        raise _NoRoom(f"{error}{_free_told(path)}") from error


def _free_told(path: Path) -> str:
    try:
        return f" ({shutil.disk_usage(path).free:,} bytes are free on the disk)"
    except OSError:  # the directory itself is gone
        return ""


def _unusable(path: Path, error: Exception) -> StoreDamaged:
    return StoreDamaged(f"The gallery in {path} cannot be opened: {error}.")
