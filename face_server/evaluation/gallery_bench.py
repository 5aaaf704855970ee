"""How does the gallery do at ten thousand and at a million templates? Made-up people of several templates each are
enrolled, indexed, searched and opened again, beside plain numpy and Annoy as it comes, in the same process.

What one should look at are the ratios: each probe is searched for in every way, one after the other, so that whatever
else the machine does meets all of them. The ways are compared on the same rows, one centroid per subject: who keeps a
row per template searches several times as many.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import annoy
import numpy as np
from tqdm import tqdm

from face_server.assembly import expected_fingerprint
from face_server.config import load_config
from face_server.evaluation.made_up import Crowd
from face_server.evaluation.plots import gallery_plot
from face_server.gallery import GalleryOptions, LocalGallery
from face_server.types import FloatArray

#: Enrolments that are timed, each a commit of its own, once the gallery has its size.
_TIMED_ENROLMENTS = 500
#: What the original system's config.ini asks Annoy for; its search_k is Annoy's own default.
_ANNOY_TREES, _ANNOY_NEIGHBOURS = 50, 5
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Searched:
    """One way to search: milliseconds at three quantiles, and the share of probes whose nearest subject it found."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    recall: float


@dataclass(frozen=True, slots=True)
class Measured:
    """One size. kind: how the gallery searches by its own choice; annoy_*: with `kind = annoy`, where that can be."""

    templates: int
    subjects: int
    enrolments_per_s: float
    kind: str
    trees: int
    search_k: int
    rebuild_s: float
    start_s: float
    anonymous_bytes: int
    store_bytes: int
    index_bytes: int
    ways: dict[str, Searched]
    daemon_start_s: float | None = None
    daemon_anonymous_bytes: int | None = None


