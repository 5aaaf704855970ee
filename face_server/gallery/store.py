"""The truth: every enrolled template, in LMDB. Owns the store's directory, lock, transactions and size limit. May not
know the index, scores, thresholds or config.ini; the only module that imports lmdb.

Three databases in one environment:

    meta       "schema", "store_id", "fingerprint", "dimension", "last_id", perhaps "copy_of" -> ASCII text
    templates  keys and records of record.py
    crops      the same keys, records of crop_record.py: of some templates, the crop; read only when asked for

There is no table of subjects: they are read off the keys, so nothing can contradict the records. A crop comes and goes
in the transaction of its template.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, Self, TypeVar

import lmdb
import numpy as np
from numpy.typing import NDArray

from face_server.errors import (
    Malformed,
    MigrationError,
    ModelMismatch,
    StorageFull,
    StoreDamaged,
    TooManyImages,
    UnknownSubject,
)
from face_server.gallery.crop_record import make_crop_record, open_crop_record
from face_server.gallery.directory import DirectoryLock, make_private, sync
from face_server.gallery.record import Record, make_record, open_record, record_key, split_key, subject_prefix
from face_server.gallery.results import (
    Added,
    Enrolment,
    Removal,
    StoredTemplate,
    StoreUsage,
    SubjectDetail,
    SubjectEntry,
    SubjectPage,
)
from face_server.types import FaceCrop, FloatArray, SubjectId, Template, subject_key

SCHEMA = "1"
#: The map starts here and doubles; a new gallery is small and an unused map costs only address space.
_START_MAP_BYTES = 8 * 2**20
#: One part in this many of max_map_bytes is kept from enrolments: LMDB copies pages to delete, and a full store must
#: still be able to forget a subject.
_REMOVAL_SHARE = 16
#: The map cannot grow under a reader. Reads take milliseconds: one this long is stuck, or in the writer's own thread.
_GROWTH_WAIT_S = 10.0

#: A change takes milliseconds. One that takes longer is stuck, and goes down with the process, whole or not at all.
_CLOSE_S = 5.0

_Result = TypeVar("_Result")


class Snapshot:
    """Every template as it was at one moment, whatever is enrolled or removed while it is read.

    sequence: the highest template id given out by then. Iterating yields (template id, subject, unit vector (D,)
    float32) in the order of subject keys, then of ids; `newest_ids()` gives the highest id of each subject (S,) int64
    in that order. Both raise StoreDamaged.
    """

    def __init__(self, txn: Any, templates: Any, sequence: int, dimension: int) -> None:
        self._txn, self._templates, self._dimension = txn, templates, dimension
        self.sequence = sequence

    def newest_ids(self) -> NDArray[np.int64]:
        keys = self._txn.cursor(self._templates).iternext(values=False)
        newest = dict(map(split_key, keys))  # of a subject's ids, which ascend, the last one stays
        return np.fromiter(newest.values(), np.int64, len(newest))

    def __iter__(self) -> Iterator[tuple[int, SubjectId, FloatArray]]:
        for key, record in self._txn.cursor(self._templates):
            opened = open_record(key, record, self._dimension)
            yield opened.template_id, opened.subject, opened.vector


class TemplateStore:
    """The store in a directory (made 0700, files 0600), held by one process at a time. Also a context manager.

    `dimension` is D of the vectors, `max_map_bytes` the size the data file may reach. Raises StoreLocked when another
    process holds it, StoreDamaged when it cannot be read, ModelMismatch when it holds templates of another fingerprint
    or dimension. Safe to use from several threads, never after a fork (RuntimeError).

    `copy_of` is the store_id of the store that this one is made a copy of. Raises MigrationError when it holds
    templates and is no such copy, or was changed since in its own right: copying would lose who is enrolled only here.
    """

    def __init__(
        self,
        path: Path,
        *,
        fingerprint: str,
        dimension: int,
        max_templates_per_subject: int,
        max_map_bytes: int,
        copy_of: str | None = None,
    ) -> None:
        self._path, self._fingerprint, self._dimension, self._copy_of = path, fingerprint, dimension, copy_of
        self._most, self._max_map_bytes = max_templates_per_subject, max_map_bytes
        self._enrol_map_bytes = max_map_bytes - max_map_bytes // _REMOVAL_SHARE
        self._writing = threading.Lock()
        self._reads = threading.Condition()
        self._readers = 0
        self._pid = os.getpid()
        self._env: Any = None
        try:
            make_private(path, "data.mdb", "process.lock")
            self._lock = DirectoryLock(path)
        except OSError as error:
            raise StoreDamaged(f"The gallery directory {path} cannot be used: {error.strerror}.") from error
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the store back, once no change is under way; harmless when repeated."""
        if self._env is not None and os.getpid() == self._pid and self._writing.acquire(timeout=_CLOSE_S):
            self._env.close()
            self._writing.release()
        self._env = None
        self._lock.close()

    @property
    def store_id(self) -> str:
        """32 hex digits drawn when the store was made."""
        return self._store_id

    def template_count(self) -> int:
        """How many templates are stored."""
        with self._read() as txn:
            return int(txn.stat(self._templates)["entries"])

    def usage(self) -> StoreUsage:
        """How full it is. Pages that removals left free count as free: the next enrolments take them."""
        with self._read() as txn:
            stats = [self._env.stat(), *map(txn.stat, (self._meta, self._templates, self._crops))]
        return StoreUsage(used_bytes(stats), self._enrol_map_bytes, shutil.disk_usage(self._path).free)

    def enrol(self, subject: SubjectId, templates: Sequence[Template], *, replace: bool = False) -> Enrolment:
        """Store templates of one subject in one durable transaction; with `replace` they take the place of its others.

        An image that the subject already has (by image_sha256) is a duplicate and stores nothing, but for a crop where
        there was none: keeping crops can be made good by the same photographs. Raises TooManyImages when the subject
        would have more than max_templates_per_subject, StorageFull, both with nothing written, and ValueError for no
        templates, a foreign fingerprint or dimension, or an invalid subject id.
        """
        key = subject_key(subject)
        self._require_own(templates)
        return self._change(lambda txn: self._enrol(txn, key, subject, templates, replace), self._enrol_map_bytes)

    def remove(self, subjects: Sequence[SubjectId]) -> Removal:
        """Remove all templates of these subjects in one durable transaction. Raises StorageFull, ValueError."""
        wanted: dict[bytes, SubjectId] = {}
        for subject in subjects:
            wanted.setdefault(subject_key(subject), subject)
        return self._change(lambda txn: self._remove(txn, wanted), self._max_map_bytes)

    def subjects(self, cursor: str | None, limit: int) -> SubjectPage:
        """At most `limit` (>= 1) subjects after `cursor`, in key order. Raises Malformed for another cursor."""
        with self._read() as txn:
            found = list(islice(self._walk_subjects(txn, _read_cursor(cursor)), limit + 1))
        page = tuple(found[:limit])
        return SubjectPage(page, _write_cursor(page[-1].subject) if len(found) > limit else None)

    def subject(self, subject: SubjectId, *, crops: bool = False) -> SubjectDetail:
        """The subject in its stored type and its templates in the order of their ids, with their `crops` if asked.

        Raises UnknownSubject, StoreDamaged.
        """
        key = subject_key(subject)
        with self._read() as txn:
            records = self._records(txn, key)
            kept = [self._crop(txn, record_key(key, record.template_id)) if crops else None for record in records]
        if not records:
            raise UnknownSubject("No subject with this id is enrolled.")
        stored = (
            StoredTemplate(record.template_id, dataclasses.replace(record.template, crop=crop))
            for record, crop in zip(records, kept, strict=True)
        )
        return SubjectDetail(records[0].subject, tuple(stored))

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """All templates at this moment. While it is open the store takes enrolments, but its map cannot grow."""
        with self._read() as txn:
            yield Snapshot(txn, self._templates, int(self._meta_text(txn, b"last_id")), self._dimension)

    # Opening

    def _open(self) -> None:
        start = min(_START_MAP_BYTES, self._enrol_map_bytes)
        try:
            # LMDB itself raises a start below the size of the data that is there.
            self._env = lmdb.open(str(self._path), map_size=start, max_dbs=3, mode=0o600)
            self._require_whole()
            self._lengthen(self._map_bytes())
            self._meta = self._env.open_db(b"meta")
            self._templates = self._env.open_db(b"templates")
            self._crops = self._env.open_db(b"crops")
        except (lmdb.Error, OSError) as error:
            raise StoreDamaged(f"The gallery in {self._path} cannot be opened: {error}.") from error
        sync(self._path)
        self._store_id = self._write(self._settle_meta, self._max_map_bytes)

    def _require_whole(self) -> None:
        """Refuse a data file that was cut short: reading past its end would be a SIGBUS.

        LMDB leaves the file shorter than that on its own when last pages are taken and freed in one transaction, hence
        `_lengthen`: here it is always as long as its map, by a hole that takes no room on the disk.
        """
        needed = (self._env.info()["last_pgno"] + 1) * self._env.stat()["psize"]
        if (self._path / "data.mdb").stat().st_size < needed:
            raise StoreDamaged(f"The gallery in {self._path} is damaged: its data file has been cut short.")

    def _lengthen(self, size: int) -> None:
        data = self._path / "data.mdb"
        if data.stat().st_size < size:
            os.truncate(data, size)

    def _settle_meta(self, txn: Any) -> str:
        """Make or check what the meta database says; the store's id."""
        if txn.stat(self._meta)["entries"] == 0 and txn.stat(self._templates)["entries"] == 0:
            self._put_meta(txn, schema=SCHEMA, store_id=uuid.uuid4().hex, last_id="0")
        schema = self._meta_text(txn, b"schema")
        if schema != SCHEMA:
            raise StoreDamaged(f"The gallery in {self._path} has schema {schema}; this program reads schema {SCHEMA}.")
        if txn.stat(self._templates)["entries"] == 0:
            self._put_meta(txn, fingerprint=self._fingerprint, dimension=str(self._dimension))
        self._require_own_model(txn)
        self._require_copy(txn)
        return self._meta_text(txn, b"store_id")

    def _require_own_model(self, txn: Any) -> None:
        stored = self._meta_text(txn, b"fingerprint"), self._meta_text(txn, b"dimension")
        if stored != (self._fingerprint, str(self._dimension)):
            raise ModelMismatch(
                f"The gallery in {self._path} holds templates of another model or alignment, whose scores mean nothing "
                "here. Either put the former [embedding] and [alignment] settings back into config.ini, or give "
                "[gallery] path a new directory and enrol everyone again.",
                stored_fingerprint=stored[0],
                running_fingerprint=self._fingerprint,
            )

    def _require_copy(self, txn: Any) -> None:
        if self._copy_of is None:
            return
        if txn.stat(self._templates)["entries"] == 0:
            self._put_meta(txn, copy_of=self._copy_of)
        if txn.get(b"copy_of", db=self._meta) != self._copy_of.encode("ascii"):
            raise MigrationError(
                f"The gallery in {self._path} is no copy of this one, or somebody was enrolled or removed there since. "
                "Copying would undo that: name another directory, or delete that one first."
            )

    def _meta_text(self, txn: Any, name: bytes) -> str:
        value = txn.get(name, db=self._meta)
        if value is None:
            raise StoreDamaged(f"The gallery in {self._path} has no {name.decode()} in its meta database.")
        return str(value, "ascii", "replace")

    def _put_meta(self, txn: Any, **values: str) -> None:
        for name, value in values.items():
            txn.put(name.encode("ascii"), value.encode("ascii"), db=self._meta)

    # Transactions

    def _require_open(self) -> None:
        if os.getpid() != self._pid:
            raise RuntimeError("a store is never used after a fork")
        if self._env is None:
            raise RuntimeError("the store is closed")

    @contextmanager
    def _read(self) -> Iterator[Any]:
        self._require_open()
        with self._reads:
            self._readers += 1
        try:
            with self._env.begin() as txn:
                yield txn
        except lmdb.Error as error:
            raise StoreDamaged(f"The gallery in {self._path} cannot be read: {error}.") from error
        finally:
            with self._reads:
                self._readers -= 1
                self._reads.notify_all()

    def _change(self, change: Callable[[Any], _Result], map_limit: int) -> _Result:
        """`_write`, after which a store that was not opened as a copy is none."""

        def in_its_own_right(txn: Any) -> _Result:
            txn.delete(b"copy_of", db=self._meta)
            return change(txn)

        return self._write(in_its_own_right if self._copy_of is None else change, map_limit)

    def _write(self, change: Callable[[Any], _Result], map_limit: int) -> _Result:
        """Run `change` in one transaction, again in a larger map where it did not fit; all of it is durable or none."""
        self._require_open()
        try:
            with self._writing:
                if self._map_bytes() > map_limit:  # a removal has used what is kept for removals
                    self._resize(map_limit)
                return self._commit(change, map_limit)
        except lmdb.CorruptedError as error:
            raise StoreDamaged(f"The gallery in {self._path} cannot be read: {error}.") from error
        except (lmdb.DiskError, lmdb.PanicError, OSError) as error:
            raise self._full(str(error)) from error
        except lmdb.Error as error:
            # An errno without a class of its own: EFBIG, EDQUOT, EIO. Anything else is a mistake in here.
            if type(error) is not lmdb.Error:
                raise
            raise self._full(str(error)) from error

    def _commit(self, change: Callable[[Any], _Result], map_limit: int) -> _Result:
        while True:
            try:
                with self._env.begin(write=True) as txn:
                    return change(txn)
            except lmdb.MapFullError:
                self._grow(map_limit)

    def _map_bytes(self) -> int:
        return int(self._env.info()["map_size"])

    def _grow(self, limit: int) -> None:
        size = self._map_bytes()
        if size >= limit:
            raise self._full(f"it may hold {self._max_map_bytes} bytes ([gallery] max_map_bytes)")
        self._resize(min(2 * size, limit))

    def _resize(self, size: int) -> None:
        """Remap the file. The caller holds the writer's lock; new readers wait, and running ones are waited for."""
        with self._reads:
            if not self._reads.wait_for(lambda: self._readers == 0, _GROWTH_WAIT_S):
                raise self._full(f"a read kept it from growing for {_GROWTH_WAIT_S:g} s")
            self._lengthen(size)
            self._env.set_mapsize(size)

    def _full(self, reason: str) -> StorageFull:
        return StorageFull(f"The gallery could not store this: {reason}. Nothing of it was stored; searching goes on.")

    # Changes, inside a write transaction

    def _require_own(self, templates: Sequence[Template]) -> None:
        if not templates:
            raise ValueError("an enrolment has at least one template")
        for template in templates:
            if template.fingerprint != self._fingerprint:
                raise ValueError("a template has another fingerprint than the gallery")
            if template.vector.shape != (self._dimension,):
                raise ValueError(f"a template has shape {template.vector.shape}, the gallery ({self._dimension},)")

    def _enrol(
        self, txn: Any, key: bytes, subject: SubjectId, templates: Sequence[Template], replace: bool
    ) -> Enrolment:
        stored = self._records(txn, key)
        kept = [] if replace else stored
        known = {record.image_sha256: record.template_id for record in kept}
        self._require_room(len(kept), len({template.image_sha256 for template in templates} - known.keys()))
        removed = self._delete(txn, key, stored) if replace else ()
        subject = stored[0].subject if stored else subject
        added = tuple(self._add(txn, key, subject, template, known) for template in templates)
        return Enrolment(subject, added, removed, len(kept) + sum(not one.duplicate for one in added))

    def _add(self, txn: Any, key: bytes, subject: SubjectId, template: Template, known: dict[str, int]) -> Added:
        """Store one template unless its image is `known` (image_sha256 -> template id); it is afterwards."""
        duplicate = template.image_sha256 in known
        if not duplicate:
            known[template.image_sha256] = int(self._meta_text(txn, b"last_id")) + 1
            self._put_meta(txn, last_id=str(known[template.image_sha256]))
        template_id = known[template.image_sha256]
        name = record_key(key, template_id)
        if not duplicate:
            txn.put(name, make_record(name, subject, template), db=self._templates)
        if template.crop is not None:
            txn.put(name, make_crop_record(name, template.crop), overwrite=False, db=self._crops)
        return Added(template_id, duplicate)

    def _require_room(self, stored: int, fresh: int) -> None:
        if fresh and stored + fresh > self._most:
            raise TooManyImages(
                f"The subject has {stored} templates and may have {self._most}: {fresh} more do not fit. "
                "Enrol with replace to swap them all, or remove the subject first.",
                templates=stored,
                offered=fresh,
                max_templates_per_subject=self._most,
            )

    def _remove(self, txn: Any, wanted: dict[bytes, SubjectId]) -> Removal:
        removed: list[SubjectId] = []
        unknown: list[SubjectId] = []
        template_ids: list[int] = []
        for key, asked in wanted.items():
            records = self._records(txn, key)
            if records:
                removed.append(records[0].subject)
                template_ids += self._delete(txn, key, records)
            else:
                unknown.append(asked)
        return Removal(tuple(removed), tuple(unknown), tuple(template_ids))

    def _delete(self, txn: Any, key: bytes, records: Sequence[Record]) -> tuple[int, ...]:
        for record in records:
            for database in (self._templates, self._crops):
                txn.delete(record_key(key, record.template_id), db=database)
        return tuple(record.template_id for record in records)

    # Walks

    def _records(self, txn: Any, key: bytes) -> list[Record]:
        """All records of one subject, none when it is unknown."""
        walk, prefix = txn.cursor(self._templates), subject_prefix(key)
        pairs = iter(walk) if walk.set_range(prefix) else iter(())
        of_subject = takewhile(lambda pair: pair[0].startswith(prefix), pairs)
        return [open_record(name, record, self._dimension) for name, record in of_subject]

    def _crop(self, txn: Any, name: bytes) -> FaceCrop | None:
        record = txn.get(name, db=self._crops)
        return None if record is None else open_crop_record(name, record)

    def _walk_subjects(self, txn: Any, after: bytes | None) -> Iterator[SubjectEntry]:
        walk = txn.cursor(self._templates)
        # No subject key holds a byte 1: key + 1 lies after all records of the key and before the next subject.
        more = walk.first() if after is None else walk.set_range(after + b"\1")
        while more:
            first = open_record(walk.key(), walk.value(), self._dimension)
            prefix, templates = subject_prefix(subject_key(first.subject)), 1
            while (more := walk.next()) and walk.key().startswith(prefix):
                templates += 1
            yield SubjectEntry(first.subject, templates)


def used_bytes(stats: Iterable[dict[str, int]]) -> int:
    """Of the databases that these statistics of LMDB are of."""
    kinds = ("branch_pages", "leaf_pages", "overflow_pages")
    return sum(stat[kind] * stat["psize"] for stat in stats for kind in kinds)


def _write_cursor(last: SubjectId) -> str:
    return base64.urlsafe_b64encode(subject_key(last)).decode("ascii")


def _read_cursor(cursor: str | None) -> bytes | None:
    """The subject key after which a page starts. Any subject key is a place to start, also of one removed since."""
    if cursor is None:
        return None
    try:
        return subject_key(base64.b64decode(cursor, altchars=b"-_", validate=True).decode("utf-8"))
    except (ValueError, binascii.Error):
        raise Malformed("`cursor` is not one that an earlier page gave.") from None
