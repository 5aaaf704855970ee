"""Measured qualities, and the advice of a refusal."""

from __future__ import annotations

import math
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from faces import FACES, photo

from face_server.config import AlignmentConfig, QualityConfig
from face_server.errors import (
    Blurred,
    CutOff,
    FaceTooSmall,
    PersonError,
    SeveralFaces,
    TooBright,
    TooDark,
    TurnedAway,
)
from face_server.evaluation.degrading import cropped, defocused, exposed, moved, shrunk, tilted
from face_server.types import BoundingBox, DetectedFace, Quality, RgbImage
from face_server.vision.alignment import Aligner
from face_server.vision.imaging import encode_png
from face_server.vision.pipeline import FacePipeline, Purpose
from face_server.vision.quality import (
    STRAIGHT_PITCH,
    Limits,
    check,
    check_alone,
    check_light,
    check_pose,
    check_sharp,
    check_size,
    check_whole,
    cut_off,
    measure,
    measuring_crop,
    overexposed,
)

STRAIGHT = ((40.0, 40.0), (80.0, 40.0), (60.0, 65.0), (45.0, 90.0), (75.0, 90.0))
GREY = np.full((160, 160, 3), 100, np.uint8)


def of_width(width: float) -> DetectedFace:
    return DetectedFace(BoundingBox(10, 10, 10 + width, 10 + width * 1.3), STRAIGHT, 0.9)


def with_nose(x: float, y: float) -> DetectedFace:
    left, right, _, *mouth = STRAIGHT
    return DetectedFace(BoundingBox(0, 0, 100, 130), (left, right, (x, y), *mouth), 0.9)  # type: ignore[arg-type]


def turned(face: DetectedFace, degrees: float) -> DetectedFace:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    points = tuple((c * x - s * y, s * x + c * y) for x, y in face.landmarks)
    return DetectedFace(face.box, points, face.confidence)  # type: ignore[arg-type]


def test_a_straight_face_has_no_angles() -> None:
    quality = measure(of_width(100), GREY)
    assert (quality.yaw, quality.pitch, quality.roll) == pytest.approx((0, 0, 0))
    assert quality.face_px == 100
    assert quality.confidence == 0.9


def test_a_nose_to_the_right_is_positive_yaw_and_downwards_positive_pitch() -> None:
    assert measure(with_nose(70, 65), GREY).yaw == pytest.approx(10 / 50)
    assert measure(with_nose(50, 65), GREY).yaw == pytest.approx(-10 / 50)
    assert measure(with_nose(60, 75), GREY).pitch == pytest.approx(10 / 40)
    assert measure(with_nose(60, 55), GREY).pitch == pytest.approx(-10 / 40)


@pytest.mark.parametrize("degrees", [-170, -30, 12, 90])
def test_roll_is_clockwise_positive_and_leaves_yaw_and_pitch_alone(degrees: float) -> None:
    quality = measure(turned(with_nose(70, 60), degrees), GREY)
    assert quality.roll == pytest.approx(degrees)
    assert (quality.yaw, quality.pitch) == pytest.approx((0.2, -0.125))


def test_points_without_any_extent_give_finite_numbers() -> None:
    quality = measure(DetectedFace(BoundingBox(0, 0, 1, 1), ((5.0, 5.0),) * 5, 0.9), GREY)
    assert all(math.isfinite(value) for value in (quality.yaw, quality.pitch, quality.roll))


def test_luminance_is_the_mean_grey_of_the_crop() -> None:
    assert measure(of_width(100), GREY).luminance == 100
    assert measure(of_width(100), np.full((160, 160, 3), (0, 255, 0), np.uint8)).luminance == pytest.approx(150, abs=1)
    assert measure(of_width(100), np.full((160, 160, 3), (0, 0, 255), np.uint8)).luminance == pytest.approx(29, abs=1)


def test_an_even_surface_has_no_sharpness() -> None:
    assert measure(of_width(100), GREY).sharpness == 0


