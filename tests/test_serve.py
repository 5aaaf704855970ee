"""scripts/serve: both come up, both go down together, and the exit status tells which way it went."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemons import LIGHT, ROOT
from websites import PATIENCE_S, free_port, php_is_there

pytestmark = pytest.mark.skipif(
    not php_is_there() or not (ROOT / ".venv" / "bin" / "face-server").exists(), reason="needs PHP and scripts/setup"
)


class Served:
    """A running scripts/serve in a session of its own, as a terminal would have it."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.port = free_port()
        config = directory / "config.ini"
        config.write_text(
            f"{LIGHT}[server]\nport = {free_port()}\n[models]\npath = {ROOT / 'models'}\n"
            f"[web]\nport = {self.port}\nbase_url = http://127.0.0.1:{self.port}\n"
        )
        self.log = directory / "serve.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                # Tests that were started in the background ignore Ctrl-C, and so would all that they start.
                ["env", "--default-signal=INT", ROOT / "scripts" / "serve", "--config", config, *arguments],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def await_line(self, pattern: str) -> str:
        """Wait until the log has it."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := re.search(pattern, self.log.read_text(errors="replace")):
                return found.group(0)
            time.sleep(0.1)
        raise AssertionError(f"never said {pattern!r}: {self.log.read_text(errors='replace')[-2000:]}")

    def children(self) -> dict[str, int]:
        """What it runs: php and face-server, by their process ids."""
        listed = subprocess.run(
            ["ps", "-o", "pid=,args=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=False
        ).stdout
        found = {}
        for line in listed.splitlines():
            pid, arguments = line.split(maxsplit=1)
            if " -S " in arguments:
                found["php"] = int(pid)
            elif "face-server" in arguments:
                found["face-server"] = int(pid)
        return found

    def end(self) -> None:
        """Whatever still runs."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE_S)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    yield served
    served.end()


def gone(pid: int) -> bool:
    """Has the process, or the group it led, ended? A process that nobody has waited for counts as ended."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def test_both_come_up_and_ctrl_c_ends_both_with_the_status_of_a_graceful_end(served: Served) -> None:
    address = served.await_line(r"the site is ready: \S+").split()[-1]
    with urllib.request.urlopen(f"{address}/healthz", timeout=PATIENCE_S) as answer:
        assert answer.read() == b'{"ok":true}'
    children = served.children()
    assert set(children) == {"php", "face-server"}
    os.killpg(served.process.pid, signal.SIGINT)
    assert served.process.wait(PATIENCE_S) == 0
    assert all(gone(pid) for pid in children.values())
    assert "SIGTERM: finishing what is in hand" in served.log.read_text()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(address, timeout=PATIENCE_S)


@pytest.mark.parametrize("victim", ["php", "face-server"])
def test_when_one_dies_the_other_is_ended_and_the_status_is_no_success(served: Served, victim: str) -> None:
    served.await_line("the site is ready")
    children = served.children()
    os.kill(children[victim], signal.SIGKILL)
    assert served.process.wait(PATIENCE_S) != 0
    assert all(gone(pid) for pid in children.values())
    assert "has ended; stopping" in served.log.read_text()


def test_a_configuration_that_is_wrong_is_told_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "config.ini").write_text("[web]\nlogin_mode = smile\n")
    done = subprocess.run(
        [ROOT / "scripts" / "serve", "--config", tmp_path / "config.ini"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "login_mode" in done.stderr
