"""Low light: what is brightened, by how much, and what it wins; with the real detector and network."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
from faces import FACES, photo

from face_server.assembly import assemble_pipeline
from face_server.config import Config, ImagingConfig, load_config
from face_server.errors import NoFace, TooDark
from face_server.evaluation.degrading import darkened, exposed, gained
from face_server.types import RgbImage
from face_server.vision.imaging import encode_png
from face_server.vision.lighting import brightened, luminance
from face_server.vision.pipeline import FacePipeline, Purpose

ROOT = Path(__file__).parents[2]
THRESHOLD = Config().imaging.low_light_luminance


@pytest.fixture(scope="module")
def uncorrected() -> FacePipeline:
    """The shipped pipeline with the correction turned off."""
    config = load_config(ROOT / "config.ini")
    return assemble_pipeline(dataclasses.replace(config, imaging=ImagingConfig(low_light_luminance=0.0)))


def even(*colour: int) -> RgbImage:
    return np.full((60, 80, 3), colour, np.uint8)


def small(sample_photos: Path, name: str) -> RgbImage:
    """A face of 90 px, as in lfw-dev."""
    image = photo(sample_photos, name)
    ratio = 90 / FACES[name].box.width
    return np.asarray(cv2.resize(image, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA), np.uint8)


def test_luminance_is_that_of_rec_601() -> None:
    assert luminance(even(255, 0, 0)) == pytest.approx(76.2, abs=0.1)
    assert luminance(even(0, 255, 0)) == pytest.approx(149.7, abs=0.1)
    assert luminance(even(0, 0, 255)) == pytest.approx(29.1, abs=0.1)


def test_a_picture_at_the_threshold_is_the_very_same_and_one_below_is_brightened() -> None:
    at, below = even(40, 40, 40), even(39, 39, 39)
    assert brightened(at, 40.0) is at
    assert brightened(below, 40.0).min() > 200
    assert below.max() == 39  # what was given stays as it was


@pytest.mark.parametrize("name", ["biden", "obama", "obama2", "obama3"])
def test_a_photograph_in_good_light_is_untouched_to_the_bit(
    pipeline: FacePipeline, uncorrected: FacePipeline, sample_photos: Path, name: str
) -> None:
    data = (sample_photos / f"{name}.jpg").read_bytes()
    assert np.array_equal(pipeline.decode(data), uncorrected.decode(data))
    image = photo(sample_photos, name)
    assert brightened(image, THRESHOLD) is image


def test_a_dark_wall_with_a_lamp_on_it_is_untouched(sample_photos: Path) -> None:
    wall = np.zeros((1200, 1200, 3), np.uint8)
    wall[:600, :600] = photo(sample_photos, "obama")[:600, 200:800]
    wall[1000:, 1000:] = 255
    assert luminance(wall) < THRESHOLD
    assert brightened(wall, THRESHOLD) is wall


def test_turning_it_off_leaves_a_black_picture() -> None:
    black = even(3, 3, 3)
    assert brightened(black, 0.0) is black


def test_no_picture_is_multiplied_past_four_doublings() -> None:
    assert brightened(even(0, 0, 0), 40.0).max() == 0
    assert brightened(even(2, 2, 2), 40.0).max() == 32


def test_colours_keep_their_proportions() -> None:
    picture = even(20, 16, 12)
    picture[:10] = 60  # white after the gain of 255 / 60
    assert brightened(picture, 40.0)[40, 40] == pytest.approx((85, 68, 51), abs=1)


def test_noise_is_smoothed_and_a_clean_dark_picture_stays_sharp(sample_photos: Path) -> None:
    image = small(sample_photos, "obama")
    dark = darkened(image, 20, 1)
    noisy, clean = (brightened(copy, THRESHOLD).astype(float) for copy in (dark, darkened(image, 20, 1, noisy=False)))
    assert (noisy - clean).std() < 0.7 * (gained(dark) - clean).std()
    edges, given = (cv2.Laplacian(picture, cv2.CV_64F).var() for picture in (clean, image.astype(float)))
    assert edges > 0.8 * given


def test_in_the_dark_a_face_is_matched_only_by_brightening(
    pipeline: FacePipeline, uncorrected: FacePipeline, sample_photos: Path
) -> None:
    enrolled = pipeline.capture((sample_photos / "obama.jpg").read_bytes(), Purpose.ENROL).template.vector
    data = encode_png(darkened(small(sample_photos, "obama2"), 11, 1))
    assert float(pipeline.capture(data, Purpose.SEARCH).template.vector @ enrolled) > 0.5675
    assert float(uncorrected.capture(data, Purpose.SEARCH).template.vector @ enrolled) < 0.5


def test_in_the_dark_a_face_is_found_only_by_brightening(
    pipeline: FacePipeline, uncorrected: FacePipeline, sample_photos: Path
) -> None:
    data = encode_png(darkened(small(sample_photos, "obama3"), 17, 1))
    with pytest.raises(NoFace):
        uncorrected.capture(data, Purpose.SEARCH)
    found = pipeline.capture(data, Purpose.SEARCH).template.vector
    assert len(pipeline.detect(data).faces) == 1
    scores = {
        name: float(
            pipeline.capture((sample_photos / f"{name}.jpg").read_bytes(), Purpose.ENROL).template.vector @ found
        )
        for name in ("obama3", "biden")
    }
    assert scores["obama3"] > 0.45 > 0.3 > scores["biden"]


def test_brightening_does_not_hide_that_the_room_is_dark(pipeline: FacePipeline, sample_photos: Path) -> None:
    dark = exposed(0.02)(photo(sample_photos, "obama"))
    with pytest.raises(TooDark) as refusal:
        pipeline.capture(encode_png(dark), Purpose.ENROL)
    assert refusal.value.detail["measured"] < 30
    assert pipeline.capture(encode_png(dark), Purpose.SEARCH).template.quality.luminance < 30


def test_the_fingerprint_does_not_know_of_the_light(pipeline: FacePipeline, uncorrected: FacePipeline) -> None:
    assert pipeline.fingerprint == uncorrected.fingerprint
