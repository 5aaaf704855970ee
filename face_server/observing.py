"""What happens inside, told to whoever watches: how long a stage took, what was answered, what was refused. Knows no
system of metrics; unless somebody watches, nobody does.

Words that are told come from closed sets (commands, error codes, the stages below), never from what a client sent.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Protocol


class Stage(StrEnum):
    """Parts of a request that take time worth knowing."""

    DECODE = "decode"
    DETECT = "detect"
    ALIGN = "align"
    EMBED = "embed"
    SEARCH = "search"
    STORE = "store"


class Observer(Protocol):
    """Is told as it happens, from any thread; must be quick and raise nothing."""

    def stage(self, stage: Stage, seconds: float) -> None:
        """A stage of a request ended, well or not."""

    def request(self, command: str, outcome: str, seconds: float | None = None) -> None:
        """A request was answered. command: `none` where it could not be read. outcome: `ok`, `abandoned` or a code.

        seconds: from the whole request to its reply; None for content that was no request.
        """

    def image_refused(self, code: str) -> None:
        """One image of an enrolment or a search gave no template."""

    def connection_refused(self, code: str) -> None:
        """A connection was ended by the daemon, with this error."""

    def rebuild(self, seconds: float, failed: bool) -> None:
        """A build of the index ended."""


class Nobody:
    """The observer where nobody watches."""

    def stage(self, stage: Stage, seconds: float) -> None:
        pass

    def request(self, command: str, outcome: str, seconds: float | None = None) -> None:
        pass

    def image_refused(self, code: str) -> None:
        pass

    def connection_refused(self, code: str) -> None:
        pass

    def rebuild(self, seconds: float, failed: bool) -> None:
        pass


NOBODY = Nobody()


@contextmanager
def timed(observer: Observer, stage: Stage) -> Iterator[None]:
    """Tell how long the block took, also when it raises: a refusal takes its time too."""
    started = time.perf_counter()
    try:
        yield
    finally:
        observer.stage(stage, time.perf_counter() - started)
