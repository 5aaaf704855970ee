"""Each check alone, on drawn surfaces whose every motion is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from liveness.surfaces import Depth, bent, flat, frame, frames, head

from face_server.config import LivenessConfig
from face_server.liveness import continuity, flash, pose, relief
from face_server.liveness.challenge import COLOURS, Kind, Step
from face_server.liveness.evidence import Finding, Frame
from face_server.liveness.judging import judge
from face_server.types import BoundingBox, DetectedFace

OPTIONS = LivenessConfig()
LEFT, RIGHT, UP, DOWN, CLOSER = (Step(kind) for kind in list(Kind)[:5])
AHEAD = (0.0, 0.0)


def failed(findings: Any) -> list[tuple[str, int | None]]:
    return [(finding.check, finding.step) for finding in findings if not finding.ok]


# --- pose -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_a_head_that_does_the_steps_in_their_order_is_seen_to(seed: int) -> None:
    done = frames(head, [AHEAD, (-22, 0), (0, 18), (24, 0)], seed)
    assert failed(pose.check(done, [LEFT, DOWN, RIGHT], OPTIONS)) == []


def test_steps_in_another_order_are_not_those_that_were_asked() -> None:
    done = frames(head, [AHEAD, (-22, 0), (0, 18), (24, 0)])
    assert failed(pose.check(done, [RIGHT, DOWN, LEFT], OPTIONS)) == [("steps", 1), ("steps", 3)]
    assert failed(pose.check(done, [DOWN, LEFT, RIGHT], OPTIONS)) == [("steps", 1), ("steps", 2)]


def test_a_head_that_is_held_obliquely_counts_as_one_movement_not_as_two() -> None:
    oblique = frames(head, [AHEAD, (25, 14), (25, 14)])
    assert failed(pose.check(oblique, [RIGHT, DOWN], OPTIONS)) == [("steps", 2)]


def test_a_face_that_looks_aside_from_the_first_is_measured_against_itself() -> None:
    done = frames(head, [(15, 5), (-12, 5)])
    assert failed(pose.check(done, [LEFT], OPTIONS)) == []
    assert failed(pose.check(frames(head, [(15, 5), (15, 5)]), [RIGHT], OPTIONS)) == [("steps", 1)]


def test_one_frame_in_three_that_the_detector_gets_wrong_changes_nothing() -> None:
    done = frames(head, [AHEAD, (-22, 0)])
    done[4] = replace(frame(head, 30, 1, 99), step=1)
    assert failed(pose.check(done, [LEFT], OPTIONS)) == []


def test_a_turn_that_hides_half_the_face_is_too_far() -> None:
    assert failed(pose.check(frames(flat, [AHEAD, (55, 0)]), [RIGHT], OPTIONS)) == [("steps", 1), ("too_far", 1)]


def larger(one: Frame, times: float, step: int = 1) -> Frame:
    """The frame with its landmarks further apart."""
    points = tuple((x * times, y * times) for x, y in one.face.landmarks)
    return replace(one, face=DetectedFace(one.face.box, points, 1.0), step=step)  # type: ignore[arg-type]


def test_coming_closer_is_a_larger_face_and_a_step_to_the_side_is_not() -> None:
    first = frames(head, [AHEAD])
    assert failed(pose.check([*first, *(larger(one, 1.3) for one in first)], [CLOSER], OPTIONS)) == []
    assert failed(pose.check([*first, *(larger(one, 1.05) for one in first)], [CLOSER], OPTIONS)) == [("steps", 1)]


def test_who_comes_closer_looks_ahead() -> None:
    seen = frames(head, [AHEAD, (22, 0)])
    aside = [larger(one, 1.4) if one.step else one for one in seen]
    assert failed(pose.check(aside, [CLOSER], OPTIONS)) == [("steps", 1)]


def test_a_face_that_comes_closer_when_it_is_to_turn_went_too_far_and_one_that_stays_closer_did_not() -> None:
    ahead, turned = frames(head, [AHEAD]), frames(head, [AHEAD, (22, 0)])[3:]
    enlarged = [larger(one, 1.4, 1) for one in turned]
    assert failed(pose.check([*ahead, *enlarged], [RIGHT], OPTIONS)) == [("too_far", 1)]
    stays = [*ahead, *(larger(one, 1.4, 1) for one in ahead), *(larger(one, 1.4, 2) for one in turned)]
    assert failed(pose.check(stays, [CLOSER, RIGHT], OPTIONS)) == []
    returns = [*stays[:6], *(replace(one, step=2) for one in turned)]
    assert failed(pose.check(returns, [CLOSER, RIGHT], OPTIONS)) == []


def test_landmarks_on_one_spot_are_no_pose_and_no_crash() -> None:
    spot = DetectedFace(BoundingBox(0, 0, 9, 9), ((5.0, 5.0),) * 5, 1.0)
    still = [replace(one, face=spot) for one in frames(head, [AHEAD, AHEAD])]
    assert failed(pose.check(still, [LEFT], OPTIONS)) == [("steps", 1)]
    assert failed(relief.check(still, [LEFT], OPTIONS)) == [("relief", 1)]


# --- relief ---------------------------------------------------------------------------------------------------------


def measured(depth: Depth, yaw: float, pitch: float, seed: int) -> float:
    seen = frames(depth, [AHEAD, (yaw, pitch)], seed)
    return relief.relief(seen[:3], seen[3:])


@pytest.mark.parametrize(("yaw", "pitch"), [(20, 0), (-25, 0), (0, 18), (0, -18), (30, 5)])
@pytest.mark.parametrize("seed", range(2))
def test_a_head_that_turns_or_nods_does_not_move_as_a_sheet(yaw: float, pitch: float, seed: int) -> None:
    assert measured(head, yaw, pitch, seed) > OPTIONS.least_relief


@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (20, 0), (-35, 0), (0, 30), (30, 20)])
def test_a_flat_sheet_moves_as_one_however_it_is_tilted(yaw: float, pitch: float) -> None:
    assert measured(flat, yaw, pitch, 0) < 0.05


@pytest.mark.parametrize("radius", [1.2, 1.6, 2.5])  # 75, 100 and 160 mm
@pytest.mark.parametrize("yaw", [10, 20, 30])
def test_a_bent_sheet_moves_nearly_as_one(radius: float, yaw: float) -> None:
    assert measured(bent(radius), yaw, 0, 0) < OPTIONS.least_relief


def test_frames_in_which_nothing_can_be_followed_show_no_relief() -> None:
    one, two = frame(head, 0, 0, 1), frame(head, 25, 1, 2)
    noise = np.random.default_rng(0).integers(0, 255, two.image.shape).astype(np.uint8)
    assert relief.unexplained(one, replace(two, image=noise)) is None
    assert relief.relief([one], [replace(two, image=noise)]) == 0.0


# --- continuity -----------------------------------------------------------------------------------------------------


def test_the_same_bytes_twice_are_no_camera() -> None:
    seen = frames(head, [AHEAD])
    assert failed(continuity.check_distinct(seen)) == []
    assert failed(continuity.check_distinct([*seen[:2], replace(seen[2], sha256=seen[0].sha256)])) == [
        ("identical", None)
    ]


def test_a_face_that_leaps_or_swells_between_two_frames_is_no_take() -> None:
    seen = frames(head, [AHEAD, (20, 0)])
    assert failed(continuity.check_leaps(seen, OPTIONS)) == []
    box = seen[3].face.box
    aside = BoundingBox(box.x1 + 1.8 * box.width, box.y1, box.x2 + 1.8 * box.width, box.y2)
    large = BoundingBox(box.x1 - box.width, box.y1, box.x2 + box.width, box.y2)
    for other in (aside, large):
        moved = replace(seen[3], face=replace(seen[3].face, box=other))
        assert failed(continuity.check_leaps([*seen[:3], moved], OPTIONS)) == [("continuity", 1)]


def test_another_face_in_one_step_is_found_in_that_step() -> None:
    seen = frames(head, [AHEAD, (20, 0), (0, 20)])
    swapped = [replace(one, vector=np.array([0, 1], np.float32)) if one.step == 2 else one for one in seen]

    def same(one: Any, two: Any) -> bool:
        return bool(one @ two > 0.5)

    assert failed(continuity.check_person(seen, same)) == []
    assert failed(continuity.check_person(swapped, same)) == [("person", 2)]
    # One frame among those of a step, which their mean would hide.
    for step in range(3):
        place = next(place for place, one in enumerate(seen) if one.step == step)
        mixed = [*seen[:place], replace(seen[place], vector=np.array([0, 1], np.float32)), *seen[place + 1 :]]
        assert ("person", step) in failed(continuity.check_person(mixed, same))


# --- flash ----------------------------------------------------------------------------------------------------------


def lit(one: Frame, step: int, colour: str | None, skin: float, around: float) -> Frame:
    """The frame with a share of a colour's light added to the face and to what is around it."""
    light = np.zeros(3) if colour is None else np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    share = np.full((*one.image.shape[:2], 1), around)
    box = one.face.box
    share[int(box.y1) : int(box.y2), int(box.x1) : int(box.x2)] = skin
    image = np.clip(one.image * (1 + share * light), 0, 255).astype(np.uint8)
    return replace(one, image=image, step=step)


