"""Bytes to templates, with the real detector and network on real photographs."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from faces import photo
from PIL import Image

from face_server.errors import FaceTooSmall, ImageTooLarge, ImageUnreadable, NoFace, SeveralFaces
from face_server.types import RgbImage
from face_server.vision.imaging import encode_png
from face_server.vision.pipeline import Capture, FacePipeline, Purpose

FINGERPRINT = "3caab41ee061b26baf975ab82925dd8f7001d86a4f8ef8d7f65c78d20f2a00fd"
#: Scores of the whole default chain, detector included.
SCORES = {
    ("obama", "obama2"): 0.718,
    ("obama", "obama3"): 0.745,
    ("obama2", "obama3"): 0.696,
    ("biden", "obama"): 0.005,
    ("biden", "obama2"): 0.009,
    ("biden", "obama3"): 0.012,
}


@pytest.fixture(scope="module")
def captures(pipeline: FacePipeline, sample_photos: Path) -> dict[str, Capture]:
    return {
        # Of the partial faces a tenth and more is cut off, which is enough to search with.
        path.stem: pipeline.capture(path.read_bytes(), Purpose.SEARCH if "partial" in path.stem else Purpose.ENROL)
        for path in sorted(sample_photos.iterdir())
        if path.suffix in (".jpg", ".png")
    }


def score(first: Capture, second: Capture) -> float:
    return float(first.template.vector @ second.template.vector)


def shrunk(image: RgbImage, ratio: float) -> RgbImage:
    return np.asarray(cv2.resize(image, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def on_grey(*pictures: RgbImage) -> bytes:
    """Pictures side by side on a grey ground, as PNG."""
    canvas = np.full((max(p.shape[0] for p in pictures), sum(p.shape[1] for p in pictures) + 400, 3), 128, np.uint8)
    x = 100
    for picture in pictures:
        canvas[: picture.shape[0], x : x + picture.shape[1]] = picture
        x += picture.shape[1] + 100
    return encode_png(canvas)


def test_one_mans_photographs_score_above_the_threshold_and_two_mens_far_below(captures: dict[str, Capture]) -> None:
    names = [name for name in captures if name != "biden"]
    assert len(names) == 6
    mated = [score(captures[a], captures[b]) for a in names for b in names if a < b]
    assert min(mated) > 0.60
    assert max(score(captures["biden"], captures[name]) for name in names) < 0.3


def test_scores_are_the_known_ones(captures: dict[str, Capture]) -> None:
    scores = {pair: score(captures[pair[0]], captures[pair[1]]) for pair in SCORES}
    assert scores == pytest.approx(SCORES, abs=0.02)


def test_a_template_says_where_it_comes_from(pipeline: FacePipeline, sample_photos: Path) -> None:
    data = (sample_photos / "obama.jpg").read_bytes()
    before = time.time()
    capture = pipeline.capture(data, Purpose.SEARCH)
    template = capture.template
    assert template.vector.shape == (pipeline.dimension,) == (512,)
    assert template.vector.dtype == np.float32
    assert np.linalg.norm(template.vector) == pytest.approx(1, abs=1e-6)
    assert template.fingerprint == pipeline.fingerprint == FINGERPRINT
    assert template.image_sha256 == hashlib.sha256(data).hexdigest()
    assert before <= template.created_s <= time.time()
    assert template.quality.face_px == capture.face.box.width == pytest.approx(227, abs=10)
    assert template.quality.confidence == capture.face.confidence
    assert abs(template.quality.roll) < 4
    assert template.quality.sharpness > 50
    assert 120 < template.quality.luminance < 170


def test_the_same_picture_gives_the_same_vector(pipeline: FacePipeline, sample_photos: Path) -> None:
    data = (sample_photos / "obama2.jpg").read_bytes()
    first, second = (pipeline.capture(data, Purpose.ENROL).template.vector for _ in range(2))
    assert float(first @ second) == pytest.approx(1, abs=1e-5)


def test_detect_tells_size_and_faces_of_the_upright_picture(pipeline: FacePipeline, sample_photos: Path) -> None:
    found = pipeline.detect((sample_photos / "biden.jpg").read_bytes())
    assert (found.width, found.height, len(found.faces)) == (970, 2204, 1)
    assert pipeline.detect(encode_png(np.full((300, 400, 3), 90, np.uint8))).faces == ()


def test_a_picture_stored_sideways_gives_the_same_face(
    pipeline: FacePipeline, sample_photos: Path, captures: dict[str, Capture]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = BytesIO()
    sideways = np.ascontiguousarray(np.rot90(photo(sample_photos, "obama2")))
    Image.fromarray(sideways).save(buffer, "JPEG", quality=95, exif=exif)
    capture = pipeline.capture(buffer.getvalue(), Purpose.ENROL)
    assert score(capture, captures["obama2"]) > 0.98
    assert capture.face.box.x1 == pytest.approx(captures["obama2"].face.box.x1, abs=5)


def test_the_mirrored_photograph_is_still_the_man(
    pipeline: FacePipeline, sample_photos: Path, captures: dict[str, Capture]
) -> None:
    mirrored = encode_png(np.ascontiguousarray(photo(sample_photos, "obama")[:, ::-1]))
    assert score(pipeline.capture(mirrored, Purpose.ENROL), captures["obama"]) > 0.85


def test_an_empty_picture_has_no_face(pipeline: FacePipeline) -> None:
    with pytest.raises(NoFace, match="light"):
        pipeline.capture(encode_png(np.full((480, 640, 3), 128, np.uint8)), Purpose.SEARCH)
    with pytest.raises(NoFace):
        pipeline.capture(encode_png(np.zeros((1, 1, 3), np.uint8)), Purpose.SEARCH)


def test_bytes_that_are_no_picture_and_pictures_past_the_cap_are_refused(pipeline: FacePipeline) -> None:
    with pytest.raises(ImageUnreadable):
        pipeline.capture(b"GET / HTTP/1.1", Purpose.SEARCH)
    with pytest.raises(ImageTooLarge, match="7000 x 6000"):
        pipeline.detect(encode_png(np.zeros((6000, 7000, 3), np.uint8)))


def test_enrolment_asks_for_more_pixels_than_a_search(pipeline: FacePipeline, sample_photos: Path) -> None:
    data = on_grey(shrunk(photo(sample_photos, "obama"), 65 / 227))
    assert pipeline.capture(data, Purpose.SEARCH).face.box.width == pytest.approx(65, abs=6)
    with pytest.raises(FaceTooSmall, match="at least 80"):
        pipeline.capture(data, Purpose.ENROL)


def test_a_face_below_what_is_looked_for_is_told_to_come_closer(pipeline: FacePipeline, sample_photos: Path) -> None:
    data = on_grey(shrunk(photo(sample_photos, "obama"), 14 / 230))
    assert pipeline.detect(data).faces == ()
    with pytest.raises(FaceTooSmall, match="come closer") as refusal:
        pipeline.capture(data, Purpose.SEARCH)
    assert refusal.value.detail["face_px"] == pytest.approx(14, abs=4)


def test_two_faces_far_away_are_told_to_come_closer_too(pipeline: FacePipeline, sample_photos: Path) -> None:
    small = [shrunk(photo(sample_photos, name), 12 / 230) for name in ("obama", "biden")]
    with pytest.raises(FaceTooSmall):
        pipeline.capture(on_grey(*small), Purpose.SEARCH)


def test_two_people_side_by_side_are_refused(pipeline: FacePipeline, sample_photos: Path) -> None:
    both = on_grey(photo(sample_photos, "obama"), shrunk(photo(sample_photos, "biden"), 0.85))
    for purpose in Purpose:
        with pytest.raises(SeveralFaces):
            pipeline.capture(both, purpose)


def test_a_person_behind_disturbs_an_enrolment_sooner_than_a_search(
    pipeline: FacePipeline, sample_photos: Path, captures: dict[str, Capture]
) -> None:
    behind = on_grey(shrunk(photo(sample_photos, "biden"), 0.6), photo(sample_photos, "obama"))
    assert score(pipeline.capture(behind, Purpose.SEARCH), captures["obama"]) > 0.95
    with pytest.raises(SeveralFaces):
        pipeline.capture(behind, Purpose.ENROL)


def test_a_passer_by_far_behind_is_ignored(
    pipeline: FacePipeline, sample_photos: Path, captures: dict[str, Capture]
) -> None:
    behind = on_grey(shrunk(photo(sample_photos, "biden"), 0.35), photo(sample_photos, "obama"))
    assert len(pipeline.detect(behind).faces) == 2
    assert score(pipeline.capture(behind, Purpose.ENROL), captures["obama"]) > 0.95


def test_the_steps_one_by_one_give_what_capture_gives(
    pipeline: FacePipeline, sample_photos: Path, captures: dict[str, Capture]
) -> None:
    image = pipeline.decode((sample_photos / "obama.jpg").read_bytes())
    face = pipeline.choose(image, Purpose.ENROL)
    crop = pipeline.crop(image, face)
    assert crop.shape == (160, 160, 3)
    assert float(pipeline.embed(crop) @ captures["obama"].template.vector) == pytest.approx(1, abs=1e-5)


def test_a_closer_or_farther_camera_gives_the_same_face(
    pipeline: FacePipeline, sample_photos: Path, captures: dict[str, Capture]
) -> None:
    image = photo(sample_photos, "obama")
    for ratio in (0.5, 3.0):
        resized = np.asarray(cv2.resize(image, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        assert score(pipeline.capture(encode_png(resized), Purpose.ENROL), captures["obama"]) > 0.95


def test_the_warm_up_shows_every_network_a_face(pipeline: FacePipeline) -> None:
    from face_server.vision.pipeline import _drawn_face

    image, face = _drawn_face()
    (found,) = pipeline.detect(encode_png(image)).faces  # only what P- and R-Net let through reaches O-Net
    assert np.array(found.landmarks) == pytest.approx(np.array(face.landmarks), abs=15)
    pipeline.warm_up()


def test_people_of_the_developers_photographs_are_told_apart(pipeline: FacePipeline, shared_data: Path) -> None:
    portraits = sorted(path for path in (shared_data / "portraits").rglob("*.*") if path.suffix != ".md")
    people = [(path.parent.name, pipeline.capture(path.read_bytes(), Purpose.SEARCH)) for path in portraits]
    assert len({name for name, _ in people}) == 6
    mated = [score(a, b) for i, (n, a) in enumerate(people) for m, b in people[:i] if n == m]
    others = [score(a, b) for i, (n, a) in enumerate(people) for m, b in people[:i] if n != m]
    assert min(mated) > 0.55
    assert max(others) < 0.40


def test_faces_of_one_fingerprint_have_one_quality_record_each(captures: dict[str, Capture]) -> None:
    records = [dataclasses.astuple(capture.template.quality) for capture in captures.values()]
    assert len(set(records)) == len(records)


def test_two_people_in_a_huge_picture_are_refused_though_it_is_searched_shrunk(
    pipeline: FacePipeline, sample_photos: Path
) -> None:
    """Their faces are too small for the first look, which sees the picture shrunk, and large enough for a search."""
    both = on_grey(*(shrunk(photo(sample_photos, name), 60 / 230) for name in ("obama", "biden")))
    small = pipeline.decode(both)
    huge = np.full((5400, 7300, 3), 127, np.uint8)
    huge[2000 : 2000 + small.shape[0], 3000 : 3000 + small.shape[1]] = small
    assert pipeline.detect(encode_png(huge)).faces == ()
    with pytest.raises(SeveralFaces):
        pipeline.capture(encode_png(huge), Purpose.SEARCH)
