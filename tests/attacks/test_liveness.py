"""A photograph, a recording, or no answer at all, where the site asks for a living person. Nothing is replaced."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import living
import pytest
from daemons import ROOT, Daemon, start_daemon
from e2e.browsers import Account
from e2e.clips import burst
from e2e.people import BARACK, BARACK_LATER, JOE
from living import FLAT, Begun, act, begin, send, tell
from websites import Answer, Visitor, Website, jpegs, start_website

#: A person who does three steps is not faster than this: [liveness] least_step_s of each, from the beginning on.
LEAST_S = 1.0
NETWORK = "fr-liveness.onnx"

pytestmark = [
    pytest.mark.usefixtures("victim"),
    pytest.mark.skipif(not (ROOT / "models" / NETWORK).exists(), reason=f"needs models/{NETWORK}: set-up, by npm"),
]


@pytest.fixture(scope="module", params=["face", "email_face", "face_then_password"])
def guarded(request: pytest.FixtureRequest, site: Website, web_daemon: Daemon, victim: Account) -> Iterator[Website]:
    """The same people on a site that asks who is before the camera to live, in each way of logging in."""
    settings = f"liveness = both\nlogin_mode = {request.param}"
    running = start_website(site.directory, web_daemon, settings, name=f"living_{request.param}")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def living_site(site: Website, web_daemon: Daemon, victim: Account) -> Iterator[Website]:
    """The same with the face alone."""
    running = start_website(site.directory, web_daemon, "liveness = both", name="living")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def hasty(site: Website, victim: Account, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Website]:
    """A site whose daemon gives 5 seconds, at most 2 for a step, and takes no first step under 1.6."""
    settings = "[liveness]\nexpires_s = 5\nleast_step_s = 1.6\nmost_step_s = 2"
    daemon = start_daemon(tmp_path_factory.mktemp("hasty_daemon"), settings)
    running = start_website(site.directory, daemon, "liveness = both", name="hasty")
    yield running
    running.stop()
    daemon.kill()


def refused(answer: Answer, visitor: Visitor, code: str) -> bool:
    """Was that a no of this kind, and is nobody logged in, nor half-way?"""
    is_no = answer.status == 200 and answer.code == code
    return is_no and not visitor.is_in() and visitor.get("/login/second").status == 303


def malformed(answer: Answer, visitor: Visitor) -> bool:
    """Was that told to be no request of the site's own page?"""
    return answer.status == 400 and answer.code == "bad_request" and not visitor.is_in()


def patient(begun: Begun) -> Begun:
    """As long as a person needs."""
    time.sleep(max(0.0, begun.at_s + LEAST_S - time.monotonic()))
    return begun


def begin_with(visitor: Visitor, kind: str) -> Begun:
    """A challenge with this step; more than half have it."""
    while kind not in (begun := begin(visitor)).steps:
        pass
    return begun


# --- the way in -----------------------------------------------------------------------------------------------------


def test_without_an_attack_whoever_does_what_is_asked_comes_in(guarded: Website, victim: Account) -> None:
    visitor = guarded.visitor()
    answer = living.log_in(visitor, BARACK_LATER, email=victim.email)
    with_password = "face_then_password" in guarded.config_path.name
    assert answer.json == {"ok": True, "location": "/login/second" if with_password else "/account"}
    if with_password:
        visitor.post("/login/second", {"password": victim.password})
    assert victim.email in visitor.get("/account").text


def test_a_living_stranger_is_refused_as_before(living_site: Website) -> None:
    visitor = living_site.visitor()
    assert refused(living.log_in(visitor, JOE), visitor, "refused")


# --- no answer ------------------------------------------------------------------------------------------------------


def test_a_burst_that_answers_no_challenge_is_no_login(guarded: Website, victim: Account) -> None:
    for count in (3, 12):
        visitor = guarded.visitor()
        assert malformed(visitor.face(burst(BARACK, count), email=victim.email), visitor)


