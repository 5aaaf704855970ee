"""What Prometheus is told: counted once, in words of ours only, whatever clients send."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from dataclasses import replace

import pytest
from monitors import PATIENCE_S, Samples, samples
from stub_server import WEB, StubHandler, detect, request, serving, wait_until

import face_server.connection
from face_server.errors import BY_CODE, NoFace, StorageFull
from face_server.health import Health
from face_server.metrics import COMMAND_VALUES, Metrics
from face_server.observing import Stage, timed
from face_server.wire.replies import IndexStatus, StatusReply, StoreStatus
from face_server.wire.requests import COMMANDS


def seen(metrics: Metrics) -> Samples:
    """What is not nought."""
    return {name: value for name, value in samples(metrics.text().decode()).items() if value}


def requests_of(metrics: Metrics) -> Samples:
    return {
        name.removeprefix("face_login_requests_total"): value
        for name, value in seen(metrics).items()
        if name.startswith("face_login_requests_total")
    }


# --- requests -------------------------------------------------------------------------------------------------------


def test_each_request_is_counted_once_by_command_and_outcome() -> None:
    metrics = Metrics()
    with serving(observer=metrics) as running, running.connect() as peer:
        for _ in range(3):
            assert peer.ask(cmd="ping")["ok"]
        assert peer.ask(b"a", cmd="detect", image_bytes=[1])["ok"]
        running.handler.raises = NoFace("no face")
        assert not peer.ask(b"a", cmd="detect", image_bytes=[1])["ok"]
        running.handler.raises = ValueError("a mistake")
        assert peer.ask(b"a", cmd="detect", image_bytes=[1])["error"]["code"] == "internal"
        assert requests_of(metrics) == {
            '{command="ping",outcome="ok"}': 3,
            '{command="detect",outcome="ok"}': 1,
            '{command="detect",outcome="no_face"}': 1,
            '{command="detect",outcome="internal"}': 1,
        }
        assert seen(metrics)['face_login_request_duration_seconds_count{command="detect"}'] == 3


def test_a_request_that_was_not_worked_on_is_counted_and_not_timed() -> None:
    metrics = Metrics()
    with serving(observer=metrics, queue_size=1) as running, ExitStack() as held:
        peers = [held.enter_context(running.connect()) for _ in range(3)]
        running.handler.gate.clear()
        peers[0].send(detect(b"a"))
        assert running.handler.entered.acquire(timeout=PATIENCE_S)
        peers[1].send(detect(b"a"))
        wait_until(lambda: running.server.status().queue == 1)
        assert peers[2].ask(b"a", cmd="detect", image_bytes=[1])["error"]["code"] == "busy"
        assert peers[2].ask(cmd="status", token=WEB)["error"]["code"] == "unauthorised"
        assert peers[2].ask(cmd="detect", image_bytes=[])["error"]["code"] == "malformed"
        running.handler.gate.set()
        assert peers[0].reply()["ok"] and peers[1].reply()["ok"]
        assert requests_of(metrics) == {
            '{command="detect",outcome="ok"}': 2,
            '{command="detect",outcome="busy"}': 1,
            '{command="status",outcome="unauthorised"}': 1,
            '{command="detect",outcome="malformed"}': 1,
        }
        timed_requests = {
            name: value for name, value in seen(metrics).items() if "request_duration_seconds_count" in name
        }
        assert timed_requests == {'face_login_request_duration_seconds_count{command="detect"}': 2}


def test_the_old_dialect_is_counted_under_its_own_commands() -> None:
    metrics = Metrics()
    with serving(observer=metrics, legacy=True) as running, running.connect() as peer:
        for content in (b'{"cmd":"search","pic":"a.jpg"}', b'{"cmd":"dance"}'):
            peer.send(b"%04d" % len(content) + content)
            assert peer.socket.recv(4096)
        assert requests_of(metrics) == {
            '{command="legacy search",outcome="ok"}': 1,
            '{command="none",outcome="unknown_command"}': 1,
        }


def test_no_word_of_a_client_becomes_a_label() -> None:
    metrics = Metrics()
    hostile = ["dance", "x" * 100, "ping\n", 'a"} 1\nevil 2', "Ping", "", 7, None]
    with serving(observer=metrics) as running, running.connect() as peer:
        for number, word in enumerate(hostile):
            assert not peer.ask(cmd=word, seq=number)["ok"]
        for name in ("evil", "x" * 50):
            assert not peer.ask(cmd="ping", **{name: 1})["ok"]
        counted = requests_of(metrics)
    assert sum(counted.values()) == len(hostile) + 2
    assert set(counted) == {
        '{command="none",outcome="unknown_command"}',
        '{command="none",outcome="malformed"}',
        '{command="ping",outcome="malformed"}',
    }


def test_a_word_that_nobody_knows_is_other_even_if_it_came_from_us() -> None:
    metrics = Metrics()
    metrics.request("dance", "fine", 1.0)
    metrics.connection_refused("tired")
    metrics.image_refused("ugly")
    assert {name for name in seen(metrics) if "other" in name and not name.endswith("bucket")} >= {
        'face_login_requests_total{command="other",outcome="other"}',
        'face_login_connections_refused_total{code="other"}',
        'face_login_images_refused_total{code="other"}',
    }
    assert "dance" not in metrics.text().decode()


def test_every_command_and_code_has_its_own_label() -> None:
    metrics = Metrics()
    for command in COMMAND_VALUES:
        for outcome in BY_CODE:
            metrics.request(command, outcome)
    assert len(requests_of(metrics)) == len(COMMAND_VALUES) * len(BY_CODE)
    assert COMMANDS.keys() < COMMAND_VALUES


# --- connections ----------------------------------------------------------------------------------------------------


def test_connections_that_are_turned_away_or_broken_off_are_counted_by_reason() -> None:
    metrics = Metrics()
    with serving(observer=metrics, max_connections=1, first_byte_timeout_s=0.2) as running:
        with running.connect() as peer:
            assert peer.ask(cmd="ping")["ok"]
            with running.connect() as second:
                assert second.reply()["error"]["code"] == "busy"
                assert second.is_closed()
        wait_until(lambda: not running.connections())
        with running.connect() as peer:
            assert peer.reply()["error"]["code"] == "timed_out"
        wait_until(lambda: not running.connections())
        with running.connect() as peer:
            peer.send(b"\x20\0\0\0")
            assert peer.reply()["error"]["code"] == "frame_too_large"
        found = {name: value for name, value in seen(metrics).items() if "connections_refused" in name}
        assert found == {
            'face_login_connections_refused_total{code="busy"}': 1,
            'face_login_connections_refused_total{code="timed_out"}': 1,
            'face_login_connections_refused_total{code="frame_too_large"}': 1,
        }


def test_those_who_are_cut_off_without_a_word_are_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics()
    monkeypatch.setattr(face_server.connection, "LINGER_S", PATIENCE_S)
    with serving(observer=metrics, max_connections=1) as running, running.connect() as peer:
        assert peer.ask(cmd="ping")["ok"]
        with running.connect() as told, running.connect() as untold:
            # The second is told why for as long as it stays; for the third there is no room even for that.
            assert told.reply()["error"]["code"] == "busy"
            assert untold.is_closed()
            assert seen(metrics)['face_login_connections_refused_total{code="busy"}'] == 2


# --- stages, images, builds -----------------------------------------------------------------------------------------


def test_a_stage_is_timed_also_when_it_fails() -> None:
    metrics = Metrics()
    with pytest.raises(NoFace), timed(metrics, Stage.DETECT):
        raise NoFace("nobody")
    with timed(metrics, Stage.DETECT):
        pass
    assert seen(metrics)['face_login_stage_duration_seconds_count{stage="detect"}'] == 2


def test_builds_and_their_failures_are_counted() -> None:
    metrics = Metrics()
    metrics.rebuild(0.2, False)
    metrics.rebuild(3.0, True)
    found = seen(metrics)
    assert found["face_login_index_rebuild_duration_seconds_count"] == 2
    assert found["face_login_index_rebuild_duration_seconds_sum"] == pytest.approx(3.2)
    assert found["face_login_index_rebuild_failures_total"] == 1


# --- gauges ---------------------------------------------------------------------------------------------------------


class Full(StubHandler):
    """A daemon with something to tell in every field."""

    def status(self, *, queue: int, connections: int, requests: int) -> StatusReply:
        told = super().status(queue=queue, connections=connections, requests=requests)
        index = IndexStatus(
            "building",
            5,
            9,
            3,
            built_s=1.7e9,
            error=StorageFull.code,
            configured="auto",
            kind="annoy",
            recall=0.9995,
            recall_at_least=0.999,
            probes=4793,
            misses=1,
            search_k=16000,
            trees=50,
            phase="growing",
            done=0.25,
        )
        return replace(told, subjects=8, templates=20, index=index, store=StoreStatus(100, 200, 300))


def test_gauges_are_read_when_somebody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics, health = Metrics(), Health()
    with serving(observer=metrics, max_buffered_bytes=1 << 20) as running, running.connect() as peer:
        running.server._handler = Full()
        metrics.watch(running.server, health)
        health.serving(running.server)
        peer.send(request(cmd="ping")[:20])
        wait_until(lambda: running.server.held_bytes > 0)
        found = samples(metrics.text().decode())
        names = {name.removeprefix("face_login_"): value for name, value in found.items()}
        expected = {
            "ready": 1,
            'daemon_info{fingerprint="f",model="m",version="v"}': 1,
            "subjects": 8,
            "templates": 20,
            "store_used_bytes": 100,
            "store_limit_bytes": 200,
            "store_disk_free_bytes": 300,
            'index_kind{kind="annoy"}': 1,
            'index_kind{kind="exact"}': 0,
            "index_recall": 0.9995,
            "index_recall_at_least": 0.999,
            "index_search_k": 16000,
            "index_trees": 50,
            "index_build_done": 0.25,
            'index_state{state="building"}': 1,
            'index_state{state="ready"}': 0,
            'index_state{state="absent"}': 0,
            "index_subjects": 5,
            "index_overlay_subjects": 3,
            "index_failed": 1,
            "index_built_timestamp_seconds": 1.7e9,
            "queue_requests": 0,
            "queue_limit_requests": 64,
            "open_connections": 1,
            "open_connections_limit": 256,
            "held_bytes": running.server.held_bytes,
            "held_limit_bytes": 1 << 20,
            "worker_busy_seconds": 0,
        }
        assert {name: names[name] for name in expected} == expected
        peer.socket.shutdown(socket.SHUT_RDWR)


def test_before_there_is_a_server_only_what_is_known_is_told() -> None:
    found = samples(Metrics().text().decode())
    assert found["face_login_ready"] == 0
    assert "face_login_subjects" not in found
    assert found['face_login_requests_total{command="identify",outcome="ok"}'] == 0


def test_at_the_end_the_gallery_is_asked_no_more() -> None:
    metrics, health = Metrics(), Health()
    with serving(observer=metrics) as running:
        metrics.watch(running.server, health)
        health.serving(running.server)
        assert samples(metrics.text().decode())["face_login_ready"] == 1
        running.close()
        found = samples(metrics.text().decode())
        assert found["face_login_ready"] == 0 and "face_login_subjects" not in found
