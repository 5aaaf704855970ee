"""Kills a process that holds a gallery, again and again, and holds what it finds then against what was acknowledged."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from crashes.history import History, Operation, State

TESTS = Path(__file__).parents[1]
#: A child that says nothing for so long hangs, which is a finding too.
_PATIENCE_S = 120.0
#: Operations of a round before the one that is cut short.
_MOST_BEFORE = 6


@dataclass(frozen=True)
class Round:
    """One kill. point: where it struck; outcome: what the operation under way had come to, `HARM: ...` for a defect."""

    number: int
    kind: str
    point: str
    outcome: str

    @property
    def harm(self) -> bool:
        return self.outcome.startswith("HARM")


class Child:
    """The process of child.py."""

    def __init__(self, directory: Path, killer: Path, sealed: bool) -> None:
        self._log = directory / "steps.log"
        self._log.unlink(missing_ok=True)
        with (directory / "child.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "crashes.child", str(directory), *(["sealed"] if sealed else [])],
                cwd=TESTS,
                env={**os.environ, "LD_PRELOAD": str(killer), "STEPS_LOG": str(self._log), "PYTHONPATH": ".:gallery"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self._hung = threading.Timer(_PATIENCE_S, self.process.kill)
        self._hung.start()

    def ask(self, operation: Operation, die_at: int = 0) -> None:
        line = json.dumps(operation.as_json() | {"die_at": die_at}) + "\n"
        self.process.stdin.write(line.encode())
        self.process.stdin.flush()

    def told(self) -> dict[str, Any] | None:
        """The next line; None when the process is gone."""
        line = self.process.stdout.readline()
        return json.loads(line) if line.endswith(b"\n") else None

    def point(self) -> str:
        """Where it was killed, without what is random in the names of files."""
        told = self._log.read_text().strip().replace("\n", "; ") if self._log.exists() else "at any moment"
        return re.sub(r"\b[0-9a-f]{8,}\b|\b[a-z0-9_]{8}(?=\.tmp)", "*", told)

    def end(self) -> None:
        self._hung.cancel()
        self.process.kill()
        self.process.wait()
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()


@dataclass
class Harness:
    """Rounds on one directory, each on what the former one left."""

    directory: Path
    killer: Path
    random: Random
    kinds: Mapping[str, int]
    history: History = field(init=False)
    #: How many steps an operation of a kind has taken, and for how long.
    _steps: dict[str, int] = field(default_factory=dict)
    _seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.history = History(self.random)

    def rounds(self, count: int) -> Iterator[Round]:
        """So many kills, and one more look at the end."""
        cut_short: Operation | None = None
        point = ""
        for number in range(count + 1):
            child = Child(self.directory, self.killer, "rekey" in self.kinds)
            try:
                outcome = self._look(child.told(), cut_short)
                if cut_short is not None or outcome.startswith("HARM"):
                    yield Round(number, cut_short.kind if cut_short else "start", point, outcome)
                if outcome.startswith("HARM"):
                    return
                for _ in range(self.random.randrange(_MOST_BEFORE)):
                    self._do(child)
                cut_short, point = self._cut_short(child)
            finally:
                child.end()

    def _look(self, told: dict[str, Any] | None, cut_short: Operation | None) -> str:
        """Which of the allowed states the gallery is in."""
        if told is None:
            return f"HARM: it does not start any more: {(self.directory / 'child.log').read_text()[-300:]}"
        # A forgetting whose build fails leaves no index rather than one that holds who was to be forgotten.
        dropped = cut_short is not None and cut_short.kind in ("restore", "forget")
        if told["wrong"] or (told["error"] and self.history.indexed and not dropped):
            return f"HARM: {told['wrong'][:3]} {told['error']}"
        enrolled = {name: tuple(seeds) for name, seeds in told["enrolled"].items()}
        if told["counts"] != [len(enrolled), sum(map(len, enrolled.values()))]:
            return f"HARM: counts {told['counts']}"
        lost = bool(told["error"]) and self.history.indexed
        for outcome, state in self.history.outcomes(cut_short):
            if enrolled == state:
                if cut_short is not None and cut_short.kind == "backup":
                    self.history.saved = None  # the file may be the former one or the new one
                if cut_short is not None and outcome == "done":
                    self.history.acknowledge(cut_short)
                # Not what an operation leaves that came to its end: a forgetting may be done, and its index not built.
                self.history.indexed = bool(enrolled) and not told["error"]
                return f"{outcome}, without an index" if lost and enrolled else outcome
        return f"HARM: {_difference(self.history.state, enrolled)}"

    def _do(self, child: Child) -> None:
        operation = self.history.draw(self.kinds)
        started_s = time.monotonic()
        child.ask(operation)
        told = child.told()
        if told is None:
            raise RuntimeError(f"{operation} ended the process: {(self.directory / 'child.log').read_text()[-2000:]}")
        self._steps[operation.kind] = told["done"]
        self._seconds[operation.kind] = time.monotonic() - started_s
        self.history.acknowledge(operation)

    def _cut_short(self, child: Child) -> tuple[Operation, str]:
        """Kill it within an operation: half of the time at a step, half at any moment."""
        while True:
            operation = self.history.draw(self.kinds)
            steps = self._steps.get(operation.kind, 0)
            at_step = self.random.randint(1, steps) if steps and self.random.random() < 0.5 else 0
            seconds = self._seconds.get(operation.kind, 0.01)
            killed = threading.Timer(self.random.uniform(0, seconds), child.process.kill)
            try:
                child.ask(operation, at_step)
            except BrokenPipeError:  # the kill before came just after the answer
                return Operation("none"), "between operations"
            if not at_step:
                killed.start()
            answered = child.told() is not None
            killed.cancel()
            if not answered:
                child.process.wait()
                return operation, child.point()
            self.history.acknowledge(operation)  # it was done before the kill came


def make_killer(directory: Path) -> Path:
    """steps.c, compiled; the compiler that builds Annoy is there."""
    library = directory / "steps.so"
    source = Path(__file__).with_name("steps.c")
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


def _difference(expected: State, found: State) -> str:
    names = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
    return ", ".join(f"{name}: {expected.get(name)} became {found.get(name)}" for name in names[:5])


def table(rounds: list[Round]) -> list[str]:
    """How often each operation was killed at each point, and what came of it."""
    counted = Counter((one.kind, one.point, one.outcome) for one in rounds)
    lines = ["| operation | killed | outcome | rounds |", "|---|---|---|---|"]
    lines += [f"| {kind} | {point} | {outcome} | {n} |" for (kind, point, outcome), n in sorted(counted.items())]
    return lines
