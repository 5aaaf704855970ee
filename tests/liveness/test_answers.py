"""A real daemon that lets nobody in without a challenge: what it takes, and every way that a bad answer is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from daemons import Daemon, start_daemon
from liveness.film import ANSWERABLE, answer

from face_server.client import Client
from face_server.errors import (
    ChallengeRequired,
    ChallengeUnknown,
    Malformed,
    NoFace,
    NotLive,
    TooManyImages,
    WireError,
)
from face_server.wire.replies import ChallengeReply
from face_server.wire.requests import Response

#: Two steps, so that a film of one man can answer every second challenge; no time, since the film needs none.
SETTINGS = """[liveness]
identify = active
verify = active
enrol = active
steps = 2
least_step_s = 0
[gallery]
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    running = start_daemon(tmp_path_factory.mktemp("guarded"), SETTINGS)
    yield running
    running.kill()


@pytest.fixture
def site(guarded: Daemon) -> Iterator[Client]:
    """A client as a site is one."""
    with guarded.client("web") as client:
        yield client


@pytest.fixture
def operator(guarded: Daemon) -> Iterator[Client]:
    with guarded.client() as client:
        yield client


@pytest.fixture
def film(shared_data: Path) -> Path:
    return shared_data / "video" / "webcam_one_person_640x480.mjpeg"


@pytest.fixture
def photo(sample_photos: Path) -> bytes:
    return (sample_photos / "obama.jpg").read_bytes()


def ask(client: Client, purpose: str = "identify", binding: str | None = None) -> tuple[ChallengeReply, list[str]]:
    """A challenge that the film can answer, and its steps; two of five are."""
    while True:
        reply = client.challenge(purpose, binding=binding)
        steps = [step.step for step in reply.steps]
        if set(steps) <= ANSWERABLE:
            return reply, steps


def told(
    client: Client, asked: ChallengeReply, images: Sequence[bytes], steps: list[int], binding: str | None = None
) -> Response:
    """Tell of every step as it was asked, and answer with these steps."""
    each = asked.frames_per_step
    for step in range(len(asked.steps) + 1):
        client.tell_step(asked.challenge, step, images[step * each : (step + 1) * each], binding=binding)
    return Response(asked.challenge, tuple(steps), binding)


# --- the way in -----------------------------------------------------------------------------------------------------


def test_a_man_who_does_what_is_asked_is_enrolled_found_and_verified(site: Client, film: Path) -> None:
    asked, steps = ask(site, "enrol", "nonce-1")
    images, numbers = answer(film, steps, take=1)
    enrolled = site.enrol("the man", images, response=told(site, asked, images, numbers, "nonce-1"))
    assert enrolled.live
    assert len(enrolled.images) == 3, "those that look straight ahead, and no others"

    asked, steps = ask(site)
    images, numbers = answer(film, steps, take=2)
    found = site.identify(*images, response=told(site, asked, images, numbers))
    assert (found.match, found.id, found.live) == (True, "the man", True)

    asked, steps = ask(site, "verify")
    images, numbers = answer(film, steps, take=3)
    claimed = site.verify("the man", *images, response=told(site, asked, images, numbers))
    assert (claimed.match, claimed.live) == (True, True)
    assert claimed.score is None


def test_the_operator_needs_no_challenge_and_is_told_of_no_life(operator: Client, photo: bytes) -> None:
    operator.enrol("obama", [photo], force=True)
    found = operator.identify(photo)
    assert (found.match, found.id, found.live) == (True, "obama", None)


# --- refused before anything is looked at ---------------------------------------------------------------------------


def test_images_without_a_challenge_are_told_to_bring_one(site: Client, photo: bytes) -> None:
    for without in (
        lambda: site.identify(photo),
        lambda: site.verify("obama", photo),
        lambda: site.enrol("somebody", [photo]),
    ):
        with pytest.raises(ChallengeRequired):
            without()


def test_an_answer_counts_once_for_its_command_and_its_login(site: Client, film: Path) -> None:
    asked, steps = ask(site, "identify", "nonce-1")
    images, numbers = answer(film, steps, take=4)
    response = told(site, asked, images, numbers, "nonce-1")
    with pytest.raises(ChallengeUnknown):
        site.verify("the man", *images, response=response)
    with pytest.raises(ChallengeUnknown):
        site.identify(*images, response=response)  # used up by the attempt before
    for binding in ("nonce-2", None):
        asked, steps = ask(site, "identify", "nonce-1")
        response = told(site, asked, images, numbers, "nonce-1")
        with pytest.raises(ChallengeUnknown):
            site.identify(*images, response=replace(response, binding=binding))
    with pytest.raises(ChallengeUnknown):
        site.identify(*images, response=Response("0" * 32, tuple(numbers)))


def test_another_connection_may_answer_but_only_once(guarded: Daemon, site: Client, film: Path) -> None:
    """A site's processes share challenges by their id; what ties them to a person is the binding."""
    asked, steps = ask(site)
    images, numbers = answer(film, steps, take=5)
    response = told(site, asked, images, numbers)
    with guarded.client("web") as other:
        assert other.identify(*images, response=response).live
    with pytest.raises(ChallengeUnknown):
        site.identify(*images, response=response)


