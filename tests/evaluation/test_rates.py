"""Error rates, accuracy and intervals, against values by hand, by brute force and from tables."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from face_server.evaluation.bootstrap import Genuine, Impostors, pairs_of_people, percentiles, replicated_misses
from face_server.evaluation.comparisons import compare_all
from face_server.evaluation.rates import (
    ErrorRates,
    OperatingPoint,
    Proportion,
    best_threshold,
    cross_validated,
    operating_points,
)

SCORES = st.lists(st.integers(-20, 20).map(lambda n: n / 20), min_size=1, max_size=40)


def rates(mated: list[float], nonmated: list[float]) -> ErrorRates:
    return ErrorRates(np.array(mated, np.float32), np.array(nonmated, np.float32))


def test_rates_by_hand() -> None:
    found = rates([0.9, 0.5, 0.7, 0.3], [0.1, 0.6, 0.2, 0.4, 0.0])
    assert (found.fmr(0.5).errors, found.fmr(0.5).trials) == (1, 5)
    assert (found.fnmr(0.5).errors, found.fnmr(0.5).trials) == (1, 4)
    assert found.fnmr(0.51).errors == 2
    assert found.fmr(0.6).errors == 1
    assert [found.fmr(found.threshold_at(rate)).errors for rate in (0.0, 0.19, 0.2, 0.4, 1.0)] == [0, 0, 1, 2, 5]


@given(SCORES, SCORES, st.floats(-1.1, 1.1))
def test_rates_agree_with_counting_every_score(mated: list[float], nonmated: list[float], threshold: float) -> None:
    found = rates(mated, nonmated)
    # As the daemon decides: the score as a Python float, not below the threshold.
    assert found.fmr(threshold).errors == sum(float(np.float32(s)) >= threshold for s in nonmated)
    assert found.fnmr(threshold).errors == sum(float(np.float32(s)) < threshold for s in mated)


@given(SCORES, SCORES, st.floats(0, 1))
def test_the_threshold_at_a_rate_is_the_lowest_that_keeps_it(
    mated: list[float], nonmated: list[float], fmr: float
) -> None:
    found = rates(mated, nonmated)
    threshold = found.threshold_at(fmr)
    assert found.fmr(threshold).errors <= fmr * len(nonmated) + 1e-9
    lower = [float(np.float32(s)) for s in nonmated if float(np.float32(s)) < threshold]
    assert not lower or found.fmr(max(lower)).errors > fmr * len(nonmated) * (1 - 1e-9)


def test_a_rate_that_is_a_whole_number_of_errors_allows_all_of_them() -> None:
    # 0.29 * 100 is 28.999999999999996 in floating point.
    found = rates([0.5], [n / 100 for n in range(100)])
    assert found.fmr(found.threshold_at(0.29)).errors == 29


@pytest.mark.parametrize("mated, nonmated", [([], [0.1]), ([0.1], []), ([float("nan")], [0.1])])
def test_rates_of_nothing_are_refused(mated: list[float], nonmated: list[float]) -> None:
    with pytest.raises(ValueError, match="rates need scores"):
        rates(mated, nonmated)


@pytest.mark.parametrize(
    "errors, trials, low, high",
    # Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_binomial_interval_is_the_published_one(errors: int, trials: int, low: float, high: float) -> None:
    assert Proportion(errors, trials).interval() == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10**8).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_an_interval_holds_the_share_and_stays_a_share(counts: tuple[int, int]) -> None:
    one = Proportion(*counts)
    low, high = one.interval()
    assert 0 <= low <= one.share <= high <= 1 and low < high


@pytest.mark.parametrize("impostors, missed, supported", [(3000, 30, True), (2999, 30, False), (3000, 29, False)])
def test_a_rate_needs_thirty_errors_on_both_sides(impostors: int, missed: int, supported: bool) -> None:
    point = OperatingPoint(0.01, 0.5, Proportion(5, impostors), Proportion(missed, 100), (0.0, 1.0))
    assert (point.doubt == "") is supported
    assert point.as_json()["supported"] is supported


# --- accuracy over folds --------------------------------------------------------------------------------------------


@given(SCORES, SCORES)
def test_the_best_threshold_answers_as_many_pairs_as_any_score_would(mated: list[float], nonmated: list[float]) -> None:
    scores = np.array(mated + nonmated, np.float32)
    labels = np.array([True] * len(mated) + [False] * len(nonmated))
    best = best_threshold(scores, labels)

    def right(threshold: float) -> int:
        return int(((scores >= threshold) == labels).sum())

    assert right(best) == max(right(float(score)) for score in scores)


def test_accuracy_uses_the_threshold_of_the_other_folds_and_states_its_standard_error() -> None:
    mated = [np.array([True, True, False, False])] * 3
    # The third fold's people score lower, so the threshold of the others misses one of them.
    scores = [
        np.array(fold, np.float32) for fold in ([0.8, 0.7, 0.1, 0.2], [0.9, 0.6, 0.25, 0.0], [0.8, 0.4, 0.1, 0.2])
    ]
    found = cross_validated(scores, mated)
    assert found.folds == (1.0, 1.0, 0.75)
    assert found.thresholds[2] == pytest.approx((0.25 + 0.6) / 2)
    assert found.mean == pytest.approx(11 / 12)
    assert found.standard_error == pytest.approx(np.std([1, 1, 0.75], ddof=1) / np.sqrt(3))
    assert found.trials == 12


def test_a_pair_that_could_not_be_compared_is_answered_different() -> None:
    mated = [np.array([True, True, False]), np.array([True, False, False])]
    scores = [np.array([0.9, np.nan, 0.1], np.float32), np.array([0.8, np.nan, 0.2], np.float32)]
    assert cross_validated(scores, mated).folds == (pytest.approx(2 / 3), 1.0)


# --- all pairs, and people drawn anew -------------------------------------------------------------------------------


def unit(count: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("block", [3, 7, 512])
def test_every_pair_is_compared_once_whatever_the_blocks(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("face_server.evaluation.comparisons.BLOCK", block)
    vectors, people = unit(20), np.arange(20) // 3
    found = compare_all(vectors, people)
    pairs = {(i, j): float(vectors[i] @ vectors[j]) for i, j in itertools.combinations(range(20), 2)}
    same = {pair: score for pair, score in pairs.items() if people[pair[0]] == people[pair[1]]}
    listed = zip(found.mated.first, found.mated.second, strict=True)
    assert {tuple(map(int, pair)) for pair in listed} == set(same)
    assert np.allclose(found.mated.scores, sorted(same.values()), atol=1e-6)
    others = sorted((score for pair, score in pairs.items() if pair not in same), reverse=True)
    assert np.allclose(np.sort(found.nonmated)[::-1], others, atol=1e-6)
    assert np.allclose(found.closest.scores, others, atol=1e-6)


def test_only_the_closest_of_many_pairs_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("face_server.evaluation.comparisons.TAIL_LEAST", 10)
    found = compare_all(unit(60), np.arange(60))
    assert len(found.nonmated) == 1770
    assert np.array_equal(found.closest.scores, np.sort(found.nonmated)[::-1][: int(0.05 * 1770)])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_a_replicate_measures_the_drawn_people_with_all_their_pairs(seed: int) -> None:
    """Against a brute force that copies each drawn person's photos and compares all of them."""
    vectors, people = unit(15, seed), np.repeat(np.arange(5), [5, 4, 2, 2, 2])
    found = compare_all(vectors, people)
    drawn_people: list[np.ndarray] = []
    closest = found.closest
    photos = np.bincount(people)
    impostors = pairs_of_people(closest.scores, people[closest.first], people[closest.second], photos, photos, 0.5)

    def weights(drawn: np.ndarray) -> np.ndarray:
        drawn_people.append(drawn.astype(int))
        return impostors.weights(drawn)

    watched = Impostors(impostors.scores, weights, impostors.total)
    genuine = Genuine(found.mated.scores, people[found.mated.first])
    replicates = replicated_misses(genuine, watched, 5, [0.1], 1, seed)
    assume(len(replicates))  # one person alone was drawn, five times: nothing to compare
    (missed,) = replicates
    (drawn,) = drawn_people
    mated, nonmated = [], []
    copies = [(i, copy) for i in range(15) for copy in range(drawn[people[i]])]
    for (i, a), (j, b) in itertools.combinations(copies, 2):
        score = float((vectors @ vectors.T)[i, j])
        if people[i] != people[j]:
            nonmated.append(score)
        elif a == b:
            mated.append(score)
    brute = rates(mated, nonmated)
    assert missed == pytest.approx(brute.fnmr(brute.threshold_at(0.1)).share)


