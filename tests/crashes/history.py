"""What a gallery must hold after a history of operations, whose last may have been cut short. Knows no gallery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

#: Subjects and the seeds of their made-up templates, in the order of enrolment.
State = Mapping[str, tuple[int, ...]]

MOST_TEMPLATES = 5
SUBJECTS = 40


@dataclass(frozen=True)
class Operation:
    """One thing to do; `kind` is one of DEEDS in deeds.py."""

    kind: str
    subjects: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "subjects": list(self.subjects), "seeds": list(self.seeds)}


def after(state: State, done: Operation) -> State:
    """What is enrolled once it is done."""
    changed = dict(state)
    match done.kind:
        case "enrol":
            changed[done.subjects[0]] = (*state.get(done.subjects[0], ()), *done.seeds)
        case "replace":
            changed[done.subjects[0]] = done.seeds
        case "remove" | "forget":
            for subject in done.subjects:
                changed.pop(subject, None)
    return changed


@dataclass
class History:
    """Draws operations and follows them.

    saved: what the last backup holds, where one was made. indexed: there is an index, and it must be usable.
    """

    random: Random
    state: State = field(default_factory=dict)
    saved: State | None = None
    indexed: bool = False
    _fresh: int = 0

    def draw(self, kinds: Mapping[str, int]) -> Operation:
        """The next operation, of kinds with these weights."""
        kind = self.random.choices(list(kinds), list(kinds.values()))[0]
        if kind == "restore" and self.saved is None:
            kind = "backup"
        match kind:
            case "enrol" | "replace":
                subject = self._anybody()
                free = MOST_TEMPLATES - (len(self.state.get(subject, ())) if kind == "enrol" else 0)
                seeds = tuple(self._fresh_seeds(self.random.randint(1, 3)))
                return (
                    Operation(kind, (subject,), seeds)
                    if len(seeds) <= free
                    else Operation("replace", (subject,), seeds)
                )
            case "remove" | "forget":
                return Operation(kind, tuple({self._anybody() for _ in range(self.random.randint(1, 3))}))
            case "rekey":
                self.saved = None  # a backup needs the key of its time
            case "lose_builder":
                return Operation(kind, (), (self.random.randint(1, 12),))
        return Operation(kind)

    def outcomes(self, cut_short: Operation | None) -> Iterator[tuple[str, State]]:
        """What may be enrolled now: what was before the last operation, or after it; which, in a word."""
        yield "as before", self.state
        if cut_short is not None:
            yield "done", self.saved or {} if cut_short.kind == "restore" else after(self.state, cut_short)

    def acknowledge(self, done: Operation) -> None:
        """It is done, whatever comes."""
        if done.kind == "backup":
            self.saved = self.state
        self.state = (self.saved or {}) if done.kind == "restore" else after(self.state, done)
        if done.kind in ("rebuild", "forget", "restore"):
            self.indexed = done.kind != "restore" and bool(self.state)

    def _anybody(self) -> str:
        return f"subject-{self.random.randrange(SUBJECTS)}"

    def _fresh_seeds(self, count: int) -> Iterator[int]:
        for _ in range(count):
            self._fresh += 1
            yield self._fresh