@pytest.mark.parametrize("left_out", ["challenge", "frame_steps", "nonce"])
def test_an_answer_without_one_of_its_parts_is_no_login(living_site: Website, left_out: str) -> None:
    visitor = living_site.visitor()
    begun = begin(visitor)
    answer = living.answer(visitor, begun, act(BARACK, begun), **{left_out: ""})
    expected = refused(answer, visitor, "nonce") if left_out == "nonce" else malformed(answer, visitor)
    assert expected


def test_frames_for_other_steps_than_were_asked_are_no_answer(living_site: Website, web_daemon: Daemon) -> None:
    frames = burst(BARACK, 12)
    before = web_daemon.log_path.read_text().count("identify")
    for numbers in (
        [0] * 3 + [1] * 3 + [2] * 3,  # a step is missing
        [0] * 3 + [1] * 3 + [2] * 3 + [2] * 3,  # and another is there twice
        [0] * 3 + [1] * 3 + [2] * 3 + [4] * 3,  # out of range
        [0] * 3 + [1] * 3 + [2] * 3 + [-1] * 3,
        [0] * 3 + [2] * 3 + [1] * 3 + [3] * 3,  # out of order
        [0] * 12,
        [3] * 12,
    ):
        visitor = living_site.visitor()
        begun = begin(visitor)
        assert malformed(living.answer(visitor, begun, frames[: len(numbers)], numbers), visitor), numbers
    assert web_daemon.log_path.read_text().count("identify") == before


@pytest.mark.parametrize("count", [0, 1, 11, 13, 24, 25, 30])
def test_another_number_of_frames_than_was_asked_for_is_no_answer(living_site: Website, count: int) -> None:
    visitor = living_site.visitor()
    begun = begin(visitor)
    assert malformed(living.answer(visitor, begun, burst(BARACK, 1) * count), visitor)


# --- another's answer, or another time's ----------------------------------------------------------------------------


def test_a_challenge_is_answered_once(living_site: Website) -> None:
    visitor = living_site.visitor()
    begun = begin(visitor)
    assert refused(send(visitor, patient(begun), burst(BARACK, 12)), visitor, "not_live")
    assert refused(send(visitor, begun, act(BARACK, begun)), visitor, "nonce")
    again = replace(begun, nonce=visitor.nonce())
    assert refused(send(visitor, again, act(BARACK, again)), visitor, "nonce")


def test_a_malformed_answer_uses_its_challenge_up_too(living_site: Website) -> None:
    visitor = living_site.visitor()
    begun = begin(visitor)
    assert malformed(living.answer(visitor, begun, burst(BARACK, 3), [0, 0, 0]), visitor)
    assert refused(send(visitor, begun, act(BARACK, begun)), visitor, "nonce")


def test_a_challenge_of_another_session_is_none(living_site: Website) -> None:
    owner, thief = living_site.visitor(), living_site.visitor()
    owners, thiefs = begin(owner), begin(thief)
    frames = act(BARACK, owners)
    assert refused(send(thief, replace(owners, nonce=thiefs.nonce), frames), thief, "nonce")
    assert refused(send(thief, owners, frames), thief, "nonce")
    # It is still the owner's own.
    assert send(owner, patient(owners), frames).json["ok"]


def test_a_challenge_of_another_login_of_the_same_session_is_none(living_site: Website) -> None:
    visitor = living_site.visitor()
    first, second = begin(visitor), begin(visitor)
    assert refused(send(visitor, replace(first, nonce=second.nonce), act(BARACK, first)), visitor, "nonce")
    assert refused(send(visitor, second, act(BARACK, second)), visitor, "nonce")


@pytest.mark.parametrize("purpose", ["identify", "verify", "enrol"])
def test_a_challenge_that_the_daemon_gave_to_somebody_else_is_none(
    living_site: Website, web_daemon: Daemon, purpose: str
) -> None:
    """Whoever has stolen the site's token asks the daemon himself, and ties it to the site's own nonce."""
    visitor = living_site.visitor()
    begun = begin(visitor)
    with web_daemon.client("web") as client:
        own = client.challenge(purpose, binding=begun.nonce, mode="both")
    taken = replace(begun, challenge=own.challenge, steps=tuple(step.step for step in own.steps))
    assert refused(send(visitor, taken, act(BARACK, taken)), visitor, "nonce")


