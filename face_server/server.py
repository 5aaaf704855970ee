"""The daemon's socket side: accept, dispatch, back-pressure, graceful close. Knows messages, not faces.

The event loop only moves bytes (see `connection`). A request is parsed and admitted here, then handed to the worker;
`ping`, `status`, `challenge` and `step` are answered at once, so that a daemon with a full queue can still be asked how
it is, and the steps of a challenge have the time at which they came.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import ssl
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from face_server import __version__
from face_server.access import Access
from face_server.certificates import daemon_context
from face_server.config import ServerConfig
from face_server.connection import Connection
from face_server.errors import Busy, ConfigError, Internal, ShuttingDown, WireError
from face_server.listening import bind_unix, require_guarded
from face_server.logs import about_request, debug_switch
from face_server.notify import ALIVE, READY, STOPPING, notify, watchdog_s
from face_server.observing import NOBODY, Observer
from face_server.wire.legacy import (
    LegacyReply,
    LegacyRequest,
    encode_legacy_error,
    encode_legacy_reply,
    parse_legacy_request,
)
from face_server.wire.messages import encode_error, encode_reply, parse_request
from face_server.wire.replies import ForgetReply, LoadStatus, PingReply, RebuildReply, Reply, StatusReply
from face_server.wire.requests import (
    Challenge,
    Envelope,
    Forget,
    Level,
    Limits,
    Ping,
    Rebuild,
    Refused,
    Request,
    Status,
    Step,
    required_level,
)
from face_server.worker import Worker, run_aside

log = logging.getLogger(__name__)

#: Reading a frame of 32 MiB takes a tenth of a second (base64 longer), in which the loop would move nobody's bytes.
PARSE_INLINE_BYTES = 1 << 20

#: A supervisor that signals a whole process group reaches us twice in a moment; only a later second signal is a wish.
SECOND_SIGNAL_S = 1.0


class Handler(Protocol):
    """What the server serves. `handle` and `handle_legacy` run in the worker thread, `rebuild` and `forget` in one of
    their own, `status` and `at_once` in the event loop, so they must be quick. All raise WireError for what they
    refuse. received_s is when a request was there, by the monotonic clock."""

    def at_once(self, request: Challenge | Step, level: Level, received_s: float) -> Reply: ...
    def handle(self, request: Request, level: Level, received_s: float) -> Reply: ...
    def handle_legacy(self, request: LegacyRequest) -> LegacyReply: ...
    def rebuild(self) -> RebuildReply: ...
    def forget(self, request: Forget) -> ForgetReply: ...
    def status(self, *, queue: int, connections: int, requests: int) -> StatusReply: ...


class FaceServer:
    """Serves a handler on a TCP address or a Unix socket. Use `start`, then `close`; both are idempotent in effect."""

    def __init__(self, handler: Handler, access: Access, config: ServerConfig, observer: Observer = NOBODY) -> None:
        self._handler = handler
        self.observer = observer
        self._access = access
        self._config = config
        self._limits = Limits(config.max_images, config.max_image_bytes)
        self._worker = Worker(config.queue_size, config.queue_timeout_s)
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        self._listener: asyncio.Server | None = None
        self._tls: ssl.SSLContext | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._refusing = 0
        self._requests = 0
        #: Set by close(): what is in hand is finished, nothing new is begun.
        self.closing = False
        #: Bytes of requests that are half-received, waiting or in work.
        self.held_bytes = 0

    async def start(self) -> str:
        """Listen; returns the address in words. Raises ConfigError when the address may not or cannot be used."""
        config = self._config
        self._loop = asyncio.get_running_loop()
        try:
            if config.unix_socket is not None:
                self._listener = await asyncio.start_unix_server(self._accept, sock=bind_unix(config.unix_socket))
                return str(config.unix_socket)
            require_guarded(config)
            self._tls = daemon_context(config)
            self._listener = await asyncio.start_server(self._accept, config.host, config.port)
        except OSError as error:
            where = config.unix_socket or f"{config.host}:{config.port}"
            raise ConfigError(f"cannot listen on {where}: {error}") from error
        host, port = self._listener.sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    def renew_certificate(self) -> None:
        """Read the certificate anew; open connections keep theirs, and one that cannot be used changes nothing."""
        try:
            self._tls = daemon_context(self._config)
        except ConfigError as error:
            log.error("the certificate stays as it was: %s", error)

    async def close(self) -> None:
        """Stop accepting, finish what is in hand within shutdown_timeout_s, then cut off the rest."""
        if self.closing:
            return
        self.closing = True
        if self._listener is not None:
            self._listener.close()
            if self._config.unix_socket is not None:
                self._config.unix_socket.unlink(missing_ok=True)
        for connection, task in self._connections.items():
            # A connection without a request in hand has nothing to finish.
            if not connection.in_hand:
                task.cancel()
        deadline = time.monotonic() + self._config.shutdown_timeout_s
        tasks = list(self._connections.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._config.shutdown_timeout_s)
            for task in late:
                task.cancel()
            if late:
                log.warning("%d requests were cut off after %.1f s", len(late), self._config.shutdown_timeout_s)
                await asyncio.wait(late)
        left = max(0.1, deadline - time.monotonic())
        if not await asyncio.to_thread(self._worker.close, left):
            log.warning("the worker did not finish in time")

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(self, reader, writer, self._config, self._tls)
        # Cancelled while it closes: asyncio would log that as a failure.
        with suppress(asyncio.CancelledError):
            if self.closing or not self._has_place():
                await self._turn_away(connection)
            else:
                await self._serve(connection)

    def _has_place(self) -> bool:
        """Whether one more connection may be served. Where all places are taken the oldest connection that no token has
        been seen on gives way: who opens many and says nothing keeps nobody out."""
        if len(self._connections) < self._config.max_connections:
            return True
        for connection in self._connections:
            if not (connection.known or connection.in_hand or connection.gave_way):
                connection.give_way()
                return True
        return False

    async def _serve(self, connection: Connection) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a connection is served by a task")
        self._connections[connection] = task
        try:
            await connection.serve()
        finally:
            del self._connections[connection]

    async def _turn_away(self, connection: Connection) -> None:
        # Those who are being told why are limited too, else the limit on connections would be none.
        if self._refusing >= self._config.max_connections:
            self.observer.connection_refused(Busy.code)
            connection.cut_off()
            return
        self._refusing += 1
        try:
            await connection.refuse(
                ShuttingDown("the daemon is stopping; ask again when it is back")
                if self.closing
                else Busy(f"{self._config.max_connections} connections are open already; ask again in a moment")
            )
        finally:
            self._refusing -= 1

    def status(self) -> StatusReply:
        """How the daemon is; quick, from any thread."""
        config, worker = self._config, self._worker
        told = self._handler.status(queue=worker.waiting, connections=len(self._connections), requests=self._requests)
        load = LoadStatus(
            config.queue_size, config.max_connections, self.held_bytes, config.max_buffered_bytes, worker.busy_s
        )
        return replace(told, load=load)

    @property
    def busy_s(self) -> float:
        """For how long the worker has been at its request; 0 without one."""
        return self._worker.busy_s

    def turns(self, within_s: float) -> bool:
        """Whether the event loop turns, found out from another thread."""
        turned = threading.Event()
        try:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(turned.set)
        except RuntimeError:  # it has ended
            return False
        return turned.wait(within_s)

    def make_room(self) -> None:
        """Break off the largest half-received requests until the budget holds: who sends little is not shut out by
        those who send much and never finish."""
        while self.held_bytes > self._config.max_buffered_bytes:
            receiving = [connection for connection in self._connections if connection.held and not connection.in_hand]
            if not receiving:
                return
            max(receiving, key=lambda connection: connection.held).break_off()

    async def answer(self, content: bytes, peer: str) -> tuple[bytes, bool]:
        """The content of the reply to the content of a frame, and whether the request was let in. Raises nothing: every
        failure has an answer."""
        received_s = time.monotonic()
        try:
            parsed = await self._parse(content)
        except Exception:  # noqa: BLE001 - the log gets it with its incident
            parsed = Refused(None, _incident(peer, "reading a request"))
        with about_request(parsed.seq):
            log.debug("%s sent a request of %d bytes", peer, len(content), extra={"peer": peer})
            return await self._answer(parsed, peer, received_s)

    async def _answer(self, parsed: Envelope | Refused, peer: str, received_s: float) -> tuple[bytes, bool]:
        if isinstance(parsed, Refused):
            code = parsed.error.code
            log.info("%s refused: %s", peer, code, extra={"peer": peer, "outcome": code})
            self.observer.request(parsed.cmd or "none", code)
            return encode_error(parsed.seq, parsed.error), False
        reply = await self._logged(
            peer,
            parsed.request.cmd,
            lambda: self._reply(parsed, received_s),
            lambda error: encode_error(parsed.seq, error),
        )
        return reply, True

    async def _parse(self, content: bytes) -> Envelope | Refused:
        if len(content) <= PARSE_INLINE_BYTES:
            return parse_request(content, self._limits, self._access.admit)
        return await asyncio.wrap_future(run_aside(lambda: parse_request(content, self._limits, self._access.admit)))

    async def answer_legacy(self, content: bytes, peer: str) -> bytes:
        """As `answer`, for the first generation's dialect."""
        try:
            request = parse_legacy_request(content)
        except Exception as failure:  # noqa: BLE001 - the log gets what is unforeseen
            error = failure if isinstance(failure, WireError) else _incident(peer, "reading a request")
            log.info("%s refused: %s", peer, error.code, extra={"peer": peer, "outcome": error.code})
            self.observer.request("none", error.code)
            return encode_legacy_error(error)

        async def reply() -> bytes:
            future = self._worker.submit(lambda: self._handler.handle_legacy(request))
            return encode_legacy_reply(await asyncio.wrap_future(future))

        return await self._logged(peer, f"legacy {request.cmd}", reply, encode_legacy_error)

    async def _logged(
        self,
        peer: str,
        command: str,
        reply: Callable[[], Awaitable[bytes]],
        refuse: Callable[[WireError], bytes],
    ) -> bytes:
        """The reply, with one line in and one line out; an unforeseen failure is `internal`, never success."""
        self._requests += 1
        fields = {"peer": peer, "command": command}
        log.info("%s %s ...", peer, command, extra=fields)
        started = time.monotonic()
        outcome = "abandoned"
        try:
            content = await reply()
            outcome = "ok"
            return content
        except Exception as failure:  # noqa: BLE001 - the log gets what is unforeseen
            error = failure if isinstance(failure, WireError) else _incident(peer, command)
            outcome = error.code
            return refuse(error)
        finally:
            seconds = time.monotonic() - started
            ms = round(seconds * 1000, 1)
            log.info("%s %s %s %.1f ms", peer, command, outcome, ms, extra=fields | {"outcome": outcome, "ms": ms})
            self.observer.request(command, outcome, seconds)

    async def _reply(self, envelope: Envelope, received_s: float) -> bytes:
        return encode_reply(envelope.seq, await self._dispatch(envelope, received_s))

    async def _dispatch(self, envelope: Envelope, received_s: float) -> Reply:
        request = envelope.request
        level = self._access.admit(envelope.token, required_level(request))
        match request:
            case Ping():
                return PingReply(__version__, ready=not self.closing)
            case Status():
                return self.status()
            case Challenge() | Step():
                if self.closing:
                    raise ShuttingDown("the daemon is stopping; ask again when it is back")
                return self._handler.at_once(request, level, received_s)
            case Rebuild():
                return await asyncio.wrap_future(run_aside(self._handler.rebuild))
            case Forget():
                return await asyncio.wrap_future(run_aside(lambda: self._handler.forget(request)))
        handled = self._worker.submit(lambda: self._handler.handle(request, level, received_s))
        return await asyncio.wrap_future(handled)


