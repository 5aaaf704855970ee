"""Annoy: grows trees over vectors, loads them, and proposes which vectors lie near a probe. Owns the self-test of what
is loaded. A cache: it may not know the store, subjects or scores, and whatever is wrong with it is IndexUnusable, never
a crash. The only module that imports annoy.

Annoy checks only the size of what it loads, and reads past the end of a file of another dimension; so nothing is loaded
that is not what its manifest says.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import annoy
import numpy as np
from numpy.typing import NDArray

from face_server.gallery.index.manifest import (
    IndexUnusable,
    Manifest,
    NoIndex,
    prepare,
    read_manifest,
    require_intact,
    sweep,
)
from face_server.types import FloatArray

#: Any fixed number: the same vectors give the same trees.
_SEED = 20180408
#: The self-test: so many vectors, each asked for so many neighbours.
_SAMPLES = 32
_NEIGHBOURS = 5
#: Of squared distances, where float32 and lengths of 1 +- 1e-3 weigh the same near 0 as elsewhere.
_SQUARED_TOLERANCE = 1e-2
#: Vectors added between two reports of how far it is.
_ITEMS_PER_REPORT = 1000


class Forest:
    """Annoy's trees over vectors (N, D), which are its items 0..N-1. Safe to query from several threads."""

    def __init__(self, dimension: int) -> None:
        self._trees = annoy.AnnoyIndex(dimension, "angular")

    @classmethod
    def grow(
        cls, vectors: FloatArray, trees: int, jobs: int, added: Callable[[float], None], grown: Callable[[], None]
    ) -> Forest:
        """Build `trees` trees in so many threads. `added` is told the share of items, `grown` when trees begin."""
        forest = cls(vectors.shape[1])
        forest._trees.set_seed(_SEED)
        for item, vector in enumerate(vectors):
            if item % _ITEMS_PER_REPORT == 0:
                added(item / len(vectors))
            forest._trees.add_item(item, vector.tolist())  # half the time of the array
        grown()
        forest._trees.verbose(True)  # a line of standard error for each tree; building.py counts them
        forest._trees.build(trees, n_jobs=jobs)
        forest._trees.verbose(False)
        return forest

    def save(self, path: Path) -> None:
        """Write it, and go on from the file. Raises OSError."""
        self._trees.save(str(path))

    @classmethod
    def load(cls, path: Path, dimension: int) -> Forest:
        """Raises OSError."""
        forest = cls(dimension)
        forest._trees.load(str(path))
        return forest

    def __len__(self) -> int:
        return int(self._trees.get_n_items())

    def nearest(self, vector: FloatArray, n: int, search_k: int) -> NDArray[np.int64]:
        """Items (<= n,) int64 proposed for a unit vector (D,), nearest first."""
        return np.array(self._trees.get_nns_by_vector(vector, n, search_k), np.int64)

    def require_finds(self, item: int, vector: FloatArray, effort: int) -> None:
        """The item must be this vector to the last bit, be found at distance 0, and bring true neighbours."""
        if not np.array_equal(np.asarray(self._trees.get_item_vector(item), np.float32), vector):
            raise IndexUnusable("The index holds another vector than the gallery.")
        n = min(_NEIGHBOURS, len(self))
        items, distances = self._trees.get_nns_by_vector(vector, n, effort, include_distances=True)
        if len(items) != n:
            raise IndexUnusable(f"The index returned {len(items)} neighbours of {n}.")
        neighbours = np.asarray([self._trees.get_item_vector(found) for found in items], np.float32)
        told = np.square(distances)
        if told[0] > _SQUARED_TOLERANCE or np.abs(2 - 2 * (neighbours @ vector) - told).max() > _SQUARED_TOLERANCE:
            raise IndexUnusable("The index returned wrong neighbours or distances.")


