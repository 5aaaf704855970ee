"""What a sealed store costs: `python -m face_server.evaluation.bench_sealing`. Enrolments, opening, size and rewriting
of a store of made-up vectors, sealed against not sealed in one run, in turns, each figure also as a ratio. Owns what is
measured; opens no network and no configured gallery.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from face_server.gallery.rows import Rows
from face_server.gallery.store.data_file import walk
from face_server.gallery.store.reading import StoreReader
from face_server.gallery.store.sealing import StoreKey
from face_server.gallery.store.template_store import TemplateStore
from face_server.types import FloatArray, Quality, Template

_FINGERPRINT = "made up"
_QUALITY = Quality(face_px=90.0, confidence=0.99, sharpness=50.0, luminance=120.0, yaw=0.1, pitch=0.0, roll=-1.5)
#: Enrolments of one template each, every one durable, that the rate is taken over.
_SINGLE = 300
#: As many as a subject may have by default: fewer transactions to fill the store with.
_PER_SUBJECT = 20
#: Plain and sealed are enrolled into and opened in so many turns, since a machine is not as fast all the time; of the
#: openings the median counts.
_TURNS = 5


@dataclass(frozen=True, slots=True)
class Bench:
    """A store of vectors (D,), D = dimension, and what was measured on it by name: seconds, bytes, or a rate."""

    path: Path
    key: StoreKey | None
    dimension: int
    measured: dict[str, float]

    @contextmanager
    def opened(self) -> Iterator[TemplateStore]:
        """The store, as a daemon holds it."""
        with TemplateStore(
            self.path,
            fingerprint=_FINGERPRINT,
            dimension=self.dimension,
            max_templates_per_subject=_PER_SUBJECT,
            max_map_bytes=1 << 40,
            key=self.key,
        ) as store:
            yield store

    def fill(self, templates: int) -> None:
        """Subjects of many templates, one transaction each."""
        draw = np.random.default_rng(0)
        kind = "sealed" if self.key else "plain"
        with self.opened() as store:
            for subject in tqdm(range(templates // _PER_SUBJECT), unit="subject", desc=kind, disable=None):
                store.enrol(subject, [_template(vector) for vector in _vectors(draw, self.dimension, _PER_SUBJECT)])
            self.measured["store, bytes"] = store.usage().used_bytes

    def enrol(self, turn: int) -> float:
        """How long some enrolments of one template each take, s."""
        vectors = _vectors(np.random.default_rng(1 + turn), self.dimension, _SINGLE // _TURNS)
        single = [_template(vector) for vector in vectors]
        with self.opened() as store:
            return _timed(lambda: [store.enrol(f"single {turn} {n}", [one]) for n, one in enumerate(single)])

    def load(self) -> None:
        """Open the store and read every record into memory, as a daemon's start does."""
        with self.opened() as store, store.snapshot() as stored:
            Rows.load(self.dimension, stored.sequence, stored.newest_ids(), stored)

    def rewrite(self, key: StoreKey) -> None:
        """Walk it as a doubtful store is, copy it, write it afresh, and seal it with another key."""
        self.measured["walking a doubtful one, s"] = _timed(lambda: walk(self.path))
        with StoreReader(self.path) as reader, (self.path.parent / "copy").open("x+b") as copy:
            self.measured["copying, s"] = _timed(lambda: reader.copy_to(copy.fileno()))
        (self.path.parent / "copy").unlink()
        with self.opened() as store:
            self.measured["compacting, s"] = _timed(store.compact)
            self.measured["sealing with another key, s"] = _timed(lambda: store.rekey(key))


def _vectors(draw: np.random.Generator, dimension: int, count: int) -> Iterator[FloatArray]:
    vectors = draw.standard_normal((count, dimension), np.float32)
    yield from vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _template(vector: FloatArray) -> Template:
    return Template(vector, _FINGERPRINT, 1.7e9, hashlib.sha256(vector.tobytes()).hexdigest(), _QUALITY)


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(directory: Path, templates: int, dimension: int) -> tuple[dict[str, float], dict[str, float]]:
    """What a plain and a sealed store of so many templates cost, by the same names."""
    key, other = StoreKey.make(directory / "key"), StoreKey.make(directory / "other")
    benches = [Bench(directory / name, used, dimension, {}) for name, used in (("plain", None), ("sealed", key))]
    for bench in benches:
        bench.fill(templates)
    enrolling = [[bench.enrol(turn) for bench in benches] for turn in range(_TURNS)]
    opening = [[_timed(bench.load) for bench in benches] for _ in range(_TURNS)]
    for place, bench in enumerate(benches):
        bench.measured["enrolments/s"] = _SINGLE / sum(turn[place] for turn in enrolling)
        bench.measured["opening and reading, s"] = statistics.median(turn[place] for turn in opening)
        bench.rewrite(other)
    return benches[0].measured, benches[1].measured


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What a sealed store costs, against one that is not.")
    parser.add_argument("--templates", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--directory", type=Path, help="on which disk (default: that of temporary files)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        plain, sealed = measure(Path(directory), options.templates, options.dimension)
    if options.json:
        print(json.dumps({"templates": options.templates, "plain": plain, "sealed": sealed}))
        return
    print(f"{options.templates:,} templates of {options.dimension} components, {_PER_SUBJECT} a subject")
    for name, value in plain.items():
        print(f"{name:30} plain {value:14,.2f}   sealed {sealed[name]:14,.2f}   ratio {sealed[name] / value:5.2f}")


if __name__ == "__main__":
    main()
