"""What store and gallery answer with: frozen nouns. Owns no behaviour; may not know how the answers come about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from face_server.types import SubjectId, Template


@dataclass(frozen=True, slots=True)
class Added:
    """One template of an enrolment; `duplicate` says that its image was stored before, under this id."""

    template_id: int
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What one transaction did: `added` in the order of the templates offered, `removed` ids that `replace` took away.

    `subject` has the type of its first enrolment; `templates` is the subject's count afterwards.
    """

    subject: SubjectId
    added: tuple[Added, ...]
    removed: tuple[int, ...]
    templates: int


@dataclass(frozen=True, slots=True)
class Removal:
    """`removed` subjects in their stored type, `unknown` ids as asked, and what went: template ids, number of crops."""

    removed: tuple[SubjectId, ...]
    unknown: tuple[SubjectId, ...]
    template_ids: tuple[int, ...]
    crops: int = 0


@dataclass(frozen=True, slots=True)
class RewrittenFile:
    """A file of the gallery and its size; former_bytes: of the one in whose place it is. None where there is none."""

    path: Path
    former_bytes: int | None
    bytes: int | None


@dataclass(frozen=True, slots=True)
class Forgetting:
    """What was removed, and the files that have been written afresh since, without it."""

    removal: Removal
    files: tuple[RewrittenFile, ...]


@dataclass(frozen=True, slots=True)
class StoredTemplate:
    """A template and the id it has for ever."""

    template_id: int
    template: Template


@dataclass(frozen=True, slots=True)
class SubjectDetail:
    """A subject in its stored type and its templates in the order of their ids."""

    subject: SubjectId
    templates: tuple[StoredTemplate, ...]


@dataclass(frozen=True, slots=True)
class SubjectEntry:
    """A subject and how many templates it has."""

    subject: SubjectId
    templates: int


@dataclass(frozen=True, slots=True)
class SubjectPage:
    """Subjects in key order; `next_cursor` is None on the last page."""

    subjects: tuple[SubjectEntry, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class RebuildResult:
    """An index of so many subjects was built in so many seconds."""

    subjects: int
    seconds: float


@dataclass(frozen=True, slots=True)
class StoreUsage:
    """Bytes of the store in use, the most that enrolments may bring it to, and what is free on its disk."""

    used_bytes: int
    limit_bytes: int
    free_disk_bytes: int


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """state: `building` while a build runs, else `ready` with a usable index, else `absent`.

    subjects, sequence (highest template id covered) and built_s (Unix time) are of the index in use, 0 without one.
    overlay: subjects enrolled or changed since, which are searched one by one. error: why there is no index or no newer
    one.
    """

    state: Literal["ready", "building", "absent"]
    subjects: int
    sequence: int
    built_s: float
    overlay: int
    error: str | None
