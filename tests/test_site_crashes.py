"""kill -9 of the whole site while an account is made, changed or removed: afterwards rows and templates fit together.

The moments are chosen by what database and daemon show, so that every step is hit; where exactly in a step the signal
lands is chance, and what must hold afterwards holds wherever it lands.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from daemons import Daemon
from e2e.browsers import Account
from e2e.clips import burst
from e2e.people import BARACK, BARACKS
from websites import PATIENCE_S, Visitor, Website, php_is_there, start_website

pytestmark = pytest.mark.skipif(not php_is_there(), reason="needs PHP 8.2 with pdo_sqlite and mbstring")


class Scene:
    """One site that is killed and started again, on one database and one daemon."""

    def __init__(self, directory: Path, daemon: Daemon) -> None:
        self.directory = directory
        self.daemon = daemon
        self.enrolled_before = 0
        self.site = start_website(directory, daemon)

    def subjects(self) -> set[str]:
        with self.daemon.client() as client:
            return {str(one.id) for one in client.all_subjects()}

    def kill_when(self, moment: Callable[[Scene], bool], act: Callable[[], object]) -> None:
        """Let it act, and end the site at that moment, or when it has acted."""
        self.enrolled_before = self.daemon.log_path.read_text().count(" enrol ...")
        with ThreadPoolExecutor(1) as browser:
            acting = browser.submit(act)
            deadline = time.monotonic() + PATIENCE_S
            while not acting.done() and not moment(self) and time.monotonic() < deadline:
                time.sleep(0.001)
            os.killpg(self.site.process.pid, signal.SIGKILL)
            self.site.process.wait()
            acting.exception()  # the browser has seen its connection break, or had its answer

    def again(self) -> None:
        """As scripts/serve starts: what was at work before is at work no more."""
        self._daemon_is_idle()
        self.site = start_website(self.directory, self.daemon)
        done = self.site.console("reconcile", "--all")
        assert done.returncode == 0, done.stdout + done.stderr

    def _daemon_is_idle(self) -> None:
        """A request of a killed site may still be in its queue."""
        deadline = time.monotonic() + PATIENCE_S
        with self.daemon.client() as client:
            while time.monotonic() < deadline:
                client.detect(burst(BARACK, 1)[0])  # answered after all that came before it
                if client.status().queue == 0:
                    return
        raise AssertionError("the daemon does not come to rest")

    def fits(self) -> None:
        """What the daemon has is what accounts that can log in have, and nothing is half-made."""
        kept = self.site.rows(
            "SELECT f.subject FROM face f JOIN face_user u ON u.id = f.user_id "
            "WHERE f.state = 'active' AND u.status = 'active'"
        )
        assert self.subjects() == {subject for (subject,) in kept}
        assert self.site.rows("SELECT COUNT(*) FROM face_user WHERE status <> 'active'") == [["0"]]
        assert self.site.rows("SELECT COUNT(*) FROM face WHERE state <> 'active'") == [["0"]]
        assert self.site.rows("SELECT COUNT(*) FROM gone_face") == [["0"]]
        assert self.site.console("audit:verify").returncode == 0

    def has(self, rows: str) -> bool:
        """Are there rows FROM this?"""
        return self.site.rows(f"SELECT COUNT(*) FROM {rows}") != [["0"]]


@pytest.fixture
def scene(web_daemon: Daemon, tmp_path: Path) -> Iterator[Scene]:
    web_daemon.forget_everybody()
    made = Scene(tmp_path, web_daemon)
    yield made
    made.site.stop()


def register(site: Website, who: Account) -> None:
    assert site.visitor().register(who.name, who.email, who.password, burst(BARACK, 4)).json["ok"]


def logged_in(site: Website, who: Account) -> Visitor:
    visitor = site.visitor()
    visitor.password(who.email, who.password)
    assert visitor.is_in()
    return visitor


#: What database and daemon show at each step; "enrols" is a line that the daemon writes before it begins.
REGISTERING: dict[str, Callable[[Scene], bool]] = {
    "nothing yet": lambda scene: True,
    "the row": lambda scene: scene.has("face_user"),
    "the subject": lambda scene: scene.has("face"),
    "the daemon enrols": lambda scene: scene.daemon.log_path.read_text().count(" enrol ...") > scene.enrolled_before,
    "the daemon has enrolled": lambda scene: bool(scene.subjects()),
    "the face is in use": lambda scene: scene.has("face WHERE state = 'active'"),
    "the account is active": lambda scene: scene.has("face_user WHERE status = 'active'"),
}

REMOVING: dict[str, Callable[[Scene], bool]] = {
    "it is marked": lambda scene: (
        scene.has("face WHERE state = 'removing'") or scene.has("face_user WHERE status = 'deleting'")
    ),
    "the daemon has forgotten": lambda scene: not scene.subjects(),
    "the rows are gone": lambda scene: not scene.has("face"),
}


@pytest.mark.parametrize("moment", REGISTERING)
def test_a_registration_that_is_killed_is_whole_or_gone_and_can_be_made_again(scene: Scene, moment: str) -> None:
    scene.kill_when(REGISTERING[moment], lambda: register(scene.site, BARACKS))
    scene.again()
    scene.fits()
    if not scene.has("face_user"):
        register(scene.site, BARACKS)
    visitor = scene.site.visitor()
    visitor.face(burst(BARACK))
    assert visitor.is_in()


@pytest.mark.parametrize("moment", REMOVING)
@pytest.mark.parametrize("path", ["/account/delete", "/account/face/remove"])
def test_a_removal_that_is_killed_is_finished_once_it_was_begun(scene: Scene, path: str, moment: str) -> None:
    register(scene.site, BARACKS)
    visitor = logged_in(scene.site, BARACKS)
    csrf = visitor.csrf()
    scene.kill_when(REMOVING[moment], lambda: visitor.post(path, {"sure": "1"}, csrf=csrf))
    scene.again()
    scene.fits()
    assert scene.subjects() == set()
    assert scene.has("face_user") == (path != "/account/delete")
