"""Kills the whole daemon while a client enrols, removes and has the index built, and looks at what it knows then."""

from __future__ import annotations

import hashlib
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from crashes.history import Operation, State, after
from crashes.rounds import Round
from daemons import LIGHT, Daemon, start_daemon

from face_server.client import Client
from face_server.errors import Unreachable

#: A rebuild by itself after every few changes; one face may be several subjects.
SETTINGS = (
    f"{LIGHT}[index]\nkind = annoy\nrecall = 0.9\ntrees = 5\noverlay_max = 3\n"
    "[decision]\nrefuse_duplicates = false\n[log]\nlevel = warning\n"
)
SUBJECTS = 12
WEIGHTS = {"enrol": 6, "replace": 2, "remove": 3, "rebuild": 2}
#: A kill comes within this time of the first operation.
_ROUND_S = 2.5
#: One round in so many is killed while it starts.
_AT_START = 6


@dataclass
class WholeDaemon:
    """Rounds of one daemon's directory. photos: each of one face, good enough to enrol."""

    directory: Path
    photos: list[bytes]
    random: Random
    state: State = field(default_factory=dict)

    def rounds(self, count: int) -> Iterator[Round]:
        """So many kills and one more start; ends at the first harm."""
        cut_short: Operation | None = None
        point = "at the start"
        for number in range(count + 1):
            if number < count and number % _AT_START == _AT_START - 1:
                self._kill_at_start()
            daemon = start_daemon(self.directory, SETTINGS)
            try:
                outcome = self._look(daemon, cut_short)
                if number:
                    yield Round(number, cut_short.kind if cut_short else "start", point, outcome)
                if outcome.startswith("HARM"):
                    return
                if number < count:
                    cut_short, point = self._kill(daemon)
            finally:
                daemon.kill()

    def _look(self, daemon: Daemon, cut_short: Operation | None) -> str:
        with daemon.client() as client:
            stored = {str(one.id): client.subject(one.id).templates for one in client.all_subjects()}
            enrolled = {name: tuple(one.image_sha256 for one in templates) for name, templates in stored.items()}
            if (harm := self._wrong_answers(client, enrolled)) is not None:
                return harm
        for outcome, state in (("as before", self.state), ("done", after(self.state, cut_short or Operation("")))):
            expected = {name: tuple(self._sha256(seed) for seed in seeds) for name, seeds in state.items()}
            if enrolled == expected:
                self.state = state
                return outcome
        return f"HARM: {self.state} and then {cut_short} became {enrolled}"

    def _wrong_answers(self, client: Client, enrolled: dict[str, tuple[str, ...]]) -> str | None:
        """Everybody enrolled is among the candidates, with a score of 1 for the very photograph, and nobody else."""
        status = client.status()
        if (status.subjects, status.templates) != (len(enrolled), sum(map(len, enrolled.values()))):
            return f"HARM: {status.subjects} subjects and {status.templates} templates, {enrolled}"
        for photo in self.photos if enrolled else []:
            found = client.identify(photo, limit=2 * SUBJECTS).candidates or ()
            if {str(one.subject) for one in found} != set(enrolled):
                return f"HARM: found {[one.subject for one in found]}, enrolled {sorted(enrolled)}"
            own = hashlib.sha256(photo).hexdigest()
            if low := [one for one in found if enrolled[str(one.subject)] == (own,) and one.score < 0.999]:
                return f"HARM: {low} have this very photograph"
        return None

    def _kill(self, daemon: Daemon) -> tuple[Operation, str]:
        killed = threading.Timer(self.random.uniform(0, _ROUND_S), daemon.process.kill)
        killed.start()
        operation = Operation("")
        try:
            with daemon.client() as client:
                while True:
                    operation = self._draw()
                    self._do(client, operation)
                    self.state = after(self.state, operation)
        except Unreachable:
            killed.join()
        return operation, "in work"

    def _kill_at_start(self) -> None:
        def kill(process: subprocess.Popen[str]) -> None:
            threading.Timer(self.random.uniform(0, 5), process.kill).start()

        with suppress(RuntimeError):  # it is what is wanted
            start_daemon(self.directory, SETTINGS, meanwhile=kill).kill()

    def _draw(self) -> Operation:
        kind = self.random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        subject = f"subject-{self.random.randrange(SUBJECTS)}"
        fresh = [seed for seed in range(len(self.photos)) if seed not in self.state.get(subject, ())]
        if kind == "enrol" and not fresh:
            kind = "replace"
        if kind in ("enrol", "replace"):
            return Operation(
                kind, (subject,), (self.random.choice(fresh if kind == "enrol" else range(len(self.photos))),)
            )
        return Operation(kind, (subject,) if kind == "remove" else ())

    def _do(self, client: Client, operation: Operation) -> None:
        deeds: dict[str, Callable[[], object]] = {
            "enrol": lambda: client.enrol(operation.subjects[0], self._images(operation), force=True),
            "replace": lambda: client.enrol(operation.subjects[0], self._images(operation), force=True, replace=True),
            "remove": lambda: client.remove_all(operation.subjects),
            "rebuild": client.rebuild,
        }
        deeds[operation.kind]()

    def _images(self, operation: Operation) -> list[bytes]:
        return [self.photos[seed] for seed in operation.seeds]

    def _sha256(self, seed: int) -> str:
        return hashlib.sha256(self.photos[seed]).hexdigest()
