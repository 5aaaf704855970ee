"""What a connection may cost, and that everything it held is given back however it ends."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from stub_server import PATIENCE_S, Peer, Running, detect, error_of, request, serving, wait_until

from face_server.wire.framing import encode_frame

pytestmark = pytest.mark.usefixtures("transport")

MIB = 1 << 20


def resident() -> int:
    return psutil.Process().memory_info().rss


def all_is_given_back(running: Running) -> bool:
    return running.connections() == 0 and running.server.held_bytes == 0


def test_a_connection_too_many_is_told_busy_and_a_place_is_free_again_after_a_close() -> None:
    with serving(max_connections=2) as running:
        with running.connect() as one, running.connect() as two:
            assert one.ask(cmd="ping")["ok"]
            assert two.ask(cmd="ping")["ok"]
            with running.connect() as third:
                answer = third.reply()
                assert error_of(answer) == ("busy", "operator")
                assert answer["seq"] is None
                assert third.is_closed()
            assert one.ask(cmd="ping")["ok"]
        wait_until(lambda: running.connections() == 0)
        with running.connect() as again:
            assert again.ask(cmd="ping")["ok"]


def test_pings_challenges_and_steps_are_answered_while_the_worker_is_at_work() -> None:
    """The steps of a challenge have the time at which they came, not that of others' requests."""
    with serving() as running, running.connect() as busy, running.connect() as other:
        running.handler.gate.clear()
        busy.send(detect(b"1"))
        running.handler.entered.acquire()
        for asked in (
            {"cmd": "ping"},
            {"cmd": "challenge", "purpose": "verify"},
            {"cmd": "step", "challenge": "c", "step": 0, "sha256s": ["0" * 64]},
        ):
            assert other.ask(**asked)["ok"]
        running.handler.gate.set()
        assert busy.reply()["ok"]


def test_those_who_are_being_told_busy_are_limited_too() -> None:
    with serving(max_connections=3) as running, ExitStack() as stack:
        for _ in range(3):
            assert stack.enter_context(running.connect()).ask(cmd="ping")["ok"]
        late: list[Peer] = []
        outcomes = []
        for _ in range(12):
            try:
                late.append(stack.enter_context(running.connect()))
            except ConnectionError:  # inside TLS it shows already here
                outcomes.append("cut off")
        for peer in late:
            try:
                outcomes.append(error_of(peer.reply())[0])
            except ConnectionError:
                outcomes.append("cut off")
        assert outcomes.count("cut off") >= 6
        assert set(outcomes) == {"busy", "cut off"}


def test_connections_without_a_token_keep_nobody_out() -> None:
    with serving(max_connections=4) as running, ExitStack() as stack:
        known = stack.enter_context(running.connect())
        assert known.ask(cmd="ping")["ok"]
        strangers = [stack.enter_context(running.connect()) for _ in range(3)]
        strangers[1].send(b"\0\0")  # half a length
        assert error_of(strangers[2].ask(token="wrong", cmd="ping"))[0] == "unauthorised"
        for stranger in strangers:  # the oldest goes first
            late = stack.enter_context(running.connect())
            assert late.ask(cmd="ping")["ok"]
            assert stranger.is_closed()
        assert error_of(stack.enter_context(running.connect()).reply())[0] == "busy"
        assert known.ask(cmd="ping")["ok"]
        wait_until(lambda: running.connections() == 4)


def test_a_connection_whose_request_is_in_work_keeps_its_place() -> None:
    with serving(max_connections=1) as running, running.connect() as working:
        running.handler.gate.clear()
        working.send(detect(b"abc"))
        running.handler.entered.acquire()
        with running.connect() as late:
            assert error_of(late.reply())[0] == "busy"
        running.handler.gate.set()
        assert working.reply()["width"] == 3


