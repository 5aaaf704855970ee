"""MobileFaceNet behind the same doors: its own crop, any batch, vectors of length one, nothing on standard error."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from daemons import ROOT, StartDaemon
from faces import FACES, photo

from face_server.assembly import assemble_aligner, assemble_embedder, assemble_pipeline
from face_server.config import AlignmentConfig, Config, EmbeddingConfig, ModelsConfig, load_config
from face_server.errors import ModelFileError
from face_server.gallery import TemplateStore
from face_server.models import load_manifest, verified_files
from face_server.types import FloatArray, RgbImage
from face_server.vision.alignment import Aligner
from face_server.vision.embedding import Embedder, NetworkEmbedder
from face_server.vision.pipeline import FacePipeline, Purpose
from face_server.vision.runtime import Network, load_tflite

#: Of the manifest's weights. If this changes, galleries in the field are locked: is that meant?
FINGERPRINT = "6cee920e21c267815bf31cd8df8c34fbd100aa631f7cd0ac0bc704e63383cd33"
#: Scores of this recipe at 2026-11, float32, TensorFlow 2.21.
SCORES = {
    ("obama", "obama2"): 0.799,
    ("obama", "obama3"): 0.812,
    ("obama2", "obama3"): 0.802,
    ("biden", "obama"): -0.117,
    ("biden", "obama2"): 0.001,
    ("biden", "obama3"): 0.031,
}
#: The first numbers of obama's vector. Swapped colours give 0.001 for the last, no stretch taken out gives -0.011.
OBAMA_BEGINS = (-0.0002, 0.0084, -0.0171, 0.0244, 0.0240, -0.0306)
SETTINGS = "[embedding]\nmodel = mobilefacenet\n[decision]\nthreshold = 0.54\n"


def config(**changes: Any) -> Config:
    return Config(
        embedding=EmbeddingConfig(model="mobilefacenet"), models=ModelsConfig(path=ROOT / "models"), **changes
    )


@pytest.fixture(scope="module")
def embedder(mobilefacenet: Network) -> NetworkEmbedder:
    (stated,) = (f.sha256 for f in load_manifest(ROOT / "models" / "manifest.toml") if f.model == "mobilefacenet")
    return NetworkEmbedder(mobilefacenet, stated, assemble_aligner(config()).describe())


@pytest.fixture(scope="module")
def crops(sample_photos: Path) -> dict[str, RgbImage]:
    aligner = assemble_aligner(config())
    return {name: aligner.align(photo(sample_photos, name), face) for name, face in FACES.items()}


@pytest.fixture(scope="module")
def vectors(embedder: Embedder, crops: dict[str, RgbImage]) -> dict[str, FloatArray]:
    return dict(zip(crops, embedder.embed(np.stack(list(crops.values()))), strict=True))


def scores_of(vectors: dict[str, FloatArray]) -> dict[tuple[str, str], float]:
    return {pair: float(vectors[pair[0]] @ vectors[pair[1]]) for pair in SCORES}


# --- the recipe -----------------------------------------------------------------------------------------------------


def test_two_photographs_of_one_man_score_high_and_two_men_far_below(vectors: dict[str, FloatArray]) -> None:
    scores = scores_of(vectors)
    assert min(score for (first, _), score in scores.items() if first != "biden") > 0.7
    assert max(score for (first, _), score in scores.items() if first == "biden") < 0.2


def test_scores_and_the_first_numbers_are_the_known_ones(vectors: dict[str, FloatArray]) -> None:
    assert scores_of(vectors) == pytest.approx(SCORES, abs=0.02)
    assert vectors["obama"][:6] == pytest.approx(OBAMA_BEGINS, abs=0.004)


def misaligned(sample_photos: Path, **changes: Any) -> dict[str, RgbImage]:
    described = assemble_aligner(config())._config
    aligner = Aligner(dataclasses.replace(described, **changes))
    return {name: aligner.align(photo(sample_photos, name), face) for name, face in FACES.items()}


#: FaceNet's points in a crop of this size: what [alignment] would give if it were asked.
FACENETS = {
    name: tuple(0.7 * value for value in getattr(AlignmentConfig(), name))
    for name in ("eye_left", "eye_right", "nose", "mouth_left", "mouth_right")
}


@pytest.mark.parametrize("mistake", ["colours", "mirrored", "stretched", "FaceNet's points", "mouth for eyes"])
def test_a_crop_made_wrongly_would_not_pass_for_the_known_ones(
    embedder: Embedder, crops: dict[str, RgbImage], sample_photos: Path, mistake: str
) -> None:
    """The golden numbers above are worth something: each mistake leaves at least one of them by far."""
    if mistake == "colours":
        wrong = {name: crop[..., ::-1] for name, crop in crops.items()}
    elif mistake == "mirrored":
        wrong = {name: crop[:, ::-1] for name, crop in crops.items()}
    elif mistake == "stretched":
        wrong = misaligned(sample_photos, stretch=1.258)
    elif mistake == "FaceNet's points":
        wrong = misaligned(sample_photos, **FACENETS, stretch=1.258)
    else:
        wrong = misaligned(sample_photos, eye_left=(41.5, 92.4), mouth_left=(38.3, 51.7))
    made = dict(zip(wrong, embedder.embed(np.stack(list(wrong.values()))), strict=True))
    assert max(abs(score - SCORES[pair]) for pair, score in scores_of(made).items()) > 0.04


def test_prewhitening_would_not_pass_for_the_known_scores(mobilefacenet: Network, crops: dict[str, RgbImage]) -> None:
    batch = np.stack(list(crops.values())).astype(np.float32)
    whitened = (batch - batch.mean((1, 2, 3), keepdims=True)) / batch.std((1, 2, 3), keepdims=True)
    raw = mobilefacenet(whitened)[0]
    made = dict(zip(crops, raw / np.linalg.norm(raw, axis=1, keepdims=True), strict=True))
    assert max(abs(score - SCORES[pair]) for pair, score in scores_of(made).items()) > 0.04


def test_vectors_are_float32_of_length_one_though_the_networks_are_not(
    mobilefacenet: Network, crops: dict[str, RgbImage], vectors: dict[str, FloatArray]
) -> None:
    standardised = (crops["obama"][None].astype(np.float32) - 127.5) / 128
    raw = mobilefacenet(standardised)[0][0]
    assert np.linalg.norm(raw) > 50
    assert vectors["obama"] == pytest.approx(raw / np.linalg.norm(raw), abs=1e-6)
    for vector in vectors.values():
        assert vector.dtype == np.float32
        assert vector.shape == (192,)
        assert np.linalg.norm(vector.astype(np.float64)) == pytest.approx(1, abs=1e-6)


def test_its_crop_is_its_own_whatever_the_alignment_section_says(embedder: NetworkEmbedder) -> None:
    odd = config(alignment=AlignmentConfig(method="box", image_size=96))
    assert assemble_aligner(odd).describe() == assemble_aligner(config()).describe()
    assert assemble_embedder(odd).fingerprint == embedder.fingerprint == FINGERPRINT
    described = assemble_aligner(config()).describe()
    assert (described["image_size"], described["stretch"], described["method"]) == (112, 1.0, "similarity")
    assert Aligner(AlignmentConfig()).describe() == assemble_aligner(Config()).describe() != described


def test_no_two_networks_share_a_fingerprint(embedder: NetworkEmbedder) -> None:
    facenet = assemble_embedder(load_config(ROOT / "config.ini"))
    assert facenet.fingerprint != embedder.fingerprint
    assert (facenet.dimension, embedder.dimension) == (512, 192)


# --- any batch ------------------------------------------------------------------------------------------------------


def test_a_batch_of_any_size_gives_exactly_what_its_crops_give_alone(
    embedder: Embedder, crops: dict[str, RgbImage], vectors: dict[str, FloatArray]
) -> None:
    names = list(crops)
    for size in (1, 2, 3, 4):
        batch = embedder.embed(np.stack([crops[name] for name in names[:size]]))
        np.testing.assert_array_equal(batch, np.stack([vectors[name] for name in names[:size]]))
    assert embedder.embed(np.empty((0, 112, 112, 3), np.uint8)).shape == (0, 192)


def test_the_network_itself_takes_an_empty_batch(mobilefacenet: Network) -> None:
    (vectors,) = mobilefacenet(np.empty((0, 112, 112, 3), np.float32))
    assert (vectors.shape, vectors.dtype) == ((0, 192), np.float32)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_opening_the_batch_changes_no_number(
    mobilefacenet: Network, models_dir: Path, crops: dict[str, RgbImage]
) -> None:
    """Against the file as it was published, which takes two pictures and no other number."""
    import tensorflow

    (path,) = verified_files(models_dir, "mobilefacenet")
    published = tensorflow.lite.Interpreter(str(path))
    published.allocate_tensors()
    (source,), (target,) = published.get_input_details(), published.get_output_details()
    assert list(source["shape"]) == [2, 112, 112, 3]
    pair = (np.stack([crops["obama"], crops["biden"]]).astype(np.float32) - 127.5) / 128
    published.set_tensor(source["index"], pair)
    published.invoke()
    np.testing.assert_allclose(mobilefacenet(pair)[0], published.get_tensor(target["index"]), atol=1e-4)


def test_several_threads_at_once_get_each_their_own(
    embedder: Embedder, crops: dict[str, RgbImage], vectors: dict[str, FloatArray]
) -> None:
    names = list(crops) * 10
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda name: embedder.embed(crops[name][None])[0], names))
    for name, vector in zip(names, made, strict=True):
        np.testing.assert_array_equal(vector, vectors[name])


# --- what is refused ------------------------------------------------------------------------------------------------


def test_crops_of_another_size_are_refused(embedder: Embedder) -> None:
    with pytest.raises(ValueError, match=r"expected uint8 \(n, 112, 112, 3\)"):
        embedder.embed(np.zeros((1, 160, 160, 3), np.uint8))


def test_an_alignment_of_another_size_stops_the_start(mobilefacenet: Network) -> None:
    with pytest.raises(ModelFileError, match="takes no crop of 160 px"):
        NetworkEmbedder(mobilefacenet, "0" * 64, Aligner(AlignmentConfig()).describe())


@pytest.mark.parametrize("content", [b"", b"a cat", b"\x1c\0\0\0TFL3" + bytes(range(256)) * 20, "half", "facenet"])
def test_what_is_no_network_is_a_model_file_error(
    tmp_path: Path, models_dir: Path, content: bytes | str, request: pytest.FixtureRequest
) -> None:
    if content == "half":
        request.getfixturevalue("mobilefacenet")  # skips where it is not
        whole = (models_dir / "mobilefacenet.tflite").read_bytes()
        content = whole[: len(whole) // 2]
    elif content == "facenet":
        content = (models_dir / "facenet-20180408-102900.pb").read_bytes()[:1_000_000]
    path = tmp_path / "bad.tflite"
    path.write_bytes(content if isinstance(content, bytes) else b"")
    with pytest.raises(ModelFileError, match=r"bad\.tflite is no TensorFlow Lite network"):
        load_tflite(path)


def test_a_file_that_is_not_there_is_a_model_file_error(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"absent\.tflite is no TensorFlow Lite network"):
        load_tflite(tmp_path / "absent.tflite")


def lite(path: Path, shape: tuple[int, ...], reduced: tuple[int, ...]) -> Path:
    """A real TensorFlow Lite network that takes the mean of its input over some sides."""
    import tensorflow as tf

    spec = tf.TensorSpec(shape, tf.float32)
    function = tf.function(lambda batch: tf.reduce_mean(batch, reduced), input_signature=[spec])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    path.write_bytes(converter.convert())
    return path


def test_another_network_of_this_kind_runs_too(tmp_path: Path) -> None:
    network = load_tflite(lite(tmp_path / "mean.tflite", (1, 8, 8, 3), (1, 2)))
    batch = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(network(batch)[0], batch.mean((1, 2)), atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "reduced"),
    [((1, 8, 8, 3), (1,)), ((1, 8, 8, 3), (0, 1)), ((1, 8, 8, 1), (1, 2)), ((1, 8, 3), (1,))],
    ids=str,
)
def test_a_network_that_makes_no_vector_of_a_picture_is_refused(
    tmp_path: Path, shape: tuple[int, ...], reduced: tuple[int, ...]
) -> None:
    with pytest.raises(
        ModelFileError, match=r"other\.tflite is no TensorFlow Lite network .*not a vector of a picture"
    ):
        load_tflite(lite(tmp_path / "other.tflite", shape, reduced))


# --- in the daemon --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("mobilefacenet")
def test_loading_and_running_it_writes_nothing_and_warns_of_nothing() -> None:
    code = (
        "import numpy as np; from pathlib import Path; from face_server.vision.runtime import load_tflite;"
        "n = load_tflite(Path('models/mobilefacenet.tflite'));"
        "assert n(np.zeros((1, 112, 112, 3), 'f4'))[0].shape == (1, 192)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.usefixtures("mobilefacenet")
def test_the_pipeline_makes_its_templates(sample_photos: Path) -> None:
    pipeline = assemble_pipeline(config())
    pipeline.warm_up()
    first, second = (
        pipeline.capture((sample_photos / f"{name}.jpg").read_bytes(), Purpose.ENROL).template
        for name in ("obama", "obama2")
    )
    assert (pipeline.dimension, pipeline.fingerprint, first.fingerprint) == (192, FINGERPRINT, FINGERPRINT)
    assert float(first.vector @ second.vector) == pytest.approx(SCORES["obama", "obama2"], abs=0.03)


@pytest.mark.usefixtures("mobilefacenet")
def test_a_daemon_runs_with_it_on_a_gallery_of_its_own_and_refuses_facenets(
    daemon_in: StartDaemon, tmp_path: Path, sample_photos: Path, pipeline: FacePipeline
) -> None:
    template = pipeline.capture((sample_photos / "obama.jpg").read_bytes(), Purpose.ENROL).template
    options = {"fingerprint": template.fingerprint, "dimension": 512}
    path = tmp_path / "facenet" / "var" / "gallery"
    with TemplateStore(path, **options, max_templates_per_subject=20, max_map_bytes=2**28) as store:
        store.enrol("obama", [template])
    with pytest.raises(RuntimeError, match="templates of another model or alignment") as refused:
        daemon_in(tmp_path / "facenet", SETTINGS)
    assert "model_mismatch" in str(refused.value) and "Traceback" not in str(refused.value)

    daemon = daemon_in(tmp_path / "own", SETTINGS)
    for name in ("obama", "biden"):
        assert daemon.command("enrol", name, sample_photos / f"{name}.jpg").returncode == 0
    found = daemon.command("identify", sample_photos / "obama3.jpg", "--json")
    assert (found.returncode, '"obama"' in found.stdout) == (0, True)
    assert daemon.command("verify", "biden", sample_photos / "obama3.jpg").returncode == 1
    assert daemon.stop() == 0
    log = daemon.log_path.read_text()
    assert "loading mtcnn and mobilefacenet" in log
    for banner in ("tf.lite", "deprecated", "XNNPACK", "delegate", "Traceback"):
        assert banner not in log
