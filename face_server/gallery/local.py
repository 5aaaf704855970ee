"""The gallery on one machine: store (truth), rows in memory, index (proposals) and overlay, kept in step. Owns the
order of their changes; may not know config.ini, thresholds, LMDB, Annoy, processes or the wire.

Every change is committed in the store, then made in memory, then answered. A search takes what the index proposes, less
what has been removed or changed, and looks itself at the overlay: every row that is newer than the index. Scores are
always exact, on centroids of the vectors that the store holds. Without a usable index all rows are the overlay: a
search is right in every state, and only slower in some.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from face_server.errors import StoreDamaged, UnknownSubject
from face_server.gallery.index.annoy_index import VectorIndex
from face_server.gallery.index.current_index import CurrentIndex
from face_server.gallery.options import GalleryOptions
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
from face_server.gallery.store.template_store import TemplateStore
from face_server.observing import NOBODY, Observer, Stage, timed
from face_server.types import Candidate, FloatArray, SubjectId, Template, subject_key


class LocalGallery:
    """A Gallery in two directories, held by one process.

    Raises StoreLocked, StoreDamaged, ModelMismatch and KeyMismatch as TemplateStore does, ConfigError as CurrentIndex.
    """

    def __init__(self, options: GalleryOptions, observer: Observer = NOBODY) -> None:
        self._options = options
        self._observer = observer
        self._changing = threading.Lock()  # one change at a time, so that rows come in the order of their ids
        self._lock = threading.Lock()  # rows and index
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
            self._current = CurrentIndex(options, self._store.store_id, self._lock, self._settled, observer)
            self._current.load()
        except StoreDamaged as error:
            self._store.close()
            remedy = "stop, and run face-server restore with your last backup"
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
        """End a running build, and give the store back."""
        self._current.close()
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
        ValueError.
        """
        before = self._files()
        removal = self.remove(subjects)
        self._store.compact()
        self._current.rebuild_or_drop()
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
                view, index = self._rows.view(), self._current.index
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
        ids = index.query(probe, max(self._options.neighbours, wanted) + spare)
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
            return self._current.status(self._rows.view())

    def rebuild(self) -> RebuildResult:
        """Build the index anew and use it; when a build runs, wait for that one and give its result.

        Raises ShuttingDown once the gallery closes, StorageFull when the index cannot be written, IndexFailed when the
        building ended or found too little. The former index, if there is one, then stays in use.
        """
        return self._current.rebuild()

    def rebuild_if_needed(self) -> None:
        """Start a build in a thread when an index is wanted, and there is none or too many changes since."""
        with self._lock:
            view = self._rows.view()
        self._current.rebuild_if_needed(view)

    def _settled(self) -> tuple[View, int]:
        """The rows with every change that is in the store, and the highest template id there ever was."""
        with self._changing, self._lock:
            self._rows.compact()
            return self._rows.view(), self._rows.sequence
