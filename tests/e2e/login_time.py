"""Prints where the time of a login goes, from the click to the account page: python -m e2e.login_time [RUNS].

Run in tests/ with the project's Python, on an otherwise idle machine; it starts a daemon, a site and a browser.
"""

from __future__ import annotations

import re
import statistics
import sys
import tempfile
from pathlib import Path

from daemons import Daemon, start_daemon
from e2e.browsers import Camera, chromium, screen
from e2e.clips import burst
from e2e.people import BARACK, BARACKS
from playwright.sync_api import Browser, Request, sync_playwright
from websites import Website, start_website

CLICK = "() => { const now = Date.now(); document.querySelector('[data-capture]').click(); return now; }"


def login(site: Website, browser: Browser, daemon: Daemon) -> dict[str, float]:
    """One login by a click on the button; milliseconds of its parts."""
    timings: dict[str, tuple[float, float, float]] = {}

    def finished(request: Request) -> None:
        path = request.url.removeprefix(site.base_url)
        timing = request.timing
        start = timing["startTime"]
        timings[path] = (start, start + timing["responseStart"], start + timing["responseEnd"])

    with screen(browser, site.base_url) as tab:
        tab.page.on("requestfinished", finished)
        tab.open("/login")
        tab.page.wait_for_function("() => document.querySelector('video')?.videoWidth > 0")
        tab.state("looking")
        clicked = tab.page.evaluate(CLICK)
        tab.is_at("/account")
        tab.page.wait_for_load_state("load")
        loaded = tab.page.evaluate(
            "performance.timeOrigin + performance.getEntriesByType('navigation')[0].loadEventEnd"
        )
    sent, answering, answered = timings["/login/face"]
    nonce_sent, _, nonce_there = timings["/capture"]
    daemon_ms = float(re.findall(r" identify .*?([0-9.]+) ms", daemon.log_path.read_text())[-1])
    return {
        "camera: three frames": sent - clicked,
        "  meanwhile the nonce": nonce_there - nonce_sent,
        "upload, site and daemon": answered - sent,
        "  of it the daemon": daemon_ms,
        "  of it up to the first byte of the answer": answering - sent,
        "redirect and account page": loaded - answered,
        "from the click to the account page": loaded - clicked,
    }


def main() -> None:
    """Set up, log in again and again, print medians."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    directory = Path(tempfile.mkdtemp())
    daemon = start_daemon(directory / "daemon")
    site = start_website(directory / "site", daemon)
    camera = Camera(directory / "clip.y4m")
    try:
        site.visitor().register(BARACKS.name, BARACKS.email, BARACKS.password, burst(BARACK, 4))
        measured = []
        with sync_playwright() as playwright, chromium(playwright, *camera.arguments) as browser:
            for _ in range(runs + 1):
                camera.show(BARACK)
                measured.append(login(site, browser, daemon))
        sys.stdout.write(f"median of {runs} logins, milliseconds (least to most)\n")
        for part in measured[0]:
            values = sorted(one[part] for one in measured[1:])  # the first warms the caches
            sys.stdout.write(f"{part:45} {statistics.median(values):7.0f}   ({values[0]:.0f} to {values[-1]:.0f})\n")
    finally:
        site.stop()
        daemon.kill()
        camera.clip.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
