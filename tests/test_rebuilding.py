"""The index is rebuilt while a real daemon is asked over its socket: everybody is answered, and told how far it is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemons import Daemon, start_daemon

SETTINGS = "[index]\nkind = annoy\nrecall = 0.99"


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    running = start_daemon(tmp_path_factory.mktemp("indexed"), SETTINGS)
    yield running
    running.kill()


@pytest.mark.timeout(900)
def test_rebuilds_are_noticed_by_nobody_who_asks_the_daemon(indexed: Daemon, sample_photos: Path) -> None:
    photo, other = ((sample_photos / name).read_bytes() for name in ("obama2.jpg", "biden.jpg"))
    with indexed.client(timeout_s=200) as client:
        client.enrol("obama", [(sample_photos / "obama.jpg").read_bytes()])
        # The daemon has begun a build by itself; who asks for one meanwhile gets that one, without whoever came since.
        client.rebuild()
    told: list[Any] = []
    answers: list[Any] = []
    over = threading.Event()

    def ask() -> None:
        with indexed.client() as client:
            while not over.is_set():
                answers.append(client.identify(photo).id)

    def look() -> None:
        with indexed.client() as client:
            while not over.is_set():
                told.append(client.status().index)

    threads = [threading.Thread(target=ask), threading.Thread(target=look)]
    for thread in threads:
        thread.start()
    try:
        # A build has the lowest priority, and other tests keep the processors busy.
        with indexed.client(timeout_s=200) as client:
            for round_ in range(3):
                client.enrol("biden", [other], force=True)
                assert client.rebuild().subjects == 2
                assert client.identify(other).id == "biden"
                client.remove("biden")
                assert client.identify(other).match is False, round_
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert len(answers) > 3 and set(answers) == {"obama"}
    phases = {index.phase for index in told if index.state == "building"}
    assert len(phases - {None}) >= 2 and all(index.done is None or 0 <= index.done <= 1 for index in told)
    last = told[-1]
    assert (last.configured, last.kind, last.trees, last.error) == ("annoy", "annoy", 50, None)
    assert last.recall == 1 and last.recall_at_least is not None and last.recall_at_least >= 0.99
