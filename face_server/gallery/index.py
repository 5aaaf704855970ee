"""The index: an Annoy file that proposes which vectors lie near a probe. Owns the index directory: its generations of
files and the manifest that names the current one. A cache: it may not know the store, subjects or scores, and whatever
is wrong with it is IndexUnusable, never a crash. The only module that imports annoy.

A generation is two files, `g-<random>.annoy` (vectors and trees) and `g-<random>.ids` (the id of each item,
int64 little-endian). `manifest.json` is replaced last, atomically, and holds size and sha256 of both: Annoy checks only
the size of what it loads, and reads past the end of a file of another dimension.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import annoy
import numpy as np
from numpy.typing import NDArray

from face_server.errors import FaceLoginError
from face_server.gallery.directory import make_private, sync
from face_server.types import FloatArray

#: 1 had an item per template, under the same ids.
SCHEMA = 2
_MANIFEST = "manifest.json"
#: Any fixed number: the same vectors give the same trees.
_SEED = 20180408
#: Items added between two pauses: about 1 ms of Python, after which a request's thread gets its turn.
_ITEMS_PER_TURN = 32
_TURN_S = 0.0002
#: The self-test: so many vectors, each asked for so many neighbours.
_SAMPLES = 32
_NEIGHBOURS = 5
#: Of squared distances, where float32 and lengths of 1 +- 1e-3 weigh the same near 0 as elsewhere.
_SQUARED_TOLERANCE = 1e-2


class IndexUnusable(FaceLoginError):
    """The index is missing, broken or does not fit the gallery. The remedy is exact search and a new build."""


class NoIndex(IndexUnusable):
    """There is none."""


class BuildAbandoned(FaceLoginError):
    """A build was told to stop; the index in place is untouched."""


@dataclass(frozen=True, slots=True)
class IndexFile:
    """One file of a generation."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a generation is: of which store and model, `count` items of `dimension`, every id up to `sequence`.

    built_s is Unix time in seconds.
    """

    schema: int
    store_id: str
    fingerprint: str
    dimension: int
    count: int
    trees: int
    sequence: int
    built_s: float
    annoy: IndexFile
    ids: IndexFile


class VectorIndex:
    """A loaded generation. Safe to query from several threads, and readable after a newer one replaced its file."""

    def __init__(self, manifest: Manifest, ids: NDArray[np.int64], trees: Any) -> None:
        self.manifest = manifest
        self.ids = ids
        self._trees = trees

    def query(self, vector: FloatArray, n: int, search_k: int) -> NDArray[np.int64]:
        """Ids (<= n,) int64 proposed for a unit vector (D,), nearest first."""
        items = np.array(self._trees.get_nns_by_vector(vector, n, search_k), np.int64)
        return self.ids.take(items)

    def require_knows(self, ids: NDArray[np.int64], vectors: FloatArray, search_k: int) -> None:
        """Look for vectors that it should hold, ids ascending (M,) and vectors (M, D). Raises IndexUnusable.

        All ids must be items. Of a sample, the newest among them, each must lie in the file to the last bit, be found
        at distance 0, and bring as many neighbours as asked for at their true distances: builds of Annoy by some
        compilers return only one, and a file may be whole and still belong to another gallery.
        """
        if not np.isin(ids, self.ids, assume_unique=True).all():
            raise IndexUnusable("The index lacks subjects that it should cover.")
        count = len(ids)
        for row in np.unique(np.linspace(0, count - 1, min(count, _SAMPLES)).astype(np.int64)):
            self._require_finds(int(ids[row]), vectors[row], search_k)

    def require_fits(self, ids: NDArray[np.int64], vectors: FloatArray, sequence: int, search_k: int) -> None:
        """As `require_knows`, of all rows of a gallery that has given out ids up to `sequence`: of those it covers."""
        if self.manifest.sequence > sequence:
            raise IndexUnusable("The index is newer than the gallery.")
        covered = int(np.searchsorted(ids, self.manifest.sequence, side="right"))
        self.require_knows(ids[:covered], vectors[:covered], search_k)

    def _require_finds(self, vector_id: int, vector: FloatArray, search_k: int) -> None:
        item = int(np.searchsorted(self.ids, vector_id))
        if not np.array_equal(np.asarray(self._trees.get_item_vector(item), np.float32), vector):
            raise IndexUnusable(f"The index holds another vector under id {vector_id}.")
        n = min(_NEIGHBOURS, self.manifest.count)
        # Annoy counts an item once per tree that brings it; too small a search_k is no defect of the file.
        effort = max(search_k, 10 * n * self.manifest.trees)
        items, distances = self._trees.get_nns_by_vector(vector, n, effort, include_distances=True)
        if len(items) != n:
            raise IndexUnusable(f"The index returned {len(items)} neighbours of {n}.")
        neighbours = np.asarray([self._trees.get_item_vector(found) for found in items], np.float32)
        told = np.square(distances)
        if told[0] > _SQUARED_TOLERANCE or np.abs(2 - 2 * (neighbours @ vector) - told).max() > _SQUARED_TOLERANCE:
            raise IndexUnusable("The index returned wrong neighbours or distances.")


def load_index(directory: Path, *, store_id: str, fingerprint: str, dimension: int) -> VectorIndex:
    """The current generation, verified before Annoy sees it; leftovers of dead builds are deleted.

    Raises IndexUnusable with the reason, also when there is none.
    """
    try:
        make_private(directory, _MANIFEST, "g-*")
        _sweep(directory, _read_manifest(directory))
    except OSError as error:
        raise IndexUnusable(f"The index cannot be read: {error}.") from error
    except NoIndex:
        _sweep(directory, None)
        raise
    return read_index(directory, store_id=store_id, fingerprint=fingerprint, dimension=dimension)


def read_index(directory: Path, *, store_id: str, fingerprint: str, dimension: int) -> VectorIndex:
    """As `load_index`, and nothing in the directory is changed."""
    try:
        manifest = _read_manifest(directory)
        _require_own(manifest, store_id, fingerprint, dimension)
        for file in (manifest.annoy, manifest.ids):
            _require_intact(directory, file)
        ids = np.fromfile(directory / manifest.ids.name, "<i8").astype(np.int64)
        _require_plausible(manifest, ids)
        trees = annoy.AnnoyIndex(dimension, "angular")
        trees.load(str(directory / manifest.annoy.name))
    except OSError as error:
        raise IndexUnusable(f"The index cannot be read: {error}.") from error
    if trees.get_n_items() != manifest.count:
        raise IndexUnusable(f"The index has {trees.get_n_items()} items and its manifest says {manifest.count}.")
    return VectorIndex(manifest, ids, trees)


def build_index(
    directory: Path,
    ids: NDArray[np.int64],
    vectors: FloatArray,
    *,
    store_id: str,
    fingerprint: str,
    trees: int,
    search_k: int,
    sequence: int,
    stop: threading.Event,
) -> VectorIndex:
    """Build, save, test and publish a new generation of ids ascending (N,) and unit vectors (N, D), N >= 1.

    `sequence` is the highest id that the gallery had given out. Until the manifest is replaced the former
    generation stands; its files are deleted afterwards. Raises BuildAbandoned once `stop` is set, IndexUnusable when
    the new index fails its test, OSError when it cannot be written; then nothing of it is left.
    """
    make_private(directory, _MANIFEST, "g-*")
    stem = f"g-{secrets.token_hex(8)}"
    annoy_path, ids_path = directory / f"{stem}.annoy", directory / f"{stem}.ids"
    try:
        built = _grow_trees(vectors, trees, stop)
        built.save(str(annoy_path))
        ids.astype("<i8").tofile(ids_path)
        manifest = Manifest(
            SCHEMA,
            store_id,
            fingerprint,
            vectors.shape[1],
            len(ids),
            trees,
            sequence,
            time.time(),
            _seal(annoy_path),
            _seal(ids_path),
        )
        index = VectorIndex(manifest, ids.copy(), built)
        index.require_knows(ids, vectors, search_k)
        _require_going(stop)
        _publish(directory, manifest)
    except BaseException:
        annoy_path.unlink(missing_ok=True)
        ids_path.unlink(missing_ok=True)
        raise
    _sweep(directory, manifest)
    return index


def drop_index(directory: Path) -> None:
    """Delete the current generation, for a gallery that holds nothing. Raises OSError."""
    make_private(directory, _MANIFEST, "g-*")
    (directory / _MANIFEST).unlink(missing_ok=True)
    _sweep(directory, None)


def _grow_trees(vectors: FloatArray, trees: int, stop: threading.Event) -> Any:
    built = annoy.AnnoyIndex(vectors.shape[1], "angular")
    built.set_seed(_SEED)
    for item, vector in enumerate(vectors):
        if item % _ITEMS_PER_TURN == 0:
            _require_going(stop)
            time.sleep(_TURN_S)
        built.add_item(item, vector.tolist())  # half the time of the array
    # All cores but one, which is for those who ask meanwhile.
    built.build(trees, n_jobs=max(1, (os.cpu_count() or 1) - 1))
    _require_going(stop)
    return built


def _require_going(stop: threading.Event) -> None:
    if stop.is_set():
        raise BuildAbandoned("The build of the index was told to stop.")


def _seal(path: Path) -> IndexFile:
    path.chmod(0o600)
    sync(path)
    return IndexFile(path.name, path.stat().st_size, _sha256(path))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _publish(directory: Path, manifest: Manifest) -> None:
    draft = directory / f"{_MANIFEST}.new"
    with draft.open("w", encoding="ascii") as file:
        json.dump(asdict(manifest), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.chmod(0o600)
    sync(directory)
    draft.replace(directory / _MANIFEST)
    sync(directory)


def _sweep(directory: Path, manifest: Manifest | None) -> None:
    """Delete what builds left behind; files that are not ours by name stay."""
    current = {manifest.annoy.name, manifest.ids.name} if manifest else set()
    for path in [*directory.glob("g-*.annoy"), *directory.glob("g-*.ids"), directory / f"{_MANIFEST}.new"]:
        if path.name not in current:
            # What cannot be deleted now is tried again after the next build; it only takes room.
            with contextlib.suppress(OSError):
                path.unlink()


def _read_manifest(directory: Path) -> Manifest:
    try:
        fields: Any = json.loads((directory / _MANIFEST).read_bytes())
        fields |= {name: IndexFile(**fields[name]) for name in ("annoy", "ids")}
        manifest = Manifest(**fields)
    except FileNotFoundError:
        raise NoIndex("There is no index yet.") from None
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise IndexUnusable(f"The index's manifest cannot be read: {error}.") from error
    _require_types(manifest)
    return manifest


def _require_types(manifest: Manifest) -> None:
    counts = (manifest.schema, manifest.dimension, manifest.count, manifest.trees, manifest.sequence)
    texts = (manifest.store_id, manifest.fingerprint)
    files = (manifest.annoy, manifest.ids)
    if (
        not all(type(value) is int and value >= 0 for value in counts)
        or not all(isinstance(value, str) for value in texts)
        or not isinstance(manifest.built_s, float)
        or not all(isinstance(f.name, str) and f.name == Path(f.name).name and type(f.bytes) is int for f in files)
    ):
        raise IndexUnusable("The index's manifest holds values of another type.")


def _require_own(manifest: Manifest, store_id: str, fingerprint: str, dimension: int) -> None:
    if manifest.schema != SCHEMA:
        raise IndexUnusable(f"The index has schema {manifest.schema}; this program reads schema {SCHEMA}.")
    if (manifest.store_id, manifest.fingerprint, manifest.dimension) != (store_id, fingerprint, dimension):
        raise IndexUnusable("The index belongs to another gallery or model.")


def _require_intact(directory: Path, file: IndexFile) -> None:
    path = directory / file.name
    if path.stat().st_size != file.bytes or _sha256(path) != file.sha256:
        raise IndexUnusable(f"The index file {file.name} is not what its manifest describes.")


def _require_plausible(manifest: Manifest, ids: NDArray[np.int64]) -> None:
    # With the 0 before and the sequence after them, ids that ascend are also in range.
    framed = np.concatenate(([0], ids, [manifest.sequence + 1]))
    if manifest.count < 1 or len(ids) != manifest.count or not (np.diff(framed) > 0).all():
        raise IndexUnusable("The index's ids contradict its manifest.")
