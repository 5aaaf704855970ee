from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faces import FACES, photo

from face_server.assembly import assemble_embedder
from face_server.config import AlignmentConfig, Config, EmbeddingConfig, ModelsConfig
from face_server.errors import ModelFileError
from face_server.types import FloatArray
from face_server.vision.alignment import Aligner
from face_server.vision.centring import Centre, centre_name, find_centre, write_centre
from face_server.vision.embedding import NetworkEmbedder, fingerprint_of
from face_server.vision.runtime import Network

ROOT = Path(__file__).parents[2]
CENTRES = ROOT / "models" / "centres"
WEIGHTS = "704afe26766ce6215931b0bde68650835be9518613d40ce101e641708c7d5c78"
ALIGNMENT = Aligner(AlignmentConfig()).describe()
FINGERPRINT = fingerprint_of(WEIGHTS, ALIGNMENT)
MEAN = np.linspace(0.01, 0.02, 512, dtype=np.float32)


@pytest.fixture(scope="module")
def shipped() -> Centre:
    centre = find_centre(CENTRES, FINGERPRINT)
    if centre is None:
        raise FileNotFoundError(CENTRES / centre_name(FINGERPRINT))
    return centre


def vectors(facenet: Network, sample_photos: Path, centre: Centre | None) -> dict[str, FloatArray]:
    embedder = NetworkEmbedder(facenet, WEIGHTS, ALIGNMENT, centre)
    aligner = Aligner(AlignmentConfig())
    crops = [aligner.align(photo(sample_photos, name), face) for name, face in FACES.items()]
    return dict(zip(FACES, embedder.embed(np.stack(crops)), strict=True))


def test_the_centre_is_taken_away_and_what_is_left_has_length_1(
    facenet: Network, sample_photos: Path, shipped: Centre
) -> None:
    plain, centred = (vectors(facenet, sample_photos, centre) for centre in (None, shipped))
    for name, vector in plain.items():
        less = vector - shipped.mean
        assert centred[name] == pytest.approx(less / np.linalg.norm(less), abs=1e-5)
        assert np.linalg.norm(centred[name]) == pytest.approx(1, abs=1e-5)


def test_the_shipped_centre_parts_two_men_further_from_each_other_than_two_photographs_of_one(
    facenet: Network, sample_photos: Path, shipped: Centre
) -> None:
    plain, centred = (vectors(facenet, sample_photos, centre) for centre in (None, shipped))

    def gap(of: dict[str, FloatArray]) -> float:
        return float(of["obama"] @ of["obama2"] - of["obama"] @ of["biden"])

    assert gap(centred) > gap(plain)


def test_templates_of_another_centre_or_of_none_are_told_apart(facenet: Network) -> None:
    found = {
        NetworkEmbedder(facenet, WEIGHTS, ALIGNMENT, centre).fingerprint
        for centre in (None, Centre(MEAN, "1" * 64), Centre(MEAN, "2" * 64))
    }
    assert len(found) == 3
    assert FINGERPRINT in found


def test_a_centre_of_another_dimension_is_refused(facenet: Network) -> None:
    with pytest.raises(ModelFileError, match="components"):
        NetworkEmbedder(facenet, WEIGHTS, ALIGNMENT, Centre(MEAN[:192], "1" * 64))


def test_the_default_network_has_the_shipped_centre_and_an_option_takes_it_out(
    models_dir: Path, shipped: Centre
) -> None:
    config = Config(models=ModelsConfig(path=ROOT / "models"))
    assert assemble_embedder(config).fingerprint == fingerprint_of(WEIGHTS, ALIGNMENT, shipped)
    without = replace(config, embedding=EmbeddingConfig(centre=False))
    assert assemble_embedder(without).fingerprint == FINGERPRINT


def test_a_centre_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = write_centre(tmp_path / "centres", FINGERPRINT, MEAN, "nobody")
    found = find_centre(path.parent, FINGERPRINT)
    if found is None:
        raise FileNotFoundError(path)
    assert found.mean == pytest.approx(MEAN, abs=1e-7)
    assert find_centre(path.parent, fingerprint_of("0" * 64, ALIGNMENT)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"fingerprint": "0" * 64},
        {"mean": [0.0] * 512},
        {"mean": [1.0] * 512},
        {"mean": [float("nan")] * 512},
        {"mean": [[0.01] * 256] * 2},
        {"mean": "long"},
        {"mean": None},
    ],
    ids=str,
)
def test_a_damaged_or_foreign_centre_is_refused_by_its_path(tmp_path: Path, change: dict[str, Any]) -> None:
    path = write_centre(tmp_path, FINGERPRINT, MEAN, "nobody")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelFileError, match=path.name):
        find_centre(tmp_path, FINGERPRINT)


def test_half_a_centre_is_refused(tmp_path: Path) -> None:
    path = write_centre(tmp_path, FINGERPRINT, MEAN, "nobody")
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ModelFileError, match=path.name):
        find_centre(tmp_path, FINGERPRINT)
