"""A file that is there whole or not at all. Owns drafts, modes, fsync and the rename; may not know what is in it."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from face_server.errors import UpkeepError
from face_server.gallery.directory import sync
from face_server.terminal import bytes_told


@contextmanager
def drafting(path: Path, force: bool) -> Iterator[Path]:
    """A private directory beside `path` to write into; its file of the same name is put in place of `path` at the end.

    Nothing is left of it on an error. What an earlier process died over is cleared away first. Raises UpkeepError when
    there is such a file and `force` is not given, when another process is at it, and for every OSError meanwhile.
    """
    require_free(path, force)
    try:
        with private_directory(path.with_name(f"{path.name}.draft")) as directory:
            yield directory
            draft = directory / path.name
            draft.chmod(0o600)
            sync(draft)
            require_free(path, force)
            draft.replace(path)
            sync(path.parent)
    except OSError as error:
        raise UpkeepError(
            f"{path} cannot be written: {error.strerror or error}. Nothing is left of it; {_free(path.parent)}."
        ) from error


def require_free(path: Path, force: bool) -> None:
    """Refuse to write over what is there, unless told to. Raises UpkeepError."""
    if path.is_dir():
        raise UpkeepError(f"{path} is a directory: name a file.")
    if path.exists() and not force:
        raise UpkeepError(f"{path} is there already: name another file, or overwrite it with --force.")


@contextmanager
def private_directory(path: Path) -> Iterator[Path]:
    """An empty directory for this process alone, deleted at the end; what an earlier process died over goes first.

    Raises UpkeepError while another process has it, OSError.
    """
    path.mkdir(mode=0o700, exist_ok=True)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UpkeepError(f"Another process is writing that file, in {path}: wait for it.") from None
        _empty(path)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(fd)


def _free(path: Path) -> str:
    """What LMDB calls an input/output error is mostly a full disk."""
    try:
        return f"{bytes_told(shutil.disk_usage(path).free)} are free on that disk"
    except OSError:
        return "is there such a directory?"


def _empty(path: Path) -> None:
    for left in path.iterdir():
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        else:
            left.unlink()
