"""Kept crops: small photographs, from which each alignment shows the same face as from the picture."""

from __future__ import annotations

import dataclasses
import math
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from daemons import ROOT
from faces import FACES, photo
from PIL import Image

from face_server.assembly import assemble_pipeline
from face_server.config import AlignmentConfig, Config, load_config
from face_server.types import BoundingBox, DetectedFace, FaceCrop, RgbImage
from face_server.vision.alignment import ARCFACE_112, Aligner
from face_server.vision.embedding import NetworkEmbedder
from face_server.vision.face_crop import cut, realign
from face_server.vision.imaging import decode, encode_png
from face_server.vision.pipeline import FacePipeline, Purpose
from face_server.vision.runtime import Network

ALIGNMENTS = {
    "similarity": AlignmentConfig(),
    "affine3": AlignmentConfig(method="affine3"),
    "box": AlignmentConfig(method="box"),
    "arcface": ARCFACE_112,
}


@pytest.fixture(scope="module")
def keeping() -> FacePipeline:
    """The shipped pipeline, told to keep crops."""
    config = load_config(ROOT / "config.ini")
    return assemble_pipeline(dataclasses.replace(config, gallery=dataclasses.replace(config.gallery, keep_crops=True)))


def opened(crop: FaceCrop) -> RgbImage:
    return decode(crop.picture, 10**7)


def turned(face: DetectedFace, degrees: float) -> DetectedFace:
    """The same face with its landmarks turned about the middle of its box."""
    middle = np.array([face.box.x1 + face.box.x2, face.box.y1 + face.box.y2]) / 2
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    points = (np.array(face.landmarks) - middle) @ np.array([(cosine, sine), (-sine, cosine)]) + middle
    return dataclasses.replace(face, landmarks=tuple(map(tuple, points.tolist())))


# --- what is kept ---------------------------------------------------------------------------------------------------


def test_crops_are_kept_of_enrolments_only_and_only_when_asked_for(
    pipeline: FacePipeline, keeping: FacePipeline, sample_photos: Path
) -> None:
    data = (sample_photos / "obama.jpg").read_bytes()
    assert not Config().gallery.keep_crops
    assert pipeline.capture(data, Purpose.ENROL).template.crop is None
    assert keeping.capture(data, Purpose.SEARCH).template.crop is None
    assert keeping.capture(data, Purpose.ENROL).template.crop is not None


def test_no_image_bytes_are_shown_where_a_crop_is_printed(sample_photos: Path) -> None:
    crop = cut(photo(sample_photos, "obama"), FACES["obama"])
    assert "picture" not in repr(crop) and len(repr(crop)) < 500


@pytest.mark.parametrize("name", FACES)
def test_a_crop_is_a_jpeg_of_full_colour_a_few_times_as_wide_as_its_face(sample_photos: Path, name: str) -> None:
    crop = cut(photo(sample_photos, name), FACES[name])
    with Image.open(BytesIO(crop.picture)) as picture:
        assert picture.format == "JPEG" and max(picture.size) <= 2.6 * 224 + 2
        assert {(layer[1], layer[2]) for layer in picture.layer} == {(1, 1)}  # type: ignore[attr-defined]
        assert not picture.getexif()
    assert max(crop.face.box.width, crop.face.box.height) == pytest.approx(224, abs=1)
    assert len(crop.picture) < 150_000


def test_a_small_face_keeps_its_pixels() -> None:
    image = np.random.default_rng(1).integers(0, 256, (300, 400, 3), np.uint8)
    face = DetectedFace(
        BoundingBox(150.25, 100, 190, 150), ((160, 115), (180, 115), (170, 128), (162, 138), (178, 138)), 1.0
    )
    crop = cut(image, face)
    left, top = 105, 60  # of the middle (170.125, 125), 1.3 times 50 px outwards
    assert opened(crop).shape == (130, 131, 3)
    assert crop.face.box.x1 == pytest.approx(150.25 - left) and crop.face.box.y2 == pytest.approx(150 - top)
    assert np.array(crop.face.landmarks) == pytest.approx(np.array(face.landmarks) - (left, top))


def test_a_crop_ends_where_the_picture_ends() -> None:
    image = np.zeros((100, 120, 3), np.uint8)
    face = DetectedFace(BoundingBox(-8, 30, 52, 106), ((5, 50), (35, 50), (20, 70), (8, 85), (32, 85)), 1.0)
    crop = cut(image, face)
    assert opened(crop).shape == (100, 120, 3)
    assert crop.face == face


