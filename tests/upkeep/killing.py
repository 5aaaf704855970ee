"""Kills a process at every step that it takes in the file system, one after the other: not where chance has it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

#: Python tells of these before it does them (sys.addaudithook).
STEPS = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "subprocess.Popen"}


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do the work in a child that is killed before its step of this number; whether there was such a step.

    A file opened for writing counts as a step too.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            _arm(step)
            work()
            status = 0
        finally:
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    if os.WIFSIGNALED(ended) and os.WTERMSIG(ended) == signal.SIGKILL:
        return True
    if ended:
        raise AssertionError(f"the work failed by itself: {ended}")
    return False


def _arm(step: int) -> None:
    taken = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal taken
        if event in STEPS or (event == "open" and _writes(arguments)):
            if taken == step:
                os.kill(os.getpid(), signal.SIGKILL)
            taken += 1

    sys.addaudithook(hook)


def _writes(arguments: tuple[object, ...]) -> bool:
    flags = arguments[2]
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
