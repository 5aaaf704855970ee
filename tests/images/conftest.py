"""The containers that the tests share. Run by scripts/test-image, which builds the images first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from daemons import ROOT
from images.containers import (
    MEASURED,
    VOLUMES,
    WEB,
    Container,
    config_for,
    remove,
    remove_volumes,
    run_daemon,
    web_options,
)
from websites import Visitor, Website, free_port

NAMES = [f"face-login-test-{name}" for name in ("daemon", "web", "tls", "trial", "restored", "systemd")]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without the images there is nothing to test."""
    if "FACE_LOGIN_IMAGES" not in os.environ:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="scripts/test-image builds the images and runs these"))


@dataclass
class Site:
    """The web container as a visitor sees it."""

    container: Container
    base_url: str

    def visitor(self, **headers: str) -> Visitor:
        """A browser that nobody has used."""
        return Website.visitor(self, **headers)  # type: ignore[arg-type]

    def rows(self, sql: str) -> list[list[str]]:
        """What its database says; asked in its container by its own user."""
        code = (
            "foreach ((new PDO('sqlite:/var/lib/face-web/users.sqlite'))->query($argv[1], PDO::FETCH_NUM) as $row)"
            ' { echo implode("\\t", $row), "\\n"; }'
        )
        return [line.split("\t") for line in self.container.execute("php", "-r", code, sql).splitlines()]


@pytest.fixture(scope="session")
def clean() -> Iterator[None]:
    """Nothing of an earlier run is there, and nothing stays."""
    for name in NAMES:
        remove(name)
    remove_volumes(*VOLUMES)
    yield
    for name in NAMES:
        remove(name)
    remove_volumes(*VOLUMES)
    report = ROOT / "var" / "images.md"
    rows = "".join(f"| {row} | {value} |\n" for row, value in MEASURED.items())
    report.write_text(f"| | |\n|---|---|\n{rows}")


@pytest.fixture(scope="session")
def daemon(clean: None) -> Container:
    """A running daemon container with a gallery of its own."""
    container = run_daemon()
    MEASURED["daemon: from `run` to healthy"] = f"{container.await_healthy():.1f} s"
    return container


@pytest.fixture(scope="session")
def web(daemon: Container, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A running web container beside the daemon's, published on a loopback port."""
    port = free_port()
    base_url = f"http://127.0.0.1:{port}"
    config = config_for(tmp_path_factory.mktemp("web"), base_url)
    container = Container.run("face-login-test-web", WEB, f"--publish=127.0.0.1:{port}:9988", *web_options(config))
    MEASURED["web: from `run` to healthy"] = f"{container.await_healthy():.1f} s"
    return Site(container, base_url)
