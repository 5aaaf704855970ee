"""The gallery on one machine: store (truth), rows in memory, index (proposals) and overlay, kept in step. Owns the
order of their changes, and when the index is built anew; may not know config.ini, thresholds, LMDB, Annoy or the wire.

Every change is committed in the store, then made in memory, then answered. A search takes what the index proposes, less
what has been removed or changed, and looks itself at the overlay: every row that is newer than the index. Scores are
always exact, on centroids of the vectors that the store holds. Without a usable index all rows are the overlay: a
search is right in every state, and only slower in some.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from face_server.errors import ShuttingDown, StorageFull, StoreDamaged, UnknownSubject
from face_server.gallery.index import BuildAbandoned, IndexUnusable, VectorIndex, build_index, drop_index, load_index
from face_server.gallery.rebuilding import Rebuilder
from face_server.gallery.results import (
    Enrolment,
    Forgetting,
    IndexStatus,
    RebuildResult,
    Removal,
    RewrittenFile,
    StoreUsage,
    SubjectDetail,
    SubjectPage,
)
from face_server.gallery.rows import Enrolled, Rows, View, centroid
from face_server.gallery.rules import require_unit
from face_server.gallery.sealing import StoreKey
from face_server.gallery.store import TemplateStore
from face_server.observing import NOBODY, Observer, Stage, timed
from face_server.types import Candidate, FloatArray, SubjectId, Template, subject_key


@dataclass(frozen=True, slots=True)
class GalleryOptions:
    """Where the gallery lies and how it searches.

    store_path, index_path: directories. fingerprint, dimension: of the running pipeline. trees, neighbours, search_k:
    Annoy's; its default search_k (trees * neighbours) misses most people, 20000 hardly any. overlay_max: subjects newer
    than the index, and gone or changed since, at which it is built anew. max_map_bytes: the size the store may reach.
    background: build by itself, in a thread; without it only `rebuild` does. key: that seals the store.
    """

    store_path: Path
    index_path: Path
    fingerprint: str
    dimension: int
    max_templates_per_subject: int
    max_map_bytes: int
    trees: int
    neighbours: int
    search_k: int
    overlay_max: int
    background: bool = True
    key: StoreKey | None = None


class LocalGallery:
    """A Gallery in two directories, held by one process.

    Raises StoreLocked, StoreDamaged, ModelMismatch and KeyMismatch as TemplateStore does.
    """

    def __init__(self, options: GalleryOptions, observer: Observer = NOBODY) -> None:
        self._options = options
        self._observer = observer
        self._changing = threading.Lock()  # one change at a time, so that rows come in the order of their ids
        self._lock = threading.Lock()  # rows and index
        self._index: VectorIndex | None = None
        self._rebuilder = Rebuilder(self._build_index, observer)
        self._store = TemplateStore(
            options.store_path,
            fingerprint=options.fingerprint,
            dimension=options.dimension,
            max_templates_per_subject=options.max_templates_per_subject,
            max_map_bytes=options.max_map_bytes,
            key=options.key,
        )
        try:
            with self._store.snapshot() as stored:
                self._rows = Rows.load(options.dimension, stored.sequence, stored.newest_ids(), stored)
            self._load_index()
        except StoreDamaged as error:
            self._store.close()
            remedy = "stop, put a copy of that directory back in its place, and start again"
            raise StoreDamaged(f"{error} The gallery lies in {options.store_path}: {remedy}.") from error
        except BaseException:
            self._store.close()
            raise
        self.rebuild_if_needed()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Abandon a running build, which needs nothing of the store any more, and give the store back."""
        self._rebuilder.close()
        self._store.close()

    # Changes

    def enrol(self, subject: SubjectId, templates: Sequence[Template], *, replace: bool = False) -> Enrolment:
        """Add templates to a subject, or `replace` all it has; durable, and found by the next search, on return.

        Raises TooManyImages and StorageFull with nothing changed, ValueError.
        """
        for template in templates:
            require_unit(template.vector, self._options.dimension)
        with timed(self._observer, Stage.STORE), self._changing:
            with self._lock:
                self._rows.reserve()
            former = [] if replace else self._stored_vectors(subject)
            done = self._store.enrol(subject, templates, replace=replace)
            fresh = [one for one in zip(done.added, templates, strict=True) if not one[0].duplicate]
            if fresh:
                changed = Enrolled(done.subject, fresh[-1][0].template_id, done.templates)
                vector = centroid([*former, *(template.vector for _, template in fresh)])
                with self._lock:
                    self._rows.put(changed, vector)
        self.rebuild_if_needed()
        return done

    def remove(self, subjects: Sequence[SubjectId]) -> Removal:
        """Remove subjects, all or, on an error, none; durable, and never found again, on return.

        Their vectors leave the index's file with the next build. Raises StorageFull, ValueError.
        """
        with timed(self._observer, Stage.STORE), self._changing:
            done = self._store.remove(subjects)
            with self._lock:
                self._rows.remove(done.removed)
        self.rebuild_if_needed()
        return done

    def forget(self, subjects: Sequence[SubjectId]) -> Forgetting:
        """Remove subjects, and every byte of them, and of all who were removed before, from the gallery's files.

        Searches and changes go on meanwhile, changes not while the store is written afresh. After an error or a crash
        nobody is enrolled who was to be removed; asked again, it finishes. Raises StorageFull, ShuttingDown,
        IndexUnusable, ValueError.
        """
        before = self._files()
        removal = self.remove(subjects)
        self._store.compact()
        self._rebuilder.run_anew()
        after = self._files()
        changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
        sizes = ((path, before.get(path, (0, None))[1], after.get(path, (0, None))[1]) for path in changed)
        return Forgetting(removal, tuple(RewrittenFile(*one) for one in sizes))

    def _files(self) -> dict[Path, tuple[int, int]]:
        """Of each file that vectors, crops or ids lie in: its inode, and the bytes that it takes on the disk."""
        index = self._options.index_path
        paths = [self._options.store_path / "data.mdb", *(index.iterdir() if index.is_dir() else ())]
        found = {path: path.stat() for path in paths if path.is_file()}
        return {path: (one.st_ino, min(one.st_size, 512 * one.st_blocks)) for path, one in found.items()}

    def _stored_vectors(self, subject: SubjectId) -> list[FloatArray]:
        try:
            return [one.template.vector for one in self._store.subject(subject).templates]
        except UnknownSubject:
            return []

    # Searches

    def identify(self, probe: FloatArray, limit: int) -> tuple[Candidate, ...]:
        """At most `limit` (>= 1) subjects, the highest exact score first, ties in the order of subject keys."""
        require_unit(probe, self._options.dimension)
        with timed(self._observer, Stage.SEARCH):
            with self._lock:
                view, index = self._rows.view(), self._index
            return view.rank(self._nearest(view, index, probe, limit), probe, limit)

    def verify(self, subject: SubjectId, probe: FloatArray) -> Candidate:
        """The subject in its stored type, with its exact score as in `identify`. Raises UnknownSubject."""
        require_unit(probe, self._options.dimension)
        with timed(self._observer, Stage.SEARCH), self._lock:
            claimed = self._rows.candidate(subject_key(subject), probe)
        if claimed is None:
            raise UnknownSubject("No subject with this id is enrolled.")
        return claimed

    def _nearest(self, view: View, index: VectorIndex | None, probe: FloatArray, wanted: int) -> NDArray[np.intp]:
        """The rows of the `wanted` nearest subjects, as far as the index finds them, and some more."""
        if index is None:
            return view.nearest(probe, wanted)
        overlay = view.first_after(index.manifest.sequence)
        live = view.live_before(overlay)
        # Subjects gone or changed since the build still take places among the neighbours.
        spare = min(index.manifest.count - live, self._options.overlay_max)
        ids = index.query(probe, max(self._options.neighbours, wanted) + spare, self._options.search_k)
        proposed = view.rows_of(ids)
        if len(proposed) < min(wanted, live):
            return view.nearest(probe, wanted)
        return np.concatenate((proposed, view.nearest(probe, wanted, overlay)))

    # What is enrolled

    def subjects(self, cursor: str | None, limit: int) -> SubjectPage:
        """At most `limit` (>= 1) subjects after `cursor`, in key order. Raises Malformed for another cursor."""
        return self._store.subjects(cursor, limit)

    def subject(self, subject: SubjectId, *, crops: bool = False) -> SubjectDetail:
        """The subject in its stored type, and its templates, with their `crops` if asked. Raises UnknownSubject."""
        return self._store.subject(subject, crops=crops)

    def subject_count(self) -> int:
        """How many subjects are enrolled."""
        with self._lock:
            return self._rows.subject_count()

    def template_count(self) -> int:
        """How many templates are enrolled."""
        with self._lock:
            return self._rows.templates

    def store_usage(self) -> StoreUsage:
        """How full the store is."""
        return self._store.usage()

    # The index

    def index_status(self) -> IndexStatus:
        """How the index stands."""
        with self._lock:
            view, index = self._rows.view(), self._index
        overlay, _ = _changes_since(view, index)
        building, error = self._rebuilder.is_running, self._rebuilder.error
        if index is None:
            return IndexStatus("building" if building else "absent", 0, 0, 0.0, overlay, error)
        of = index.manifest
        return IndexStatus("building" if building else "ready", of.count, of.sequence, of.built_s, overlay, error)

    def rebuild(self) -> RebuildResult:
        """Build the index anew and use it; when a build runs, wait for that one and give its result.

        Raises ShuttingDown once the gallery closes, StorageFull when the index cannot be written, IndexUnusable when
        the new one fails its test. The former index, if there is one, then stays in use.
        """
        return self._rebuilder.run()

    def rebuild_if_needed(self) -> None:
        """Start a build in a thread when there are subjects and no index, or too many changes since it was built."""
        with self._lock:
            view, index = self._rows.view(), self._index
        overlay, gone = _changes_since(view, index)
        # A share of the index, so that importing many people does not build it anew every thousand of them.
        most = max(self._options.overlay_max, index.manifest.count // 10) if index else 0
        if self._options.background and overlay + gone > most:
            self._rebuilder.start()

    def _build_index(self, stop: threading.Event) -> RebuildResult:
        started_s = time.monotonic()
        with self._lock:
            self._rows.compact()
            view, sequence = self._rows.view(), self._rows.sequence
        try:
            index = self._write_index(view, sequence, stop)
        except BuildAbandoned:
            raise ShuttingDown("The gallery is closing; the index was not built.") from None
        except OSError as error:
            raise StorageFull(f"The index in {self._options.index_path} could not be written: {error}.") from error
        with self._lock:
            self._index = index
        return RebuildResult(len(view.ids), time.monotonic() - started_s)

    def _write_index(self, view: View, sequence: int, stop: threading.Event) -> VectorIndex | None:
        options = self._options
        if not len(view.ids):
            drop_index(options.index_path)
            return None
        return build_index(
            options.index_path,
            view.ids,
            view.vectors,
            store_id=self._store.store_id,
            fingerprint=options.fingerprint,
            trees=options.trees,
            search_k=options.search_k,
            sequence=sequence,
            stop=stop,
        )

    def _load_index(self) -> None:
        """Take the index of an earlier run when it is whole and knows what this store holds."""
        options, view = self._options, self._rows.view()
        try:
            index = load_index(
                options.index_path,
                store_id=self._store.store_id,
                fingerprint=options.fingerprint,
                dimension=options.dimension,
            )
            index.require_fits(view.ids, view.vectors, self._rows.sequence, options.search_k)
        except IndexUnusable as error:
            self._rebuilder.error = str(error) if len(view.ids) else None
        else:
            self._index = index


def _changes_since(view: View, index: VectorIndex | None) -> tuple[int, int]:
    """Subjects enrolled or changed, and those gone or changed, since the index was built; without one all are new."""
    covered = view.first_after(index.manifest.sequence) if index else 0
    live = view.live_before(covered)
    gone = index.manifest.count - live if index else 0
    return view.live_before(len(view.ids)) - live, gone
