"""The process that is killed: holds a gallery of made-up people, does what it is told, line by line, and says when it
is done. `python -m crashes.child DIRECTORY [sealed]`, in tests/. It may also be told to kill itself at the n-th step of
an operation, see steps.c.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from crashes.deeds import DEEDS, Place
from people import unit

from face_server.gallery.rows import centroid, exact_scores

_killer = ctypes.CDLL(None)


def tell(what: dict[str, Any]) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


def report(place: Place) -> dict[str, Any]:
    """Who is enrolled with which templates, and every answer that is not what numpy says."""
    gallery = place.gallery
    enrolled: dict[str, list[int]] = {}
    centroids, wrong, newest = {}, [], 0
    cursor = None
    while True:
        page = gallery.subjects(cursor, 1000)
        for entry in page.subjects:
            stored = gallery.subject(entry.subject).templates
            seeds = [round(one.template.created_s - 1700000000.25) for one in stored]
            enrolled[str(entry.subject)] = seeds
            newest = max(newest, *(one.template_id for one in stored))
            wrong += [
                f"{entry.subject}: the vector of template {one.template_id} is not what was enrolled"
                for one, seed in zip(stored, seeds, strict=True)
                if not np.array_equal(one.template.vector, unit(seed))
            ]
            centroids[entry.subject] = centroid([one.template.vector for one in stored])
        if (cursor := page.next_cursor) is None:
            break
    index = gallery.index_status()
    wrong += _wrong_answers(gallery, {name: vector for name, vector in centroids.items() if vector is not None})
    return {
        "enrolled": enrolled,
        "newest": newest,
        "index": index.state,
        "error": index.error,
        "wrong": wrong + place.defects(),
        "counts": [gallery.subject_count(), gallery.template_count()],
    }


def _wrong_answers(gallery: Any, centroids: dict[Any, Any]) -> list[str]:
    """Every subject searched for by its own centroid: the first five, against exact scores of all."""
    wrong = []
    names, matrix = list(centroids), np.array(list(centroids.values()))
    for name, probe in centroids.items():
        expected = sorted(zip(-exact_scores(matrix, probe), names, strict=True))[:5]
        found = [(-one.score, one.subject) for one in gallery.identify(probe, 5)]
        if found != expected:
            wrong.append(f"{name}: found {found}, expected {expected}")
    return wrong


def main(directory: str, sealed: str = "") -> None:
    with Place(Path(directory), bool(sealed)) as place:
        tell(report(place))
        for line in sys.stdin:
            asked = json.loads(line)
            _killer.steps_arm(asked["die_at"])
            DEEDS[asked["kind"]](place, asked)
            tell({"done": _killer.steps_disarm()})


if __name__ == "__main__":
    main(*sys.argv[1:])
