"""Prints where the time of a login goes, from the click to the account page: python -m e2e.login_time [RUNS [FILM]].

Run in tests/ with the project's Python, on an otherwise idle machine; it starts a daemon, a site and a browser. With
FILM, webcam_one_person_640x480.mjpeg, the man in it logs in, without liveness and with a challenge of the two movements
that he can show (a daemon asks for three by default). How soon he reacts and how long he moves is actor.py's; what the
camera adds, from him to the page's video, is printed first.
"""

from __future__ import annotations

import re
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from operator import sub
from pathlib import Path

import numpy as np
from daemons import Daemon, start_daemon
from e2e.actor import Actor
from e2e.browsers import Camera, chromium, screen
from e2e.clips import HEIGHT, WIDTH, burst
from e2e.following import Asked, play
from e2e.people import BARACK, BARACKS
from playwright.sync_api import Browser, Request, sync_playwright
from websites import Website, start_website

#: Tells every stage of a step with the page's own clock, and each look of the finder.
STAGES = """() => {
    const camera = document.querySelector('[data-camera]');
    new MutationObserver(() => told(Date.now(), camera.dataset.phase ?? ''))
        .observe(camera, { attributes: true, attributeFilter: ['data-phase'] });
    new MutationObserver((looks) => looks.forEach(() => told(Date.now(), 'look')))
        .observe(document.querySelector('[data-ring]'), { attributes: true, attributeFilter: ['aria-valuenow'] });
}"""
#: Notes when the video's middle becomes bright or dark.
SEEN = """() => {
    const video = document.querySelector('video');
    const context = new OffscreenCanvas(8, 8).getContext('2d', { willReadFrequently: true });
    let before = null;
    window.changes = [];
    setInterval(() => {
        context.drawImage(video, 0, 0, 8, 8);
        const bright = context.getImageData(4, 4, 1, 1).data[0] > 128;
        if (before !== null && bright !== before) {
            window.changes.push(Date.now());
        }
        before = bright;
    }, 5);
}"""
CLICK = "() => { const now = Date.now(); document.querySelector('[data-capture]').click(); return now; }"


def login(site: Website, browser: Browser, daemon: Daemon, man: Actor | None = None) -> dict[str, float]:
    """One login by a click on the button, once the page sees the face well; milliseconds of its parts."""
    timings: dict[str, tuple[float, float, float]] = {}
    stages: list[tuple[float, str]] = []

    def finished(request: Request) -> None:
        path = request.url.removeprefix(site.base_url)
        timing = request.timing
        start = timing["startTime"]
        timings[path] = (start, start + timing["responseStart"], start + timing["responseEnd"])

    with screen(browser, site.base_url) as tab:
        tab.page.on("requestfinished", finished)
        if man is not None:
            Asked(tab, site)
        tab.page.expose_function("told", lambda at, stage: stages.append((at, stage)))
        tab.open("/login")
        tab.page.evaluate(STAGES)
        tab.page.wait_for_selector('[data-camera][data-state="looking"][data-green="true"]')
        clicked = tab.page.evaluate(CLICK)
        if man is not None:
            play(tab, man)
        tab.is_at("/account")
        tab.page.wait_for_load_state("load")
        loaded = tab.page.evaluate(
            "performance.timeOrigin + performance.getEntriesByType('navigation')[0].loadEventEnd"
        )
    sent, answering, answered = timings["/login/face"]
    nonce_sent, _, nonce_there = timings["/capture"]
    daemon_ms = float(re.findall(r" identify .*?([0-9.]+) ms", daemon.log_path.read_text())[-1])
    return {
        "camera: the frames, and the steps": sent - clicked,
        **of_steps(clicked, stages),
        "  meanwhile the nonce": nonce_there - nonce_sent,
        "upload, site and daemon": answered - sent,
        "  of it the daemon": daemon_ms,
        "  of it up to the first byte of the answer": answering - sent,
        "redirect and account page": loaded - answered,
        "from the click to the account page": loaded - clicked,
    }


