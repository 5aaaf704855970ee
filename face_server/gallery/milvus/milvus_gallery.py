"""The gallery in Milvus, which several daemons may share. Owns the order of the steps of every change and search; may
not know config.ini, thresholds or the wire. pymilvus is server.py's, the rows' layout rows.py's, reading contents.py's.

The rows of templates are the truth. A subject's row, its centroid, is made from them and only proposes: whom a search
finds is scored on the templates that count at that moment, exactly, so a row that is out of date lets nobody in.

A change is committed by one message of rows (rows.py) and then finished: the subject's row is made from what was
read, what is void is deleted, and the subject is read again, until nothing changed in between. So of two daemons that
change one subject at once neither loses anything, and whoever writes the subject's row last has seen all of it. At last
the marks go. Killed before the message, nothing happened; after it, everything did, and whoever starts next, or changes
that subject next, finds the mark and finishes. What is being removed is void from its message on, whatever is left.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Self, TypeVar

import numpy as np

from face_server.errors import (
    GalleryUnavailable,
    ShuttingDown,
    UnknownCommand,
)
from face_server.gallery.index.rebuilding import Rebuilder
from face_server.gallery.milvus.contents import Contents
from face_server.gallery.milvus.numbering import Numbering
from face_server.gallery.milvus.rows import (
    LIGHT_FIELDS,
    Row,
    Standing,
    mark_row,
    open_crop,
    standing,
    subject_name,
    template_row,
)
from face_server.gallery.milvus.server import MilvusOptions, MilvusServer, Table
from face_server.gallery.results import (
    Added,
    Enrolment,
    Forgetting,
    IndexStatus,
    RebuildResult,
    Removal,
    StoredTemplate,
    StoreUsage,
    SubjectDetail,
    SubjectEntry,
    SubjectPage,
)
from face_server.gallery.rows import ROUNDING, centroid, exact_scores
from face_server.gallery.rules import read_cursor, require_own, require_room, require_unit, write_cursor
from face_server.observing import NOBODY, Observer, Stage, timed
from face_server.types import Candidate, FloatArray, SubjectId, Template, subject_key

log = logging.getLogger(__name__)

#: More subjects than wanted are asked for: some may be gone or changed by the time they are looked at, and ties beyond
#: the last place are decided by the subjects' keys, not by Milvus.
_SPARE = 32
#: The score of a subject whose templates cancel out, as in rows.py.
_NOBODY = -1.0

_Item = TypeVar("_Item")


class MilvusGallery:
    """A Gallery in Milvus. Raises GalleryUnavailable, ModelMismatch, and for a Milvus Lite StoreLocked, StoreDamaged.

    Every method that asks Milvus raises GalleryUnavailable when it does not answer: what was asked may or may not have
    been done then, and may be asked again. How many there are, and how the index stands, is answered from memory: own
    changes at once, those of other daemons some seconds later.
    """

    def __init__(self, options: MilvusOptions, observer: Observer = NOBODY) -> None:
        self._options = options
        self._observer = observer
        self._changing = threading.Lock()
        self._lock = threading.Lock()  # of the counts
        self._subjects = self._templates = 0
        self._error: str | None = None
        self._built_s: float | None = None
        self._closing = threading.Event()
        self._rebuilder = Rebuilder(self._remake_subjects, observer)
        self._server = MilvusServer(options)
        try:
            self._numbering = Numbering(self._server)
            self._contents = Contents(self._server, options)
            self._contents.settle_model()
            self._finish_changes()
            self._count()
        except BaseException:
            self._server.close()
            raise
        self._counter = threading.Thread(target=self._keep_counting, name="gallery-count", daemon=True)
        self._counter.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back; harmless when repeated."""
        self._closing.set()
        self._rebuilder.close()
        self._counter.join()
        self._server.close()

    # Changes

    def enrol(self, subject: SubjectId, templates: Sequence[Template], *, replace: bool = False) -> Enrolment:
        """Add templates to a subject, or `replace` all it has; durable, and found by the next search, on return.

        Raises TooManyImages with nothing changed, ValueError.
        """
        key = subject_key(subject)
        require_own(templates, self._options.fingerprint, self._options.dimension)
        for template in templates:
            require_unit(template.vector, self._options.dimension)
        with timed(self._observer, Stage.STORE), self._changing:
            before = self._contents.standing(key)
            stored = [self._contents.opened(row) for row in before.live]
            subject = stored[0].subject if stored else subject
            kept = [] if replace else stored
            known = {record.image_sha256: record.template_id for record in kept}
            fresh = {one.image_sha256: one for one in reversed(templates) if one.image_sha256 not in known}
            require_room(len(kept), len(fresh), self._options.max_templates_per_subject)
            added = self._added(templates, known, before)
            if fresh:
                new = [(one.template_id, of) for one, of in zip(added, templates, strict=True) if not one.duplicate]
                change = new[0][0] - 1
                rows = [template_row(subject, number, change, template) for number, template in new]
                self._commit({key: before}, [mark_row(key, change, "replace" if replace else "add"), *rows])
            elif before.marks:
                self._finish({key: before})
        removed = before.numbers if replace else ()
        return Enrolment(subject, added, removed, len(kept) + len(fresh))

    def _added(self, templates: Sequence[Template], known: dict[str, int], before: Standing) -> tuple[Added, ...]:
        """What becomes of each template; the number before the first new one's is the change's own."""
        fresh = len({template.image_sha256 for template in templates} - known.keys())
        numbers = iter(self._numbering.take(fresh + 1, before.highest)[1:]) if fresh else iter(())
        ids, added = dict(known), []
        for template in templates:
            duplicate = template.image_sha256 in ids
            if not duplicate:
                ids[template.image_sha256] = next(numbers)
            added.append(Added(ids[template.image_sha256], duplicate))
        return tuple(added)

    def remove(self, subjects: Sequence[SubjectId]) -> Removal:
        """Remove subjects, all or, on an error, none; durable, and never found again, on return. Raises ValueError."""
        wanted: dict[bytes, SubjectId] = {}
        for subject in subjects:
            wanted.setdefault(subject_key(subject), subject)
        with timed(self._observer, Stage.STORE), self._changing:
            found = self._contents.standings(wanted)
            before = {key: found[key] for key in wanted if found[key].live}
            removed = tuple(self._contents.stored_id(one, wanted[key]) for key, one in before.items())
            if before:
                changes = self._numbering.take(len(before), max(one.highest for one in before.values()))
                self._commit(
                    before, [mark_row(key, change, "replace") for key, change in zip(before, changes, strict=True)]
                )
            if unfinished := {key: one for key, one in found.items() if one.marks and key not in before}:
                self._finish(unfinished)
        unknown = tuple(asked for key, asked in wanted.items() if key not in before)
        return Removal(removed, unknown, tuple(number for one in before.values() for number in one.numbers))

    def forget(self, subjects: Sequence[SubjectId]) -> Forgetting:
        """Raises UnknownCommand: what is deleted stays in the files of Milvus until it compacts, and in its log."""
        raise UnknownCommand(
            "A gallery in Milvus cannot promise that bytes are gone. `remove` the subjects, nobody finds them then; "
            "and have Milvus compact, and its old files and backups be deleted, as docs/scale.md says."
        )

    def _commit(self, before: dict[bytes, Standing], rows: list[Row]) -> None:
        self._server.put(Table.TEMPLATES, rows)
        self._finish(before)

    def _finish(self, before: dict[bytes, Standing]) -> None:
        """Do what is left to do after a change of these subjects, who were so before it."""
        marks: list[str] = []
        for key, former in before.items():
            seen = self._settled(key)
            marks += [row["pk"] for row in seen.marks]
            with self._lock:
                self._subjects += bool(seen.live) - bool(former.live)
                self._templates += len(seen.live) - len(former.live)
        self._server.drop(Table.TEMPLATES, marks)

    def _settled(self, key: bytes) -> Standing:
        """Make the subject's row what its templates say, delete those that are void; until it stays so."""
        seen = self._contents.standing(key)
        while True:
            self._write_subject(key, seen)
            self._server.drop(Table.TEMPLATES, [row["pk"] for row in seen.void])
            again = self._contents.standing(key)
            if again.numbers == seen.numbers and not again.void:
                # Marks that came since are of a change whose owner, or the next one, finishes it.
                return seen
            seen = again

    def _write_subject(self, key: bytes, seen: Standing) -> None:
        if not seen.live:
            self._server.drop(Table.SUBJECTS, [subject_name(key)])
            return
        records = [self._contents.opened(row) for row in seen.live]
        direction = centroid([record.vector for record in records])
        row = {
            "pk": subject_name(key),
            "is_integer": isinstance(records[0].subject, int),
            "templates": len(records),
            "made_of": seen.made_of,
            # Without a direction it scores 0 with every probe, and is not looked at again.
            "vector": (np.zeros(self._options.dimension) if direction is None else direction).tolist(),
        }
        self._server.put(Table.SUBJECTS, [row])

    # Searches

    def identify(self, probe: FloatArray, limit: int) -> tuple[Candidate, ...]:
        """At most `limit` (>= 1) subjects, the highest exact score first, ties in the order of subject keys."""
        require_unit(probe, self._options.dimension)
        with timed(self._observer, Stage.SEARCH):
            proposed = self._proposed(probe, limit)
            if len(proposed) <= limit:
                return self._ranked(list(proposed), probe, limit)
            cut = list(proposed.values())[limit - 1] - ROUNDING
            near = [key for key, score in proposed.items() if score >= cut]
            found = self._ranked(near, probe, limit)
            # Some were gone, or are not what Milvus proposed any more: the truth about the others decides.
            if len(found) < limit or found[-1].score < cut:
                found = self._ranked(list(proposed), probe, limit)
            return found

    def _proposed(self, probe: FloatArray, limit: int) -> dict[bytes, float]:
        """Subject keys near a probe and the scores of their rows, the highest first; nobody without a direction."""
        nearest = [(pk, vector) for pk, vector in self._server.nearest(probe, limit + _SPARE) if vector.any()]
        if not nearest:
            return {}
        scores = exact_scores(np.stack([vector for _, vector in nearest]), probe).tolist()
        scored = zip((bytes.fromhex(pk) for pk, _ in nearest), scores, strict=True)
        return dict(sorted(scored, key=lambda one: (-one[1], one[0])))

    def _ranked(self, keys: list[bytes], probe: FloatArray, limit: int) -> tuple[Candidate, ...]:
        """At most `limit` of these subjects, by their templates as they are now."""
        scored = (self._scored(one, probe) for one in self._contents.standings(keys).values() if one.live)
        found = [candidate for candidate, has_direction in scored if has_direction]
        return tuple(sorted(found, key=lambda one: (-one.score, subject_key(one.subject)))[:limit])

    def verify(self, subject: SubjectId, probe: FloatArray) -> Candidate:
        """The subject in its stored type, with its exact score as in `identify`. Raises UnknownSubject."""
        require_unit(probe, self._options.dimension)
        with timed(self._observer, Stage.SEARCH):
            return self._scored(self._contents.known(subject), probe)[0]

    def _scored(self, one: Standing, probe: FloatArray) -> tuple[Candidate, bool]:
        """A subject that has templates, and whether they have a direction."""
        records = [self._contents.opened(row) for row in one.live]
        direction = centroid([record.vector for record in records])
        score = _NOBODY if direction is None else float(exact_scores(direction[np.newaxis], probe)[0])
        return Candidate(records[0].subject, score, len(records)), direction is not None

    # What is enrolled

    def subjects(self, cursor: str | None, limit: int) -> SubjectPage:
        """At most `limit` (>= 1) subjects after `cursor`, in key order. Raises Malformed for another cursor."""
        after = read_cursor(cursor)
        condition = 'pk > ""' if after is None else f'pk > "{subject_name(after)}"'
        rows: list[Row] = []
        for row in self._server.walk(Table.SUBJECTS, condition, ("pk", "is_integer", "templates"), limit + 1):
            rows.append(row)
            if len(rows) > limit:
                break
        page = tuple(_entry(row) for row in rows[:limit])
        return SubjectPage(page, write_cursor(page[-1].subject) if len(rows) > limit else None)

    def subject(self, subject: SubjectId, *, crops: bool = False) -> SubjectDetail:
        """The subject in its stored type, and its templates, with their `crops` if asked. Raises UnknownSubject."""
        seen = self._contents.known(subject, crops=crops)
        records = [self._contents.opened(row) for row in seen.live]
        kept = [open_crop(row) if crops else None for row in seen.live]
        return SubjectDetail(
            records[0].subject,
            tuple(
                StoredTemplate(record.template_id, dataclasses.replace(record.template, crop=crop))
                for record, crop in zip(records, kept, strict=True)
            ),
        )

    def subject_count(self) -> int:
        """How many subjects are enrolled."""
        with self._lock:
            return self._subjects

    def template_count(self) -> int:
        """How many templates are enrolled."""
        with self._lock:
            return self._templates

    def store_usage(self) -> StoreUsage | None:
        """None: what Milvus uses, and may use, is Milvus' own and told by its monitoring."""
        return None

    # The index

    def index_status(self) -> IndexStatus:
        """How the collection of subjects stands, which is Milvus' index: it has no overlay, and its age is a server's.

        built_s: when it was made anew here.
        """
        with self._lock:
            error, subjects = self._error or self._rebuilder.error, self._subjects
        state = "building" if self._rebuilder.is_running else "absent" if self._error else "ready"
        return IndexStatus(
            state,  # type: ignore[arg-type]
            "milvus",
            "milvus",
            overlay=0,
            subjects=subjects,
            built_s=self._built_s,
            error=error,
        )

    def rebuild(self) -> RebuildResult:
        """Make every subject's row anew that is not what its templates say; two at once are one.

        Raises ShuttingDown once the gallery closes, GalleryUnavailable.
        """
        return self._rebuilder.run()

    def _remake_subjects(self) -> RebuildResult:
        started_s = time.monotonic()
        if self._server.dimension() != self._options.dimension:
            self._server.start_anew()
        should = self._names_by_truth()
        rows = self._server.walk(Table.SUBJECTS, 'pk > ""', ("pk", "made_of"))
        has = {row["pk"]: row["made_of"] for row in _until(self._closing, rows)}
        wrong = {name for name in should.keys() | has.keys() if should.get(name) != has.get(name)}
        for name in _until(self._closing, sorted(wrong)):
            with self._changing:
                self._settled(bytes.fromhex(name))
        self._count()
        self._built_s = time.time()
        return RebuildResult(len(should), time.monotonic() - started_s)

    def _names_by_truth(self) -> dict[str, str]:
        """Of every subject what its row must be made of."""
        rows: dict[str, list[Row]] = {}
        for row in _until(self._closing, self._server.walk(Table.TEMPLATES, 'subject != ""', LIGHT_FIELDS)):
            rows.setdefault(row["subject"], []).append(row)
        stand = {name: standing(own) for name, own in rows.items()}
        return {name: one.made_of for name, one in stand.items() if one.live}

    # Opening

    def _finish_changes(self) -> None:
        """Finish what a daemon that was killed began. One that is at work does not mind: it does the same."""
        marks = list(self._server.walk(Table.TEMPLATES, 'kind in ["add", "replace"]', ("pk", "subject")))
        if marks:
            log.info("finishing changes that were interrupted: %d", len(marks))
        for name in {row["subject"] for row in marks}:
            self._settled(bytes.fromhex(name))
        self._server.drop(Table.TEMPLATES, [row["pk"] for row in marks])

    # Counting

    def _keep_counting(self) -> None:
        """In a thread: how many there are by other daemons' doing too, and whether Milvus answers."""
        while not self._closing.wait(self._options.refresh_s):
            with suppress(GalleryUnavailable):
                self._count()

    def _count(self) -> None:
        with self._changing:  # our own changes count themselves
            try:
                subjects, rows = self._server.count(Table.SUBJECTS), self._server.count(Table.TEMPLATES)
                others = len(self._server.find(Table.TEMPLATES, 'kind != "template"', ("pk",)))
            except GalleryUnavailable as error:
                with self._lock:
                    self._error = str(error)
                raise
            with self._lock:
                self._error, self._subjects, self._templates = None, subjects, rows - others


def _entry(row: Row) -> SubjectEntry:
    text = bytes.fromhex(row["pk"]).decode("utf-8")
    return SubjectEntry(int(text) if row["is_integer"] else text, int(row["templates"]))


def _until(stop: threading.Event, rows: Iterable[_Item]) -> Iterator[_Item]:
    for row in rows:
        if stop.is_set():
            raise ShuttingDown("The gallery is closing; its subjects were not made anew.")
        yield row
