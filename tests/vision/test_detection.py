"""The detector against real networks and photographs, and against what the package `mtcnn` 1.0.0 finds in them.

Large means over 40 px in width and height. Both are asked for faces from 20 px on.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from make_mtcnn_reference import LONGEST_SIDE, REFERENCE, package_faces, photographs, upright

from face_server.config import DetectionConfig
from face_server.types import BoundingBox, DetectedFace, FloatArray, RgbImage
from face_server.vision import detection
from face_server.vision.detection import Level, MtcnnDetector, overlaps, pyramid, unsuppressed
from face_server.vision.runtime import Network

Networks = tuple[Network, Network, Network]

#: Photographs in which a large face's landmarks lie more than 2 px from the package's, and why; none is further off
#: than 5 % of the face's width.
TIE = (
    "two windows of P-Net have probability 1 exactly; which one survives hangs on numpy's unstable sort in the package"
)
EDGE = "the package also proposes a window that reaches 1 px past the right or lower edge of a level of odd size"
EXPLAINED = {"obama2.jpg": TIE, "32bit.png": TIE, "obama_partial_face2.jpg": EDGE}


@pytest.fixture(scope="module")
def detector(mtcnn_networks: Networks) -> MtcnnDetector:
    return MtcnnDetector(mtcnn_networks, DetectionConfig())


@pytest.fixture(scope="module")
def reference() -> dict[str, list[dict[str, Any]]]:
    pictures: dict[str, list[dict[str, Any]]] = json.loads(REFERENCE.read_text(encoding="utf-8"))["pictures"]
    return pictures


def corners(box: BoundingBox) -> list[float]:
    return [box.x1, box.y1, box.x2, box.y2]


def clipped(box: list[float], image: RgbImage) -> FloatArray:
    """As the package clips what it reports."""
    height, width = image.shape[:2]
    return np.clip(np.array([box], np.float32), 0, [[width - 1, height - 1, width - 1, height - 1]])


def overlap(one: list[float], other: list[float], image: RgbImage) -> float:
    return float(overlaps(clipped(one, image), clipped(other, image))[0, 0])


def is_large(box: list[float]) -> bool:
    return min(box[2] - box[0], box[3] - box[1]) > 40


def covers(face: DetectedFace, x: float, y: float) -> bool:
    return face.box.x1 <= x <= face.box.x2 and face.box.y1 <= y <= face.box.y2


def differences(
    name: str, image: RgbImage, expected: list[dict[str, Any]], found: tuple[DetectedFace, ...]
) -> Iterator[str]:
    """A line for each large face that only one side finds, or that both find in different places."""
    matched = set()
    for face in expected:
        box = face["box"]
        best = max(found, key=lambda other: overlap(box, corners(other.box), image), default=None)
        if best is not None and overlap(box, corners(best.box), image) >= 0.9:
            matched.add(best)
            apart = np.abs(np.subtract(face["landmarks"], best.landmarks)).max()
            limit = 0.05 * (box[2] - box[0]) if Path(name).name in EXPLAINED else 2
            if is_large(box) and apart > limit:
                yield f"{name}: landmarks of {box} are {apart:.1f} px away"
        elif is_large(box):
            yield f"{name}: only the package finds {face}"
    yield from (f"{name}: only ours is {face}" for face in set(found) - matched if is_large(corners(face.box)))


def test_the_sample_photographs_give_the_faces_of_the_package(
    detector: MtcnnDetector, reference: dict[str, Any], sample_photos: Path
) -> None:
    compared = 0
    for path in sorted(sample_photos.iterdir()):
        image = upright(path)
        assert list(differences(path.name, image, reference[path.name], detector.detect(image, min_face_px=20))) == []
        compared += len(reference[path.name])
    assert compared >= 7


def test_groups_portraits_and_probes_give_the_faces_of_the_package(
    detector: MtcnnDetector, reference: dict[str, Any], sample_photos: Path, shared_data: Path
) -> None:
    lines, compared = [], 0
    for name, path in photographs(sample_photos, shared_data).items():
        image = upright(path)
        lines += differences(name, image, reference[name], detector.detect(image, min_face_px=20))
        compared += sum(is_large(face["box"]) for face in reference[name])
    assert lines == []
    assert compared > 80


def test_the_package_itself_asked_now_gives_the_same_faces(detector: MtcnnDetector, sample_photos: Path) -> None:
    from mtcnn import MTCNN

    package = MTCNN()
    for name in ("obama.jpg", "biden.jpg", "obama3.jpg"):
        image = upright(sample_photos / name, longest_side=480)
        expected = package_faces(package, image)
        assert len(expected) == 1
        assert list(differences(name, image, expected, detector.detect(image, min_face_px=20))) == []


def test_a_larger_smallest_face_still_finds_what_the_package_then_loses(
    detector: MtcnnDetector, sample_photos: Path
) -> None:
    from mtcnn import MTCNN

    image = upright(sample_photos / "obama.jpg", longest_side=480)
    try:
        assert package_faces(MTCNN(), image, min_face_px=60) == []
    except ValueError as error:
        # Which of two errors a picture below P-Net's 12 px raises depends on the processor's kernels; the package takes
        # the other one for "no face".
        assert "empty output" in str(error)
    assert len(detector.detect(image, min_face_px=60)) == 1


def test_every_annotated_nose_is_covered_by_a_face(detector: MtcnnDetector, shared_data: Path) -> None:
    noses = json.loads((shared_data / "groups" / "noses.json").read_text())
    missed = []
    for name, points in noses.items():
        image = upright(shared_data / "groups" / name)
        with_exif = upright(shared_data / "groups" / name, longest_side=1 << 20)
        ratio = image.shape[1] / with_exif.shape[1]
        faces = detector.detect(image, min_face_px=20)
        missed += [(name, x, y) for x, y in points if not any(covers(face, x * ratio, y * ratio) for face in faces)]
        assert points or not faces, f"{name} shows nobody"
    assert sum(map(len, noses.values())) == 46
    assert missed == []


def test_faces_over_40_px_are_found_at_the_configured_smallest_face_too(
    detector: MtcnnDetector, shared_data: Path
) -> None:
    # Two "faces" of the package that only a search from 20 px on finds are a sofa's arm and a chair.
    furniture = {"001_A.jpg": (914, 1087), "obama_partial_face.jpg": (385, 1021)}
    lost = []
    # Every other photograph: the search from 20 px on takes seconds.
    for path in (*sorted(shared_data.glob("groups/*.*g"))[::2], *sorted(shared_data.glob("portraits/*/*"))[::2]):
        image = upright(path)
        ours = detector.detect(image)
        for face in detector.detect(image, min_face_px=20):
            again = any(overlap(corners(face.box), corners(other.box), image) > 0.5 for other in ours)
            if is_large(corners(face.box)) and not again and not covers(face, *furniture.get(path.name, (-1e9, 0))):
                lost.append((path.name, face))
    assert lost == []


def test_landmarks_are_eyes_nose_and_mouth_each_pair_from_the_left(
    detector: MtcnnDetector, sample_photos: Path
) -> None:
    (face,) = detector.detect(upright(sample_photos / "obama.jpg"))
    eye_left, eye_right, nose, mouth_left, mouth_right = face.landmarks
    assert eye_left[0] < nose[0] < eye_right[0]
    assert mouth_left[0] < nose[0] < mouth_right[0]
    assert max(eye_left[1], eye_right[1]) < nose[1] < min(mouth_left[1], mouth_right[1])
    assert all(covers(face, x, y) for x, y in face.landmarks)


def test_a_large_picture_is_searched_small_and_answered_in_its_own_pixels(
    detector: MtcnnDetector, sample_photos: Path
) -> None:
    small = upright(sample_photos / "obama.jpg", longest_side=800)
    large = cv2.resize(small, None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST)
    assert max(detector.view(large).shape) == LONGEST_SIDE
    (expected,), (face,) = detector.detect(small), detector.detect(large)
    assert np.array(face.landmarks) / 3 == pytest.approx(np.array(expected.landmarks), abs=5)
    assert face.box.width / 3 == pytest.approx(expected.box.width, rel=0.1)


def test_a_box_may_reach_past_the_edge(detector: MtcnnDetector, sample_photos: Path) -> None:
    face = detector.detect(upright(sample_photos / "obama_partial_face.jpg"))[0]
    assert face.box.x1 < -10


def test_faces_come_largest_first(detector: MtcnnDetector, sample_photos: Path) -> None:
    half, full = (upright(sample_photos / "biden.jpg", longest_side=side) for side in (500, 1000))
    beside = np.zeros((full.shape[0], half.shape[1] + full.shape[1], 3), np.uint8)
    beside[: half.shape[0], : half.shape[1]], beside[:, half.shape[1] :] = half, full
    first, second = detector.detect(beside)
    assert first.box.width > 1.5 * second.box.width


@pytest.mark.parametrize("grey", [0, 127, 255])
@pytest.mark.parametrize("shape", [(1, 1), (0, 0), (5, 2000), (2000, 5), (11, 11), (12, 12), (13, 700), (240, 320)])
def test_pictures_without_anything_have_no_face(detector: MtcnnDetector, shape: tuple[int, int], grey: int) -> None:
    image = np.full((*shape, 3), grey, np.uint8)
    assert detector.detect(image) == detector.detect(image, min_face_px=12) == ()


def test_noise_is_answered_too(detector: MtcnnDetector) -> None:
    image = np.random.default_rng(0).integers(0, 256, (300, 900, 3), dtype=np.uint8)
    assert isinstance(detector.detect(image, min_face_px=12), tuple)


def test_a_wall_of_faces_gives_them_all(detector: MtcnnDetector, sample_photos: Path) -> None:
    """More proposals than suppression looks at, more crops than one batch."""
    one = cv2.resize(upright(sample_photos / "obama.jpg")[60:460, 290:690], (48, 48), interpolation=cv2.INTER_AREA)
    faces = detector.detect(np.tile(one, (20, 20, 1)), min_face_px=20)
    assert len(faces) >= 0.95 * 400


def test_no_network_is_traced_again_for_another_size(detector: MtcnnDetector, sample_photos: Path) -> None:
    from tensorflow.python.eager import context

    image = upright(sample_photos / "obama.jpg")
    detector.detect(image)
    traced = len(context.context().list_function_names())
    for side in (300, 333, 411):
        assert detector.detect(upright(sample_photos / "obama.jpg", side))
    assert len(context.context().list_function_names()) == traced > 0


def test_the_thresholds_of_the_config_decide(mtcnn_networks: Networks, sample_photos: Path) -> None:
    image = upright(sample_photos / "obama.jpg", longest_side=480)
    for name in ("pnet_threshold", "rnet_threshold", "onet_threshold"):
        strict = dataclasses.replace(DetectionConfig(), **{name: 1.0})
        assert MtcnnDetector(mtcnn_networks, strict).detect(image) == ()


@pytest.mark.parametrize("min_face_px", [12, 20, 40, 80, 200])
@pytest.mark.parametrize(("width", "height"), [(640, 480), (480, 641), (1600, 33), (12, 12)])
def test_levels_end_where_p_net_can_see_no_more_and_lie_apart_on_the_canvas(
    width: int, height: int, min_face_px: int
) -> None:
    levels = pyramid(width, height, min_face_px, 0.709)
    shorter = min(width, height) * 12 / min_face_px
    assert len(levels) == sum(shorter * 0.709**k >= 12 for k in range(50))
    taken = np.zeros((4000, 2 * width + 2), int)
    for level in levels:
        assert level.x % 2 == level.y % 2 == 0
        assert min(level.width, level.height) >= 12
        taken[level.y : level.y + level.height, level.x : level.x + level.width] += 1
        assert level.x + level.width <= levels[0].width
    assert taken.max() <= 1


def test_a_picture_is_never_enlarged() -> None:
    assert pyramid(100, 100, 6, 0.709)[0] == Level(1, 100, 100)


def test_a_window_of_p_net_becomes_pixels_of_the_picture() -> None:
    level = Level(scale=0.5, width=21, height=17, x=4, y=2)
    offsets, probabilities = np.zeros((20, 20, 4), np.float32), np.zeros((20, 20), np.float32)
    # Of the canvas's windows only rows 1..3 and columns 2..6 lie wholly in the level.
    probabilities[3, 6], offsets[3, 6] = 0.9, (0.1, 0.2, -0.1, 0.0)
    probabilities[4, 6] = probabilities[3, 7] = probabilities[0, 2] = probabilities[1, 1] = 1
    found = level.candidates(offsets, probabilities, 0.6)
    assert found == pytest.approx(np.array([[2 * (9 + 1.1), 2 * (5 + 2.2), 2 * (20 - 1.1), 2 * 16, 0.9]]))


def test_offsets_and_landmarks_are_shares_of_a_box_that_includes_both_its_corner_pixels() -> None:
    box = np.array([[10, 20, 19, 39, 0.5]], np.float32)
    moved = detection.moved(box, np.array([[0.1, 0.1, -0.2, 0.5]], np.float32), np.array([0.9], np.float32))
    assert moved == pytest.approx(np.array([[11, 22, 17, 49, 0.9]]))
    shares = np.array([[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]], np.float32)
    assert detection.placed(box, shares)[0] == pytest.approx(
        np.array([[10, 31], [11, 33], [12, 35], [13, 37], [14, 39]])
    )


def test_a_box_is_squared_about_its_centre() -> None:
    assert detection.squared(np.array([[0, 10, 20, 20, 0.5]], np.float32)).tolist() == [[0, 5, 20, 25, 0.5]]


def test_crops_sample_the_box_and_see_grey_outside_the_picture() -> None:
    view = np.ones((100, 100, 3), np.float32) * np.linspace(0, 0.99, 100, dtype=np.float32)[None, :, None]
    inside, outside = detection.crops(view, np.array([[10, 20, 33, 43, 1], [-50, 0, -4, 46, 1]], np.float32), 24)
    assert inside[0, 0] == pytest.approx(np.full(3, 0.10), abs=0.005)
    assert inside[23, 23] == pytest.approx(np.full(3, 0.33), abs=0.005)
    assert not outside.any()


def test_suppression_keeps_the_most_probable_and_counts_the_suppressed() -> None:
    row = np.array([[0, 0, 10, 10, 0.7], [3, 0, 13, 10, 0.9], [6, 0, 16, 10, 0.8], [50, 0, 60, 10, 0.6]], np.float32)
    assert unsuppressed(row, 0.9).tolist() == [1, 2, 0, 3]
    # 1 suppresses 0 and 2, which overlap it by 7/13.
    assert unsuppressed(row, 0.5).tolist() == [1, 3]
    chain = row[:3].copy()
    chain[:, 4] = 0.9, 0.8, 0.7
    # 0 suppresses 1, which still suppresses 2.
    assert unsuppressed(chain, 0.5).tolist() == [0]


def test_of_two_equally_probable_the_later_is_kept() -> None:
    twins = np.array([[0, 0, 10, 10, 1], [1, 0, 11, 10, 1]], np.float32)
    assert unsuppressed(twins, 0.5).tolist() == [1]


def test_a_box_within_a_face_is_no_second_face() -> None:
    def certain(batch: FloatArray) -> tuple[FloatArray, ...]:
        return tuple(np.full((len(batch), size), value, np.float32) for size, value in ((4, 0), (10, 0.5), (2, 0.9)))

    nested = np.array([[0, 0, 90, 90, 0.9], [20, 20, 60, 60, 0.9], [200, 0, 290, 90, 0.9]], np.float32)
    faces, landmarks = MtcnnDetector((certain,) * 3, DetectionConfig()).locate(
        np.zeros((99, 300, 3), np.float32), nested
    )
    assert len(faces) == len(landmarks) == 2


def test_suppression_in_blocks_is_suppression_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    low = np.random.default_rng(1).random((900, 2)) * 300
    boxes = np.column_stack([low, low + 30, np.random.default_rng(2).random(900)]).astype(np.float32)
    in_blocks = unsuppressed(boxes, 0.5)
    monkeypatch.setattr(detection, "BLOCK", 10_000)
    assert in_blocks.tolist() == unsuppressed(boxes, 0.5).tolist()
    assert 100 < len(in_blocks) < 900


def test_overlap_is_a_share_of_the_union_or_of_the_smaller_box() -> None:
    large, small = (np.array([box], np.float32) for box in ([0, 0, 10, 10], [5, 0, 15, 5]))
    assert overlaps(large, small)[0, 0] == pytest.approx(25 / 125)
    assert overlaps(large, small, of_smaller=True)[0, 0] == pytest.approx(25 / 50)
    empty = np.array([[3, 3, 3, 3]], np.float32)
    assert overlaps(empty, empty)[0, 0] == 0
