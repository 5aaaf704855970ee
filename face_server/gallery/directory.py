"""A directory that only this user may enter and one process at a time may hold. Owns modes, the lock file and fsync of
names; may not know what lies in the directory.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from face_server.errors import StoreLocked

#: File systems that have no disk beneath them.
_IN_MEMORY = {"tmpfs", "ramfs"}


def make_private(path: Path, *ours: str) -> None:
    """Make the directory, or take an existing one that is empty or holds one of `ours` (patterns), with mode 0700.

    Raises OSError, also for a directory of somebody else's files, which would be locked away from them.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(path.iterdir()) and not any(found for pattern in ours for found in path.glob(pattern)):
        raise OSError(errno.ENOTEMPTY, "it holds files of others", str(path))
    path.chmod(0o700)


def is_memory_backed(path: Path) -> bool:
    """Whether what is written at this path, which may not be there yet, stays in memory: a tmpfs or ramfs.

    False where the system does not tell. What is in memory may still reach a disk as swap.
    """
    there = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
    device = there.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return False
    # 36 35 98:0 /root /mount rw,noatime master:1 - tmpfs source options (proc(5)); the number of fields varies.
    kinds = {mount.partition(" - ")[2].split()[0] for mount in mounts.splitlines() if mount.split()[2] == wanted}
    return bool(kinds) and kinds <= _IN_MEMORY


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
