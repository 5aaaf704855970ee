"""A man before the fake camera who does what a page asks of him: frames of a real film, written into the camera's file
while it plays. And one who holds his photograph up instead.

Chromium's fake camera reads its file picture by picture, over and over, so that in a file of few pictures it soon shows
what is written into them: how soon, login_time.py measures. Real are the face, its turn and their light; coming closer
is enlarged, and what is beside him in the wide picture is his surroundings' edge, drawn out. Each picture gets fresh
noise, so that none is ever the same: a third of what other clips get. With all of it, and the film's grey bars beside
him, the passive network takes him for a picture in five frames of eight.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from e2e.clips import HEIGHT, WIDTH, Noise, Picture, write_clip
from liveness.attacks.attempt import EYES_MM
from liveness.attacks.light import before_the_screen, reflected
from liveness.attacks.performing import Pose
from liveness.attacks.sheet import Texture, laid_over, seen
from liveness.film import frames

from face_server.types import BoundingBox, DetectedFace

#: Frames of webcam_one_person_640x480.mjpeg: he looks ahead, turns his head to the picture's right, and stays so. He
#: turns to the other side and nods, too, but not as far as the page asks for.
AHEAD, TURNING, TURNED = range(91, 96), range(129, 138), range(144, 148)
ABLE = {"turn_right", "come_closer"}
#: From what is asked to the first movement, and from there until it is done: of somebody practised, by numbers.
REACTS_S, MOVES_S = 0.3, 0.5
#: Pictures of the file, which a page sees so many of in a second; all are written anew as often. On a busy machine they
#: are written late: then the page sees the same ones again, but not within a step's pictures.
SLOTS, FRAMES_PER_S = 6, 15
#: Grey levels.
NOISE = 1.0
#: Columns of the film that are no grey bars: a phone filmed it upright.
FILMED = (190, 448)
#: The middle of his face, between eyes and mouth, and how far his eyes are apart, in PRINTED, the photograph.
MIDDLE, EYES_PX, PRINTED = (294, 236), 88.6, 103
#: Where each step leads. A turn of the film has one width, whatever its degrees; the photograph is tilted by them.
POSES = {
    "turn_left": Pose(yaw=-35),
    "turn_right": Pose(yaw=35),
    "look_up": Pose(pitch=-30),
    "look_down": Pose(pitch=30),
    "come_closer": Pose(nearer=1.35),
}
#: Where the light of the screen falls on him, and how much of the room's it is: the most that the table has. The film's
#: skin is so bright that more red is hardly seen in it; with less light in the room, for which it is darkened, it is.
BOX, FLASHED, DIM = BoundingBox(185, 105, 375, 335), 0.3, 0.7
_SIZE = WIDTH * HEIGHT * 3 // 2
_FRAME = b"FRAME\n"


class Actor:
    """Sits before the camera while in use; `do` says what."""

    def __init__(self, path: Path, film: Path) -> None:
        self._path, self._film, self._noise = path, frames(film), Noise(NOISE)
        self._drawn: Callable[[Pose], Picture] = self.filmed
        self._from = self._to = Pose()
        self._asked_at = 0.0
        self._colour: str | None = None
        self._room = 1.0
        self._near = before_the_screen(DetectedFace(BOX, ((0, 0),) * 5, 1.0), HEIGHT, WIDTH)
        self._leaves = threading.Event()
        self._thread = threading.Thread(target=self._sit, daemon=True)
        write_clip(path, (self._noise.over(self.filmed(Pose())) for _ in range(SLOTS)), FRAMES_PER_S)
        self._header = path.stat().st_size - SLOTS * (len(_FRAME) + _SIZE)

    def __enter__(self) -> Actor:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._leaves.set()
        self._thread.join()

    def do(self, step: str) -> None:
        """What is asked, as the daemon names it, after his time to react; any other word: he looks ahead."""
        self._from, self._to, self._asked_at = self._pose(), POSES.get(step, Pose()), time.monotonic()

    def sit(self) -> None:
        """He looks ahead already, in the light of the room."""
        self._from = self._to = Pose()
        self._colour = None

    def light(self, colour: str | None) -> None:
        """The screen before him shines like this ("#rrggbb"), or as ever: it falls on him, and hardly on the room."""
        self._colour = colour

    def show(self, drawn: Callable[[Pose], Picture]) -> None:
        """Let this be before the camera, at once."""
        self._drawn = drawn

    @contextmanager
    def behind_his_photograph(self) -> Iterator[None]:
        """He holds it before his face and tilts it, or brings it closer, as the page asks."""
        self.show(self.printed)
        try:
            yield
        finally:
            self.show(self.filmed)

    @contextmanager
    def in_a_dim_room(self) -> Iterator[None]:
        """He sits where the screen is seen on his face."""
        self._room = DIM
        try:
            yield
        finally:
            self._room = 1.0

    def filmed(self, pose: Pose) -> Picture:
        """The man himself, without the noise; what he cannot do he does not."""
        share = min(1.0, max(0.0, pose.yaw / POSES["turn_right"].yaw))
        part = AHEAD if share == 0 else TURNED if share == 1 else TURNING[int(share * len(TURNING)) :]
        # To and fro: from the last to the first he would jump.
        there_and_back = [*part, *part[-2:0:-1]]
        at = there_and_back[int(time.monotonic() * 10) % len(there_and_back)] if share in (0, 1) else part[0]
        matrix = cv2.getRotationMatrix2D(MIDDLE, 0, pose.nearer)
        return np.asarray(cv2.warpAffine(self._pixels(at), matrix, (WIDTH, HEIGHT)), np.uint8)

    def printed(self, pose: Pose) -> Picture:
        """A photograph of him, flat, as large as life, before a grey wall."""
        texture = Texture(self._pixels(PRINTED), EYES_PX / EYES_MM, MIDDLE)
        left, right = FILMED
        size = ((right - left) / texture.pixels_per_mm, HEIGHT / texture.pixels_per_mm)
        corner = ((left - MIDDLE[0]) / texture.pixels_per_mm, -MIDDLE[1] / texture.pixels_per_mm)
        sheet = seen(pose, EYES_PX, size, corner, at_px=(MIDDLE[0] - WIDTH / 2, MIDDLE[1] - HEIGHT / 2))
        wall = np.full((HEIGHT, WIDTH, 3), 150, np.uint8)
        return laid_over(wall, sheet.sampled(texture) * sheet.shade[..., None], sheet.there)

    def photographed(self) -> bytes:
        """What the camera might take of him now, as JPEG."""
        picture = self._noise.over(self._drawn(self._pose()))
        return bytes(cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1])

    def _pose(self) -> Pose:
        done = min(1.0, max(0.0, (time.monotonic() - self._asked_at - REACTS_S) / MOVES_S))
        names = ("yaw", "pitch", "nearer")
        between = {name: (1 - done) * getattr(self._from, name) + done * getattr(self._to, name) for name in names}
        return Pose(**between)

    def _pixels(self, at: int) -> Picture:
        left, right = FILMED
        film = cv2.imdecode(np.frombuffer(self._film[at], np.uint8), cv2.IMREAD_COLOR)[:, left:right, ::-1]
        wide = cv2.copyMakeBorder(np.ascontiguousarray(film), 0, 0, left, WIDTH - right, cv2.BORDER_REPLICATE)
        return np.asarray(wide, np.uint8)

    def _sit(self) -> None:
        with self._path.open("r+b", buffering=0) as file:
            while not self._leaves.wait(1 / FRAMES_PER_S):
                picture = cv2.convertScaleAbs(self._drawn(self._pose()), alpha=self._room)
                picture = reflected(picture, self._colour, self._near, FLASHED)
                for slot in range(SLOTS):
                    file.seek(self._header + slot * (len(_FRAME) + _SIZE) + len(_FRAME))
                    file.write(cv2.cvtColor(self._noise.over(picture), cv2.COLOR_RGB2YUV_I420).tobytes())