@pytest.mark.parametrize("purpose", ["enrol", "identify", "verify", "", "register", "captures"])
def test_challenges_are_for_logins_alone(living_site: Website, purpose: str) -> None:
    visitor = living_site.visitor()
    answer = visitor.capture({"purpose": purpose})
    if purpose in ("register", "captures"):
        assert "challenge" not in answer.json
        begun = replace(begin(visitor), nonce=answer.json["nonce"])
        assert refused(send(visitor, begun, act(BARACK, begun)), visitor, "nonce")
    else:
        assert answer.status == 400


def test_frames_that_were_sent_before_are_no_answer(living_site: Website) -> None:
    visitor = living_site.visitor()
    begun = begin(visitor)
    frames = act(BARACK, begun)
    assert send(visitor, patient(begun), frames).json["ok"]
    thief = living_site.visitor()
    assert refused(send(thief, patient(begin(thief)), frames), thief, "refused")


def test_an_answer_that_comes_sooner_than_anybody_could_give_it_is_none(hasty: Website) -> None:
    visitor = hasty.visitor()
    answer = send(visitor, begin(visitor), burst(BARACK, 12))
    assert refused(answer, visitor, "not_live")
    assert "too quick" in answer.json["message"]


def test_a_step_that_takes_too_long_ends_it_there(hasty: Website) -> None:
    """Each step's own time counts, however much is left of the challenge's."""
    visitor = hasty.visitor()
    frames = burst(BARACK, 12)
    begun = begin(visitor)
    assert tell(visitor, begun, 0, frames[:3]).json == {"ok": True}
    time.sleep(2.1)
    answer = tell(visitor, begun, 1, frames[3:6])
    assert refused(answer, visitor, "not_live")
    assert answer.json["step"] == 1 and "too long" in answer.json["message"]
    assert living.answer(visitor, begun, frames).code == "nonce", "used up"


def test_an_answer_that_comes_too_late_is_none_and_no_failure(hasty: Website) -> None:
    hasty.forgive()
    visitor = hasty.visitor()
    begun = begin(visitor)
    frames = act(BARACK, begun)
    time.sleep(max(0.0, begun.at_s + 5.5 - time.monotonic()))
    assert refused(send(visitor, begun, frames), visitor, "nonce")
    assert hasty.rows("SELECT COALESCE(SUM(hits), 0) FROM throttle WHERE scope = 'face_source'") == [["0"]]


# --- the steps one by one --------------------------------------------------------------------------------------------


def test_pictures_of_steps_that_nobody_told_of_are_not_live(living_site: Website) -> None:
    visitor = living_site.visitor()
    begun = patient(begin(visitor))
    answer = living.answer(visitor, begun, act(BARACK, begun))
    assert refused(answer, visitor, "not_live")
    assert "Do every step" in answer.json["message"]


def test_other_pictures_than_were_told_of_are_not_live(living_site: Website) -> None:
    """The head moves as asked; but its pictures were made after the time in which they had to be."""
    visitor = living_site.visitor()
    begun = patient(begin(visitor))
    early, late = act(BARACK, begun), act(BARACK, begun)
    for step in range(len(begun.steps) + 1):
        assert tell(visitor, begun, step, early[3 * step : 3 * step + 3]).json == {"ok": True}
    answer = living.answer(visitor, begun, early[:9] + late[9:])
    assert refused(answer, visitor, "not_live")
    assert "changed on their way" in answer.json["message"]


def test_steps_are_told_of_once_and_in_their_order_or_not_at_all(living_site: Website) -> None:
    frames = burst(BARACK, 3)
    for order in ([1], [0, 2], [0, 1, 0], [0, 1, 2, 3, 4], [-1], [24]):
        visitor = living_site.visitor()
        begun = patient(begin(visitor))
        codes = [tell(visitor, begun, step, frames).code for step in order]
        assert codes == [""] * (len(order) - 1) + ["nonce"], order


