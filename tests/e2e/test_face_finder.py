"""What the page's own face finder runs on, and that it then finds a face where it is."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from e2e.browsers import Screen, screen
from playwright.sync_api import Browser, Route
from websites import Website

#: The longer side of the picture and the side of the finder's square are detectors.js's NEAR.
FIND = """async (photograph) => {
    const find = await (await import('/face_finder.js')).loadFaceFinder('/vendor/face-api/');
    const image = new Image();
    image.src = photograph;
    await image.decode();
    const canvas = document.createElement('canvas');
    const scale = 320 / Math.max(image.width, image.height);
    [canvas.width, canvas.height] = [image.width * scale, image.height * scale];
    canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height);
    return { backend: faceapi.tf.getBackend(), faces: await find(canvas, 224) };
}"""


@pytest.fixture
def photograph(sample_photos: Path) -> str:
    """One man's, as an address."""
    return "data:image/jpeg;base64," + base64.b64encode((sample_photos / "obama2.jpg").read_bytes()).decode()


def found(tab: Screen, photograph: str) -> dict[str, Any]:
    """The backend of TensorFlow.js and the faces."""
    tab.open("/")
    answer: dict[str, Any] = tab.page.evaluate(FIND, photograph)
    return answer


def forbidding(route: Route) -> None:
    """The page's policy allows no WebAssembly."""
    answer = route.fetch()
    policy = answer.headers["content-security-policy"].replace("'wasm-unsafe-eval'", "")
    route.fulfill(response=answer, headers=answer.headers | {"content-security-policy": policy})


def tampering(route: Route) -> None:
    """WebAssembly's code is not that of vendor.toml."""
    answer = route.fetch()
    route.fulfill(response=answer, body=answer.body() + b"\0")


@pytest.mark.parametrize(
    ("addresses", "change", "complaint"), [("**/", forbidding, "WebAssembly"), ("**/*.wasm", tampering, "integrity")]
)
def test_webassembly_first_and_webgl_where_it_is_forbidden_or_not_the_one_stated(
    site: Website, browser: Browser, photograph: str, addresses: str, change: Any, complaint: str
) -> None:
    with screen(browser, site.base_url) as tab:
        first = found(tab, photograph)
    with screen(browser, site.base_url) as tab:
        tab.page.route(addresses, change)
        second = found(tab, photograph)
        tab.forgive(complaint)
    assert (first["backend"], second["backend"]) == ("wasm", "webgl")
    (face,), (same,) = first["faces"], second["faces"]
    assert face["box"] == pytest.approx(same["box"], abs=1)
    assert [x for point in face["landmarks"] for x in point] == pytest.approx(
        [x for point in same["landmarks"] for x in point], abs=1
    )
