"""The index directory: generations of files, and the manifest that says which is the current one, what it holds and
what was measured on it. Owns their names and types, and that a generation is published whole or not at all. May not
know Annoy, the store or how anything is measured. Split from annoy_index.py, because a build that ends in exact search
has a manifest and no file of Annoy's.

A generation of Annoy's is two files, `g-<random>.annoy` (vectors and trees) and `g-<random>.ids` (the id of each item,
int64 little-endian). `manifest.json` is replaced last, atomically, and holds size and sha256 of both.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeAlias

from face_server.errors import FaceLoginError
from face_server.gallery.directory import make_private, sync

#: 1 had an item per template, under the same ids; 2 said nothing of search_k and recall.
SCHEMA = 3
_MANIFEST = "manifest.json"

#: How the nearest are proposed: by Annoy's trees, or by looking at everybody.
Kind: TypeAlias = Literal["annoy", "exact"]


class IndexUnusable(FaceLoginError):
    """The index is missing, broken or does not fit the gallery. The remedy is exact search and a new build."""


class NoIndex(IndexUnusable):
    """There is none."""


@dataclass(frozen=True, slots=True)
class IndexFile:
    """One file of a generation."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Measured:
    """What tuning.py found on the machine that built: `misses` of `probes` were not found among Annoy's proposals.

    target: the recall asked for; at_least: what the recall is with a confidence of 95 %, by these figures. exact_s and
    annoy_s: the median of one search by each, in seconds.
    """

    target: float
    probes: int
    misses: int
    at_least: float
    exact_s: float
    annoy_s: float

    @property
    def recall(self) -> float:
        """The share of the probes whose nearest subject was found."""
        return 1 - self.misses / self.probes


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a generation is: of which store and model, `count` subjects of `dimension`, every id up to `sequence`.

    built_s is Unix time in seconds. Where exact search was found to be cheaper than Annoy (`exact`), `measured` is of
    the Annoy that it was compared with, trees and search_k too, and there are no files.
    """

    schema: int
    store_id: str
    fingerprint: str
    dimension: int
    kind: Kind
    count: int
    sequence: int
    built_s: float
    trees: int
    search_k: int
    measured: Measured | None
    annoy: IndexFile | None
    ids: IndexFile | None

    @classmethod
    def of_fields(cls, told: Any) -> Manifest:
        """From what `json` read of an `asdict`. Raises IndexUnusable for anything else."""
        try:
            nested = {"measured": Measured, "annoy": IndexFile, "ids": IndexFile}
            made = {name: kind(**told[name]) for name, kind in nested.items() if told[name] is not None}
            manifest = cls(**(told | made))
        except (TypeError, LookupError) as error:
            raise IndexUnusable(f"The index's manifest cannot be read: {error}.") from error
        _require_types(manifest)
        return manifest

    @property
    def files(self) -> tuple[IndexFile, ...]:
        """Those of the generation."""
        return tuple(file for file in (self.annoy, self.ids) if file)

    def require_own(self, store_id: str, fingerprint: str, dimension: int) -> None:
        """Raises IndexUnusable where it is of another program, gallery or model."""
        if self.schema != SCHEMA:
            raise IndexUnusable(f"The index has schema {self.schema}; this program reads schema {SCHEMA}.")
        if (self.store_id, self.fingerprint, self.dimension) != (store_id, fingerprint, dimension):
            raise IndexUnusable("The index belongs to another gallery or model.")


def prepare(directory: Path) -> None:
    """Make the index directory, or take ours. Raises OSError."""
    make_private(directory, _MANIFEST, "g-*")


def draw_names(directory: Path) -> tuple[Path, Path]:
    """Where a new generation puts Annoy's file and the ids."""
    stem = f"g-{secrets.token_hex(8)}"
    return directory / f"{stem}.annoy", directory / f"{stem}.ids"


def read_manifest(directory: Path) -> Manifest:
    """The current one. Raises NoIndex, IndexUnusable, OSError."""
    try:
        told: Any = json.loads((directory / _MANIFEST).read_bytes())
    except FileNotFoundError:
        raise NoIndex("There is no index yet.") from None
    except (ValueError, RecursionError) as error:
        raise IndexUnusable(f"The index's manifest cannot be read: {error}.") from error
    schema = told.get("schema") if isinstance(told, Mapping) else None
    if type(schema) is int and schema != SCHEMA:
        raise IndexUnusable(f"The index has schema {schema}; this program reads schema {SCHEMA}.")
    return Manifest.of_fields(told)


def publish(directory: Path, manifest: Manifest) -> None:
    """Make it the current one, whole or not at all, and delete all others' files. Raises OSError."""
    draft = directory / f"{_MANIFEST}.new"
    with draft.open("w", encoding="ascii") as file:
        json.dump(asdict(manifest), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.chmod(0o600)
    sync(directory)
    draft.replace(directory / _MANIFEST)
    sync(directory)
    sweep(directory, manifest)


def drop_index(directory: Path) -> None:
    """Delete the current generation, for a gallery that needs none. Raises OSError."""
    prepare(directory)
    (directory / _MANIFEST).unlink(missing_ok=True)
    sweep(directory, None)


def sweep(directory: Path, manifest: Manifest | None) -> None:
    """Delete what builds left behind; files that are not ours by name stay."""
    current = {file.name for file in manifest.files} if manifest else set()
    for path in [*directory.glob("g-*.annoy"), *directory.glob("g-*.ids"), directory / f"{_MANIFEST}.new"]:
        if path.name not in current:
            # What cannot be deleted now is tried again after the next build; it only takes room.
            with contextlib.suppress(OSError):
                path.unlink()


def seal(path: Path) -> IndexFile:
    """Make a file of a generation private and durable, and say what it holds. Raises OSError."""
    path.chmod(0o600)
    sync(path)
    return IndexFile(path.name, path.stat().st_size, _sha256(path))


def require_intact(directory: Path, file: IndexFile) -> None:
    """Raises IndexUnusable where it is not what the manifest says, OSError."""
    path = directory / file.name
    if path.stat().st_size != file.bytes or _sha256(path) != file.sha256:
        raise IndexUnusable(f"The index file {file.name} is not what its manifest describes.")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_TYPES: dict[str, tuple[type, ...]] = {"int": (int,), "float": (float,), "str": (str,), "Kind": (str,)}


def _require_types(manifest: Manifest) -> None:
    records = [manifest, *manifest.files, *([manifest.measured] if manifest.measured else [])]
    plain = all(_has_types(record) for record in records)
    named = all(file.name == Path(file.name).name for file in manifest.files) if plain else False
    if not named or manifest.kind not in ("annoy", "exact") or len(manifest.files) != 2 * (manifest.kind == "annoy"):
        raise IndexUnusable("The index's manifest holds values of another type.")


def _has_types(record: Any) -> bool:
    """Whether its plain fields have their types; numbers count from 0."""
    for declared in fields(record):
        value, types = getattr(record, declared.name), _TYPES.get(str(declared.type))
        if types and (type(value) not in types or (type(value) is not str and not value >= 0)):
            return False
    return True
