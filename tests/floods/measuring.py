"""How an honest client fares while a daemon is attacked, and what the attack costs the daemon. Prints nothing."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from daemons import Daemon
from floods.attacks import MAX_CONNECTIONS, Attack, photo_of, under

from face_server.errors import Busy, Unreachable
from face_server.types import SubjectId

#: Of the daemon that is attacked: small limits, which an attack reaches sooner.
SETTINGS = f"""
max_connections = {MAX_CONNECTIONS}
max_buffered_bytes = 67108864
queue_size = 8
"""
REQUESTS = 40
MIB = 1 << 20


@dataclass
class Honest:
    """The requests of somebody who wants in; each on a connection of its own, as the site makes them."""

    right_ms: list[float] = field(default_factory=list)
    busy_ms: list[float] = field(default_factory=list)
    cut_off: int = 0
    wrong: list[SubjectId | None] = field(default_factory=list)

    def ask(self, daemon: Daemon, photo: bytes, expected: SubjectId) -> None:
        started = time.monotonic()
        try:
            with daemon.client("web") as client:
                found = client.identify(photo).id
        except Busy:
            self.busy_ms.append(1000 * (time.monotonic() - started))
        except Unreachable:
            self.cut_off += 1
        else:
            took_ms = 1000 * (time.monotonic() - started)
            self.right_ms.append(took_ms) if found == expected else self.wrong.append(found)


def p95(times_ms: list[float]) -> float | None:
    """None of too few to speak of."""
    return statistics.quantiles(times_ms, n=20)[-1] if len(times_ms) >= 10 else None


@dataclass(frozen=True)
class Outcome:
    """What one attack came to."""

    name: str
    tries: int
    quiet: Honest
    honest: Honest
    grown_bytes: int
    descriptors_left: int
    stored_before: tuple[int, int]
    stored_after: tuple[int, int]


def measure(daemon: Daemon, kind: Callable[[Attack], None], photos: Path, requests: int = REQUESTS) -> Outcome:
    """Attack a daemon that has `obama` enrolled, and let an honest client ask for him all the while."""
    photo = photo_of(photos / "obama3.jpg")
    attack = Attack(daemon, photo_of(photos / "biden.jpg"))
    process = psutil.Process(daemon.process.pid)
    quiet, honest = Honest(), Honest()
    for _ in range(requests):
        quiet.ask(daemon, photo, "obama")
    memory, descriptors = process.memory_info().rss, process.num_fds()
    stored_before = _stored(daemon)
    with under(attack, kind), _Peak(process) as peak:
        for _ in range(requests):
            honest.ask(daemon, photo, "obama")
    left = _settled(lambda: process.num_fds() - descriptors)
    return Outcome(
        kind.__name__.replace("_", " "),
        attack.tries,
        quiet,
        honest,
        peak.bytes - memory,
        left,
        stored_before,
        _stored(daemon),
    )


def _stored(daemon: Daemon) -> tuple[int, int]:
    with daemon.client() as client:
        status = client.status()
        return status.subjects, status.templates


def _settled(left: Callable[[], int]) -> int:
    """What is left when nothing changes for the better any more."""
    deadline = time.monotonic() + 60
    while left() > 0 and time.monotonic() < deadline:
        time.sleep(0.1)
    return left()


class _Peak:
    """The most memory a process had meanwhile, looked at 20 times a second."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.bytes = 0

    def __enter__(self) -> _Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            self.bytes = max(self.bytes, self._process.memory_info().rss)
