"""What a service manager hears: ready after the start, alive only while the worker responds, stopping at the end."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import pytest
from daemons import LIGHT, start_daemon
from stub_server import PATIENCE_S, detect, serving, wait_until

from face_server.notify import ALIVE, READY, STOPPING, notify, watchdog_s
from face_server.server import _beat


class Manager:
    """The socket of a service manager, as systemd has one."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(PATIENCE_S)

    def hears(self) -> str:
        """The next word; waits for it."""
        return self.socket.recv(4096).decode()

    def has_heard(self) -> list[str]:
        """What has come and was not asked for yet."""
        words = []
        self.socket.setblocking(False)
        try:
            while True:
                words.append(self.socket.recv(4096).decode())
        except BlockingIOError:
            return words
        finally:
            self.socket.settimeout(PATIENCE_S)


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    manager = Manager(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
    yield manager
    manager.socket.close()


def test_a_word_is_one_datagram(manager: Manager) -> None:
    notify(READY)
    notify(STOPPING)
    assert [manager.hears(), manager.hears()] == ["READY=1", "STOPPING=1"]


def test_an_abstract_address_is_reached_too(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = Manager(f"@face-login-test-{os.getpid()}")
    monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
    notify(READY)
    assert manager.hears() == "READY=1"
    manager.socket.close()


def test_without_a_service_manager_nothing_is_sent_and_without_an_ear_nothing_breaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify(READY)
    assert caplog.text == ""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    notify(READY)
    assert "was not told READY=1" in caplog.text


@pytest.mark.parametrize(
    ("microseconds", "process", "expected"),
    [
        (None, None, None),
        ("120000000", None, 120.0),
        ("120000000", "own", 120.0),
        ("120000000", "1", None),
        ("0", None, None),
        ("soon", None, None),
        ("-5", None, None),
    ],
)
def test_the_watchdog_s_time_is_read_only_where_it_is_meant_for_this_process(
    monkeypatch: pytest.MonkeyPatch, microseconds: str | None, process: str | None, expected: float | None
) -> None:
    given = {"WATCHDOG_USEC": microseconds, "WATCHDOG_PID": str(os.getpid()) if process == "own" else process}
    for name, value in given.items():
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    assert watchdog_s() == expected


def test_signs_of_life_stop_while_the_worker_is_stuck_and_come_again_after(
    manager: Manager, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "50000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    with serving() as running, running.connect() as peer:
        beating = asyncio.run_coroutine_threadsafe(_beat(running.server), running.loop)
        assert manager.hears() == ALIVE
        running.handler.gate.clear()
        peer.send(detect(b"a"))
        running.handler.entered.acquire()
        with caplog.at_level(logging.ERROR):
            wait_until(lambda: "no sign of life" in caplog.text)
        manager.has_heard()  # what was said before it was stuck for long enough
        seen = caplog.text.count("no sign of life")
        wait_until(lambda: caplog.text.count("no sign of life") > seen)
        assert manager.has_heard() == []
        running.handler.gate.set()
        assert peer.reply()["ok"]
        assert manager.hears() == ALIVE
        beating.cancel()
        with pytest.raises(CancelledError):
            beating.result(PATIENCE_S)


def test_nobody_watches_without_a_watchdog(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    with serving() as running:
        asyncio.run_coroutine_threadsafe(_beat(running.server), running.loop).result(PATIENCE_S)
    assert manager.has_heard() == []


def test_the_daemon_tells_ready_alive_and_stopping_in_this_order(tmp_path: Path, manager: Manager) -> None:
    daemon = start_daemon(tmp_path / "daemon", LIGHT, environment={"WATCHDOG_USEC": "60000000"})
    assert [manager.hears(), manager.hears()] == [READY, ALIVE]
    assert daemon.stop() == 0
    assert manager.hears() == STOPPING
