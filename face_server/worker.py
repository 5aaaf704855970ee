"""One thread that does the work, and a short queue in front of it. Knows no sockets and no faces.

The networks and the gallery's writes belong to this thread alone, so nothing in them needs a lock against another
request. A full queue answers `busy` at once, and so is answered what has waited too long: a wait that ends in a
time-out helps nobody, and whoever asked has mostly gone by then.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from face_server.errors import Busy, ShuttingDown

T = TypeVar("T")


class Worker:
    """Runs callables one after the other. The thread is a daemon: a stuck one must not keep the process alive."""

    def __init__(self, queue_size: int, queue_timeout_s: float = math.inf) -> None:
        self._tasks: queue.Queue[tuple[float, Future[Any], Callable[[], Any]] | None] = queue.Queue()
        self._queue_size = queue_size
        self._queue_timeout_s = queue_timeout_s
        self._closed = False
        self._began_s: float | None = None
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Tasks that wait for the thread."""
        return self._tasks.qsize()

    @property
    def busy_s(self) -> float:
        """Seconds that the thread has been at the task in hand; 0 without one."""
        began_s = self._began_s
        return 0.0 if began_s is None else time.monotonic() - began_s

    def submit(self, task: Callable[[], T]) -> Future[T]:
        """The task's future result; Busy, undone, where it waited for more than `queue_timeout_s`.

        Raises Busy when `queue_size` wait already, ShuttingDown after close().
        """
        if self._closed:
            raise ShuttingDown("the daemon is stopping; ask again when it is back")
        if self._tasks.qsize() >= self._queue_size:
            raise Busy(f"{self._queue_size} requests are waiting already; ask again in a moment")
        future: Future[T] = Future()
        self._tasks.put((time.monotonic(), future, task))
        return future

    def close(self, timeout_s: float) -> bool:
        """Take no more, finish what is queued; False when that took longer than timeout_s."""
        if not self._closed:
            self._closed = True
            self._tasks.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (item := self._tasks.get()) is not None:
            since_s, future, task = item
            if not future.set_running_or_notify_cancel():
                continue
            self._began_s = time.monotonic()
            try:
                if self._began_s - since_s > self._queue_timeout_s:
                    raise Busy(f"this waited for more than {self._queue_timeout_s:g} s; ask again in a moment")
                future.set_result(task())
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the future
                future.set_exception(error)
            self._began_s = None
            # A held reference would keep the last request's images alive until the next one comes.
            del item, future, task


def run_aside(task: Callable[[], T]) -> Future[T]:
    """The future result of a task in a thread of its own, beside the worker; the process may end before it does."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(task())
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the future
            future.set_exception(error)

    threading.Thread(target=run, name="aside", daemon=True).start()
    return future
