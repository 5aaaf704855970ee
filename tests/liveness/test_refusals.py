"""Generated attacks against the checks as they ship: what must not pass does not, and honest answers do.

A few of each here; the fifty and their intervals stand in docs/measurements.md, from `python -m liveness.table`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from daemons import ROOT
from liveness.attacks.attempt import Attempt
from liveness.attacks.species import Scene, attempt

from face_server.config import load_config
from face_server.evaluation.pad import Group, Judge, evaluate
from face_server.evaluation.pad_command import assemble_judge
from face_server.evaluation.presentations import Answer, Form, Kit, Presentation

#: Attacks that the checks stop without the passive network.
HELD = ("photo_moved", "photo_tilted", "photo_bent", "screen_photo")
RECORDED = ("screen_video", "replay_identical", "replay_recoded", "wrong_order", "swap", "mixed")


@pytest.fixture(scope="module")
def judges(pipeline: Any) -> Judge:
    """The daemon's checks, without the passive network: `active`. A frame that comes again is not looked at again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("face_server.assembly.assemble_pipeline", lambda config: pipeline)
        patch.setattr("face_server.assembly.assemble_passive", lambda config: None)
        judge = assemble_judge(load_config(ROOT / "config.ini"))
    return replace(judge, sight=cache(judge.sight))


def judged(attempts: list[Attempt], judges: Judge, honest: list[Attempt] | None = None) -> tuple[Group, Group]:
    """The outcomes of honest answers and of attacks."""
    answers = {}

    def presented(made: Attempt, species: str) -> Presentation:
        item = Presentation(species, ROOT / made.species / str(made.number), Form.BURST)
        images, steps = zip(*((shot.jpeg, shot.step) for shot in made.shots), strict=True)
        answers[item] = Answer(images, steps, made.steps)
        return item

    bona_fide = tuple(presented(made, "") for made in honest or [])
    kit = Kit(bona_fide, {"tried": tuple(presented(made, "tried") for made in attempts)})
    result = evaluate(kit, answers.__getitem__, judges)
    return result.bona_fide, result.attacks[0]


@pytest.mark.parametrize("species", HELD)
def test_what_is_held_before_the_camera_does_not_pass(species: str, held_scene: Scene, judges: Judge) -> None:
    _, attacks = judged([attempt(species, held_scene, number) for number in range(2)], judges)
    assert [outcome for outcome in attacks.outcomes if outcome.live] == []
    assert attacks.judged


@pytest.mark.parametrize("species", RECORDED)
def test_what_was_recorded_does_not_pass(species: str, filmed_scene: Scene, judges: Judge) -> None:
    honest = [filmed_scene.recorded(number) for number in range(2)]
    bona_fide, attacks = judged([attempt(species, filmed_scene, number) for number in range(2)], judges, honest)
    assert [outcome for outcome in attacks.outcomes if outcome.live] == []
    assert attacks.judged and all(outcome.live for outcome in bona_fide.judged)
