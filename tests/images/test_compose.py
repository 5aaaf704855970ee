"""compose.yaml under a Docker engine of its own: `up` with nothing else set gives a login, on this machine alone.

The engine and docker-compose are Debian's; the images come from podman, which built them. Skipped, visibly, where such
an engine cannot run. Of the profile mariadb only `secrets` is run: its database's image is not ours.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import living
import pytest
from daemons import ROOT
from e2e.clips import burst
from e2e.people import BARACK, BARACK_LATER, BARACKS
from images.containers import MEASURED, PATIENCE_S, podman, wait_until
from images.test_running import certificate_in
from websites import Visitor, Website, free_port

SERVICES = {"daemon", "web", "tls"}


@dataclass
class Engine:
    """A dockerd that nobody else uses."""

    directory: Path
    process: subprocess.Popen[bytes]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "DOCKER_HOST": f"unix://{self.directory}/socket"}

    def run(self, *command: str, check: bool = True, **environment: str) -> str:
        """docker or docker-compose; what it says."""
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def answers(self) -> bool:
        return (
            subprocess.run(["docker", "info"], env=self.environment, capture_output=True, check=False).returncode == 0
        )

    def compose(self, *arguments: str, check: bool = True, **environment: str) -> str:
        return self.run("docker-compose", "--project-name", "face-login-test", *arguments, check=check, **environment)

    def inspected(self, service: str) -> dict[str, Any]:
        (described,) = json.loads(self.run("docker", "inspect", f"face-login-test_{service}_1"))
        return dict(described)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """Started, with both images loaded."""
    if not (shutil.which("dockerd") and shutil.which("docker-compose")):
        pytest.skip("needs a Docker engine and docker-compose: apt-get install docker.io docker-compose")
    directory = Path(tempfile.mkdtemp(prefix="face-login-docker-"))
    (directory / "daemon.json").write_text("{}")
    places = ["--data-root", "data", "--exec-root", "run", "--pidfile", "pid", "--config-file", "daemon.json"]
    command = ["dockerd", *(str(directory / one) if not one.startswith("--") else one for one in places)]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--host", f"unix://{directory}/socket"], stdout=log, stderr=log)
    started = Engine(directory, process)
    try:
        wait_until(lambda: started.answers() or process.poll() is not None, "the engine answers")
        if not started.answers():
            pytest.skip(f"no Docker engine can run here: {(directory / 'log').read_text()[-300:]}")
        load_images(started)
        yield started
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        subprocess.run(["rm", "-rf", str(directory)], check=False)


def load_images(engine: Engine) -> None:
    """From podman's store into the engine's, under the names that compose.yaml has."""
    for name in ("face-login-daemon", "face-login-web"):
        archive = engine.directory / "image.tar"
        podman("save", "--quiet", "--output", str(archive), f"localhost/{name}")
        engine.run("docker", "load", "--quiet", "--input", str(archive))
        engine.run("docker", "tag", f"localhost/{name}", name)
        archive.unlink()


@pytest.fixture(scope="module")
def up(engine: Engine) -> Iterator[ComposedSite]:
    """`docker compose up`, with nothing set."""
    started = time.monotonic()
    engine.compose("up", "--detach", "--no-build")
    site = ComposedSite(engine, "http://127.0.0.1:9988")
    wait_until(lambda: health(engine, "web") == "healthy", "the site is healthy")
    MEASURED["compose: from `up` to a healthy site"] = f"{time.monotonic() - started:.1f} s"
    yield site
    started = time.monotonic()
    engine.compose("down", "--volumes", "--timeout", "25")
    MEASURED["compose: `down`"] = f"{time.monotonic() - started:.1f} s"


@dataclass
class ComposedSite:
    """The site as compose.yaml publishes it."""

    engine: Engine
    base_url: str

    def visitor(self) -> Visitor:
        return Website.visitor(self)  # type: ignore[arg-type]


def health(engine: Engine, service: str) -> str:
    return str(engine.inspected(service)["State"].get("Health", {}).get("Status"))


def test_up_with_nothing_set_gives_a_login_by_face(up: ComposedSite) -> None:
    answer = up.visitor().register(BARACKS.name, BARACKS.email, BARACKS.password, burst(BARACK, 4))
    assert answer.json == {"ok": True, "location": "/registered"}
    visitor = up.visitor()
    assert living.log_in(visitor, BARACK_LATER, living.STRONGER, tries=4).json["ok"] and visitor.is_in()


def test_localhost_is_the_same_site(up: ComposedSite) -> None:
    by_name = ComposedSite(up.engine, "http://localhost:9988").visitor().get("/login")
    assert (by_name.status, by_name.location) == (303, "http://127.0.0.1:9988/login")


def test_the_daemon_has_no_network_and_the_site_listens_on_loopback_alone(engine: Engine, up: ComposedSite) -> None:
    assert list(engine.inspected("daemon")["NetworkSettings"]["Networks"]) == ["none"]
    published = {name: engine.inspected(name)["HostConfig"]["PortBindings"] for name in ("daemon", "web")}
    assert published == {"daemon": {}, "web": {"9988/tcp": [{"HostIp": "127.0.0.1", "HostPort": "9988"}]}}


@pytest.mark.parametrize("service", ["daemon", "web"])
def test_each_is_as_hard_as_it_is_written(engine: Engine, up: ComposedSite, service: str) -> None:
    described = engine.inspected(service)
    host = described["HostConfig"]
    assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and not host["CapAdd"] and not host["Privileged"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Memory"] > 0 and host["PidsLimit"] == 256
    assert described["Config"]["User"] not in ("", "root", "0")


def test_both_are_back_after_a_restart_and_know_the_face(engine: Engine, up: ComposedSite) -> None:
    engine.compose("restart", "--timeout", "25")
    wait_until(lambda: health(engine, "daemon") == health(engine, "web") == "healthy", "both are healthy")
    visitor = up.visitor()
    assert living.log_in(visitor, BARACK_LATER, living.STRONGER, tries=4).json["ok"] and visitor.is_in()


def test_the_profile_tls_serves_the_site_with_the_operator_s_certificate(
    engine: Engine, up: ComposedSite, tmp_path: Path
) -> None:
    certificate = certificate_in(tmp_path)
    port = free_port()
    settings = {"FACE_LOGIN_TLS": str(tmp_path), "FACE_LOGIN_HTTPS": f"127.0.0.1:{port}"}
    engine.compose("--profile", "tls", "up", "--detach", "--no-build", "tls", **settings)
    wait_until(lambda: health(engine, "tls") == "healthy", "TLS is spoken")
    asked = ["curl", "--silent", "--cacert", str(certificate), f"https://localhost:{port}/healthz"]
    assert subprocess.run(asked, capture_output=True, check=True).stdout == b'{"ok":true}'
    engine.compose("--profile", "tls", "rm", "--stop", "--force", "tls", **settings)


def test_the_database_s_passwords_are_made_once_for_its_group_alone(engine: Engine, up: ComposedSite) -> None:
    made = []
    for _ in range(2):
        engine.compose("--profile", "mariadb", "up", "--no-build", "secrets")
        assert engine.inspected("secrets")["State"]["ExitCode"] == 0
        look = "stat -c '%a %u %g' /run/face-login-database/*password && cat /run/face-login-database/*password"
        made.append(engine.compose("exec", "-T", "web", "sh", "-c", look).splitlines())
    assert made[0] == made[1]
    assert made[0][:2] == ["640 10002 10001"] * 2
    (passwords,) = made[0][2:]
    assert len(passwords) == 128 and passwords[:64] != passwords[64:]
    engine.compose("--profile", "mariadb", "rm", "--stop", "--force", "secrets")
