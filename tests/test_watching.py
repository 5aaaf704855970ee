"""A real daemon as a monitor sees it, from its first moment to its last, and what the documents say of that."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemons import LIGHT, ROOT, Daemon, start_daemon
from monitors import Samples, ask, scraped
from stub_server import wait_until

from face_server.errors import NoFace

METRICS = "[metrics]\nlisten = 127.0.0.1:0"


def monitor_of(log: Path) -> str:
    """The address of a daemon's HTTP side, once its log tells it."""

    def told() -> list[str]:
        return re.findall(r"metrics on http://(\S+)/metrics", log.read_text())

    wait_until(lambda: bool(told()))
    return told()[-1]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    # Of so few people auto would make no index, of which there is more to tell.
    annoy = "[index]\nkind = annoy\nrecall = 0.9"
    running = start_daemon(tmp_path_factory.mktemp("watched"), f"{LIGHT}{METRICS}\n{annoy}")
    yield running
    running.kill()


def gained(before: Samples, after: Samples) -> Samples:
    """What counters rose by."""
    rise = {name: value - before.get(name, 0) for name, value in after.items()}
    return {name: by for name, by in rise.items() if by and name.startswith("face_login") and "_sum" not in name}


# --- from start to end ----------------------------------------------------------------------------------------------


def test_a_monitor_is_answered_while_the_daemon_starts_serves_and_stops(tmp_path: Path) -> None:
    (tmp_path / "config.ini").write_text(f"[server]\nport = 0\n{LIGHT}[models]\npath = {ROOT / 'models'}\n{METRICS}\n")
    log = tmp_path / "daemon.log"
    with log.open("w") as out:
        command = [sys.executable, "-m", "face_server", "serve", "--config", tmp_path / "config.ini"]
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        address = monitor_of(log)
        assert ask(address, "/readyz") == (503, "starting\n")
        assert ask(address, "/healthz") == (200, "alive\n")
        assert scraped(address)["face_login_ready"] == 0
        wait_until(lambda: ask(address, "/readyz") == (200, "ready\n"))
        found = scraped(address)
        assert (found["face_login_ready"], found["face_login_subjects"]) == (1, 0)
        process.terminate()
        assert process.wait(60) == 0
        assert "Traceback" not in log.read_text() and "Task was destroyed" not in log.read_text()
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("listen = 0.0.0.0:9464", "[metrics] exposed = true"),
        ("listen = 9464", "no address:port"),
        ("listen = 127.0.0.1:1\nexposed = maybe", "must be true or false"),
    ],
)
def test_an_address_that_may_not_be_used_refuses_the_start(tmp_path: Path, settings: str, words: str) -> None:
    config = tmp_path / "config.ini"
    config.write_text(f"[server]\nport = 0\n[models]\npath = {ROOT / 'models'}\n[metrics]\n{settings}\n")
    command = [sys.executable, "-m", "face_server", "serve", "--config", config]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and words in done.stderr and "loading" not in done.stderr


# --- what happens is told -------------------------------------------------------------------------------------------


def test_enrolments_and_searches_are_told_stage_by_stage(watched: Daemon, sample_photos: Path) -> None:
    address = monitor_of(watched.log_path)
    before = scraped(address)
    with watched.client() as client:
        client.remove_all([one.id for one in client.all_subjects()] or ["nobody"])
        client.enrol("obama", [(sample_photos / "obama.jpg").read_bytes()])
        assert client.identify((sample_photos / "obama2.jpg").read_bytes()).match
        assert client.verify("obama", (sample_photos / "obama3.jpg").read_bytes()).match

    wait_until(lambda: scraped(address)["face_login_templates"] == 1)
    rise = gained(before, scraped(address))
    counts = {name.split('"')[1]: by for name, by in rise.items() if "stage_duration_seconds_count" in name}
    # A new face is searched for too, lest it be enrolled already.
    assert counts == {"decode": 3, "detect": 3, "align": 3, "embed": 3, "search": 3, "store": 2}
    assert rise['face_login_requests_total{command="identify",outcome="ok"}'] == 1
    assert rise['face_login_request_duration_seconds_count{command="verify"}'] == 1
    after = scraped(address)
    assert after["face_login_subjects"] == 1 and after["face_login_ready"] == 1
    stages = sum(after[f'face_login_stage_duration_seconds_sum{{stage="{stage}"}}'] for stage in counts)
    requests = sum(value for name, value in after.items() if "request_duration_seconds_sum" in name)
    assert 0 < stages < requests


