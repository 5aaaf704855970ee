"""Whether a store's data file may be opened in this process: a damaged one may end it by a signal. Owns the note of how
the file was left, and the look at a doubtful one by a program of its own, `python -m face_server.gallery.store.doubt`.
May not know what the records mean; their checksums are read by whoever loads them.

A file is not doubted when it is, by inode, size and time of change, the very one that was closed. After a crash, or
when it was copied, restored, cut or written by something else, it is walked first: each of LMDB's pages, and each
record found under its key. LMDB's pages have no checksum, so a garbled one shows by what it leads to.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from face_server.errors import StoreDamaged
from face_server.gallery.store.data_file import walk

_NOTE = "state"
_OPEN = "open"
#: A million templates are walked in half a minute or so; a page that leads back to itself would never end.
_PATIENCE_S = 600.0

_REMEDY = "Put a backup in its place (face-server restore FILE); the files are left as they are."


def require_sound(path: Path) -> None:
    """Look at the store before it is opened. The caller holds its lock. Raises StoreDamaged, OSError."""
    noted, found = _noted(path), _found(path)
    if found is None:
        if noted is not None:
            raise StoreDamaged(
                f"The gallery in {path} is damaged: its data file, data.mdb, is gone or empty. {_REMEDY} To begin anew "
                f"without anybody, remove that directory."
            )
    elif noted != found:
        _look(path)


def note_open(path: Path) -> None:
    """From now on it is doubtful, until it is closed. Raises OSError."""
    _note(path, _OPEN)


def note_closed(path: Path) -> None:
    """It was closed as it is now."""
    # Where that cannot be noted, on a full disk say, it is looked at once more than needed.
    with suppress(OSError):
        _note(path, _found(path) or _OPEN)


def _note(path: Path, text: str) -> None:
    note = path / _NOTE
    note.touch(mode=0o600)
    note.write_text(f"{text}\n", encoding="ascii")


def _noted(path: Path) -> str | None:
    try:
        return (path / _NOTE).read_bytes().decode("ascii", "replace").strip()
    except FileNotFoundError:
        return None


def _found(path: Path) -> str | None:
    """What tells the data file from any other, and from itself after a change; None where there is nothing in it."""
    try:
        found = (path / "data.mdb").stat()
    except FileNotFoundError:
        return None
    return f"closed {found.st_ino} {found.st_size} {found.st_mtime_ns}" if found.st_size else None


def _look(path: Path) -> None:
    command = [sys.executable, "-m", __name__, str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        raise StoreDamaged(f"The gallery in {path} cannot be read within {_PATIENCE_S:g} s. {_REMEDY}") from None
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise StoreDamaged(f"The gallery in {path} is damaged: reading it ended in {name}. {_REMEDY}")
    if done.returncode:
        raise StoreDamaged(f"{(done.stdout or done.stderr).strip()[-500:]} {_REMEDY}")


def main(path: Path) -> int:
    """Walk the store, and print what is wrong with it: exit status 1."""
    try:
        walk(path)
    except StoreDamaged as error:
        sys.stdout.write(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
