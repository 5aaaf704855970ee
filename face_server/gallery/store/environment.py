"""LMDB's environment of whoever holds a store: its map, its transactions, and how a compacted copy takes the data
file's place. May not know what the records mean, nor scores or config.ini.

Other processes may read beside the holder. A compaction drops the table of readers, lock.mdb, and puts the new data
file in the old one's place, with the lock of opening.py: a reader of before goes on with both old files, which have no
names any more.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import lmdb

from face_server.errors import StorageFull, StoreDamaged
from face_server.gallery.directory import sync
from face_server.gallery.store.data_file import (
    Access,
    NoRoom,
    Rewrite,
    reading,
    require_whole,
    unusable,
    used_pages_bytes,
    write_copy,
    writing,
)
from face_server.gallery.store.opening import make_open_lock, opening

#: The map starts here and doubles; a new gallery is small and an unused map costs only address space.
_START_MAP_BYTES = 8 * 2**20
#: The map cannot grow under a reader. Reads take milliseconds: one this long is stuck, or in the writer's own thread.
_GROWTH_WAIT_S = 10.0
#: A change takes milliseconds. One that takes longer is stuck, and goes down with the process, whole or not at all.
_CLOSE_S = 5.0
#: Where a compacted copy is written; one that a killed process left is deleted when the store is opened.
_DRAFT = "draft.mdb"

_Result = TypeVar("_Result")


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
            raise unusable(path, error) from error

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
            return used_pages_bytes(self._env, access)

    @contextmanager
    def read(self) -> Iterator[Access]:
        """A moment of it; while it is open the map cannot grow. Raises StoreDamaged."""
        self._require_open()
        with self._reads:
            self._readers += 1
        try:
            with reading(self._path), self._env.begin() as txn:
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
            require_whole(self._path, self._env)
            self._lengthen(self.map_bytes())
            self._databases = [self._env.open_db(name) for name in (b"meta", b"templates", b"crops")]
            sync(self._path)
        except (lmdb.Error, OSError) as error:
            raise unusable(self._path, error) from error

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
            raise NoRoom(f"it may hold {self._max_bytes} bytes ([gallery] max_map_bytes)")
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
                raise NoRoom(f"a read kept it waiting for {_GROWTH_WAIT_S:g} s")
            yield

    @contextmanager
    def _changing(self, what: str = "take this in") -> Iterator[None]:
        """Alone in changing it, with errors under our names."""
        try:
            with self._writing, writing(self._path):
                yield
        except NoRoom as error:
            raise StorageFull(f"The gallery could not {what}: {error}. It is as it was; searching goes on.") from error
        except lmdb.CorruptedError as error:
            raise StoreDamaged(f"The gallery in {self._path} cannot be read: {error}.") from error
