"""Nothing acknowledged is lost and nothing removed comes back, whenever the process is killed."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from random import Random

import pytest
from crashes.deeds import PLAIN, SEALED
from crashes.history import Operation
from crashes.rounds import Harness, make_killer
from crashes.whole import WholeDaemon


@pytest.fixture
def random() -> Random:
    """Other kills every time; the seed is told where they do harm."""
    return Random(time.time_ns())


@pytest.fixture
def killer(tmp_path: Path) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler: apt-get install gcc libc6-dev")
    return make_killer(tmp_path)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kinds", [PLAIN, SEALED], ids=["plain", "sealed"])
def test_a_gallery_that_is_killed_at_any_step_keeps_what_it_acknowledged(
    tmp_path: Path, killer: Path, random: Random, kinds: dict[str, int]
) -> None:
    rounds = list(Harness(tmp_path, killer, random, kinds).rounds(12))
    assert [one for one in rounds if one.harm] == []
    assert len(rounds) == 12


def test_what_was_acknowledged_and_is_not_there_counts_as_harm(tmp_path: Path, killer: Path, random: Random) -> None:
    harness = Harness(tmp_path, killer, random, PLAIN)
    harness.history.acknowledge(Operation("enrol", ("nobody",), (1,)))
    assert [one.harm for one in harness.rounds(5)] == [True]


@pytest.mark.timeout(1800)
def test_a_daemon_that_is_killed_thirty_times_keeps_what_it_acknowledged(
    tmp_path: Path, sample_photos: Path, random: Random
) -> None:
    photos = [(sample_photos / name).read_bytes() for name in ("obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg")]
    rounds = list(WholeDaemon(tmp_path, photos, random).rounds(30))
    assert [one for one in rounds if one.harm] == []
    assert len(rounds) == 30
