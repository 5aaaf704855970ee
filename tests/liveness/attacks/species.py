"""Every kind of attack by its name: what is held before the camera, or put in its place, in answer to given steps.

Each takes a scene (photographs, clips, frames per step), its number and its chance, and gives an Attempt. The attacker
is no fool: he sees the steps and moves, tilts or bends what he holds as the steps say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

import cv2
import numpy as np
from liveness.attacks import honest
from liveness.attacks.attempt import (
    EYES_MM,
    HEIGHT_PX,
    WIDTH_PX,
    Attempt,
    Shot,
    decoded,
    encoded,
    flash_of,
    generator,
    jpeg,
)
from liveness.attacks.footage import MIRRORED, Clip, Detect
from liveness.attacks.head import animated, framed
from liveness.attacks.light import before_the_screen, mirrored_by_glass, reflected
from liveness.attacks.performing import Pose, Reach, performed
from liveness.attacks.photographs import Photograph
from liveness.attacks.screen import screen, shown
from liveness.attacks.sheet import Texture, laid_over, seen

from face_server.liveness.challenge import Kind, Step, random_steps
from face_server.types import FloatArray, RgbImage


@dataclass(frozen=True, slots=True)
class Scene:
    """What attacks are made of: pictures, how many frames a step has, and whether challenges flash the screen."""

    photographs: Sequence[Photograph]
    clips: Sequence[Clip]
    detect: Detect
    frames_per_step: int = 3
    flash: bool = False

    def ask(self, rng: np.random.Generator, flash: bool = False) -> tuple[Step, ...]:
        """The steps of a challenge, drawn as the daemon draws them."""
        return random_steps(3, self.flash or flash, Random(int(rng.integers(2**32))))  # type: ignore[arg-type]

    def recorded(self, number: int) -> Attempt:
        """The number-th honest answer, always the same: what is judged as such is what is played again."""
        rng = generator("honest", number)
        return honest.honest(self.clips, number, self.frames_per_step, self.flash, rng)

    def photograph(self, number: int) -> Photograph:
        """Another one for each attempt, while there are any."""
        return self.photographs[number % len(self.photographs)]

    def behind(self, number: int) -> RgbImage:
        """The picture behind: of the man at his webcam, his head about where the sheet is held; else a bare wall."""
        if not self.clips:
            return np.full((HEIGHT_PX, WIDTH_PX, 3), (178, 168, 150), np.uint8)
        clip = self.clips[0]
        at = sorted(clip.faces)[number % len(clip.faces)]
        box = clip.faces[at].box
        shift = WIDTH_PX / 2 - (box.x1 + box.x2) / 2, HEIGHT_PX / 2 - (box.y1 + box.y2) / 2
        return _room(clip.frames[at], shift)


def _room(image: RgbImage, shift: tuple[float, float]) -> RgbImage:
    """A frame moved so that the head is in the middle; the grey bars beside the video give way to its own colours."""
    inner = image[:, 186:452]
    small = cv2.GaussianBlur(cv2.resize(inner, (64, 48), interpolation=cv2.INTER_AREA), (0, 0), 3)
    wide = cv2.resize(small, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_CUBIC)
    wide[:, 186:452] = inner
    matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
    return cv2.warpAffine(wide, matrix, (WIDTH_PX, HEIGHT_PX), borderMode=cv2.BORDER_REPLICATE)


# --- what is held before the camera ---------------------------------------------------------------------------------


def photo_moved(scene: Scene, number: int, rng: np.random.Generator) -> Attempt:
    """A print, shifted to and fro where a turn is asked, never tilted by more than a hand's tremor."""
    return _print(scene, number, rng, "photo_moved", Reach(turn=0, nod=0, tremor=1.3), sway=True)


def photo_tilted(scene: Scene, number: int, rng: np.random.Generator) -> Attempt:
    """A print, tilted about its middle by up to 50 degrees."""
    return _print(scene, number, rng, "photo_tilted", Reach(rng.uniform(22, 50), rng.uniform(18, 45)))


