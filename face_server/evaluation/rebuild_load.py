"""How do searches fare while the index is built? `python -m face_server.evaluation.rebuild_load`: a gallery of made-up
people is searched without a pause, some are enrolled and removed meanwhile, and it is rebuilt again and again. Every
answer is compared with plain numpy.

What one should look at is the ratio: quiet times and builds take turns, so that whatever else the machine does meets
both.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from face_server.errors import FaceLoginError
from face_server.gallery import GalleryOptions, LocalGallery
from face_server.gallery.index.tuning import draw_probes
from face_server.types import FloatArray, Quality, Template

FINGERPRINT = "made up"
#: Probes that are asked again and again.
PROBES = 500
#: Between two changes, an enrolment or a removal.
CHANGE_S = 0.05
_QUALITY = Quality(face_px=90.0, confidence=1.0, sharpness=50.0, luminance=120.0, yaw=0.0, pitch=0.0, roll=0.0)


@dataclass(slots=True)
class Load:
    """What was seen: seconds of the searches in quiet times and during builds, and what went wrong."""

    quiet: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    rebuilds: list[float] = field(default_factory=list)
    changes: int = 0
    defects: list[str] = field(default_factory=list)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=20_000)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--rebuilds", type=int, default=20)
    parser.add_argument("--trees", type=int, default=50)
    parser.add_argument("--recall", type=float, default=0.999)
    parser.add_argument("--quiet", type=float, default=5.0, metavar="S", help="seconds between two builds (default 5)")
    options = parser.parse_args()
    people = made_up(options.subjects, options.dimension)
    with tempfile.TemporaryDirectory() as directory, LocalGallery(gallery_options(Path(directory), options)) as gallery:
        enrol(gallery, people)
        gallery.rebuild()
        seen = measure(gallery, people, options.rebuilds, options.quiet)
        manifest = gallery.index_status().manifest
    print(f"{options.subjects} subjects, {options.dimension}-D", end="")
    print(f", {manifest.trees} trees, search_k {manifest.search_k}" if manifest else "")
    for name, times in (("quiet", seen.quiet), ("during builds", seen.busy)):
        p50, p95, p99 = np.quantile(times, (0.5, 0.95, 0.99)) * 1000
        print(f"  {name:14s} {len(times):7d} searches   p50 {p50:7.2f}   p95 {p95:7.2f}   p99 {p99:7.2f} ms")
    for share in (0.5, 0.95):
        print(f"  p{share * 100:.0f} during builds / quiet: {ratio(seen, share):.2f}")
    took = np.median(seen.rebuilds)
    print(
        f"  {len(seen.rebuilds)} rebuilds of {took:.1f} s, {seen.changes} changes, {len(seen.defects)} wrong or failed"
    )
    for defect in seen.defects[:10]:
        print(f"    {defect}")


def ratio(seen: Load, share: float) -> float:
    """A quantile of the times during builds over that of quiet times."""
    return float(np.quantile(seen.busy, share) / np.quantile(seen.quiet, share))


def gallery_options(root: Path, options: argparse.Namespace) -> GalleryOptions:
    """Of a gallery in `root` that uses Annoy however few there are."""
    return GalleryOptions(
        store_path=root / "gallery",
        index_path=root / "index",
        fingerprint=FINGERPRINT,
        dimension=options.dimension,
        max_templates_per_subject=20,
        max_map_bytes=1 << 36,
        trees=options.trees,
        neighbours=100,
        overlay_max=1000,
        kind="annoy",
        recall=options.recall,
        background=False,
    )


def made_up(subjects: int, dimension: int) -> FloatArray:
    """Unit vectors (subjects, dimension), the same every time."""
    vectors = np.random.default_rng(1).standard_normal((subjects, dimension), dtype=np.float32)
    unit: FloatArray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def enrol(gallery: LocalGallery, people: FloatArray) -> None:
    """Subject i has the template people[i]."""
    for number, vector in enumerate(tqdm(people, desc="enrolling", unit="subject", disable=None)):
        gallery.enrol(number, [_template(vector, number)])


def measure(gallery: LocalGallery, people: FloatArray, rebuilds: int, quiet_s: float) -> Load:
    """Search, change and rebuild; `people` are the subjects that stay, everybody who comes is gone at the end."""
    seen, building, over = Load(), threading.Event(), threading.Event()
    workers = [
        threading.Thread(target=_search, args=(gallery, people, seen, building, over)),
        threading.Thread(target=_change, args=(gallery, people.shape[1], seen, over)),
    ]
    for worker in workers:
        worker.start()
    try:
        for _ in tqdm(range(rebuilds), desc="rebuilding", disable=None):
            over.wait(quiet_s)
            building.set()
            seen.rebuilds.append(gallery.rebuild().seconds)
            building.clear()
    finally:
        over.set()
        for worker in workers:
            worker.join()
    return seen


def _search(
    gallery: LocalGallery, people: FloatArray, seen: Load, building: threading.Event, over: threading.Event
) -> None:
    probes = draw_probes(people, PROBES, np.random.default_rng(2))
    nearest = (people @ probes.T).argmax(axis=0).tolist()
    for place in itertools.cycle(range(PROBES)):
        if over.is_set():
            return
        before, started_s = building.is_set(), time.perf_counter()
        try:
            best = gallery.identify(probes[place], 1)
        except FaceLoginError as error:
            seen.defects.append(f"a search failed: {error}")
            continue
        took_s = time.perf_counter() - started_s
        if before == building.is_set():
            (seen.busy if before else seen.quiet).append(took_s)
        if not best or best[0].subject != nearest[place]:
            seen.defects.append(f"probe {place} found {best}, not {nearest[place]}")


def _change(gallery: LocalGallery, dimension: int, seen: Load, over: threading.Event) -> None:
    """Somebody is enrolled, found, changed, found as he is now, removed, and not found any more."""
    random = np.random.default_rng(3)
    for number in itertools.count():
        name = f"guest {number}"
        old, new = random.standard_normal((2, dimension)).astype(np.float32)
        old, new = old / np.linalg.norm(old), new / np.linalg.norm(new)
        gallery.enrol(name, [_template(old, 2 * number + 10**9)])
        _require(_finds(gallery, name, old), f"{name} was enrolled and is not found", seen)
        if over.wait(CHANGE_S):
            gallery.remove([name])
            return
        gallery.enrol(name, [_template(new, 2 * number + 10**9 + 1)], replace=True)
        _require(_finds(gallery, name, new), f"{name} was changed and is not found", seen)
        _require(not _finds(gallery, name, old), f"{name} was changed and is found as before", seen)
        over.wait(CHANGE_S)
        _require(_finds(gallery, name, new), f"{name} is not found any more", seen)
        gallery.remove([name])
        _require(not _finds(gallery, name, new), f"{name} was removed and is found", seen)
        seen.changes += 3
        if over.wait(CHANGE_S):
            return


def _finds(gallery: LocalGallery, name: str, vector: FloatArray) -> bool:
    best = gallery.identify(vector, 1)
    return bool(best) and best[0].subject == name and best[0].score > 0.999


def _require(right: bool, defect: str, seen: Load) -> None:
    if not right:
        seen.defects.append(defect)


def _template(vector: FloatArray, number: int) -> Template:
    return Template(vector, FINGERPRINT, 0.0, f"{number:064x}", _QUALITY)


if __name__ == "__main__":
    main()
