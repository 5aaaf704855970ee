"""Prints how small a face the page's finder sees, and how long it looks: python -m e2e.finder_reach [PEOPLE].

Run in tests/ with the project's Python, on an otherwise idle machine. Photographs of the developers' lfw-dev are shrunk
onto a picture of a room without faces, 640x480 with a sensor's noise; the widths are those of the daemon's `detect`.
"""

from __future__ import annotations

import random
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from daemons import ROOT
from e2e.browsers import chromium
from e2e.clips import HEIGHT, WIDTH, Noise, jpeg
from PIL import Image
from playwright.sync_api import Page, Route, sync_playwright

from face_server.assembly import assemble_pipeline
from face_server.config import load_config

PUBLIC = ROOT / "face_web" / "public"
DATA = ROOT.parent / "shared" / "data"
#: Pixels of 640; 0 is an empty room.
WIDTHS = (0, 40, 50, 60, 70, 80, 90, 105, 120)
#: Longer side of the picture, side of the square that the finder sees.
SEARCHES = ((320, 160), (320, 224), (320, 320), (416, 416))
SITE = "http://127.0.0.1:9/"
SEARCH = """async searches => {
    window.faceFinder ??= await (await import('/face_finder.js')).loadFaceFinder('/vendor/face-api/');
    const { drawn } = await import('/capture.js');
    const scene = await createImageBitmap(await (await fetch('/scene')).blob());
    const answers = [];
    for (const [longest, side] of searches) {
        const began = performance.now();
        const faces = await window.faceFinder(drawn(scene, scene.width, scene.height, longest), side);
        const scale = scene.width / longest;
        answers.push([performance.now() - began, faces.map(({ box }) => box.map(at => at * scale))]);
    }
    return answers;
}"""


@dataclass(frozen=True)
class Face:
    """A photograph of one person and the face's box in it."""

    photo: Image.Image
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Shown:
    """A scene, and where the middle of the face is in it."""

    picture: bytes
    width: int
    middle: tuple[float, float]


def faces(people: int, chance: random.Random) -> Iterator[Face]:
    """One photograph of each of so many people, on which the daemon finds one face."""
    pipeline = assemble_pipeline(load_config(ROOT / "config.ini"))
    names = sorted((DATA / "lfw-dev" / "images").iterdir())
    for name in chance.sample(names, people):
        path = min(name.iterdir())
        found = pipeline.detect(path.read_bytes()).faces
        if len(found) == 1:
            box = found[0].box
            yield Face(Image.open(path).convert("RGB"), (box.x1, box.y1, box.x2, box.y2))


def scene(face: Face, width: int, room: Image.Image, chance: random.Random, noise: Noise) -> Shown:
    """The face so wide, somewhere about the middle of the room; without it for a width of 0."""
    left, top = chance.randrange(room.width - WIDTH), chance.randrange(room.height - HEIGHT)
    picture = room.crop((left, top, left + WIDTH, top + HEIGHT))
    x, y = chance.uniform(200, 440), chance.uniform(160, 300)
    if width:
        x1, y1, x2, y2 = face.box
        scale = width / (x2 - x1)
        size = (round(scale * face.photo.width), round(scale * face.photo.height))
        at = (round(x - scale * (x1 + x2) / 2), round(y - scale * (y1 + y2) / 2))
        picture.paste(face.photo.resize(size, Image.Resampling.LANCZOS), at)
    return Shown(jpeg(noise.over(np.asarray(picture))), width, (x, y))


def sees(shown: Shown, boxes: list[list[float]]) -> bool:
    """Is one of the boxes about the face? In an empty room any is."""
    x, y = shown.middle
    return any(not shown.width or (x1 < x < x2 and y1 < y < y2) for x1, y1, x2, y2 in boxes)


def page_of(page: Page, shown: list[Shown]) -> Page:
    """An empty page of a site that has the real site's files, and the newest scene."""

    def answer(route: Route) -> None:
        path = route.request.url.removeprefix(SITE)
        if path in ("", "scene"):
            route.fulfill(body=shown[-1].picture if path else b"<!doctype html>", content_type="text/html")
        else:
            route.fulfill(path=PUBLIC / path)

    page.route(f"{SITE}**", answer)
    page.set_default_timeout(0)
    page.goto(SITE)
    return page


def main() -> None:
    """Set the scenes, search each in every way, print shares and medians."""
    people = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    chance = random.Random(7)
    rooms = [Image.open(DATA / "groups" / name).convert("RGB") for name in ("017_0.jpg", "no-faces.jpg")]
    rooms = [room.resize((1000, round(room.height * 1000 / room.width))) for room in rooms]
    noise = Noise()
    answers: dict[tuple[int, int], list[tuple[int, bool, float]]] = {search: [] for search in SEARCHES}
    shown: list[Shown] = []
    with sync_playwright() as playwright, chromium(playwright) as browser:
        page = browser.new_page()
        for face in faces(people, chance):
            for width in WIDTHS:
                shown.append(scene(face, width, chance.choice(rooms), chance, noise))
                if len(shown) == 1:
                    page_of(page, shown).evaluate(SEARCH, SEARCHES)  # compiles what the graphics card runs
                found: list[Any] = page.evaluate(SEARCH, SEARCHES)
                for search, (ms, boxes) in zip(SEARCHES, found, strict=True):
                    answers[search].append((width, sees(shown[-1], boxes), ms))
    report(answers)


def report(answers: dict[tuple[int, int], list[tuple[int, bool, float]]]) -> None:
    """A row for each way to search."""
    sys.stdout.write("| picture, square | ms | " + " | ".join(f"{width} px" for width in WIDTHS) + " |\n")
    for (longest, side), rows in answers.items():
        shares = [statistics.mean(seen for wide, seen, _ in rows if wide == width) for width in WIDTHS]
        middle = statistics.median(ms for _, _, ms in rows)
        sys.stdout.write(f"| {longest}, {side} | {middle:.0f} | " + " | ".join(f"{one:.2f}" for one in shares) + " |\n")
    sys.stdout.write(f"{len(rows) // len(WIDTHS)} scenes of each width\n")


if __name__ == "__main__":
    main()
