"""A directory that only this user may enter and one process at a time may hold. Owns modes, the lock file and fsync of
names; may not know what lies in the directory.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from face_server.errors import StoreLocked


def make_private(path: Path, *ours: str) -> None:
    """Make the directory, or take an existing one that is empty or holds one of `ours` (patterns), with mode 0700.

    Raises OSError, also for a directory of somebody else's files, which would be locked away from them.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(path.iterdir()) and not any(found for pattern in ours for found in path.glob(pattern)):
        raise OSError(errno.ENOTEMPTY, "it holds files of others", str(path))
    path.chmod(0o700)


def sync(path: Path) -> None:
    """Make a file's content, or the names in a directory, durable. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def holder_of(path: Path) -> str | None:
    """Who holds the directory's lock, in words; None where nobody does. It is tried for a moment and not kept.

    Raises OSError when the lock file is there and cannot be opened.
    """
    try:
        fd = os.open(path / "process.lock", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _owner_told(fd)
    finally:
        os.close(fd)
    return None


def _owner_told(fd: int) -> str:
    holder = os.read(fd, 20).decode("ascii", "replace").strip()
    return f"process {holder}" if holder.isdigit() else "another process"


class DirectoryLock:
    """Held from construction to `close`, or until the process dies. Raises StoreLocked, OSError."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path / "process.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _owner_told(self._fd)
            self.close()
            raise StoreLocked(f"The gallery in {path} is held by {owner}; stop that one first.") from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)

    def close(self) -> None:
        """Give the lock back; harmless when repeated."""
        # Closed, never unlocked: after a fork, an unlock in the child would free the parent's lock.
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1
