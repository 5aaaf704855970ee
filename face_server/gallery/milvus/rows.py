"""How a gallery lies in Milvus: the rows of its collection of templates, and which of them count. Owns keys, kinds of
rows and that rule; may not know pymilvus, connections or threads.

A subject is named by its key in hexadecimal digits: they sort as the keys do, have a known length, and hold nothing
that an expression of Milvus could take for a part of itself. A row's number is given out once in the gallery's life and
is its key too. A template's row holds the record of record.py, whose checksum binds it to its subject and number.

Milvus has no transactions, but one message of rows is stored whole or not at all. So a change of a subject is one
message: a row that marks the change, and the new templates, if any, with the number of that mark. They count from then
on. A mark of kind `replace` also voids every template of an older change, so a removal is such a mark alone. What is
void is then deleted, and the mark at last: one that is still there tells who comes next that a change was not finished.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from face_server.errors import StoreDamaged
from face_server.gallery.store.crop_record import make_crop_record, open_crop_record
from face_server.gallery.store.record import Record, make_record, open_record, record_key
from face_server.types import FaceCrop, FloatArray, SubjectId, Template, subject_key

#: Every row but its crop, which is large.
FIELDS = ("pk", "subject", "kind", "number", "change", "record")
#: What is needed to know which templates count.
LIGHT_FIELDS = ("pk", "subject", "kind", "number", "change")

#: Bytes of a crop's record in one text: in base64 fewer than a text of Milvus may have.
_PART_BYTES = 48_000

Kind = Literal["template", "add", "replace", "meta", "block"]
Row = dict[str, Any]


def subject_name(key: bytes) -> str:
    """A subject key as Milvus has it."""
    return key.hex()


def of_subjects(keys: Iterable[bytes]) -> str:
    """The expression for all rows of these subjects."""
    return f"subject in [{', '.join(f'{chr(34)}{subject_name(key)}{chr(34)}' for key in keys)}]"


def row_key(number: int) -> str:
    """Of a template or a mark: its number, 2**53 at most, so that keys sort as numbers do."""
    return f"{number:014x}"


def bare_row(pk: str, kind: Kind, *, subject: str = "", number: int = 0, change: int = 0, record: str = "") -> Row:
    """A row of the collection of templates."""
    row: Row = {"pk": pk, "subject": subject, "kind": kind, "number": number, "change": change, "record": record}
    return row | {"crop": [], "nothing": [0.0, 0.0]}


def mark_row(key: bytes, number: int, kind: Literal["add", "replace"]) -> Row:
    """That a change of this subject is under way."""
    return bare_row(row_key(number), kind, subject=subject_name(key), number=number, change=number)


def template_row(subject: SubjectId, number: int, change: int, template: Template) -> Row:
    """One template, with its crop if it has one."""
    key = subject_key(subject)
    name = record_key(key, number)
    record = _text(make_record(name, subject, template))
    row = bare_row(row_key(number), "template", subject=subject_name(key), number=number, change=change, record=record)
    if template.crop is not None:
        crop = make_crop_record(name, template.crop)
        row["crop"] = [_text(crop[start : start + _PART_BYTES]) for start in range(0, len(crop), _PART_BYTES)]
    return row


def open_template(row: Row, dimension: int) -> Record:
    """Check and read a template's row. Raises StoreDamaged."""
    return open_record(_record_key(row), _bytes(row, row["record"]), dimension)


def open_crop(row: Row) -> FaceCrop | None:
    """Check and read the crop of a template's row that was read with it. Raises StoreDamaged."""
    parts = list(row["crop"])
    if not parts:
        return None
    return open_crop_record(_record_key(row), b"".join(_bytes(row, part) for part in parts))


def _record_key(row: Row) -> bytes:
    return record_key(bytes.fromhex(row["subject"]), int(row["number"]))


def _text(record: bytes) -> str:
    return base64.b64encode(record).decode("ascii")


def _bytes(row: Row, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise StoreDamaged(f"The record of template {row['number']} is damaged: it is no base64.") from None


@dataclass(frozen=True, slots=True)
class Standing:
    """What one subject's rows come to: the templates that count, in the order of their numbers, those that are void,
    and the marks of changes that are not finished."""

    live: tuple[Row, ...]
    void: tuple[Row, ...]
    marks: tuple[Row, ...]

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(int(row["number"]) for row in self.live)

    @property
    def highest(self) -> int:
        """The highest number of any row, 0 without one."""
        return max((int(row["number"]) for row in (*self.live, *self.void, *self.marks)), default=0)

    @property
    def made_of(self) -> str:
        """The same for the same templates, and for no others."""
        return hashlib.blake2b(repr(self.numbers).encode("ascii"), digest_size=16).hexdigest()


def standing(rows: Sequence[Row]) -> Standing:
    """Of all rows of one subject."""
    ordered = sorted(rows, key=lambda row: int(row["number"]))
    marks = tuple(row for row in ordered if row["kind"] in ("add", "replace"))
    floor = max((int(mark["number"]) for mark in marks if mark["kind"] == "replace"), default=0)
    templates = [row for row in ordered if row["kind"] == "template"]
    live = tuple(row for row in templates if int(row["change"]) >= floor)
    return Standing(live, tuple(row for row in templates if int(row["change"]) < floor), marks)


def vectors_of(records: Iterable[Record]) -> list[FloatArray]:
    """In the order given."""
    return [record.vector for record in records]
