"""What store and gallery answer with: frozen nouns. Owns no behaviour; may not know how the answers come about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from face_server.gallery.index.manifest import Manifest, Measured
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
class BuildProgress:
    """What a running build is at, and the share (0 to 1) that is done of the whole."""

    phase: str
    done: float


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """state: `building` while a build runs, else `ready` when searches go as configured, else `absent`: an index is
    wanted, and there is none that can be used, so every search looks at everybody.

    configured, kind: `auto`, `annoy` or `exact` as asked for; `annoy` or `exact` as searches go now; `milvus` there.
    subjects, built_s: of the index in use, and when it was built (Unix time), None where that is not known.
    manifest: of the index in use, or of the build that found exact search cheaper; None where nothing was measured.
    overlay: subjects enrolled or changed since it, which Annoy does not know and a search looks at one by one; all
    where Annoy is wanted and there is none. progress: of the running build. error: why there is no index or no newer.
    """

    state: Literal["ready", "building", "absent"]
    configured: Literal["auto", "annoy", "exact", "milvus"]
    kind: Literal["annoy", "exact", "milvus"]
    overlay: int
    subjects: int = 0
    built_s: float | None = None
    manifest: Manifest | None = None
    progress: BuildProgress | None = None
    error: str | None = None

    @property
    def measured(self) -> Measured | None:
        """What was measured of the Annoy in use."""
        return self.manifest.measured if self.manifest and self.kind == "annoy" else None

    @property
    def sequence(self) -> int:
        """The highest template id that the index covers, 0 without one."""
        return self.manifest.sequence if self.manifest else 0
