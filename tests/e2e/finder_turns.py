"""Prints how far the page's finder and the daemon's detector see a head move: python -m e2e.finder_turns [PEOPLE].

Run in tests/ with the project's Python. Against the same person's looking ahead, in distances between the eyes (sizes:
times as large): the filmed movements of the man before the webcam and of the man on the stage, and photographs of the
developers' lfw-dev on a modelled head, which turns by known angles. The limits in public/challenge.js rest on this.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from daemons import ROOT
from e2e.browsers import chromium
from e2e.clips import jpeg
from e2e.finder_reach import DATA, PUBLIC, SITE
from liveness.attacks.footage import Clip, clips
from liveness.attacks.head import animated
from liveness.attacks.performing import Pose as Held
from liveness.attacks.photographs import photographs
from playwright.sync_api import Page, Route, sync_playwright

from face_server.assembly import assemble_pipeline
from face_server.config import load_config
from face_server.liveness.pose import Pose, pose_of
from face_server.types import RgbImage

#: The page's own following: about the face of the picture before, where there was one.
FIND = """async () => {
    window.finder ??= await (await import('/detectors.js')).inBrowser('/vendor/face-api/');
    const scene = await createImageBitmap(await (await fetch('/scene?' + Math.random())).blob());
    scene.videoWidth = scene.width;
    scene.videoHeight = scene.height;
    const { width, faces } = await window.finder.measure(scene, true);
    const landmarks = faces.length === 1 ? faces[0].landmarks : null;
    return landmarks?.map(point => point.map(at => at * scene.width / width)) ?? null;
}"""
#: Degrees of the modelled head.
TURNS, NODS = (-30, -25, -20, -15, -10, 10, 15, 20, 25, 30), (-20, -15, -10, 10, 15, 20)


class Looker:
    """Both finders on one picture."""

    def __init__(self, page: Page, detector: Any) -> None:
        self._page, self._detector, self._scene = page, detector, b""
        page.route(f"{SITE}**", self._answer)
        page.set_default_timeout(0)
        page.goto(SITE)

    def _answer(self, route: Route) -> None:
        path = route.request.url.removeprefix(SITE).split("?")[0]
        if path in ("", "scene"):
            route.fulfill(body=self._scene if path else b"<!doctype html>", content_type="text/html")
        else:
            route.fulfill(path=PUBLIC / path)

    def look(self, picture: RgbImage) -> tuple[Pose, Pose] | None:
        """The page's pose and the daemon's; None where one of them finds no single face."""
        self._scene = jpeg(picture)
        page, daemon = self._page.evaluate(FIND), self._detector.detect(picture)
        return (pose_of(page), pose_of(daemon[0].landmarks)) if page and len(daemon) == 1 else None


def middle(poses: Sequence[Pose]) -> Pose:
    """The median of each measure."""
    return Pose(*(statistics.median(getattr(pose, name) for pose in poses) for name in Pose.__slots__))


def row(name: str, first: Sequence[Pose], there: Sequence[Pose]) -> str:
    """What changed, as both saw it."""
    cells = []
    for one, two in zip(first, there, strict=True):
        moved = f"{two.yaw - one.yaw:+.3f} {two.pitch - one.pitch:+.3f}"
        cells.append(f"{moved} {two.width / one.width:.2f} {two.size_px / one.size_px:.2f}")
    return f"{name:34} page {cells[0]}   daemon {cells[1]}\n"


def filmed(looker: Looker, clip: Clip, ahead: range, parts: dict[str, range]) -> None:
    """Medians of parts of a film against its looking ahead, and how much a still head strays."""
    seen = {at: looker.look(clip.frames[at]) for part in (ahead, *parts.values()) for at in part}
    first = [middle([both[side] for at in ahead if (both := seen[at])]) for side in (0, 1)]
    for name, part in parts.items():
        found = [both for at in part if (both := seen[at])]
        if found:
            there = [middle([both[side] for both in found]) for side in (0, 1)]
            sys.stdout.write(row(f"{clip.path.name[:12]} {name} ({len(found)}/{len(part)})", first, there))
    still = [both for at in ahead if (both := seen[at])]
    for side, name in enumerate(("page", "daemon")):
        stray = [statistics.pstdev(getattr(both[side], axis) for both in still) for axis in ("yaw", "pitch")]
        sys.stdout.write(f"  a still head strays, {name}: yaw {stray[0]:.3f} pitch {stray[1]:.3f}\n")


def modelled(looker: Looker, people: int, detector: Any) -> None:
    """Medians over people of a drawn head's turns and nods."""
    poses = {f"turn {turn}": Held(yaw=turn) for turn in TURNS} | {f"nod {nod}": Held(pitch=nod) for nod in NODS}
    moved: dict[str, list[tuple[Pose, Pose, Pose, Pose]]] = {name: [] for name in poses}
    for photo in photographs([DATA / "lfw-dev" / "images"], detector.detect, people):
        first = looker.look(animated(photo, Held(), 80))
        for name, pose in poses.items():
            there = looker.look(animated(photo, pose, 80))
            if first and there:
                moved[name].append((first[0], there[0], first[1], there[1]))
    for name, found in moved.items():
        sys.stdout.write(f"{name:10} {len(found):3d}")
        axis = "yaw" if name.startswith("turn") else "pitch"
        for at in (0, 2):
            values = [getattr(each[at + 1], axis) - getattr(each[at], axis) for each in found]
            shape = [each[at + 1].width / each[at].width for each in found]
            low, half, high = np.quantile(values, [0.1, 0.5, 0.9])
            sys.stdout.write(f"   {low:+.3f} {half:+.3f} {high:+.3f} width {np.median(shape):.2f}")
        sys.stdout.write("\n")


def main() -> None:
    """The films, then the photographs."""
    people = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    detector = assemble_pipeline(load_config(ROOT / "config.ini")).detector
    webcam, stage = clips(DATA, detector.detect, ROOT / "var" / "cache" / "footage")
    with sync_playwright() as playwright, chromium(playwright) as browser:
        looker = Looker(browser.new_page(), detector)
        filmed(
            looker,
            webcam,
            range(98, 108),
            {
                "slight left": range(112, 119),
                "right": range(136, 147),
                "down": range(48, 56),
                "ahead": range(124, 129),
            },
        )
        filmed(looker, stage, range(95, 100), {"right": range(83, 91), "left": range(107, 120)})
        filmed(looker, stage, range(176, 181), {"left": range(190, 209)})
        modelled(looker, people, detector)


if __name__ == "__main__":
    main()
