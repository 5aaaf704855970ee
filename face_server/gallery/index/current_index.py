"""The index in use: which it is, when and how another takes its place, and what is told of it. Owns the index directory
on behalf of the gallery; may not know config.ini, the store, LMDB, Annoy, scores or the wire.

A build is a process of its own (build_process.py). What it leaves is looked through here, published, and only then
used; whatever goes wrong before, the former one stays in use. None of that holds up a search.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable

from face_server.errors import ConfigError, IndexFailed, StorageFull
from face_server.gallery.directory import is_memory_backed
from face_server.gallery.index.annoy_index import Loaded, VectorIndex, load_index, open_generation, require_fits
from face_server.gallery.index.build_process import BuildProcess
from face_server.gallery.index.build_task import Task
from face_server.gallery.index.manifest import IndexUnusable, Manifest, drop_index, prepare, publish, sweep
from face_server.gallery.index.rebuilding import Rebuilder
from face_server.gallery.options import GalleryOptions
from face_server.gallery.results import IndexStatus, RebuildResult
from face_server.gallery.rows import View
from face_server.observing import Observer

log = logging.getLogger(__name__)

#: With fewer subjects `auto` measures nothing. To look at 10,000 takes 0.4 ms where a request takes 28, and for a
#: recall of 0.999 Annoy looks at half of so many, in twice the time (made-up vectors, 512-D, 10 to 100 trees).
FLOOR_SUBJECTS = 10_000


class CurrentIndex:
    """The index of one gallery. `lock` guards `index`, which is read and swapped together with the gallery's rows.

    settled: gives the rows of a moment when every committed change has been made in them, and the highest template id
    there ever was. Raises ConfigError where Annoy's file may lie in memory only, and its directory does not.
    """

    def __init__(
        self,
        options: GalleryOptions,
        store_id: str,
        lock: threading.Lock,
        settled: Callable[[], tuple[View, int]],
        observer: Observer,
    ) -> None:
        self._options, self._store_id, self._lock, self._settled = options, store_id, lock, settled
        self._process = BuildProcess()
        self._rebuilder = Rebuilder(self._build, observer)
        self._manifest: Manifest | None = None
        #: What proposes candidates; None where every search looks at everybody.
        self.index: VectorIndex | None = None
        self._allowed = self._may_use_annoy()

    def close(self) -> None:
        """End a running build; no other starts. Harmless when repeated."""
        self._process.close()
        self._rebuilder.close()

    def load(self) -> None:
        """Take the index of an earlier run when it is whole and knows what this gallery holds; before any search."""
        view, sequence = self._settled()
        count = view.live_before(len(view.ids))
        try:
            if not self._wants_annoy(count):
                drop_index(self._options.index_path)
                return
            self._take(view, sequence)
        except (IndexUnusable, OSError) as error:
            self._rebuilder.error = str(error) if count else None

    def status(self, view: View) -> IndexStatus:
        """How the index stands to these rows, which were taken with it."""
        wanted = self._wants_annoy(view.live_before(len(view.ids)))
        manifest = self._manifest
        missing = wanted and manifest is None
        overlay = _changes_since(view, manifest)[0] if missing or self.index else 0
        return IndexStatus(
            state="building" if self._rebuilder.is_running else "absent" if missing else "ready",
            configured=self._options.kind,
            kind="annoy" if self.index else "exact",
            overlay=overlay,
            subjects=manifest.count if manifest else 0,
            built_s=manifest.built_s if manifest else None,
            manifest=manifest,
            progress=self._process.progress,
            error=self._rebuilder.error,
        )

    def rebuild(self) -> RebuildResult:
        """As Gallery.rebuild."""
        return self._rebuilder.run()

    def rebuild_or_drop(self) -> None:
        """Begin a build and wait for it, and have none rather than one that holds who was removed before this call.

        Raises StorageFull, ShuttingDown.
        """
        try:
            self._rebuilder.run_anew()
        except IndexFailed:
            try:
                self._use_none()
            except OSError as error:
                raise self._unwritten(error) from error

    def rebuild_if_needed(self, view: View) -> None:
        """Start a build in a thread when Annoy is wanted, and there is none or too many changes since it was built."""
        if not self._options.background or not self._wants_annoy(view.live_before(len(view.ids))):
            return
        manifest = self._manifest
        # A share of the index, so that importing many people does not build it anew every thousand of them.
        most = max(self._options.overlay_max, manifest.count // 10) if manifest else 0
        if sum(_changes_since(view, manifest)) > most:
            self._rebuilder.start()

    def _wants_annoy(self, subjects: int) -> bool:
        kind = self._options.kind
        return self._allowed and (kind == "annoy" or (kind == "auto" and subjects >= FLOOR_SUBJECTS))

    def _may_use_annoy(self) -> bool:
        """Whether a file of vectors may lie in the index directory; where it may not, none stays there."""
        path, kind = self._options.index_path, self._options.kind
        if not self._options.memory_only_index or kind == "exact" or is_memory_backed(path):
            return True
        with contextlib.suppress(OSError):  # a directory that is not ours holds no file of ours
            drop_index(path)
        if kind == "annoy":
            raise ConfigError(
                f"The gallery is encrypted, and an index of Annoy's in {path} would hold its vectors in the clear: let "
                "[index] path be on a file system in memory (tmpfs), or set [index] kind = exact."
            )
        return False

    # Loading

    def _take(self, view: View, sequence: int) -> None:
        options = self._options
        manifest, index = loaded = load_index(
            options.index_path,
            store_id=self._store_id,
            fingerprint=options.fingerprint,
            dimension=options.dimension,
        )
        self._require_as_configured(manifest)
        _require_fits(loaded, view, sequence)
        self._manifest, self.index = manifest, index

    def _require_as_configured(self, manifest: Manifest) -> None:
        measured, options = manifest.measured, self._options
        if measured is None or measured.target < options.recall:
            raise IndexUnusable("The index was built for a lower recall than [index] recall.")
        if options.kind == "annoy" and manifest.kind == "exact":
            raise IndexUnusable("Annoy was found to be no cheaper than exact search, and is asked for now.")
        if options.kind == "auto" and manifest.kind == "annoy" and measured.annoy_s >= measured.exact_s:
            raise IndexUnusable("The index costs more than exact search.")

    # Building

    def _build(self) -> RebuildResult:
        started_s = time.monotonic()
        try:
            count = self._built()
        except OSError as error:
            log.warning("the index was not built: %s", error)
            raise self._unwritten(error) from error
        except (IndexFailed, StorageFull) as error:
            log.warning("the index was not built: %s", error)
            raise
        return RebuildResult(count, time.monotonic() - started_s)

    def _unwritten(self, error: OSError) -> StorageFull:
        return StorageFull(f"The index in {self._options.index_path} could not be written: {error}.")

    def _built(self) -> int:
        view, _ = self._settled()
        count = view.live_before(len(view.ids))
        if not count or not self._wants_annoy(count):
            self._use_none()
            return count
        options = self._options
        prepare(options.index_path)
        try:
            manifest = self._process.build(self._task())
            if manifest.count:
                self._use(manifest)
            else:  # everybody was removed meanwhile
                self._use_none()
        finally:
            # What a dead build left; nothing after a success.
            sweep(options.index_path, self._manifest)
        return manifest.count

    def _task(self) -> Task:
        options = self._options
        return Task(
            store=str(options.store_path),
            key_file=str(options.key.path) if options.key else None,
            index=str(options.index_path),
            trees=options.trees,
            trees_max=options.trees_max,
            neighbours=options.neighbours,
            search_k_max=options.search_k_max,
            recall=options.recall,
            or_exact=options.kind == "auto",
        )

    def _use(self, manifest: Manifest) -> None:
        """Look through what was built, publish and use it. Raises IndexFailed, OSError."""
        options = self._options
        try:
            manifest.require_own(self._store_id, options.fingerprint, options.dimension)
            _, index = loaded = open_generation(options.index_path, manifest)
            _require_fits(loaded, *self._settled())
        except IndexUnusable as error:
            raise IndexFailed(str(error)) from error
        publish(options.index_path, manifest)
        with self._lock:
            self._manifest, self.index = manifest, index
        log.info("the index: %s", _told(manifest))

    def _use_none(self) -> None:
        """Every search looks at everybody from now on. Raises OSError."""
        drop_index(self._options.index_path)
        with self._lock:
            self._manifest = self.index = None


def _require_fits(loaded: Loaded, view: View, sequence: int) -> None:
    require_fits(loaded, view.ids, view.vectors, view.live(len(view.ids)), sequence)


def _changes_since(view: View, manifest: Manifest | None) -> tuple[int, int]:
    """Subjects enrolled or changed, and those gone or changed, since it was built; without one all are new."""
    covered = view.first_after(manifest.sequence) if manifest else 0
    live = view.live_before(covered)
    gone = manifest.count - live if manifest else 0
    return view.live_before(len(view.ids)) - live, gone


def _told(manifest: Manifest) -> str:
    measured = manifest.measured
    if measured is None:
        return manifest.kind
    return (
        f"{manifest.kind}, {manifest.count} subjects; Annoy with {manifest.trees} trees and search_k "
        f"{manifest.search_k} missed {measured.misses} of {measured.probes} probes in {measured.annoy_s * 1000:.2f} ms "
        f"each, exact search takes {measured.exact_s * 1000:.2f} ms"
    )
