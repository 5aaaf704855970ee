"""Does it recognise people? Real photographs through a real daemon: socket, networks, store and all."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemons import Daemon, StartDaemon

from face_server.client import Client
from face_server.errors import PersonError, SeveralFaces, ThresholdUnsupported

#: Pictures of ../shared/data/probes with one labelled person, and who it is.
SINGLE_FACE_PROBES = {
    "obama1.jpg": "obama",
    "obama-240p.jpg": "obama",
    "obama_partial_face.jpg": "obama",
    "obama_partial_face2.jpg": "obama",
    "alex_lacamoire1.jpg": "alex_lacamoire",
    "johnsnow_test1.jpg": "kit_harington",
}
TWO_PEOPLE = ("obama_and_biden.jpg", "two_people.jpg", "kit_with_rose.jpg")


@pytest.fixture
def client(web_daemon: Daemon) -> Iterator[Client]:
    """A client of a daemon whose gallery is empty."""
    web_daemon.forget_everybody()
    with web_daemon.client() as connected:
        yield connected


def test_two_photographs_of_one_man_match_and_another_man_does_not(client: Client, sample_photos: Path) -> None:
    client.enrol("obama", [(sample_photos / "obama.jpg").read_bytes()])
    client.enrol("biden", [(sample_photos / "biden.jpg").read_bytes()])
    for name in ("obama2.jpg", "obama3.jpg", "obama_partial_face.jpg", "obama_partial_face2.jpg", "32bit.png"):
        reply = client.identify((sample_photos / name).read_bytes(), limit=2)
        assert reply.match and reply.id == "obama", name
        assert reply.candidates is not None
        best, second = reply.candidates
        assert (best.subject, second.subject) == ("obama", "biden")
        # A swapped colour order or a wrong alignment brings these together long before it breaks the match.
        assert best.score > 0.65 and second.score < 0.3, (name, best.score, second.score)


def test_who_is_not_enrolled_is_nobody(client: Client, sample_photos: Path) -> None:
    client.enrol("obama", [(sample_photos / "obama.jpg").read_bytes()])
    reply = client.identify((sample_photos / "biden.jpg").read_bytes())
    assert not reply.match and reply.id is None


def test_an_empty_gallery_recognises_nobody(client: Client, sample_photos: Path) -> None:
    reply = client.identify((sample_photos / "obama.jpg").read_bytes())
    assert not reply.match and reply.id is None and reply.candidates == ()


def test_each_labelled_probe_identifies_its_person(client: Client, shared_data: Path) -> None:
    for person in sorted((shared_data / "portraits").iterdir()):
        images = [photo.read_bytes() for photo in sorted(person.iterdir())]
        reply = client.enrol(person.name, images)
        assert reply.templates == len(images), person.name
    for name, person_name in SINGLE_FACE_PROBES.items():
        found = client.identify((shared_data / "probes" / name).read_bytes(), limit=6)
        assert found.match and found.id == person_name, (name, found)
    for name in TWO_PEOPLE:
        with pytest.raises(SeveralFaces):
            client.identify((shared_data / "probes" / name).read_bytes())


def test_few_strangers_match_somebody(
    client: Client, shared_data: Path, record_property: pytest.RecordProperty, capsys: pytest.CaptureFixture[str]
) -> None:
    """200 people who were never enrolled are searched among 100 who are; the rate of matches is reported.

    The configuration states an FPIR of 1 %: two are expected, and ten would be one chance in 40,000.
    """
    people = sorted((shared_data / "lfw-dev" / "images").iterdir())
    random.Random(0).shuffle(people)
    enrolled, matches, searched = 0, 0, 0
    for person in people[200:300]:
        try:
            # By force: of a hundred strangers one or two look enough like another to be refused as a duplicate.
            client.enrol(person.name, [min(person.iterdir()).read_bytes()], force=True)
            enrolled += 1
        except PersonError:
            continue
    for stranger in people[:200]:
        try:
            matches += client.identify(min(stranger.iterdir()).read_bytes()).match
            searched += 1
        except PersonError:
            continue
    with capsys.disabled():
        print(  # noqa: T201 - a figure to be read, not judged
            f"\n  {matches} of {searched} strangers matched one of {enrolled} enrolled people"
        )
    record_property("strangers_matched", f"{matches} of {searched} among {enrolled}")
    assert searched > 180 and enrolled > 80
    assert matches / searched <= 0.05


def test_the_larger_the_gallery_the_fewer_images_support_a_search_and_then_none(
    daemon_in: StartDaemon, tmp_path: Path, sample_photos: Path
) -> None:
    """Two images against two templates support an FMR of 1.6e-5, one against two of 4e-6; six subjects need 3.3e-6."""
    running = daemon_in(tmp_path, "[decision]\nidentify_fpir = 0.00002")
    one, two, three = ((sample_photos / f"{name}.jpg").read_bytes() for name in ("obama", "obama2", "obama3"))
    other, biden = ((sample_photos / name).read_bytes() for name in ("obama_partial_face.jpg", "biden.jpg"))
    with running.client() as client:
        client.enrol("barack", [one, two])
        for images in (2, 1):  # fused, the first alone
            reply = client.identify(three, other)
            alone = client.identify(three)
            assert reply.match and reply.probes == images
            assert (reply.score == pytest.approx(alone.score, abs=1e-5)) == (images == 1)
            client.enrol("joe", [biden])
        for number in range(4):
            client.enrol(number, [biden], force=True)
        with pytest.raises(ThresholdUnsupported):
            client.identify(three)
