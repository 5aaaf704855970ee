"""Verification and identification over made-up vectors, and the report: plots, HTML, JSON."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import json
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from face_server.errors import EvaluationError
from face_server.evaluation import identification_report, plots, report
from face_server.evaluation.embeddings import Acquired
from face_server.evaluation.folders import Photo, all_photos, read_people
from face_server.evaluation.identification import identification
from face_server.evaluation.pair_making import make_pairs
from face_server.evaluation.rates import ErrorRates
from face_server.evaluation.verification import Photos, Verification, verification
from face_server.types import BoundingBox, DetectedFace

FACE = DetectedFace(BoundingBox(-5, 4, 30, 44), ((5, 15), (20, 15), (12, 25), (7, 35), (18, 35)), 1.0)
ABOUT = {"images": "images", "pairs": "pairs.txt", "face": "centre", "model": "made-up", "fingerprint": "00"}


def acquired(photo: Photo, vector: np.ndarray | None, failure: str = "", refusal: str = "") -> Acquired:
    name = hashlib.sha256(f"{photo.person}/{photo.path.name}".encode()).hexdigest()
    return Acquired(name, vector, None if vector is None else FACE, 1, refusal, failure)


def crowd(photos: Sequence[int], spread: float = 0.9, seed: int = 0) -> Photos:
    """So many photos of each person, whose vectors lie around the person's own."""
    random = np.random.default_rng(seed)
    everyone, vectors = [], []
    for place, count in enumerate(photos):
        centre = random.normal(size=32)
        for number in range(1, count + 1):
            one = (centre + spread * random.normal(size=32)).astype(np.float32)
            everyone.append(Photo(f"p{place:03d}", number, Path(f"p{place:03d}/p{place:03d}_{number:04d}.jpg")))
            vectors.append(one / np.linalg.norm(one))
    return Photos(everyone, [acquired(photo, vector) for photo, vector in zip(everyone, vectors, strict=True)])


def folds_of(photos: Photos, folds: int = 5):  # type: ignore[no-untyped-def]
    people: dict[str, dict[int, Photo]] = {}
    for photo in photos.photos:
        people.setdefault(photo.person, {})[photo.number] = photo
    return make_pairs(people, folds, None, 0)


def without(photos: Photos, lost: Sequence[int], failure: str = "no_face") -> Photos:
    rows = enumerate(zip(photos.photos, photos.acquired, strict=True))
    return Photos(photos.photos, [acquired(p, None, failure, failure) if row in lost else a for row, (p, a) in rows])


@pytest.fixture(scope="module")
def measured() -> Verification:
    photos = crowd([4] * 60)
    return verification(photos, folds_of(photos), replicates=100)


# --- 1:1 ------------------------------------------------------------------------------------------------------------


def test_fnmr_at_a_rate_is_that_of_all_cross_pairs_by_brute_force(measured: Verification) -> None:
    photos, vectors = measured.photos.usable()
    mated, others = [], []
    for i, j in itertools.combinations(range(len(photos)), 2):
        (mated if photos[i].person == photos[j].person else others).append(float(vectors[i] @ vectors[j]))
    assert len(mated) == 60 * 6 and len(others) == 240 * 239 // 2 - 360
    for point in measured.points:
        threshold = sorted(others, reverse=True)[int(point.target * len(others))]
        assert point.accepted.trials == len(others) and point.missed.trials == len(mated)
        assert point.accepted.errors == int(point.target * len(others))
        assert point.missed.errors == sum(score <= threshold + 1e-6 for score in mated)
        assert point.people_interval[0] <= point.missed.share <= point.people_interval[1]


def test_rates_that_the_comparisons_cannot_support_are_marked(measured: Verification) -> None:
    assert [point.target for point in measured.points] == [1e-2, 1e-3, 1e-4, 1e-5]
    assert [point.doubt == "" for point in measured.points] == [True, False, False, False]
    assert "28320 impostors allow 2 errors" in measured.points[2].doubt
    told = "\n".join(report.lines(measured))
    assert told.count("NOT SUPPORTED") == 3


def test_the_worst_pairs_are_the_hardest_and_show_each_photo_once(measured: Verification) -> None:
    for pairs, mated in ((measured.false_matches, False), (measured.false_non_matches, True)):
        shown = [photo for pair in pairs for photo in (pair.first, pair.second)]
        assert len(pairs) == 12 and len(set(shown)) == 24
        assert all((pair.first.person == pair.second.person) is mated for pair in pairs)
        scores = [pair.score for pair in pairs]
        assert scores == sorted(scores, reverse=not mated)
    assert measured.false_matches[0].score == pytest.approx(float(measured.rates.nonmated[-1]))
    assert measured.false_non_matches[0].score == pytest.approx(float(measured.rates.mated[0]))


