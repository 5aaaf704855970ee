"""Real people who really move: two clips, and which of their frames show which step. Needs shared/data.

All there is: one man before a webcam (150 frames at 15 Hz) who turns his head to one side once and nods, and one man
on a stage (frames 83 to 210 of a clip with cuts), filmed from the front, who turns to one side three times, slightly to
the other, and nods. Their frames may be played backwards and mirrored; that makes more sequences, not more people.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from face_server.liveness.challenge import Kind
from face_server.types import BoundingBox, DetectedFace, RgbImage

Detect = Callable[[RgbImage], tuple[DetectedFace, ...]]


@dataclass(frozen=True, slots=True)
class Move:
    """One movement that was filmed: frames of looking ahead before it, and of its end. May run backwards."""

    kind: Kind
    ahead: tuple[int, int]
    way: tuple[int, int]


#: Found by eye and by where the nose stands between eyes and mouth: it moves by 0.13 eye distances or more in each.
#: The webcam man's largest movement (frames 76 to 92) goes down and to a side at once, which no step asks for.
WEBCAM = (
    Move(Kind.TURN_RIGHT, (124, 128), (136, 143)),
    Move(Kind.LOOK_DOWN, (28, 31), (50, 55)),
    Move(Kind.LOOK_UP, (55, 51), (35, 28)),
)
STAGE = (
    Move(Kind.TURN_LEFT, (153, 148), (140, 131)),
    Move(Kind.TURN_LEFT, (95, 98), (107, 119)),
    Move(Kind.TURN_LEFT, (176, 180), (190, 208)),
    Move(Kind.TURN_RIGHT, (99, 96), (90, 83)),
    Move(Kind.LOOK_UP, (147, 152), (155, 160)),
    Move(Kind.LOOK_DOWN, (157, 161), (169, 175)),
)
MIRRORED = {Kind.TURN_LEFT: Kind.TURN_RIGHT, Kind.TURN_RIGHT: Kind.TURN_LEFT}


class Clip:
    """A video's frames as RGB and the one face in each; detections are kept beside the other caches."""

    def __init__(self, path: Path, moves: tuple[Move, ...], used: tuple[int, int], detect: Detect, cache: Path) -> None:
        self.path, self.moves, self._used, self._detect, self._cache = path, moves, used, detect, cache

    @cached_property
    def frames(self) -> dict[int, RgbImage]:
        """The frames that show the person, by number."""
        video, frames = cv2.VideoCapture(str(self.path)), {}
        for number in range(self._used[1] + 1):
            found, image = video.read()
            if not found:
                raise RuntimeError(f"{self.path.name} ends at frame {number}")
            if number >= self._used[0]:
                frames[number] = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        return frames

    @cached_property
    def faces(self) -> dict[int, DetectedFace]:
        """The largest face of each frame that has one."""
        sha256 = hashlib.sha256(self.path.read_bytes()).hexdigest()
        kept = self._cache / f"{sha256[:16]}-{self._used[0]}.json"
        if not kept.exists():
            found = {number: self._detect(image)[:1] for number, image in self.frames.items()}
            told = {n: [*vars_of(face[0])] for n, face in found.items() if face}
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(told))
        return {int(number): face_of(values) for number, values in json.loads(kept.read_text()).items()}

    def between(self, ends: tuple[int, int], count: int, rng: np.random.Generator) -> list[int]:
        """`count` frames from one to the other, in order, none twice while there are enough, each with a face."""
        first, last = ends
        direction = 1 if last >= first else -1
        there = [number for number in range(first, last + direction, direction) if number in self.faces]
        at = np.linspace(0, len(there) - 1, count) + rng.uniform(-0.3, 0.3, count)
        return [there[place] for place in np.clip(np.round(at), 0, len(there) - 1).astype(int)]


def clips(shared_data: Path, detect: Detect, cache: Path) -> tuple[Clip, Clip]:
    """The man before the webcam and the man on the stage."""
    video = shared_data / "video"
    return (
        Clip(video / "webcam_one_person_640x480.mjpeg", WEBCAM, (0, 149), detect, cache),
        Clip(video / "short_hamilton_clip.mp4", STAGE, (83, 209), detect, cache),
    )


def vars_of(face: DetectedFace) -> tuple[object, ...]:
    """A face as JSON can hold it."""
    box = face.box
    return [box.x1, box.y1, box.x2, box.y2], [list(point) for point in face.landmarks], face.confidence


def face_of(values: list) -> DetectedFace:
    """The reverse of `vars_of`."""
    box, points, confidence = values
    return DetectedFace(BoundingBox(*box), tuple((float(x), float(y)) for x, y in points), float(confidence))  # type: ignore[arg-type]
