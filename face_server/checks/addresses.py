"""Checks of the addresses that the configuration names, each our own daemon's or free, and of the daemon itself."""

from __future__ import annotations

import errno
import http.client
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from face_server import __version__
from face_server.certificates import client_context, daemon_context
from face_server.checks.findings import Examined, Finding, Logged, ok, problem, warning
from face_server.errors import ConfigError, Unauthorised, Unreachable, WireError
from face_server.listening import require_guarded
from face_server.probes import listen_address
from face_server.status_view import load_concerns

#: The kernel's sun_path, less the NUL that ends it.
MAX_SOCKET_PATH_BYTES = 107
CONNECT_S = 5.0


def daemon(seen: Examined) -> Iterator[Finding]:
    """It answers, is of this version, and keeps up; what it says of its gallery is other checks' to tell."""
    if seen.daemon is None:
        yield warning(f"cannot be asked: {seen.silence}", "where it should run: face-server serve")
        return
    if seen.daemon.version != __version__:
        yield warning(f"version {seen.daemon.version} runs, {__version__} is installed", "restart the daemon")
    found = list(load_concerns(seen.daemon))
    yield from (problem(one.text) if one.urgent else warning(one.text) for one in found)
    if not found:
        yield ok(f"version {seen.daemon.version} answers, and is well")


def ports(seen: Examined) -> Iterator[Finding]:
    """Each address is our own daemon's, or free."""
    yield _daemon_address(seen)
    if seen.config.metrics.listen:
        yield _monitor_address(seen)


def tls(seen: Examined) -> Iterator[Finding]:
    """Certificate and key can be used, for some time to come, and so can what clients trust."""
    server = seen.config.server
    with Logged("face_server.certificates") as logged:
        try:
            spoken = daemon_context(server)
            if server.tls_ca is not None:
                client_context(server.tls_ca)
        except ConfigError as error:
            yield problem(str(error))
            return
    yield from map(warning, logged)
    if not logged:
        yield ok(
            f"{server.tls_cert} can be used"
            if spoken is not None
            else "not set; the daemon listens for this machine alone"
        )


def _daemon_address(seen: Examined) -> Finding:
    server = seen.config.server
    if server.unix_socket is not None:
        return _socket_address(seen, server.unix_socket)
    where = f"{server.host}:{server.port}"
    if seen.daemon is not None:
        return ok(f"our daemon answers on {where}")
    try:
        require_guarded(server)
    except ConfigError as error:
        return problem(str(error))
    if isinstance(seen.silence, WireError):
        remedy = "if it is another one, name another port; if it is yours, its token files in [access]"
        remedy = remedy if seen.silence.code == Unauthorised.code else ""
        return problem(f"the daemon on {where} answers {seen.silence.code}: {seen.silence}", remedy)
    if reason := _not_free(server.host, server.port):
        return problem(f"{where} cannot be listened on ({reason}), and no daemon there answers us", "name another port")
    return ok(f"{where} is free; no daemon runs there")


def _socket_address(seen: Examined, path: Path) -> Finding:
    if seen.daemon is not None:
        return ok(f"our daemon answers on {path}")
    if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
        return problem(
            f"[server] unix_socket = {path} has more than {MAX_SOCKET_PATH_BYTES} bytes", "name a shorter path"
        )
    if path.exists() and not path.is_socket():
        return problem(
            f"{path} is in the way of [server] unix_socket: it is no socket", "name another path, or remove it"
        )
    if isinstance(seen.silence, Unreachable) and path.is_socket() and _listens(path):
        return problem(f"another program listens on {path}", "stop it, or name another path")
    return ok(f"{path} is free; no daemon runs there")


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(CONNECT_S)
        return probe.connect_ex(str(path)) == 0


def _monitor_address(seen: Examined) -> Finding:
    try:
        host, port = listen_address(seen.config.metrics)
    except ConfigError as error:
        return problem(str(error))
    where = f"http://{seen.config.metrics.listen}/readyz"
    if seen.daemon is None:
        reason = _not_free(host, port)
        remedy = "name another port in [metrics] listen"
        return problem(f"{where}: {reason}", remedy) if reason else ok(f"{seen.config.metrics.listen} is free")
    word = _readiness(host, port)
    return ok(f"{where} says {word}") if word == "ready" else warning(f"{where} says {word}", "restart the daemon")


def _readiness(host: str, port: int) -> str:
    # 0.0.0.0 is everywhere, here too.
    connection = http.client.HTTPConnection("127.0.0.1" if host == "0.0.0.0" else host, port, timeout=CONNECT_S)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().read(200).decode("ascii", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return f"nothing ({error})"
    finally:
        connection.close()


def _not_free(host: str, port: int) -> str | None:
    """Why this address cannot be listened on; tried as the daemon would, and given back at once."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        return "another program listens there" if error.errno == errno.EADDRINUSE else str(error.strerror or error)
    return None
