"""Real people who really move: films, the frames that show somebody, and the face in each. Knows no steps.

Frames may be played backwards and mirrored; that makes more sequences, not more people. Needs shared/data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from liveness.attacks.films import FETCHED, SHARED, Film

from face_server.liveness.challenge import Kind
from face_server.types import BoundingBox, DetectedFace, RgbImage

Detect = Callable[[RgbImage], tuple[DetectedFace, ...]]


MIRRORED = {Kind.TURN_LEFT: Kind.TURN_RIGHT, Kind.TURN_RIGHT: Kind.TURN_LEFT}


class Clip:
    """A film's frames as RGB and the one face in each; detections are kept beside the other caches."""

    def __init__(self, path: Path, film: Film, detect: Detect, cache: Path) -> None:
        self.path, self.person, self.moves, self._detect, self._cache = path, film.person, film.moves, detect, cache
        self.answers = film.answers
        ends = [ends for move in film.moves for ends in (move.ahead, move.way)] + ([film.span] if film.span else [])
        self._wanted = {number for one, two in ends for number in range(min(one, two), max(one, two) + 1)}

    @cached_property
    def frames(self) -> dict[int, RgbImage]:
        """The frames that show the person, by number."""
        video, frames = cv2.VideoCapture(str(self.path)), {}
        for number in range(max(self._wanted) + 1):
            found = video.grab()
            if not found:
                raise RuntimeError(f"{self.path.name} ends at frame {number}")
            if number in self._wanted:
                frames[number] = cv2.cvtColor(video.retrieve()[1], cv2.COLOR_BGR2RGB)
        return frames

    @cached_property
    def faces(self) -> dict[int, DetectedFace]:
        """The largest face of each frame that has one."""
        known = [hashlib.sha256(self.path.read_bytes()).hexdigest(), sorted(self._wanted)]
        kept = self._cache / f"{hashlib.sha256(json.dumps(known).encode()).hexdigest()[:16]}.json"
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


def clips(shared_data: Path, detect: Detect, cache: Path, fetched: Path | None = None) -> tuple[Clip, ...]:
    """The man who holds a telephone and the man who sings, then those of var/films that are there."""
    found = [(shared_data / "video" / film.name, film) for film in SHARED]
    found += [(fetched / film.name, film) for film in FETCHED] if fetched else []
    return tuple(Clip(path, film, detect, cache) for path, film in found if path.exists() or film in SHARED)


def vars_of(face: DetectedFace) -> tuple[object, ...]:
    """A face as JSON can hold it."""
    box = face.box
    return [box.x1, box.y1, box.x2, box.y2], [list(point) for point in face.landmarks], face.confidence


def face_of(values: list) -> DetectedFace:
    """The reverse of `vars_of`."""
    box, points, confidence = values
    return DetectedFace(BoundingBox(*box), tuple((float(x), float(y)) for x, y in points), float(confidence))  # type: ignore[arg-type]
