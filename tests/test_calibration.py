"""From a stated error rate to a threshold: look-up, files, and curves made from vectors of known people."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from daemons import ROOT

from face_server.calibration import Calibration, Curve, find_calibration, read_calibration, write_calibration
from face_server.errors import ConfigError, ThresholdUnsupported
from face_server.evaluation.calibration import _singles, apart, calibrate, centroids
from face_server.types import FloatArray

FINGERPRINT = "ab" * 32
FACENET = "3caab41ee061b26baf975ab82925dd8f7001d86a4f8ef8d7f65c78d20f2a00fd"


def curve(enrolled: int, probes: int, shift: float = 0.0) -> Curve:
    rates = ((0.3, 1e-1, 0.0), (0.4, 1e-2, 0.1), (0.5, 1e-3, 0.2), (0.6, 1e-4, 0.4))
    points = tuple((round(score + shift, 5), fmr, fnmr) for score, fmr, fnmr in rates)
    return Curve(enrolled, probes, 300_000, 1000, 1e-3, points)


@pytest.fixture
def calibration() -> Calibration:
    """Curves for 1 and 3 enrolled by 1 and 2 probes; more of either, higher scores."""
    curves = tuple(curve(n, m, 0.02 * (n - 1) + 0.05 * (m - 1)) for n in (1, 3) for m in (1, 2))
    return Calibration(FINGERPRINT, "made up", curves)


def test_a_rate_on_a_point_is_its_score_and_between_two_lies_between_in_decades(calibration: Calibration) -> None:
    assert calibration.threshold(1e-2, 1, 1) == pytest.approx(0.4)
    assert calibration.threshold(10**-2.5, 1, 1) == pytest.approx(0.45)


def test_a_rate_above_the_first_point_gets_the_first_score(calibration: Calibration) -> None:
    assert calibration.threshold(0.9, 1, 1) == pytest.approx(0.3)


def test_counts_have_thresholds_of_their_own(calibration: Calibration) -> None:
    thresholds = [calibration.threshold(1e-3, n, m) for n, m in ((1, 1), (3, 1), (1, 2), (3, 2))]
    assert thresholds == pytest.approx([0.5, 0.54, 0.55, 0.59])


def test_counts_between_two_measured_ones_get_the_higher_threshold(calibration: Calibration) -> None:
    assert calibration.threshold(1e-3, 2, 1) == pytest.approx(0.54)


def test_past_the_measured_counts_a_threshold_goes_on_rising_ever_more_slowly(calibration: Calibration) -> None:
    last = [calibration.threshold(1e-3, count, 1) for count in (1, 3, 4, 6, 20, 1000)]
    assert last == sorted(set(last))
    # By the inverse of the count: from 1 to 3 it falls by 2/3, from 3 on by at most 1/3.
    assert last[-1] - last[1] < (last[1] - last[0]) / 2
    assert calibration.threshold(1e-3, 20, 10) > max(calibration.threshold(1e-3, 20, 2), last[4])


def test_more_images_never_lower_a_threshold(calibration: Calibration) -> None:
    turned = [replace(one, points=tuple((s - 0.2, f, m) for s, f, m in one.points)) for one in calibration.curves[1:]]
    odd = Calibration(calibration.fingerprint, "made up", (calibration.curves[0], *turned))
    assert odd.threshold(1e-3, 3, 2) == odd.threshold(1e-3, 1, 1)


def test_counts_without_a_curve_are_taken_from_another_calibration(calibration: Calibration) -> None:
    own = Calibration(calibration.fingerprint, "own", calibration.curves[:1])
    whole = own.completed(replace(calibration, source="other"))
    assert whole.curves == calibration.curves
    assert whole.source == "own; for other counts other"
    assert calibration.completed(own) is calibration


@pytest.mark.parametrize("fmr", [9e-5, 0.0, -1.0, float("nan")])
def test_a_rate_that_too_few_comparisons_back_is_refused_with_the_numbers(calibration: Calibration, fmr: float) -> None:
    with pytest.raises(ThresholdUnsupported, match=r"300000 comparisons.*claim an id") as refusal:
        calibration.threshold(fmr, 1, 1)
    assert refusal.value.detail["least_fmr"] == 1e-4


def test_rates_of_a_score_are_read_back(calibration: Calibration) -> None:
    found = calibration.curve(1, 1)
    assert found.fmr(0.5) == pytest.approx(1e-3)
    assert found.fnmr(0.45) == pytest.approx(0.15)


def test_past_a_curves_ends_a_bound_is_told_and_no_number(calibration: Calibration) -> None:
    found = calibration.curve(1, 1)
    told = [(found.fmr_told(score), found.fnmr_told(score)) for score in (0.1, 0.5, 0.82)]
    assert told == [("above 1.0e-01", "below 0.00"), ("1.0e-03", "0.20"), ("below 1.0e-04", "above 0.40")]


def test_a_written_calibration_is_found_in_the_first_directory_that_has_it(
    calibration: Calibration, tmp_path: Path
) -> None:
    write_calibration(tmp_path / "shipped", Calibration(FINGERPRINT, "shipped", calibration.curves))
    write_calibration(tmp_path / "own", Calibration(FINGERPRINT, "own", calibration.curves))
    found = find_calibration((tmp_path / "own", tmp_path / "shipped"), FINGERPRINT)
    assert found is not None and found.source == "own" and found.curves == calibration.curves
    assert find_calibration((tmp_path / "nowhere",), FINGERPRINT) is None


@pytest.mark.parametrize(
    "harm",
    [
        lambda told: told | {"fingerprint": "cd" * 32},
        lambda told: told | {"schema": 2},
        lambda told: told | {"fusion": "best"},
        lambda told: told | {"curves": []},
        lambda told: told | {"curves": told["curves"][:3]},
        lambda told: told | {"curves": [told["curves"][0] | {"points": told["curves"][0]["points"][::-1]}]},
        lambda told: told | {"curves": [told["curves"][0] | {"points": [[0.5, 2.0, 0.1], [0.6, 0.1, 0.1]]}]},
        lambda told: told | {"curves": [told["curves"][0] | {"points": "x"}]},
        lambda told: [told],
    ],
)
def test_a_damaged_or_foreign_calibration_is_refused(calibration: Calibration, tmp_path: Path, harm) -> None:  # type: ignore[no-untyped-def]
    path = write_calibration(tmp_path, calibration)
    path.write_text(json.dumps(harm(json.loads(path.read_text()))))
    with pytest.raises(ConfigError, match="cannot be used"):
        read_calibration(path, FINGERPRINT)


def test_the_shipped_calibration_supports_the_configured_rate_for_all_counts() -> None:
    shipped = read_calibration(ROOT / "models" / "calibration" / f"{FACENET[:16]}.json", FACENET)
    for one in shipped.curves:
        assert 0.5 < one.threshold(1e-4) < 0.8, (one.enrolled, one.probes)


def people(
    count: int, images: int, dimension: int = 64, noise: float = 0.6, seed: int = 0
) -> tuple[FloatArray, list[str]]:
    """Unit vectors of made-up people: a direction each, and images scattered about it."""
    random = np.random.default_rng(seed)
    directions = random.normal(size=(count, 1, dimension))
    vectors = directions + noise * random.normal(size=(count, images, dimension))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    names = [f"person-{i}" for i in range(count) for _ in range(images)]
    return vectors.reshape(-1, dimension).astype(np.float32), names


def test_single_images_are_counted_as_brute_force_counts_them() -> None:
    vectors, names = people(150, 3)
    measured = calibrate(vectors, names, FINGERPRINT, "made up").curve(1, 1)
    scores = vectors @ vectors.T
    upper = np.triu(np.ones_like(scores, bool), 1)
    same = np.array(names)[:, None] == np.array(names)[None]
    impostors, mated = scores[upper & ~same], scores[upper & same]
    assert measured.comparisons == len(impostors)
    assert measured.mated == len(mated)
    for fmr in (1e-1, 1e-2, 1e-3):
        threshold = measured.threshold(fmr)
        assert (impostors >= threshold).mean() == pytest.approx(fmr, rel=0.05)
        assert measured.fnmr(threshold) == pytest.approx((mated < threshold).mean(), abs=0.01)


def test_stated_rates_hold_on_people_they_were_not_derived_from() -> None:
    vectors, names = people(1200, 6)
    half = len(names) // 2
    measured = calibrate(vectors[:half], names[:half], FINGERPRINT, "made up")
    others = np.arange(half, len(names)).reshape(-1, 6)
    for enrolled, probes in ((1, 1), (3, 1), (3, 3)):
        subjects, searches = centroids(vectors, others[:, :enrolled]), centroids(vectors, others[:, 3 : 3 + probes])
        scores = (subjects @ searches.T)[~np.eye(len(others), dtype=bool)]
        for fmr in (1e-2, 1e-3):
            found = (scores >= measured.threshold(fmr, enrolled, probes)).mean()
            assert fmr / 2 < found < fmr * 2, (enrolled, probes, fmr, found)


def test_one_curve_for_all_counts_would_be_wrong() -> None:
    """Images of real people have much in common that fusing does not average out, so several score higher."""
    shipped = read_calibration(ROOT / "models" / "calibration" / f"{FACENET[:16]}.json", FACENET)
    thresholds = [shipped.threshold(1e-3, n, m) for n, m in ((1, 1), (3, 1), (3, 3))]
    assert thresholds == pytest.approx([0.469, 0.492, 0.527], abs=0.005)
    assert shipped.curve(1, 1).fmr(thresholds[2]) < 0.3 * shipped.curve(3, 3).fmr(thresholds[2])


def test_the_tail_beyond_what_was_measured_goes_on_falling_and_ends_after_a_decade() -> None:
    vectors, names = people(150, 3)
    measured = calibrate(vectors, names, FINGERPRINT, "made up").curve(1, 1)
    assert measured.measured_fmr == pytest.approx(30 / measured.comparisons)
    assert measured.measured_fmr / 12 < measured.least_fmr < measured.measured_fmr / 9
    assert measured.threshold(measured.least_fmr) > measured.threshold(measured.measured_fmr)


def test_the_tail_of_several_images_runs_beside_that_of_single_ones() -> None:
    measured = calibrate(*people(200, 4), FINGERPRINT, "made up")
    single, several = measured.curve(1, 1), measured.curve(3, 1)
    beyond = [rate for _, rate, _ in several.points if rate < several.measured_fmr]
    apart = [several.threshold(rate) - single.threshold(rate) for rate in beyond]
    assert len(beyond) >= 9 and single.measured_fmr < several.measured_fmr / 3
    assert apart == pytest.approx([apart[0]] * len(apart), abs=2e-4)
    assert several.threshold(beyond[0]) >= several.threshold(several.measured_fmr)


def test_a_gallery_of_people_enrolled_under_two_ids_is_refused_in_words() -> None:
    vectors, names = people(200, 2)
    twice = [f"{i % 2} {names[i // 2]}" for i in range(2 * len(names))]
    with pytest.raises(ConfigError, match="under two ids"):
        calibrate(np.repeat(vectors, 2, axis=0), twice, FINGERPRINT, "made up")


@pytest.mark.parametrize(("count", "images"), [(1, 20), (10, 2), (300, 1)])
def test_too_few_people_or_images_are_refused_in_words(count: int, images: int) -> None:
    with pytest.raises(ConfigError, match="too few to calibrate"):
        calibrate(*people(count, images), FINGERPRINT, "made up")


def test_counts_that_nobody_has_images_for_are_left_out_and_the_rest_is_complete() -> None:
    """Two images of everyone: nobody is compared with themselves by two and two, but with the others they are."""
    measured = calibrate(*people(400, 2), FINGERPRINT, "made up")
    curves = {(one.enrolled, one.probes): one for one in measured.curves}
    assert set(curves) == {(1, 1), (1, 2), (2, 1), (2, 2)}
    assert curves[1, 1].mated == 400 and curves[2, 2].mated == 0
    assert {fnmr for _, _, fnmr in curves[2, 2].points} == {1.0}


def test_a_pair_of_people_that_is_met_from_both_sides_is_counted_once() -> None:
    measured = calibrate(*people(400, 2), FINGERPRINT, "made up")
    assert {(one.enrolled, one.probes): one.comparisons for one in measured.curves} == {
        (1, 1): 800 * 798 // 2,
        (1, 2): 400 * 399,
        (2, 1): 400 * 399 * 2,
        (2, 2): 400 * 399 // 2,
    }


def test_an_image_is_no_evidence_about_itself() -> None:
    groups, whose, _, _ = _singles([np.array([0, 1]), np.array([2])])
    assert whose.tolist() == [0, 0, 1]
    assert (apart(groups, groups) == ~np.eye(3, dtype=bool)).all()


def test_a_fused_vector_is_the_unit_vector_of_the_mean() -> None:
    vectors, _ = people(2, 3)
    fused = centroids(vectors, np.array([[0, 1, 2]]))[0]
    mean = vectors[:3].mean(axis=0)
    assert fused == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)
