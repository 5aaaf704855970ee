"""What a store's databases mean, seen inside one transaction: meta, templates and crops. Owns the schema and the walks;
may not know files, locks, maps, or who may change what. Three databases:

    meta       "schema", "store_id", "fingerprint", "dimension", "last_id", perhaps "copy_of", "key_id" -> ASCII text
    templates  keys and records of record.py
    crops      the same keys, records of crop_record.py: of some templates, the crop; read only when asked for

Schema 1 is as it says. In schema 2 every record, not its key, is sealed (sealing.py) with the key of "key_id".

There is no table of subjects: they are read off the keys, so nothing can contradict the records. A crop comes and goes
in the transaction of its template.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import groupby, takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from face_server.errors import KeyMismatch, StoreDamaged
from face_server.gallery.results import StoredTemplate, SubjectDetail, SubjectEntry
from face_server.gallery.store.crop_record import make_crop_record, open_crop_record
from face_server.gallery.store.record import Record, make_record, open_record, record_key, split_key, subject_prefix
from face_server.types import FaceCrop, FloatArray, SubjectId, Template, subject_key

if TYPE_CHECKING:
    from face_server.gallery.store.data_file import Access
    from face_server.gallery.store.sealing import Seal, StoreKey

#: Of a store that is not sealed, and of one that is.
PLAIN_SCHEMA, SEALED_SCHEMA = "1", "2"


class Contents:
    """The records of one transaction, of vectors (D,); `dimension` is D, by default what meta says.

    Whatever reads a record or meta raises StoreDamaged; of a sealed store, records are read with its `seal`. path:
    where the store lies, for its messages.
    """

    def __init__(self, access: Access, path: Path, dimension: int | None = None, seal: Seal | None = None) -> None:
        self._access, self._path, self._seal = access, path, seal
        self.dimension = int(self.meta("dimension")) if dimension is None else dimension

    # Meta

    def meta(self, name: str) -> str:
        """A text of the meta database."""
        value = self.find_meta(name)
        if value is None:
            raise StoreDamaged(f"The gallery in {self._path} has no {name} in its meta database.")
        return value

    def find_meta(self, name: str) -> str | None:
        """The same, None where there is none."""
        value = self._access.txn.get(name.encode("ascii"), db=self._access.meta)
        return None if value is None else str(value, "ascii", "replace")

    def put_meta(self, **values: str) -> None:
        """Set texts of the meta database."""
        for name, value in values.items():
            self._access.txn.put(name.encode("ascii"), value.encode("ascii"), db=self._access.meta)

    def drop_meta(self, name: str) -> None:
        """Delete a text of the meta database, if it is there."""
        self._access.txn.delete(name.encode("ascii"), db=self._access.meta)

    def require_schema(self) -> None:
        """Raises StoreDamaged for a schema that this program does not know."""
        schema, sealed = self.meta("schema"), self.find_meta("key_id") is not None
        if schema != (SEALED_SCHEMA if sealed else PLAIN_SCHEMA):
            raise StoreDamaged(
                f"The gallery in {self._path} has schema {schema}{' and a key' * sealed}; this program reads schema "
                f"{PLAIN_SCHEMA}, and {SEALED_SCHEMA} with a key."
            )

    def is_new(self) -> bool:
        """Whether there is nothing at all yet."""
        txn, access = self._access.txn, self._access
        return not any(txn.stat(database)["entries"] for database in (access.meta, access.templates))

    # Reading

    def template_count(self) -> int:
        """How many templates are stored."""
        return int(self._access.txn.stat(self._access.templates)["entries"])

    def keys(self) -> Iterator[bytes]:
        """Every template's key, in order."""
        keys: Iterator[bytes] = self._access.txn.cursor(self._access.templates).iternext(values=False)
        return keys

    def newest_ids(self) -> NDArray[np.int64]:
        """The highest template id of each subject, (S,) int64, in the order of subject keys."""
        newest = dict(map(split_key, self.keys()))  # of a subject's ids, which ascend, the last one stays
        return np.fromiter(newest.values(), np.int64, len(newest))

    def walk(self) -> Iterator[tuple[bytes, Record]]:
        """Every template's key and record, in the order of subject keys, then of ids."""
        for key, stored in self._access.txn.cursor(self._access.templates):
            yield key, self._open(key, stored)

    def records(self, subject: bytes) -> list[Record]:
        """All records of the subject of this key, none when it is unknown."""
        walk, prefix = self._access.txn.cursor(self._access.templates), subject_prefix(subject)
        pairs = iter(walk) if walk.set_range(prefix) else iter(())
        of_subject = takewhile(lambda pair: pair[0].startswith(prefix), pairs)
        return [self._open(key, stored) for key, stored in of_subject]

    def record(self, key: bytes) -> Record:
        """The record of this key, which is there."""
        return self._open(key, self._access.txn.get(key, db=self._access.templates))

    def crop(self, key: bytes) -> FaceCrop | None:
        """The crop of the template of this key, if one was kept."""
        if self._access.crops is None:
            return None
        stored = self._access.txn.get(key, db=self._access.crops)
        return None if stored is None else open_crop_record(key, self._unsealed("crops", key, stored))

    def detail(self, subject: bytes, records: Sequence[Record], *, crops: bool) -> SubjectDetail:
        """A subject of one record or more, with its crops if asked."""
        stored = []
        for record in records:
            crop = self.crop(record_key(subject, record.template_id)) if crops else None
            stored.append(StoredTemplate(record.template_id, dataclasses.replace(record.template, crop=crop)))
        return SubjectDetail(records[0].subject, tuple(stored))

    def entries(self, after: bytes | None) -> Iterator[SubjectEntry]:
        """Every subject whose key is after this one, in key order."""
        walk = self._access.txn.cursor(self._access.templates)
        # No subject key holds a byte 1: key + 1 lies after all records of the key and before the next subject.
        more = walk.first() if after is None else walk.set_range(after + b"\1")
        while more:
            first = self._open(walk.key(), walk.value())
            prefix, templates = subject_prefix(subject_key(first.subject)), 1
            while (more := walk.next()) and walk.key().startswith(prefix):
                templates += 1
            yield SubjectEntry(first.subject, templates)

    def _open(self, key: bytes, stored: bytes) -> Record:
        return open_record(key, self._unsealed("templates", key, stored), self.dimension)

    def _unsealed(self, database: str, key: bytes, stored: bytes) -> bytes:
        return stored if self._seal is None else self._seal.open(database, key, stored)

    def _sealed(self, database: str, key: bytes, record: bytes) -> bytes:
        return record if self._seal is None else self._seal.close(database, key, record)

    # Changing, in a write transaction

    def put(self, subject: bytes, template_id: int, stored_as: SubjectId, template: Template) -> None:
        """Store a template's record under this id, in place of a former one."""
        key = record_key(subject, template_id)
        record = self._sealed("templates", key, make_record(key, stored_as, template))
        self._access.txn.put(key, record, db=self._access.templates)

    def put_crop(self, subject: bytes, template_id: int, crop: FaceCrop) -> None:
        """Store the crop of the template of this id, if it has none."""
        key = record_key(subject, template_id)
        record = self._sealed("crops", key, make_crop_record(key, crop))
        self._access.txn.put(key, record, overwrite=False, db=self._access.crops)

    def delete(self, subject: bytes, template_id: int) -> bool:
        """Delete a template and its crop; whether there was a crop."""
        key = record_key(subject, template_id)
        self._access.txn.delete(key, db=self._access.templates)
        return bool(self._access.txn.delete(key, db=self._access.crops))


