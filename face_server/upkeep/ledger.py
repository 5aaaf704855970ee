"""Which backups were written of a gallery, and where: one line of JSON each in `backups.jsonl` beside the data file, so
that `forget` can look into them. Owns that file; may not know what is in a backup.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from face_server.gallery.directory import sync

_NAME = "backups.jsonl"


@dataclass(frozen=True, slots=True)
class BackupEntry:
    """A file that was written at made_s (Unix time), of a store that had given out template ids up to `sequence`."""

    path: Path
    made_s: float
    sequence: int
    store_id: str


def note_backup(store: Path, entry: BackupEntry) -> None:
    """Write it down, durably, before the file gets its name: one that is listed and absent is no harm. Raises OSError.

    One short write to the end of the file: two at once do not mix, and a line that was cut off is passed over.
    """
    line = json.dumps(asdict(entry) | {"path": str(entry.path)})
    fd = os.open(store / _NAME, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if os.geteuid() == 0:  # made by root for a daemon of another user, who must be able to go on with it
            owner = store.stat()
            os.fchown(fd, owner.st_uid, owner.st_gid)
        os.write(fd, f"\n{line}\n".encode())
        os.fsync(fd)
    finally:
        os.close(fd)
    sync(store)


def noted_backups(store: Path) -> list[BackupEntry]:
    """Every one, the latest entry of each path, oldest first; none where there is no ledger. Raises OSError."""
    try:
        lines = (store / _NAME).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    found: dict[Path, BackupEntry] = {}
    for line in lines:
        try:
            fields = json.loads(line)
            entry = BackupEntry(**fields | {"path": Path(fields["path"])})
        except (ValueError, TypeError, LookupError):
            continue
        found.pop(entry.path, None)
        found[entry.path] = entry
    return list(found.values())
