"""Landmarks to crops: pure geometry, checked against arithmetic that does not use it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from face_server.config import AlignmentConfig
from face_server.errors import ConfigError, CutOff, TurnedAway
from face_server.types import BoundingBox, DetectedFace, RgbImage
from face_server.vision.alignment import Aligner, similarity_transform

CONFIG = AlignmentConfig()
TARGETS = np.array([CONFIG.eye_left, CONFIG.eye_right, CONFIG.nose, CONFIG.mouth_left, CONFIG.mouth_right])
AFFINE3 = AlignmentConfig(method="affine3")
BOX = AlignmentConfig(method="box")


def face(points: np.ndarray, box: tuple[float, float, float, float] = (0, 0, 100, 100)) -> DetectedFace:
    return DetectedFace(BoundingBox(*box), tuple((float(x), float(y)) for x, y in points), 1.0)  # type: ignore[arg-type]


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])


def placed(points: np.ndarray, scale: float, degrees: float, shift: tuple[float, float]) -> np.ndarray:
    """Points turned clockwise as seen (y points down), scaled and shifted; written out, sines and all."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return scale * np.array([(c * x - s * y, s * x + c * y) for x, y in points]) + shift


def life_like() -> np.ndarray:
    """The landmarks whose stretched image is exactly the target: the targets with x squeezed about the middle."""
    return np.column_stack([80 + (TARGETS[:, 0] - 80) / CONFIG.stretch, TARGETS[:, 1]])


def dots(points: np.ndarray, radius: int, shape: tuple[int, int] = (600, 800)) -> RgbImage:
    """Black, with one dot for each point: red, green, blue, yellow, cyan."""
    image = np.zeros((*shape, 3), np.uint8)
    colours = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255))
    for (x, y), colour in zip(points, colours, strict=True):
        cv2.circle(image, (round(x * 16), round(y * 16)), radius * 16, colour, -1, cv2.LINE_AA, 4)
    return image


def centre_of(crop: RgbImage, colour: tuple[int, int, int]) -> tuple[float, float]:
    on = np.array(colour) > 0
    weight = (crop[..., on].min(axis=2).astype(float) - crop[..., ~on].max(axis=2)).clip(0)
    y, x = np.mgrid[0 : crop.shape[0], 0 : crop.shape[1]]
    return float((x * weight).sum() / weight.sum()), float((y * weight).sum() / weight.sum())


@given(st.floats(0.05, 20), st.floats(-180, 180), st.tuples(st.floats(-4000, 4000), st.floats(-4000, 4000)))
def test_a_similarity_is_recovered_exactly(scale: float, degrees: float, shift: tuple[float, float]) -> None:
    source = placed(TARGETS, scale, degrees, shift)
    assert apply(similarity_transform(source, TARGETS), source) == pytest.approx(TARGETS, abs=1e-6)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=5, max_size=5))
def test_the_similarity_is_the_least_squares_one_and_never_mirrors(noise: list[tuple[float, float]]) -> None:
    source = TARGETS + np.array(noise)
    matrix = similarity_transform(source, TARGETS)
    (a, b), (c, d) = matrix[:, :2]
    assert (a, b) == (pytest.approx(d), pytest.approx(-c))
    assert np.linalg.det(matrix[:, :2]) > 0
    least = ((apply(matrix, source) - TARGETS) ** 2).sum()
    for turned in (
        placed(source, 1.001, 0, (0, 0)),
        placed(source, 1, 0.1, (0, 0)),
        source + np.array((0.1, 0)),
        source + np.array((0, 0.1)),
    ):
        assert ((apply(matrix, turned) - TARGETS) ** 2).sum() >= least - 1e-9


def test_a_mirrored_face_is_not_mirrored_back() -> None:
    matrix = similarity_transform(TARGETS * (-1, 1), TARGETS)
    assert np.linalg.det(matrix[:, :2]) >= 0


def test_a_single_point_has_no_similarity() -> None:
    with pytest.raises(ValueError, match="single point"):
        similarity_transform(np.ones((5, 2)), TARGETS)


