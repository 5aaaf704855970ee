"""The one thread that works, and its short queue."""

from __future__ import annotations

import threading
import weakref

import pytest
from stub_server import wait_until

from face_server.errors import Busy, ShuttingDown
from face_server.worker import Worker, run_aside

PATIENCE_S = 60.0


class Gate:
    """A task that waits to be let go, and tells when it began."""

    def __init__(self) -> None:
        self.began, self.go = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.began.set()
        if not self.go.wait(PATIENCE_S):
            raise TimeoutError
        return "done"


def test_tasks_are_done_one_after_the_other_in_their_order() -> None:
    worker = Worker(queue_size=100)
    order: list[tuple[int, str]] = []

    def task(n: int) -> int:
        order.append((n, threading.current_thread().name))
        return n * n

    futures = [worker.submit(lambda n=n: task(n)) for n in range(50)]
    assert [future.result(PATIENCE_S) for future in futures] == [n * n for n in range(50)]
    assert order == [(n, "worker") for n in range(50)]
    assert worker.close(PATIENCE_S)


def test_one_task_more_than_the_queue_holds_is_refused_and_the_rest_is_done() -> None:
    worker, gate = Worker(queue_size=2), Gate()
    running = worker.submit(gate)
    assert gate.began.wait(PATIENCE_S)
    waiting = [worker.submit(lambda: 1), worker.submit(lambda: 2)]
    assert worker.waiting == 2
    with pytest.raises(Busy, match="2 requests"):
        worker.submit(lambda: 3)
    gate.go.set()
    assert running.result(PATIENCE_S) == "done"
    assert [future.result(PATIENCE_S) for future in waiting] == [1, 2]
    assert worker.submit(lambda: 4).result(PATIENCE_S) == 4
    assert worker.close(PATIENCE_S)


def test_what_waited_too_long_is_busy_and_never_begun_and_what_comes_then_is_done() -> None:
    worker, gate, done = Worker(queue_size=2, queue_timeout_s=0.05), Gate(), []
    running = worker.submit(gate)
    assert gate.began.wait(PATIENCE_S)
    waiting = worker.submit(lambda: done.append("late"))
    gate.go.wait(0.1)
    gate.go.set()
    assert running.result(PATIENCE_S) == "done", "what was begun is finished, however long it takes"
    assert isinstance(waiting.exception(PATIENCE_S), Busy)
    assert worker.submit(lambda: "next").result(PATIENCE_S) == "next"
    assert done == []
    assert worker.close(PATIENCE_S)


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), MemoryError()])
def test_what_a_task_raises_belongs_to_who_waits_and_the_next_one_runs(error: BaseException) -> None:
    worker = Worker(queue_size=2)

    def fail() -> None:
        raise error

    assert worker.submit(fail).exception(PATIENCE_S) is error
    assert worker.submit(lambda: "alive").result(PATIENCE_S) == "alive"
    assert worker.close(PATIENCE_S)


def test_a_cancelled_task_is_not_begun() -> None:
    worker, gate, done = Worker(queue_size=2), Gate(), []
    worker.submit(gate)
    assert gate.began.wait(PATIENCE_S)
    assert worker.submit(lambda: done.append("cancelled")).cancel()
    last = worker.submit(lambda: done.append("kept"))
    gate.go.set()
    last.result(PATIENCE_S)
    assert done == ["kept"]
    assert worker.close(PATIENCE_S)


def test_a_close_finishes_what_is_queued_and_takes_no_more() -> None:
    worker, gate = Worker(queue_size=2), Gate()
    worker.submit(gate)
    queued = worker.submit(lambda: "finished")
    assert not worker.close(timeout_s=0.05)
    with pytest.raises(ShuttingDown):
        worker.submit(lambda: None)
    gate.go.set()
    assert worker.close(PATIENCE_S)
    assert queued.result(0) == "finished"


def test_a_finished_task_and_its_result_are_not_kept() -> None:
    class Image:
        pass

    worker = Worker(queue_size=2)
    image = Image()
    seen = weakref.ref(image)
    worker.submit(lambda image=image: image and None).result(PATIENCE_S)
    del image
    wait_until(lambda: seen() is None)  # the thread lets go a moment after the result is set
    assert worker.close(PATIENCE_S)


def test_a_task_aside_runs_while_the_worker_is_busy_and_gives_result_or_error() -> None:
    worker, gate = Worker(queue_size=2), Gate()
    worker.submit(gate)
    assert gate.began.wait(PATIENCE_S)
    assert run_aside(lambda: threading.current_thread().name).result(PATIENCE_S) == "aside"
    assert isinstance(run_aside(lambda: 1 // 0).exception(PATIENCE_S), ZeroDivisionError)
    gate.go.set()
    assert worker.close(PATIENCE_S)
