"""What Annoy finds is measured, and what costs less is used: on real trees over made-up people."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from people import gallery_options, make_template, unit

from face_server.errors import ConfigError, IndexFailed
from face_server.gallery import LocalGallery
from face_server.gallery.directory import is_memory_backed
from face_server.gallery.index import current_index
from face_server.gallery.index.annoy_index import Forest
from face_server.gallery.index.tuning import (
    MATED_SCORES,
    Limits,
    RecallTooLow,
    Tuning,
    allowed_misses,
    best_scores,
    draw_probes,
    fewest_probes,
    lower_bound,
)
from face_server.gallery.rows import Rows

Reopen = Callable[..., LocalGallery]


def crowd(subjects: int, dimension: int = 64) -> np.ndarray:
    vectors = np.random.default_rng(1).standard_normal((subjects, dimension), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def tuning(vectors: np.ndarray, trees: int, **changes: object) -> Tuning:
    templates = ((number + 1, number, vector) for number, vector in enumerate(vectors))
    rows = Rows.load(vectors.shape[1], len(vectors), np.arange(1, len(vectors) + 1), templates)
    forest = Forest.grow(vectors, trees, 1, lambda share: None, lambda: None)
    limits = {"recall": 0.99, "neighbours": 20, "search_k_max": 10**6, "or_exact": False}
    return Tuning(forest, trees, rows.view(), Limits(**(limits | changes)))


def enrol(gallery: LocalGallery, subjects: int, start: int = 0) -> None:
    for seed in range(start, start + subjects):
        gallery.enrol(seed, [make_template(seed)])


# Statistics


@pytest.mark.parametrize(("recall", "probes"), [(0.9, 29), (0.99, 299), (0.999, 2995), (0.9999, 29956)])
def test_as_many_probes_are_asked_as_can_show_the_recall(recall: float, probes: int) -> None:
    assert fewest_probes(recall) == probes
    assert allowed_misses(probes, recall) == 0 and allowed_misses(probes - 1, recall) == -1
    assert lower_bound(0, probes) >= recall > lower_bound(0, probes - 1)
    assert allowed_misses(math.ceil(1.6 * probes), recall) == 1


def test_the_bound_is_that_of_the_binomial_distribution() -> None:
    for misses, probes in ((0, 40), (3, 50), (7, 200)):
        low = lower_bound(misses, probes)
        chance = sum(math.comb(probes, k) * (1 - low) ** k * low ** (probes - k) for k in range(misses + 1))
        assert chance == pytest.approx(0.05, rel=1e-6)


def test_probes_have_the_scores_of_mated_pairs_and_their_truth_is_exact_search() -> None:
    vectors = crowd(3000)
    probes = draw_probes(vectors, 500, np.random.default_rng(3))
    assert probes.dtype == np.float32 and np.allclose(np.linalg.norm(probes, axis=1), 1, atol=1e-6)
    exact = (vectors.astype(np.float64) @ probes.T.astype(np.float64)).max(axis=0)
    assert np.allclose(best_scores(vectors, probes), exact, atol=1e-5)
    assert tuple(sorted(MATED_SCORES)) == MATED_SCORES and MATED_SCORES[0] > 0.55 and MATED_SCORES[-1] < 1
    # With so few in so many dimensions the nearest is nearly always the one that the probe was made from.
    assert np.allclose(np.quantile(exact, (0.25, 0.5, 0.75)), np.quantile(MATED_SCORES, (0.25, 0.5, 0.75)), atol=0.03)


# The choice


def test_the_least_effort_that_finds_enough_is_chosen_and_does_find_it() -> None:
    vectors = crowd(20_000)
    tuned = tuning(vectors, 10)
    choice = tuned.choose()
    measured = choice.measured
    assert not choice.exact and 4000 <= choice.search_k < 10 * len(vectors)
    assert measured.at_least >= measured.target == 0.99 and measured.probes == math.ceil(1.6 * 299)
    fresh = draw_probes(vectors, 1000, np.random.default_rng(77))
    best = best_scores(vectors, fresh)

    def recall(search_k: int) -> float:
        found = [tuned._forest.nearest(probe, 20, search_k) for probe in fresh]
        return float(np.mean([(vectors[f] @ p).max() >= b - 1e-5 for f, p, b in zip(found, fresh, best, strict=True)]))

    assert recall(choice.search_k) >= 0.985 > recall(choice.search_k // 8)


def test_too_low_a_recall_within_the_limits_is_told_with_its_figures() -> None:
    with pytest.raises(RecallTooLow, match=r"Annoy missed \d+ of the first \d+ probes with all the 500 items"):
        tuning(crowd(5000), 1, search_k_max=500).choose()


def test_exact_search_is_chosen_where_it_costs_no_more() -> None:
    choice = tuning(crowd(2000), 10, or_exact=True).choose()
    assert choice.exact and choice.measured.annoy_s >= choice.measured.exact_s > 0


def test_subjects_with_the_same_face_are_as_good_as_each_other() -> None:
    vectors = np.repeat(crowd(60), 50, axis=0)
    assert tuning(vectors, 10).choose().measured.misses == 0


def test_progress_rises_to_the_end() -> None:
    shares: list[float] = []
    vectors = crowd(500)
    tuned = tuning(vectors, 5)
    Tuning(tuned._forest, 5, tuned._view, tuned._limits, shares.append).choose()
    assert len(shares) >= 3 and all(before <= after <= 1 for before, after in itertools.pairwise(shares))


# In a gallery


def test_below_the_recall_the_old_index_stays_and_the_failure_is_told(
    open_gallery: Reopen, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gallery = open_gallery()
    enrol(gallery, 600)
    gallery.rebuild()
    before = {path.name: path.read_bytes() for path in (tmp_path / "index").iterdir()}
    changes = {"trees": 1, "trees_max": 2, "search_k_max": 1, "neighbours": 1}
    gallery = open_gallery(**changes)
    enrol(gallery, 20, start=600)
    with pytest.raises(IndexFailed, match=r"Annoy missed .* recall of 0.9: raise \[index\] search_k_max or trees_max"):
        gallery.rebuild()
    status = gallery.index_status()
    assert (status.state, status.kind, status.subjects, status.overlay) == ("ready", "annoy", 600, 20)
    assert status.error is not None and "Annoy missed" in status.error and "Annoy missed" in caplog.text
    assert {path.name: path.read_bytes() for path in (tmp_path / "index").iterdir()} == before
    assert gallery.identify(unit(610), 1)[0].subject == 610
    gallery = open_gallery()
    assert gallery.index_status().state == "ready"


def test_below_the_recall_and_without_an_index_searches_are_exact(open_gallery: Reopen, tmp_path: Path) -> None:
    gallery = open_gallery(trees=1, trees_max=2, search_k_max=1, neighbours=1)
    enrol(gallery, 600)
    with pytest.raises(IndexFailed):
        gallery.rebuild()
    status = gallery.index_status()
    assert (status.state, status.kind, status.overlay) == ("absent", "exact", 600)
    assert list((tmp_path / "index").iterdir()) == []
    assert all(gallery.identify(unit(seed), 1)[0].subject == seed for seed in range(0, 600, 50))


def test_as_many_trees_are_grown_as_find_enough(open_gallery: Reopen) -> None:
    limits = {"trees": 1, "search_k_max": 300, "neighbours": 20}
    gallery = open_gallery(trees_max=1, **limits)
    enrol(gallery, 600)
    with pytest.raises(IndexFailed, match="trees_max"):
        gallery.rebuild()
    gallery = open_gallery(trees_max=64, **limits)
    gallery.rebuild()
    manifest = gallery.index_status().manifest
    assert manifest is not None and manifest.kind == "annoy"
    assert manifest.trees == 2 and manifest.search_k <= 300
    assert manifest.measured is not None and manifest.measured.at_least >= 0.9


def test_auto_measures_nothing_for_so_few_people(open_gallery: Reopen, tmp_path: Path) -> None:
    gallery = open_gallery(kind="auto", background=True)
    enrol(gallery, 30)
    assert gallery.rebuild().subjects == 30
    status = gallery.index_status()
    assert (status.state, status.configured, status.kind, status.overlay) == ("ready", "auto", "exact", 0)
    assert status.measured is None and status.error is None and list((tmp_path / "index").iterdir()) == []


def test_auto_writes_down_that_exact_search_costs_less_and_a_restart_need_not_measure_again(
    open_gallery: Reopen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current_index, "FLOOR_SUBJECTS", 100)
    gallery = open_gallery(kind="auto")
    enrol(gallery, 120)
    assert gallery.index_status().state == "absent"
    assert gallery.rebuild().subjects == 120
    told = json.loads((tmp_path / "index" / "manifest.json").read_text())
    assert (told["kind"], told["annoy"], told["ids"]) == ("exact", None, None)
    assert told["measured"]["annoy_s"] >= told["measured"]["exact_s"] > 0
    assert [path.name for path in (tmp_path / "index").iterdir()] == ["manifest.json"]
    for _ in range(2):
        status = gallery.index_status()
        assert (status.state, status.kind, status.subjects, status.overlay) == ("ready", "exact", 120, 0)
        assert gallery.identify(unit(7), 1)[0].subject == 7
        gallery = open_gallery(kind="auto", background=True)
        assert not gallery._current._rebuilder.is_running
    gallery = open_gallery(kind="annoy")
    assert gallery.index_status().state == "absent" and "no cheaper" in str(gallery.index_status().error)


@pytest.mark.parametrize("kind", ["exact", "auto"])
def test_who_needs_no_index_any_more_keeps_no_vectors_in_its_directory(
    open_gallery: Reopen, tmp_path: Path, kind: str
) -> None:
    gallery = open_gallery()
    enrol(gallery, 40)
    gallery.rebuild()
    gallery = open_gallery(kind=kind)
    assert list((tmp_path / "index").iterdir()) == []
    status = gallery.index_status()
    assert (status.state, status.kind) == ("ready", "exact") and gallery.identify(unit(7), 1)[0].subject == 7
    assert gallery.rebuild().subjects == 40


def test_a_higher_recall_is_measured_anew(open_gallery: Reopen) -> None:
    gallery = open_gallery()
    enrol(gallery, 40)
    gallery.rebuild()
    gallery = open_gallery(recall=0.95)
    assert gallery.index_status().state == "absent" and "lower recall" in str(gallery.index_status().error)
    gallery.rebuild()
    assert open_gallery(recall=0.95).index_status().state == "ready"
    assert open_gallery(recall=0.9).index_status().state == "ready"


# In memory only


@pytest.fixture
def in_memory(tmp_path: Path):
    place = tmp_path / "memory"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs to mount a tmpfs: run as root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_file_system_in_memory_is_told_from_a_disk(in_memory: Path, tmp_path: Path) -> None:
    assert is_memory_backed(in_memory) and is_memory_backed(in_memory / "not" / "there" / "yet")
    if is_memory_backed(tmp_path):
        pytest.skip("the temporary directory lies in memory, so there is no disk to tell it from")
    (tmp_path / "link").symlink_to(in_memory)
    assert is_memory_backed(tmp_path / "link") and not is_memory_backed(tmp_path)
    assert not is_memory_backed(tmp_path / "not" / "there")


def test_an_index_that_must_stay_in_memory_is_built_there(open_gallery: Reopen, in_memory: Path) -> None:
    gallery = open_gallery(index_path=in_memory / "index", memory_only_index=True)
    enrol(gallery, 40)
    gallery.rebuild()
    assert gallery.index_status().kind == "annoy" and len(list((in_memory / "index").iterdir())) == 3


def test_no_vector_of_an_index_that_must_stay_in_memory_lies_on_a_disk(open_gallery: Reopen, tmp_path: Path) -> None:
    if is_memory_backed(tmp_path):
        pytest.skip("the temporary directory lies in memory")
    gallery = open_gallery()
    enrol(gallery, 40)
    gallery.rebuild()
    gallery.close()
    with pytest.raises(ConfigError, match="tmpfs"):
        LocalGallery(gallery_options(tmp_path, memory_only_index=True))
    assert list((tmp_path / "index").iterdir()) == []
    for kind in ("auto", "exact"):
        with LocalGallery(gallery_options(tmp_path, memory_only_index=True, kind=kind)) as gallery:
            gallery.rebuild()
            assert (gallery.index_status().state, gallery.index_status().kind) == ("ready", "exact")
            assert gallery.identify(unit(7), 1)[0].subject == 7
        assert list((tmp_path / "index").iterdir()) == []
