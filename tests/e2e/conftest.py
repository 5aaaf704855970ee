"""A site, a browser and a camera, for each module anew: Playwright's event loop must not outlive the module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from e2e.browsers import Camera, chromium, chromium_path
from playwright.sync_api import Browser, Playwright, sync_playwright


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """What drives the browser."""
    chromium_path()
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Camera]:
    """The camera of the module's browser; a clip has 70 MB, so none stays."""
    clip = tmp_path_factory.mktemp("camera") / "clip.y4m"
    yield Camera(clip)
    clip.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def browser(playwright: Playwright, camera: Camera) -> Iterator[Browser]:
    """A browser with that camera, which pages may use without asking."""
    with chromium(playwright, *camera.arguments) as running:
        yield running


@pytest.fixture(scope="module")
def without_camera(playwright: Playwright) -> Iterator[Browser]:
    """A machine that has none."""
    with chromium(playwright, "--use-fake-ui-for-media-stream") as running:
        yield running
