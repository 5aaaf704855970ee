"""Stated rates against rates measured on other people: made-up people whose true rates are known, and real ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from daemons import ROOT
from PIL import Image

from face_server.errors import EvaluationError
from face_server.evaluation import fusion, holdout
from face_server.evaluation.captures import compare_captures, rows_of

DIMENSION = 48


def crowd(people: int, images: int, common: float = 0.0, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Directions at random, images scattered about each; `common` is what all images share, as real ones do."""
    random = np.random.default_rng(seed)
    persons = random.normal(size=(people, 1, DIMENSION)) + common * random.normal(size=DIMENSION)
    vectors = (persons + 0.7 * random.normal(size=(people, images, DIMENSION))).reshape(-1, DIMENSION)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), [f"p{person:04d}" for person in range(people) for _ in range(images)]


def true_threshold(rate: float) -> float:
    """The cosine that two random directions reach at this rate: density (1 - t^2)^((d - 3) / 2)."""
    steps = np.linspace(-1, 1, 200_001)
    density = (1 - steps**2) ** ((DIMENSION - 3) / 2)
    beyond = density[::-1].cumsum()[::-1] / density.sum()
    return float(np.interp(-rate, -beyond, steps))


def by_rate(cells: list[holdout.Cell], enrolled: int, probes: int) -> dict[float, holdout.Cell]:
    return {round(np.log10(c.stated), 2): c for c in cells if (c.enrolled, c.probes) == (enrolled, probes)}


@pytest.fixture(scope="module")
def alike() -> tuple[np.ndarray, list[str]]:
    return crowd(240, 6, common=1.0)


@pytest.fixture(scope="module")
def measured(alike: tuple[np.ndarray, list[str]]) -> list[holdout.Cell]:
    return holdout.measure(*alike, blocks=5, deals=1, replicates=200)


def test_thresholds_and_measured_rates_are_the_known_ones_of_random_directions() -> None:
    cells = by_rate(holdout.measure(*crowd(200, 3), blocks=4, deals=1, counts=[(1, 1)], replicates=50), 1, 1)
    for decade in (-2, -3):
        cell = cells[decade]
        assert cell.thresholds == pytest.approx((true_threshold(cell.stated),) * 2, abs=0.015)
        assert cell.measured == pytest.approx(cell.stated, rel=0.25)
        assert cell.interval[0] < cell.stated < cell.interval[1]


def test_stated_rates_hold_for_all_counts_among_people_who_are_alike(measured: list[holdout.Cell]) -> None:
    for enrolled, probes in holdout.COUNTS:
        cells = by_rate(measured, enrolled, probes)
        for decade in (-2, -2.5, -3):
            cell = cells[decade]
            assert cell.measured is not None and 0.5 < cell.measured / cell.stated < 2, cell
            low, high = cell.interval
            assert low <= cell.measured <= high and high - low > 0.05 * cell.stated


