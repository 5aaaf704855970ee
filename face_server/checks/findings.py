"""What a check says, and what all checks look at: the configuration, the daemon if it answers, the gallery as it lies.

Knows no single check. Everything here is found out once, without changing anything.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from enum import Enum

from face_server.assembly import assemble_client, expected_fingerprint
from face_server.config import Config
from face_server.errors import ConfigError, FaceLoginError, KeyMismatch, StoreDamaged
from face_server.gallery.directory import holder_of
from face_server.gallery.inspecting import Inspection, look
from face_server.wire.replies import StatusReply

#: A daemon that is well answers `status` in milliseconds; on a busy machine it may take its time.
ANSWER_S = 15.0


class Level(Enum):
    """How bad it is. A warning lets everything work today."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, in a sentence, and what to do about it; a remedy may be part of the sentence already."""

    level: Level
    text: str
    remedy: str = ""


def ok(text: str) -> Finding:
    """Nothing to do."""
    return Finding(Level.OK, text)


def warning(text: str, remedy: str = "") -> Finding:
    """It works, and somebody should look at it."""
    return Finding(Level.WARNING, text, remedy)


def problem(text: str, remedy: str = "") -> Finding:
    """Something does not work, or is open to others."""
    return Finding(Level.PROBLEM, text, remedy)


class Logged(logging.Handler):
    """While it is open, what a logger would say goes into a list instead."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._logger = logging.getLogger(name)
        self._said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._said.append(record.getMessage())

    def __enter__(self) -> list[str]:
        self._logger.addHandler(self)
        self._logger.propagate = False
        return self._said

    def __exit__(self, *_: object) -> None:
        self._logger.propagate = True
        self._logger.removeHandler(self)


@dataclass(frozen=True, slots=True)
class Examined:
    """daemon: what ours answered, or why it did not (`silence`). holder: who holds the store, in words.

    gallery: what lies on the disk, or why it cannot be read (`damage`), or not with the configured key (`locked_out`,
    which says what to do); none of them where there is no gallery yet.
    fingerprint: of the templates to be made, or why there are none to be made (`misfit`: its weights, say).
    """

    config: Config
    now_s: float
    daemon: StatusReply | None
    silence: FaceLoginError | None
    holder: str | None
    gallery: Inspection | None
    damage: str | None
    locked_out: str | None
    fingerprint: str | None
    misfit: str | None

    @property
    def subjects(self) -> int:
        """How many are enrolled, as far as that can be known."""
        if self.daemon is not None:
            return self.daemon.subjects
        return self.gallery.subjects if self.gallery is not None else 0


def examine(config: Config) -> Examined:
    """Ask the daemon, read the gallery. Raises nothing that a damaged installation brings."""
    daemon, silence = _asked(config)
    gallery, damage, locked_out = _looked_at(config)
    try:
        holder = holder_of(config.gallery.path)
    except OSError as error:
        holder, damage = None, damage or f"The lock of {config.gallery.path} cannot be read: {error.strerror}."
    fingerprint, misfit = None, None
    try:
        fingerprint = expected_fingerprint(config)
    except FaceLoginError as error:
        misfit = str(error)
    return Examined(config, time.time(), daemon, silence, holder, gallery, damage, locked_out, fingerprint, misfit)


def _asked(config: Config) -> tuple[StatusReply | None, FaceLoginError | None]:
    try:
        with assemble_client(config, ANSWER_S) as client:
            return client.status(), None
    except FaceLoginError as error:
        return None, error


def _looked_at(config: Config) -> tuple[Inspection | None, str | None, str | None]:
    path, key_file = config.gallery.path, config.gallery.encryption_key_file
    if config.gallery.backend != "lmdb":
        return None, None, None
    try:
        if not (path / "data.mdb").exists():
            return None, None, None
        return look(path, config.index.path, key_file), None, None
    except OSError as error:  # a directory that we may not enter
        return None, f"{path} cannot be read: {error.strerror}.", None
    except (KeyMismatch, ConfigError) as error:
        return None, None, str(error)
    except StoreDamaged as error:
        return None, str(error), None
