"""Is the daemon alive, is it ready? Owns these two words; knows no HTTP and no metrics.

Alive means that waiting helps: start-up and the end count as alive, a stuck event loop or worker does not and wants a
restart. Ready means that a request sent now is worked on.
"""

from __future__ import annotations

from typing import Protocol

from face_server.wire.replies import StatusReply

#: The dearest honest request, an enrolment of ten images of 40 megapixels, took 36 s on two cores that ten other
#: processes kept busy.
STUCK_S = 120.0

#: The event loop only moves bytes; its longest turn reads a message of a megabyte.
TURN_S = 2.0


class Watched(Protocol):
    """The running server. Asked from a thread of the watcher's."""

    closing: bool

    @property
    def busy_s(self) -> float: ...
    def status(self) -> StatusReply: ...
    def turns(self, within_s: float) -> bool: ...


class Health:
    """Of a daemon from its first moment: `serving` says when there is a server to look at."""

    def __init__(self, stuck_s: float = STUCK_S) -> None:
        self._stuck_s = stuck_s
        self._server: Watched | None = None

    def serving(self, server: Watched) -> None:
        """Warm-up and index are done, connections are accepted."""
        self._server = server

    def not_alive(self) -> str | None:
        """What is wrong, in words; None when nothing is. Takes TURN_S at most."""
        server = self._server
        if server is None or server.closing:
            return None
        if not server.turns(TURN_S):
            return None if server.closing else "the event loop does not turn"
        if (busy_s := server.busy_s) > self._stuck_s:
            return f"the worker has been at one request for {busy_s:.0f} s"
        return None

    def not_ready(self) -> str | None:
        """Why not, in words; None when it is."""
        if self._server is None:
            return "starting"
        return "stopping" if self._server.closing else self.not_alive()