def test_a_step_may_be_told_of_again_in_the_same_words_alone(living_site: Website) -> None:
    """A page that heard no answer says it once more; whoever has better pictures by then may not."""
    visitor = living_site.visitor()
    begun = patient(begin(visitor))
    frames = act(BARACK, begun)
    for step in range(len(begun.steps) + 1):
        for _ in range(2):
            assert tell(visitor, begun, step, frames[3 * step : 3 * step + 3]).json == {"ok": True}
    assert living.answer(visitor, begun, frames).json["ok"]
    begun = patient(begin(visitor))
    frames = act(BARACK, begun)
    assert tell(visitor, begun, 0, frames[:3]).json == {"ok": True}
    assert not tell(visitor, begun, 0, frames[3:6]).json["ok"]
    assert living.answer(visitor, begun, frames).code == "nonce", "used up"


@pytest.mark.parametrize(
    "said",
    [
        {"step": "0"},
        {"step": 0.5},
        {"step": True},
        {"step": None},
        {"challenge": 7},
        {"challenge": None},
        {"sha256s": "0" * 64},
        {"sha256s": ["0" * 64] * 2},
        {"sha256s": ["0" * 64] * 4},
        {"sha256s": ["0" * 63] * 3},
        {"sha256s": ["G" * 64] * 3},
        {"sha256s": [["0" * 64]] * 3},
        {"sha256s": {"a": "0" * 64}},
    ],
    ids=str,
)
def test_what_tells_of_no_step_is_no_request(living_site: Website, said: dict[str, Any]) -> None:
    visitor = living_site.visitor()
    begun = begin(visitor)
    whole = {"challenge": begun.challenge, "step": 0, "sha256s": ["0" * 64] * 3}
    assert malformed(visitor.json("/capture/step", whole | said), visitor)


def test_a_step_of_another_sessions_challenge_is_none_and_harms_it_not(living_site: Website) -> None:
    owner, thief = living_site.visitor(), living_site.visitor()
    owners, thiefs = begin(owner), begin(thief)
    frames = act(BARACK, owners)
    assert tell(thief, owners, 0, frames[:3]).code == "nonce"
    assert tell(living_site.visitor(), owners, 0, frames[:3]).code == "nonce"
    assert tell(thief, replace(thiefs, challenge="0" * 32), 0, frames[:3]).code == "nonce"
    assert tell(owner, owners, 0, frames[:3], csrf="0" * 64).status in (403, 419)
    assert send(owner, patient(owners), frames).json["ok"]


# --- a picture instead of a person ----------------------------------------------------------------------------------


def test_a_photograph_that_does_what_is_asked_is_not_live(guarded: Website, victim: Account) -> None:
    visitor = guarded.visitor()
    begun = begin(visitor)
    answer = send(visitor, patient(begun), act(BARACK, begun, FLAT), email=victim.email)
    assert refused(answer, visitor, "not_live")


def test_a_photograph_that_is_only_held_still_is_not_live(guarded: Website, victim: Account) -> None:
    visitor = guarded.visitor()
    assert refused(send(visitor, patient(begin(visitor)), burst(BARACK, 12), email=victim.email), visitor, "not_live")


@pytest.mark.parametrize("kind", ["turn_left", "turn_right", "look_up", "look_down"])
def test_a_photograph_in_a_single_step_spoils_all(living_site: Website, kind: str) -> None:
    """Everything else is done by a head. In coming closer a photograph and a head look the same: nothing is proven."""
    visitor = living_site.visitor()
    begun = begin_with(visitor, kind)
    answer = send(visitor, patient(begun), act(BARACK, begun, flat=(kind,)))
    assert refused(answer, visitor, "not_live")
    assert answer.json["step"] == begun.steps.index(kind) + 1