def test_a_photo_not_acquired_is_counted_and_in_no_rate_but_its_pairs_are_answered() -> None:
    whole = crowd([3] * 20)
    folds = folds_of(whole, 2)
    pair = folds[0][0]
    lost = [row for row, photo in enumerate(whole.photos) if photo in (pair.first, pair.second)]
    found = verification(without(whole, lost), folds, replicates=10)
    assert (found.photos.failures.errors, found.photos.failures.trials) == (2, 60)
    assert found.photos.failure_reasons == {"no_face": 2}
    assert len(found.rates.mated) == 60 - 3 and len(found.rates.nonmated) == 58 * 57 // 2 - 57
    concerned = sum(not {p.first, p.second}.isdisjoint((pair.first, pair.second)) for fold in folds for p in fold)
    assert found.unanswered == concerned >= 1


def test_a_refusal_for_several_faces_is_no_failure_to_acquire() -> None:
    whole = crowd([3] * 10)
    first = whole.acquired[0]
    refused = Photos(
        whole.photos, [acquired(whole.photos[0], first.vector, refusal="several_faces"), *whole.acquired[1:]]
    )
    assert refused.failures.errors == 0 and refused.refusals == {"several_faces": 1}
    assert without(whole, [1]).refusals == {}


@pytest.mark.parametrize(
    "photos, lost, complaint",
    [
        ([3, 3], range(6), "none of 6 photos holds a usable face"),
        ([3, 3], range(3), "one person only"),
        ([2, 2], [0, 2], "nobody has two"),
    ],
)
def test_when_too_little_was_acquired_there_is_no_result(
    photos: list[int], lost: Sequence[int], complaint: str
) -> None:
    whole = crowd(photos)
    with pytest.raises(EvaluationError, match=complaint):
        verification(without(whole, list(lost)), [], replicates=10)


# --- 1:N ------------------------------------------------------------------------------------------------------------


def split(photos: Photos, enrolled: Callable[[Photo], bool]) -> tuple[Photos, Photos]:
    rows = list(zip(photos.photos, photos.acquired, strict=True))
    sides = ([row for row in rows if enrolled(row[0])], [row for row in rows if not enrolled(row[0])])
    gallery, probes = (Photos([p for p, _ in side], [a for _, a in side]) for side in sides)
    return gallery, probes


def test_identification_agrees_with_a_search_by_hand() -> None:
    photos = crowd([4] * 80, spread=1.1)
    gallery, probes = split(photos, lambda photo: photo.person < "p040" and photo.number <= 2)
    found = identification(gallery, probes, replicates=50, targets=(0.2,))
    centroids = {}
    for photo, one in zip(gallery.photos, gallery.acquired, strict=True):
        centroids.setdefault(photo.person, []).append(one.vector)
    means = {person: np.mean(own, axis=0) for person, own in centroids.items()}
    searches: list[tuple[str, str, float]] = []
    for photo, one in zip(probes.photos, probes.acquired, strict=True):
        scores = {person: float(mean @ one.vector / np.linalg.norm(mean)) for person, mean in means.items()}
        best = max(scores, key=scores.__getitem__)
        searches.append((photo.person, best, scores[best]))
    strangers = sorted((score for person, _, score in searches if person not in means), reverse=True)
    known = [(person == best, score) for person, best, score in searches if person in means]
    assert (found.people, found.strangers, found.rank1.trials, len(strangers)) == (40, 40, 80, 160)
    assert found.rank1.errors == sum(not right for right, _ in known) > 0
    (point,) = found.points
    assert (point.accepted.errors, point.accepted.trials) == (32, 160)
    missed = sum(not right or score <= strangers[32] + 1e-6 for right, score in known)
    assert (point.missed.errors, point.missed.trials) == (missed, 80)
    assert point.people_interval[0] <= missed / 80 <= point.people_interval[1]


def test_who_could_not_be_enrolled_or_searched_is_missed_but_a_lost_stranger_proves_nothing() -> None:
    photos = crowd([3] * 6, spread=0.1)
    # The whole enrolment of p000, a probe of p001 and one of the stranger p005.
    gallery, probes = split(without(photos, [0, 4, 15]), lambda photo: photo.number == 1 and photo.person < "p004")
    found = identification(gallery, probes, replicates=10, targets=(0.5,))
    assert found.not_enrolled == ("p000",) and found.people == 3
    assert (found.rank1.errors, found.rank1.trials) == (3, 8)
    (point,) = found.points
    assert (point.missed.errors, point.accepted.trials) == (3, 5)


def test_a_probe_that_is_a_gallery_photo_is_left_out() -> None:
    photos = crowd([3] * 4)
    gallery, probes = split(photos, lambda photo: photo.number == 1)
    both = Photos([*probes.photos, *gallery.photos], [*probes.acquired, *gallery.acquired])
    found = identification(gallery, both, replicates=10)
    assert (found.left_out, found.rank1.trials) == (4, 8)
    with pytest.raises(EvaluationError, match="no probe is of a person of the gallery"):
        identification(gallery, gallery, replicates=10)


def test_without_strangers_there_is_no_rate_of_false_positives() -> None:
    found = identification(*split(crowd([3] * 4), lambda photo: photo.number == 1), replicates=10)
    assert found.points == ()
    assert "no FPIR" in identification_report.lines(found)[-1]
    assert json.loads(json.dumps(identification_report.as_json(found)))["rates"] == []


# --- the report -----------------------------------------------------------------------------------------------------

