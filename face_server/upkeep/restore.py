"""`face-server restore`: a backup made the gallery again. Owns the order of the steps: everything is checked beside the
store before it is touched, one rename puts the new data in its place, and what was there is kept.

The restored store gets a new store_id: template ids count on from the backup's, so an index of the time after it would
hold others under the same ids.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from face_server.assembly import assemble_key, expected_fingerprint, require_lmdb
from face_server.config import Config
from face_server.errors import KeyMismatch, ModelMismatch, StorageFull, StoreDamaged, UpkeepError
from face_server.gallery.directory import DirectoryLock, make_private
from face_server.gallery.store.contents import require_key
from face_server.gallery.store.mending import put_in_place, renew_store_id
from face_server.gallery.store.sealing import StoreKey
from face_server.terminal import counted
from face_server.upkeep import archive
from face_server.upkeep.archive import BackupManifest
from face_server.upkeep.drafts import private_directory
from face_server.upkeep.examining import Examination, examine

#: In the store's own directory, and so on its disk.
_STAGE = "restoring"


@dataclass(frozen=True, slots=True)
class Restoration:
    """Which backup is the gallery now, and where what was there is, if there was something."""

    path: Path
    store: Path
    manifest: BackupManifest
    former: Path | None
    index_error: str | None

    def as_json(self) -> dict[str, Any]:
        """The whole as a JSON object."""
        told = self.manifest
        return {
            "path": str(self.path),
            "gallery": str(self.store),
            "subjects": told.subjects,
            "templates": told.templates,
            "crops": told.crops,
            "made_s": told.made_s,
            "former": str(self.former) if self.former else None,
        }

    def lines(self) -> list[str]:
        """The whole in words, and what to do next."""
        told = self.manifest
        held = ", ".join(
            (counted(told.subjects, "subject"), counted(told.templates, "template"), counted(told.crops, "crop"))
        )
        made = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(told.made_s))
        lines = [f"{self.store}: {held}, as of {made}"]
        if self.former:
            lines.append(f"the former gallery is in {self.former}; delete that directory once it is not needed")
        if self.index_error:
            lines.append(f"the former index could not be deleted, and holds vectors: {self.index_error}")
        lines.append("who was enrolled since is not in it, and who was removed or forgotten since is in it again")
        lines.append("start the daemon: it builds the index anew, and is right meanwhile")
        return lines


def restore(config: Config, path: Path, force: bool = False) -> Restoration:
    """Make a backup the configured gallery. Shows progress on a terminal.

    Raises UpkeepError for a file that is no whole backup, and where somebody is enrolled and `force` is not given;
    StoreLocked while a daemon runs, ModelMismatch, KeyMismatch, ModelFileError, StoreDamaged, StorageFull. Nothing is
    changed then.
    """
    require_lmdb(config, "restore")
    store = config.gallery.path
    manifest = archive.read_manifest(path)
    _require_own_model(config, manifest)
    if manifest.templates:
        _require_own_key(path, manifest, assemble_key(config))
    try:
        make_private(store, "data.mdb", "process.lock")
        lock = DirectoryLock(store)
    except OSError as error:
        raise UpkeepError(f"The gallery directory {store} cannot be used: {error.strerror}.") from error
    try:
        holds = _holds_somebody(config)
        if holds and not force:
            raise UpkeepError(
                f"{store} is not empty ({holds}). To put the backup in its place, and keep what is there in a "
                "directory beside it, give --force."
            )
        former = _former(store) if holds else None
        with private_directory(store / _STAGE) as stage:
            manifest = _staged(config, path, stage)
            put_in_place(store, stage / "data.mdb", former)
    except OSError as error:
        raise StorageFull(f"The backup could not be restored: {error}. The gallery is as it was.") from error
    finally:
        lock.close()
    return Restoration(path, store, manifest, former, _drop_index(config))


def _require_own_model(config: Config, manifest: BackupManifest) -> None:
    expected = expected_fingerprint(config)
    if manifest.templates and manifest.fingerprint != expected:
        raise ModelMismatch(
            "The backup holds templates of another model or alignment, whose scores mean nothing here. Put the "
            "[embedding] and [alignment] of its time back into config.ini and restore it; `face-server migrate` then "
            "makes a gallery for the present ones.",
            stored_fingerprint=manifest.fingerprint,
            running_fingerprint=expected,
        )


def _require_own_key(path: Path, manifest: BackupManifest, key: StoreKey | None) -> None:
    if manifest.key_id is None and key is not None:
        raise KeyMismatch(
            f"{path} is not sealed, and [gallery] encryption_key_file is set: unset it, restore, and then seal the "
            f"gallery by face-server rekey --to {key.path}"
        )
    require_key(path, manifest.key_id, key)


def _holds_somebody(config: Config) -> str | None:
    """What is lost if it is overwritten, in words; None where nothing is."""
    store = config.gallery.path
    if not (store / "data.mdb").exists():
        return None
    try:
        seen = examine(store, config.gallery.encryption_key_file)
    except (StoreDamaged, KeyMismatch) as error:
        return f"it cannot be read: {error}"
    return f"{counted(seen.subjects, 'subject')}, {counted(seen.templates, 'template')}" if seen.templates else None


def _former(store: Path) -> Path:
    """A directory that is not there yet, beside the store."""
    stem = f"{store.name}.before-{time.strftime('%Y%m%dT%H%M%S')}"
    names = (stem if not number else f"{stem}-{number}" for number in range(1000))
    return next(store.with_name(name) for name in names if not store.with_name(name).exists())


def _staged(config: Config, path: Path, stage: Path) -> BackupManifest:
    """The backup's data in the stage, with every record read, and a store_id of its own."""
    size = archive.read_manifest(path).data_bytes
    with tqdm(total=size, unit="B", unit_scale=True, desc="unpacking", disable=None) as bar:
        manifest = archive.unpack(path, stage / "data.mdb", bar.update)
    seen = examine(stage, config.gallery.encryption_key_file)
    _require_told(path, manifest, seen)
    _require_own_model(config, manifest)  # the file was opened anew
    renew_store_id(stage)
    return manifest


def _require_told(path: Path, manifest: BackupManifest, seen: Examination) -> None:
    names = ("store_id", "schema", "fingerprint", "dimension", "key_id", "subjects", "templates", "crops", "sequence")
    if seen.damaged:
        raise UpkeepError(
            f"{path} is damaged: {counted(len(seen.damaged), 'record')} cannot be read. The gallery is as it was; "
            "use another backup."
        )
    if seen.highest > seen.sequence:
        raise UpkeepError(f"{path} is damaged: its data does not know its own templates. Use another backup.")
    if wrong := [name for name in names if getattr(manifest, name) != getattr(seen, name)]:
        raise UpkeepError(
            f"{path} is damaged: its manifest tells another {wrong[0]} than its data. Use another backup."
        )


def _drop_index(config: Config) -> str | None:
    """It is of the former store, and would be refused; its vectors are of people who may not be enrolled any more.

    Why it is still there, if it is.
    """
    from face_server.gallery.index.manifest import drop_index

    try:
        if config.index.path.exists():
            drop_index(config.index.path)
    except OSError as error:
        return str(error)
    return None
