"""The steps that a person is asked to do, and the challenges that may still be answered. Knows no frames and no clock.

Each step is told of when it is done, with the hashes of its images: so its time is that of the daemon's clock, and
images that are made up later are not those that were told of. All steps are known from the beginning.

Left and right are the picture's, as everywhere: in a turn to the left the nose moves to the left of the picture as the
camera took it. A page that mirrors its preview says it the other way round.

Challenges lie in memory: a daemon that starts anew knows none, and whoever was at it asks for another.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum, Flag

from face_server.config import LivenessConfig
from face_server.errors import Busy, ChallengeUnknown, Malformed
from face_server.liveness.evidence import CheckFailed, Finding


class Kind(Enum):
    """What a step asks for."""

    TURN_LEFT = "turn_left"
    TURN_RIGHT = "turn_right"
    LOOK_UP = "look_up"
    LOOK_DOWN = "look_down"
    COME_CLOSER = "come_closer"
    FLASH = "flash"


class Mode(Flag):
    """What judges; the names are those of [liveness] and of the wire."""

    OFF = 0
    PASSIVE = 1
    ACTIVE = 2
    BOTH = 3

    @classmethod
    def named(cls, name: str) -> Mode:
        return cls[name.upper()]


@dataclass(frozen=True, slots=True)
class Step:
    """One step; colour "#rrggbb" is what the screen shows during a flash, None in every other step."""

    kind: Kind
    colour: str | None = None


@dataclass(frozen=True, slots=True)
class Challenge:
    """What was asked of whom. id: 32 hex digits, the only thing that must not be guessed.

    purpose: the command that may answer. binding: what the site tied it to. issued_s: of a monotonic clock.
    told: the hashes of the images of each step so far, 0 being straight ahead. told_s: when the latest was told, at
    first issued_s.
    """

    id: str
    steps: tuple[Step, ...]
    mode: Mode
    purpose: str
    binding: str | None
    issued_s: float
    told_s: float
    told: tuple[tuple[str, ...], ...] = ()


#: One movement shows depth to the check that needs it, and the widest one does so best.
_TURNS = (Kind.TURN_LEFT, Kind.TURN_RIGHT)
_MOVEMENTS = (*_TURNS, Kind.LOOK_UP, Kind.LOOK_DOWN, Kind.COME_CLOSER)

#: Saturated, and far from each other in what a camera sees; three of them in any order are 120 sequences.
COLOURS = ("#ff2020", "#20ff20", "#2020ff", "#ffff20", "#ff20ff", "#20ffff")
FLASHES = 3

#: Hashes of 12 frames of about 5,000 answers, some 8 MB.
MAX_SEEN = 65_536


def random_steps(movements: int, flash: bool, random: secrets.SystemRandom) -> tuple[Step, ...]:
    """So many different movements, at least one a turn of the head; a flash sequence takes the place of one of them."""
    while True:
        kinds = random.sample(_MOVEMENTS, movements)
        if flash:
            kinds[random.randrange(movements)] = Kind.FLASH
        if any(kind in _TURNS for kind in kinds):
            break
    colours = [Step(Kind.FLASH, colour) for colour in random.sample(COLOURS, FLASHES)]
    return tuple(step for kind in kinds for step in (colours if kind is Kind.FLASH else [Step(kind)]))


class Challenges:
    """Issues challenges, hears of their steps and takes each back once. For any thread."""

    def __init__(self, options: LivenessConfig, queue_s: float = 0.0) -> None:
        """queue_s: so long may an answer wait for its turn after it came; until then its challenge is kept."""
        self._options = options
        self._kept_s = options.expires_s + queue_s
        self._random = secrets.SystemRandom()
        #: In the order they were issued, which is that in which they expire.
        self._open: OrderedDict[str, Challenge] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._open)

    def issue(self, purpose: str, binding: str | None, mode: Mode, flash: bool, now_s: float) -> Challenge:
        """A new challenge. Raises Busy when as many as may be are open: whoever has begun may finish."""
        flash = flash and self._options.flash
        steps = random_steps(self._options.steps, flash, self._random) if Mode.ACTIVE in mode else ()
        made = Challenge(secrets.token_hex(16), steps, mode, purpose, binding, now_s, now_s)
        with self._lock:
            self._drop_expired(now_s)
            if len(self._open) >= self._options.max_challenges:
                raise Busy(f"{len(self._open)} challenges are open already; ask again in a moment")
            self._open[made.id] = made
        return made

    def tell(
        self, challenge_id: str, binding: str | None, step: int, sha256s: tuple[str, ...], received_s: float
    ) -> None:
        """These are the images of the next step, which ended when this came. The latest may be told of twice.

        Raises ChallengeUnknown as `take`, Malformed for another step, CheckFailed when the step was done sooner than a
        person can or took too long. The challenge is gone then.
        """
        with self._lock:
            try:
                found = self._find(challenge_id, binding, received_s)
                if found.told[step:] != (sha256s,):
                    _check_told(found, step, received_s, self._options)
                    self._open[challenge_id] = replace(found, told=(*found.told, sha256s), told_s=received_s)
            except BaseException:
                self._open.pop(challenge_id, None)
                raise

    def take(self, challenge_id: str, purpose: str, binding: str | None, received_s: float) -> Challenge:
        """The challenge that is answered, which nobody can answer again, whatever comes of it.

        Raises ChallengeUnknown, one error for all: unknown, expired, answered before, of another purpose or binding.
        Raises CheckFailed when not all of its steps were told of.
        """
        with self._lock:
            try:
                found = self._find(challenge_id, binding, received_s)
            finally:
                self._open.pop(challenge_id, None)
        if found.purpose != purpose:
            raise _unknown()
        if found.steps and len(found.told) <= len(found.steps):
            step = len(found.told)
            raise CheckFailed(Finding("missing", False, 0, self._options.frames_per_step, step))
        return found

    def _find(self, challenge_id: str, binding: str | None, received_s: float) -> Challenge:
        found = self._open.get(challenge_id)
        if found is None or found.binding != binding or received_s - found.issued_s > self._options.expires_s:
            raise _unknown()
        return found

    def _drop_expired(self, now_s: float) -> None:
        # A plain dict would look through all the places that were emptied before.
        while self._open and now_s - next(iter(self._open.values())).issued_s > self._kept_s:
            self._open.popitem(last=False)


def _check_told(found: Challenge, step: int, received_s: float, options: LivenessConfig) -> None:
    if step != len(found.told) or step > len(found.steps):
        raise Malformed(f"Step {step} was told of; after {len(found.told)} of {len(found.steps) + 1} this is not next.")
    # From the beginning: what a slow line told late must not make the next step look too quick.
    since_s, least_s = received_s - found.issued_s, options.least_step_s * step
    if since_s < least_s:
        raise CheckFailed(Finding("too_soon", False, since_s, least_s, step))
    took_s = received_s - found.told_s
    if took_s > options.most_step_s:
        raise CheckFailed(Finding("too_slow", False, took_s, options.most_step_s, step))


def _unknown() -> ChallengeUnknown:
    return ChallengeUnknown(
        "this challenge is not open: ask for a new one (each is for one command and one answer, and expires)"
    )


class SeenFrames:
    """The hashes of the latest frames that were judged, so that none is judged again. For one thread."""

    def __init__(self, most: int = MAX_SEEN) -> None:
        self._most = most
        self._seen: dict[bytes, None] = {}

    def add(self, sha256s: Iterable[str]) -> int:
        """How many of these hex hashes were seen before; all are from now on, and the oldest are forgotten."""
        hashes = dict.fromkeys(bytes.fromhex(each) for each in sha256s)
        before = sum(each in self._seen for each in hashes)
        self._seen.update(hashes)
        while len(self._seen) > self._most:
            del self._seen[next(iter(self._seen))]
        return before
