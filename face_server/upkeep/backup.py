"""`face-server backup`: one moment of a gallery in one file, while a daemon works on it or none does. Owns the order of
the steps: copy, read every record back, pack, read the file back, write it down in the ledger, and only then the name.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from face_server import __version__
from face_server.assembly import require_lmdb
from face_server.config import Config
from face_server.errors import StoreDamaged, UpkeepError
from face_server.gallery.store.reading import StoreReader
from face_server.terminal import bytes_told, counted
from face_server.upkeep import archive
from face_server.upkeep.archive import BackupManifest
from face_server.upkeep.drafts import drafting, require_free
from face_server.upkeep.examining import Examination, examine
from face_server.upkeep.ledger import BackupEntry, note_backup

#: How often the bar is moved while LMDB copies.
_TICK_S = 0.1


@dataclass(frozen=True, slots=True)
class Backup:
    """What was written, of how many bytes."""

    path: Path
    file_bytes: int
    manifest: BackupManifest

    def as_json(self) -> dict[str, Any]:
        """The whole as a JSON object."""
        told = self.manifest
        return {
            "path": str(self.path),
            "bytes": self.file_bytes,
            "subjects": told.subjects,
            "templates": told.templates,
            "crops": told.crops,
            "store_id": told.store_id,
            "fingerprint": told.fingerprint,
            "key_id": told.key_id,
            "made_s": told.made_s,
            "data_sha256": told.data_sha256,
        }

    def lines(self) -> list[str]:
        """The whole in words."""
        told = self.manifest
        held = ", ".join(
            (counted(told.subjects, "subject"), counted(told.templates, "template"), counted(told.crops, "crop"))
        )
        lines = [f"{self.path}: {held}, {bytes_told(self.file_bytes)}, every record read back"]
        if told.key_id is not None:
            lines.append(f"its records are sealed: to restore it takes the key {told.key_id}, which is not in it")
        return lines


def backup(config: Config, path: Path, force: bool = False) -> Backup:
    """Write a backup of the configured gallery. Shows progress on a terminal.

    Raises UpkeepError when there is no gallery, or the file cannot or may not be written, StoreDamaged, KeyMismatch;
    nothing is left of the file then.
    """
    require_lmdb(config, "backup")
    store, path = config.gallery.path, path.absolute()
    require_free(path, force)
    if not (store / "data.mdb").is_file():
        raise UpkeepError(f"There is no gallery in {store} yet: nothing to back up.")
    with drafting(path, force) as draft:
        (draft / "copy").mkdir(mode=0o700)
        data = draft / "copy" / "data.mdb"
        made_s = time.time()
        _copy(store, data)
        seen = examine(data.parent, config.gallery.encryption_key_file)
        _require_whole(seen, store)
        manifest = _manifest(seen, made_s, data)
        with tqdm(total=2 * manifest.data_bytes, unit="B", unit_scale=True, desc="packing", disable=None) as bar:
            archive.pack(draft / path.name, manifest, data, bar.update)
            archive.verify(draft / path.name, bar.update)
        size = (draft / path.name).stat().st_size
        note_backup(store, BackupEntry(path, made_s, manifest.sequence, manifest.store_id))
    return Backup(path, size, manifest)


def _copy(store: Path, data: Path) -> None:
    """LMDB's own compacting copy of one moment; on a terminal with a bar, since it takes no breath itself."""
    fd = os.open(data, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with StoreReader(store) as reader, ThreadPoolExecutor(1) as thread:
            copying = thread.submit(reader.copy_to, fd)
            _watch(lambda: wait([copying], _TICK_S).done, lambda: os.fstat(fd).st_size)
            copying.result()
        os.fsync(fd)
    finally:
        os.close(fd)


def _watch(done: Callable[[], object], size: Callable[[], int]) -> None:
    with tqdm(unit="B", unit_scale=True, desc="copying", disable=None) as bar:
        while not done():
            bar.update(size() - bar.n)
        bar.update(size() - bar.n)


def _require_whole(seen: Examination, store: Path) -> None:
    if seen.highest > seen.sequence:
        raise StoreDamaged(f"No backup was made: {store} does not know its own templates. See `face-server check`.")
    if seen.damaged:
        first = seen.damaged[0]
        raise StoreDamaged(
            f"No backup was made: {counted(len(seen.damaged), 'record')} in {store} cannot be read, the first being "
            f"the {first.kind} {first.template} of subject {first.subject}. Keep your former backups; "
            "`face-server check` names them all and says what can be done."
        )


def _manifest(seen: Examination, made_s: float, data: Path) -> BackupManifest:
    with data.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return BackupManifest(
        archive.FORMAT,
        archive.VERSION,
        __version__,
        made_s,
        seen.store_id,
        seen.schema,
        seen.fingerprint,
        seen.dimension,
        seen.key_id,
        seen.subjects,
        seen.templates,
        seen.crops,
        seen.sequence,
        data.stat().st_size,
        sha256,
    )
