"""Honest answers made from real footage: a person's own movements, re-timed to the steps that are asked.

Real are the face, its depth, its movement and its light. Modelled are: coming closer where nobody was filmed who does
(the picture is enlarged, which lacks the perspective of a head that really comes), the flash (`light`), that the steps
follow each other at once, and a camera that follows a man who sways and walks by two thirds of his way: leaps between
his movements are ours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from liveness.attacks.attempt import HEIGHT_PX, WIDTH_PX, Attempt, Shot, jpeg
from liveness.attacks.films import Move
from liveness.attacks.footage import MIRRORED, Clip
from liveness.attacks.light import before_the_screen, reflected

from face_server.config import LivenessConfig
from face_server.liveness.challenge import COLOURS, FLASHES, Kind, Step
from face_server.liveness.pose import pose_of
from face_server.types import BoundingBox, DetectedFace, RgbImage

#: Films have their own camera's noise; so much more makes two images of one frame that is shown twice.
_NOISE = 0.5


@dataclass(frozen=True, slots=True)
class Filmed:
    """Frames of one clip that answer steps: (step, frame's number, enlargement) of each, and how all are shown."""

    clip: Clip
    steps: tuple[Step, ...]
    plan: tuple[tuple[int, int, float], ...]
    mirror: bool


def filmed(clip: Clip, number: int, frames_per_step: int, flash: bool, rng: np.random.Generator) -> Filmed:
    """Two or three things this clip's person did: a turn, and what else he did from the same looking ahead.

    Coming closer is always among what he may have done. flash: a flash sequence takes the place of one.
    """
    turns = _turns(clip)
    turn, mirror = turns[number % len(turns)], bool(number // len(turns) % 2)
    beside = {move.kind: move for move in clip.moves if move.kind is not turn.kind and _follows(clip, turn, move)}
    kinds = [*dict.fromkeys((*beside, Kind.COME_CLOSER))]
    chosen = [kinds[at] for at in rng.permutation(len(kinds))[: 1 if flash else 2]]
    moves = {turn.kind: turn, **{kind: beside[kind] for kind in chosen if kind in beside}}
    actions = [[Step(kind)] for kind in (turn.kind, *chosen)] + ([flashes(rng)] if flash else [])
    steps = [step for at in rng.permutation(len(actions)) for step in actions[at]]
    plan = _planned(clip, steps, moves, turn, frames_per_step, rng)
    return Filmed(clip, tuple(map(_mirrored, steps) if mirror else steps), plan, mirror)


def answering(clip: Clip, steps: Sequence[Step], frames_per_step: int, rng: np.random.Generator) -> Filmed:
    """These steps by this clip's person, mirrored where that shows more of them, still where none was filmed."""
    straight, mirrored = (
        {move.kind for move in clip.moves} & {each.kind for each in asked}
        for asked in (steps, [*map(_mirrored, steps)])
    )
    mirror = len(mirrored) > len(straight)
    done = [*map(_mirrored, steps)] if mirror else list(steps)
    moves = {move.kind: move for move in clip.moves}
    first = next((moves[step.kind] for step in done if step.kind in moves), clip.moves[0])
    return Filmed(clip, tuple(steps), _planned(clip, done, moves, first, frames_per_step, rng), mirror)


def flashes(rng: np.random.Generator) -> list[Step]:
    """The steps of a flash sequence, no colour twice."""
    return [Step(Kind.FLASH, COLOURS[at]) for at in rng.permutation(len(COLOURS))[:FLASHES]]


def _mirrored(step: Step) -> Step:
    return Step(MIRRORED.get(step.kind, step.kind), step.colour)


def _turns(clip: Clip) -> list[Move]:
    return [move for move in clip.moves if move.kind in MIRRORED and _goes_far(clip, move, move)]


def _follows(clip: Clip, turn: Move, move: Move) -> bool:
    """Whether a movement can be shown after a turn's looking ahead: both begin alike, and it goes far from there.

    Alike: the nose at most 0.03 eye distances elsewhere, the face's size within 15 %.
    """
    alike = np.abs(_posed(clip, move.ahead) - _posed(clip, turn.ahead)).max() <= 0.03
    return bool(alike and _goes_far(clip, turn, move))


def _goes_far(clip: Clip, first: Move, move: Move) -> bool:
    """Whether a movement, seen from the looking ahead of the first, goes a third further than the least: a page waits
    until somebody does."""
    yaw, pitch, _ = _posed(clip, move.way) - _posed(clip, first.ahead)
    options = LivenessConfig()
    gone = {
        Kind.TURN_LEFT: -yaw / options.least_turn,
        Kind.TURN_RIGHT: yaw / options.least_turn,
        Kind.LOOK_UP: -pitch / options.least_nod,
        Kind.LOOK_DOWN: pitch / options.least_nod,
    }
    return bool(gone.get(move.kind, 2) >= 4 / 3)


def _posed(clip: Clip, ends: tuple[int, int]) -> np.ndarray:
    """The middle yaw, pitch and size of some frames, the size so that 0.03 is 15 %."""
    first, last = sorted(ends)
    poses = [pose_of(clip.faces[at].landmarks) for at in range(first, last + 1) if at in clip.faces]
    middle: np.ndarray = np.median([(pose.yaw, pose.pitch, 0.2 * np.log(pose.size_px)) for pose in poses], axis=0)
    return middle


def _planned(
    clip: Clip, steps: Sequence[Step], moves: dict[Kind, Move], first: Move, frames_per_step: int,
    rng: np.random.Generator,
) -> tuple[tuple[int, int, float], ...]:  # fmt: skip
    seen = sorted(set(clip.between(first.ahead, 40, rng)))
    # Looking ahead is filmed for a few frames only; to and fro over them stands for holding still.
    rest = iter(np.resize(seen + seen[-2:0:-1], 200))
    plan = [(0, int(next(rest)), 1.0) for _ in range(frames_per_step)]
    for number, step in enumerate(steps, 1):
        move = moves.get(step.kind)
        frames = (
            clip.between(move.way, frames_per_step, rng) if move else [int(next(rest)) for _ in range(frames_per_step)]
        )
        enlarged = step.kind is Kind.COME_CLOSER and not move
        growth = np.linspace(1.2, 1.5, frames_per_step) if enlarged else np.ones(frames_per_step)
        plan += [(number, frame, float(factor)) for frame, factor in zip(frames, growth, strict=True)]
    return tuple(plan)


def shots(answer: Filmed, rng: np.random.Generator) -> tuple[Shot, ...]:
    """The frames as a webcam would send them."""
    faces = [answer.clip.faces[frame] for _, frame, _ in answer.plan]
    eyes = np.median([_eyes_px(face) for face in faces])
    height, width = answer.clip.frames[answer.plan[0][1]].shape[:2]
    # A webcam's picture is full: what a film does not show is not smeared in.
    zoom = max(WIDTH_PX / width, HEIGHT_PX / height, 68 / eyes) * rng.uniform(1.0, 1.08)
    middle = np.mean([_middle(face) for face in faces], axis=0)
    strength, brightness, quality = rng.uniform(0.08, 0.3), rng.uniform(0.9, 1.08), int(rng.integers(80, 93))
    made = []
    for (step, frame, growth), face in zip(answer.plan, faces, strict=True):
        followed = middle + (_middle(face) - middle) * 2 / 3
        image, shown = _framed(answer.clip.frames[frame], face, followed, zoom * growth)
        image = np.clip(image * brightness, 0, 255).astype(np.uint8)
        colour = answer.steps[step - 1].colour if step else None
        image = reflected(image, colour, before_the_screen(shown, HEIGHT_PX, WIDTH_PX), strength)
        made.append(Shot(step, jpeg(image[:, ::-1] if answer.mirror else image, rng, quality, _NOISE)))
    return tuple(made)


def honest(clips: Sequence[Clip], number: int, frames_per_step: int, flash: bool, rng: np.random.Generator) -> Attempt:
    """The number-th honest attempt: the movements of all clips in turn, then mirrored, then with other steps beside."""
    answer = filmed(clips[number % len(clips)], number // len(clips), frames_per_step, flash, rng)
    return Attempt("honest", number, answer.steps, shots(answer, rng))


def independent(clips: Sequence[Clip]) -> tuple[int, Counter[str]]:
    """How many people all honest sequences are made of, and how many filmed movements of each kind they may show."""
    words = {Kind.TURN_LEFT: "turns", Kind.TURN_RIGHT: "turns", Kind.LOOK_UP: "up", Kind.LOOK_DOWN: "down"}
    shown = [
        move
        for clip in clips
        for move in clip.moves
        if move in _turns(clip) or any(_follows(clip, turn, move) for turn in _turns(clip))
    ]
    return len({clip.person for clip in clips}), Counter(words.get(move.kind, "closer") for move in shown)


def _framed(image: RgbImage, face: DetectedFace, middle: np.ndarray, zoom: float) -> tuple[RgbImage, DetectedFace]:
    """A still camera's picture of 640x480 about a point, and where the face is in it."""
    height, width = image.shape[:2]
    half = np.array([WIDTH_PX, HEIGHT_PX]) / 2 / zoom
    at = np.clip(
        middle, np.minimum(half, [width / 2, height / 2]), np.maximum([width, height] - half, [width / 2, height / 2])
    )
    matrix = np.array([[zoom, 0, WIDTH_PX / 2 - zoom * at[0]], [0, zoom, HEIGHT_PX / 2 - zoom * at[1]]])
    framed = cv2.warpAffine(
        image, matrix, (WIDTH_PX, HEIGHT_PX), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    corners = np.array([[face.box.x1, face.box.y1], [face.box.x2, face.box.y2], *face.landmarks]) * zoom + matrix[:, 2]
    box = BoundingBox(*map(float, corners[:2].ravel()))
    points = tuple((float(x), float(y)) for x, y in corners[2:])
    return framed, DetectedFace(box, points, face.confidence)  # type: ignore[arg-type]


def _middle(face: DetectedFace) -> np.ndarray:
    return np.array([(face.box.x1 + face.box.x2) / 2, (face.box.y1 + face.box.y2) / 2])


def _eyes_px(face: DetectedFace) -> float:
    return float(np.hypot(*np.subtract(face.landmarks[1], face.landmarks[0])))
