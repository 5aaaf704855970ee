"""How a log line looks, for people or as JSON, and which request it is about. Knows no socket and no event loop.

Whatever somebody else has put into a line, it stays one line, and begins as a line of ours. Fields of a JSON line come
from the short list below alone: an image, a vector, a score or a token has no place among them.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from logging.handlers import MemoryHandler
from typing import Any

from face_server.config import LogConfig

log = logging.getLogger(__name__)

#: What a call may tell beside its message, by `extra`.
FIELDS = ("peer", "command", "outcome", "ms", "incident")

#: A `seq` that looks like this is taken for the caller's own name of the request; any other text stays out of the log.
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

HELD_LINES = 1000

_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class HumanLines(logging.Formatter):
    """Time, level, logger, message; in brackets the request's id. What follows of a traceback is indented."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        asked = _request_id.get()
        return super().formatMessage(record) + (f" [{asked}]" if asked else "")

    def format(self, record: logging.LogRecord) -> str:
        return "\n    ".join(_printable(line) for line in super().format(record).split("\n"))


class JsonLines(logging.Formatter):
    """One JSON object a line, ASCII: time (ISO 8601, UTC), level, logger, message, the fields that are known, and the
    traceback as `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: vars(record)[name] for name in FIELDS if name in vars(record)},
        }
        if asked := _request_id.get():
            line["request_id"] = asked
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def set_up(config: LogConfig) -> None:
    """Write the log to standard error from now on, unless a program around us writes it already.

    Below info only our own loggers speak: libraries tell too much.
    """
    if logging.getLogger().handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if config.format == "json" else HumanLines())
    level = logging.getLevelName(config.level.upper())
    logging.basicConfig(level=max(level, logging.INFO), handlers=[handler])
    logging.getLogger("face_server").setLevel(level)
    logging.captureWarnings(True)


@contextmanager
def held_back() -> Iterator[None]:
    """Our lines of the block wait for its end: until the configuration is read nobody knows how they should look."""
    ours, held = logging.getLogger("face_server"), MemoryHandler(HELD_LINES, flushLevel=logging.CRITICAL + 1)
    ours.addHandler(held)
    ours.propagate = False
    try:
        yield
    finally:
        ours.removeHandler(held)
        ours.propagate = True
        for record in held.buffer:
            if ours.isEnabledFor(record.levelno):
                ours.handle(record)


@contextmanager
def about_request(seq: object) -> Iterator[None]:
    """Lines of the block carry this `seq` as the request's id, if it is one."""
    token = _request_id.set(seq if isinstance(seq, str) and REQUEST_ID.fullmatch(seq) else None)
    try:
        yield
    finally:
        _request_id.reset(token)


def debug_switch() -> Callable[[], None]:
    """Turns our loggers to debug, and back to the level that they have now; says so."""
    ours = logging.getLogger("face_server")
    configured = ours.level

    def switch() -> None:
        ours.setLevel(configured if ours.level == logging.DEBUG else logging.DEBUG)
        # Told at a level that shows whatever is configured.
        log.log(max(configured, logging.INFO), "the log's level is now %s", logging.getLevelName(ours.level).lower())

    return switch


def _printable(line: str) -> str:
    """Control characters spelt out: none ends a line, colours a terminal or hides what stands before it."""
    return "".join(char if char.isprintable() or char == "\t" else ascii(char)[1:-1] for char in line)