def _incident(peer: str, command: str) -> Internal:
    """What to answer to the exception in hand; the log tells more under its id."""
    incident = secrets.token_hex(8)
    fields = {"peer": peer, "command": command, "incident": incident}
    log.exception("%s %s failed, incident %s", peer, command, incident, extra=fields)
    return Internal("the daemon failed; its log tells more under this id", id=incident)


def serve_until_signalled(
    handler: Handler,
    access: Access,
    config: ServerConfig,
    ready: Callable[[str, FaceServer], None],
    observer: Observer = NOBODY,
) -> None:
    """Serve until SIGTERM or SIGINT, then close gracefully; a second signal ends the process at once.

    `ready` is called with the address and the server once connections are accepted. Raises ConfigError as
    `FaceServer.start`.
    """
    asyncio.run(_serve_until_signalled(handler, access, config, ready, observer))


async def _serve_until_signalled(
    handler: Handler,
    access: Access,
    config: ServerConfig,
    ready: Callable[[str, FaceServer], None],
    observer: Observer,
) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    first_s = 0.0

    def on_signal(number: int) -> None:
        nonlocal first_s
        if not stop.is_set():
            first_s = time.monotonic()
            log.info("%s: finishing what is in hand", signal.Signals(number).name)
            stop.set()
        elif time.monotonic() - first_s > SECOND_SIGNAL_S:
            # Asked again: go, by the system's own handler.
            loop.remove_signal_handler(number)
            os.kill(os.getpid(), number)

    server = FaceServer(handler, access, config, observer)
    address = await server.start()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    loop.add_signal_handler(signal.SIGUSR1, debug_switch())
    if config.tls_cert is not None:
        loop.add_signal_handler(signal.SIGHUP, server.renew_certificate)
    ready(address, server)
    notify(READY)
    beat = asyncio.create_task(_beat(server))
    await stop.wait()
    notify(STOPPING)
    await server.close()
    beat.cancel()


async def _beat(server: FaceServer) -> None:
    """Tell a service manager that watches that we live, only while the event loop and the worker respond."""
    within_s = watchdog_s()
    while within_s is not None:
        if server.busy_s < within_s:
            notify(ALIVE)
        else:
            log.error("the worker is at one request for over %.0f s; no sign of life is given", within_s)
        await asyncio.sleep(within_s / 3)
