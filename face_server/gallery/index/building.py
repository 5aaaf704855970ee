"""Builds an index from a store: a program of its own, `python -m face_server.gallery.index.building`, since a build
takes processor and memory that searches must not miss, and Annoy or a damaged file may end a process by a signal.

It reads a task, one line of JSON, from standard input, and ends when that is closed: with whoever started it. It tells
in lines of JSON how far it is, and at last a manifest, which it does not publish, or why there is none. May not know
config.ini, and writes nothing but the files of one generation.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from face_server.errors import StartupError
from face_server.gallery.index.annoy_index import Forest, VectorIndex
from face_server.gallery.index.build_task import PHASES, Task, spare_cores
from face_server.gallery.index.manifest import SCHEMA, IndexUnusable, Manifest, draw_names, seal
from face_server.gallery.index.tuning import Choice, Limits, RecallTooLow, Tuning
from face_server.gallery.rows import Rows, View
from face_server.gallery.store.contents import Snapshot
from face_server.gallery.store.reading import StoreReader
from face_server.gallery.store.sealing import StoreKey
from face_server.types import FloatArray, SubjectId

#: Between two reports of one phase: often enough for a bar, seldom enough to cost the reader nothing.
_REPORT_S = 0.2

Say = Callable[[dict[str, Any]], None]


class Progress:
    """Says how far it is: the phase, and the share (0 to 1) that is done of the whole."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._phase = ""
        self._next_s = 0.0
        self._done = 0.0

    def __call__(self, phase: str, share: float) -> None:
        """So much of this phase is done. More trees than at first are more work, and not the way back of a bar."""
        if phase == self._phase and time.monotonic() < self._next_s:
            return
        self._phase, self._next_s = phase, time.monotonic() + _REPORT_S
        before = sum(list(PHASES.values())[: list(PHASES).index(phase)])
        self._done = max(self._done, before + PHASES[phase] * min(share, 1.0))
        self._say({"phase": phase, "done": round(self._done, 4)})


def build(task: Task, progress: Progress) -> Manifest:
    """The manifest of a new generation, whose files lie there; with a count of 0 where there is nobody to find.

    Raises StartupError, IndexUnusable and OSError; then no file of it is left.
    """
    view, manifest = _read(Path(task.store), task.key_file, progress)
    if not manifest.count:
        return manifest
    files = draw_names(Path(task.index))
    try:
        return _generation(task, view, manifest, files, progress)
    except BaseException:
        _delete(files)
        raise


def _read(store: Path, key_file: str | None, progress: Progress) -> tuple[View, Manifest]:
    """Everybody as the gallery itself would load them, and what is known of an index of them by now."""
    progress("reading", 0.0)
    key = StoreKey.read(Path(key_file)) if key_file else None
    with StoreReader(store, key) as reader:
        with reader.snapshot() as stored:
            newest = stored.newest_ids()
            rows = Rows.load(reader.dimension, stored.sequence, newest, _told(stored, len(newest), progress))
        view = rows.view()
        manifest = Manifest(
            schema=SCHEMA,
            store_id=reader.store_id,
            fingerprint=reader.fingerprint,
            dimension=reader.dimension,
            kind="exact",
            count=len(view.ids),
            sequence=rows.sequence,
            built_s=time.time(),
            trees=0,
            search_k=0,
            measured=None,
            annoy=None,
            ids=None,
        )
    return view, manifest


def _told(stored: Snapshot, subjects: int, progress: Progress) -> Iterator[tuple[int, SubjectId, FloatArray]]:
    last, passed = None, 0
    for template in stored:
        if template[1] != last:
            last, passed = template[1], passed + 1
            progress("reading", passed / subjects)
        yield template


def _generation(task: Task, view: View, manifest: Manifest, files: tuple[Path, Path], progress: Progress) -> Manifest:
    annoy_path, ids_path = files
    view.ids.astype("<i8").tofile(ids_path)
    manifest, choice = _found_enough(task, view, manifest, annoy_path, progress)
    manifest = replace(manifest, search_k=choice.search_k, measured=choice.measured)
    progress("writing", 0.0)
    if choice.exact:
        _delete(files)
        return manifest
    return replace(manifest, kind="annoy", annoy=seal(annoy_path), ids=seal(ids_path))


def _found_enough(
    task: Task, view: View, manifest: Manifest, path: Path, progress: Progress
) -> tuple[Manifest, Choice]:
    """The choice with the fewest trees, doubled from those asked for, that find enough. Raises RecallTooLow."""
    limits = Limits(task.recall, task.neighbours, task.search_k_max, task.or_exact)
    trees = task.trees
    while True:
        forest = _grown(view.vectors, trees, progress)
        progress("growing", 1.0)
        forest.save(path)  # from here on as the daemon has it: a file in the page cache
        manifest = replace(manifest, trees=trees)
        VectorIndex(manifest, view.ids, forest).require_knows(view.ids, view.vectors, np.arange(len(view.ids)))
        progress("measuring", 0.0)
        try:
            return manifest, Tuning(forest, trees, view, limits, lambda share: progress("measuring", share)).choose()
        except RecallTooLow:
            if trees >= task.trees_max:
                raise
        trees = min(2 * trees, task.trees_max)


def _delete(files: tuple[Path, Path]) -> None:
    for path in files:
        path.unlink(missing_ok=True)


def _grown(vectors: FloatArray, trees: int, progress: Progress) -> Forest:
    passes = 0

    def grown() -> None:
        nonlocal passes
        passes += 1
        progress("growing", passes / trees)

    with _trees_told(grown):
        return Forest.grow(
            vectors,
            trees,
            spare_cores(),
            lambda share: progress("adding", share),
            lambda: progress("growing", 0.0),
        )


@contextlib.contextmanager
def _trees_told(grown: Callable[[], None]) -> Iterator[None]:
    """Call `grown` for each tree: Annoy tells them on standard error alone, and nothing else of use there."""
    read, write = os.pipe()
    kept = os.dup(2)
    os.dup2(write, 2)
    os.close(write)

    def listen() -> None:
        with os.fdopen(read, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith("pass "):
                    grown()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        listener.join()


def _step_back() -> None:
    """Leave processor and disk to whoever wants them, and be the first to go where memory runs out.

    A thread's, in Linux: those that numpy has started already are asked too. The disk's priority follows from nice.
    """
    try:
        threads = [int(path.name) for path in Path("/proc/self/task").iterdir()]
    except OSError:
        threads = [0]
    for thread in threads:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, 19)
        with contextlib.suppress(OSError, AttributeError):
            os.sched_setscheduler(thread, os.SCHED_BATCH, os.sched_param(0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _end_with_standard_input() -> None:
    """Whoever started this holds the other end: it is closed on purpose, or by the end of that process."""

    def wait() -> None:
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _say(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Read the task, build, and tell."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for who started this
    task = Task(**json.loads(sys.stdin.readline()))
    _end_with_standard_input()
    _step_back()
    try:
        _say({"manifest": asdict(build(task, Progress(_say)))})
    except BrokenPipeError:  # nobody listens any more
        return
    except OSError as error:
        _say({"failed": "storage", "message": f"The index in {task.index} could not be written: {error}."})
    except MemoryError:
        _say({"failed": "index", "message": "There was not enough memory to build the index."})
    except (StartupError, IndexUnusable) as error:
        _say({"failed": "index", "message": str(error)})


if __name__ == "__main__":
    main()
