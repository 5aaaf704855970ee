"""The truth: every enrolled template. Owns what an enrolment and a removal do, whose templates a store takes, and how
it is held; may not know LMDB (environment.py, data_file.py), what records look like (contents.py), the index, scores,
thresholds or config.ini.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Self, TypeVar

from face_server.errors import MigrationError, ModelMismatch, StoreDamaged, UnknownSubject
from face_server.gallery.directory import DirectoryLock, make_private
from face_server.gallery.results import Added, Enrolment, Removal, StoreUsage, SubjectDetail, SubjectPage
from face_server.gallery.rules import read_cursor, require_own, require_room, write_cursor
from face_server.gallery.store.contents import PLAIN_SCHEMA, SEALED_SCHEMA, Contents, Snapshot, require_key
from face_server.gallery.store.data_file import Access, Pair, as_it_is
from face_server.gallery.store.doubt import note_closed, note_open, require_sound
from face_server.gallery.store.environment import Environment
from face_server.gallery.store.record import Record
from face_server.gallery.store.sealing import Seal, StoreKey
from face_server.types import SubjectId, Template, subject_key

#: One part in this many of max_map_bytes is kept from enrolments: LMDB copies pages to delete, and a full store must
#: still be able to forget a subject.
_REMOVAL_SHARE = 16

_Result = TypeVar("_Result")


class TemplateStore:
    """The store in a directory (made 0700, files 0600), held by one process at a time. Also a context manager.

    `dimension` is D of the vectors, `max_map_bytes` the size the data file may reach. Raises StoreLocked when another
    process holds it, StoreDamaged when it cannot be read, ModelMismatch when it holds templates of another fingerprint
    or dimension. Safe to use from several threads, never after a fork (RuntimeError).

    `copy_of` is the store_id of the store that this one is made a copy of. Raises MigrationError when it holds
    templates and is no such copy, or was changed since in its own right: copying would lose who is enrolled only here.

    `key` seals it. A store in which nothing was ever sealed takes a key on while it holds no templates; else raises
    KeyMismatch for another key than it is sealed with, or for none.
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
        key: StoreKey | None = None,
    ) -> None:
        self._path, self._fingerprint, self._dimension, self._copy_of = path, fingerprint, dimension, copy_of
        self._most, self._max_map_bytes = max_templates_per_subject, max_map_bytes
        self._enrol_map_bytes = max_map_bytes - max_map_bytes // _REMOVAL_SHARE
        self._key = key
        self._seal: Seal | None = None
        self._environment: Environment | None = None
        try:
            make_private(path, "data.mdb", "process.lock")
            self._lock = DirectoryLock(path)
        except OSError as error:
            raise StoreDamaged(f"The gallery directory {path} cannot be used: {error.strerror}.") from error
        self._opened = False
        try:
            self._open()
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise StoreDamaged(f"The gallery directory {path} cannot be used: {error.strerror}.") from error
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the store back, once no change is under way; harmless when repeated."""
        if self._environment is not None and self._environment.close() and self._opened:
            note_closed(self._path)
        self._lock.close()

    @property
    def store_id(self) -> str:
        """32 hex digits drawn when the store was made."""
        return self._store_id

    def template_count(self) -> int:
        """How many templates are stored."""
        with self._read() as contents:
            return contents.template_count()

    def usage(self) -> StoreUsage:
        """How full it is. Pages that removals left free count as free: the next enrolments take them."""
        free = shutil.disk_usage(self._path).free
        return StoreUsage(self._held.used_bytes(), self._enrol_map_bytes, free)

    def compact(self) -> int:
        """Write the store afresh, without anything that was removed; by how many bytes its file has become smaller.

        Until then a removed template's bytes lie in pages that are free, or in the gaps between the records of a page.
        Changes wait for it, reads do not; a process that reads the store goes on reading its moment. It takes room for
        both files. Raises StorageFull with all as it was, StoreDamaged.
        """
        return self._held.compact(as_it_is)

    def rekey(self, key: StoreKey | None, told: Callable[[], object] = lambda: None) -> None:
        """Seal every record with another key, or with none, in a fresh file, as `compact`: all at once or not at all.

        told: called after each template. For one that nobody else uses meanwhile. Raises StorageFull, StoreDamaged.
        """
        former, seal = self._seal, self._seal_of(key)

        def rewrite(database: str, pairs: Iterable[Pair]) -> Iterator[Pair]:
            if database == "meta":
                yield from _meta_with_key(dict(pairs), key)
                return
            for name, stored in pairs:
                record = stored if former is None else former.open(database, name, stored)
                yield name, record if seal is None else seal.close(database, name, record)
                if database == "templates":
                    told()

        self._held.compact(rewrite)
        self._key, self._seal = key, seal

    def enrol(self, subject: SubjectId, templates: Sequence[Template], *, replace: bool = False) -> Enrolment:
        """Store templates of one subject in one durable transaction; with `replace` they take the place of its others.

        An image that the subject already has (by image_sha256) is a duplicate and stores nothing, but for a crop where
        there was none: keeping crops can be made good by the same photographs. Raises TooManyImages when the subject
        would have more than max_templates_per_subject, StorageFull, both with nothing written, and ValueError for no
        templates, a foreign fingerprint or dimension, or an invalid subject id.
        """
        key = subject_key(subject)
        require_own(templates, self._fingerprint, self._dimension)
        return self._change(lambda stored: self._enrol(stored, key, subject, templates, replace), self._enrol_map_bytes)

    def remove(self, subjects: Sequence[SubjectId]) -> Removal:
        """Remove all templates of these subjects in one durable transaction. Raises StorageFull, ValueError."""
        wanted: dict[bytes, SubjectId] = {}
        for subject in subjects:
            wanted.setdefault(subject_key(subject), subject)
        return self._change(lambda stored: self._remove(stored, wanted), self._max_map_bytes)

    def subjects(self, cursor: str | None, limit: int) -> SubjectPage:
        """At most `limit` (>= 1) subjects after `cursor`, in key order. Raises Malformed for another cursor."""
        after = read_cursor(cursor)
        with self._read() as contents:
            found = list(islice(contents.entries(after), limit + 1))
        page = tuple(found[:limit])
        return SubjectPage(page, write_cursor(page[-1].subject) if len(found) > limit else None)

    def subject(self, subject: SubjectId, *, crops: bool = False) -> SubjectDetail:
        """The subject in its stored type and its templates in the order of their ids, with their `crops` if asked.

        Raises UnknownSubject, StoreDamaged.
        """
        key = subject_key(subject)
        with self._read() as contents:
            records = contents.records(key)
            if not records:
                raise UnknownSubject("No subject with this id is enrolled.")
            return contents.detail(key, records, crops=crops)

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """All templates at this moment. While it is open the store takes enrolments, but its map cannot grow."""
        with self._read() as contents:
            yield Snapshot(contents)

    # Transactions

    @property
    def _held(self) -> Environment:
        if self._environment is None:
            raise RuntimeError("the store is closed")
        return self._environment

    @contextmanager
    def _read(self) -> Iterator[Contents]:
        with self._held.read() as access:
            yield self._contents(access)

    def _write(self, change: Callable[[Contents], _Result], map_limit: int) -> _Result:
        return self._held.write(lambda access: change(self._contents(access)), map_limit)

    def _change(self, change: Callable[[Contents], _Result], map_limit: int) -> _Result:
        """`_write`, after which a store that was not opened as a copy is none."""

        def in_its_own_right(contents: Contents) -> _Result:
            contents.drop_meta("copy_of")
            return change(contents)

        return self._write(in_its_own_right if self._copy_of is None else change, map_limit)

    def _contents(self, access: Access) -> Contents:
        return Contents(access, self._path, self._dimension, self._seal)

    def _seal_of(self, key: StoreKey | None) -> Seal | None:
        return None if key is None else key.seal(SEALED_SCHEMA, self._fingerprint)

    # Opening

    def _open(self) -> None:
        require_sound(self._path)
        self._environment = Environment(self._path, start_bytes=self._enrol_map_bytes, max_bytes=self._max_map_bytes)
        self._store_id, must_be_sealed = self._write(self._settle_meta, self._max_map_bytes)
        if must_be_sealed:
            self.rekey(self._key)
        self._seal = self._seal_of(self._key)
        note_open(self._path)
        self._opened = True

    def _settle_meta(self, contents: Contents) -> tuple[str, bool]:
        """Make or check what the meta database says; the store's id, and whether it is empty and to take on a key."""
        if contents.is_new():
            contents.put_meta(schema=PLAIN_SCHEMA, store_id=uuid.uuid4().hex, last_id="0")
        contents.require_schema()
        key_id, empty = contents.find_meta("key_id"), not contents.template_count()
        if empty:
            contents.put_meta(fingerprint=self._fingerprint, dimension=str(self._dimension))
        must_be_sealed = empty and key_id is None and self._key is not None
        if not must_be_sealed:
            require_key(self._path, key_id, self._key)
        self._require_own_model(contents)
        self._require_copy(contents)
        return contents.meta("store_id"), must_be_sealed

    def _require_own_model(self, contents: Contents) -> None:
        stored = contents.meta("fingerprint"), contents.meta("dimension")
        if stored != (self._fingerprint, str(self._dimension)):
            raise ModelMismatch(
                f"The gallery in {self._path} holds templates of another model or alignment, whose scores mean nothing "
                "here. Either put the former [embedding] and [alignment] settings back into config.ini, or give "
                "[gallery] path a new directory and enrol everyone again.",
                stored_fingerprint=stored[0],
                running_fingerprint=self._fingerprint,
            )

    def _require_copy(self, contents: Contents) -> None:
        if self._copy_of is None:
            return
        if not contents.template_count():
            contents.put_meta(copy_of=self._copy_of)
        if contents.find_meta("copy_of") != self._copy_of:
            raise MigrationError(
                f"The gallery in {self._path} is no copy of this one, or somebody was enrolled or removed there since. "
                "Copying would undo that: name another directory, or delete that one first."
            )

    # Changes, inside a write transaction

    def _enrol(
        self, contents: Contents, key: bytes, subject: SubjectId, templates: Sequence[Template], replace: bool
    ) -> Enrolment:
        stored = contents.records(key)
        kept = [] if replace else stored
        known = {record.image_sha256: record.template_id for record in kept}
        require_room(len(kept), len({template.image_sha256 for template in templates} - known.keys()), self._most)
        removed = self._delete(contents, key, stored) if replace else ()
        subject = stored[0].subject if stored else subject
        added = tuple(self._add(contents, key, subject, template, known) for template in templates)
        return Enrolment(subject, added, removed, len(kept) + sum(not one.duplicate for one in added))

    def _add(
        self, contents: Contents, key: bytes, subject: SubjectId, template: Template, known: dict[str, int]
    ) -> Added:
        """Store one template unless its image is `known` (image_sha256 -> template id); it is afterwards."""
        duplicate = template.image_sha256 in known
        if not duplicate:
            known[template.image_sha256] = int(contents.meta("last_id")) + 1
            contents.put_meta(last_id=str(known[template.image_sha256]))
        template_id = known[template.image_sha256]
        if not duplicate:
            contents.put(key, template_id, subject, template)
        if template.crop is not None:
            contents.put_crop(key, template_id, template.crop)
        return Added(template_id, duplicate)

    def _remove(self, contents: Contents, wanted: dict[bytes, SubjectId]) -> Removal:
        removed: list[SubjectId] = []
        unknown: list[SubjectId] = []
        template_ids: list[int] = []
        crops = 0
        for key, asked in wanted.items():
            records = contents.records(key)
            if records:
                removed.append(records[0].subject)
                template_ids += [record.template_id for record in records]
                crops += sum(contents.delete(key, record.template_id) for record in records)
            else:
                unknown.append(asked)
        return Removal(tuple(removed), tuple(unknown), tuple(template_ids), crops)

    def _delete(self, contents: Contents, key: bytes, records: Sequence[Record]) -> tuple[int, ...]:
        for record in records:
            contents.delete(key, record.template_id)
        return tuple(record.template_id for record in records)


def _meta_with_key(meta: dict[bytes, bytes], key: StoreKey | None) -> list[Pair]:
    meta.pop(b"key_id", None)
    meta[b"schema"] = (PLAIN_SCHEMA if key is None else SEALED_SCHEMA).encode("ascii")
    if key is not None:
        meta[b"key_id"] = key.key_id.encode("ascii")
    return sorted(meta.items())
