"""Starts and stops real daemons for the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from face_server.client import Client
from face_server.config import Config, load_config

ROOT = Path(__file__).parents[1]

#: Settings of a daemon that starts with half of the work, for tests that are not about what it recognises.
LIGHT = "[embedding]\nmodel = mobilefacenet\n" if (ROOT / "models" / "mobilefacenet.tflite").exists() else ""


@dataclass
class Daemon:
    """A running `face-server serve` with a gallery of its own."""

    config_path: Path
    process: subprocess.Popen[str]
    port: int
    log_path: Path

    @property
    def config(self) -> Config:
        return load_config(self.config_path)

    def token(self, level: str) -> str:
        return (self.config_path.parent / "var" / f"token.{level}").read_text().strip()

    def client(self, level: str = "operator", timeout_s: float = 60.0) -> Client:
        return Client("127.0.0.1", self.port, token=self.token(level), timeout_s=timeout_s)

    def forget_everybody(self) -> None:
        """An empty gallery."""
        with self.client() as client:
            client.remove_all([one.id for one in client.all_subjects()] or ["nobody"])

    def command(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run `face-server` against this daemon."""
        config = self.config_path.read_text().replace("port = 0", f"port = {self.port}")
        path = self.config_path.with_name("client.ini")
        path.write_text(config)
        environment = {**os.environ, "FACE_LOGIN_CONFIG": str(path)}
        command = [sys.executable, "-m", "face_server", *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

    def stop(self, timeout_s: float = 60.0) -> int:
        """SIGTERM; the exit status."""
        self.process.terminate()
        try:
            return self.process.wait(timeout_s)
        finally:
            self.kill()

    def kill(self) -> None:
        """SIGKILL; harmless when it has ended."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


StartDaemon = Callable[..., Daemon]


def start_daemon(
    directory: Path,
    settings: str = "",
    environment: dict[str, str] | None = None,
    meanwhile: Callable[[subprocess.Popen[str]], None] = lambda process: None,
    models: Path = ROOT / "models",
) -> Daemon:
    """Start a daemon in a directory (again, if it holds one's files) and wait until it says that it is ready."""
    directory.mkdir(parents=True, exist_ok=True)
    config_path = directory / "config.ini"
    config_path.write_text(f"[server]\nhost = 127.0.0.1\nport = 0\n{settings}\n[models]\npath = {models}\n")
    log_path = directory / "daemon.log"
    with log_path.open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "face_server", "serve", "--config", str(config_path)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, **(environment or {})},
        )
    if process.stdout is None:
        raise RuntimeError("no pipe to the daemon")
    meanwhile(process)
    line = process.stdout.readline()
    if "ready on" not in line:
        process.kill()
        process.wait()
        process.stdout.close()
        raise RuntimeError(f"the daemon did not start: {line!r}\n{log_path.read_text()[-2000:]}")
    return Daemon(config_path, process, int(line.split(" after ")[0].rsplit(":", 1)[1]), log_path)