def test_the_curve_of_single_images_used_for_several_is_noticed(
    alike: tuple[np.ndarray, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = holdout._threshold
    monkeypatch.setattr(holdout, "_threshold", lambda made, rate, enrolled, probes: right(made, rate, 1, 1))
    cell = by_rate(holdout.measure(*alike, blocks=5, deals=1, counts=[(3, 3), (1, 1)], replicates=50), 3, 3)[-3]
    assert cell.measured is not None and cell.interval[0] > 2 * cell.stated


def test_a_threshold_that_the_tested_people_had_a_hand_in_would_show(alike: tuple[np.ndarray, list[str]]) -> None:
    vectors, names = alike
    own = rows_of(names)
    block = holdout._dealt(own, 4, 0)
    counts = [(1, 1), (3, 1)]
    before = holdout._thresholds(vectors, names, own, block, counts, lambda: None)
    # All of blocks 0 and 1 become alike, which would wreck any curve that knows them.
    wolves = np.concatenate([rows for rows, at in zip(own, block, strict=True) if at in (0, 1)])
    changed = vectors.copy()
    changed[wolves] += vectors[0]
    changed[wolves] /= np.linalg.norm(changed[wolves], axis=1, keepdims=True)
    after = holdout._thresholds(changed, names, own, block, counts, lambda: None)
    assert np.array_equal(before[:, 0, 1], after[:, 0, 1], equal_nan=True)
    assert (after[:, 2, 3, :3] > before[:, 2, 3, :3] + 0.1).all()


def test_every_two_people_meet_at_thresholds_of_the_splits_that_hold_both_out() -> None:
    vectors, names = crowd(24, 2)
    own = rows_of(names)
    found = compare_captures(own, 1, 1, fusion.ways_of(vectors, {}, {})["centroid"])
    block = holdout._dealt(own, 4, 0)
    random = np.random.default_rng(1).uniform(0, 0.3, (4, 4, 2))
    thresholds = random + random.transpose(1, 0, 2)
    thresholds[np.eye(4, dtype=bool)] = np.nan
    matched = holdout._matched(found, block, thresholds)
    for at in range(0, len(matched), 7):
        first, second = block[found.first[at]], block[found.second[at]]
        splits = [(first, other) for other in range(4) if other != first] if first == second else [(first, second)]
        expected = np.mean([found.impostors.scores[at] >= thresholds[split] for split in splits], axis=0)
        assert matched[at] == pytest.approx(expected)


def test_each_block_gets_its_share_of_those_with_many_photos() -> None:
    own = [np.arange(1 + 7 * (person % 10 == 0)) for person in range(203)]
    block = holdout._dealt(own, 8, 0)
    many = np.array([len(rows) > 1 for rows in own])
    assert set(np.bincount(block)) == {25, 26} and set(np.bincount(block[many], minlength=8)) <= {2, 3}
    assert not np.array_equal(block, holdout._dealt(own, 8, 1))


def test_a_rate_that_a_split_cannot_state_is_none_and_no_match_at_all_is_not_certainty() -> None:
    vectors, names = crowd(120, 3)
    cells = holdout.measure(vectors, names, blocks=3, deals=1, counts=[(1, 1), (3, 3)], replicates=50)
    assert all(cell.measured is None for cell in by_rate(cells, 3, 3).values())
    table = holdout.lines(cells)
    assert table[-1].startswith("| 3 + 3 | 1e-04 | not supported") and len({line.count("|") for line in table}) == 1
    # Far apart: nobody matches at any rate.
    apart = np.eye(120, dtype=np.float32)[np.repeat(np.arange(120), 3)]
    own = rows_of(names)
    found = compare_captures(own, 1, 1, fusion.ways_of(apart, {}, {})["centroid"])
    thresholds = np.full((3, 3, len(holdout.STATED)), 0.5)
    thresholds[np.eye(3, dtype=bool)] = np.nan
    (cell, *_) = holdout._cells(found, [(holdout._dealt(own, 3, 0), thresholds)], 1, 1, 120, 20)
    assert cell.measured == 0 and cell.interval[0] == 0 < cell.interval[1] and not cell.supported


@pytest.mark.parametrize(("people", "blocks"), [(5, 3), (40, 2), (40, 4)])
def test_too_few_people_or_blocks_are_refused_in_words(people: int, blocks: int) -> None:
    with pytest.raises(EvaluationError, match=r"too few|cannot be dealt"):
        holdout.measure(*crowd(people, 2), blocks=blocks, replicates=10)


def test_the_picture_is_drawn_also_of_nothing(measured: list[holdout.Cell]) -> None:
    for cells in (measured, []):
        assert holdout.plotted(cells, "made up").startswith(b"\x89PNG")


# --- as commands ----------------------------------------------------------------------------------------------------


def command(study: Any, arguments: list[str | Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["study", *map(str, arguments)])
    study.main()


def test_both_commands_measure_real_photographs(
    pipeline: Any,
    shared_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(fusion, "assemble_pipeline", lambda config: pipeline)
    monkeypatch.setattr(holdout, "assemble_pipeline", lambda config: pipeline)
    for person in sorted((shared_data / "lfw-dev" / "images").iterdir()):
        photos = sorted(person.iterdir())
        if len(photos) == 8 and sum(1 for _ in tmp_path.glob("images/*")) < 24:
            (tmp_path / "images" / person.name).mkdir(parents=True)
            for photo in photos:
                (tmp_path / "images" / person.name / photo.name).symlink_to(photo)
    shared = ["--images", tmp_path / "images", "--config", ROOT / "config.ini", "--cache", tmp_path / "cache"]
    command(fusion, [*shared, "--json"], monkeypatch)
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["photos"], told["people"], len(told["rows"])) == (True, 192, 24, 4 + 4 * 8)
    fnmr = {(row["enrolled"], row["probes"], row["way"]): row["figures"][0]["fnmr"] for row in told["rows"]}
    assert fnmr[3, 3, "centroid"] < fnmr[3, 1, "centroid"] < fnmr[1, 1, "centroid"] < 0.3
    assert fnmr[1, 1, "centroid, mirrored"] == pytest.approx(fnmr[1, 1, "centroid"], abs=0.03)
    assert fnmr[1, 1, "centroid, mirrored"] != fnmr[1, 1, "centroid"]
    assert 0 < told["embedding_ms"]["one"] < told["embedding_ms"]["mirrored"]

    command(holdout, [*shared, "--blocks", "4", "--deals", "1", "--plot", tmp_path / "out.png"], monkeypatch)
    table = capsys.readouterr().out.splitlines()
    assert "192 photographs of 24 people; curves from 50% of them, measured on the others, 6 splits" in table[0]
    assert sum("not supported" in line for line in table) >= 2
    with Image.open(tmp_path / "out.png") as drawn:
        assert drawn.format == "PNG"


@pytest.mark.parametrize("study", ["fusion", "holdout"])
def test_a_study_as_a_process_refuses_in_one_line(study: str, tmp_path: Path) -> None:
    module = [sys.executable, "-m", f"face_server.evaluation.{study}"]
    done = subprocess.run(
        [*module, "--images", tmp_path / "absent", "--config", ROOT / "config.ini"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert "absent cannot be read" in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr
