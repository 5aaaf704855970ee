"""Folders of people and pairs files: numbering, reading, drawing, and every way in which they can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from face_server.errors import EvaluationError
from face_server.evaluation.folders import People, Photo, all_photos, printable, read_people
from face_server.evaluation.pair_making import make_pairs
from face_server.evaluation.pairs import read_pairs, write_pairs

Folder = Callable[..., Path]


def numbers(people: People, person: str) -> dict[int, str]:
    return {number: photo.path.name for number, photo in people[person].items()}


# --- folders --------------------------------------------------------------------------------------------------------


def test_a_photo_named_as_in_lfw_keeps_its_number_whatever_is_missing(folder: Folder) -> None:
    people = read_people(folder("Ann/Ann_0003.jpg", "Ann/Ann_0001.jpg", "Ann/Ann_0010.jpg", "Ann/Ann_12345.jpg"))
    assert list(numbers(people, "Ann")) == [1, 3, 10, 12345]


def test_any_other_photo_is_counted_in_the_order_of_names(folder: Folder) -> None:
    people = read_people(folder("Bob/z.png", "Bob/a.jpg", "Bob/Bob_1.jpg", "Bob/Bob_0000.jpg"))
    assert numbers(people, "Bob") == {1: "Bob_0000.jpg", 2: "Bob_1.jpg", 3: "a.jpg", 4: "z.png"}


def test_photos_of_both_kinds_do_not_take_each_others_numbers(folder: Folder) -> None:
    people = read_people(folder("Eve/Eve_0007.jpg", "Eve/Eve_0007.png", "Eve/holiday.jpg"))
    assert numbers(people, "Eve") == {7: "Eve_0007.jpg", 8: "Eve_0007.png", 9: "holiday.jpg"}


def test_only_pictures_of_people_are_taken(folder: Folder) -> None:
    root = folder("Ann/a.jpg", "Ann/notes.txt", "Ann/.hidden.jpg", ".cache/b.jpg", "Nobody/readme.md")
    (root / "loose.jpg").write_bytes(b"")
    (root / "Ann" / "folder.jpg").mkdir()
    assert [photo.shown for photo in all_photos(read_people(root))] == ["Ann/a.jpg"]


def test_a_folder_without_people_is_refused_by_name(folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"people holds no person/photo"):
        read_people(folder())
    with pytest.raises(EvaluationError, match=r"absent cannot be read: No such file"):
        read_people(tmp_path / "absent")


def test_a_name_of_any_bytes_can_be_shown() -> None:
    assert printable(b"J\xf6rg\x1b[2J".decode("utf-8", "surrogateescape")) == "J�rg\\x1b[2J"


# --- reading --------------------------------------------------------------------------------------------------------

GOOD = "2\t1\nAnn\t1\t2\nAnn\t1\tBob\t1\nBob\t1\t2\nBob\t2\tAnn\t2\n"
PHOTOS = ("Ann/Ann_0001.jpg", "Ann/Ann_0002.jpg", "Bob/x.jpg", "Bob/y.jpg")


@pytest.fixture
def read(folder: Folder, tmp_path: Path) -> Callable[[str | bytes], object]:
    def reader(text: str | bytes) -> object:
        path = tmp_path / "pairs.txt"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_pairs(path, read_people(folder(*PHOTOS)))

    return reader


def test_a_pairs_file_is_read_fold_by_fold(read: Callable[[str], tuple]) -> None:  # type: ignore[type-arg]
    folds = read(GOOD)
    shown = [[(pair.first.shown, pair.second.shown, pair.mated) for pair in fold] for fold in folds]
    assert shown == [
        [("Ann/Ann_0001.jpg", "Ann/Ann_0002.jpg", True), ("Ann/Ann_0001.jpg", "Bob/x.jpg", False)],
        [("Bob/x.jpg", "Bob/y.jpg", True), ("Bob/y.jpg", "Ann/Ann_0002.jpg", False)],
    ]
    assert read(GOOD.replace("\n", "\r\n")) == folds


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("", "line 1: expected folds"),
        ("300\n", "line 1: expected folds"),
        ("ten\t1\n", "line 1: expected folds"),
        ("1\t1\nAnn\t1\t2\nAnn\t1\tBob\t1\n", "line 1: .* two at least"),
        ("2\t0\n", "line 1: expected folds"),
        (GOOD + "Ann\t1\t2\n", "are 5 lines with the first; the file has 6"),
        (GOOD[: GOOD.rindex("Bob")], "are 5 lines with the first; the file has 4"),
        ("999999999\t999999999\n", "the file has 1"),
        (GOOD.replace("Ann\t1\t2", "Ann 1 2"), "line 2: expected a mated pair .* found 'Ann 1 2'"),
        (GOOD.replace("Ann\t1\t2", "Ann\t1\ttwo"), "line 2: expected a mated pair"),
        (GOOD.replace("Ann\t1\t2", "Ann\t0\t2"), "line 2: expected a mated pair"),
        (GOOD.replace("Ann\t1\t2", "Ann\t1\t²"), "line 2: expected a mated pair"),
        (GOOD.replace("Ann\t1\t2", "Ann\t1\tBob\t2"), "line 2: expected a mated pair"),
        (GOOD.replace("Ann\t1\tBob\t1", "Ann\t1\t2"), "line 3: expected a non-mated pair"),
        (GOOD.replace("Ann\t1\t2", "Ann\t2\t2"), "line 2: a photo compared with itself"),
        (GOOD.replace("Ann\t1\tBob\t1", "Ann\t1\tAnn\t2"), "line 3: a non-mated pair must name two people"),
        (b"2\t1\nJ\xf6rg\t1\t2\n", "pairs.txt cannot be read"),
    ],
)
def test_a_malformed_pairs_file_is_refused_with_its_line(
    read: Callable[[str | bytes], object], text: str | bytes, complaint: str
) -> None:
    with pytest.raises(EvaluationError, match=complaint):
        read(text)


def test_missing_photos_are_named_and_nothing_is_measured(read: Callable[[str], object]) -> None:
    with pytest.raises(EvaluationError, match=r"names 2 photos that the folder does not have: Ann 9, Eve 1\. Nothing"):
        read(GOOD.replace("Ann\t1\t2", "Ann\t1\t9").replace("Bob\t2\tAnn\t2", "Bob\t2\tEve\t1"))


def test_a_person_in_a_pairs_file_cannot_lead_out_of_the_folder(read: Callable[[str], object], folder: Folder) -> None:
    (folder(*PHOTOS).parent / "other").mkdir()
    (folder(*PHOTOS).parent / "other" / "a.jpg").write_bytes(b"")
    with pytest.raises(EvaluationError, match=r"does not have: \.\./other 1"):
        read(GOOD.replace("Ann\t1\tBob\t1", "Ann\t1\t../other\t1"))


def test_a_pairs_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"absent\.txt cannot be read"):
        read_pairs(tmp_path / "absent.txt", {})


# --- drawing --------------------------------------------------------------------------------------------------------


def crowd(*photos: int) -> People:
    """People with so many photos each."""
    return {
        f"p{place:03d}": {n: Photo(f"p{place:03d}", n, Path(f"p{place:03d}/{n}.jpg")) for n in range(1, count + 1)}
        for place, count in enumerate(photos)
    }


SIZES = st.lists(st.integers(1, 6), min_size=6, max_size=40).filter(lambda sizes: sum(n > 1 for n in sizes) >= 3)


@settings(deadline=None)
@given(SIZES, st.integers(2, 3), st.integers(0, 99))
def test_drawn_pairs_are_right_different_and_share_nobody_between_folds(
    sizes: list[int], folds: int, seed: int
) -> None:
    made = make_pairs(crowd(*sizes), folds, None, seed)
    seen: set[str] = set()
    for fold in made:
        size = len(fold) // 2
        assert size and [pair.mated for pair in fold] == [True] * size + [False] * size
        assert len({frozenset((pair.first, pair.second)) for pair in fold}) == len(fold)
        assert all(pair.first != pair.second for pair in fold)
        people = {photo.person for pair in fold for photo in (pair.first, pair.second)}
        assert seen.isdisjoint(people)
        seen |= people
    assert len(made) == folds and len({len(fold) for fold in made}) == 1


def test_a_drawn_file_is_read_back_the_same(folder: Folder, tmp_path: Path) -> None:
    root = folder(*(f"{person}/{photo}.jpg" for person in "abcdef" for photo in ("x", "y", f"{person}_0005")))
    people = read_people(root)
    made = make_pairs(people, 2, 4, 1)
    path = tmp_path / "pairs.txt"
    path.write_text(write_pairs(made))
    assert path.read_text().startswith("2\t4\n")
    assert read_pairs(path, read_people(root)) == made


def test_the_same_seed_draws_the_same_pairs_and_another_others() -> None:
    people = crowd(*[3] * 30)
    assert make_pairs(people, 5, 4, 7) == make_pairs(people, 5, 4, 7) != make_pairs(people, 5, 4, 8)


def test_somebody_with_many_photos_is_drawn_no_more_often_than_others() -> None:
    folds = make_pairs(crowd(100, 100, *[5] * 18), 2, 60, 0)
    mated = [pair.first.person for fold in folds for pair in fold if pair.mated]
    assert mated.count("p000") < 20


@pytest.mark.parametrize(
    "photos, folds, per_fold, complaint",
    [
        ([5], 2, None, "one person only"),
        ([1, 1, 1, 1], 2, None, "nobody has two photos"),
        ([2, 1, 1, 1], 2, None, "4 people, 1 of them with two photos or more, cannot make 2 folds"),
        ([2, 2, 1], 2, None, "cannot make 2 folds"),
        ([2, 2, 2, 2], 1, None, "two folds at least"),
        ([2, 2, 2, 2], 2, 3, "3 pairs per fold cannot be made: the poorest of 2 folds has 2"),
    ],
)
def test_too_few_people_or_photos_are_refused(
    photos: list[int], folds: int, per_fold: int | None, complaint: str
) -> None:
    with pytest.raises(EvaluationError, match=complaint):
        make_pairs(crowd(*photos), folds, per_fold, 0)


@pytest.mark.parametrize("name", ["tab\there", "line\nbreak", " blank", b"J\xf6rg".decode("utf-8", "surrogateescape")])
def test_a_name_that_a_pairs_file_cannot_hold_is_refused(name: str) -> None:
    people = {person: {n: Photo(person, n, Path(f"{n}.jpg")) for n in (1, 2)} for person in (name, "a", "b", "c")}
    with pytest.raises(EvaluationError, match="cannot be named in a pairs file"):
        write_pairs(make_pairs(people, 2, None, 0))
