"""The lock under which a store's data file and its table of readers are opened together, or exchanged together. Owns
open.lock; may not know LMDB or what is in the files.

A writer knows from the table, lock.mdb, which pages somebody still reads: with the table of one data file and the pages
of another it would overwrite what is being read.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NAME = "open.lock"
#: Opening takes milliseconds.
_PATIENCE_S = 10.0


def make_open_lock(path: Path) -> None:
    """Make the lock's file in a store's directory; the holder's part. Raises OSError."""
    (path / _NAME).touch(mode=0o600)


@contextmanager
def opening(path: Path, *, alone: bool = False) -> Iterator[None]:
    """Hold the lock: with others who open the two files, or `alone` to exchange them. Raises OSError.

    A reader makes no file, which might be root's: where there is none, no holder that could exchange anything was here.
    """
    try:
        fd = os.open(path / _NAME, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield
        return
    try:
        _take(fd, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
    finally:
        os.close(fd)


def _take(fd: int, kind: int) -> None:
    until_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return fcntl.flock(fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until_s:
                raise TimeoutError(errno.ETIMEDOUT, "another process has been opening it for long") from None
            time.sleep(0.01)


def inode(path: Path) -> tuple[int, int] | None:
    """Device and number of a file, whatever name it has later; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
