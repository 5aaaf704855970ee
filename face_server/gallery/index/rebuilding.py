"""One build at a time: whoever asks while one runs gets that one's result. Owns the thread and the pause after a
failure; may not know what is built.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait

from face_server.errors import FaceLoginError, ShuttingDown
from face_server.gallery.results import RebuildResult
from face_server.observing import NOBODY, Observer

#: A build that was ended needs no more than to be swept up; a disk that takes longer is not waited for.
CLOSE_S = 5.0
#: After a failed build the next automatic one waits so long: a full disk is not written to again at every enrolment.
_RETRY_S = 60.0
#: Or so many times as long as the failed one took, if that is more: it would mostly fail again.
_RETRY_SHARE = 20.0


class Rebuilder:
    """Runs `build()`, which raises FaceLoginError on failure, ShuttingDown when it was told to end."""

    def __init__(self, build: Callable[[], RebuildResult], observer: Observer = NOBODY) -> None:
        self._build = build
        self._observer = observer
        self._lock = threading.Lock()
        self._closed = False
        self._running: Future[RebuildResult] | None = None
        self._retry_at_s = 0.0
        #: Why the last attempt failed, None after a success.
        self.error: str | None = None

    @property
    def is_running(self) -> bool:
        return self._running is not None

    def run(self) -> RebuildResult:
        """Build here, or wait for the build that runs. Raises what it raised, ShuttingDown after `close`."""
        running, mine = self._claim()
        if mine:
            self._carry_out(running)
        return running.result()

    def run_anew(self) -> RebuildResult:
        """As `run`, of a build that begins after this call: one that runs already is waited for first."""
        running = self._running
        if running is not None:
            wait([running])
        return self.run()

    def start(self) -> None:
        """Build in a thread, unless one runs, one failed lately, or the end is near."""
        if self._closed or time.monotonic() < self._retry_at_s:
            return
        running, mine = self._claim()
        if mine:
            threading.Thread(target=self._carry_out, args=(running,), name="gallery-rebuild", daemon=True).start()

    def close(self) -> None:
        """Start no other, and wait a while for one that runs, which has been told to end. Harmless when repeated."""
        with self._lock:
            self._closed = True
            running = self._running
        if running is not None:
            wait([running], CLOSE_S)

    def _claim(self) -> tuple[Future[RebuildResult], bool]:
        with self._lock:
            if self._running is not None:
                return self._running, False
            if self._closed:
                raise ShuttingDown("The gallery is closing; the index was not built.")
            self._running = Future()
            return self._running, True

    def _carry_out(self, running: Future[RebuildResult]) -> None:
        started_s = time.monotonic()
        try:
            result = self._observed_build()
        except FaceLoginError as error:
            self._settle(str(error), started_s)
            running.set_exception(error)
        except BaseException as error:  # a mistake in here: those who wait must not wait for ever
            self._settle(repr(error), started_s)
            running.set_exception(error)
            raise
        else:
            self._settle(None, started_s)
            running.set_result(result)

    def _observed_build(self) -> RebuildResult:
        started_s, failed = time.monotonic(), True
        try:
            result = self._build()
            failed = False
        except ShuttingDown:  # told to stop, which is no failure
            failed = False
            raise
        finally:
            self._observer.rebuild(time.monotonic() - started_s, failed)
        return result

    def _settle(self, error: str | None, started_s: float) -> None:
        now_s = time.monotonic()
        with self._lock:
            self.error, self._running = error, None
            self._retry_at_s = now_s + max(_RETRY_S, _RETRY_SHARE * (now_s - started_s)) if error else 0.0
