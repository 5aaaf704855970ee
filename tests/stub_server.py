"""The real server on a real socket with a stub behind it, for tests that are about transport alone."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from certificates import Authority, trusting

from face_server.access import Access
from face_server.config import ServerConfig
from face_server.observing import NOBODY, Observer
from face_server.server import FaceServer
from face_server.types import BoundingBox, DetectedFace
from face_server.wire.framing import FrameDecoder, encode_frame
from face_server.wire.legacy import LegacyAddIndexReply, LegacyReply, LegacyRequest
from face_server.wire.replies import (
    DetectReply,
    ForgetReply,
    IndexStatus,
    RebuildReply,
    Reply,
    StatusReply,
    StepReply,
    SubjectReply,
)
from face_server.wire.requests import Challenge, Detect, Forget, Level, Request, Step

WEB, OPERATOR = "w" * 64, "o" * 64

#: No test waits this long unless it fails.
PATIENCE_S = 60.0

#: What the servers on TCP speak while a test runs: TLS with a certificate of this authority, or, with None, none.
authority: Authority | None = None

FACE = DetectedFace(BoundingBox(1.0, 2.0, 3.0, 4.0), ((1.0, 1.0),) * 5, 0.5)


class StubHandler:
    """Answers `detect` with the size of its image as width, `subject` with its id; blocks while `gate` is shut."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.seen: list[Request | LegacyRequest] = []
        self.faces = 0
        self.raises: BaseException | None = None

    def at_once(self, request: Challenge | Step, level: Level, received_s: float) -> Reply:
        self.seen.append(request)
        return StepReply(0)

    def handle(self, request: Request, level: Level, received_s: float) -> Reply:
        self.seen.append(request)
        self.entered.release()
        self.gate.wait(2 * PATIENCE_S)
        if self.raises is not None:
            raise self.raises
        if isinstance(request, Detect):
            return DetectReply(len(request.image), int(level), (FACE,) * self.faces)
        return SubjectReply(getattr(request, "id", "?"), ())

    def handle_legacy(self, request: LegacyRequest) -> LegacyReply:
        self.seen.append(request)
        return LegacyAddIndexReply()

    def rebuild(self) -> RebuildReply:
        return RebuildReply(1, 0.5)

    def forget(self, request: Forget) -> ForgetReply:
        return ForgetReply((), request.ids, 0, 0, ())

    def status(self, *, queue: int, connections: int, requests: int) -> StatusReply:
        index = IndexStatus("absent", 0, 0, 0)
        return StatusReply("v", 1.0, "m", "f", 512, 0, 0, index, 0.6, queue, connections, requests)


@dataclass
class Running:
    """A server in a thread, and its address."""

    server: FaceServer
    handler: StubHandler
    config: ServerConfig
    address: str
    loop: asyncio.AbstractEventLoop
    closed: threading.Event = field(default_factory=threading.Event)
    #: Until this is set the event loop runs on: what a test asks of a closed server still has an answer.
    released: threading.Event = field(default_factory=threading.Event)
    _closes: list[Future[None]] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.address.rsplit(":", 1)[1])

    def connect(self) -> Peer:
        if self.config.unix_socket is not None:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(PATIENCE_S)
            connection.connect(str(self.config.unix_socket))
            return Peer(connection)
        return Peer(self.secured(socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)))

    def secured(self, connection: socket.socket) -> socket.socket:
        """The same connection, inside TLS where this server speaks it."""
        if authority is None or self.config.tls_cert is None:
            return connection
        with as_connection_errors():
            return trusting(authority.cert).wrap_socket(connection, server_hostname="127.0.0.1")

    def connections(self) -> int:
        return len(self.server._connections)

    def begin_close(self) -> None:
        """Have the server close; `closed` tells when it has."""

        self._closes.append(asyncio.run_coroutine_threadsafe(self.server.close(), self.loop))
        if len(self._closes) == 1:  # a second close returns while the first is still at it
            self._closes[0].add_done_callback(lambda _: self.closed.set())

    def close(self) -> None:
        self.begin_close()
        if not self.closed.wait(PATIENCE_S):
            raise TimeoutError("the server does not close")