def flashed(colours: list[str], skin: float, around: float) -> list[Frame]:
    shown = [None, *colours]
    return [
        lit(frame(flat, 0, 0, 10 * step + at), step, colour, skin, around)
        for step, colour in enumerate(shown)
        for at in range(3)
    ]


ASKED = list(COLOURS[:3])
FLASHES = [Step(Kind.FLASH, colour) for colour in ASKED]


def test_the_screens_colours_in_the_skin_are_found_in_their_order() -> None:
    assert failed(flash.check(flashed(ASKED, 0.2, 0.02), FLASHES, OPTIONS)) == []


def test_other_colours_or_another_order_are_not_what_was_asked() -> None:
    assert failed(flash.check(flashed(ASKED[::-1], 0.2, 0.02), FLASHES, OPTIONS)) == [("flash", 1), ("flash", 3)]


@pytest.mark.parametrize(("skin", "around"), [(0.0, 0.0), (0.2, 0.2), (0.0, 0.2)])
def test_no_colour_one_pasted_over_all_and_one_around_the_face_are_no_flash(skin: float, around: float) -> None:
    assert failed(flash.check(flashed(ASKED, skin, around), FLASHES, OPTIONS)) == [
        ("flash", step) for step in (1, 2, 3)
    ]


# --- all together ---------------------------------------------------------------------------------------------------