HOSTILE = ("<script>alert(1)<|script>", '"onerror="alert(1)', "{{ 7*7 }}", "Zoë & Söhne", "a" * 120, "p'5")


@pytest.fixture
def hostile(tmp_path: Path) -> Photos:
    """Real pictures of people and files with names that mean something in HTML."""
    random = np.random.default_rng(0)
    rows = []
    for person in HOSTILE:
        (tmp_path / "images" / person).mkdir(parents=True)
        for number in range(3):
            picture = Image.fromarray(random.integers(0, 255, (50, 40, 3), np.uint8))
            picture.save(tmp_path / "images" / person / f"{number}<b>&.png")
    for photo in all_photos(read_people(tmp_path / "images")):
        vector = random.normal(size=8).astype(np.float32)
        rows.append((photo, acquired(photo, vector / np.linalg.norm(vector))))
    rows[-1] = (rows[-1][0], acquired(rows[-1][0], None, "no_face"))
    return Photos([photo for photo, _ in rows], [one for _, one in rows])


class WellFormed(HTMLParser):
    """Every element is closed where it must be, and what the page would load."""

    VOID = ("meta", "img", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[str] = []
        self.texts: list[str] = []
        self.attributes: set[str] = set()
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.images += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture
def page(hostile: Photos, tmp_path: Path) -> tuple[WellFormed, Path]:
    found = verification(hostile, folds_of(hostile, 2), replicates=20)
    path = report.write_report(tmp_path / "out", found, {**ABOUT, "images": "<img src=x>"}, 40_000_000)
    parser = WellFormed()
    parser.feed(path.read_text(encoding="utf-8"))
    parser.close()
    return parser, path


def test_the_report_is_well_formed_and_needs_no_other_file(page: tuple[WellFormed, Path]) -> None:
    parser, path = page
    assert parser.open == [] and path.read_text().startswith("<!DOCTYPE html>")
    kinds = [image.split(";")[0] for image in parser.images]
    assert kinds.count("data:image/png") == 2
    # 12 pairs of each kind at most; six people with three photos have 6 mated and 8 other pairs of different photos.
    assert kinds.count("data:image/jpeg") == 2 * (6 + 8) == len(kinds) - 2
    for image in parser.images:
        with Image.open(io.BytesIO(base64.b64decode(image.split(",")[1]))) as picture:
            picture.load()
            assert picture.size[0] >= 144
    assert len(path.read_bytes()) < 1_500_000


def test_hostile_names_stand_in_the_report_as_text(page: tuple[WellFormed, Path]) -> None:
    parser, _ = page
    assert "script" not in parser.tags and not any(name.startswith("on") for name in parser.attributes)
    text = "".join(parser.texts)
    for name in HOSTILE:
        assert f"{name}/" in text
    assert "<img src=x>" in text and "<b>&.png" in text
    assert "no_face" in text


def test_the_report_states_every_figure_with_its_counts(page: tuple[WellFormed, Path]) -> None:
    parser, path = page
    text = " ".join("".join(parser.texts).split())
    told = json.loads((path.parent / "result.json").read_text())
    assert f"{told['comparisons']['nonmated']} comparisons of different people" in text
    assert text.count("The comparisons cannot support this rate") == 4
    assert "Wilson" in text and "Doddington" in text and "Bolle" in text
    assert told["photos"]["failures_to_acquire"]["errors"] == 1
    assert len(told["accuracy"]["folds"]) == 2


def test_the_report_of_an_earlier_run_does_not_stay_when_the_next_one_fails(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("old")
    report.prepare(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_a_report_that_cannot_be_written_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EvaluationError, match="file cannot be written"):
        report.prepare(tmp_path / "file")


def test_a_photo_that_vanished_leaves_no_report(hostile: Photos, tmp_path: Path) -> None:
    found = verification(hostile, folds_of(hostile, 2), replicates=20)
    found.false_matches[0].first.path.unlink()
    with pytest.raises(EvaluationError, match="cannot be read"):
        report.write_report(tmp_path / "out", found, ABOUT, 40_000_000)
    assert not list((tmp_path / "out").glob("*"))


def test_plots_are_pictures_of_the_curve(measured: Verification) -> None:
    for png in (
        plots.det_plot(measured.rates, measured.points, measured.band),
        plots.histogram(measured.rates, measured.points),
    ):
        with Image.open(io.BytesIO(png)) as picture:
            pixels = np.array(picture.convert("RGB")).astype(int)
        assert picture.format == "PNG" and min(picture.size) > 400
        green = (pixels[:, :, 1] - pixels[:, :, 0] > 60).sum()
        assert green > 1000


@pytest.mark.parametrize("mated, others", [([0.9], [0.1]), ([0.5] * 5, [0.5] * 5), ([0.1] * 9, [0.9] * 9)])
def test_plots_of_few_equal_or_hopeless_scores_are_drawn_too(mated: list[float], others: list[float]) -> None:
    found = ErrorRates(np.array(mated, np.float32), np.array(others, np.float32))
    for png in (plots.det_plot(found, ()), plots.histogram(found, ())):
        assert png.startswith(b"\x89PNG")