def of_steps(clicked: float, stages: Sequence[tuple[float, str]]) -> dict[str, float]:
    """Of the time until the pictures are sent: what comes before the steps, and the mean of what each is made of."""
    asked, held, done = ([at for at, stage in stages if stage == name] for name in ("asked", "held", "done"))
    if not asked:
        return {}
    # Words, rest and tick move the ring, too; what is left are looks for the face.
    looks = sum(stage == "look" for _, stage in stages) - 3 * len(asked) - 1
    return {
        "  of it looking ahead, before the first words": asked[0] - clicked,
        "  a step: from the words until it is seen": statistics.mean(map(sub, held, asked)),
        "    (one look for the face, with its rest)": sum(map(sub, held, asked)) / max(1, looks),
        "  a step's pictures": statistics.mean(map(sub, done, held)),
        "  the tick": statistics.mean(map(sub, asked[1:], done)),
    }


def lag(browser: Browser, site: Website, man: Actor) -> list[float]:
    """Milliseconds from what is done before the camera to the page's video."""
    lags = []
    with screen(browser, site.base_url) as tab:
        tab.open("/login")
        tab.state("looking")
        man.show(lambda pose: np.zeros((HEIGHT, WIDTH, 3), np.uint8))
        tab.page.evaluate(SEEN)
        tab.page.wait_for_timeout(1000)
        for at in range(20):
            tab.page.evaluate("changes.length = 0")
            level, began = 0 if at % 2 else 255, 1000 * time.time()
            man.show(lambda pose, level=level: np.full((HEIGHT, WIDTH, 3), level, np.uint8))
            tab.page.wait_for_function("() => changes.length")
            lags.append(tab.page.evaluate("changes[0]") - began)
            tab.page.wait_for_timeout(100 + 37 * (at % 7))
    man.show(man.filmed)
    return lags


def main() -> None:
    """Set up, log in again and again, print medians."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    directory = Path(tempfile.mkdtemp())
    daemon = start_daemon(directory / "daemon", "[liveness]\nsteps = 2\n")
    camera = Camera(directory / "clip.y4m")
    try:
        if len(sys.argv) > 2:
            filmed(directory, daemon, camera, Path(sys.argv[2]), runs)
        else:
            photographed(directory, daemon, camera, runs)
    finally:
        daemon.kill()
        camera.clip.unlink(missing_ok=True)


def photographed(directory: Path, daemon: Daemon, camera: Camera, runs: int) -> None:
    """Somebody of the sample photographs, without liveness."""
    site = start_website(directory / "site", daemon)
    try:
        site.visitor().register(BARACKS.name, BARACKS.email, BARACKS.password, burst(BARACK, 4))
        with sync_playwright() as playwright, chromium(playwright, *camera.arguments) as browser:
            measured = []
            for _ in range(runs + 1):
                camera.show(BARACK)
                measured.append(login(site, browser, daemon))
        tell("without liveness", measured)
    finally:
        site.stop()


def filmed(directory: Path, daemon: Daemon, camera: Camera, film: Path, runs: int) -> None:
    """The man of the film, without liveness and with it, in turn."""
    modes = ("off", "both")
    sites = [start_website(directory / "site", daemon, f"liveness = {mode}", mode) for mode in modes]
    try:
        with (
            Actor(camera.clip, film) as man,
            sync_playwright() as playwright,
            chromium(playwright, *camera.arguments) as browser,
        ):
            pictures = [man.photographed() for _ in range(4)]
            sites[0].visitor().register(BARACKS.name, BARACKS.email, BARACKS.password, pictures)
            measured: list[list[dict[str, float]]] = [[], []]
            lags = lag(browser, sites[0], man)
            sys.stdout.write(f"camera: {statistics.median(lags):.0f} ms ({min(lags):.0f} to {max(lags):.0f})\n")
            for _ in range(runs + 1):
                for mode, site, found in zip(modes, sites, measured, strict=True):
                    found.append(login(site, browser, daemon, man if mode == "both" else None))
        for mode, found in zip(modes, measured, strict=True):
            tell(f"liveness = {mode}", found)
    finally:
        for site in sites:
            site.stop()


def tell(name: str, measured: list[dict[str, float]]) -> None:
    """Medians; the first login warms the caches."""
    sys.stdout.write(f"{name}: median of {len(measured) - 1} logins, milliseconds (least to most)\n")
    for part in measured[0]:
        values = sorted(one[part] for one in measured[1:])
        sys.stdout.write(f"{part:45} {statistics.median(values):7.0f}   ({values[0]:.0f} to {values[-1]:.0f})\n")


if __name__ == "__main__":
    main()
