"""From photo to embedding: what the daemon does, whose face counts, and what is kept between two runs."""

from __future__ import annotations

import copy
import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from daemons import ROOT

from face_server.config import load_config
from face_server.errors import EvaluationError
from face_server.evaluation.cache import EmbeddingCache, recipe
from face_server.evaluation.embeddings import Acquired, FaceChoice, Keeper, acquire, acquire_all
from face_server.evaluation.folders import all_photos, read_people
from face_server.vision.imaging import decode, encode_png
from face_server.vision.pipeline import FacePipeline, Purpose

CENTRE, LARGEST = FaceChoice.CENTRE, FaceChoice.LARGEST


@pytest.fixture(scope="module")
def two_faces(sample_photos: Path) -> bytes:
    """A large face at the left edge, another man's nearly as large one in the middle."""
    left, middle = (
        decode((sample_photos / f"{name}.jpg").read_bytes(), 40_000_000)[top : top + 520, x : x + 440]
        for name, top, x in (("obama", 20, 290), ("biden", 130, 360))
    )
    middle = cv2.resize(middle, (370, 437))
    canvas = np.full((540, 1400, 3), 128, np.uint8)
    canvas[:520, :440] = left
    canvas[40 : 40 + 437, 515 : 515 + 370] = middle
    return encode_png(canvas)


def test_what_is_evaluated_is_what_the_daemon_would_store(pipeline: FacePipeline, sample_photos: Path) -> None:
    data = (sample_photos / "obama2.jpg").read_bytes()
    captured = pipeline.capture(data, Purpose.SEARCH)
    for choice in FaceChoice:
        acquired = acquire(pipeline, data, choice)
        assert acquired.vector is not None
        assert np.array_equal(acquired.vector, captured.template.vector)
        assert (acquired.face, acquired.refusal, acquired.failure) == (captured.face, "", "")
        assert acquired.image_sha256 == captured.template.image_sha256


def test_of_several_faces_the_chosen_one_is_evaluated_and_the_refusal_noted(
    pipeline: FacePipeline, sample_photos: Path, two_faces: bytes
) -> None:
    alone = {
        name: acquire(pipeline, (sample_photos / f"{name}.jpg").read_bytes(), LARGEST) for name in ("obama", "biden")
    }
    for choice, shown, other in ((LARGEST, "obama", "biden"), (CENTRE, "biden", "obama")):
        acquired = acquire(pipeline, two_faces, choice)
        assert acquired.vector is not None and acquired.faces == 2
        assert (acquired.refusal, acquired.failure) == ("several_faces", "")
        assert acquired.vector @ alone[shown].vector > 0.8 > 0.3 > acquired.vector @ alone[other].vector


def test_a_face_found_only_at_the_second_look_is_evaluated_though_the_daemon_finds_it_too_small(
    pipeline: FacePipeline, sample_photos: Path
) -> None:
    image = decode((sample_photos / "obama.jpg").read_bytes(), 40_000_000)
    small = cv2.resize(image, None, fx=30 / 223, fy=30 / 223, interpolation=cv2.INTER_AREA)
    acquired = acquire(pipeline, encode_png(small), LARGEST)
    assert (acquired.refusal, acquired.failure) == ("face_too_small", "")
    assert acquired.vector is not None


@pytest.mark.parametrize(
    "data, code",
    [
        (encode_png(np.full((200, 200, 3), 90, np.uint8)), "no_face"),
        (b"", "image_unreadable"),
        (b"\xff\xd8 no", "image_unreadable"),
    ],
)
def test_a_photo_without_a_face_or_a_picture_is_a_failure_to_acquire(
    pipeline: FacePipeline, data: bytes, code: str
) -> None:
    acquired = acquire(pipeline, data, CENTRE)
    assert acquired.vector is None and acquired.face is None
    assert acquired.failure == code


def test_the_shared_pipeline_is_left_as_it_was(pipeline: FacePipeline, sample_photos: Path) -> None:
    before = pipeline.detector
    acquire(pipeline, (sample_photos / "biden.jpg").read_bytes(), CENTRE)
    assert pipeline.detector is before


# --- kept between two runs ------------------------------------------------------------------------------------------


class Counting:
    """The real pipeline, counting what is decoded; raises KeyboardInterrupt at the n-th photo when told so."""

    def __init__(self, pipeline: FacePipeline, interrupt_at: int = -1) -> None:
        self._pipeline = pipeline
        self._interrupt_at = interrupt_at
        self.photos = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipeline, name)

    def __copy__(self) -> FacePipeline:
        return copy.copy(self._pipeline)

    def decode(self, data: bytes) -> Any:
        if self.photos == self._interrupt_at:
            raise KeyboardInterrupt
        self.photos += 1
        return self._pipeline.decode(data)


@pytest.fixture
def cache(tmp_path: Path, pipeline: FacePipeline) -> Callable[[], EmbeddingCache]:
    """Opens the cache of this test anew."""
    return lambda: EmbeddingCache(tmp_path / "cache", "ab" * 32, pipeline.dimension)


