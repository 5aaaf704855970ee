"""`face-server forget`: the receipt for what is gone, and which copies still hold it. Owns what is said; the removal is
the gallery's, in the daemon or without one. It looks into every backup that the ledger names, and into what `restore`
and `migrate` left beside the store.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tqdm import tqdm

from face_server.assembly import assemble_client, assemble_gallery, require_lmdb
from face_server.config import Config
from face_server.errors import FaceLoginError, UpkeepError
from face_server.gallery.store.reading import StoreReader
from face_server.terminal import bytes_told, counted
from face_server.types import SubjectId, subject_key
from face_server.upkeep import archive
from face_server.upkeep.drafts import private_directory
from face_server.upkeep.examining import whom_holds
from face_server.upkeep.ledger import noted_backups
from face_server.wire.replies import ForgetReply, RewrittenFile

#: Writing a million templates and their index afresh takes minutes.
FORGET_TIMEOUT_S = 2 * 3600.0
#: Where backups are unpacked to be looked into: in the store's directory, which nobody else may enter.
_LOOKING = "looking"

NOT_COVERED = (
    "blocks of the files that were replaced, until the disk writes over them; snapshots of the file system; copies and "
    "exports that were made elsewhere; what other programs logged or kept, such as a site's accounts and its audit log"
)


@dataclass(frozen=True, slots=True)
class Copy:
    """A backup, or a gallery left beside this one, made at made_s (Unix time) if that is known.

    holds: the ids that are in it; None where that could not be found out, and `why`.
    """

    path: str
    made_s: float | None
    holds: tuple[str, ...] | None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was done, at forgotten_s (Unix time), and what still holds it."""

    forgotten_s: float
    done: ForgetReply
    copies: tuple[Copy, ...]

    @property
    def whole(self) -> bool:
        """Whether all ids were enrolled."""
        return not self.done.unknown

    def as_json(self) -> dict[str, Any]:
        """The whole as a JSON object, with its digest."""
        told = self._told()
        return told | {"digest": self.digest()}

    def digest(self) -> str:
        """sha256 of the JSON without the digest, keys sorted, no spaces, UTF-8."""
        text = json.dumps(self._told(), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode("utf-8")).hexdigest()

    def _told(self) -> dict[str, Any]:
        return {
            "forgotten_s": self.forgotten_s,
            "removed": list(self.done.removed),
            "unknown": list(self.done.unknown),
            "templates": self.done.templates,
            "crops": self.done.crops,
            "files": [asdict(one) for one in self.done.files],
            "copies": [asdict(one) | {"holds": None if one.holds is None else list(one.holds)} for one in self.copies],
            "not_covered": NOT_COVERED,
        }

    def lines(self) -> list[str]:
        """The whole in words."""
        return list(self._lines())

    def _lines(self) -> Iterator[str]:
        yield from (f"forgotten {subject}" for subject in self.done.removed)
        for subject in self.done.unknown:
            yield f"unknown {subject}: nobody is enrolled under it; what was left of those removed before is gone now"
        removed = f"{counted(self.done.templates, 'template')}, {counted(self.done.crops, 'crop')}"
        yield f"{removed} removed; written afresh, without them:"
        yield from (f"  {line}" for line in map(_file_line, self.done.files))
        holding = [one for one in self.copies if one.holds]
        doubtful = [one for one in self.copies if one.holds is None]
        if holding:
            yield "still in, to be deleted by you:"
            yield from (f"  {one.path}{_made(one)}: {', '.join(one.holds or ())}" for one in holding)
        if doubtful:
            yield "perhaps still in:"
            yield from (f"  {one.path}{_made(one)}: {one.why}" for one in doubtful)
        if not holding and not doubtful:
            yield "in none of the backups that were written of this gallery"
        yield f"not covered: {NOT_COVERED}"
        when = datetime.fromtimestamp(self.forgotten_s).astimezone().isoformat(sep=" ", timespec="seconds")
        yield f"receipt of {when}, sha256 {self.digest()}"


def _file_line(one: RewrittenFile) -> str:
    if one.bytes is None:
        return f"{one.path}: deleted ({bytes_told(one.former_bytes or 0)})"
    former = "new" if one.former_bytes is None else f"was {bytes_told(one.former_bytes)}"
    return f"{one.path}: {bytes_told(one.bytes)} ({former})"


def _made(one: Copy) -> str:
    return "" if one.made_s is None else f" of {datetime.fromtimestamp(one.made_s):%Y-%m-%d %H:%M}"


def forget(config: Config, subjects: Sequence[SubjectId], offline: bool = False) -> Receipt:
    """Forget subjects, by the daemon or without one, then look for copies. Shows progress on a terminal.

    Raises UpkeepError for no valid id, or where there is no gallery; StoreLocked when `offline` is asked for while a
    daemon runs; else what the daemon or the gallery raises. To ask again finishes what was interrupted.
    """
    for subject in subjects:
        try:
            subject_key(subject)
        except ValueError as error:
            raise UpkeepError(f"{subject!a} is no id of a subject: {error}.") from None
    done = _forget_offline(config, subjects) if offline else _ask(config, subjects)
    now_s = datetime.now().timestamp()
    return Receipt(now_s, done, tuple(_copies(config.gallery.path, subjects)))


def _ask(config: Config, subjects: Sequence[SubjectId]) -> ForgetReply:
    with assemble_client(config, FORGET_TIMEOUT_S) as client:
        return client.forget(subjects)


def _forget_offline(config: Config, subjects: Sequence[SubjectId]) -> ForgetReply:
    """Whatever model is configured: the store says of which it is."""
    require_lmdb(config, "forget")
    if not (config.gallery.path / "data.mdb").is_file():
        raise UpkeepError(f"There is no gallery in {config.gallery.path}.")
    with StoreReader(config.gallery.path) as reader:
        fingerprint, dimension = reader.fingerprint, reader.dimension
    with assemble_gallery(config, fingerprint, dimension, background=False) as gallery:
        done = gallery.forget(subjects)
    files = tuple(RewrittenFile(str(one.path), one.former_bytes, one.bytes) for one in done.files)
    gone = done.removal
    return ForgetReply(gone.removed, gone.unknown, len(gone.template_ids), gone.crops, files)


def _copies(store: Path, subjects: Sequence[SubjectId]) -> Iterator[Copy]:
    try:
        noted = noted_backups(store)
    except OSError as error:
        yield Copy(str(store / "backups.jsonl"), None, None, f"the list of backups cannot be read: {error.strerror}")
        noted = []
    for entry in tqdm(noted, unit="backup", desc="looking into backups", disable=None):
        yield _look(store, entry.path, entry.made_s, subjects)
    beside = (*store.parent.glob(f"{store.name}.before-*"), *store.parent.glob(f"{store.name}-*"))
    for path in sorted(one for one in beside if (one / "data.mdb").is_file()):
        try:
            yield Copy(str(path), None, whom_holds(path, subjects))
        except FaceLoginError as error:
            yield Copy(str(path), None, None, str(error))


def _look(store: Path, path: Path, made_s: float, subjects: Sequence[SubjectId]) -> Copy:
    """Really: unpacked and read."""
    if not path.exists():
        return Copy(str(path), made_s, None, "it is not there any more; where it was moved to it may still be")
    try:
        with private_directory(store / _LOOKING) as directory:
            archive.unpack(path, directory / "data.mdb")
            return Copy(str(path), made_s, whom_holds(directory, subjects))
    except OSError as error:
        return Copy(str(path), made_s, None, f"it cannot be looked into: {error.strerror}")
    except FaceLoginError as error:
        return Copy(str(path), made_s, None, str(error))
