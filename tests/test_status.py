"""`face-server status`: what it says needs attention, and how it looks on a terminal, in a pipe and over time."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from daemons import Daemon

from face_server.health import STUCK_S
from face_server.status_view import concerns, health_of, status_lines
from face_server.terminal import Terminal, bytes_told, span_told
from face_server.wire.replies import (
    DecisionStatus,
    IndexStatus,
    LoadStatus,
    StatusReply,
    StoreStatus,
    ThresholdStatus,
)

PATIENCE_S = 60.0
NOW_S = 1_800_000_000.0
GIB = 1 << 30

LOAD = LoadStatus(queue_size=64, max_connections=256, held_bytes=0, max_buffered_bytes=GIB, busy_s=0.0)
STORE = StoreStatus(used_bytes=GIB, limit_bytes=15 * GIB, free_disk_bytes=20 * GIB)
INDEX = IndexStatus("ready", subjects=1200, sequence=4000, overlay=4, built_s=NOW_S - 3 * 3600 - 720)
THRESHOLDS = (ThresholdStatus(1, 1, 0.5675, 0.6), ThresholdStatus(3, 1, 0.59, 0.62), ThresholdStatus(3, 3, 0.6228))
DECISION = DecisionStatus(1e-4, 1e-2, "2,717 photographs", False, 0.5675, 0.6, THRESHOLDS)
WELL = StatusReply(
    "1.2.3", 90000.0, "facenet", "ab" * 32, 512, 1204, 3612, INDEX, DECISION, 0, 3, 1284, load=LOAD, store=STORE
)


#: Neither colours nor a width.
PIPE = Terminal()


def page(told: StatusReply, terminal: Terminal = PIPE) -> str:
    return "\n".join(status_lines(told, NOW_S, terminal))


# --- what needs attention -------------------------------------------------------------------------------------------


def test_a_daemon_that_is_well_is_healthy_and_shows_everything() -> None:
    assert concerns(WELL, NOW_S) == ()
    assert (
        page(WELL)
        == """\
face-login 1.2.3  healthy

daemon
  up            25 h 0 min, 1,284 requests
  connections   3 of 256
  waiting       0 of 64
  held          0 B of 1.0 GiB

gallery
  enrolled      1,204 subjects, 3,612 templates
  index         ready, 1,200 subjects, built 3 h 12 min ago ({built}); 4 new or changed since
  store         1.0 GiB of 15 GiB, 20 GiB free on its disk

model
  network       facenet, 512-D
  fingerprint   abababababababab

