"""What a service manager is told: ready, alive, stopping. Knows systemd's datagram and nothing of what it tells.

Without $NOTIFY_SOCKET, which systemd sets for `Type=notify`, nobody asked and nothing is sent. The protocol is that of
sd_notify(3): lines of NAME=VALUE in one datagram to that Unix socket.
"""

from __future__ import annotations

import logging
import os
import socket

log = logging.getLogger(__name__)

READY, ALIVE, STOPPING = "READY=1", "WATCHDOG=1", "STOPPING=1"


def notify(state: str) -> None:
    """Tell the service manager, if there is one. Never raises: an unheard word must not stop the daemon."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    # A name that begins with @ is Linux's abstract kind, which the system writes with a NUL.
    where = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as channel:
            channel.sendto(state.encode(), where)
    except OSError as error:
        log.warning("the service manager at %s was not told %s: %s", address, state, error)


def watchdog_s() -> float | None:
    """Within how many seconds the service manager wants to hear ALIVE; None where it does not watch this process."""
    microseconds, process = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or int(microseconds) == 0 or process not in ("", str(os.getpid())):
        return None
    return int(microseconds) / 1e6
