"""Crops to unit vectors, on the real network and real faces: what any silent change of the recipe must not survive."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from faces import FACES, photo

from face_server.config import AlignmentConfig
from face_server.errors import Internal, ModelFileError
from face_server.types import FloatArray, RgbImage
from face_server.vision import embedding
from face_server.vision.alignment import Aligner
from face_server.vision.embedding import NetworkEmbedder
from face_server.vision.runtime import Network

WEIGHTS = "704afe26766ce6215931b0bde68650835be9518613d40ce101e641708c7d5c78"
#: Of the shipped weights and the default config. If this changes, galleries in the field are locked: is that meant?
FINGERPRINT = "4f7f689729c16831ed20e5adb41574afcc555e2d7f8a15d132e00907dac1d325"
#: Scores of this recipe at 2026-11, float32, TensorFlow 2.21.
SCORES = {
    ("obama", "obama2"): 0.730,
    ("obama", "obama3"): 0.758,
    ("obama2", "obama3"): 0.711,
    ("biden", "obama"): 0.078,
    ("biden", "obama2"): 0.077,
    ("biden", "obama3"): 0.091,
}
#: The first numbers of obama's vector: scores alone would not notice a recipe that moves both faces alike.
OBAMA_BEGINS = (0.0149, -0.0431, -0.0710, 0.0126, -0.0171, -0.0477)


@pytest.fixture(scope="module")
def embedder(facenet: Network) -> NetworkEmbedder:
    return NetworkEmbedder(facenet, WEIGHTS, Aligner(AlignmentConfig()).describe())


@pytest.fixture(scope="module")
def crops(sample_photos: Path) -> dict[str, RgbImage]:
    aligner = Aligner(AlignmentConfig())
    return {name: aligner.align(photo(sample_photos, name), face) for name, face in FACES.items()}


@pytest.fixture(scope="module")
def vectors(embedder: NetworkEmbedder, crops: dict[str, RgbImage]) -> dict[str, FloatArray]:
    return dict(zip(crops, embedder.embed(np.stack(list(crops.values()))), strict=True))


def test_two_photographs_of_one_man_score_above_the_threshold_and_two_men_far_below(
    vectors: dict[str, FloatArray],
) -> None:
    scores = {pair: float(vectors[pair[0]] @ vectors[pair[1]]) for pair in SCORES}
    assert min(score for (first, _), score in scores.items() if first != "biden") > 0.65
    assert max(score for (first, _), score in scores.items() if first == "biden") < 0.2


def test_scores_are_the_known_ones(vectors: dict[str, FloatArray]) -> None:
    scores = {pair: float(vectors[pair[0]] @ vectors[pair[1]]) for pair in SCORES}
    assert scores == pytest.approx(SCORES, abs=0.02)


def test_a_vector_begins_with_the_known_numbers(vectors: dict[str, FloatArray]) -> None:
    assert vectors["obama"][:6] == pytest.approx(OBAMA_BEGINS, abs=0.006)


def test_colours_in_the_wrong_order_are_another_face(
    embedder: NetworkEmbedder, crops: dict[str, RgbImage], vectors: dict[str, FloatArray]
) -> None:
    swapped = embedder.embed(crops["obama"][None, ..., ::-1])[0]
    assert float(swapped @ vectors["obama"]) < 0.9


def test_vectors_are_float32_of_length_one(vectors: dict[str, FloatArray]) -> None:
    for vector in vectors.values():
        assert vector.dtype == np.float32
        assert vector.shape == (512,)
        assert np.linalg.norm(vector.astype(np.float64)) == pytest.approx(1, abs=1e-6)


def test_a_batch_gives_what_its_crops_give_alone(
    embedder: NetworkEmbedder, crops: dict[str, RgbImage], vectors: dict[str, FloatArray]
) -> None:
    for name, crop in crops.items():
        assert embedder.embed(crop[None])[0] @ vectors[name] == pytest.approx(1, abs=1e-4)


def test_no_crops_give_no_vectors(embedder: NetworkEmbedder) -> None:
    assert embedder.embed(np.empty((0, 160, 160, 3), np.uint8)).shape == (0, 512)


@pytest.mark.parametrize(
    "crops",
    [
        np.zeros((160, 160, 3), np.uint8),
        np.zeros((1, 112, 112, 3), np.uint8),
        np.zeros((1, 160, 160, 4), np.uint8),
        np.zeros((1, 160, 160, 3), np.float32),
    ],
    ids=["no batch", "wrong size", "four channels", "already floats"],
)
def test_crops_of_another_shape_or_type_are_refused(embedder: NetworkEmbedder, crops: RgbImage) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        embedder.embed(crops)


def scaled(network: Network, factor: float) -> Network:
    """The real network with its answer multiplied, as a graph without its last layer might give it."""

    def run(batch: FloatArray) -> tuple[FloatArray, ...]:
        return tuple(np.asarray(output * np.float32(factor)) for output in network(batch))

    return run


def test_an_unnormalised_network_still_gives_unit_vectors(facenet: Network, crops: dict[str, RgbImage]) -> None:
    embedder = NetworkEmbedder(scaled(facenet, 37.0), WEIGHTS, Aligner(AlignmentConfig()).describe())
    vector = embedder.embed(crops["obama"][None])[0]
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("factor", [0.0, 1e-12])
def test_a_vector_without_direction_is_refused(facenet: Network, crops: dict[str, RgbImage], factor: float) -> None:
    embedder = NetworkEmbedder(scaled(facenet, factor), WEIGHTS, Aligner(AlignmentConfig()).describe())
    with pytest.raises(Internal, match="zero or not finite"):
        embedder.embed(crops["obama"][None])


def test_one_bad_vector_refuses_the_batch(facenet: Network, crops: dict[str, RgbImage]) -> None:
    def run(batch: FloatArray) -> tuple[FloatArray, ...]:
        vectors = facenet(batch)[0].copy()
        vectors[1:, 7] = np.nan
        return (vectors,)

    embedder = NetworkEmbedder(run, WEIGHTS, Aligner(AlignmentConfig()).describe())
    with pytest.raises(Internal, match="not finite"):
        embedder.embed(np.stack([crops["obama"], crops["biden"]]))


@pytest.mark.parametrize("factor", [np.nan, np.inf])
def test_a_network_that_gives_no_numbers_stops_the_start(facenet: Network, factor: float) -> None:
    with np.errstate(invalid="ignore"), pytest.raises(ModelFileError, match="finite"):
        NetworkEmbedder(scaled(facenet, factor), WEIGHTS, Aligner(AlignmentConfig()).describe())


def test_the_dimension_is_read_from_the_network(facenet: Network) -> None:
    def shorter(batch: FloatArray) -> tuple[FloatArray, ...]:
        return (facenet(batch)[0][:, :128],)

    assert NetworkEmbedder(shorter, WEIGHTS, Aligner(AlignmentConfig()).describe()).dimension == 128


def fingerprint(config: AlignmentConfig, weights: str = WEIGHTS) -> str:
    def network(batch: FloatArray) -> tuple[FloatArray, ...]:
        return (np.ones((len(batch), 4), np.float32),)

    return NetworkEmbedder(network, weights, Aligner(config).describe()).fingerprint


def test_the_fingerprint_of_the_defaults_is_a_promise(embedder: NetworkEmbedder) -> None:
    assert embedder.fingerprint == FINGERPRINT
    assert fingerprint(AlignmentConfig()) == FINGERPRINT


def test_the_fingerprint_is_the_same_in_another_process() -> None:
    code = (
        "import numpy as np; from face_server.config import AlignmentConfig as C;"
        "from face_server.vision.alignment import Aligner; from face_server.vision.embedding import NetworkEmbedder;"
        f"print(NetworkEmbedder(lambda b: (np.ones((1, 4), 'f4'),), {WEIGHTS!r}, Aligner(C()).describe()).fingerprint)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "4711"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert run.stdout.strip() == FINGERPRINT


@pytest.mark.parametrize(
    "changes",
    [
        {"stretch": 1.25},
        {"nose": (81.5, 90.3)},
        {"method": "affine3"},
        {"method": "box"},
        {"image_size": 161},
    ],
    ids=str,
)
def test_every_setting_that_changes_pixels_changes_the_fingerprint(changes: dict[str, object]) -> None:
    assert fingerprint(dataclasses.replace(AlignmentConfig(), **changes)) != FINGERPRINT  # type: ignore[arg-type]


def test_other_weights_another_standardisation_or_version_change_the_fingerprint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert fingerprint(AlignmentConfig(), "0" * 64) != FINGERPRINT
    for name, value in (("_MEAN", 128.0), ("_SCALE", 127.5), ("PREPROCESSING_VERSION", 2)):
        with monkeypatch.context() as patch:
            patch.setattr(embedding, name, value)
            assert fingerprint(AlignmentConfig()) != FINGERPRINT


def test_settings_that_change_no_pixel_leave_the_fingerprint_alone() -> None:
    assert fingerprint(AlignmentConfig(box_margin_px=44, affine3_size=96)) == FINGERPRINT
    whole_numbers = fingerprint(AlignmentConfig(eye_left=(54, 65)))
    assert whole_numbers == fingerprint(AlignmentConfig(eye_left=(54.0, 65.0)))
