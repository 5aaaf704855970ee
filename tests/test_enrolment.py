"""Bulk enrolment as a client does it: how photographs are grouped into messages, and what is told of each.

A scripted client stands in where only the messages matter; the commands against a real daemon are in test_cli.py.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from face_server.config import ServerConfig
from face_server.enrolment import HEADROOM_BYTES, Outcome, Report, enrol_folder, enrol_images
from face_server.errors import (
    Busy,
    ConfigError,
    NoFace,
    NotTheSubject,
    PersonError,
    StorageFull,
    TooManyImages,
    Unauthorised,
    Unreachable,
    WireError,
)
from face_server.wire.replies import AcceptedImage, EnrolReply, RefusedImage

LIMITS = ServerConfig()


class ScriptedClient:
    """Keeps what it was asked and answers from a list: a reply, or an error to raise; at its end all is accepted."""

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.asked: list[tuple[str, list[bytes], bool, bool]] = []

    def enrol(self, subject: str, images: Sequence[bytes], *, force: bool, replace: bool) -> EnrolReply:
        self.asked.append((subject, list(images), force, replace))
        answer = self.script.pop(0) if self.script else [None] * len(images)
        if isinstance(answer, Exception):
            raise answer
        return replied(subject, answer)


def replied(subject: str, outcomes: Sequence[Any]) -> EnrolReply:
    """A reply in which None is accepted, "duplicate" was there, and an error is a refusal."""
    images = tuple(
        RefusedImage(outcome) if isinstance(outcome, WireError) else accepted(duplicate=outcome == "duplicate")
        for outcome in outcomes
    )
    values = {field.name: None for field in dataclasses.fields(EnrolReply)}
    return EnrolReply(**{**values, "images": images})  # type: ignore[arg-type]


def accepted(duplicate: bool) -> AcceptedImage:
    values = {field.name: None for field in dataclasses.fields(AcceptedImage)}
    return AcceptedImage(**{**values, "duplicate": duplicate})  # type: ignore[arg-type]


def photos(directory: Path, *contents: bytes) -> list[Path]:
    paths = [directory / f"{number:03}.jpg" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


def enrolled(
    client: ScriptedClient,
    paths: Sequence[Path],
    limits: ServerConfig = LIMITS,
    force: bool = False,
    replace: bool = False,
) -> Report:
    return enrol_images(client, "ada", paths, limits, force=force, replace=replace)  # type: ignore[arg-type]


def outcomes(report: Report) -> list[str]:
    return [item.code or item.outcome.value for item in report.outcomes]


# --- grouping -------------------------------------------------------------------------------------------------------


def test_a_message_holds_at_most_max_images(tmp_path: Path) -> None:
    client = ScriptedClient()
    paths = photos(tmp_path, *(b"%d" % number for number in range(7)))
    report = enrolled(client, paths, dataclasses.replace(LIMITS, max_images=3))
    assert [images for _, images, _, _ in client.asked] == [[b"0", b"1", b"2"], [b"3", b"4", b"5"], [b"6"]]
    assert [item.path for item in report.outcomes] == paths
    assert report.enrolled == 7


def test_a_message_leaves_headroom_below_max_frame_bytes(tmp_path: Path) -> None:
    room = 1000
    limits = dataclasses.replace(LIMITS, max_frame_bytes=HEADROOM_BYTES + room)
    client = ScriptedClient()
    enrolled(client, photos(tmp_path, b"a" * 500, b"b" * 500, b"c", b"d" * 999, b"e"), limits)
    assert [[len(image) for image in images] for _, images, _, _ in client.asked] == [[500, 500], [1, 999], [1]]


def test_a_photograph_larger_than_the_headroom_leaves_still_goes_alone(tmp_path: Path) -> None:
    limits = dataclasses.replace(LIMITS, max_frame_bytes=HEADROOM_BYTES + 10)
    client = ScriptedClient()
    enrolled(client, photos(tmp_path, b"a", b"b" * 50, b"c"), limits)
    assert [images for _, images, _, _ in client.asked] == [[b"a"], [b"b" * 50], [b"c"]]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 300), max_size=25), st.integers(1, 6), st.integers(300, 1000), st.integers(1, 300))
def test_every_photograph_goes_once_in_order_and_every_message_keeps_to_the_limits(
    tmp_path: Path, sizes: list[int], count: int, room: int, largest: int
) -> None:
    limits = dataclasses.replace(
        LIMITS, max_images=count, max_frame_bytes=HEADROOM_BYTES + room, max_image_bytes=largest
    )
    client = ScriptedClient()
    report = enrolled(client, photos(tmp_path, *(bytes(size) for size in sizes)), limits)
    messages = [[len(image) for image in images] for _, images, _, _ in client.asked]
    assert list(chain(*messages)) == [size for size in sizes if size <= largest]
    assert all(1 <= len(message) <= count and sum(message) <= room for message in messages)
    assert report.enrolled + report.refused == len(sizes)
    # No two neighbours could have travelled together.
    for one, two in pairwise(messages):
        assert len(one) == count or sum(one) + two[0] > room


# --- what cannot travel ---------------------------------------------------------------------------------------------


def test_unreadable_empty_and_too_large_photographs_are_reported_and_the_others_go(tmp_path: Path) -> None:
    limits = dataclasses.replace(LIMITS, max_image_bytes=10)
    good, large, exact, empty = photos(tmp_path, b"good", b"x" * 11, b"y" * 10, b"")
    (tmp_path / "folder.jpg").mkdir()
    client = ScriptedClient()
    report = enrolled(client, [tmp_path / "absent.jpg", good, large, tmp_path / "folder.jpg", exact, empty], limits)
    assert client.asked == [("ada", [b"good", b"y" * 10], False, False)]
    told = {item.path.name: (item.code, item.message) for item in report.outcomes}
    assert told == {
        "absent.jpg": ("image_unreadable", "No such file or directory"),
        good.name: ("", ""),
        large.name: ("image_too_large", "11 bytes; at most 10 are allowed"),
        "folder.jpg": ("image_unreadable", "Is a directory"),
        exact.name: ("", ""),
        empty.name: ("image_unreadable", "the file is empty"),
    }


def test_without_a_single_photograph_that_can_travel_nothing_is_asked(tmp_path: Path) -> None:
    client = ScriptedClient()
    report = enrolled(client, [tmp_path / "absent.jpg"])
    assert client.asked == [] and outcomes(report) == ["image_unreadable"]


@pytest.mark.parametrize("subject", [os.fsdecode(b"M\xfcller"), "e\u0301", "a\nb", "x" * 129])
def test_a_name_that_is_no_subject_id_is_reported_for_each_photograph_and_nothing_is_asked(
    tmp_path: Path, subject: str
) -> None:
    client = ScriptedClient()
    report = enrol_images(client, subject, photos(tmp_path, b"a", b"b"), LIMITS, force=False, replace=False)  # type: ignore[arg-type]
    assert client.asked == [] and outcomes(report) == ["malformed", "malformed"]
    assert all("a subject id" in item.message for item in report.outcomes)


# --- what the daemon says -------------------------------------------------------------------------------------------


def test_each_photograph_has_the_outcome_that_the_daemon_gave_it(tmp_path: Path) -> None:
    client = ScriptedClient([None, "duplicate", NoFace("no face was found")])
    report = enrolled(client, photos(tmp_path, b"a", b"b", b"c"))
    assert outcomes(report) == ["enrolled", "duplicate", "no_face"]
    assert report.outcomes[2].message == "no face was found"
    assert (report.enrolled, report.duplicates, report.refused) == (1, 1, 1)


def test_a_message_that_was_refused_as_a_whole_is_told_of_each_photograph(tmp_path: Path) -> None:
    told = [{"code": "no_face", "message": "no face was found"}, {"code": "blurred", "message": "the face is blurred"}]
    client = ScriptedClient(NoFace("no face was found", images=told), TooManyImages("too many templates"))
    limits = dataclasses.replace(LIMITS, max_images=2)
    report = enrolled(client, photos(tmp_path, b"a", b"b", b"c", b"d", b"e"), limits)
    assert outcomes(report) == ["no_face", "blurred", "too_many_images", "too_many_images", "enrolled"]
    assert report.outcomes[1].message == "the face is blurred"


@pytest.mark.parametrize("error", [StorageFull("full"), Unreachable("gone")])
def test_what_the_operator_must_mend_ends_it_at_once(tmp_path: Path, error: Exception) -> None:
    client = ScriptedClient([None], error)
    with pytest.raises(type(error)):
        enrolled(client, photos(tmp_path, b"a", b"b", b"c"), dataclasses.replace(LIMITS, max_images=1))
    assert len(client.asked) == 2


def test_a_busy_daemon_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("face_server.enrolment.BUSY_PAUSES_S", (0.0, 0.0))
    client = ScriptedClient([None], Busy("full"))
    report = enrolled(client, photos(tmp_path, b"a", b"b"), dataclasses.replace(LIMITS, max_images=1))
    assert outcomes(report) == ["enrolled", "enrolled"]
    assert len(client.asked) == 3


# --- replace and force ----------------------------------------------------------------------------------------------


def test_only_the_first_message_replaces_and_the_others_add(tmp_path: Path) -> None:
    client = ScriptedClient()
    enrolled(client, photos(tmp_path, b"a", b"b", b"c"), dataclasses.replace(LIMITS, max_images=1), replace=True)
    assert [replace for _, _, _, replace in client.asked] == [True, False, False]


def test_a_refused_message_has_replaced_nothing_so_the_next_one_does(tmp_path: Path) -> None:
    client = ScriptedClient(NoFace("no face"), NotTheSubject("another"), [None])
    limits = dataclasses.replace(LIMITS, max_images=1)
    enrolled(client, photos(tmp_path, b"a", b"b", b"c", b"d"), limits, replace=True)
    assert [replace for _, _, _, replace in client.asked] == [True, True, True, False]


def test_without_replace_nothing_is_replaced_and_force_goes_with_every_message(tmp_path: Path) -> None:
    client = ScriptedClient()
    enrolled(client, photos(tmp_path, b"a", b"b"), dataclasses.replace(LIMITS, max_images=1), force=True)
    assert [(force, replace) for _, _, force, replace in client.asked] == [(True, False), (True, False)]


def folder_of(tmp_path: Path, people: dict[str, list[str]]) -> Path:
    folder = tmp_path / "people"
    for person, names in people.items():
        (folder / person).mkdir(parents=True)
        for name in names:
            (folder / person / name).write_bytes(f"{person}/{name}".encode())
    return folder


def enrolled_folder(client: ScriptedClient, folder: Path, replace: bool = False) -> Report:
    return enrol_folder(client, folder, LIMITS, force=False, replace=replace)  # type: ignore[arg-type]


def test_a_folder_replaces_each_subject_once_in_the_order_of_their_names(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"bob": ["1.jpg"], "ada": ["2.jpg", "1.png"]})
    client = ScriptedClient()
    report = enrolled_folder(client, folder, replace=True)
    assert client.asked == [
        ("ada", [b"ada/1.png", b"ada/2.jpg"], False, True),
        ("bob", [b"bob/1.jpg"], False, True),
    ]
    assert report.subjects == {"ada", "bob"}


def test_a_folder_passes_over_what_is_no_photograph(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"ada": ["a.JPG", "b.jpeg", "c.webp", "d.bmp", "e.txt", "f.gif", "Thumbs.db"]})
    (folder / "ada" / "album.jpg").mkdir()
    (folder / "stray.jpg").write_bytes(b"of nobody")
    client = ScriptedClient()
    enrolled_folder(client, folder)
    assert [images for _, images, _, _ in client.asked] == [[b"ada/a.JPG", b"ada/b.jpeg", b"ada/c.webp", b"ada/d.bmp"]]


@pytest.mark.parametrize("people", [{}, {"ada": []}, {"ada": ["notes.txt"]}])
def test_a_folder_without_a_photograph_is_refused(tmp_path: Path, people: dict[str, list[str]]) -> None:
    client = ScriptedClient()
    with pytest.raises(ConfigError, match="holds no person/photo: one directory per subject"):
        enrolled_folder(client, folder_of(tmp_path, people))
    assert client.asked == []


# --- the report -----------------------------------------------------------------------------------------------------


def test_the_report_counts_reasons_and_is_json(tmp_path: Path) -> None:
    errors: list[PersonError] = [NoFace("no face"), NoFace("no face")]
    client = ScriptedClient([None, *errors], Unauthorised("no"))
    paths = photos(tmp_path, b"a", b"b", b"c", b"d")
    report = enrolled(client, paths, dataclasses.replace(LIMITS, max_images=3))
    assert report.reasons == {"no_face": 2, "unauthorised": 1}
    told = report.as_json()
    assert (told["ok"], told["enrolled"], told["duplicates"], told["refused"]) == (False, 1, 0, 3)
    assert told["photos"][0] == {"id": "ada", "path": str(paths[0]), "outcome": Outcome.ENROLLED.value}
    assert told["photos"][3] == {
        "id": "ada",
        "path": str(paths[3]),
        "outcome": "refused",
        "code": "unauthorised",
        "message": "no",
    }