def test_a_full_queue_is_busy_at_once_while_ping_and_status_are_answered() -> None:
    with serving(queue_size=1) as running, ExitStack() as stack:
        running.handler.gate.clear()
        working, waiting, late = (stack.enter_context(running.connect()) for _ in range(3))
        working.send(detect(b"a"))
        running.handler.entered.acquire()
        waiting.send(detect(b"ab"))
        wait_until(lambda: running.server._worker.waiting == 1)
        assert error_of(late.ask(b"abc", cmd="detect", image_bytes=[3])) == ("busy", "operator")
        assert late.ask(cmd="ping")["ready"] is True
        status = late.ask(cmd="status")
        assert (status["queue"], status["connections"], status["requests"]) == (1, 3, 5)
        running.handler.gate.set()
        assert [working.reply()["width"], waiting.reply()["width"]] == [1, 2]
        assert late.ask(b"abc", cmd="detect", image_bytes=[3])["width"] == 3


def test_a_length_of_4_gb_costs_no_memory() -> None:
    with serving() as running:
        before = resident()
        for _ in range(20):
            with running.connect() as peer:
                peer.send(b"\xff\xff\xff\xff" + bytes(1000))
                assert error_of(peer.reply())[0] == "frame_too_large"
        assert resident() - before < 32 * MIB


def test_an_allowed_length_costs_only_the_bytes_that_came() -> None:
    with serving() as running, ExitStack() as stack:
        before = resident()
        for _ in range(50):
            stack.enter_context(running.connect()).send((32 * MIB).to_bytes(4, "big") + b"{")
        wait_until(lambda: running.server.held_bytes == 50 * 5)
        assert resident() - before < 32 * MIB


def test_above_the_budget_of_bytes_the_largest_half_request_is_broken_off_and_the_others_are_served() -> None:
    with serving(max_buffered_bytes=2 * MIB) as running, ExitStack() as stack:
        holder, late, small = (stack.enter_context(running.connect()) for _ in range(3))
        holder.send(detect(bytes(3 * MIB))[: 2 * MIB - 1000])
        wait_until(lambda: running.server.held_bytes >= 2 * MIB - 1004)
        assert late.ask(bytes(MIB), cmd="detect", image_bytes=[MIB])["width"] == MIB
        holder.send(bytes(1000))
        answer = holder.reply()
        assert error_of(answer) == ("busy", "operator")
        assert answer["seq"] is None
        assert holder.is_closed()
        assert small.ask(cmd="ping")["ok"]
        assert small.ask(cmd="status")["ok"]
        assert small.ask(bytes(1000), cmd="detect", image_bytes=[1000])["ok"]
        wait_until(lambda: running.server.held_bytes == 0)


def test_a_single_request_that_alone_passes_the_budget_is_busy() -> None:
    with serving(max_buffered_bytes=2 * MIB) as running, running.connect() as peer:
        peer.send(detect(bytes(3 * MIB)))
        assert error_of(peer.reply()) == ("busy", "operator")
        assert peer.is_closed()


def vanish_in_a_header(peer: Peer) -> None:
    peer.send(b"\0\0")


def vanish_in_a_body(peer: Peer) -> None:
    peer.send(detect(bytes(MIB))[:-1])


def vanish_before_the_reply(peer: Peer) -> None:
    peer.send(detect(bytes(MIB)))


def reset(peer: Peer) -> None:
    peer.send(detect(bytes(MIB))[:-1])
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def break_the_framing(peer: Peer) -> None:
    peer.send(request(cmd="ping") + b"\xff\xff\xff\xff" + bytes(1000))
    assert peer.reply()["ok"]
    error_of(peer.reply())


def be_late_in_a_body(peer: Peer) -> None:
    peer.send(detect(bytes(MIB))[:-1])
    assert error_of(peer.reply())[0] == "timed_out"
    assert peer.is_closed()


def be_malformed(peer: Peer) -> None:
    peer.send(encode_frame(b"x" * 200_000))
    assert error_of(peer.reply())[0] == "malformed"


def be_answered(peer: Peer) -> None:
    peer.send(detect(bytes(3 * MIB)))
    assert peer.reply()["ok"]


def pass_the_budget(peer: Peer) -> None:
    peer.send(detect(bytes(5 * MIB)))
    assert error_of(peer.reply())[0] == "busy"