@pytest.mark.parametrize("degrees", [-40, 0, 25, 90])
@pytest.mark.parametrize("scale", [0.6, 1.0, 2.2])
def test_coloured_landmarks_arrive_at_the_configured_points(degrees: float, scale: float) -> None:
    points = placed(life_like() - 80, scale, degrees, (400, 300))
    crop = Aligner(CONFIG).align(dots(points, max(2, round(4 * scale))), face(points))
    assert crop.shape == (160, 160, 3)
    assert crop.dtype == np.uint8
    assert centre_of(crop, (255, 0, 0)) == pytest.approx(TARGETS[0], abs=0.7)
    assert centre_of(crop, (0, 255, 0)) == pytest.approx(TARGETS[1], abs=0.7)
    assert centre_of(crop, (0, 0, 255)) == pytest.approx(TARGETS[2], abs=0.7)
    assert centre_of(crop, (255, 255, 0)) == pytest.approx(TARGETS[3], abs=0.7)


def test_an_undistorted_face_is_stretched_in_width_only() -> None:
    points = placed(life_like() - 80, 1, 0, (400, 300))
    matrix = Aligner(CONFIG).matrix(face(points), 800, 600)
    assert matrix[:, :2] == pytest.approx(np.array([(1.258, 0), (0, 1)]), abs=1e-9)


def test_affine3_carries_eyes_and_nose_exactly_whatever_the_mouth_does() -> None:
    points = placed(TARGETS, 1.7, 20, (100, 50)) + np.array([(3, 1), (-4, 2), (5, -6), (90, 90), (-70, 20)])
    assert apply(Aligner(AFFINE3).matrix(face(points), 800, 600), points[:3]) == pytest.approx(TARGETS[:3], abs=1e-6)


def test_affine3_points_scale_from_their_own_size_to_the_crops() -> None:
    config = dataclasses.replace(AFFINE3, image_size=80, affine3_size=160)
    points = placed(TARGETS, 1.7, 20, (100, 50))
    assert apply(Aligner(config).matrix(face(points), 800, 600), points[:3]) == pytest.approx(TARGETS[:3] / 2)


def test_box_leaves_the_margin_around_the_box() -> None:
    image = np.zeros((400, 500, 3), np.uint8)
    image[100:260, 200:300] = 255
    crop = Aligner(BOX).align(image, face(TARGETS, (200, 100, 300, 260)))
    lit = np.argwhere(crop[..., 0] > 127)
    assert lit.min(axis=0).tolist() == [16, 16]
    assert lit.max(axis=0).tolist() == [143, 143]


def test_box_is_cut_to_the_picture_and_squeezed() -> None:
    image = np.full((100, 100, 3), 200, np.uint8)
    assert (Aligner(BOX).align(image, face(TARGETS, (-50, -50, 150, 90)))[4:-4, 4:-4] == 200).all()


@pytest.mark.parametrize("box", [(200, 200, 300, 300), (-90, 10, -40, 60), (math.nan, 0, 10, 10), (50, 50, 50, 50)])
def test_a_box_outside_the_picture_is_cut_off(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(CutOff, match="middle"):
        Aligner(BOX).align(np.zeros((100, 100, 3), np.uint8), face(TARGETS, box))


@pytest.mark.parametrize("config", [CONFIG, AFFINE3], ids=lambda config: config.method)
@pytest.mark.parametrize(
    "points",
    [
        np.full((5, 2), 50.0),
        np.array([(10.0 * i, 20.0 * i) for i in range(5)]),
        np.array([(30.0, 10.0 * i) for i in range(5)]),
        np.where(np.arange(10).reshape(5, 2) == 3, math.nan, TARGETS),
        np.where(np.arange(10).reshape(5, 2) == 0, math.inf, TARGETS),
    ],
    ids=["one point", "a line", "an upright line", "NaN", "infinite"],
)
def test_landmarks_that_show_no_face_are_refused_by_name(config: AlignmentConfig, points: np.ndarray) -> None:
    with pytest.raises(TurnedAway, match="look straight"):
        Aligner(config).align(np.zeros((100, 100, 3), np.uint8), face(points))


COORDINATE = st.floats(-1e6, 1e6)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(COORDINATE, COORDINATE), min_size=5, max_size=5))
def test_any_landmarks_give_a_crop_or_a_named_refusal(points: list[tuple[float, float]]) -> None:
    image = np.zeros((90, 120, 3), np.uint8)
    for config in (CONFIG, AFFINE3):
        with contextlib.suppress(TurnedAway):
            assert Aligner(config).align(image, face(np.array(points))).shape == (160, 160, 3)