def test_a_genuine_score_that_ties_with_one_that_must_not_match_is_missed() -> None:
    genuine = Genuine(np.array([0.5, 0.9], np.float32), np.array([0, 0]))
    impostors = Impostors(np.array([0.5, 0.4], np.float32), lambda drawn: np.ones(2), lambda drawn: 2.0)
    assert replicated_misses(genuine, impostors, 1, [0.0, 0.5], 1).tolist() == [[0.5, 0.0]]


def test_the_interval_over_people_is_wider_than_the_binomial_where_a_person_fails_as_a_whole() -> None:
    # 20 people with 50 comparisons each, of which one person's all fail.
    person = np.repeat(np.arange(20), 50)
    genuine = Genuine(np.where(person == 0, 0.0, 0.9).astype(np.float32), person)
    impostors = Impostors(np.linspace(0.5, 0.1, 100, dtype=np.float32), lambda drawn: np.ones(100), lambda drawn: 100.0)
    ((low, high),) = percentiles(replicated_misses(genuine, impostors, 20, [0.01], 500))
    binomial = Proportion(50, 1000).interval()
    assert low == 0.0 and high >= 0.14 > 2 * binomial[1] - 0.01


def test_the_same_seed_gives_the_same_interval() -> None:
    genuine = Genuine(np.linspace(0, 1, 30, dtype=np.float32), np.arange(30) // 2)
    impostors = Impostors(np.linspace(0.6, 0, 40, dtype=np.float32), lambda drawn: np.ones(40), lambda drawn: 40.0)
    first, again, other = (replicated_misses(genuine, impostors, 15, [0.1], 50, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_points_state_their_counts() -> None:
    found = rates([0.9, 0.5, 0.7, 0.3], [n / 200 for n in range(100)])
    (point,) = operating_points(found, [0.1], [(0.0, 0.5)])
    assert (point.accepted.errors, point.accepted.trials) == (10, 100)
    assert (point.missed.errors, point.missed.trials) == (1, 4)
    told = point.as_json()
    assert told["missed"]["people_interval"] == [0.0, 0.5] and told["accepted"]["share"] == 0.1
