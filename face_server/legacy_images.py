"""Opens the file that an old client names in `pic`, below one configured directory. Knows no images and no wire.

The path is walked one component at a time and no link is followed, so neither `..` nor a link, whenever it is put
there, leads outside. Absent and forbidden are answered with the same words: the answer must not tell which files exist.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath

from face_server.errors import ImageTooLarge, ImageUnreadable

#: O_NONBLOCK: opening a pipe that somebody put there must not hang the worker.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def read_below(root: Path | None, name: str, max_bytes: int) -> bytes:
    """The bytes of the regular file `name` below `root`; an absolute name is taken when it begins with `root`.

    Raises ImageUnreadable for anything else, ImageTooLarge past max_bytes.
    """
    try:
        if root is None:
            raise FileNotFoundError
        data = _read_regular(_open_walking(root, _parts_below(root, name)), max_bytes + 1)
    except (OSError, ValueError):
        raise ImageUnreadable("there is no picture of this name below [server] legacy_image_root") from None
    if len(data) > max_bytes:
        raise ImageTooLarge(f"the picture has more than {max_bytes} bytes", max_image_bytes=max_bytes)
    return data


def _parts_below(root: Path, name: str) -> tuple[str, ...]:
    path = PurePosixPath(name)
    if path.is_absolute():
        path = path.relative_to(PurePosixPath(root))
    if not path.parts or ".." in path.parts or "\0" in name:
        raise ValueError("not a name below the root")
    return path.parts


def _read_regular(descriptor: int, most: int) -> bytes:
    """At most this many bytes of an open regular file, which is closed."""
    # open() would refuse a directory in words of its own and, having failed, leave the descriptor open.
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError("not a regular file")
    with open(descriptor, "rb") as file:
        return file.read(most)


def _open_walking(root: Path, parts: tuple[str, ...]) -> int:
    directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            below = os.open(part, _FLAGS | os.O_DIRECTORY, dir_fd=directory)
            os.close(directory)
            directory = below
        return os.open(parts[-1], _FLAGS, dir_fd=directory)
    finally:
        os.close(directory)