@pytest.mark.parametrize(
    ("numbers", "error"),
    [
        pytest.param([0, 0, 0, 1, 1, 1, 3, 3, 3], Malformed, id="a step that is none"),
        pytest.param([0, 0, 0, 1, 1, 1, 2, 2], Malformed, id="fewer numbers than images"),
        pytest.param([0, 0, 0, 2, 2, 2, 1, 1, 1], Malformed, id="descending"),
        pytest.param([0, 0, 0, 1, 1, 1, 1, 1, 1], TooManyImages, id="a step too often"),
        pytest.param([0, 0, 0, 0, 1, 1, 1, 2, 2], TooManyImages, id="the start too often"),
    ],
)
def test_step_numbers_that_do_not_fit_the_challenge_are_refused_by_name(
    site: Client, photo: bytes, numbers: list[int], error: type[WireError]
) -> None:
    asked = site.challenge("identify")
    response = told(site, asked, [photo] * 9, numbers)
    with pytest.raises(error):
        site.identify(*[photo] * 9, response=response)


def test_missing_steps_are_not_live(site: Client, photo: bytes) -> None:
    asked = site.challenge("identify")
    response = told(site, asked, [photo] * 9, [0, 0, 0, 1, 1, 1])
    with pytest.raises(NotLive) as refused:
        site.identify(*[photo] * 6, response=response)
    assert (refused.value.detail["check"], refused.value.detail["step"]) == ("missing", 2)


def test_more_images_than_any_challenge_asks_for_are_too_many(site: Client, photo: bytes) -> None:
    asked = site.challenge("identify")
    with pytest.raises(TooManyImages):
        site.identify(*[photo] * 25, response=Response(asked.challenge, (0,) * 25))
    with pytest.raises(TooManyImages):
        site.identify(*[photo] * 11)  # without a challenge the limit is as it was


def test_the_operator_is_told_what_was_measured_before_anything_was_looked_at(
    site: Client, operator: Client, photo: bytes
) -> None:
    for client, sees in ((site, False), (operator, True)):
        asked = client.challenge("identify")
        client.tell_step(asked.challenge, 0, [photo] * 3)
        with pytest.raises(NotLive) as refused:
            client.identify(photo, response=Response(asked.challenge, (0,)))
        findings = [{"check": "missing", "ok": False, "value": 0.0, "threshold": 3.0, "step": 1}]
        assert refused.value.detail.get("findings") == (findings if sees else None)


def test_images_that_no_step_told_of_are_not_live_and_steps_that_nobody_told_of_are_missing(
    site: Client, film: Path
) -> None:
    asked, steps = ask(site)
    images, numbers = answer(film, steps, take=10)
    response = told(site, asked, images, numbers)
    images[4], images[5] = images[5], images[4]
    with pytest.raises(NotLive) as refused:
        site.identify(*images, response=response)
    assert refused.value.detail["check"] == "told"

    asked, steps = ask(site)
    images, numbers = answer(film, steps, take=11)
    with pytest.raises(NotLive) as refused:
        site.identify(*images, response=Response(asked.challenge, tuple(numbers)))
    assert (refused.value.detail["check"], refused.value.detail["step"]) == ("missing", 0)


def test_a_step_has_as_many_images_as_were_asked_for(site: Client, photo: bytes) -> None:
    asked = site.challenge("identify")
    for count in (1, 2, 4):
        with pytest.raises(Malformed):
            site.tell_step(asked.challenge, 0, [photo] * count)
    site.tell_step(asked.challenge, 0, [photo] * 3)


# --- refused for what is seen ---------------------------------------------------------------------------------------


def test_the_same_image_again_and_again_is_not_live(site: Client, photo: bytes) -> None:
    asked = site.challenge("identify")
    response = told(site, asked, [photo] * 9, [0, 0, 0, 1, 1, 1, 2, 2, 2])
    with pytest.raises(NotLive) as refused:
        site.identify(*[photo] * 9, response=response)
    assert refused.value.detail["check"] in ("identical", "seen")
    assert refused.value.detail["advice"] == refused.value.message


def test_images_that_were_sent_before_are_not_live(site: Client, film: Path) -> None:
    asked, steps = ask(site)
    images, numbers = answer(film, steps, take=6)
    site.identify(*images, response=told(site, asked, images, numbers))
    while True:  # the very challenge again, which the film answers as well
        again, others = ask(site)
        if others == steps:
            break
    response = told(site, again, images, numbers)
    with pytest.raises(NotLive) as refused:
        site.identify(*images, response=response)
    assert refused.value.detail["check"] == "seen"


def test_a_film_of_other_steps_is_not_live_and_only_the_operator_sees_why_in_numbers(
    site: Client, operator: Client, film: Path
) -> None:
    for client, sees in ((site, False), (operator, True)):
        asked, steps = ask(client)
        images, numbers = answer(film, steps[::-1], take=7 + sees)
        response = told(client, asked, images, numbers)
        with pytest.raises(NotLive) as refused:
            client.identify(*images, response=response)
        assert refused.value.detail["check"] == "steps"
        assert ("findings" in refused.value.detail) is sees
    finding = refused.value.detail["findings"][0]
    assert finding.keys() >= {"check", "ok", "value", "threshold"}


def test_an_image_without_a_face_answers_for_itself_with_its_place(site: Client, film: Path) -> None:
    import cv2
    import numpy as np

    asked, steps = ask(site)
    images, numbers = answer(film, steps, take=9)
    images[4] = bytes(cv2.imencode(".png", np.full((300, 300, 3), 90, np.uint8))[1])
    response = told(site, asked, images, numbers)
    with pytest.raises(NoFace) as refused:
        site.identify(*images, response=response)
    assert refused.value.detail["frame"] == 4


def test_a_mode_that_this_daemon_cannot_judge_is_refused_and_a_weaker_one_is_not_given(
    site: Client, models_dir: Path
) -> None:
    if (models_dir / "fr-liveness.onnx").exists():
        assert len(site.challenge("identify", mode="both").steps) == 2
        assert len(site.challenge("identify", mode="passive").steps) == 2, "the daemon asks for steps anyway"
    else:
        with pytest.raises(Malformed):
            site.challenge("identify", mode="both")