def test_images_that_give_no_template_are_told_by_reason_also_where_the_request_goes_well(
    watched: Daemon, sample_photos: Path
) -> None:
    import numpy as np

    from face_server.vision.imaging import encode_png

    address = monitor_of(watched.log_path)
    grey = encode_png(np.full((200, 300, 3), 128, np.uint8))
    before = scraped(address)
    with watched.client() as client:
        client.identify(grey, (sample_photos / "obama2.jpg").read_bytes(), b"no picture")
        with pytest.raises(NoFace):
            client.identify(grey)
        with pytest.raises(NoFace):
            client.enrol("nobody", [grey])
    name = 'face_login_images_refused_total{code="no_face"}'
    wait_until(lambda: scraped(address).get(name, 0) - before.get(name, 0) == 3)
    rise = gained(before, scraped(address))
    assert rise['face_login_images_refused_total{code="image_unreadable"}'] == 1
    assert rise['face_login_requests_total{command="identify",outcome="ok"}'] == 1
    assert rise['face_login_requests_total{command="identify",outcome="no_face"}'] == 1


def test_a_rebuild_is_told(watched: Daemon, sample_photos: Path) -> None:
    address = monitor_of(watched.log_path)
    name = "face_login_index_rebuild_duration_seconds_count"
    with watched.client() as client:
        client.enrol("biden", [(sample_photos / "biden.jpg").read_bytes()])
        before = scraped(address)[name]
        client.rebuild()
        subjects = client.status().subjects
    wait_until(lambda: scraped(address)[name] > before and scraped(address)["face_login_index_subjects"] == subjects)
    after = scraped(address)
    assert after['face_login_index_state{state="ready"}'] == 1
    assert after["face_login_index_built_timestamp_seconds"] > after["process_start_time_seconds"]
    assert after["face_login_index_failed"] == after["face_login_index_rebuild_failures_total"] == 0


# --- what the documents say -----------------------------------------------------------------------------------------

OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def exported(watched: Daemon) -> set[str]:
    """Names of what a running daemon tells, histograms by their own."""
    return set(re.findall(r"^# TYPE (\S+)", ask(monitor_of(watched.log_path), "/metrics")[1], re.MULTILINE))


def test_every_metric_of_ours_is_documented_and_no_other(watched: Daemon, sample_photos: Path) -> None:
    with watched.client() as client:
        client.enrol("biden", [(sample_photos / "biden.jpg").read_bytes()])
        client.rebuild()
    wait_until(lambda: "face_login_index_built_timestamp_seconds" in exported(watched))
    documented = set(re.findall(r"`(face_login_[a-z_]+)`", OPERATIONS))
    assert documented == {name for name in exported(watched) if name.startswith("face_login_")}


def test_every_metric_that_alerts_and_dashboard_name_is_told(watched: Daemon) -> None:
    deploy = ROOT / "deploy"
    named = set()
    for file in ("alerts.yml", "grafana-dashboard.json"):
        text = (deploy / file).read_text(encoding="utf-8")
        found = set(re.findall(r"\b(?:face_login|process)_[a-z_]+", text))
        assert found, file
        named |= found
    told = exported(watched)
    histograms = {f"{name}{suffix}" for name in told for suffix in ("_bucket", "_count", "_sum")}
    assert named - told - histograms == set()