def test_beyond_the_edge_lies_the_grey_that_standardises_to_nothing() -> None:
    crop = Aligner(CONFIG).align(np.zeros((100, 100, 3), np.uint8), face(life_like() + 60))
    assert crop[150, 150].tolist() == [127, 127, 127]
    assert crop[5, 20].tolist() == [0, 0, 0]


def test_a_large_face_is_averaged_and_keeps_no_noise() -> None:
    noise = np.random.default_rng(0).normal(128, 30, (1600, 1600, 3)).clip(0, 255).astype(np.uint8)
    crop = Aligner(CONFIG).align(noise, face(placed(life_like(), 10, 0, (0, 0))))
    assert crop.std() < 6  # 30 / 10, and a little for rounding; plain bilinear leaves 20


def test_the_averaging_shifts_nothing() -> None:
    small = placed(life_like() - 80, 1, 10, (120, 100))
    y, x = np.mgrid[0:200, 0:240]
    ramp = np.stack([x, y, 255 - x], axis=2).astype(np.uint8)
    large = cv2.resize(ramp, (240 * 8, 200 * 8), interpolation=cv2.INTER_LINEAR)
    crops = [Aligner(CONFIG).align(ramp, face(small)), Aligner(CONFIG).align(large, face((small + 0.5) * 8 - 0.5))]
    difference = crops[0].astype(int) - crops[1]
    assert abs(difference[40:120, 40:120].mean(axis=(0, 1))).max() < 0.3


def test_a_very_wide_picture_is_cropped_at_its_far_end_too() -> None:
    points = life_like() + np.array((39_000, 20))
    image = np.zeros((220, 40_000, 3), np.uint8)
    image[:, 38_900:39_300] = dots(life_like() + np.array((100, 20)), 4, (220, 400))
    assert centre_of(Aligner(CONFIG).align(image, face(points)), (0, 0, 255)) == pytest.approx(TARGETS[2], abs=0.7)


def test_the_description_holds_what_changes_pixels_and_survives_json() -> None:
    description = Aligner(CONFIG).describe()
    assert description == {"method": "similarity", "image_size": 160, "stretch": 1.258, "points": TARGETS.tolist()}
    assert json.loads(json.dumps(description)) == description
    assert Aligner(BOX).describe() == {"method": "box", "image_size": 160, "box_margin_px": 32}
    assert Aligner(AFFINE3).describe() == {"method": "affine3", "image_size": 160, "points": TARGETS[:3].tolist()}


@pytest.mark.parametrize(
    ("config", "changes"),
    [
        (CONFIG, {"affine3_size": 96, "affine3_nose": (1.0, 2.0), "box_margin_px": 5}),
        (AFFINE3, {"stretch": 1.1, "nose": (1.0, 2.0), "box_margin_px": 5}),
        (BOX, {"stretch": 1.1, "nose": (1.0, 2.0), "affine3_size": 96}),
    ],
    ids=["similarity", "affine3", "box"],
)
def test_settings_of_other_methods_do_not_change_the_description(
    config: AlignmentConfig, changes: dict[str, object]
) -> None:
    changed = dataclasses.replace(config, **changes)  # type: ignore[arg-type]
    assert Aligner(changed).describe() == Aligner(config).describe()


@pytest.mark.parametrize(
    "config",
    [
        AlignmentConfig(
            nose=(80, 65), eye_left=(50, 65), eye_right=(110, 65), mouth_left=(60, 65), mouth_right=(9, 65)
        ),
        AlignmentConfig(method="affine3", affine3_nose=(81, 65)),
        AlignmentConfig(method="box", box_margin_px=160),
    ],
    ids=["similarity", "affine3", "box"],
)
def test_a_configuration_that_leaves_no_face_stops_the_start(config: AlignmentConfig) -> None:
    with pytest.raises(ConfigError, match="alignment"):
        Aligner(config)
