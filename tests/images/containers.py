"""Runs the two images as compose.yaml has them run, with podman, and measures what they cost. Knows no test."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemons import ROOT

#: A loaded machine is no failure.
PATIENCE_S = 300
DAEMON, WEB = "localhost/face-login-daemon", "localhost/face-login-web"
CONFIG = "/etc/face-login/config.ini"
#: What the two write: one volume each for what must be kept, two for sockets.
GALLERY, USERS, DAEMON_SOCKET, WEB_SOCKET = (f"face-login-test-{name}" for name in ("gallery", "users", "ds", "ws"))
VOLUMES = (GALLERY, USERS, DAEMON_SOCKET, WEB_SOCKET)

#: compose.yaml's `x-hardened`; a limit on files and processes that machines without more rights may set.
HARDENED = [
    "--runtime=runc",
    "--read-only",
    "--read-only-tmpfs=false",
    "--tmpfs=/tmp:rw,noexec,nosuid,nodev,size=256m",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--pids-limit=256",
    "--ulimit=nofile=1024:1024",
    "--ulimit=nproc=1024:1024",
]

#: What the last run measured: row -> value, in the order in which it came.
MEASURED: dict[str, str] = {}


def podman(*arguments: str, stdin: bytes | None = None, check: bool = True) -> subprocess.CompletedProcess[bytes]:
    """One command; raises with what it said."""
    done = subprocess.run(["podman", *arguments], input=stdin, capture_output=True, timeout=PATIENCE_S, check=False)
    if check and done.returncode:
        raise RuntimeError(f"podman {' '.join(arguments)}: {done.stderr.decode(errors='replace')[-3000:]}")
    return done


def in_image(image: str, *command: str, options: Sequence[str] = ()) -> str:
    """What a command says in a container of its own, as the image's user; its own status is not looked at."""
    given = ["--rm", "--network=none", "--no-healthcheck", *HARDENED, *options]
    done = podman("run", *given, image, *command, check=False)
    if done.returncode in (125, 126, 127):  # podman's own, not the command's
        raise RuntimeError(f"{image}: {command}: {done.stderr.decode(errors='replace')[-2000:]}")
    return done.stdout.decode(errors="replace")


def inspected(image: str) -> dict[str, Any]:
    """An image as podman describes it."""
    (described,) = json.loads(podman("image", "inspect", image).stdout)
    return dict(described)


def wait_until(condition: Callable[[], bool], what: str, pause_s: float = 0.2) -> float:
    """Seconds until the condition held; fails when it does not come true."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > PATIENCE_S:
            raise TimeoutError(f"{what}: it did not come true")
        time.sleep(pause_s)
    return time.monotonic() - started


@dataclass
class Container:
    """A running container of one of the images."""

    name: str

    @classmethod
    def run(cls, name: str, image: str, *options: str, command: Sequence[str] = ()) -> Container:
        """Start one anew; what had the name is removed."""
        remove(name)
        podman("run", "--detach", f"--name={name}", *HARDENED, *options, image, *command)
        return cls(name)

    def start(self) -> None:
        podman("start", self.name)

    def execute(self, *command: str, stdin: bytes | None = None, check: bool = True) -> str:
        """What a command says in it, standard error left out."""
        return podman("exec", "--interactive", self.name, *command, stdin=stdin, check=check).stdout.decode()

    def status_of(self, *command: str) -> int:
        return podman("exec", self.name, *command, check=False).returncode

    @property
    def is_running(self) -> bool:
        return self.state("Running") == "true"

    def state(self, name: str) -> str:
        return podman("inspect", "--format", f"{{{{.State.{name}}}}}", self.name).stdout.decode().strip()

    @property
    def exit_code(self) -> int:
        return int(self.state("ExitCode"))

    @property
    def log(self) -> str:
        done = podman("logs", self.name)
        return (done.stdout + done.stderr).decode(errors="replace")

    def is_healthy(self) -> bool:
        """What the image's own HEALTHCHECK says."""
        return podman("healthcheck", "run", self.name, check=False).returncode == 0

    def await_healthy(self) -> float:
        """Seconds until it is; fails at once when the container has ended."""

        def healthy_or_ended() -> bool:
            if not self.is_running:
                raise RuntimeError(f"{self.name} has ended with {self.exit_code}: {self.log[-3000:]}")
            return self.is_healthy()

        return wait_until(healthy_or_ended, f"{self.name} is healthy")

    def stop(self) -> float:
        """SIGTERM, and after compose.yaml's 25 s SIGKILL; the seconds it took."""
        started = time.monotonic()
        podman("stop", "--time=25", self.name)
        return time.monotonic() - started

    def peak_mib(self) -> int:
        """The most memory that its first process has held."""
        found = re.search(r"VmHWM:\s+(\d+) kB", self.execute("cat", "/proc/1/status"))
        if found is None:
            raise RuntimeError("no VmHWM")
        return int(found[1]) // 1024

    def used_mib(self) -> int:
        """What all its processes hold now, as its cgroup counts."""
        said = podman("stats", "--no-stream", "--format={{.MemUsage}}", self.name).stdout.decode()
        found = re.match(r"([\d.]+)([kMG])B", said)
        if found is None:
            raise RuntimeError(f"podman stats said {said}")
        return round(float(found[1]) * {"k": 1e3, "M": 1e6, "G": 1e9}[found[2]] / 2**20)


def remove(name: str) -> None:
    podman("rm", "--force", "--time=0", "--ignore", name)


def remove_volumes(*volumes: str) -> None:
    podman("volume", "rm", "--force", *volumes, check=False)


def run_daemon(name: str = "face-login-test-daemon", gallery: str = GALLERY) -> Container:
    """The daemon without any network, as in compose.yaml."""
    volumes = (f"--volume={gallery}:/var/lib/face-server", f"--volume={DAEMON_SOCKET}:/run/face-login")
    return Container.run(name, DAEMON, "--network=none", "--memory=4g", *volumes)


def web_options(config: Path) -> list[str]:
    """Mounts of the web container."""
    return [
        f"--volume={config}:{CONFIG}:ro",
        f"--volume={USERS}:/var/lib/face-web",
        f"--volume={DAEMON_SOCKET}:/run/face-login:ro",
        f"--volume={WEB_SOCKET}:/run/face-web",
        "--memory=1g",
    ]


def config_for(directory: Path, base_url: str) -> Path:
    """deploy/config.ini for a site at this address."""
    path = directory / "config.ini"
    text = (ROOT / "deploy" / "config.ini").read_text()
    path.write_text(re.sub(r"(?m)^base_url = .*$", f"base_url = {base_url}", text))
    path.chmod(0o644)
    return path
