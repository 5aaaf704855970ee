"""The HTTP side for monitors: /metrics, /healthz, /readyz, and nothing else. Knows HTTP, no metrics and no faces.

It runs in a thread and an event loop of its own, so that it answers while the daemon starts and while the daemon's own
loop is stuck. Written here because Python's http.server, which prometheus_client would start, gives every connection a
thread and no deadline. Whoever can reach it is taken for hostile: one short request per connection, few connections,
one deadline over everything, and what costs work is done once a second at most.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Self

from face_server.config import MetricsConfig
from face_server.errors import ConfigError
from face_server.health import Health
from face_server.listening import is_loopback

log = logging.getLogger(__name__)

#: A scraper, a supervisor and a curious operator need three.
MAX_CONNECTIONS = 16
#: Prometheus sends some 300 bytes.
MAX_HEAD_BYTES = 4096
#: From the first moment of a connection to its last.
DEADLINE_S = 5.0
#: Prometheus asks every 15 s or so; who asks more often is given the same text again.
FRESH_S = 1.0

_REQUEST = re.compile(rb"([A-Z]{1,16}) (/[ -~]{0,200}) HTTP/1\.[01]\r\n")
_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and its type."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


def listen_address(config: MetricsConfig) -> tuple[str, int]:
    """Host and port of [metrics] listen. Raises ConfigError where it is none, or others could reach it unasked for."""
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]\s]+):([0-9]{1,5})", config.listen)
    if found is None or int(found[2]) > 65535:
        raise ConfigError(f"[metrics] listen = {config.listen} is no address:port such as 127.0.0.1:9464")
    host = found[1].strip("[]")
    if not config.exposed and not is_loopback(host):
        raise ConfigError(
            f"[metrics] listen = {config.listen} is not a loopback address, and what is told there is for your monitor "
            "alone: use 127.0.0.1, or set [metrics] exposed = true if only your monitor's network reaches it"
        )
    return host, int(found[2])


class Probes:
    """Answers monitors from a thread of its own while it is open; a context manager."""

    def __init__(self, config: MetricsConfig, health: Health, text: Callable[[], bytes], content_type: str) -> None:
        self._host, self._port = listen_address(config)
        self._health = health
        self._text, self._content_type = text, content_type
        self._kept: tuple[float, Answer] = (-FRESH_S, Answer(503, b""))
        self._rendering = asyncio.Lock()
        self._open = 0
        self._stop = asyncio.Event()
        self._listening: Future[tuple[asyncio.AbstractEventLoop, str]] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="probes", daemon=True)

    def __enter__(self) -> Self:
        """Listen. Raises ConfigError when the address cannot be used."""
        self._thread.start()
        self._loop, self.address = self._listening.result()
        log.info("metrics on http://%s/metrics", self.address)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(DEADLINE_S)

    async def _main(self) -> None:
        try:
            listener = await asyncio.start_server(self._accept, self._host, self._port, limit=MAX_HEAD_BYTES)
        except (OSError, UnicodeError) as error:
            where = f"{self._host}:{self._port}"
            self._listening.set_exception(ConfigError(f"[metrics] listen: cannot listen on {where}: {error}"))
            return
        host, port = listener.sockets[0].getsockname()[:2]
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._listening.set_result((asyncio.get_running_loop(), address))
        await self._stop.wait()
        listener.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        self._open += 1
        try:
            async with asyncio.timeout(DEADLINE_S):
                await self._serve(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            writer.transport.abort()
        finally:
            self._open -= 1

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            answer, with_body = Answer(431, b"the head of a request has at most 4096 bytes\n"), True
        else:
            answer, with_body = await self._answer(head), not head.startswith(b"HEAD ")
        writer.write(_encoded(answer, with_body))
        writer.close()
        await writer.wait_closed()

    async def _answer(self, head: bytes) -> Answer:
        found = _REQUEST.match(head)
        if found is None:
            return Answer(400, b"this is no HTTP/1.1 request\n")
        method, target = found.groups()
        paths: dict[bytes, Callable[[], Awaitable[Answer]]] = {
            b"/metrics": self._metrics,
            b"/healthz": lambda: self._word(self._health.not_alive, "alive"),
            b"/readyz": lambda: self._word(self._health.not_ready, "ready"),
        }
        answer = paths.get(target.partition(b"?")[0])
        if answer is None:
            return Answer(404, b"here are /metrics, /healthz and /readyz\n")
        if method not in (b"GET", b"HEAD"):
            return Answer(405, b"only GET and HEAD\n")
        try:
            return await answer()
        except Exception:  # the log gets what is unforeseen; the daemon goes on
            log.exception("a monitor could not be answered")
            return Answer(500, b"the log tells why\n")

    async def _metrics(self) -> Answer:
        async with self._rendering:  # those who ask meanwhile get the same
            at_s, kept = self._kept
            if time.monotonic() - at_s >= FRESH_S:
                kept = Answer(200, await asyncio.to_thread(self._text), self._content_type)
                self._kept = time.monotonic(), kept
        return kept

    async def _word(self, problem: Callable[[], str | None], fine: str) -> Answer:
        found = await asyncio.to_thread(problem)
        return Answer(200, f"{fine}\n".encode()) if found is None else Answer(503, f"{found}\n".encode())


def _encoded(answer: Answer, with_body: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        *(["Allow: GET, HEAD"] if answer.status == 405 else []),
        "Connection: close",
        "\r\n",
    ]
    return "\r\n".join(lines).encode("ascii") + (answer.body if with_body else b"")
