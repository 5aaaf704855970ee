"""What a gallery costs by its keeper, all in one run: `.venv/bin/python tests/gallery/bench_backends.py [1000 10000]`.

Made-up people with one template each, 512 components; probes at a score of 0.8 or so to the person's direction. The
table of docs/scale.md is its output.
"""

import hashlib
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from backends import milvus_options, shared_server
from people import FINGERPRINT, QUALITY, gallery_options

from face_server.gallery import Gallery, LocalGallery
from face_server.gallery.milvus.milvus_gallery import MilvusGallery
from face_server.gallery.milvus.rows import standing, subject_name, template_row
from face_server.gallery.milvus.server import Table
from face_server.types import Template

DIMENSION = 512
ENROLMENTS, SEARCHES, BOTH = 100, 200, 50


def near(direction: np.ndarray, score: float, random: np.random.Generator) -> np.ndarray:
    """A unit vector of this cosine to a unit vector."""
    noise = random.standard_normal(DIMENSION)
    noise -= (noise @ direction) * direction
    vector = score * direction + np.sqrt(1 - score**2) * noise / np.linalg.norm(noise)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def template(vector: np.ndarray, number: int) -> Template:
    return Template(vector, FINGERPRINT, 1.7e9, hashlib.sha256(b"%d" % number).hexdigest(), QUALITY)


def opened(keeper: str, root: Path) -> Gallery:
    if keeper == "lmdb":
        return LocalGallery(
            gallery_options(root, dimension=DIMENSION, max_map_bytes=2**31, kind="auto", recall=0.999, trees=50)
        )
    uri = str(root / "milvus.db") if keeper == "milvus lite" else shared_server().uri
    return MilvusGallery(milvus_options(uri, "bench", dimension=DIMENSION, timeout_s=60.0))


def fill(gallery: Gallery, people: range, vectors: Callable[[int], np.ndarray]) -> None:
    """Enrol them; where that would take hours, write their rows at once."""
    if isinstance(gallery, LocalGallery):
        for person in people:
            gallery.enrol(person, [template(vectors(person), person)])
        return
    for start in range(people.start, people.stop, 500):
        some = range(start, min(start + 500, people.stop))
        numbers = gallery._numbering.take(len(some), 0)
        rows = [
            template_row(one, number, number, template(vectors(one), one))
            for one, number in zip(some, numbers, strict=True)
        ]
        subjects = [
            {
                "pk": subject_name(b"%d" % one),
                "is_integer": True,
                "templates": 1,
                "made_of": standing([row]).made_of,
                "vector": vectors(one).tolist(),
            }
            for one, row in zip(some, rows, strict=True)
        ]
        gallery._server.put(Table.TEMPLATES, rows)
        gallery._server.put(Table.SUBJECTS, subjects)


def timed(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def told(seconds: list[float]) -> str:
    p50, p95 = np.percentile(np.array(seconds) * 1000, [50, 95])
    return f"{p50:.1f} / {p95:.1f}"


def measure(gallery: Gallery, people: int, directions: np.ndarray, random: np.random.Generator) -> list[str]:
    def found(person: int) -> None:
        best = gallery.identify(near(directions[person], 0.9, random), 5)[0]
        if best.subject != person:
            raise RuntimeError(f"{person} was not found")

    def enrolled_and_found(person: int) -> None:
        gallery.enrol(person, [template(directions[person], person)])
        found(person)

    enrolments = [
        timed(lambda one=one: gallery.enrol(one, [template(directions[one], one)]))
        for one in range(people - ENROLMENTS, people)
    ]
    gallery.rebuild()
    searches = [timed(lambda: found(int(random.integers(people)))) for _ in range(SEARCHES)]
    claims = [
        timed(lambda one=one: gallery.verify(one, directions[one]))
        for one in random.integers(people, size=SEARCHES).tolist()
    ]
    both = [timed(lambda one=one: enrolled_and_found(one)) for one in range(len(directions) - BOTH, len(directions))]
    gallery.remove(list(range(len(directions) - BOTH, len(directions))))
    return [f"{len(enrolments) / sum(enrolments):.0f}", told(searches), told(claims), told(both)]


def main(sizes: list[int]) -> None:
    random = np.random.default_rng(1)
    directions = random.standard_normal((max(sizes) + BOTH, DIMENSION))
    directions = (directions / np.linalg.norm(directions, axis=1, keepdims=True)).astype(np.float32)
    print("| keeper | subjects | enrolments/s | search, ms | verification, ms | enrolled and found, ms |")
    print("|---|---|---|---|---|---|")
    for keeper in ("lmdb", "milvus lite", "milvus server"):
        with tempfile.TemporaryDirectory() as root, opened(keeper, Path(root)) as gallery:
            done = 0
            for people in sizes:
                fill(gallery, range(done, people - ENROLMENTS), lambda one: directions[one])
                row = [keeper, f"{people:,}", *measure(gallery, people, directions, random)]
                print(f"| {' | '.join(row)} |", flush=True)
                done = people


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [1000, 10000])