def same(one: Acquired, two: Acquired) -> bool:
    vectors = (one.vector is None and two.vector is None) or np.array_equal(one.vector, two.vector)  # type: ignore[arg-type]
    rest = all(getattr(one, n) == getattr(two, n) for n in ("image_sha256", "face", "faces", "refusal", "failure"))
    return bool(vectors) and rest


def test_an_interrupted_run_goes_on_where_it_was(
    pipeline: FacePipeline, two_men: Path, cache: Callable[[], EmbeddingCache]
) -> None:
    photos = all_photos(read_people(two_men))
    with pytest.raises(KeyboardInterrupt):
        acquire_all(photos, Counting(pipeline, 3), LARGEST, cache())  # type: ignore[arg-type]
    rest = Counting(pipeline)
    resumed = acquire_all(photos, rest, LARGEST, cache())  # type: ignore[arg-type]
    assert rest.photos == 4
    again = Counting(pipeline)
    kept = acquire_all(photos, again, LARGEST, cache())  # type: ignore[arg-type]
    assert again.photos == 0
    fresh = acquire_all(photos, pipeline, LARGEST, Keeper())
    assert all(same(a, b) and same(b, c) for a, b, c in zip(fresh, resumed, kept, strict=True))


def test_a_failure_is_kept_too(pipeline: FacePipeline, cache: Callable[[], EmbeddingCache]) -> None:
    failed = acquire(pipeline, b"no picture", CENTRE)
    cache().put(failed)
    kept = cache().get(failed.image_sha256)
    assert kept is not None and same(kept, failed)


def damage_by_a_flipped_bit(content: bytes) -> bytes:
    return content[:900] + bytes([content[900] ^ 1]) + content[901:]


@pytest.mark.parametrize(
    "damage",
    [
        damage_by_a_flipped_bit,
        lambda content: content[:-1],
        lambda content: content[:40],
        lambda content: b"",
        lambda content: content + b"\0",
        lambda content: b"\0" * len(content),
    ],
    ids=["a flipped bit", "cut by a byte", "cut short", "emptied", "grown", "zeroed"],
)
def test_a_damaged_file_is_named_and_computed_anew(
    pipeline: FacePipeline,
    two_men: Path,
    cache: Callable[[], EmbeddingCache],
    damage: Callable[[bytes], bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    photo = all_photos(read_people(two_men))[:1]
    (before,) = acquire_all(photo, pipeline, LARGEST, cache())
    path = cache().path(before.image_sha256)
    path.write_bytes(damage(path.read_bytes()))
    counting = Counting(pipeline)
    with caplog.at_level(logging.WARNING):
        (after,) = acquire_all(photo, counting, LARGEST, cache())  # type: ignore[arg-type]
    assert counting.photos == 1 and same(before, after)
    assert str(path) in caplog.text and "damaged" in caplog.text
    acquire_all(photo, counting, LARGEST, cache())  # type: ignore[arg-type]
    assert counting.photos == 1


def test_a_file_under_another_photos_name_or_recipe_is_not_used(
    pipeline: FacePipeline, sample_photos: Path, cache: Callable[[], EmbeddingCache], tmp_path: Path
) -> None:
    obama, biden = (
        acquire(pipeline, (sample_photos / name).read_bytes(), LARGEST) for name in ("obama.jpg", "biden.jpg")
    )
    kept = cache()
    kept.put(obama)
    kept.path(biden.image_sha256).write_bytes(kept.path(obama.image_sha256).read_bytes())
    assert kept.get(biden.image_sha256) is None
    other = EmbeddingCache(tmp_path / "cache", "cd" * 32, pipeline.dimension)
    assert other.get(obama.image_sha256) is None
    other.path(obama.image_sha256).write_bytes(kept.path(obama.image_sha256).read_bytes())
    assert other.get(obama.image_sha256) is None


def test_what_is_kept_is_read_without_pickle(pipeline: FacePipeline, cache: Callable[[], EmbeddingCache]) -> None:
    failed = acquire(pipeline, b"no picture", CENTRE)
    cache().put(failed)
    record = np.load(cache().path(failed.image_sha256), allow_pickle=False)
    assert record["failure"] == b"image_unreadable"


def test_the_recipe_differs_by_all_that_could_change_an_embedding(pipeline: FacePipeline) -> None:
    config = load_config(ROOT / "config.ini")
    own = recipe(config, pipeline, CENTRE)
    assert own == recipe(load_config(ROOT / "config.ini"), pipeline, CENTRE)
    assert own != recipe(config, pipeline, LARGEST)
    finer = dataclasses.replace(config, detection=dataclasses.replace(config.detection, min_face_px=20))
    assert own != recipe(finer, pipeline, CENTRE)
    moved = dataclasses.replace(config, server=dataclasses.replace(config.server, port=1))
    assert own == recipe(moved, pipeline, CENTRE)


def test_a_cache_that_cannot_be_made_or_read_is_named(pipeline: FacePipeline, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EvaluationError, match="file cannot be made"):
        EmbeddingCache(tmp_path / "file", "ab" * 32, 512)
    cache = EmbeddingCache(tmp_path, "ab" * 32, 512)
    cache.path("00").mkdir()
    with pytest.raises(EvaluationError, match=r"00\.npy cannot be read"):
        cache.get("00")
