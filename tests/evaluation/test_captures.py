"""Several images against several: what is compared, how scores are made, and what the ways and weights are worth."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from face_server.errors import EvaluationError
from face_server.evaluation import fusion
from face_server.evaluation.bootstrap import misses, replicated_matches
from face_server.evaluation.captures import compare_captures, rows_of
from face_server.evaluation.centring import centred
from face_server.evaluation.embeddings import FaceChoice, acquire
from face_server.evaluation.mirroring import Mirrored, with_mirror_images
from face_server.evaluation.rates import ErrorRates
from face_server.evaluation.weighting import learnt_weights, pose_weights
from face_server.types import Quality
from face_server.vision.pipeline import FacePipeline
from face_server.vision.quality import STRAIGHT_PITCH, Limits


def unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / lengths).astype(np.float32)


def crowd(people: int, images: int, noise: np.ndarray | float = 0.6, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """A direction for each person and images scattered about it; noise may be one number for each image."""
    random = np.random.default_rng(seed)
    scatter = random.normal(size=(people * images, 32)) * np.reshape(noise, (-1, 1))
    vectors = unit(np.repeat(random.normal(size=(people, 32)), images, axis=0) + scatter)
    return vectors, [f"p{person:03d}" for person in range(people) for _ in range(images)]


def quality(sharpness: float = 50.0, yaw: float = 0.0, pitch: float = STRAIGHT_PITCH) -> Quality:
    return Quality(100.0, 0.99, sharpness, 120.0, yaw, pitch, 0.0)


# --- who meets whom -------------------------------------------------------------------------------------------------


def test_single_images_all_meet_once_from_each_side() -> None:
    vectors, names = crowd(30, 3)
    found = compare_captures(
        rows_of(names), 1, 1, lambda subjects, probes: vectors[subjects[:, 0]] @ vectors[probes[:, 0]].T
    )
    pairs = list(itertools.combinations(range(90), 2))
    mated = sorted(float(vectors[i] @ vectors[j]) for i, j in pairs if names[i] == names[j])
    others = sorted((float(vectors[i] @ vectors[j]) for i, j in pairs if names[i] != names[j]), reverse=True)
    assert (found.comparisons, found.mated) == (len(others), len(mated))
    assert np.allclose(np.sort(found.genuine.scores)[::2], mated, atol=1e-6)
    assert np.allclose(found.impostors.scores[::2], others, atol=1e-6)
    brute = ErrorRates(np.array(mated), np.array(others))
    share = misses(found.genuine, found.impostors, 30, [0.1, 0.01])
    assert share == pytest.approx([brute.fnmr(brute.threshold_at(rate)).share for rate in (0.1, 0.01)])


def test_no_image_of_a_subject_is_searched_with_and_all_comparisons_are_counted() -> None:
    _, names = crowd(40, 5)

    def shared(subjects: np.ndarray, probes: np.ndarray) -> np.ndarray:
        return np.array([[len(set(s) & set(p)) for p in probes.tolist()] for s in subjects.tolist()], np.float32)

    for counts in ((3, 1), (1, 3), (2, 2)):
        found = compare_captures(rows_of(names), *counts, shared)
        assert found.genuine.scores.max() == 0 == found.impostors.scores.max()
        assert (found.first != found.second).all()
        # Nothing was left out of so few, so what is listed is what is counted.
        assert found.impostors.total(np.ones(40)) == len(found.impostors.scores)


def test_of_many_comparisons_the_closest_are_listed_and_none_of_them_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vectors, names = crowd(60, 4)
    ways = fusion.ways_of(vectors, {}, {})
    whole = compare_captures(rows_of(names), 3, 1, ways["centroid"])
    monkeypatch.setattr("face_server.evaluation.captures.TAIL_LEAST", 100)
    monkeypatch.setattr("face_server.evaluation.captures.BLOCK", 23)
    part = compare_captures(rows_of(names), 3, 1, ways["centroid"])
    assert 200 < len(part.impostors.scores) < len(whole.impostors.scores) / 5
    assert np.allclose(part.impostors.scores, whole.impostors.scores[: len(part.impostors.scores)], atol=1e-6)
    assert part.comparisons == whole.comparisons


def test_too_few_images_are_refused_in_words() -> None:
    vectors, names = crowd(10, 3)
    ways = fusion.ways_of(vectors, {}, {})
    with pytest.raises(EvaluationError, match=r"no two people have 4 and 1 photos"):
        compare_captures(rows_of(names), 4, 1, ways["centroid"])
    with pytest.raises(EvaluationError, match=r"nobody has 3 \+ 1 photos"):
        list(fusion.measure(rows_of(names), ways, [(3, 1)], replicates=10))


def test_a_replicate_of_matches_counts_the_drawn_people_with_all_their_pairs() -> None:
    vectors, names = crowd(12, 4)
    found = compare_captures(rows_of(names), 2, 1, fusion.ways_of(vectors, {}, {})["centroid"])
    matched = (found.impostors.scores[:, None] >= [0.2, 0.4]).astype(float)
    (share,) = replicated_matches(found.impostors, matched, 12, 1, seed=5)
    drawn = np.random.default_rng(5).multinomial(12, np.full(12, 1 / 12))
    weights = [drawn[i] * drawn[j] for i, j in zip(found.first, found.second, strict=True)]
    assert share == pytest.approx([np.average(column, weights=weights) for column in matched.T])


# --- ways -----------------------------------------------------------------------------------------------------------


def test_the_ways_by_hand() -> None:
    vectors = unit(np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0.1], [0, 0, 1]], float))
    subjects, probes = np.array([[0, 1]]), np.array([[2, 3]])
    ways = fusion.ways_of(vectors, {"by hand": np.array([1.0, 0.0, 1.0, 0.0])}, {"again": vectors})
    single = {(i, j): float(vectors[i] @ vectors[j]) for i in (0, 1) for j in (2, 3)}
    told = {name: float(fuse(subjects, probes)[0, 0]) for name, fuse in ways.items()}
    assert told["mean score"] == pytest.approx(sum(single.values()) / 4)
    assert told["best score"] == pytest.approx(max(single.values()))
    # What has no weight does not count.
    assert told["weighted by hand"] == pytest.approx(single[0, 2])
    one, other = unit(vectors[:2].mean(axis=0)), unit(vectors[2:].mean(axis=0))
    assert told["centroid"] == told["centroid, again"] == pytest.approx(float(one @ other))


def test_a_better_way_shows_as_a_difference_beyond_its_interval_and_the_same_way_as_none() -> None:
    noise = np.tile([0.5, 2.5, 0.5, 2.5, 0.5, 2.5], 120)
    vectors, names = crowd(120, 6, noise)
    ways = fusion.ways_of(vectors, {"by truth": noise**-2, "by nothing": np.ones(len(noise))}, {"again": vectors})
    rows = list(fusion.measure(rows_of(names), ways, [(1, 1), (3, 1)], replicates=100))
    assert [(row.enrolled, row.way) for row in rows[:2]] == [(1, "centroid"), (1, "centroid, again")]
    by_way = {row.way: row.figures[0] for row in rows[2:]}
    assert by_way["weighted by truth"].difference_interval[1] < 0
    assert by_way["weighted by nothing"].difference_interval == (0.0, 0.0)
    assert by_way["centroid"].interval[0] < by_way["centroid"].fnmr < by_way["centroid"].interval[1]
    table = fusion.lines(rows)
    assert len(table) == 2 + len(rows) and len({line.count("|") for line in table}) == 1
    assert len(fusion.as_json(rows)) == len(rows)


def test_a_figure_without_thirty_errors_on_both_sides_stands_in_brackets() -> None:
    vectors, names = crowd(40, 5)
    (row,) = fusion.measure(rows_of(names), {"centroid": fusion.ways_of(vectors, {}, {})["centroid"]}, [(3, 1)], 10)
    assert not any(figure.supported for figure in row.figures)
    assert fusion.lines([row])[-1].count("(0.") == 2


# --- weights --------------------------------------------------------------------------------------------------------


def test_a_face_turned_as_far_as_allowed_counts_half() -> None:
    limits = Limits(80, 40, 0.1, 4, 0.3, 0.2, 40, 0.1, 0.6)
    turned = [quality(), quality(yaw=-0.3), quality(pitch=STRAIGHT_PITCH + 0.2), quality(yaw=0.6)]
    assert pose_weights(turned, limits) == pytest.approx([1, 0.5, 0.5, 0.2])


def test_weights_are_learnt_from_others_and_find_what_makes_an_image_worse() -> None:
    random = np.random.default_rng(3)
    sharpness = random.uniform(1, 100, 400)
    vectors, names = crowd(100, 4, 3 / np.sqrt(sharpness))
    measured, own = [quality(sharpness=one) for one in sharpness], rows_of(names)
    weights = learnt_weights(vectors, own, measured)
    assert np.median(weights[sharpness > 60]) > 1.5 * np.median(weights[sharpness < 10])
    # One person's other images change the weights of the other half of the people, not of the person's own half.
    changed = vectors.copy()
    changed[own[0][0]] = -changed[own[0][0]]
    moved = learnt_weights(changed, own, measured) != weights
    of_people = np.array([moved[rows].any() for rows in own])
    assert not of_people[0] and of_people.sum() == 50


def test_nobody_with_two_images_gives_no_weights() -> None:
    vectors, names = crowd(20, 1)
    assert (learnt_weights(vectors, rows_of(names), [quality()] * 20) == 1).all()


# --- centring -------------------------------------------------------------------------------------------------------


def test_what_all_faces_share_is_taken_away_by_the_mean_of_others() -> None:
    random = np.random.default_rng(0)
    directions, names = crowd(100, 3)
    common = 2 * unit(random.normal(size=32))
    vectors, own = unit(directions + common), rows_of(names)
    less = centred(vectors, own)
    assert np.linalg.norm(less, axis=1) == pytest.approx(np.ones(300), abs=1e-6)
    assert np.abs(less @ unit(common)).mean() < 0.3 < 0.8 < (vectors @ unit(common)).mean()
    # Another face of one person moves the other half of the people; of its own half that person alone.
    changed = vectors.copy()
    changed[own[0]] = -changed[own[0]]
    moved = [not np.allclose(centred(changed, own)[rows], less[rows], atol=1e-7) for rows in own]
    assert moved[0] and sum(moved) == 51


def test_one_person_is_left_as_is() -> None:
    vectors, names = crowd(1, 3)
    assert centred(vectors, rows_of(names)) == pytest.approx(vectors)


# --- mirror images --------------------------------------------------------------------------------------------------


class Sums:
    """An embedder whose vector tells left from right."""

    fingerprint, dimension = "00" * 32, 2

    def embed(self, crops: np.ndarray) -> np.ndarray:
        return unit(np.stack([crops[:, :, :2].sum(axis=(1, 2, 3)), crops[:, :, 2:].sum(axis=(1, 2, 3))], axis=1))


def test_the_mirror_image_is_embedded_and_no_template_of_the_one_passes_for_the_other() -> None:
    crops = np.zeros((3, 4, 4, 3), np.uint8)
    crops[:, :, 0] = 200
    mirrored = Mirrored(Sums())
    assert np.array_equal(mirrored.embed(crops), Sums().embed(crops)[:, ::-1])
    assert mirrored.fingerprint != Sums.fingerprint and len(mirrored.fingerprint) == 64
    both = with_mirror_images(Sums().embed(crops), mirrored.embed(crops))
    assert both == pytest.approx(np.full((3, 2), np.sqrt(0.5)))


def test_a_mirrored_face_is_the_same_face_nearly(pipeline: FacePipeline, sample_photos: Path) -> None:
    acquired = acquire(pipeline, (sample_photos / "obama.jpg").read_bytes(), FaceChoice.LARGEST)
    image = pipeline.decode((sample_photos / "obama.jpg").read_bytes())
    crop = pipeline.crop(image, acquired.face)  # type: ignore[arg-type]
    score = float(pipeline.embed(np.ascontiguousarray(crop[:, ::-1])) @ acquired.vector)  # type: ignore[operator]
    assert 0.85 < score < 0.9999
