"""Who may answer what, how often and until when; told by a clock of the test's own."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from secrets import SystemRandom
from typing import get_args, get_type_hints

import pytest

from face_server.config import LIVENESS_MODES, LivenessConfig
from face_server.errors import Busy, ChallengeUnknown, Malformed
from face_server.liveness.challenge import Challenge, Challenges, Kind, Mode, SeenFrames, random_steps
from face_server.liveness.evidence import CheckFailed
from face_server.wire import requests as req
from face_server.wire.replies import ChallengeStep

OPTIONS = LivenessConfig(expires_s=30, least_step_s=0.5, most_step_s=8, steps=3)
LATER_S = 105.0  # five seconds after those below are issued, and one after their last step
#: The hashes of each step's images, and when they are told of.
HASHES = [(f"{step}a" * 32, f"{step}b" * 32) for step in range(4)]
TOLD_S = (101.0, 102.0, 103.0, 104.0)


@pytest.fixture
def challenges() -> Challenges:
    return Challenges(OPTIONS)


def issue(challenges: Challenges, binding: str | None = "nonce") -> Challenge:
    """A challenge at 100 s."""
    return challenges.issue("identify", binding, Mode.ACTIVE, False, 100.0)


def tell(challenges: Challenges, made: Challenge, steps: int = 4) -> None:
    """Of so many steps, each in its time."""
    for step in range(steps):
        challenges.tell(made.id, made.binding, step, HASHES[step], TOLD_S[step])


def check(refused: pytest.ExceptionInfo[CheckFailed]) -> tuple[str, int | None]:
    return refused.value.finding.check, refused.value.finding.step


def test_a_challenge_is_answered_once_and_tells_what_was_told(challenges: Challenges) -> None:
    made = issue(challenges)
    tell(challenges, made)
    answered = challenges.take(made.id, "identify", "nonce", LATER_S)
    assert answered == replace(made, told=tuple(HASHES), told_s=104.0)
    with pytest.raises(ChallengeUnknown):
        challenges.take(made.id, "identify", "nonce", LATER_S)


@pytest.mark.parametrize(
    ("purpose", "binding", "now_s"),
    [
        pytest.param("verify", "nonce", LATER_S, id="another command"),
        pytest.param("identify", "other", LATER_S, id="another login"),
        pytest.param("identify", None, LATER_S, id="no login"),
        pytest.param("identify", "nonce", 130.1, id="too late"),
    ],
)
def test_what_is_not_for_this_is_refused_with_one_error_and_is_used_up(
    challenges: Challenges, purpose: str, binding: str | None, now_s: float
) -> None:
    made = issue(challenges)
    tell(challenges, made)
    with pytest.raises(ChallengeUnknown) as refused:
        challenges.take(made.id, purpose, binding, now_s)
    with pytest.raises(ChallengeUnknown) as unknown:
        challenges.take("0" * 32, "identify", None, now_s)
    assert (refused.value.message, refused.value.detail) == (unknown.value.message, unknown.value.detail)
    with pytest.raises(ChallengeUnknown):
        challenges.take(made.id, "identify", "nonce", LATER_S)


def test_one_that_expires_at_this_moment_still_counts(challenges: Challenges) -> None:
    made = issue(challenges, None)
    tell(challenges, made)
    assert challenges.take(made.id, "identify", None, 130.0).id == made.id


def test_an_answer_in_time_counts_though_it_waited_for_its_turn_while_others_came() -> None:
    challenges = Challenges(OPTIONS, queue_s=10.0)
    made = issue(challenges)
    tell(challenges, made)
    challenges.issue("identify", None, Mode.ACTIVE, False, 139.0)
    assert challenges.take(made.id, "identify", "nonce", 129.0).id == made.id


# --- the steps ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", range(4))
def test_who_answers_without_having_told_of_every_step_is_not_live(challenges: Challenges, steps: int) -> None:
    made = issue(challenges)
    tell(challenges, made, steps)
    with pytest.raises(CheckFailed) as refused:
        challenges.take(made.id, "identify", "nonce", LATER_S)
    assert check(refused) == ("missing", steps)


def test_a_step_that_comes_sooner_than_a_person_can_do_it_is_not_live_and_uses_all_up(challenges: Challenges) -> None:
    made = issue(challenges)
    challenges.tell(made.id, "nonce", 0, HASHES[0], 100.0)
    challenges.tell(made.id, "nonce", 1, HASHES[1], 100.5)
    with pytest.raises(CheckFailed) as refused:
        challenges.tell(made.id, "nonce", 2, HASHES[2], 100.9)
    assert check(refused) == ("too_soon", 2)
    with pytest.raises(ChallengeUnknown):
        challenges.take(made.id, "identify", "nonce", LATER_S)


def test_a_step_that_a_slow_line_told_of_late_makes_the_next_one_not_too_quick(challenges: Challenges) -> None:
    made = issue(challenges)
    for step, at_s in enumerate((101.0, 103.9, 104.0, 104.1)):
        challenges.tell(made.id, "nonce", step, HASHES[step], at_s)
    assert challenges.take(made.id, "identify", "nonce", LATER_S).told == tuple(HASHES)


def test_a_step_that_takes_too_long_is_not_live_however_quick_the_others_are(challenges: Challenges) -> None:
    made = issue(challenges)
    challenges.tell(made.id, "nonce", 0, HASHES[0], 108.0)
    challenges.tell(made.id, "nonce", 1, HASHES[1], 116.0)
    with pytest.raises(CheckFailed) as refused:
        challenges.tell(made.id, "nonce", 2, HASHES[2], 124.1)
    assert check(refused) == ("too_slow", 2)
    assert (refused.value.finding.value, refused.value.finding.threshold) == (pytest.approx(8.1), 8)
    with pytest.raises(ChallengeUnknown):
        challenges.tell(made.id, "nonce", 3, HASHES[3], 124.2)


def test_looking_ahead_has_no_longer_than_any_step(challenges: Challenges) -> None:
    made = issue(challenges)
    with pytest.raises(CheckFailed) as refused:
        challenges.tell(made.id, "nonce", 0, HASHES[0], 108.1)
    assert check(refused) == ("too_slow", 0)


@pytest.mark.parametrize("step", [0, 1, 3, 4])
def test_steps_are_told_of_in_their_order_and_once(challenges: Challenges, step: int) -> None:
    made = issue(challenges)
    tell(challenges, made, 2)
    with pytest.raises(Malformed):
        challenges.tell(made.id, "nonce", step, ("f" * 64,), 103.0)
    with pytest.raises(ChallengeUnknown):
        challenges.take(made.id, "identify", "nonce", LATER_S)


def test_the_latest_step_may_be_told_of_again_in_the_same_words_and_its_time_stays(challenges: Challenges) -> None:
    made = issue(challenges)
    tell(challenges, made, 2)
    challenges.tell(made.id, "nonce", 1, HASHES[1], 109.0)
    with pytest.raises(CheckFailed) as refused:
        challenges.tell(made.id, "nonce", 2, HASHES[2], 110.1)
    assert check(refused) == ("too_slow", 2)


@pytest.mark.parametrize(("binding", "now_s"), [("other", 102.0), (None, 102.0), ("nonce", 130.1)])
def test_a_step_of_another_login_or_too_late_is_refused_and_uses_it_up(
    challenges: Challenges, binding: str | None, now_s: float
) -> None:
    made = issue(challenges)
    with pytest.raises(ChallengeUnknown):
        challenges.tell(made.id, binding, 0, HASHES[0], now_s)
    with pytest.raises(ChallengeUnknown):
        challenges.tell(made.id, "nonce", 0, HASHES[0], 101.0)


# --- how many, and which --------------------------------------------------------------------------------------------


def test_a_challenge_without_steps_may_be_answered_at_once(challenges: Challenges) -> None:
    made = challenges.issue("identify", None, Mode.PASSIVE, False, 100.0)
    assert made.steps == ()
    assert challenges.take(made.id, "identify", None, 100.0) == made


def test_too_many_at_a_time_are_busy_and_expired_ones_make_room() -> None:
    challenges = Challenges(replace(OPTIONS, max_challenges=2))
    first = challenges.issue("identify", None, Mode.ACTIVE, False, 100.0)
    challenges.issue("identify", None, Mode.ACTIVE, False, 110.0)
    with pytest.raises(Busy):
        challenges.issue("identify", None, Mode.ACTIVE, False, 120.0)
    challenges.issue("identify", None, Mode.ACTIVE, False, 130.1)
    assert len(challenges) == 2
    with pytest.raises(ChallengeUnknown):
        challenges.take(first.id, "identify", None, 130.2)


def test_ids_are_128_random_bits(challenges: Challenges) -> None:
    ids = {challenges.issue("identify", None, Mode.ACTIVE, False, 100.0).id for _ in range(200)}
    assert len(ids) == 200
    assert all(len(each) == 32 and int(each, 16) >= 0 for each in ids)


def test_every_sequence_has_a_turn_repeats_nothing_and_all_54_come() -> None:
    drawn = [tuple(step.kind for step in random_steps(3, False, SystemRandom())) for _ in range(3000)]
    assert all(len(set(kinds)) == 3 for kinds in drawn)
    assert all({Kind.TURN_LEFT, Kind.TURN_RIGHT} & set(kinds) and Kind.FLASH not in kinds for kinds in drawn)
    counts = Counter(drawn)
    assert len(counts) == 54
    assert max(counts.values()) < 3 * min(counts.values()) + 60, "none is much likelier than another"


def test_a_flash_takes_the_place_of_one_movement_and_shows_three_different_colours() -> None:
    orders = set()
    for _ in range(300):
        steps = random_steps(3, True, SystemRandom())
        kinds = [step.kind for step in steps]
        assert len(steps) == 5 and kinds.count(Kind.FLASH) == 3
        first = kinds.index(Kind.FLASH)
        assert kinds[first : first + 3] == [Kind.FLASH] * 3
        colours = [step.colour for step in steps if step.colour]
        assert len(set(colours)) == 3
        assert {Kind.TURN_LEFT, Kind.TURN_RIGHT} & set(kinds)
        orders.add(tuple(colours))
    assert len(orders) > 80


@pytest.mark.parametrize(("configured", "wished", "flashes"), [(True, True, 3), (True, False, 0), (False, True, 0)])
def test_a_screen_flashes_only_where_both_sides_allow_it(configured: bool, wished: bool, flashes: int) -> None:
    made = Challenges(replace(OPTIONS, flash=configured)).issue("enrol", None, Mode.ACTIVE, wished, 0.0)
    assert sum(step.kind is Kind.FLASH for step in made.steps) == flashes


def test_a_frame_is_seen_once_and_the_oldest_are_forgotten() -> None:
    seen = SeenFrames(most=3)
    assert seen.add(["aa", "bb", "aa"]) == 0, "twice in one answer is another check's"
    assert seen.add(["bb", "cc"]) == 1
    assert seen.add(["dd"]) == 0
    assert seen.add(["aa"]) == 0, "the oldest made room"
    assert seen.add(["dd"]) == 1


def test_the_names_of_wire_options_and_room_are_the_same() -> None:
    assert ("off", *req.MODES) == LIVENESS_MODES == tuple(name.lower() for name in Mode.__members__)
    assert set(req.PURPOSES) <= set(LivenessConfig.__dataclass_fields__)
    assert tuple(kind.value for kind in Kind) == get_args(get_type_hints(ChallengeStep)["step"])


def test_no_challenge_asks_for_more_images_than_a_message_may_hold() -> None:
    most = max(len(random_steps(movements, True, SystemRandom())) for movements in (2, 3) for _ in range(20))
    assert (most + 1) * 4 == req.MAX_RESPONSE_IMAGES