def test_blurring_a_real_face_lowers_its_sharpness_and_darkening_its_luminance(sample_photos: Path) -> None:
    image = photo(sample_photos, "obama")
    crop = Aligner(AlignmentConfig()).align(image, FACES["obama"])
    blurred = cv2.GaussianBlur(crop, (0, 0), 2)
    sharp, soft, dark = (measure(FACES["obama"], of) for of in (crop, blurred, crop // 4))
    assert sharp.sharpness > 50 > 5 > soft.sharpness
    assert 120 < sharp.luminance < 170
    assert dark.luminance == pytest.approx(sharp.luminance / 4, abs=1)


def test_a_real_face_with_a_raised_chin_and_a_tilt_measures_as_it_looks(sample_photos: Path) -> None:
    biden = measure(FACES["biden"], GREY)
    assert biden.roll == pytest.approx(12, abs=1.5)
    assert measure(FACES["obama2"], GREY).yaw < -0.1  # looks to the left of the picture


def test_a_face_of_exactly_the_limit_is_large_enough() -> None:
    check_size(of_width(80), 80)


@pytest.mark.parametrize("width", [79.4, 3, -5])
def test_a_smaller_face_is_told_to_come_closer_with_both_numbers(width: float) -> None:
    with pytest.raises(FaceTooSmall, match=r"closer.*at least 80") as refusal:
        check_size(of_width(width), 80)
    assert refusal.value.detail["min_face_px"] == 80


def test_the_refusal_carries_the_measured_width() -> None:
    with pytest.raises(FaceTooSmall, match="34 pixels wide") as refusal:
        check_size(of_width(34.2), 50)
    assert refusal.value.detail == {"face_px": 34, "min_face_px": 50, "measured": 34.2, "limit": 50}


def test_a_second_face_counts_from_its_share_of_the_firsts_width_on() -> None:
    check_alone([], 0.6)
    check_alone([of_width(100)], 0.6)
    check_alone([of_width(100), of_width(59)], 0.6)
    with pytest.raises(SeveralFaces, match="Only one person") as refusal:
        check_alone([of_width(100), of_width(60)], 0.6)
    assert refusal.value.detail == {"faces": 2, "face_px": 100, "second_face_px": 60, "second_face": 0.6}


def test_the_widest_of_the_others_counts_even_when_it_comes_last() -> None:
    with pytest.raises(SeveralFaces):
        check_alone([of_width(100), of_width(20), of_width(90)], 0.8)


ENROL, SEARCH = (Limits.of(QualityConfig(), purpose.value) for purpose in Purpose)

#: What is done to obama.jpg until it is refused at enrolment (and still taken by a search), and until a search
#: refuses it too: pixels of a face that is 223 px wide.
WORSE = {
    FaceTooSmall: (shrunk(60), shrunk(40)),
    TooDark: (exposed(0.035), exposed(0.004)),
    TooBright: (exposed(2.6), exposed(4)),
    Blurred: (defocused(5.5), defocused(12)),
    TurnedAway: (tilted(45), tilted(56)),
    CutOff: (cropped(0.2, "below"), cropped(0.35, "below")),
}


def worse(name: type[PersonError], step: int, image: RgbImage) -> tuple[RgbImage, DetectedFace]:
    """The picture degraded by one step, and where its face is then."""
    degrade, face = WORSE[name][step], FACES["obama"]
    if name in (TooDark, TooBright, Blurred):
        return degrade(image), face  # type: ignore[call-arg,arg-type,return-value]
    degraded, (x, y) = degrade(image, face.box)  # type: ignore[call-arg,misc]
    if name is FaceTooSmall:
        ratio = (60, 40)[step] / face.box.width
        points = tuple((px * ratio, py * ratio) for px, py in face.landmarks)
        corners = (face.box.x1, face.box.y1, face.box.x2, face.box.y2)
        return degraded, DetectedFace(BoundingBox(*(c * ratio for c in corners)), points, 1.0)  # type: ignore[arg-type]
    if name is TurnedAway:
        angle = math.radians((45, 56)[step])
        points = tuple(
            (
                x + math.cos(angle) * (px - x) + math.sin(angle) * (py - y),
                y - math.sin(angle) * (px - x) + math.cos(angle) * (py - y),
            )
            for px, py in face.landmarks
        )
        return degraded, DetectedFace(face.box, points, 1.0)  # type: ignore[arg-type]
    return degraded, face


def of_quality(**changed: float) -> Quality:
    values = {"face_px": 100.0, "confidence": 1.0, "sharpness": 20.0, "luminance": 110.0}
    return Quality(**values | {"yaw": 0.0, "pitch": STRAIGHT_PITCH, "roll": 0.0} | changed)


@pytest.mark.parametrize("name", ["biden", "obama", "obama2", "obama3"])
def test_a_good_photograph_passes_the_strict_checks(sample_photos: Path, name: str) -> None:
    assert check(photo(sample_photos, name), FACES[name], ENROL).face_px == FACES[name].box.width


@pytest.mark.parametrize("reason", WORSE)
def test_each_reason_is_told_of_a_photograph_made_worse_and_enrolment_is_the_stricter(
    sample_photos: Path, reason: type[PersonError]
) -> None:
    image = photo(sample_photos, "obama")
    bad, face = worse(reason, 0, image)
    check(bad, face, SEARCH)
    hopeless, hopeless_face = worse(reason, 1, image)
    for picture, found, limits in ((bad, face, ENROL), (hopeless, hopeless_face, SEARCH)):
        with pytest.raises(PersonError) as refusal:
            check(picture, found, limits)
        assert type(refusal.value) is reason
        detail = refusal.value.detail
        assert refusal.value.message.startswith("Please ")
        assert detail["limit"] in [getattr(limits, limit) for limit in Limits.__slots__]
        assert detail["measured"] != detail["limit"]
        # Shares are told in percent.
        scale = 100 if reason in (TooBright, CutOff) else 1
        for number in (detail["measured"], detail["limit"]):
            assert re.search(rf"\b{int(number * scale)}", refusal.value.message), (number, refusal.value.message)


def test_the_detector_and_the_checks_together_tell_the_reason(pipeline: FacePipeline, sample_photos: Path) -> None:
    image = photo(sample_photos, "obama")
    for reason in WORSE:
        with pytest.raises(reason):
            pipeline.capture(encode_png(worse(reason, 0, image)[0]), Purpose.ENROL)


def test_a_face_exactly_at_its_limit_is_taken_and_just_past_it_refused() -> None:
    check_whole(ENROL.max_cut_off, ENROL.max_cut_off)
    check_light(ENROL.min_luminance, ENROL.max_overexposed, ENROL)
    check_sharp(ENROL.min_sharpness, ENROL.min_sharpness)
    with pytest.raises(CutOff):
        check_whole(ENROL.max_cut_off + 1e-6, ENROL.max_cut_off)
    with pytest.raises(TooDark):
        check_light(ENROL.min_luminance - 1e-6, 0, ENROL)
    with pytest.raises(TooBright):
        check_light(120, ENROL.max_overexposed + 1e-6, ENROL)
    with pytest.raises(Blurred):
        check_sharp(ENROL.min_sharpness - 1e-6, ENROL.min_sharpness)


@pytest.mark.parametrize("axis", ["yaw", "pitch", "roll"])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_turn_to_either_side_counts_from_straight_ahead(axis: str, sign: int) -> None:
    limit, ahead = getattr(ENROL, f"max_{axis}"), STRAIGHT_PITCH if axis == "pitch" else 0
    check_pose(of_quality(**{axis: ahead + sign * (limit - 1e-6)}), ENROL)
    with pytest.raises(TurnedAway, match="straight") as refusal:
        check_pose(of_quality(**{axis: ahead + sign * (limit + 0.1)}), ENROL)
    assert refusal.value.detail == {"axis": axis, "measured": pytest.approx(limit + 0.1), "limit": limit}


def test_the_cause_is_told_before_what_it_causes(sample_photos: Path) -> None:
    image = photo(sample_photos, "obama")
    dark = exposed(0.004)(defocused(12)(image))
    with pytest.raises(TooDark):
        check(dark, FACES["obama"], ENROL)
    aside = DetectedFace(BoundingBox(386 - 500, 90, 609 - 500, 413), FACES["obama"].landmarks, 1.0)
    with pytest.raises(CutOff):
        check(dark, aside, ENROL)
    small = DetectedFace(BoundingBox(-40, 90, 30, 180), FACES["obama"].landmarks, 1.0)
    with pytest.raises(FaceTooSmall):
        check(dark, small, ENROL)


def test_a_dim_face_is_as_sharp_as_the_same_face_in_the_light(sample_photos: Path) -> None:
    image = photo(sample_photos, "obama")
    crops = [measuring_crop(exposed(light)(image), FACES["obama"]) for light in (0.4, 0.1)]
    dim, dark = (measure(FACES["obama"], crop).sharpness for crop in crops)
    assert dark == pytest.approx(dim, rel=0.1)


def test_a_moved_camera_blurs_in_either_direction(sample_photos: Path) -> None:
    image = photo(sample_photos, "obama")
    sharp = measure(FACES["obama"], measuring_crop(image, FACES["obama"])).sharpness
    sideways = moved(31)(image)
    upwards = np.ascontiguousarray(moved(31)(np.ascontiguousarray(image.transpose(1, 0, 2))).transpose(1, 0, 2))
    for blurred in (sideways, upwards):
        assert measure(FACES["obama"], measuring_crop(blurred, FACES["obama"])).sharpness < sharp / 8


def test_the_share_outside_the_picture() -> None:
    def share(x1: float, y1: float, x2: float, y2: float) -> float:
        return cut_off(DetectedFace(BoundingBox(x1, y1, x2, y2), STRAIGHT, 1.0), 100, 200)

    assert share(0, 0, 100, 200) == 0
    assert share(-25, 10, 75, 110) == pytest.approx(0.25)
    assert share(50, 150, 150, 250) == pytest.approx(0.75)
    assert share(200, 10, 300, 110) == 1
    assert share(50, 50, 50, 50) == 1
    assert share(60, 60, 40, 40) == 1


def test_burnt_out_pixels_count_on_the_face_alone() -> None:
    white_wall = np.full((160, 160, 3), 255, np.uint8)
    white_wall[40:130, 35:125] = 249
    assert overexposed(white_wall) == 0
    white_wall[40:85, 35:125] = 250
    assert overexposed(white_wall) == 0.5


def test_a_webcams_frames_are_searched_with_and_most_enrolled(pipeline: FacePipeline, shared_data: Path) -> None:
    data = (shared_data / "video" / "webcam_one_person_640x480.mjpeg").read_bytes()
    frames = [b"\xff\xd8" + rest for rest in data.split(b"\xff\xd8")[1:]][::10]
    refused: dict[Purpose, list[str]] = {purpose: [] for purpose in Purpose}
    for frame in frames:
        for purpose in Purpose:
            try:
                pipeline.capture(frame, purpose)
            except PersonError as error:
                refused[purpose].append(error.message)
    assert len(frames) == 15
    assert not refused[Purpose.SEARCH]
    assert len(refused[Purpose.ENROL]) <= 3, refused


def test_the_checks_of_a_search_refuse_next_to_nothing_of_lfw(pipeline: FacePipeline, shared_data: Path) -> None:
    people = sorted((shared_data / "lfw-dev" / "images").iterdir())[::14]
    refused = []
    for person in people:
        image = pipeline.decode(min(person.iterdir()).read_bytes())
        face = min(pipeline.detector.detect(image), key=lambda f: abs(f.box.x1 + f.box.x2 - image.shape[1]))
        try:
            pipeline.assess(image, face, Purpose.SEARCH)
        except PersonError as error:
            refused.append(error.message)
    assert len(people) > 90
    assert len(refused) <= 1, refused
