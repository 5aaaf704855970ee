"""The units of deploy/ under a real systemd, in a container that stands for a machine: daemon and site come up in
their sandboxes, nginx speaks TLS before them, and the watchdog ends what does not respond."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from daemons import ROOT
from images.containers import DAEMON, PATIENCE_S, Container, podman, remove, wait_until
from images.test_running import certificate_in

IMAGE, NAME = "localhost/face-login-systemd", "face-login-test-systemd"
CONSOLE = "php -c face_web/php.ini face_web/bin/console"


class Machine(Container):
    """A container whose first process is systemd."""

    def shell(self, script: str) -> str:
        return self.execute("sh", "-c", script)

    def shows(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.execute("systemctl", "show", unit, f"--property={name}", "--value").strip()

    def start_units(self, *units: str) -> None:
        if self.status_of("systemctl", "start", *units):
            raise RuntimeError(self.shell("journalctl --no-pager | tail -60"))


@pytest.fixture(scope="module")
def machine(clean: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Installed, nothing started."""
    recipe = str(Path(__file__).with_name("Dockerfile.systemd"))
    how = [
        "--quiet",
        "--format=docker",
        "--label=face-login-test=1",
        "--network=host",
        "--isolation=chroot",
        f"--tag={IMAGE}",
        f"--file={recipe}",
    ]
    podman("build", *how, str(ROOT / "deploy"))
    certificates = tmp_path_factory.mktemp("tls")
    certificate_in(certificates)
    remove(NAME)
    # Sandboxes are made by who has rights: systemd has them here, as on a machine.
    rights = [
        "--runtime=runc",
        "--systemd=always",
        "--privileged",
        "--ulimit=nofile=1024:1024",
        "--ulimit=nproc=4096:4096",
    ]
    mounts = [
        f"--mount=type=image,source={DAEMON},destination=/daemon",
        f"--volume={certificates}:/etc/face-login/tls:ro",
    ]
    podman("run", "--detach", f"--name={NAME}", "--network=none", *rights, *mounts, IMAGE)
    booted = Machine(NAME)
    wait_until(lambda: booted.status_of("systemctl", "is-system-running", "--quiet") == 0, "systemd runs")
    yield booted
    remove(NAME)


def test_the_daemon_starts_in_its_sandbox_and_start_returns_when_it_is_ready(machine: Machine) -> None:
    machine.start_units("face-server")
    assert machine.shows("face-server", "StatusErrno") == "0"
    assert machine.shows("face-server", "ActiveState") == "active"
    as_its_user = "setpriv --reuid=face-server --regid=face-login --clear-groups face-server ready"
    told = machine.shell(f"PATH=/opt/face-login/.venv/bin:$PATH {as_its_user}")
    assert told == "ready\n"
    assert machine.shell("stat -c '%a %U %G' /run/face-login /run/face-login/face.sock").splitlines() == [
        "750 face-server face-login",
        "660 face-server face-login",
    ]
    assert machine.shell("ls -A /var/lib/face-server").split() == ["gallery", "index", "token.operator", "token.web"]


def test_the_site_answers_by_tls_through_nginx_and_its_own_php_fpm(machine: Machine) -> None:
    machine.start_units("face-web", "nginx")
    ask = (
        "import ssl, urllib.request as u; c = ssl.create_default_context(cafile='/etc/face-login/tls/fullchain.pem');"
        "print(u.urlopen('https://localhost/healthz', context=c).read().decode(),"
        " u.urlopen('https://localhost/style.css', context=c).headers['Cache-Control'])"
    )
    assert machine.execute("python3.11", "-c", ask) == '{"ok":true} no-cache\n'
    assert machine.shows("face-web", "ActiveState") == "active"
    assert machine.shell("stat -c '%a %U %G' /run/face-web/php-fpm.sock") == "660 face-web www-data\n"


def test_what_is_half_made_is_cleared_by_the_timer_s_service(machine: Machine) -> None:
    assert machine.shows("face-web-reconcile.timer", "ActiveState") == "active"
    machine.start_units("face-web-reconcile")
    assert "Nothing was left half-made." in machine.shell("journalctl --no-pager -u face-web-reconcile")


def test_a_daemon_that_responds_no_more_is_ended_and_started_again(machine: Machine) -> None:
    drop_in = "/etc/systemd/system/face-server.service.d"
    machine.shell(
        f"mkdir -p {drop_in} && printf '[Service]\\nWatchdogSec=5\\nTimeoutAbortSec=1\\n' > {drop_in}/test.conf"
    )
    machine.shell("systemctl daemon-reload")
    assert machine.status_of("timeout", str(PATIENCE_S), "systemctl", "restart", "face-server") == 0
    before = machine.shows("face-server", "MainPID")
    machine.shell(f"kill -STOP {before}")
    wait_until(lambda: machine.shows("face-server", "NRestarts") == "1", "systemd starts it again")
    wait_until(lambda: machine.shows("face-server", "ActiveState") == "active", "it is ready again")
    assert machine.shows("face-server", "MainPID") != before
    assert "Watchdog timeout" in machine.shell("journalctl --no-pager -u face-server")


def test_a_stop_is_graceful_and_a_wrong_configuration_is_not_tried_again(machine: Machine) -> None:
    machine.shell("systemctl stop face-server")
    assert machine.shows("face-server", "Result") == "success"
    machine.shell("printf '[web]\\nlogin_mode = smile\\n' > /etc/face-login/config.ini")
    assert machine.status_of("systemctl", "start", "face-server") != 0
    assert machine.shows("face-server", "ActiveState") == "failed"
    assert machine.shows("face-server", "ExecMainStatus") == "2"
