"""A backup's file: a tar of manifest.json and data.mdb, in this order and nothing else. Owns its layout and its checks;
may not know LMDB, config.ini or where a gallery lies.

Any tar reads it. Here it is read more strictly, header by header, since the file may be anybody's: names, types, sizes
and padding must be what `pack` writes, and no size is believed before the file is long enough for it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from face_server.errors import UpkeepError
from face_server.upkeep.regular_file import open_regular

FORMAT = "face-login backup"
VERSION = 1
_MANIFEST, _DATA = "manifest.json", "data.mdb"
#: Some 600 bytes are written.
_MAX_MANIFEST_BYTES = 64 << 10
_BLOCK, _CHUNK = tarfile.BLOCKSIZE, 1 << 20

Progress = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class BackupManifest:
    """What a backup holds, of one moment (`made_s`, Unix time): counts, and whose store, model and key they are of.

    sequence: the highest template id given out by then. key_id: of the key that its records are sealed with, if any.
    """

    format: str
    version: int
    program: str
    made_s: float
    store_id: str
    schema: str
    fingerprint: str
    dimension: int
    key_id: str | None
    subjects: int
    templates: int
    crops: int
    sequence: int
    data_bytes: int
    data_sha256: str


def pack(path: Path, manifest: BackupManifest, data: Path, progress: Progress = lambda count: None) -> None:
    """Write the archive. Raises OSError."""
    told = json.dumps(asdict(manifest), indent=1).encode("ascii")
    with path.open("wb") as file, data.open("rb") as source:
        os.fchmod(file.fileno(), 0o600)
        # GNU's format: sizes beyond 8 GiB fit.
        with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
            archive.addfile(_member(_MANIFEST, len(told), manifest.made_s), io.BytesIO(told))
            archive.addfile(_member(_DATA, manifest.data_bytes, manifest.made_s), _Counted(source, progress))


def _member(name: str, size: int, made_s: float) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, 0o600, int(made_s)
    return member


class _Counted(io.RawIOBase):
    """Reads a file and tells how much."""

    def __init__(self, file: BinaryIO, progress: Progress) -> None:
        self._file, self._progress = file, progress

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._progress(len(data))
        return data


def read_manifest(path: Path) -> BackupManifest:
    """What the file says of itself; of the data only its size is checked. Raises UpkeepError."""
    with open_regular(path) as file:
        return _read_manifest(path, file)


def unpack(path: Path, target: Path, progress: Progress = lambda count: None) -> BackupManifest:
    """Write data.mdb to `target`, a new file, and check it on the way. Raises UpkeepError, and OSError of `target`."""
    with open_regular(path) as file, target.open("xb") as out:
        os.fchmod(out.fileno(), 0o600)
        manifest = _read_manifest(path, file)
        _copy(path, file, manifest, out.write, progress)
        out.flush()
        os.fsync(out.fileno())
        return manifest


def verify(path: Path, progress: Progress = lambda count: None) -> BackupManifest:
    """Read all of it back. Raises UpkeepError."""
    with open_regular(path) as file:
        manifest = _read_manifest(path, file)
        _copy(path, file, manifest, lambda data: None, progress)
        return manifest


def _read_manifest(path: Path, file: BinaryIO) -> BackupManifest:
    size = _header(path, file, _MANIFEST)
    if size > _MAX_MANIFEST_BYTES:
        raise _damaged(path, "its manifest is too large")
    manifest = _parsed(path, _exactly(path, file, size))
    _padding(path, file, size)
    if _header(path, file, _DATA) != manifest.data_bytes:
        raise _damaged(path, "its manifest tells another size of data.mdb than its header")
    # A tar ends with two empty blocks at least, padded to 20.
    rest = os.fstat(file.fileno()).st_size - file.tell() - manifest.data_bytes
    if not 2 * _BLOCK <= rest <= tarfile.RECORDSIZE + 2 * _BLOCK:
        raise _damaged(path, "it has been cut short, or something follows its end")
    return manifest


def _header(path: Path, file: BinaryIO, name: str) -> int:
    try:
        member = tarfile.TarInfo.frombuf(_exactly(path, file, _BLOCK), "ascii", "strict")
    except (tarfile.HeaderError, ValueError) as error:
        raise _damaged(path, f"where {name} should begin is no header of a tar") from error
    if member.name != name or member.type != tarfile.REGTYPE or member.size < 0 or member.linkname:
        raise UpkeepError(f"{path} is no backup of a gallery: a tar, but not of manifest.json and data.mdb alone.")
    return member.size


def _parsed(path: Path, told: bytes) -> BackupManifest:
    try:
        fields: Any = json.loads(told)
        version = fields["version"]
        if fields["format"] != FORMAT or type(version) is not int:
            raise ValueError("it is of something else")
        if version != VERSION:
            raise UpkeepError(
                f"{path} has version {version} of the backup format; this program reads version {VERSION}. "
                f"It was made by face-login {str(fields.get('program'))[:20]!a}: use that or a newer one."
            )
        manifest = BackupManifest(**fields)
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise _damaged(path, f"its manifest cannot be read ({str(error)[:100]})") from error
    _require_types(path, manifest)
    return manifest


def _require_types(path: Path, manifest: BackupManifest) -> None:
    counts = [getattr(manifest, name) for name in ("dimension", "subjects", "templates", "crops", "sequence")]
    texts = [getattr(manifest, name) for name in ("program", "store_id", "schema", "fingerprint", "data_sha256")]
    if (
        not all(type(count) is int and count >= 0 for count in (*counts, manifest.data_bytes))
        or not all(isinstance(text, str) for text in texts)
        or type(manifest.made_s) not in (int, float)
        or not (manifest.key_id is None or isinstance(manifest.key_id, str))
        or not re.fullmatch("[0-9a-f]{64}", manifest.data_sha256)
    ):
        raise _damaged(path, "its manifest holds values of another type")


def _copy(
    path: Path, file: BinaryIO, manifest: BackupManifest, write: Callable[[bytes], object], tell: Progress
) -> None:
    digest, left = hashlib.sha256(), manifest.data_bytes
    while left:
        data = _exactly(path, file, min(left, _CHUNK))
        digest.update(data)
        write(data)
        tell(len(data))
        left -= len(data)
    if digest.hexdigest() != manifest.data_sha256:
        raise _damaged(path, "the sha256 of data.mdb is another than its manifest's")
    if file.read(2 * tarfile.RECORDSIZE).strip(b"\0"):
        raise _damaged(path, "something follows its end")


def _padding(path: Path, file: BinaryIO, size: int) -> None:
    if _exactly(path, file, -size % _BLOCK).strip(b"\0"):
        raise _damaged(path, "there is something between its parts")


def _exactly(path: Path, file: BinaryIO, count: int) -> bytes:
    """`count` is small, or has been compared with the file's size."""
    try:
        data = file.read(count)
    except OSError as error:
        raise UpkeepError(f"{path} cannot be read: {error.strerror}.") from error
    if len(data) != count:
        raise _damaged(path, "it has been cut short")
    return data


def _damaged(path: Path, why: str) -> UpkeepError:
    return UpkeepError(f"{path} is no backup, or a damaged one: {why}. Nothing was changed; use another backup.")
