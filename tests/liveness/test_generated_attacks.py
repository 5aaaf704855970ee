"""The attacks that tests are made of are what they say: geometry, light, and frames that a daemon would look at."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from liveness.attacks.attempt import Attempt, decoded, generator
from liveness.attacks.honest import honest
from liveness.attacks.light import linear, reflected
from liveness.attacks.performing import Pose
from liveness.attacks.sheet import seen
from liveness.attacks.species import HELD, RECORDED, Scene, attempt

from face_server.liveness.challenge import Kind

HELD_NAMES, RECORDED_NAMES = ([attack.__name__ for attack in attacks] for attacks in (HELD, RECORDED))


def off_a_plane_px(pose: Pose, bend: float) -> float:
    """How far places of a sheet, seen in a pose, are from the homography that explains most of them."""
    view = seen(pose, 85, (200, 280), (-100, -140), bend)
    rows, columns = np.nonzero(view.there == 1)
    chosen = slice(None, None, 97)
    on_sheet = np.stack([view.s[rows, columns], view.t[rows, columns]], axis=-1)[chosen]
    in_picture = np.stack([columns, rows], axis=-1).astype(np.float32)[chosen]
    matrix, _ = cv2.findHomography(on_sheet, in_picture)
    explained = cv2.perspectiveTransform(on_sheet[None], matrix)[0]
    return float(np.linalg.norm(explained - in_picture, axis=1).max())


@pytest.mark.parametrize("pose", [Pose(), Pose(yaw=40), Pose(yaw=-20, pitch=30, roll=5, nearer=1.3)])
def test_a_flat_sheet_moves_as_a_plane_does_and_a_bent_one_does_not(pose: Pose) -> None:
    assert off_a_plane_px(pose, 0.0) < 0.6
    assert off_a_plane_px(pose, 1 / 100) > 3


def test_what_is_turned_to_the_right_shows_its_middle_further_to_the_right() -> None:
    """Against its edges, as a nose does: on a bulging sheet the middle is nearest the camera."""

    def middle_px(yaw: float) -> float:
        view = seen(Pose(yaw=yaw), 85, (200, 280), (-100, -140), 1 / 100, pivot_mm=100)
        row = view.there[240] > 0.5
        columns = np.nonzero(row)[0]
        return float(np.abs(view.s[240]).argmin() - columns.mean())

    assert middle_px(-25) < -5 < 5 < middle_px(25)


def test_a_flash_adds_its_colour_to_the_light_where_the_screen_shines() -> None:
    grey = np.full((4, 4, 3), 120, np.uint8)
    near = np.zeros((4, 4), np.float32)
    near[:, 2:] = 1
    before, after = linear(grey), linear(reflected(grey, "#ff0000", near, 0.3))
    gained = after / before - 1
    assert gained[0, 3] == pytest.approx([0.3, 0, 0], abs=0.02)
    assert gained[0, 0] == pytest.approx([0.03, 0, 0], abs=0.02)


def answers(made: Attempt, pipeline: Any, frames_per_step: int) -> float:
    """The share of frames with one face that counts, once the attempt is seen to be whole."""
    numbers = [shot.step for shot in made.shots]
    assert numbers == sorted(numbers)
    assert [numbers.count(number) for number in range(len(made.steps) + 1)] == [frames_per_step] * (len(made.steps) + 1)
    assert {decoded(shot.jpeg).shape for shot in made.shots} == {(480, 640, 3)}
    return float(np.mean([bool(pipeline.detect(shot.jpeg).faces) for shot in made.shots]))


@pytest.mark.parametrize("species", HELD_NAMES)
def test_what_is_held_before_the_camera_shows_a_face_in_every_step(
    species: str, held_scene: Scene, pipeline: Any
) -> None:
    made = attempt(species, held_scene, 0)
    assert answers(made, pipeline, held_scene.frames_per_step) > 0.9
    assert attempt(species, held_scene, 0) == made != attempt(species, held_scene, 1)


@pytest.mark.parametrize("species", RECORDED_NAMES)
def test_what_was_recorded_shows_a_face_in_every_step(species: str, filmed_scene: Scene, pipeline: Any) -> None:
    made = attempt(species, filmed_scene, 1)
    assert answers(made, pipeline, filmed_scene.frames_per_step) > 0.9


def test_honest_answers_come_from_two_people_and_turn_to_both_sides(filmed_scene: Scene, pipeline: Any) -> None:
    made = [filmed_scene.recorded(number) for number in range(8)]
    assert all(answers(each, pipeline, filmed_scene.frames_per_step) > 0.9 for each in made[:3])
    kinds = {step.kind for each in made for step in each.steps}
    assert {Kind.TURN_LEFT, Kind.TURN_RIGHT, Kind.COME_CLOSER} <= kinds


def test_the_wrong_order_is_every_step_but_in_another_order(filmed_scene: Scene) -> None:
    made = attempt("wrong_order", filmed_scene, 3)
    scene = filmed_scene
    done = honest(scene.clips, 3, scene.frames_per_step, scene.flash, generator("wrong_order", 3))
    assert sorted(step.kind.value for step in made.steps) == sorted(step.kind.value for step in done.steps)
    assert made.steps != done.steps
    assert [shot.jpeg for shot in made.shots] == [shot.jpeg for shot in done.shots]


def test_what_is_replayed_is_what_was_judged_before(filmed_scene: Scene) -> None:
    made = attempt("replay_identical", filmed_scene, 2)
    assert made.shots == filmed_scene.recorded(2).shots
