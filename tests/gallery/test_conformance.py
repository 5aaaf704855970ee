"""What every gallery does, whatever keeps it: LMDB, Milvus Lite in a directory, Milvus behind its protocol."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from agreement import enrol_many, expected, found, plain_score, told
from backends import BACKENDS, open_backend
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from people import DIMENSION, make_template, unit

from face_server.errors import Malformed, TooManyImages, UnknownSubject
from face_server.types import BoundingBox, Candidate, DetectedFace, FaceCrop, subject_key


@pytest.fixture(params=BACKENDS)
def open_gallery(request, tmp_path):
    """Opens the gallery of this test, after closing the one opened before: a restart."""
    opened = []

    def reopen(**changes):
        for former in opened:
            former.close()
        opened.append(open_backend(request.param, tmp_path, **changes))
        return opened[-1]

    yield reopen
    for gallery in opened:
        gallery.close()


def ids_of(gallery, subject):
    return [one.template_id for one in gallery.subject(subject).templates]


# What is enrolled


def test_a_template_comes_back_as_it_was_enrolled(open_gallery):
    gallery = open_gallery()
    offered = make_template(1)
    gallery.enrol("ada", [offered])
    (stored,) = gallery.subject("ada").templates
    assert np.array_equal(stored.template.vector, offered.vector) and stored.template.vector.dtype == np.float32
    for name in ("fingerprint", "created_s", "image_sha256", "quality"):
        assert getattr(stored.template, name) == getattr(offered, name)


def test_a_subject_keeps_the_type_of_its_first_enrolment_also_through_replace_and_restart(open_gallery):
    gallery = open_gallery()
    assert gallery.enrol(7, [make_template(1)]).subject == 7
    assert gallery.enrol("7", [make_template(2)]).subject == 7
    assert gallery.enrol("7", [make_template(3)], replace=True).subject == 7
    gallery.enrol("8", [make_template(4)])
    gallery = open_gallery()
    assert [type(entry.subject) for entry in gallery.subjects(None, 9).subjects] == [int, str]
    assert gallery.remove(["7"]).removed == (7,)
    assert gallery.enrol("7", [make_template(5)]).subject == "7"


@pytest.mark.parametrize("subject", ["Zoë", "数字", "👩‍🚀", "a b/c", "x" * 128, 0, 2**53 - 1])
def test_unusual_subject_ids_are_kept_apart_and_found_again(open_gallery, subject):
    gallery = open_gallery()
    gallery.enrol(subject, [make_template(1)])
    gallery.enrol(f"{str(subject)[:-1]}_", [make_template(2)])
    gallery = open_gallery()
    assert [one.template.image_sha256 for one in gallery.subject(subject).templates] == [make_template(1).image_sha256]
    assert {str(entry.subject) for entry in gallery.subjects(None, 9).subjects} == {
        str(subject),
        f"{str(subject)[:-1]}_",
    }


def test_a_subject_whose_id_begins_with_anothers_is_not_touched_with_it(open_gallery):
    gallery = open_gallery()
    gallery.enrol("a", [make_template(1)])
    (added,) = gallery.enrol("ab", [make_template(2)]).added
    gallery.enrol("a", [make_template(3)], replace=True)
    gallery.remove(["a"])
    assert ids_of(gallery, "ab") == [added.template_id]


def test_template_ids_rise_and_are_never_given_twice_even_after_removal_and_restart(open_gallery):
    seen = []
    for seed in range(4):
        gallery = open_gallery()
        seen += [one.template_id for one in gallery.enrol("ada", [make_template(seed)]).added]
        gallery.remove(["ada"])
    assert seen == sorted(set(seen)) and len(seen) == 4 and seen[-1] < 2**53


def test_an_image_the_subject_has_is_a_duplicate_and_stores_nothing(open_gallery):
    gallery = open_gallery()
    gallery.enrol("ada", [make_template(1), make_template(2)])
    again = gallery.enrol("ada", [make_template(2), make_template(3), make_template(3)])
    _, second, third = ids_of(gallery, "ada")
    assert [(one.template_id, one.duplicate) for one in again.added] == [(second, True), (third, False), (third, True)]
    assert again.templates == 3
    assert gallery.enrol("bob", [make_template(1)]).added[0].duplicate is False


def test_replace_swaps_all_templates_and_says_which_went(open_gallery):
    gallery = open_gallery()
    first = gallery.enrol("ada", [make_template(1), make_template(2)])
    done = gallery.enrol("ada", [make_template(2), make_template(3)], replace=True)
    assert done.removed == tuple(one.template_id for one in first.added) and done.templates == 2
    assert ids_of(gallery, "ada") == [one.template_id for one in done.added] and done.added[0].template_id > max(
        done.removed
    )


def test_a_full_subject_is_told_so_and_nothing_is_written(open_gallery):
    gallery = open_gallery()
    first = gallery.enrol("ada", [make_template(seed) for seed in range(4)])
    with pytest.raises(TooManyImages, match=r"4 templates and may have 5.*replace") as caught:
        gallery.enrol("ada", [make_template(8), make_template(9)])
    assert caught.value.detail["templates"] == 4
    with pytest.raises(TooManyImages):
        gallery.enrol("ada", [make_template(seed) for seed in range(20, 26)], replace=True)
    assert ids_of(gallery, "ada") == [one.template_id for one in first.added]
    assert gallery.enrol("ada", [make_template(0), make_template(8)]).templates == 5  # a duplicate takes no room
    assert gallery.enrol("ada", [make_template(0)]).added[0].duplicate  # nor does it where there is none


def test_removal_names_the_removed_and_the_unknown_once_each(open_gallery):
    gallery = open_gallery()
    ones = gallery.enrol(1, [make_template(1), make_template(2)]).added + gallery.enrol("bob", [make_template(3)]).added
    done = gallery.remove(["1", "nobody", 1, "bob", "nemo", "nobody"])
    assert (done.removed, done.unknown) == ((1, "bob"), ("nobody", "nemo"))
    assert done.template_ids == tuple(one.template_id for one in ones)
    assert gallery.template_count() == 0
    with pytest.raises(UnknownSubject):
        gallery.subject("bob")


def test_pages_in_key_order_cover_every_subject_once_also_when_the_cursors_subject_is_removed(open_gallery):
    gallery = open_gallery()
    names = ["a", "a!", "ab", "b", "Zoë", "10", "9", "😀"]
    for seed, name in enumerate(names):
        gallery.enrol(name, [make_template(seed), make_template(seed + 100)])
    seen, cursor = [], None
    while True:
        page = gallery.subjects(cursor, 3)
        seen += page.subjects
        cursor = page.next_cursor
        if cursor is None:
            break
        gallery.remove([page.subjects[-1].subject])
    assert [entry.subject for entry in seen] == sorted(names, key=str.encode)
    assert {entry.templates for entry in seen} == {2}


def test_a_last_page_that_is_just_full_has_no_cursor(open_gallery):
    gallery = open_gallery()
    for seed in range(4):
        gallery.enrol(seed, [make_template(seed)])
    assert gallery.subjects(gallery.subjects(None, 2).next_cursor, 2).next_cursor is None


@pytest.mark.parametrize("cursor", ["!", "YQ", "AA==", "gICA", "", "é"])
def test_a_made_up_cursor_is_malformed(open_gallery, cursor):
    gallery = open_gallery()
    with pytest.raises(Malformed):
        gallery.subjects(cursor, 3)


def test_foreign_templates_are_programming_errors(open_gallery):
    gallery = open_gallery()
    for templates in ([], [make_template(1, fingerprint="b")], [make_template(1, dimension=8)]):
        with pytest.raises(ValueError):
            gallery.enrol("ada", templates)
    with pytest.raises(ValueError):
        gallery.enrol("a\0b", [make_template(1)])
    assert gallery.template_count() == 0


def test_a_crop_comes_back_when_asked_for_and_goes_with_its_template(open_gallery):
    gallery = open_gallery()
    face = DetectedFace(BoundingBox(1, 2, 30, 40), ((1, 2), (3, 4), (5, 6), (7, 8), (9, 10)), 0.9)
    crop = FaceCrop(bytes(range(256)) * 800, face)  # 200 kB, as large as they come
    gallery.enrol("ada", [make_template(1, crop=crop), make_template(2)])
    assert [one.template.crop for one in gallery.subject("ada").templates] == [None, None]
    for _ in range(2):
        assert [one.template.crop for one in gallery.subject("ada", crops=True).templates] == [crop, None]
        gallery = open_gallery()
    gallery.enrol("ada", [make_template(3)], replace=True)
    assert [one.template.crop for one in gallery.subject("ada", crops=True).templates] == [None]


# Searching


def test_a_subject_is_one_candidate_with_the_centroid_of_its_templates(open_gallery):
    gallery = open_gallery()
    gallery.enrol("ada", [make_template(1), make_template(2), make_template(3)])
    gallery.enrol("bob", [make_template(4)])
    enrolled = {"ada": [unit(1), unit(2), unit(3)], "bob": [unit(4)]}
    for _ in range(2):
        assert told(gallery.identify(unit(3), 5)) == expected(enrolled, unit(3), 5)
        gallery.rebuild()


@pytest.mark.parametrize("templates", [1, 2, 3, 7, 20])
def test_the_centroid_of_any_number_of_templates_is_that_of_plain_numpy(open_gallery, templates):
    gallery = open_gallery(max_templates_per_subject=20)
    seeds = range(10, 10 + templates)
    gallery.enrol("ada", [make_template(seed) for seed in seeds])
    for probe in range(5):
        wanted = expected({"ada": [unit(seed) for seed in seeds]}, unit(probe), 1)
        assert told([gallery.verify("ada", unit(probe))]) == told(gallery.identify(unit(probe), 1)) == wanted


def test_every_change_of_a_subject_changes_its_score_as_plain_numpy_says(open_gallery):
    gallery = open_gallery()

    def has(*seeds):
        wanted = expected({"ada": [unit(seed) for seed in seeds]}, unit(9), 1)
        return told(gallery.identify(unit(9), 1)) == told([gallery.verify("ada", unit(9))]) == wanted

    for _ in range(2):
        gallery.enrol("ada", [make_template(1)])
        assert has(1)
        gallery.enrol("ada", [make_template(2), make_template(1), make_template(3)])
        assert has(1, 2, 3)
        gallery.enrol("ada", [make_template(3), make_template(4)], replace=True)
        assert has(3, 4)
        gallery.remove(["ada"])
        assert gallery.identify(unit(9), 1) == ()
        gallery.rebuild()
    gallery.enrol("ada", [make_template(5)])
    assert has(5)


def test_one_message_or_several_give_the_same_centroid(open_gallery):
    gallery = open_gallery()
    templates = [make_template(seed) for seed in range(5)]
    gallery.enrol("at once", templates)
    gallery.enrol("turned", templates[::-1])
    for template in templates:
        gallery.enrol("one by one", [template])
    gallery.enrol("in two", templates[:2])
    gallery.enrol("in two", templates[1:])
    best = gallery.identify(unit(7), 4)
    assert len({one.score for one in best if one.subject != "turned"}) == 1
    assert [one.score for one in best] == pytest.approx([best[0].score] * 4, abs=1e-6)


def test_a_subject_whose_templates_cancel_out_matches_nobody_until_it_has_a_direction_again(open_gallery):
    gallery = open_gallery()
    gallery.enrol("ada", [make_template(1)])
    gallery.enrol("bob", [make_template(2)])
    gallery.rebuild()
    gallery.enrol("ada", [make_template(-1)])
    for _ in range(2):
        for probe in (unit(1), unit(-1), unit(3)):
            assert gallery.verify("ada", probe) == Candidate("ada", -1.0, 2)
            assert [one.subject for one in gallery.identify(probe, 5)] == ["bob"]
        assert (gallery.subject_count(), gallery.template_count()) == (2, 3)
        gallery = open_gallery()
        gallery.rebuild()
        assert gallery.index_status().error is None
    gallery.enrol("ada", [make_template(3)])
    assert gallery.verify("ada", unit(3)) == Candidate("ada", pytest.approx(1), 3) and found(gallery, 3, "ada")
    gallery.enrol("ada", [make_template(-3)])
    gallery.remove(["ada"])
    with pytest.raises(UnknownSubject):
        gallery.verify("ada", unit(3))
    assert (gallery.subject_count(), gallery.template_count()) == (1, 1)


def test_opposite_templates_that_leave_a_direction_are_no_reason_to_match_nobody(open_gallery):
    gallery = open_gallery()
    slightly = unit(-1) + 0.004 * unit(2)
    near = replace(make_template(2), vector=(slightly / np.linalg.norm(slightly)).astype(np.float32))
    gallery.enrol("ada", [make_template(1), near])
    assert told(gallery.identify(unit(2), 1)) == expected({"ada": [unit(1), near.vector]}, unit(2), 1) != []


def test_equal_scores_are_ordered_by_subject_key_wherever_the_rows_lie(open_gallery):
    gallery = open_gallery()
    names = ["b", "a", 10, "9", "ä", "c", "ab"]
    enrol_many(gallery, 13, start=100)
    for name in names:
        gallery.enrol(name, [make_template(1)])
        enrol_many(gallery, 3, start=1000 + 10 * len(str(name)) + names.index(name) * 100)
    gallery.enrol("aa", [make_template(1)])
    expected_order = sorted([*names, "aa"], key=subject_key)
    best = gallery.identify(unit(1), 8)
    assert [one.subject for one in best] == expected_order
    assert len({one.score for one in best}) == 1
    assert [one.subject for one in gallery.identify(unit(1), 3)] == expected_order[:3]
    gallery.rebuild()
    assert [one.subject for one in gallery.identify(unit(1), 3)] == expected_order[:3]


def test_scores_stay_within_minus_one_and_one(open_gallery):
    gallery = open_gallery()
    long = replace(make_template(1), vector=unit(1) * np.float32(1.0009))
    gallery.enrol("ada", [long])
    probe = long.vector
    assert gallery.identify(probe, 1) == (Candidate("ada", 1.0, 1),)
    assert gallery.identify(-probe, 1) == (Candidate("ada", -1.0, 1),)
    assert gallery.verify("ada", probe) == Candidate("ada", 1.0, 1)
    assert gallery.verify("ada", unit(2)).score == pytest.approx(float(unit(1) @ unit(2)), abs=1e-6)


def test_verify_compares_with_the_claimed_subject_alone(open_gallery):
    gallery = open_gallery()
    gallery.enrol(1, [make_template(1), make_template(2)])
    gallery.enrol(2, [make_template(3)])
    for asked in (1, "1"):
        claimed = gallery.verify(asked, unit(2))
        assert told([claimed]) == expected({1: [unit(1), unit(2)]}, unit(2), 1) and type(claimed.subject) is int
    assert told([gallery.verify("2", unit(2))]) == expected({2: [unit(3)]}, unit(2), 1)
    with pytest.raises(UnknownSubject):
        gallery.verify(3, unit(2))


BAD_VECTORS = [
    unit(1)[:8],
    unit(1).reshape(1, -1),
    unit(1) * np.float32(1.01),
    np.zeros(DIMENSION, np.float32),
    np.full(DIMENSION, np.nan, np.float32),
    np.where(np.arange(DIMENSION) == 3, np.float32(np.inf), unit(1)),
]


@pytest.mark.parametrize("vector", BAD_VECTORS)
def test_a_vector_that_is_no_unit_vector_is_a_programming_error(open_gallery, vector):
    gallery = open_gallery()
    gallery.enrol("ada", [make_template(1)])
    with pytest.raises(ValueError):
        gallery.identify(vector, 1)
    with pytest.raises(ValueError):
        gallery.verify("ada", vector)
    with pytest.raises(ValueError):
        gallery.enrol("ada", [make_template(2), replace(make_template(3), vector=vector)])
    assert gallery.template_count() == 1


@pytest.mark.parametrize("rebuild", [False, True])
def test_enrolled_is_found_and_removed_is_not_by_the_very_next_search_and_after_restart(open_gallery, rebuild):
    gallery = open_gallery()
    enrol_many(gallery, 40)
    if rebuild:
        gallery.rebuild()
    gallery.enrol(100, [make_template(100)])
    assert found(gallery, 100) and found(gallery, 3)
    removal = gallery.remove([3, 100, "nobody"])
    assert (removal.removed, removal.unknown) == ((3, 100), ("nobody",))
    gallery.enrol(5, [make_template(500)], replace=True)
    for _ in range(2):
        assert not found(gallery, 3) and not found(gallery, 100) and not found(gallery, 5)
        assert gallery.identify(unit(500), 1)[0].subject == 5
        assert (gallery.subject_count(), gallery.template_count()) == (39, 39)
        with pytest.raises(UnknownSubject):
            gallery.verify(3, unit(3))
        gallery = open_gallery()
    gallery.rebuild()
    assert not found(gallery, 3) and gallery.identify(unit(500), 1)[0].subject == 5


# Anything at all, in any order


class GalleryAgainstADict(RuleBasedStateMachine):
    """A gallery must be a dict of subject -> {image: vector}, whatever is done to it."""

    subjects = st.sampled_from([0, "0", 1, "1", "ada", "Zoë", "a"])
    images = st.lists(st.integers(-4, 20), min_size=1, max_size=4)  # -4 and 4 cancel out
    backend: str

    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="gallery-"))
        self.model, self.last_id = {}, 0

    @initialize()
    def open(self):
        self.gallery = open_backend(self.backend, self.root)

    @rule(subject=subjects, images=images, swap=st.booleans())
    def enrol(self, subject, images, swap):
        key = str(subject)
        stored, own = self.model.get(key, (subject, {}))
        own = {} if swap else own
        after = own | {image: unit(image) for image in images}
        templates = [make_template(image) for image in images]
        if len(after) > 5 and len(after) > len(own):
            with pytest.raises(TooManyImages):
                self.gallery.enrol(subject, templates, replace=swap)
            return
        done = self.gallery.enrol(subject, templates, replace=swap)
        fresh = [one.template_id for one in done.added if not one.duplicate]
        assert (
            len(fresh) == len(after) - len(own)
            and fresh == sorted(set(fresh))
            and min(fresh, default=self.last_id + 1) > self.last_id
        )
        assert (done.subject, done.templates) == (stored, len(after)) and type(done.subject) is type(stored)
        self.last_id = max([self.last_id, *fresh])
        self.model[key] = (stored, after)

    @rule(asked=st.lists(subjects, max_size=3))
    def remove(self, asked):
        done = self.gallery.remove(asked)
        keys = list(dict.fromkeys(map(str, asked)))
        assert list(done.removed) == [self.model[key][0] for key in keys if key in self.model]
        assert [str(one) for one in done.unknown] == [key for key in keys if key not in self.model]
        for key in keys:
            self.model.pop(key, None)

    @rule()
    def rebuild(self):
        self.gallery.rebuild()

    @rule()
    def restart(self):
        self.gallery.close()
        self.gallery = open_backend(self.backend, self.root)

    @rule(probe=st.integers(0, 30), limit=st.integers(1, 4))
    def identify(self, probe, limit):
        enrolled = {subject: list(own.values()) for subject, own in self.model.values()}
        assert told(self.gallery.identify(unit(probe), limit)) == expected(enrolled, unit(probe), limit)

    @rule(subject=subjects, probe=st.integers(0, 30))
    def verify(self, subject, probe):
        if str(subject) not in self.model:
            with pytest.raises(UnknownSubject):
                self.gallery.verify(subject, unit(probe))
            return
        stored, own = self.model[str(subject)]
        score = plain_score(list(own.values()), unit(probe))
        wanted = pytest.approx(-1.0 if score is None else score, abs=1e-6)
        assert told([self.gallery.verify(subject, unit(probe))]) == [(stored, wanted, len(own))]

    @invariant()
    def counts_agree(self):
        assert self.gallery.subject_count() == len(self.model)
        assert self.gallery.template_count() == sum(len(own) for _, own in self.model.values())
        page = self.gallery.subjects(None, 100).subjects
        assert [(one.subject, one.templates) for one in page] == [
            (self.model[key][0], len(self.model[key][1])) for key in sorted(self.model, key=str.encode)
        ]

    def teardown(self):
        self.gallery.close()
        shutil.rmtree(self.root)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_gallery_is_a_dict_whatever_is_done_to_it(backend):
    machine = type("Machine", (GalleryAgainstADict,), {"backend": backend})
    examples = 25 if backend == "lmdb" else 6  # a step there takes ten times as long
    suppressed = list(HealthCheck)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=25, deadline=None, suppress_health_check=suppressed
        ),
    )