def test_the_movements_of_another_challenge_are_not_live(living_site: Website) -> None:
    """A film of somebody who does something else: every order but the one in which it was filmed."""
    visitor = living_site.visitor()
    begun = begin(visitor)
    filmed = replace(begun, steps=begun.steps[1:] + begun.steps[:1])
    assert refused(send(visitor, patient(begun), act(BARACK, filmed)), visitor, "not_live")


def test_another_face_for_the_movements_is_not_live(living_site: Website) -> None:
    visitor = living_site.visitor()
    begun = begin(visitor)
    frames = act(BARACK, begun)[: begun.frames_per_step] + act(JOE, begun)[begun.frames_per_step :]
    assert refused(send(visitor, patient(begun), frames), visitor, "not_live")


# --- what it costs to try -------------------------------------------------------------------------------------------


def test_each_picture_that_is_not_live_counts_and_the_sixth_try_waits(guarded: Website, victim: Account) -> None:

    def try_a_picture() -> None:
        visitor = guarded.visitor()
        answer = send(visitor, patient(begin(visitor)), burst(BARACK, 12), email=victim.email)
        assert refused(answer, visitor, "not_live")

    for _ in range(4):
        try_a_picture()
    early = guarded.visitor()
    begun = begin(early)
    try_a_picture()
    visitor = guarded.visitor()
    answer = visitor.capture({"purpose": "login"})
    assert refused(answer, visitor, "wait"), "before anybody moves"
    assert answer.json["retry_after_s"] > 0
    assert refused(send(early, begun, act(BARACK, begun), email=victim.email), early, "wait"), "who began before, too"
    logged = guarded.rows("SELECT detail FROM audit WHERE event = 'login_refused' ORDER BY line DESC LIMIT 1")
    assert "not_live" in logged[0][0]


def test_who_waits_for_the_challenge_that_a_film_answers_is_stopped(living_site: Website) -> None:
    visitor = living_site.visitor()
    csrf = visitor.csrf()
    codes = [visitor.capture({"purpose": "login"}, csrf).json.get("code", "") for _ in range(31)]
    assert codes == [""] * 30 + ["wait"]


@pytest.mark.parametrize("guarded", ["email_face", "face_then_password"], indirect=True)
def test_an_unknown_email_is_answered_as_a_known_one(guarded: Website, victim: Account) -> None:
    told = []
    for email in (victim.email, "nobody@example.org"):
        visitor = guarded.visitor()
        begun = begin_with(visitor, "turn_left")
        answer = send(visitor, patient(begun), burst(BARACK, 12), email=email)
        told.append((answer.status, sorted(answer.json), answer.code))
    assert told[0] == told[1]


# --- a daemon that cannot judge -------------------------------------------------------------------------------------


@pytest.fixture
def without_network(site: Website, victim: Account, tmp_path: Path) -> Iterator[Website]:
    """A site that asks for both, before a daemon whose network was not fetched."""
    models = tmp_path / "models"
    models.mkdir()
    for path in (ROOT / "models").iterdir():
        if path.name != NETWORK:
            (models / path.name).symlink_to(path)
    daemon = start_daemon(tmp_path / "daemon", models=models)
    running = start_website(site.directory, daemon, "liveness = both", name="without_network")
    yield running
    running.stop()
    daemon.kill()


def test_without_the_network_nobody_comes_in_by_face_and_the_operator_reads_what_to_do(
    without_network: Website, victim: Account
) -> None:
    visitor = without_network.visitor()
    answer = visitor.capture({"purpose": "login"})
    assert (answer.status, answer.code, "nonce" in answer.json) == (503, "unavailable", False)
    assert "Run ./scripts/setup where the daemon is" in without_network.log
    csrf = visitor.csrf()
    nonce = visitor.nonce("register", csrf)
    for form in ({}, {"challenge": "0" * 32, "frame_steps": "0,0,0"}):
        answer = visitor.post("/login/face", {"nonce": nonce, **form}, jpegs(burst(BARACK)), csrf)
        assert answer.status in (200, 400) and not answer.json["ok"] and not visitor.is_in()
    assert visitor.password(victim.email, victim.password).location == "/account"