thresholds, by enrolled + probe images
                claimed, FMR 0.0001   searched, FPIR 0.01 at this size
  1 + 1         0.5675                0.6000
  3 + 1         0.5900                0.6200
  3 + 3         0.6228                not supported
  measured on   2,717 photographs""".format(built=re.findall(r"ago \((.*?)\)", page(WELL))[0])
    )


FOUND = {
    "configured": "auto",
    "kind": "annoy",
    "recall": 1 - 1 / 4793,
    "recall_at_least": 0.999011,
    "probes": 4793,
    "misses": 1,
    "search_k": 16000,
    "trees": 50,
}


@pytest.mark.parametrize(
    ("changes", "index"),
    [
        ({"configured": "exact", "kind": "exact"}, "exact: a search looks at everybody"),
        ({"configured": "auto", "kind": "exact"}, "exact: a search looks at everybody, as costs less here"),
        (
            {"state": "building", "phase": "growing", "done": 0.375, "built_s": None, "kind": "exact"},
            "building (growing,",
        ),
        (
            FOUND | {"state": "building", "phase": "reading", "done": 0.0},
            "building (reading, 0%), 1,200 subjects, built",
        ),
        (FOUND, "ready, 1,200 subjects, built 3 h 12 min ago"),
    ],
)
def test_how_searches_go_is_shown(changes: dict[str, Any], index: str) -> None:
    shown = page(with_index(**changes))
    assert f"  index         {index}" in shown
    recall = "  recall        at least 99.901%; 1 of 4,793 probes missed, with 50 trees and search_k 16,000"
    assert (recall in shown) == ("recall" in changes)


def with_index(**changes: Any) -> StatusReply:
    return replace(WELL, index=replace(INDEX, **changes))


def with_load(**changes: Any) -> StatusReply:
    return replace(WELL, load=replace(LOAD, **changes))


def with_store(**changes: Any) -> StatusReply:
    return replace(WELL, store=replace(STORE, **changes))


def with_decision(**changes: Any) -> StatusReply:
    return replace(WELL, decision=replace(DECISION, **changes))


#: What is the matter: the reply, a part of what is said, and whether requests fail of it.
CONCERNS = {
    "a stuck worker": (with_load(busy_s=STUCK_S + 60), "at one request for 3 min", True),
    "a queue that is nearly full": (replace(WELL, queue=52), "52 of 64 requests wait", False),
    "connections that are nearly all taken": (replace(WELL, connections=206), "206 of 256 connections", False),
    "bytes that are nearly all taken": (with_load(held_bytes=int(0.9 * GIB)), "922 MiB of 1.0 GiB", False),
    "a store near its limit": (with_store(used_bytes=13 * GIB), "87% full", False),
    "a full store": (with_store(used_bytes=15 * GIB), "100% full", True),
    "a disk that is nearly full": (with_store(free_disk_bytes=GIB // 2), "512 MiB left", False),
    "a build that failed": (with_index(error="The disk is full."), "The index: The disk is full.", False),
    "no index": (with_index(state="absent", built_s=None), "run face-server rebuild", False),
    "an index from the future": (with_index(built_s=NOW_S + 7200), "built 2 h 0 min from now", False),
    "a rate that no claim can have": (with_decision(verify_threshold=None), "verify_fmr", True),
    "a gallery too large to search": (with_decision(identify_threshold=None), "Among 1,204 subjects", True),
}


@pytest.mark.parametrize(("told", "words", "urgent"), CONCERNS.values(), ids=CONCERNS)
def test_what_needs_attention_is_said_on_top(told: StatusReply, words: str, urgent: bool) -> None:
    (concern,) = concerns(told, NOW_S)
    assert words in concern.text and concern.urgent is urgent
    first, second, *_ = page(told).splitlines()
    assert first == f"face-login 1.2.3  {'in trouble' if urgent else 'needs attention'}"
    assert second == f"  ! {concern.text}"


def test_what_is_urgent_comes_first() -> None:
    both = replace(with_index(error="Broken."), decision=replace(DECISION, verify_threshold=None))
    assert [concern.urgent for concern in concerns(both, NOW_S)] == [True, False]
    assert health_of(concerns(both, NOW_S))[0] == "in trouble"


@pytest.mark.parametrize(
    "told",
    [
        replace(WELL, queue=51),
        with_index(state="building", built_s=None),
        replace(with_index(state="absent", built_s=None), subjects=0),
        with_index(built_s=NOW_S + 60),
        with_decision(fixed=True, identify_threshold=None),
    ],
    ids=["a queue that is not so full", "a first build", "an empty gallery", "a clock a minute off", "set by hand"],
)
def test_what_is_as_it_may_be_is_no_concern(told: StatusReply) -> None:
    assert concerns(told, NOW_S) == ()


def test_an_earlier_daemon_that_tells_less_is_shown_too() -> None:
    earlier = replace(WELL, load=None, store=None, decision=replace(DECISION, thresholds=None))
    shown = page(earlier)
    assert "  connections   3\n" in shown and "  1 + 1         0.5675                0.6000\n" in shown
    assert "store" not in shown and "healthy" in shown


def test_a_threshold_set_by_hand_is_told_as_one() -> None:
    assert "  all           0.5675, set by hand: no error rate is promised" in page(with_decision(fixed=True))


# --- how it looks ---------------------------------------------------------------------------------------------------


def test_long_rows_are_wrapped_beside_their_label_on_a_terminal_and_only_there() -> None:
    long = with_index(error="It is broken in a way that takes many words to tell, more than a line of it has.")
    lines = page(long, Terminal(columns=50)).splitlines()
    assert max(map(len, lines)) <= 50
    start = next(number for number, line in enumerate(lines) if line.startswith("  index "))
    assert lines[start + 1].startswith(" " * 16) and lines[start + 1][16] != " "
    assert any(len(line) > 80 for line in page(long).splitlines())


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (10240, "10 KiB"), (1 << 30, "1.0 GiB"), (1 << 50, "1024 TiB")],
)
def test_bytes_are_told_in_units_that_somebody_can_read(count: int, words: str) -> None:
    assert bytes_told(count) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (119, "119 s"), (120, "2 min"), (3599, "59 min"), (3600, "1 h 0 min"), (172800, "2 days")],
)
def test_spans_are_told_as_exactly_as_somebody_wants_to_know_them(seconds: float, words: str) -> None:
    assert span_told(seconds) == words


# --- on a terminal, in a pipe, over time ----------------------------------------------------------------------------


def command_line(*arguments: str | Path) -> list[str]:
    # Tests that were started in the background ignore Ctrl-C, and so would all that they start.
    return ["env", "--default-signal=INT", sys.executable, "-m", "face_server", *map(str, arguments)]


def on_terminal(*arguments: str | Path, until: str = "", **environment: str) -> tuple[str, int]:
    """What a command shows on a terminal, and its exit status; with `until` a Ctrl-C follows once that is shown."""
    ours, theirs = os.openpty()
    inherited = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    environment = {**inherited, "TERM": "xterm", "COLUMNS": "60", **environment}
    process = subprocess.Popen(command_line(*arguments), stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # how a terminal says that nobody has it open any more
        while data := os.read(ours, 65536):
            shown += data
            if until and until.encode() in shown:
                process.send_signal(signal.SIGINT)
    os.close(ours)
    return shown.decode().replace("\r\n", "\n"), process.wait(PATIENCE_S)


@pytest.fixture
def config(daemon: Daemon) -> Path:
    """A config.ini with which commands reach the daemon."""
    path = daemon.config_path.with_name("status.ini")
    path.write_text(daemon.config_path.read_text().replace("port = 0", f"port = {daemon.port}"))
    return path


def test_a_terminal_has_colours_and_lines_that_fit(config: Path) -> None:
    shown, status = on_terminal("status", "--config", config)
    assert status == 0 and "\033[1mdaemon\033[0m" in shown
    assert max(map(len, re.sub(r"\033\[\d+m", "", shown).splitlines())) <= 60


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_a_terminal_has_no_colours_where_they_are_not_wanted(config: Path, environment: dict[str, str]) -> None:
    shown, status = on_terminal("status", "--config", config, **environment)
    assert status == 0 and "daemon\n" in shown and "\033" not in shown


def test_a_pipe_has_neither_colours_nor_wrapped_lines(config: Path) -> None:
    done = subprocess.run(
        command_line("status", "--config", config), capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    assert "\033" not in done.stdout and len(max(done.stdout.splitlines(), key=len)) > 80


def test_a_watch_shows_page_over_page_until_ctrl_c(config: Path) -> None:
    clear = "\033[H\033[2J"
    shown, status = on_terminal("status", "--watch", "0.1", "--config", config, until="measured on")
    assert status == 130 and shown.startswith(clear) and "Traceback" not in shown


def test_a_watch_as_json_is_one_object_after_the_other(config: Path) -> None:
    with subprocess.Popen(
        command_line("status", "--watch=0.1", "--json", "--config", config), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        requests = [json.loads(process.stdout.readline())["requests"] for _ in range(3)]
        process.kill()
    assert requests[0] < requests[1] < requests[2]


def test_a_watch_waits_for_a_daemon_that_is_away(config: Path, tmp_path: Path) -> None:
    away = tmp_path / "config.ini"
    text = config.read_text() + f"[access]\noperator_token_file = {config.parent / 'var' / 'token.operator'}\n"
    away.write_text(re.sub(r"port = \d+", "port = 1", text))
    with subprocess.Popen(
        command_line("status", "--watch=0.1", "--config", away), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert all("cannot be reached" in process.stderr.readline() for _ in range(2))
        process.kill()


@pytest.mark.parametrize("seconds", ["soon", "0", "-1", "nan", "1e9"])
def test_a_watch_that_makes_no_sense_is_wrong_usage(seconds: str) -> None:
    done = subprocess.run(
        command_line("status", f"--watch={seconds}"), capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    assert done.returncode == 2 and "is no number of seconds from 0.1 to 3600" in done.stderr