def main() -> None:
    """Measure every size, print the table, draw the picture."""
    options = _options()
    if options.phase:
        phase: Callable[[argparse.Namespace], Any] = {"fill": fill, "build": build, "search": search}[options.phase]
        print(json.dumps(phase(options)))
        return
    measured = []
    empty = _daemon(None) if options.daemon else None
    for size in options.sizes:
        with tempfile.TemporaryDirectory(prefix="gallery-bench-", dir=options.directory) as directory:
            measured.append(_measure(Path(directory), size, options))
        print(*_lines(measured[-1], empty), sep="\n", flush=True)
    print(*_table(measured), sep="\n")
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in measured], indent=1))
    options.plot.parent.mkdir(parents=True, exist_ok=True)
    options.plot.write_bytes(gallery_plot([one.templates for one in measured], _panels(measured)))
    print(f"drawn in {options.plot}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench gallery", description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=_sizes, default="1000,10000,100000", help="templates, separated by commas")
    parser.add_argument("--each", type=int, default=4, help="templates of a subject (default 4)")
    parser.add_argument("--probes", type=int, default=1000, help="searches of each kind (default 1000)")
    parser.add_argument("--plot", type=Path, default=Path("var/gallery-bench.png"), help="where the picture goes")
    parser.add_argument("--json", type=Path, help="write every figure here too")
    parser.add_argument("--directory", type=Path, help="where the galleries are made (default: the system's)")
    parser.add_argument(
        "--no-tuned", dest="tuned", action="store_false", help="leave `kind = annoy` out: half the time"
    )
    parser.add_argument("--daemon", action="store_true", help="start the whole daemon on each gallery too")
    for name in ("--phase", "--kind", "--size", "--root"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    return parser.parse_args()


def _sizes(argument: str) -> list[int]:
    return [int(size) for size in argument.split(",")]


def _measure(directory: Path, size: int, options: argparse.Namespace) -> Measured:
    """Every phase is a process of its own, so that none has the other's memory."""

    def run(phase: str, kind: str = "auto") -> dict[str, Any]:
        command = [
            sys.executable,
            "-m",
            "face_server.evaluation.gallery_bench",
            "--phase",
            phase,
            "--kind",
            kind,
            "--root",
            str(directory),
        ]
        command += ["--size", str(size), "--each", str(options.each), "--probes", str(options.probes)]
        told: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        return told

    filled = run("fill")
    grown = run("build", "annoy") if options.tuned else None
    forest = run("search", "annoy") if options.tuned else None
    built = run("build")
    own = run("search")
    ways = {"gallery": own["ways"]["gallery"]}
    if forest:
        ways["tuned Annoy"] = forest["ways"]["gallery"]
    ways |= {name: own["ways"][name] for name in ("numpy, exact", "Annoy's defaults")}
    daemon = _daemon(directory) if options.daemon else None
    return Measured(
        size,
        filled["subjects"],
        filled["enrolments_per_s"],
        built["kind"],
        built["trees"],
        built["search_k"],
        built["seconds"],
        own["start_s"],
        own["anonymous_bytes"],
        filled["store_bytes"],
        (grown or built)["index_bytes"],
        {name: Searched(**way) for name, way in ways.items()},
        *(daemon or ()),
    )


# Phases


def gallery_options(root: Path, kind: str = "auto") -> GalleryOptions:
    """As config.ini ships it, in a directory; the fingerprint is the daemon's, so that it can be started on it."""
    config = load_config(Path("config.ini"))
    return GalleryOptions(
        store_path=root / "var" / "gallery",
        index_path=root / "var" / "index",
        fingerprint=expected_fingerprint(config),
        dimension=512,
        max_templates_per_subject=config.gallery.max_templates_per_subject,
        max_map_bytes=config.gallery.max_map_bytes,
        trees=config.index.trees,
        neighbours=config.index.neighbours,
        overlay_max=config.index.overlay_max,
        kind=kind,  # type: ignore[arg-type]
        recall=config.index.recall,
        search_k_max=config.index.search_k_max,
        trees_max=config.index.trees_max,
        background=False,
    )


def fill(options: argparse.Namespace) -> dict[str, Any]:
    """Enrol everybody, one subject a commit."""
    crowd = Crowd(gallery_options(Path(options.root)).fingerprint, int(options.each))
    subjects = int(options.size) // crowd.each
    with LocalGallery(gallery_options(Path(options.root))) as gallery:
        for subject in tqdm(range(subjects), unit="subject", desc=f"{options.size} templates", disable=None):
            if subject == subjects - min(subjects // 2, _TIMED_ENROLMENTS):
                timed, started_s = subjects - subject, time.monotonic()
            gallery.enrol(*crowd.enrolment(subject))
        seconds = time.monotonic() - started_s
        store_bytes = gallery.store_usage().used_bytes
    return {"subjects": subjects, "enrolments_per_s": timed / seconds, "store_bytes": store_bytes}


def build(options: argparse.Namespace) -> dict[str, Any]:
    """Build the index as `rebuild` does."""
    made = gallery_options(Path(options.root), options.kind)
    with LocalGallery(made) as gallery:
        seconds = gallery.rebuild().seconds
        status = gallery.index_status()
    manifest = status.manifest
    index_bytes = sum(path.stat().st_size for path in made.index_path.iterdir())
    return {
        "seconds": seconds,
        "kind": status.kind,
        "trees": manifest.trees if manifest else 0,
        "search_k": manifest.search_k if manifest else 0,
        "index_bytes": index_bytes,
    }


def search(options: argparse.Namespace) -> dict[str, Any]:
    """Open the gallery, and search for the same probes in every way in turn."""
    made, before = gallery_options(Path(options.root), options.kind), _anonymous_bytes("self")
    started_s = time.monotonic()
    with LocalGallery(made) as gallery:
        start_s = time.monotonic() - started_s
        anonymous_bytes = _anonymous_bytes("self") - before
        view = gallery._rows.view()
        names = [str(one.subject) for one in view.enrolled]
        ways: dict[str, Callable[[FloatArray], str]] = {
            "numpy, exact": lambda probe: names[int(np.argmax(view.vectors @ probe))],
            "gallery": lambda probe: str(gallery.identify(probe, 1)[0].subject),
        }
        if options.kind == "auto":
            forest = _annoy_as_it_comes(view.vectors)
            ways["Annoy's defaults"] = lambda probe: names[forest.get_nns_by_vector(probe, _ANNOY_NEIGHBOURS)[0]]
        crowd = Crowd(made.fingerprint, int(options.each))
        searched = _search(ways, crowd.probes(len(names), int(options.probes)))
    return {"start_s": start_s, "anonymous_bytes": anonymous_bytes, "ways": searched}


def _search(ways: dict[str, Callable[[FloatArray], str]], probes: Iterator[FloatArray]) -> dict[str, dict[str, float]]:
    times: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, list[str]] = {name: [] for name in ways}
    for probe in probes:
        for name, way in ways.items():
            started_s = time.perf_counter()
            found[name].append(way(probe))
            times[name].append((time.perf_counter() - started_s) * 1000)
    right = found["numpy, exact"]
    searched = {}
    for name, values in times.items():
        p50, p95, p99 = (float(value) for value in np.quantile(values, (0.5, 0.95, 0.99)))
        same = sum(one == other for one, other in zip(found[name], right, strict=True))
        searched[name] = asdict(Searched(p50, p95, p99, same / len(right)))
    return searched


def _annoy_as_it_comes(vectors: FloatArray) -> Any:
    """The original system's index of the same rows."""
    forest = annoy.AnnoyIndex(vectors.shape[1], "angular")
    forest.set_seed(1)
    for item, vector in enumerate(vectors):
        forest.add_item(item, vector.tolist())
    forest.build(_ANNOY_TREES)
    return forest


def _anonymous_bytes(process: str) -> int:
    """Memory that no file backs."""
    for line in Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("RssAnon is not told by this system")


def _daemon(root: Path | None) -> tuple[float, int]:
    """Seconds until a daemon on this gallery, or on an empty one, is ready, and its anonymous memory."""
    with tempfile.TemporaryDirectory() as empty:
        directory = root or Path(empty)
        path, models = directory / "config.ini", Path("models").resolve()
        path.write_text(f"[server]\nport = 0\n[models]\npath = {models}\n[log]\nlevel = warning\n")
        command = [sys.executable, "-m", "face_server", "serve", "--config", str(path)]
        started_s = time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                if process.stdout is None or "ready on" not in process.stdout.readline():
                    raise RuntimeError("the daemon did not start")
                return time.monotonic() - started_s, _anonymous_bytes(str(process.pid))
            finally:
                process.terminate()


# What is printed


def _lines(one: Measured, empty: tuple[float, int] | None) -> Iterator[str]:
    yield f"{one.templates:,} templates of {one.subjects:,} subjects: {one.kind} search"
    exact = one.ways["numpy, exact"]
    for name, way in one.ways.items():
        yield (
            f"  {name:18s} p50 {way.p50_ms:8.2f} p95 {way.p95_ms:8.2f} p99 {way.p99_ms:8.2f} ms, "
            f"{way.p50_ms / exact.p50_ms:6.2f} times exact (p99 {way.p99_ms / exact.p99_ms:.2f}), "
            f"recall@1 {way.recall:.4f}"
        )
    better = min(way.p99_ms for name, way in one.ways.items() if name in ("numpy, exact", "tuned Annoy"))
    yield f"  p99 of the gallery is {one.ways['gallery'].p99_ms / better:.2f} times the better of exact and tuned Annoy"
    if empty and one.daemon_start_s is not None and one.daemon_anonymous_bytes is not None:
        later, own, least = one.daemon_start_s - empty[0], one.daemon_anonymous_bytes / MIB, empty[1] / MIB
        yield f"  the daemon is ready {later:+.1f} s after one of an empty gallery ({empty[0]:.1f} s)"
        yield f"  and has {own:,.0f} MiB of anonymous memory ({least:,.0f} empty)"


def _table(measured: list[Measured]) -> Iterator[str]:
    yield (
        "| templates | subjects | enrolments/s | search | trees, search_k | recall@1 | p50 / p95 / p99 ms "
        "| of exact's p50 | Annoy's defaults: recall@1, of exact's p50 | rebuild s | open s | memory MiB "
        "| store, index MiB |"
    )
    yield f"|{'---|' * 13}"
    for one in measured:
        own, exact, plain = (one.ways[name] for name in ("gallery", "numpy, exact", "Annoy's defaults"))
        effort = f"{one.trees}, {one.search_k:,}" if one.search_k else ""
        yield (
            f"| {one.templates:,} | {one.subjects:,} | {one.enrolments_per_s:.0f} | {one.kind} | {effort} "
            f"| {own.recall:.4f} | {own.p50_ms:.2f} / {own.p95_ms:.2f} / {own.p99_ms:.2f} "
            f"| {own.p50_ms / exact.p50_ms:.2f} | {plain.recall:.3f}, {plain.p50_ms / exact.p50_ms:.2f} "
            f"| {one.rebuild_s:.1f} | {one.start_s:.1f} | {one.anonymous_bytes / MIB:,.0f} "
            f"| {one.store_bytes / MIB:,.0f}, {one.index_bytes / MIB:,.0f} |"
        )


def _panels(measured: list[Measured]) -> list[tuple[str, str, dict[str, Sequence[float]]]]:
    def of_ways(value: Callable[[Searched], float]) -> dict[str, Sequence[float]]:
        return {name: [value(one.ways[name]) for one in measured if name in one.ways] for name in measured[0].ways}

    sizes: dict[str, Sequence[float]] = {
        "memory": [one.anonymous_bytes / MIB for one in measured],
        "store": [one.store_bytes / MIB for one in measured],
        "Annoy's file": [one.index_bytes / MIB for one in measured],
    }
    times: dict[str, Sequence[float]] = {
        "opening": [one.start_s for one in measured],
        "building the index": [one.rebuild_s for one in measured],
    }
    return [
        ("One search, p99", "ms", of_ways(lambda way: way.p99_ms)),
        ("Nearest subject found (recall@1)", "share", of_ways(lambda way: way.recall)),
        ("Size", "MiB", sizes),
        ("Time", "s", times),
    ]


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    main()