def photo_bent(scene: Scene, number: int, rng: np.random.Generator) -> Attempt:
    """A print bent about an upright axis (every third about a level one) to a radius of 60 to 200 mm, and turned."""
    bend = 1 / rng.uniform(60, 200)
    return _print(scene, number, rng, "photo_bent", Reach(rng.uniform(18, 42), rng.uniform(15, 35)), bend)


def photo_cut_eyes(scene: Scene, number: int, rng: np.random.Generator) -> Attempt:
    """A print worn as a mask, slightly bent, with the attacker's own eyes in the holes."""
    reach = Reach(rng.uniform(18, 40), rng.uniform(15, 30))
    return _print(scene, number, rng, "photo_cut_eyes", reach, 1 / rng.uniform(110, 250), eyes=True)


def _print(
    scene: Scene, number: int, rng: np.random.Generator, species: str, reach: Reach, bend: float = 0.0,
    sway: bool = False, eyes: bool = False,
) -> Attempt:  # fmt: skip
    steps, photo = scene.ask(rng), scene.photograph(number)
    size, corner = photo.cut(210, 297)  # A4
    eyes_px, strength, quality = rng.uniform(72, 95), rng.uniform(0.08, 0.3), int(rng.integers(80, 93))
    attacker = _attacker(scene, number) if eyes else None
    shots = []
    for place, (step, pose) in enumerate(performed(steps, scene.frames_per_step, reach, rng)):
        if sway and step:
            pose = _swayed(pose, steps[step - 1].kind, rng)
        view = seen(pose, eyes_px, size, corner, bend, upright=number % 3 != 2, pivot_mm=60 if bend else 0)
        texture = photo.texture if attacker is None else _with_eyes(photo, attacker, pose)
        image = laid_over(scene.behind(number + place), view.sampled(texture) * view.shade[..., None], view.there)
        image = reflected(image, flash_of(steps, step), view.there, strength)
        shots.append(Shot(step, jpeg(image, rng, quality)))
    return Attempt(species, number, steps, tuple(shots))


def _swayed(pose: Pose, kind: Kind, rng: np.random.Generator) -> Pose:
    far = rng.uniform(25, 45)
    right = {Kind.TURN_LEFT: -far, Kind.TURN_RIGHT: far}.get(kind, 0.0)
    down = {Kind.LOOK_UP: -far, Kind.LOOK_DOWN: far}.get(kind, 0.0)
    return replace(pose, right_mm=pose.right_mm + right, down_mm=pose.down_mm + 0.6 * down)


def _attacker(scene: Scene, number: int) -> Photograph:
    """Whose eyes look through the holes: the man at the webcam, or where he is missing somebody else's photograph."""
    if not scene.clips:
        return scene.photograph(number + 1)
    clip = scene.clips[0]
    at = sorted(clip.faces)[number % 70]
    return Photograph("attacker", clip.frames[at], clip.faces[at])


