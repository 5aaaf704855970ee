"""Answers the site's challenges: a photograph on a modelled head that does what is asked, or on a sheet that does.

The head stands in for a person before the camera, where a test is about what lies around the judging: that the way in
is open, and that nothing else is. It proves nothing about people. Smoother than a face, it seldom has the relief that
is asked for as shipped; so the tests' daemon asks for less, and where another answers STRONGER tries more than once.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from e2e.clips import Portrait
from e2e.people import BARACK, BARACK_LATER, JOE
from liveness.attacks.attempt import decoded, jpeg
from liveness.attacks.head import animated
from liveness.attacks.performing import Reach, performed
from liveness.attacks.photographs import Photograph
from websites import Answer, Visitor, jpegs

from face_server.liveness.challenge import Kind, Step
from face_server.types import BoundingBox, DetectedFace

#: Eyes, nose, corners of the mouth; the daemon's `detect`.
_LANDMARKS = {
    BARACK.path: ((446, 213), (546, 212), (497, 276), (438, 320), (551, 316)),
    BARACK_LATER.path: ((737, 381), (858, 397), (808, 441), (733, 509), (843, 523)),
    JOE.path: ((534, 323), (654, 348), (595, 406), (518, 460), (628, 480)),
}
EYES_PX = 85


@dataclass(frozen=True)
class Performer:
    """depth: the relief of the head, 1 being a head's and 0 a sheet's. reach: how far it goes, steadier than people."""

    depth: float
    reach: Reach


#: Its turns and nods show 0.21 and more.
LIVING = Performer(1.5, Reach(24, 20, tremor=0.2))
FLAT = Performer(0.0, LIVING.reach)
#: Passes the limits that ship in four of five tries.
STRONGER = Performer(1.65, Reach(28, 22, tremor=0.2))


@dataclass(frozen=True)
class Begun:
    """What the site said to a login that begins."""

    nonce: str
    challenge: str
    steps: tuple[str, ...]
    frames_per_step: int
    at_s: float

    @property
    def numbers(self) -> list[int]:
        """The step of each frame, as it was asked."""
        return [number for number in range(len(self.steps) + 1) for _ in range(self.frames_per_step)]


def begin(visitor: Visitor, csrf: str | None = None, **wishes: Any) -> Begun:
    """Ask for a nonce and a challenge."""
    answer = visitor.capture({"purpose": "login", **wishes}, csrf)
    told = answer.json
    if "challenge" not in told:
        raise RuntimeError(f"no challenge: {answer.status} {answer.text[:300]}")
    asked = told["challenge"]
    steps = tuple(step["step"] for step in asked["steps"])
    return Begun(told["nonce"], asked["id"], steps, asked["frames_per_step"], time.monotonic())


def act(portrait: Portrait, begun: Begun, who: Performer = LIVING, flat: Sequence[str] = ()) -> list[bytes]:
    """Frames of somebody who does what is asked. flat: kinds of steps that are done by a sheet."""
    rng = np.random.default_rng()
    steps = [Step(Kind(kind)) for kind in begun.steps]
    frames = []
    for number, pose in performed(steps, begun.frames_per_step, who.reach, rng):
        depth = FLAT.depth if number > 0 and begun.steps[number - 1] in flat else who.depth
        frames.append(jpeg(animated(_photograph(portrait), pose, EYES_PX, depth), rng, 90))
    return frames


def send(
    visitor: Visitor,
    begun: Begun,
    frames: Sequence[bytes],
    numbers: Sequence[int] | None = None,
    csrf: str | None = None,
    **form: str,
) -> Answer:
    """Tell of each step and answer a challenge with these frames; the answer is the first no. numbers: their steps, as
    asked unless given; form: further fields."""
    of = begun.numbers if numbers is None else numbers
    for step in range(len(begun.steps) + 1):
        told = tell(visitor, begun, step, [frame for frame, at in zip(frames, of, strict=False) if at == step], csrf)
        if told.code == "not_live":
            return told
    return answer(visitor, begun, frames, of, csrf, **form)


def answer(
    visitor: Visitor,
    begun: Begun,
    frames: Sequence[bytes],
    numbers: Sequence[int] | None = None,
    csrf: str | None = None,
    **form: str,
) -> Answer:
    """As `send`, without a word of the steps before."""
    of = ",".join(map(str, begun.numbers if numbers is None else numbers))
    fields = {"nonce": begun.nonce, "challenge": begun.challenge, "frame_steps": of, **form}
    return visitor.post("/login/face", fields, jpegs(frames), csrf)


def tell(visitor: Visitor, begun: Begun, step: int, frames: Sequence[bytes], csrf: str | None = None) -> Answer:
    """Say that a step is done, as the page does."""
    sha256s = [hashlib.sha256(frame).hexdigest() for frame in frames]
    return visitor.json("/capture/step", {"challenge": begun.challenge, "step": step, "sha256s": sha256s}, csrf)


def log_in(
    visitor: Visitor, portrait: Portrait, who: Performer = LIVING, tries: int = 1, least_s: float = 1.2, **form: str
) -> Answer:
    """The whole way of somebody who lives, and tries again. least_s: what a person takes, as the daemon ships."""
    for _ in range(tries):
        begun = begin(visitor)
        frames = act(portrait, begun, who)
        time.sleep(max(0.0, begun.at_s + least_s - time.monotonic()))
        told = send(visitor, begun, frames, **form)
        if told.code not in ("not_live", "quality"):
            break
    return told


@cache
def _photograph(portrait: Portrait) -> Photograph:
    """As a webcam would show it: no more pixels than it has of a face."""
    image, points = decoded(portrait.path.read_bytes()), np.array(_LANDMARKS[portrait.path], float)
    ratio = EYES_PX / float(np.hypot(*(points[1] - points[0])))
    smaller = cv2.resize(image, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
    box = BoundingBox(*(ratio * side for side in portrait.face))
    landmarks: Any = tuple((float(x), float(y)) for x, y in ratio * points)
    return Photograph(portrait.path.stem, smaller, DetectedFace(box, landmarks, 1.0))
