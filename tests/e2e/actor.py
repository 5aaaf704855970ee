"""A man before the fake camera who does what a page asks of him: frames of a real film, written into the camera's file
while it plays.

Chromium's fake camera reads its file picture by picture, over and over, so that a file of less than a second shows
soon what is written into it. Real are the face, its turn and their light; coming closer is enlarged, and what is beside
him in the wide picture is his surroundings' edge, drawn out. Each picture gets fresh noise, so that none is ever the
same: a third of what other clips get. With all of it, and the film's grey bars beside him, the passive network takes
him for a picture in five frames of eight.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from e2e.clips import HEIGHT, WIDTH, Picture, write_clip
from liveness.film import frames

#: Frames of webcam_one_person_640x480.mjpeg: he looks ahead, then turns his head to the picture's right. He turns to
#: the other side and nods, too, but not as far as the page asks for.
AHEAD, TURNED = (101, 102, 103, 104, 105, 106, 107, 108), (138, 139, 140, 144, 145, 146)
ABLE = {"turn_right", "come_closer"}
#: Pictures of the file, and how often it is written anew.
SLOTS, RENEWED_S = 8, 0.25
#: Grey levels.
NOISE = 1.0
#: Columns of the film that are no grey bars: a phone filmed it upright.
FILMED = (190, 448)
#: How many times as large he is when he has come closer, and the middle of his face.
CLOSER, MIDDLE = 1.35, (300, 225)
_SIZE = WIDTH * HEIGHT * 3 // 2
_FRAME = b"FRAME\n"


class Actor:
    """Sits before the camera while in use; `do` says what."""

    def __init__(self, path: Path, film: Path) -> None:
        self._path, self._film, self._random = path, frames(film), np.random.default_rng()
        self._leaves = threading.Event()
        self._thread = threading.Thread(target=self._sit, daemon=True)
        self._pictures = self.still()
        write_clip(path, (self._taken(self._pictures[slot]) for slot in range(SLOTS)))
        self._header = path.stat().st_size - SLOTS * (len(_FRAME) + _SIZE)

    def __enter__(self) -> Actor:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._leaves.set()
        self._thread.join()

    def do(self, step: str) -> None:
        """What is asked, as the daemon names it; what he cannot do he does not: he looks ahead."""
        self.show(self.still(TURNED if step == "turn_right" else AHEAD, CLOSER if step == "come_closer" else 1.0))

    def show(self, pictures: Sequence[Picture]) -> None:
        """Let this be before the camera."""
        self._pictures = list(pictures)

    def still(self, numbers: Sequence[int] = AHEAD, times: float = 1.0) -> list[Picture]:
        """Frames of the film, enlarged, without the noise."""
        matrix = cv2.getRotationMatrix2D(MIDDLE, 0, times)
        return [np.asarray(cv2.warpAffine(self._pixels(at), matrix, (WIDTH, HEIGHT)), np.uint8) for at in numbers]

    def photographed(self) -> bytes:
        """What the camera might take of him now, as JPEG."""
        picture = self._taken(self._pictures[self._random.integers(len(self._pictures))])
        return bytes(cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1])

    def _pixels(self, at: int) -> Picture:
        left, right = FILMED
        film = cv2.imdecode(np.frombuffer(self._film[at], np.uint8), cv2.IMREAD_COLOR)[:, left:right, ::-1]
        wide = cv2.copyMakeBorder(np.ascontiguousarray(film), 0, 0, left, WIDTH - right, cv2.BORDER_REPLICATE)
        return np.asarray(wide, np.uint8)

    def _taken(self, picture: Picture) -> Picture:
        noise = self._random.standard_normal(picture.shape, np.float32) * NOISE
        return np.asarray(np.clip(picture + noise, 0, 255), np.uint8)

    def _sit(self) -> None:
        while not self._leaves.wait(RENEWED_S):
            pictures = self._pictures
            with self._path.open("r+b", buffering=0) as file:
                for slot in range(SLOTS):
                    file.seek(self._header + slot * (len(_FRAME) + _SIZE))
                    picture = self._taken(pictures[slot % len(pictures)])
                    file.write(_FRAME + cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420).tobytes())
