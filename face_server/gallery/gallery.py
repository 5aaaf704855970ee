"""What a gallery is, whatever keeps it: the one interface that upstairs uses. Owns no behaviour; may not know LMDB,
Annoy or any other keeper. `local.py` keeps one on this machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self

from face_server.gallery.results import (
    Enrolment,
    Forgetting,
    IndexStatus,
    RebuildResult,
    Removal,
    StoreUsage,
    SubjectDetail,
    SubjectPage,
)
from face_server.types import Candidate, FloatArray, SubjectId, Template


class Gallery(Protocol):
    """Enrolled subjects, searchable. Also a context manager; safe to use from several threads, never after a fork.

    A subject's score is the cosine of the probe and the centroid of its templates: their mean in the order of their
    ids, of length 1. Where they cancel out there is none: the subject is enrolled, never identified, verified with -1.
    Vectors are unit vectors (D,) float32; one of another shape, length (by more than 1e-3) or with a component that is
    not finite is a ValueError.
    """

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def close(self) -> None:
        """Give back what it holds; harmless when repeated."""

    def enrol(self, subject: SubjectId, templates: Sequence[Template], *, replace: bool = False) -> Enrolment:
        """Add templates to a subject, or `replace` all it has; durable, and found by the next search, on return.

        Raises TooManyImages and StorageFull with nothing changed, ValueError.
        """

    def remove(self, subjects: Sequence[SubjectId]) -> Removal:
        """Remove subjects, all or, on an error, none; durable, and never found again, on return.

        Raises StorageFull, ValueError.
        """

    def forget(self, subjects: Sequence[SubjectId]) -> Forgetting:
        """Remove subjects, and every byte of them, and of all who were removed before, from the gallery's files.

        Searches and changes go on meanwhile, changes not while the store is written afresh. After an error or a crash
        nobody is enrolled who was to be removed; asked again, it finishes. Raises StorageFull, ShuttingDown,
        ValueError.
        """

    def identify(self, probe: FloatArray, limit: int) -> tuple[Candidate, ...]:
        """At most `limit` (>= 1) subjects, the highest exact score first, ties in the order of subject keys."""

    def verify(self, subject: SubjectId, probe: FloatArray) -> Candidate:
        """The subject in its stored type, with its exact score as in `identify`. Raises UnknownSubject."""

    def subjects(self, cursor: str | None, limit: int) -> SubjectPage:
        """At most `limit` (>= 1) subjects after `cursor`, in key order. Raises Malformed for another cursor."""

    def subject(self, subject: SubjectId, *, crops: bool = False) -> SubjectDetail:
        """The subject in its stored type, and its templates, with their `crops` if asked. Raises UnknownSubject."""

    def subject_count(self) -> int:
        """How many subjects are enrolled."""

    def template_count(self) -> int:
        """How many templates are enrolled."""

    def store_usage(self) -> StoreUsage | None:
        """How full the store is; None where that is not this machine's to tell."""

    def index_status(self) -> IndexStatus:
        """How the index stands."""

    def rebuild(self) -> RebuildResult:
        """Build the index anew and use it; when a build runs, wait for that one and give its result.

        Raises ShuttingDown once the gallery closes, StorageFull when the index cannot be written, IndexFailed when
        the building ended or found too little. The former index, if there is one, then stays in use.
        """