# --- what it is good for --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("degrees", [-40, -20, 0, 20, 40])
@pytest.mark.parametrize("name", FACES)
@pytest.mark.parametrize("method", ALIGNMENTS)
def test_no_alignment_asks_for_more_than_the_crop_has(method: str, name: str, degrees: float) -> None:
    """In a picture without end, so that whatever is missing would be the crop's fault."""
    aligner = Aligner(ALIGNMENTS[method])
    far = 1000.0
    face = turned(FACES[name], degrees)
    box = BoundingBox(face.box.x1 + far, face.box.y1 + far, face.box.x2 + far, face.box.y2 + far)
    inner = DetectedFace(box, tuple((x + far, y + far) for x, y in face.landmarks), 1.0)  # type: ignore[arg-type]
    crop = cut(np.full((3000, 3000, 3), 255, np.uint8), inner)
    assert realign(crop, aligner).min() > 250  # beyond the edge it is grey


@pytest.mark.parametrize("method", ALIGNMENTS)
@pytest.mark.parametrize("name", FACES)
def test_a_crop_realigned_shows_the_same_face_as_the_picture(sample_photos: Path, method: str, name: str) -> None:
    aligner, image = Aligner(ALIGNMENTS[method]), photo(sample_photos, name)
    difference = realign(cut(image, FACES[name]), aligner).astype(int) - aligner.align(image, FACES[name])
    assert np.abs(difference).mean() < 2.5


def test_at_the_edge_of_the_picture_the_same_grey_is_shown(sample_photos: Path) -> None:
    image, face = photo(sample_photos, "obama"), FACES["obama"]
    left, top = 420, 120  # through the face
    box = BoundingBox(face.box.x1 - left, face.box.y1 - top, face.box.x2 - left, face.box.y2 - top)
    cut_off = DetectedFace(box, tuple((x - left, y - top) for x, y in face.landmarks), 1.0)  # type: ignore[arg-type]
    part = np.ascontiguousarray(image[top:, left:])
    for method in ALIGNMENTS.values():
        aligner = Aligner(method)
        difference = realign(cut(part, cut_off), aligner).astype(int) - aligner.align(part, cut_off)
        assert np.abs(difference).mean() < 2.5


def test_the_vector_made_again_is_nearly_the_one_that_was_enrolled(keeping: FacePipeline, sample_photos: Path) -> None:
    aligner = Aligner(AlignmentConfig())
    for name in ("biden.jpg", "obama.jpg", "obama2.jpg", "obama3.jpg", "32bit.png"):
        template = keeping.capture((sample_photos / name).read_bytes(), Purpose.ENROL).template
        assert template.crop is not None
        again = keeping.embed(realign(template.crop, aligner))
        assert float(again @ template.vector) > 0.998, name


def test_so_it_is_for_a_dark_picture_which_is_kept_brightened(keeping: FacePipeline, sample_photos: Path) -> None:
    dark = (photo(sample_photos, "obama") * 0.25).astype(np.uint8)
    config = load_config(ROOT / "config.ini")
    lenient = dataclasses.replace(
        config,
        gallery=dataclasses.replace(config.gallery, keep_crops=True),
        quality=dataclasses.replace(config.quality, enrol_min_luminance=0.0, enrol_min_sharpness=0.0),
    )
    template = assemble_pipeline(lenient).capture(encode_png(dark), Purpose.ENROL).template
    assert template.crop is not None
    assert opened(template.crop).mean() > 2 * dark.mean()
    assert float(keeping.embed(realign(template.crop, Aligner(AlignmentConfig()))) @ template.vector) > 0.995


def test_another_networks_vector_from_the_crop_is_nearly_the_one_from_the_picture(
    mobilefacenet: Network, sample_photos: Path
) -> None:
    aligner = Aligner(ARCFACE_112)
    embedder = NetworkEmbedder(mobilefacenet, "0" * 64, aligner.describe())
    for name, face in FACES.items():
        image = photo(sample_photos, name)
        inputs = np.stack([aligner.align(image, face), realign(cut(image, face), aligner)])
        first, again = embedder.embed(inputs)
        assert float(first @ again) > 0.998, name


def test_so_it_is_for_thirty_strangers(keeping: FacePipeline, shared_data: Path) -> None:
    from face_server.errors import PersonError

    aligner, scores = Aligner(AlignmentConfig()), []
    for path in sorted((shared_data / "lfw-dev" / "images").glob("*/*"))[::65][:30]:
        try:
            template = keeping.capture(path.read_bytes(), Purpose.ENROL).template
        except PersonError:
            continue
        assert template.crop is not None
        scores.append(float(keeping.embed(realign(template.crop, aligner)) @ template.vector))
    assert len(scores) > 15 and min(scores) > 0.998
