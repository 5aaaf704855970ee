"""A store read beside whoever holds it: by the index's builder, a backup, an export, `doctor`. Changes nothing, never
takes the daemon's lock, and sees one moment however long it looks. May not know scores, the index or config.ini.

A damaged file may end the process that reads it by a signal: who looks at a doubtful one does so in a child.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from face_server.gallery.store.contents import Contents, Snapshot, require_key
from face_server.gallery.store.data_file import SharedEnvironment, write_copy
from face_server.gallery.store.sealing import StoreKey


class StoreReader:
    """The store in a directory, only read. A context manager; one snapshot or copy at a time.

    key_id: of the key that it is sealed with, None where it is not. A copy of a sealed store needs no `key` and is as
    sealed; a snapshot does (KeyMismatch).

    Raises StoreDamaged for what is no store, or one of another schema; StoreLocked where a holder came in between. Not
    for the process that holds the store (StoreDamaged): that one has TemplateStore.
    """

    def __init__(self, path: Path, key: StoreKey | None = None) -> None:
        self._path, self._key = path, key
        self._environment = SharedEnvironment(path)
        try:
            with self._environment.read() as access:
                contents = Contents(access, path)
                contents.require_schema()
                self.schema, self.store_id = contents.meta("schema"), contents.meta("store_id")
                self.fingerprint, self.dimension = contents.meta("fingerprint"), contents.dimension
                self.key_id = contents.find_meta("key_id")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give it back; harmless when repeated."""
        self._environment.close()

    def used_bytes(self) -> int:
        """Bytes of the pages that records lie in."""
        with self._environment.read() as access:
            return self._environment.used_bytes(access)

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """All templates and crops at this moment; pages that were freed since stay taken while it is open.

        Raises KeyMismatch, and StoreLocked at its end where what was read may be no one moment.
        """
        require_key(self._path, self.key_id, self._key)
        seal = None if self._key is None else self._key.seal(self.schema, self.fingerprint)
        with self._environment.read() as access:
            yield Snapshot(Contents(access, self._path, self.dimension, seal))

    def copy_to(self, fd: int) -> None:
        """Write the store of this moment as a data file of its own, with nothing of what was removed, and durably.

        fd: of an empty regular file, open for reading and writing. Raises ValueError for another, OSError.
        """
        if os.fstat(fd).st_size:
            raise ValueError("the store is copied to an empty file")
        with self._environment.read() as access:
            write_copy(Path(f"/proc/self/fd/{fd}"), access)
