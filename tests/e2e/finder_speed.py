"""Prints how long the page's face finder looks by WebAssembly and by WebGL: python -m e2e.finder_speed [ROUNDS].

Run in tests/ with the project's Python, on an otherwise idle machine; it starts a site and a browser.
"""

from __future__ import annotations

import base64
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from daemons import ROOT, start_daemon
from e2e.browsers import chromium, screen
from playwright.sync_api import Browser, Route, sync_playwright
from websites import Website, start_website

#: Sides of the finder's square, as detectors.js has them: ABOUT, NEAR, FAR.
SIDES = (128, 224, 416)
LOOK = """async ([photograph, sides]) => {
    const began = performance.now();
    const find = await (await import('/face_finder.js')).loadFaceFinder('/vendor/face-api/');
    const image = new Image();
    image.src = photograph;
    await image.decode();
    const canvas = document.createElement('canvas');
    const scale = 320 / Math.max(image.width, image.height);
    [canvas.width, canvas.height] = [image.width * scale, image.height * scale];
    canvas.getContext('2d', { willReadFrequently: true }).drawImage(image, 0, 0, canvas.width, canvas.height);
    const faces = await find(canvas, 224);
    const first = performance.now() - began;
    const looks = [];
    for (const side of sides) {
        const at = performance.now();
        await find(canvas, side);
        looks.push(performance.now() - at);
    }
    return { backend: faceapi.tf.getBackend(), faces, first, looks };
}"""


def without_webassembly(route: Route) -> None:
    """The page's policy allows none."""
    answer = route.fetch()
    policy = answer.headers["content-security-policy"].replace("'wasm-unsafe-eval'", "")
    route.fulfill(response=answer, headers=answer.headers | {"content-security-policy": policy})


def looked(browser: Browser, site: Website, photo: Path, change: tuple[str, Any] | None, looks: int = 0) -> Any:
    """What a fresh page's finder runs on and finds, and its milliseconds: to the first answer, and each look after it.

    change: which answers of the site are given otherwise, and how. looks: so many with each of SIDES.
    """
    with screen(browser, site.base_url) as tab:
        if change is not None:
            tab.page.route(*change)
        tab.open("/")
        photograph = "data:image/jpeg;base64," + base64.b64encode(photo.read_bytes()).decode()
        # The first with each side prepares it.
        sides = [side for side in SIDES for _ in range(looks + 1)] if looks else []
        answer = tab.page.evaluate(LOOK, [photograph, sides])
        tab.forgive("WebAssembly|integrity")
    return answer


def main() -> None:
    """Fresh pages in turn; medians, and how many times as long WebGL takes."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    directory, looks = Path(tempfile.mkdtemp()), 10
    daemon = start_daemon(directory / "daemon")
    site = start_website(directory / "site", daemon)
    measured: dict[str, list[list[float]]] = {"wasm": [], "webgl": []}
    try:
        with sync_playwright() as playwright, chromium(playwright) as browser:
            for _ in range(rounds):
                for change in (None, ("**/", without_webassembly)):
                    answer = looked(browser, site, ROOT / "var" / "test-photos" / "obama2.jpg", change, looks)
                    each = [answer["looks"][at + 1 : at + looks + 1] for at in range(0, 3 * (looks + 1), looks + 1)]
                    measured[answer["backend"]].append([answer["first"], *map(statistics.median, each)])
    finally:
        site.stop()
        daemon.kill()
    wasm, webgl = ([statistics.median(part) for part in zip(*measured[name], strict=True)] for name in measured)
    for name, one, other in zip(
        ("first answer", *(f"square of {side} px" for side in SIDES)), wasm, webgl, strict=True
    ):
        sys.stdout.write(f"{name:20} WebAssembly {one:5.0f} ms   WebGL {other:5.0f} ms   {other / one:4.1f} times\n")


if __name__ == "__main__":
    main()