def _with_eyes(photo: Photograph, attacker: Photograph, pose: Pose) -> Texture:
    """The photograph with another's eyes where its own were; they lie 12 mm behind it, so a turn shifts them."""
    texture = photo.texture
    ours, theirs = (np.array(one.face.landmarks[:2], np.float32) for one in (photo, attacker))
    shift = 12 * texture.pixels_per_mm * np.tan(np.radians([-pose.yaw, -pose.pitch])).astype(np.float32)
    matrix, _ = cv2.estimateAffinePartial2D(theirs, ours + shift)
    height, width = photo.image.shape[:2]
    behind = cv2.warpAffine(attacker.image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    holes = np.zeros((height, width), np.uint8)
    for x, y in ours:
        axes = (int(17 * texture.pixels_per_mm), int(10 * texture.pixels_per_mm))
        cv2.ellipse(holes, (int(x), int(y)), axes, 0, 0, 360, 255, -1)
    # The rim of a hole throws a shadow on what lies behind it.
    inner = cv2.GaussianBlur(holes, (0, 0), max(1.0, 3 * texture.pixels_per_mm))[..., None] / 255.0
    mixed = np.where(holes[..., None] > 0, behind * np.clip(0.45 + 0.55 * inner, 0, 1), photo.image)
    return replace(texture, image=mixed.astype(np.uint8))


# --- screens --------------------------------------------------------------------------------------------------------


def screen_photo(scene: Scene, number: int, rng: np.random.Generator) -> Attempt:
    """A phone, tablet or laptop that shows a photograph, tilted and moved as the steps say."""
    steps, photo = scene.ask(rng), scene.photograph(number)
    reach = Reach(rng.uniform(18, 40), rng.uniform(15, 32))
    return _screen(scene, number, rng, "screen_photo", steps, [photo.texture], reach)


def screen_video(scene: Scene, number: int, rng: np.random.Generator) -> Attempt:
    """A screen that plays an honest answer to another challenge, from its beginning."""
    recorded = scene.recorded(number)
    steps = _others(scene, recorded.steps, rng)
    images = [decoded(shot.jpeg) for shot in recorded.shots]
    middle, eyes_px = _face_in(images[0], scene.detect)
    # The attacker scales the picture so that the face is life-size on his screen, as `screen` takes it to be.
    textures = [Texture(image, eyes_px / EYES_MM, middle) for image in images]
    return _screen(scene, number, rng, "screen_video", steps, textures, Reach(0, 0, growth=0.25))


def _screen(
    scene: Scene, number: int, rng: np.random.Generator, species: str, steps: tuple[Step, ...],
    textures: Sequence[Texture], reach: Reach,
) -> Attempt:  # fmt: skip
    device, eyes_px, strength = screen(rng), rng.uniform(72, 92), rng.uniform(0.08, 0.3)
    quality, shots = int(rng.integers(80, 93)), []
    for place, (step, pose) in enumerate(performed(steps, scene.frames_per_step, reach, rng)):
        view = seen(pose, eyes_px, device.size_mm, device.corner_mm)
        texture = textures[place % len(textures)]
        image = laid_over(scene.behind(number + place), shown(device, view, texture), view.there)
        image = mirrored_by_glass(image, flash_of(steps, step), view.there, strength * 2)
        shots.append(Shot(step, jpeg(image, rng, quality)))
    return Attempt(species, number, steps, tuple(shots))


def _face_in(image: RgbImage, detect: Detect) -> tuple[tuple[float, float], float]:
    """The middle of the face in pixels, and the distance between its eyes."""
    points = np.array(detect(image)[0].landmarks)
    x, y = points[[0, 1, 3, 4]].mean(axis=0)
    return (float(x), float(y)), float(np.hypot(*(points[1] - points[0])))


# --- what was recorded ----------------------------------------------------------------------------------------------


def replay_identical(scene: Scene, number: int, rng: np.random.Generator) -> Attempt:
    """The frames of an answer that passed, byte for byte; the same steps happen to be asked again."""
    recorded = scene.recorded(number)
    return Attempt("replay_identical", number, recorded.steps, recorded.shots)


def replay_recoded(scene: Scene, number: int, rng: np.random.Generator) -> Attempt:
    """The frames of an answer that passed, compressed anew, to other steps."""
    recorded = scene.recorded(number)
    steps = _others(scene, recorded.steps, rng)
    return Attempt("replay_recoded", number, steps, _recoded(_relabelled(recorded.shots, steps, scene), rng))


def replay_lucky(scene: Scene, number: int, rng: np.random.Generator) -> Attempt:
    """The same, but the very steps are asked again: what the number of possible challenges makes rare."""
    recorded = scene.recorded(number)
    return Attempt("replay_lucky", number, recorded.steps, _recoded(recorded.shots, rng))


def wrong_order(scene: Scene, number: int, rng: np.random.Generator) -> Attempt:
    """Every step is done, but not in the order asked."""
    recorded = honest.honest(scene.clips, number, scene.frames_per_step, scene.flash, rng)
    actions = _actions(recorded.steps)
    asked = tuple(step for action in actions[1:] + actions[:1] for step in action)
    return Attempt("wrong_order", number, asked, _relabelled(recorded.shots, asked, scene))


def swap(scene: Scene, number: int, rng: np.random.Generator) -> Attempt:
    """The attacker does the first steps himself, then another man's recorded answer goes on from there."""
    own = scene.clips[number % len(scene.clips)]
    others = [clip for clip in scene.clips if clip.person != own.person]
    first = honest.filmed(own, number // len(scene.clips), scene.frames_per_step, scene.flash, rng)
    other = honest.answering(others[number % len(others)], first.steps, scene.frames_per_step, rng)
    begun, gone_on = honest.shots(first, rng), honest.shots(other, rng)
    at = int(rng.integers(len(begun) // 3, 2 * len(begun) // 3 + 1))
    return Attempt("swap", number, first.steps, begun[:at] + gone_on[at:])


def mixed(scene: Scene, number: int, rng: np.random.Generator) -> Attempt:
    """The attacker does what is asked, and puts frames of another man among his own: most of those that look ahead, of
    whom a login is then, and one of each step, so that no step is of somebody else as a whole.
    """
    own = scene.clips[number % len(scene.clips)]
    others = [clip for clip in scene.clips if clip.person != own.person]
    first = honest.filmed(own, number // len(scene.clips), scene.frames_per_step, scene.flash, rng)
    other = honest.answering(others[number % len(others)], first.steps, scene.frames_per_step, rng)
    last = scene.frames_per_step - 1
    shots = [
        theirs if (at < last) or (at > last and at % scene.frames_per_step == last) else ours
        for at, (ours, theirs) in enumerate(zip(honest.shots(first, rng), honest.shots(other, rng), strict=True))
    ]
    return Attempt("mixed", number, first.steps, shots)


def camera_loop(scene: Scene, number: int, rng: np.random.Generator) -> Attempt:
    """A virtual camera that plays a stretch of a real video over and over, whatever is asked."""
    steps, clip = scene.ask(rng), scene.clips[number % 2]
    there, length = sorted(clip.faces), int(rng.integers(9, 40))
    start = int(rng.integers(0, len(there) - length))
    loop = there[start : start + length]
    count = scene.frames_per_step * (len(steps) + 1)
    plan = tuple((at // scene.frames_per_step, loop[2 * at % length], 1.0) for at in range(count))
    dark = tuple(replace(step, colour=None) for step in steps)
    return Attempt("camera_loop", number, steps, honest.shots(honest.Filmed(clip, dark, plan, False), rng))


def still_coloured(scene: Scene, number: int, rng: np.random.Generator) -> Attempt:
    """One photograph in place of the camera's picture, moved by an affine map, the asked colours mixed into it."""
    steps, photo = scene.ask(rng, flash=True), scene.photograph(number)
    eyes_px, share, whole = rng.uniform(72, 95), rng.uniform(0.06, 0.25), rng.random() < 0.5
    quality, shots = int(rng.integers(80, 93)), []
    for step, pose in performed(steps, scene.frames_per_step, Reach(0, 0, tremor=0.7), rng):
        kind = steps[step - 1].kind if step else None
        image = _affine(framed(photo, eyes_px), _swayed(pose, kind, rng) if kind else pose, kind)
        if colour := flash_of(steps, step):
            image = _painted(image, colour, share, None if whole else _face_mask(photo, eyes_px))
        shots.append(Shot(step, jpeg(image, rng, quality)))
    return Attempt("still_coloured", number, steps, tuple(shots))


def head_animated(scene: Scene, number: int, rng: np.random.Generator) -> Attempt:
    """A photograph laid on a head in three dimensions and turned, in place of the camera's picture; the light too."""
    return _animated(scene, number, rng, "head_animated")


def head_modelled(scene: Scene, number: int, rng: np.random.Generator) -> Attempt:
    """The same as a stand-in for honest people, of whom there are photographs only. See `head`."""
    return _animated(scene, number, rng, "head_modelled")


def _animated(scene: Scene, number: int, rng: np.random.Generator, species: str) -> Attempt:
    steps, photo = scene.ask(rng), scene.photograph(number)
    reach = Reach(rng.uniform(14, 26), rng.uniform(10, 18), growth=rng.uniform(0.2, 0.4), tremor=0.6)
    eyes_px, strength, quality = rng.uniform(72, 95), rng.uniform(0.08, 0.3), int(rng.integers(80, 93))
    depth, near, shots = rng.uniform(0.85, 1.15), _face_mask(photo, eyes_px), []
    for step, pose in performed(steps, scene.frames_per_step, reach, rng):
        image = reflected(animated(photo, pose, eyes_px, depth), flash_of(steps, step), near, strength)
        shots.append(Shot(step, jpeg(image, rng, quality)))
    return Attempt(species, number, steps, tuple(shots))


# --- parts ----------------------------------------------------------------------------------------------------------


def _actions(steps: Sequence[Step]) -> list[list[Step]]:
    """Steps grouped into what a person does: all flashes in a row are one."""
    actions: list[list[Step]] = []
    for step in steps:
        if step.kind is Kind.FLASH and actions and actions[-1][0].kind is Kind.FLASH:
            actions[-1].append(step)
        else:
            actions.append([step])
    return actions


def _others(scene: Scene, recorded: Sequence[Step], rng: np.random.Generator) -> tuple[Step, ...]:
    """Steps that the daemon asks and that were not the recorded ones."""
    while (steps := scene.ask(rng)) == tuple(recorded):
        pass
    return steps


def _recoded(shots: Sequence[Shot], rng: np.random.Generator) -> tuple[Shot, ...]:
    return tuple(Shot(shot.step, encoded(decoded(shot.jpeg), int(rng.integers(70, 90)))) for shot in shots)


def _relabelled(shots: Sequence[Shot], steps: Sequence[Step], scene: Scene) -> tuple[Shot, ...]:
    """The frames in their order under the step numbers of another challenge; the last go on to and fro if too few."""
    count = scene.frames_per_step * (len(steps) + 1)
    order = [at if at < len(shots) else len(shots) - 1 - at % len(shots) for at in range(count)]
    return tuple(Shot(place // scene.frames_per_step, shots[at].jpeg) for place, at in enumerate(order))


def _affine(image: RgbImage, pose: Pose, kind: Kind | None) -> RgbImage:
    """A picture shifted, sheared as a turn would, enlarged: all that a flat picture can do in a picture's plane."""
    narrower = 0.86 if kind in MIRRORED else 1.0
    lower = 0.9 if kind in (Kind.LOOK_UP, Kind.LOOK_DOWN) else 1.0
    x, y = pose.nearer * narrower, pose.nearer * lower
    right, down = pose.right_mm, pose.down_mm
    middle = WIDTH_PX / 2, HEIGHT_PX / 2
    matrix = np.array([[x, 0.02 * pose.roll, middle[0] * (1 - x) + right], [0, y, middle[1] * (1 - y) + down]])
    return cv2.warpAffine(image, matrix, (WIDTH_PX, HEIGHT_PX), borderMode=cv2.BORDER_REPLICATE)


def _painted(image: RgbImage, colour: str, share: float, where: FloatArray | None) -> RgbImage:
    paint = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)], np.float32)
    weight = share if where is None else share * where[..., None]
    return np.clip(image * (1 - weight) + paint * weight, 0, 255).astype(np.uint8)


def _face_mask(photo: Photograph, eyes_px: float) -> FloatArray:
    """Where the face is in `framed`."""
    ratio, box = eyes_px / photo.eyes_px, photo.face.box
    x, y = photo.texture.middle
    corners = (np.array([[box.x1, box.y1], [box.x2, box.y2]]) - [x, y]) * ratio + [WIDTH_PX / 2, HEIGHT_PX / 2]
    placed = replace(
        photo.face, box=replace(box, **dict(zip(("x1", "y1", "x2", "y2"), map(float, corners.ravel()), strict=True)))
    )
    return before_the_screen(placed, HEIGHT_PX, WIDTH_PX)


#: Attacks by name. Those of the second row need the clips.
HELD = (photo_moved, photo_tilted, photo_bent, photo_cut_eyes, screen_photo, still_coloured, head_animated)
RECORDED = (screen_video, replay_identical, replay_recoded, replay_lucky, wrong_order, swap, mixed, camera_loop)
SPECIES = {attack.__name__: attack for attack in HELD + RECORDED}


def attempt(species: str, scene: Scene, number: int) -> Attempt:
    """The number-th attempt of a species: the same on every machine that has the same pictures."""
    return SPECIES[species](scene, number, generator(species, number))