@contextmanager
def as_connection_errors() -> Iterator[None]:
    """What a connection that was cut off raises, inside TLS too."""
    try:
        yield
    except ssl.SSLEOFError as error:
        raise ConnectionError(str(error)) from error


class Peer:
    """A client that can misbehave."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._decoder = FrameDecoder(64 << 20)
        self._frames: list[bytes] = []

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        with as_connection_errors():
            self.socket.sendall(data)

    def send_request(self, tail: bytes = b"", token: str | None = OPERATOR, **keys: Any) -> None:
        self.send(request(tail, token, **keys))

    def reply(self) -> dict[str, Any]:
        while not self._frames:
            data = self.socket.recv(1 << 16)
            if not data:
                raise ConnectionError("closed without a word")
            self._frames = self._decoder.feed(data)
        answer: dict[str, Any] = json.loads(self._frames.pop(0))
        return answer

    def ask(self, tail: bytes = b"", token: str | None = OPERATOR, **keys: Any) -> dict[str, Any]:
        self.send_request(tail, token, **keys)
        return self.reply()

    def finish(self) -> None:
        """End the sending side alone; inside TLS too without a word of it."""
        socket.socket.shutdown(self.socket, socket.SHUT_WR)

    def is_closed(self) -> bool:
        """Whether nothing more comes and the server has ended the connection; waits for that."""
        try:
            return not self._frames and not self.socket.recv(1)
        except ConnectionError:
            return True


def request(tail: bytes = b"", token: str | None = OPERATOR, **keys: Any) -> bytes:
    """A frame with these keys, and these bytes after a NUL."""
    head = keys if token is None else {**keys, "token": token}
    return encode_frame(json.dumps(head).encode() + (b"\0" + tail if tail else b""))


def detect(image: bytes, token: str | None = OPERATOR, **keys: Any) -> bytes:
    return request(image, token, cmd="detect", image_bytes=[len(image)], **keys)


def error_of(answer: dict[str, Any]) -> tuple[str, str]:
    """(code, act) of a refusal."""
    if answer["ok"]:
        raise AssertionError(f"not refused: {answer}")
    return answer["error"]["code"], answer["error"]["act"]


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds; fail when it does not come true."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not come true")
        time.sleep(0.005)


def _wait_for_the_accepted(running: Running) -> None:
    """Connections are served in the order they came: when one more has an answer, all others have been met."""
    with suppress(OSError), running.connect() as last:
        last.ask(cmd="ping")


@contextmanager
def serving(
    unix_socket: Path | None = None, without_token: Level | None = None, observer: Observer = NOBODY, **changes: Any
) -> Iterator[Running]:
    """A server with these settings, closed at the end."""
    if authority is not None and unix_socket is None:
        changes = authority.here.settings | changes
    config = replace(ServerConfig(port=0, shutdown_timeout_s=5.0), unix_socket=unix_socket, **changes)
    handler = StubHandler()
    ready: list[Running] = []
    started = threading.Event()
    failures: list[BaseException] = []
    noise: list[dict[str, Any]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: noise.append(context))
        server = FaceServer(handler, Access(WEB, OPERATOR, without_token), config, observer)
        running = Running(server, handler, config, await server.start(), loop)
        ready.append(running)
        started.set()
        while not running.released.is_set():
            await asyncio.sleep(0.01)

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 - raised in the test's thread
            failures.append(error)
        finally:
            started.set()

    thread = threading.Thread(target=run)
    thread.start()
    started.wait(PATIENCE_S)
    if failures:
        thread.join()
        raise failures[0]
    try:
        yield ready[0]
    finally:
        handler.gate.set()
        _wait_for_the_accepted(ready[0])
        try:
            ready[0].close()
        finally:
            ready[0].released.set()
            thread.join(PATIENCE_S)
    if failures or noise:
        raise RuntimeError(f"the event loop was left something: {failures} {noise}")
