"""The passive network: the real weights see what they were made to see."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from face_server.errors import ModelFileError
from face_server.liveness.texture import PassiveNetwork, surroundings
from face_server.models import verified_files
from face_server.types import BoundingBox, DetectedFace, Landmarks
from face_server.vision.pipeline import FacePipeline

POINTS: Landmarks = ((0.0, 0.0),) * 5


@pytest.fixture(scope="module")
def network(models_dir: Path) -> PassiveNetwork:
    if not (models_dir / "fr-liveness.onnx").exists():
        pytest.skip("needs models/fr-liveness.onnx: scripts/setup --dev fetches it by npm")
    return PassiveNetwork(*verified_files(models_dir, "fr-liveness"))


@pytest.mark.parametrize("name", ["obama.jpg", "obama2.jpg", "biden.jpg"])
def test_a_photograph_of_a_face_looks_live(
    network: PassiveNetwork, pipeline: FacePipeline, sample_photos: Path, name: str
) -> None:
    seen = pipeline.sight((sample_photos / name).read_bytes())
    assert network(seen.given, seen.face) > 0.5


def test_the_network_sees_colours_and_greys_the_way_it_was_trained(
    network: PassiveNetwork, pipeline: FacePipeline, sample_photos: Path, models_dir: Path
) -> None:
    """BGR, 0 to 255: the same once more, step by step; with red and blue swapped it is another score."""
    seen = pipeline.sight((sample_photos / "obama3.jpg").read_bytes())
    small = cv2.resize(surroundings(seen.given, seen.face), (128, 128)).astype(np.float32)
    net = cv2.dnn.readNetFromONNX(str(models_dir / "fr-liveness.onnx"))
    scores = []
    for pixels in (small[..., ::-1], small):
        net.setInput(np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]))
        odds = np.exp(net.forward().ravel())
        scores.append(float(odds[0] / odds.sum()))
    assert network(seen.given, seen.face) == pytest.approx(scores[0], abs=0.01)
    assert abs(scores[0] - scores[1]) > 0.1


@pytest.mark.parametrize(
    ("box", "size"),
    [
        (BoundingBox(270, 190, 370, 290), (270, 270)),
        (BoundingBox(0, 0, 100, 100), (270, 270)),  # moved into the picture
        (BoundingBox(540, 380, 640, 480), (270, 270)),
        (BoundingBox(-50, -50, 50, 50), (270, 270)),
        (BoundingBox(120, 40, 520, 440), (479, 479)),  # as large as the picture allows
        (BoundingBox(5, 5, 5, 5), (1, 1)),
    ],
)
def test_what_is_around_a_face_stays_in_the_picture_and_keeps_its_shape(
    box: BoundingBox, size: tuple[int, int]
) -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    crop = surroundings(image, DetectedFace(box, POINTS, 1.0))
    assert crop.shape[:2] == pytest.approx(size, abs=1)


def test_a_file_that_is_no_network_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not a network")
    with pytest.raises(ModelFileError, match=r"broken\.onnx"):
        PassiveNetwork(path)
