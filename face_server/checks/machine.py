"""Checks of what the daemon stands on: limits of the system, and who may read and write its files."""

from __future__ import annotations

import os
import pwd
import re
import resource
import stat
from collections.abc import Iterator
from pathlib import Path

from face_server.access import Access, read_token
from face_server.checks.findings import Examined, Finding, ok, problem, warning
from face_server.errors import ConfigError
from face_server.probes import MAX_CONNECTIONS
from face_server.terminal import bytes_told

#: Descriptors beyond those of connections: store, index, weights, log.
SPARE_FILES = 64
#: The peak of start-up, 2.1 GiB (README, "Figures"), and a picture of 40 megapixels on its way through the pipeline.
BASE_BYTES = int(2.6 * (1 << 30))
#: Of a subject in memory: its vector in the rows, in the index, and its trees (262 MB for 100,000 of 512-D).
BYTES_OF_COMPONENT = 10


# Limits


def limits(seen: Examined) -> Iterator[Finding]:
    """Descriptors for all connections, memory for the networks and the gallery."""
    yield _descriptors(seen)
    yield _memory(seen)


def _descriptors(seen: Examined) -> Finding:
    # As many again may be being told that there are too many.
    wanted = 2 * seen.config.server.max_connections + SPARE_FILES
    wanted += MAX_CONNECTIONS if seen.config.metrics.listen else 0
    allowed, whose = _open_files(seen.holder)
    if allowed < wanted:
        return problem(
            f"{whose} may open {allowed:,} files, and [server] max_connections wants {wanted:,}",
            f"raise it (ulimit -n {wanted}, LimitNOFILE={wanted} under systemd), or lower [server] max_connections",
        )
    return ok(f"{whose} may open {allowed:,} files, {wanted:,} are wanted")


def _open_files(holder: str | None) -> tuple[int, str]:
    """The soft limit of the daemon, where it runs and can be looked at, else of whoever runs this."""
    own = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    number = (holder or "").removeprefix("process ")
    try:
        text = Path(f"/proc/{int(number)}/limits").read_text(encoding="ascii")
        return int(re.findall(r"^Max open files +(\d+)", text, re.MULTILINE)[0]), "the daemon"
    except (OSError, ValueError, IndexError):
        return own, "a process started here"


def _memory(seen: Examined) -> Finding:
    dimension = seen.gallery.dimension if seen.gallery else 0
    wanted = BASE_BYTES + seen.config.server.max_buffered_bytes + seen.subjects * dimension * BYTES_OF_COMPONENT
    most, what = _memory_limit()
    if most < wanted:
        return problem(
            f"{what} is {bytes_told(most)}, and the daemon may come to {bytes_told(wanted)}",
            "give it more, or lower [server] max_buffered_bytes",
        )
    free = _meminfo("MemAvailable")
    if seen.daemon is None and free < wanted:
        return warning(f"{bytes_told(free)} of memory are free now, and the daemon may come to {bytes_told(wanted)}")
    return ok(f"{what} is {bytes_told(most)}, the daemon may come to {bytes_told(wanted)}")


def _memory_limit() -> tuple[int, str]:
    """The least of the machine's memory and of what a container or service may use, and which that is."""
    found = [(_meminfo("MemTotal"), "the machine's memory")]
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            found.append((int(Path(path).read_text(encoding="ascii")), "the memory limit of the container or service"))
        except (OSError, ValueError):  # not there, or `max`
            continue
    return min(found)


def _meminfo(name: str) -> int:
    text = Path("/proc/meminfo").read_text(encoding="ascii")
    return int(re.findall(rf"^{name}: +(\d+) kB", text, re.MULTILINE)[0]) * 1024


# Permissions


def permissions(seen: Examined) -> Iterator[Finding]:
    """Secrets are read by nobody else, and what the daemon writes is written by it alone."""
    config = seen.config
    found = [
        *_tokens(seen),
        *_secrets((config.web.audit_key_file, config.database.password_file, config.database.path)),
        *_private(config.gallery.path, config.index.path, config.web.session_path),
        *_owners(seen),
    ]
    yield from found or [ok("tokens, keys and directories are closed to others")]


def _tokens(seen: Examined) -> Iterator[Finding]:
    access, tokens = seen.config.access, []
    for path in (access.web_token_file, access.operator_token_file):
        try:
            tokens.append(read_token(path))
        except ConfigError as error:
            # One that is not there yet is made at the first start.
            if not isinstance(error.__cause__, FileNotFoundError) or seen.daemon is not None:
                yield problem(str(error))
    if len(tokens) == 2:
        try:
            Access(tokens[0], tokens[1])
        except ConfigError as error:
            yield problem(str(error))


def _secrets(paths: tuple[Path | None, ...]) -> Iterator[Finding]:
    for path in paths:
        # Its group may read it (a web server of another user), as it may a token.
        if path is not None and (mode := _mode(path)) is not None and mode & 0o037:
            yield problem(f"{path} has mode {mode:04o}, so others can read or change it", f"chmod 600 {path}")


def _private(*paths: Path) -> Iterator[Finding]:
    for path in paths:
        mode = _mode(path)
        if mode is not None and mode & 0o077:
            yield problem(f"{path} has mode {mode:04o}, so others can enter it", f"chmod 700 {path}")
    # Who may write a directory may put something else in the place of what is in it; a sticky one (/tmp) guards that.
    for parent in sorted({parent for path in paths for parent in path.parents}):
        mode = _mode(parent) or 0
        if mode & 0o002 and not mode & stat.S_ISVTX:
            yield problem(f"{parent} has mode {mode:04o}, so anybody can replace what is in it", f"chmod o-w {parent}")
        elif mode & 0o020 and parent in {path.parent for path in paths}:
            yield warning(
                f"{parent} has mode {mode:04o}, so its group can replace what is in it", f"chmod g-w {parent}"
            )


def _owners(seen: Examined) -> Iterator[Finding]:
    """Of what the daemon writes, all belongs to one user, and that is who runs this, or root does."""
    config = seen.config
    paths = (config.gallery.path, config.index.path, config.access.web_token_file, config.access.operator_token_file)
    owners = {path: path.stat().st_uid for path in paths if _mode(path) is not None}
    if not owners:
        return
    first, uid = next(iter(owners.items()))
    for path, other in owners.items():
        if other != uid:
            yield problem(
                f"{path} belongs to {_user(other)}, and {first} to {_user(uid)}: one daemon cannot write both",
                f"chown -R {_user(uid)} {path}",
            )
    if os.geteuid() not in (0, uid):
        yield warning(
            f"{first} belongs to {_user(uid)}", f"run this as that user (sudo -u {_user(uid)} face-server doctor)"
        )


def _mode(path: Path) -> int | None:
    """None where there is nothing, or where we may not look."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