def everybody(one: Any, two: Any) -> bool:
    return True


def test_a_head_that_does_what_was_asked_is_live_and_a_sheet_is_not() -> None:
    poses = [AHEAD, (22, 0), (0, 18), (-22, 0)]
    asked = [RIGHT, DOWN, LEFT]
    verdict = judge(frames(head, poses), asked, OPTIONS, None, everybody)
    assert verdict.live, verdict
    for surface in (flat, bent(1.6)):
        refused = judge(frames(surface, poses), asked, OPTIONS, None, everybody)
        assert not refused.live
        assert {("relief", 1), ("relief", 2), ("relief", 3)} <= set(failed(refused.findings))


def test_a_step_without_frames_and_frames_out_of_order_are_not_live() -> None:
    seen = frames(head, [AHEAD, (22, 0), (0, 18)])
    for wrong in (seen[:6], seen[3:], seen[::-1], []):
        verdict = judge(wrong, [RIGHT, DOWN], OPTIONS, None, everybody)
        assert verdict.first_failure is not None and verdict.first_failure.check == "missing"


def test_who_is_asked_nothing_is_not_live() -> None:
    assert not judge(frames(head, [AHEAD]), [], OPTIONS, None, everybody).live


@pytest.mark.parametrize(("score", "live"), [(0.99, True), (0.001, False), (float("nan"), False)])
def test_the_passive_network_alone_can_judge_and_a_score_that_is_no_number_is_no(score: float, live: bool) -> None:
    verdict = judge(frames(head, [AHEAD]), [], OPTIONS, lambda image, face: score, everybody)
    assert verdict.live is live
    assert Finding("identical", True, 3, 3) in verdict.findings