ENDINGS: list[Callable[[Peer], None]] = [
    vanish_in_a_header,
    vanish_in_a_body,
    vanish_before_the_reply,
    reset,
    break_the_framing,
    be_late_in_a_body,
    be_malformed,
    be_answered,
    pass_the_budget,
]


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.__name__)
def test_the_bytes_a_connection_held_are_given_back_however_it_ends(ending: Callable[[Peer], None]) -> None:
    with serving(max_buffered_bytes=4 * MIB, body_timeout_s=0.3) as running:
        for _ in range(3):
            with running.connect() as peer:
                ending(peer)
        wait_until(lambda: all_is_given_back(running))


def test_an_open_connection_holds_nothing_after_its_reply() -> None:
    with serving() as running, running.connect() as peer:
        assert peer.ask(bytes(MIB), cmd="detect", image_bytes=[MIB])["ok"]
        wait_until(lambda: running.server.held_bytes == 0)


def unread(running: Running) -> socket.socket:
    """A connection whose client has almost no room for replies."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(PATIENCE_S)
    connection.connect(("127.0.0.1", running.port))
    return running.secured(connection)


def test_a_client_that_never_reads_is_cut_off_and_frees_its_place() -> None:
    with serving(write_timeout_s=0.3, max_connections=1) as running, unread(running) as connection:
        running.handler.faces = 50_000  # a reply of 4 MB
        connection.sendall(detect(b"x") * 3)
        wait_until(lambda: running.connections() == 1)
        wait_until(lambda: all_is_given_back(running))
        running.handler.faces = 0
        with running.connect() as honest:
            assert honest.ask(cmd="ping")["ok"]


def test_the_unread_rest_of_a_small_reply_outlives_no_connection() -> None:
    """Replies that fit the server's own buffer but not the system's must not keep a closed connection's socket."""
    with serving(write_timeout_s=0.3, idle_timeout_s=0.3) as running:
        before = descriptors()
        with unread(running) as connection:
            running.handler.faces = 100  # 8 kB a reply, far less than the 64 kB that asyncio buffers by itself
            connection.sendall(detect(b"x"))
            running.handler.entered.acquire()
            (served,) = running.server._connections
            transport = served._plain[1].transport
            while not transport.get_write_buffer_size() and not transport.is_closing():
                connection.sendall(detect(b"x"))
                running.handler.entered.acquire(timeout=0.2)
            wait_until(lambda: all_is_given_back(running))
            wait_until(lambda: descriptors() <= before + 1)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_200_bad_connections_leave_no_descriptor_and_no_thread() -> None:
    def deal_out(running: Running, n: int) -> None:
        with running.connect() as peer:
            match n % 5:
                case 0:
                    peer.send(b"\xff\xff\xff\xff")
                    error_of(peer.reply())
                case 1:
                    peer.send(detect(b"abc")[:-1])
                case 2:
                    peer.send(detect(b"abc"))
                case 3:
                    peer.send(encode_frame(os.urandom(50)))
                    error_of(peer.reply())
                case 4:
                    peer.send(detect(bytes(2 * MIB)))  # long enough to be read in a thread

    with serving() as running:
        deal_out(running, 4)
        wait_until(lambda: all_is_given_back(running))
        before, threads = descriptors(), threading.active_count()
        for n in range(200):
            deal_out(running, n)
        wait_until(lambda: all_is_given_back(running))
        wait_until(lambda: descriptors() <= before)
        wait_until(lambda: threading.active_count() <= threads)


def test_between_two_frames_of_one_client_all_others_have_their_turn() -> None:
    """A read may hold thousands of frames whose answers wait for nothing."""
    with serving() as running, running.connect() as flood:
        answered, most, frames = 0, 0, 5000
        real = running.server.answer

        async def counted(content: bytes, peer: str) -> bytes:
            nonlocal answered
            answered += 1
            return await real(content, peer)

        async def watch() -> None:
            nonlocal most
            while answered < frames:
                before = answered
                await asyncio.sleep(0)
                most = max(most, answered - before)

        running.server.answer = counted
        watching = asyncio.run_coroutine_threadsafe(watch(), running.loop)
        flood.send(bytes(4 * frames))
        watching.result(PATIENCE_S)
        assert most == 1
