"""When a score is a match: thresholds from stated rates, for the counts at hand and the size of the gallery."""

from __future__ import annotations

import logging
import math

import pytest

from face_server.calibration import Calibration, Curve
from face_server.config import DecisionConfig
from face_server.decision import distance, fmr_of_search, is_match, make_decision, score_at
from face_server.errors import ConfigError, ThresholdUnsupported

POINTS = tuple((0.2 + 0.1 * k, 10.0 ** -(k + 1), 0.05 * k) for k in range(6))  # FMR 1e-1 at 0.2 ... 1e-6 at 0.7
CALIBRATION = Calibration("ab" * 32, "made up", (Curve(1, 1, 10**7, 1000, 1e-5, POINTS),))


def test_a_claim_is_judged_by_the_stated_false_match_rate() -> None:
    decision = make_decision(DecisionConfig(verify_fmr=1e-3), CALIBRATION)
    assert decision.verify_threshold(1, 1) == pytest.approx(0.4)


def test_the_threshold_of_a_search_rises_as_the_gallery_grows() -> None:
    decision = make_decision(DecisionConfig(identify_fpir=1e-2, verify_fmr=0.1), CALIBRATION)
    thresholds = [decision.identify_threshold(1, 1, subjects) for subjects in (1, 10, 100, 1000)]
    assert thresholds == pytest.approx([0.3, 0.4, 0.5, 0.6], abs=1e-3)


def test_a_search_among_few_is_no_easier_to_fool_than_a_claim() -> None:
    decision = make_decision(DecisionConfig(identify_fpir=1e-2, verify_fmr=1e-4), CALIBRATION)
    assert decision.identify_threshold(1, 1, 1) == decision.verify_threshold(1, 1) == pytest.approx(0.5)


def test_a_search_past_the_supported_size_is_refused_and_points_to_a_claim() -> None:
    decision = make_decision(DecisionConfig(identify_fpir=1e-2), CALIBRATION)
    with pytest.raises(ThresholdUnsupported, match="verify, 1:1"):
        decision.identify_threshold(1, 1, 20_000)
    assert decision.strictest_threshold(1, 1, 20_000) == pytest.approx(0.7)
    assert decision.strictest_threshold(1, 1, 100) == decision.identify_threshold(1, 1, 100)


def test_the_rate_of_a_search_is_that_of_so_many_independent_comparisons() -> None:
    for subjects in (1, 7, 1000, 1_000_000):
        assert 1 - (1 - fmr_of_search(0.01, subjects)) ** subjects == pytest.approx(0.01, rel=1e-6)
    assert fmr_of_search(0.01, 0) == fmr_of_search(0.01, 1)


def test_a_rate_for_claims_that_cannot_be_supported_refuses_the_start() -> None:
    with pytest.raises(ConfigError, match=r"verify_fmr = 1e-07.*10000000 comparisons"):
        make_decision(DecisionConfig(verify_fmr=1e-7), CALIBRATION)


def test_without_a_calibration_the_start_is_refused_with_the_remedy() -> None:
    with pytest.raises(ConfigError, match=r"\[decision\] threshold.*face-server calibrate"):
        make_decision(DecisionConfig(), None)


def test_a_threshold_set_by_hand_holds_for_all_counts_and_the_log_tells_its_cost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        decision = make_decision(DecisionConfig(threshold=0.4), CALIBRATION)
    assert decision.verify_threshold(1, 1) == decision.identify_threshold(5, 3, 10**9) == 0.4
    assert "FMR 1.0e-03, FNMR 0.10" in caplog.text


def test_a_threshold_set_by_hand_without_a_calibration_says_that_its_cost_is_unknown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert make_decision(DecisionConfig(threshold=0.4), None).verify_threshold(1, 1) == 0.4
    assert "unknown" in caplog.text


def test_the_original_distance_is_the_same_threshold_in_other_words() -> None:
    decision = make_decision(DecisionConfig(distance_threshold=0.6), CALIBRATION)
    assert decision.verify_threshold(1, 1) == pytest.approx(0.82)
    assert distance(score_at(0.6)) == pytest.approx(0.6)


def test_two_fixed_thresholds_are_one_too_many() -> None:
    with pytest.raises(ConfigError, match="keep one"):
        make_decision(DecisionConfig(threshold=0.4, distance_threshold=0.6), CALIBRATION)


def test_a_score_that_is_no_number_is_no_match() -> None:
    assert not is_match(math.nan, -1.0)
    assert is_match(0.5, 0.5)