def require_key(path: Path, stored: str | None, key: StoreKey | None) -> None:
    """Raises KeyMismatch unless the store in `path`, sealed with the key of id `stored`, is read with that very key."""
    if stored == (None if key is None else key.key_id):
        return
    if key is None:
        raise KeyMismatch(
            f"The gallery in {path} is sealed with the key of id {stored}: set [gallery] encryption_key_file to the "
            "file that holds it. Without that key nobody can read it."
        )
    if stored is None:
        raise KeyMismatch(
            f"The gallery in {path} is not sealed, and [gallery] encryption_key_file is set: seal it first "
            f"(face-server rekey --to {key.path}), or unset the option."
        )
    raise KeyMismatch(
        f"The gallery in {path} is sealed with the key of id {stored}, and {key.path} holds the key of id "
        f"{key.key_id}: set [gallery] encryption_key_file to the file that holds the former."
    )


class Snapshot:
    """Every template as it was at one moment, whatever is enrolled or removed while it is read.

    sequence: the highest template id given out by then. Iterating yields (template id, subject, unit vector (D,)
    float32) in the order of subject keys, then of ids; `newest_ids()` gives the highest id of each subject (S,) int64
    in that order. Everything raises StoreDamaged.
    """

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self.sequence = int(contents.meta("last_id"))

    def newest_ids(self) -> NDArray[np.int64]:
        return self._contents.newest_ids()

    def template_count(self) -> int:
        """How many templates there are."""
        return self._contents.template_count()

    def newest(self) -> Template | None:
        """The template of the highest id, without its crop; None where there is none."""
        newest = max(self._contents.keys(), key=lambda key: split_key(key)[1], default=None)
        return None if newest is None else self._contents.record(newest).template

    def details(self) -> Iterator[SubjectDetail]:
        """Subject by subject in key order, with all templates and crops."""
        for subject, pairs in groupby(self._contents.walk(), key=lambda pair: split_key(pair[0])[0]):
            yield self._contents.detail(subject, [record for _, record in pairs], crops=True)

    def __iter__(self) -> Iterator[tuple[int, SubjectId, FloatArray]]:
        for _, record in self._contents.walk():
            yield record.template_id, record.subject, record.vector