class VectorIndex:
    """A loaded generation. Safe to query from several threads, and readable after a newer one replaced its file."""

    def __init__(self, manifest: Manifest, ids: NDArray[np.int64], forest: Forest) -> None:
        self.manifest = manifest
        self.ids = ids
        self._forest = forest

    def query(self, vector: FloatArray, n: int) -> NDArray[np.int64]:
        """Ids (<= n,) int64 proposed for a unit vector (D,), nearest first, with the effort of the manifest."""
        return self.ids.take(self._forest.nearest(vector, n, self.manifest.search_k))

    def require_knows(self, ids: NDArray[np.int64], vectors: FloatArray, rows: NDArray[np.intp]) -> None:
        """Look for the vectors that it should hold: those `rows` (M,) of ids (N,) and vectors (N, D). IndexUnusable.

        All their ids must be items. Of a sample, the newest among them, each must lie in the file to the last bit, be
        found at distance 0, and bring as many neighbours as asked for at their true distances: builds of Annoy by some
        compilers return only one, and a file may be whole and still belong to another gallery.
        """
        if not np.isin(ids[rows], self.ids, assume_unique=True).all():
            raise IndexUnusable("The index lacks subjects that it should cover.")
        # Annoy counts an item once per tree that brings it; too small a search_k is no defect of the file.
        effort = max(self.manifest.search_k, 10 * _NEIGHBOURS * self.manifest.trees)
        for place in np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _SAMPLES)).astype(np.int64)):
            row = rows[place]
            self._forest.require_finds(int(np.searchsorted(self.ids, ids[row])), vectors[row], effort)


#: A manifest, and what it describes; None where that is that exact search is cheaper.
Loaded: TypeAlias = tuple[Manifest, VectorIndex | None]


def load_index(directory: Path, *, store_id: str, fingerprint: str, dimension: int) -> Loaded:
    """The current generation, verified before Annoy sees it; leftovers of dead builds are deleted.

    Raises IndexUnusable with the reason, also when there is none.
    """
    try:
        prepare(directory)
        sweep(directory, read_manifest(directory))
    except OSError as error:
        raise IndexUnusable(f"The index cannot be read: {error}.") from error
    except NoIndex:
        sweep(directory, None)
        raise
    return read_index(directory, store_id=store_id, fingerprint=fingerprint, dimension=dimension)


def read_index(directory: Path, *, store_id: str, fingerprint: str, dimension: int) -> Loaded:
    """As `load_index`, and nothing in the directory is changed."""
    try:
        manifest = read_manifest(directory)
        manifest.require_own(store_id, fingerprint, dimension)
        for file in manifest.files:
            require_intact(directory, file)
        return open_generation(directory, manifest)
    except OSError as error:
        raise IndexUnusable(f"The index cannot be read: {error}.") from error


def open_generation(directory: Path, manifest: Manifest) -> Loaded:
    """Load the files of a manifest, which are what it says. Raises IndexUnusable, OSError."""
    if manifest.kind == "exact":
        return manifest, None
    annoy_file, ids_file = manifest.files
    ids = np.fromfile(directory / ids_file.name, "<i8").astype(np.int64)
    _require_plausible(manifest, ids)
    forest = Forest.load(directory / annoy_file.name, manifest.dimension)
    if len(forest) != manifest.count:
        raise IndexUnusable(f"The index has {len(forest)} items and its manifest says {manifest.count}.")
    return manifest, VectorIndex(manifest, ids, forest)


def require_fits(
    loaded: Loaded, ids: NDArray[np.int64], vectors: FloatArray, live: NDArray[np.intp], sequence: int
) -> None:
    """Raises IndexUnusable unless it may be of this gallery, which has given out ids up to `sequence`.

    `live` (M,) are the rows, of ids (N,) ascending and vectors (N, D), of all who can be found.
    """
    manifest, index = loaded
    if manifest.sequence > sequence:
        raise IndexUnusable("The index is newer than the gallery.")
    if index is not None:
        covered = int(np.searchsorted(ids[live], manifest.sequence, side="right"))
        index.require_knows(ids, vectors, live[:covered])


def _require_plausible(manifest: Manifest, ids: NDArray[np.int64]) -> None:
    # With the 0 before and the sequence after them, ids that ascend are also in range.
    framed = np.concatenate(([0], ids, [manifest.sequence + 1]))
    if manifest.count < 1 or len(ids) != manifest.count or not (np.diff(framed) > 0).all():
        raise IndexUnusable("The index's ids contradict its manifest.")
