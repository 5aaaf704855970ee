"""A bar for a build of the index that runs elsewhere: asks how far it is, as long as somebody looks. Knows no socket
and no gallery, only how to ask.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeAlias

from tqdm import tqdm

from face_server.errors import FaceLoginError

#: Often enough for the eye.
_ASK_S = 0.3

#: The phase and the share (0 to 1) that is done, None where no build runs.
Asked: TypeAlias = Callable[[], tuple[str, float] | None]


@contextmanager
def build_bar(ask: Asked) -> Iterator[None]:
    """Show a bar on standard error while the block waits for the build; nothing where that is no terminal.

    `ask` is called from a thread; a FaceLoginError of it leaves the bar where it is.
    """
    shape = "{desc:>10} {percentage:3.0f}%|{bar}| {elapsed}"
    with tqdm(total=1.0, desc="waiting", bar_format=shape, leave=False, disable=None) as bar:
        if bar.disable:
            yield
            return
        over = threading.Event()
        asking = threading.Thread(target=_follow, args=(bar, ask, over), daemon=True)
        asking.start()
        try:
            yield
        finally:
            over.set()
            asking.join()


def _follow(bar: tqdm[None], ask: Asked, over: threading.Event) -> None:
    while not over.wait(_ASK_S):
        with suppress(FaceLoginError):
            if (told := ask()) is not None:
                bar.set_description_str(told[0], refresh=False)
                bar.n = told[1]
                bar.refresh()
