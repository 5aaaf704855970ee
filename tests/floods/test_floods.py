"""A daemon under attack: an honest client is answered all the while, memory is bounded, nothing is lost or left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from daemons import LIGHT, Daemon, start_daemon
from floods.attacks import ATTACKS, FILL_THE_QUEUE, MAX_CONNECTIONS, Attack, many_enrolling_one_id
from floods.measuring import MIB, SETTINGS, measure

#: [server] max_buffered_bytes of the attacked daemon, and what Python needs to move them.
MOST_BYTES = 64 * MIB + 96 * MIB


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory, sample_photos: Path) -> Iterator[Daemon]:
    daemon = start_daemon(tmp_path_factory.mktemp("attacked"), SETTINGS + LIGHT)
    with daemon.client() as client:
        client.enrol("obama", [(sample_photos / name).read_bytes() for name in ("obama.jpg", "obama2.jpg")])
    yield daemon
    assert daemon.stop() == 0


@pytest.mark.parametrize("kind", ATTACKS, ids=lambda kind: kind.__name__)
def test_an_honest_client_is_answered_during(
    attacked: Daemon, kind: Callable[[Attack], None], sample_photos: Path
) -> None:
    outcome = measure(attacked, kind, sample_photos, requests=15)
    honest = outcome.honest
    assert outcome.tries >= MAX_CONNECTIONS, "the attack was not made"
    assert honest.wrong == []
    assert len(outcome.quiet.right_ms) == 15
    if kind in FILL_THE_QUEUE:
        assert len(honest.right_ms) + len(honest.busy_ms) == 15, "busy is an answer, silence is none"
    else:
        assert len(honest.right_ms) == 15, (len(honest.busy_ms), honest.cut_off)
    assert outcome.grown_bytes < MOST_BYTES
    assert outcome.descriptors_left <= 0
    subjects, templates = outcome.stored_before
    if kind is many_enrolling_one_id:  # the same image, however often: one template
        assert outcome.stored_after == (subjects + 1, templates + 1)
    else:
        assert outcome.stored_after == (subjects, templates)
