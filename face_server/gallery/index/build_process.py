"""The process that builds an index, seen from the one that wants it: starts it, hears how far it is, and ends it. Owns
that process's life and what becomes of its words; may not know what an index is made of.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict
from typing import IO, Any

from face_server.errors import IndexFailed, ShuttingDown, StorageFull
from face_server.gallery.index.build_task import PHASES, Task, spare_cores
from face_server.gallery.index.manifest import IndexUnusable, Manifest
from face_server.gallery.results import BuildProgress

#: What the libraries of linear algebra read their number of threads from.
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


class BuildProcess:
    """Runs one build at a time in a process of its own, which ends with this one however this one ends."""

    #: The program; it is given a task on its standard input.
    command: tuple[str, ...] = (sys.executable, "-m", "face_server.gallery.index.building")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._closed = False
        #: How far the running build is; None when none runs.
        self.progress: BuildProgress | None = None

    def build(self, task: Task) -> Manifest:
        """The manifest of the files that lie in the index directory then; nothing is published.

        Raises ShuttingDown once closed, StorageFull and IndexFailed with what the process said or died of.
        """
        process = self._start()
        try:
            last = self._listen(process, task)
            status = process.wait()
        finally:
            self._end(process)
        with self._lock:
            if self._closed:
                raise ShuttingDown("The gallery is closing; the index was not built.")
        return _outcome(last, status)

    def close(self) -> None:
        """End a running build at once; no other starts. Harmless when repeated."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()

    def _start(self) -> subprocess.Popen[str]:
        with self._lock:
            if self._closed:
                raise ShuttingDown("The gallery is closing.")
            # In our session: the kernel weighs niceness only within one. Standard error is ours too, for the log.
            try:
                self._process = subprocess.Popen(
                    self.command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    env=os.environ | dict.fromkeys(_THREADS, str(spare_cores())),
                )
            except OSError as error:
                raise IndexFailed(f"The program that builds the index could not be started: {error}.") from error
            self.progress = BuildProgress(next(iter(PHASES)), 0.0)
            return self._process

    def _listen(self, process: subprocess.Popen[str], task: Task) -> dict[str, Any]:
        """Its last words; {} when there were none."""
        last: dict[str, Any] = {}
        try:
            stdin, stdout = _pipes(process)
            stdin.write(json.dumps(asdict(task)) + "\n")
            stdin.flush()
            for line in stdout:
                last = json.loads(line)
                if "phase" in last:
                    self.progress, last = BuildProgress(last["phase"], last["done"]), {}
        except (OSError, ValueError):  # it is gone, in the middle of a word perhaps; its status says how
            return {}
        return last

    def _end(self, process: subprocess.Popen[str]) -> None:
        process.kill()
        with self._lock:
            self._process, self.progress = None, None
        process.wait()
        for pipe in _pipes(process):
            try:
                pipe.close()
            except OSError:  # of words that it did not take any more
                continue


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    if process.stdin is None or process.stdout is None:
        raise OSError("the builder of the index has no pipes")
    return process.stdin, process.stdout


def _outcome(last: dict[str, Any], status: int) -> Manifest:
    if "manifest" in last:
        try:
            return Manifest.of_fields(last["manifest"])
        except IndexUnusable as error:
            raise IndexFailed(str(error)) from error
    if "failed" in last:
        raise (StorageFull if last["failed"] == "storage" else IndexFailed)(last["message"])
    raise IndexFailed(f"The process that built the index ended {_cause(status)}.")


def _cause(status: int) -> str:
    if status == -signal.SIGKILL:
        return "in SIGKILL: somebody, or the kernel for want of memory (its log has it), killed it"
    if status == -signal.SIGILL:
        return "in SIGILL: its Annoy was compiled for another processor; install it anew on this machine"
    try:
        return f"in {signal.Signals(-status).name}" if status < 0 else f"with status {status}; the log has more"
    except ValueError:
        return f"in signal {-status}"
