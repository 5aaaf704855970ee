"""What a gallery in Milvus holds at this moment: whose vectors they are, and which templates of a subject count. Owns
reading and the checks of what was read; changes nothing but the note of whose vectors these are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from face_server.errors import GalleryUnavailable, ModelMismatch, StoreDamaged, UnknownSubject
from face_server.gallery.milvus.rows import (
    FIELDS,
    Row,
    Standing,
    bare_row,
    of_subjects,
    open_template,
    standing,
    subject_name,
)
from face_server.gallery.milvus.server import MilvusOptions, MilvusServer, Table
from face_server.gallery.store.record import Record
from face_server.types import SubjectId, subject_key

_SCHEMA = "1"
#: Of templates read at a time; subjects of the most templates allowed are read so many at a time as that makes.
_ROWS_READ = 8000


class Contents:
    """Reads for one gallery. Everything that asks Milvus raises GalleryUnavailable."""

    def __init__(self, server: MilvusServer, options: MilvusOptions) -> None:
        self._server = server
        self._options = options

    def settle_model(self) -> None:
        """Write or check whose vectors these are. An empty gallery becomes one of this model."""
        own = {"schema": _SCHEMA, "fingerprint": self._options.fingerprint, "dimension": self._options.dimension}
        if self._meta() != own and not self._server.find(Table.TEMPLATES, 'kind == "template"', ("pk",), most=1):
            self._server.put(Table.TEMPLATES, [bare_row("meta", "meta", record=json.dumps(own))])
            if self._server.dimension() != self._options.dimension:
                self._server.start_anew()
        stored = self._meta()
        if stored["schema"] != _SCHEMA:
            raise StoreDamaged(f"{self._whose} has schema {stored['schema']}; this program reads schema {_SCHEMA}.")
        if stored != own:
            raise self._mismatch(stored["fingerprint"])

    def _meta(self) -> dict[str, Any]:
        rows = self._server.find(Table.TEMPLATES, 'pk == "meta"', ("record",))
        return dict(json.loads(rows[0]["record"])) if rows else {}

    @property
    def _whose(self) -> str:
        return f"The gallery {self._options.collection} in Milvus ({self._options.uri})"

    def _mismatch(self, stored: str) -> ModelMismatch:
        return ModelMismatch(
            f"{self._whose} holds templates of another model or alignment, whose scores mean nothing here. Either put "
            "the former [embedding] and [alignment] settings back into config.ini, or give [gallery] milvus_collection "
            "a new name and enrol everyone again.",
            stored_fingerprint=stored,
            running_fingerprint=self._options.fingerprint,
        )

    # Subjects

    def known(self, subject: SubjectId, *, crops: bool = False) -> Standing:
        """Of a subject that has templates. Raises UnknownSubject."""
        found = self.standing(subject_key(subject), crops=crops)
        if not found.live:
            raise UnknownSubject("No subject with this id is enrolled.")
        return found

    def standing(self, key: bytes, *, crops: bool = False) -> Standing:
        """Of one subject, also of one that is not there; its rows with their crops if asked."""
        fields = (*FIELDS, "crop") if crops else FIELDS
        return standing(self._server.find(Table.TEMPLATES, of_subjects([key]), fields))

    def standings(self, keys: Iterable[bytes]) -> dict[bytes, Standing]:
        """Of each of these subjects, also of those that are not there."""
        wanted = list(keys)
        rows: dict[str, list[Row]] = {subject_name(key): [] for key in wanted}
        at_a_time = max(1, _ROWS_READ // self._options.max_templates_per_subject)
        for start in range(0, len(wanted), at_a_time):
            for row in self._server.find(Table.TEMPLATES, of_subjects(wanted[start : start + at_a_time]), FIELDS):
                rows[row["subject"]].append(row)
        return {key: standing(rows[subject_name(key)]) for key in wanted}

    def stored_id(self, one: Standing, asked: SubjectId) -> SubjectId:
        """The subject in its stored type; as it was asked for where no record can be read."""
        for row in one.live:
            with suppress(GalleryUnavailable):
                return self.opened(row).subject
        return asked

    def opened(self, row: Row) -> Record:
        """A template's record. Raises GalleryUnavailable where it is damaged, and ModelMismatch."""
        try:
            record = open_template(row, self._options.dimension)
        except StoreDamaged as error:  # met by a request, not at the start: who asked cannot mend it
            remedy = "Restore Milvus' own backup, or remove the subject and enrol it again."
            raise GalleryUnavailable(f"{self._whose}: {error} {remedy}") from error
        if record.template.fingerprint != self._options.fingerprint:  # by a daemon of another model, started meanwhile
            raise self._mismatch(record.template.fingerprint)
        return record
