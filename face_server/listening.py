"""Where the daemon may listen: a loopback address, any with TLS, or a Unix socket it makes. Knows no messages and no
event loop."""

from __future__ import annotations

import ipaddress
import os
import socket
from pathlib import Path

from face_server.config import ServerConfig
from face_server.errors import ConfigError


def is_loopback(host: str) -> bool:
    """Whether only this very machine can reach it; asks no name server."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_guarded(config: ServerConfig) -> None:
    """Raises ConfigError for an address that others could reach, where tokens and faces would travel in the clear or
    the old dialect lets in whoever comes."""
    host = config.host
    if is_loopback(host):
        return
    if config.tls_cert is None:
        raise ConfigError(
            f"[server] host = {host} is not a loopback address, and without TLS nothing else is listened on: set "
            "[server] tls_cert and tls_key, or use 127.0.0.1, or [server] unix_socket"
        )
    if config.legacy:
        raise ConfigError(
            f"[server] legacy = true on host = {host}: the old dialect has no token, so everybody who reaches that "
            "address could enrol and search; listen on 127.0.0.1 or a Unix socket, or set legacy = false"
        )


def bind_unix(path: Path) -> socket.socket:
    """A Unix socket bound to this path with mode 0660, in place of one that a dead process left.

    Raises ConfigError when somebody listens there, OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_socket():
        _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Linux makes the file with the socket's mode less the umask, so at no moment may anybody else connect.
        os.fchmod(listener.fileno(), 0o660)
        listener.bind(str(path))
        path.chmod(0o660)
    except BaseException:
        listener.close()
        raise
    return listener


def _remove_stale(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # A full backlog must not make us wait: who has one listens.
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass
    raise ConfigError(f"another process listens on [server] unix_socket = {path}: stop that one, or name another path")
