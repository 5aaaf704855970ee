"""`face-server check`: is what lies on the disk what it should be? Owns what is looked at and what is said; changes
nothing (`repairing.py` does). Everything that may be damaged is read by children.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from face_server.assembly import require_lmdb
from face_server.checks.findings import Finding, Level, ok, problem, warning
from face_server.config import Config
from face_server.errors import KeyMismatch, StoreDamaged
from face_server.gallery.directory import holder_of
from face_server.gallery.inspecting import look
from face_server.terminal import counted
from face_server.upkeep.examining import Examination, examine

#: Damaged records that are named in words; `--json` names all.
_MOST_SHOWN = 20
#: What killed processes leave in the store's directory: of a compaction, restore, a look into backups, an import.
_LEFTOVERS = ("draft.mdb", "restoring", "looking", "converting")


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found, and what was examined for it; None where the store cannot be read, or is not there."""

    findings: tuple[Finding, ...]
    store: Examination | None
    index_is_wrong: bool

    @property
    def sound(self) -> bool:
        """Whether nothing is a problem."""
        return all(one.level is not Level.PROBLEM for one in self.findings)

    def as_json(self) -> dict[str, Any]:
        """The whole as a JSON object."""
        damaged = self.store.damaged if self.store else ()
        return {
            "findings": [{"level": one.level.value, "text": one.text, "remedy": one.remedy} for one in self.findings],
            "damaged": [
                {"kind": one.kind, "subject": one.subject, "template": one.template, "why": one.why} for one in damaged
            ],
        }

    def lines(self) -> list[str]:
        """The whole in words."""
        return [line for one in self.findings for line in _lines(one)]


def _lines(one: Finding) -> Iterator[str]:
    yield f"{one.level.value:9} {one.text}"
    if one.remedy:
        yield f"{'':9} -> {one.remedy}"


def check(config: Config) -> Checked:
    """Walk store, index and what lies beside them. A daemon may be at work on them.

    Raises ConfigError, OSError.
    """
    require_lmdb(config, "check")
    store = config.gallery.path
    if not (store / "data.mdb").exists():
        return Checked((ok(f"{store} is not there yet: the daemon makes it at its first start"),), None, False)
    try:
        seen = examine(store, config.gallery.encryption_key_file)
    except KeyMismatch as error:
        return Checked((problem(str(error)),), None, False)
    except StoreDamaged as error:
        remedy = "stop the daemon and run face-server restore with your last backup; what is there is kept beside it"
        return Checked((problem(str(error), f"{remedy} (--force)"),), None, False)
    index = tuple(_index(config, seen))
    left = () if holder_of(store) else leftovers(store)
    wrong = any(one.level is Level.PROBLEM for one in index)
    return Checked((*_store(store, seen), *index, *_left(left)), seen, wrong)


def leftovers(store: Path) -> tuple[Path, ...]:
    """What there is of them; without a holder nobody is at work on it."""
    return tuple(store / name for name in _LEFTOVERS if (store / name).exists())


def _store(store: Path, seen: Examination) -> Iterator[Finding]:
    for one in seen.damaged[:_MOST_SHOWN]:
        yield problem(f"the {one.kind} {one.template} of subject {one.subject} is damaged: {one.why}")
    if seen.damaged:
        yield problem(
            f"{counted(len(seen.damaged), 'record')} of {store} cannot be read",
            "restore a backup, or enrol those subjects anew after face-server check --repair --drop-damaged FILE, "
            "which takes the records out and keeps them in FILE; a damaged memory or disk damages more",
        )
    if seen.highest > seen.sequence:
        yield problem(
            f"{store} has a template {seen.highest} and says that it gave out {seen.sequence} ids so far",
            "face-server check --repair, with the daemon stopped, counts on from the higher one",
        )
    if seen.orphans:
        yield problem(
            f"{counted(len(seen.orphans), 'crop')} in {store} without a template",
            "face-server check --repair, with the daemon stopped, deletes what belongs to nobody",
        )
    held = (counted(seen.subjects, "subject"), counted(seen.templates, "template"), counted(seen.crops, "crop"))
    if not seen.damaged:
        yield ok(f"{', '.join(held)}: every record has its checksum")


def _index(config: Config, seen: Examination) -> Iterator[Finding]:
    if seen.damaged:
        yield warning("the index cannot be compared with a damaged store; searches do not trust it either")
        return
    try:
        found = look(config.gallery.path, config.index.path, config.gallery.encryption_key_file)
    except StoreDamaged as error:
        yield problem(str(error))
        return
    if found.index_error is not None:
        yield problem(
            f"the index in {config.index.path} cannot be used: {found.index_error}",
            "nothing is lost: a daemon searches without it and builds it anew, and so does face-server check --repair",
        )
    elif found.index_subjects is None:
        yield ok(f"there is no index in {config.index.path}: a daemon builds it")
    else:
        yield ok(f"the index holds {counted(found.index_subjects, 'subject')}, as the store has them")


def _left(paths: tuple[Path, ...]) -> Iterator[Finding]:
    for path in paths:
        yield warning(
            f"{path} was left by a process that was killed, and holds what it was at work on",
            "face-server check --repair deletes it",
        )
