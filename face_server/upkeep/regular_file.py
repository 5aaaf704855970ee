"""Opens a file that an operator named, and that may be anything. May not know what is in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from face_server.errors import UpkeepError


def open_regular(path: Path) -> BinaryIO:
    """The file, open for reading; never a directory, a device or a pipe. Raises UpkeepError."""
    try:
        # O_NONBLOCK: a pipe that nobody writes to would keep us waiting.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        file = os.fdopen(fd, "rb")
    except OSError as error:
        raise UpkeepError(f"{path} cannot be read: {error.strerror}.") from error
    if not Path(f"/proc/self/fd/{fd}").is_file():
        file.close()
        raise UpkeepError(f"{path} is no file.")
    return file
