"""What the two sides of a build of the index agree on: build_process.py, which wants it, and building.py, which does
it. Owns their words; may not know either.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

#: What is done one after the other, and about which share of the time each takes.
PHASES = {"reading": 0.15, "adding": 0.1, "growing": 0.35, "measuring": 0.35, "writing": 0.05}


@dataclass(frozen=True, slots=True)
class Task:
    """What to build and where. The rest of it is GalleryOptions' and tuning.Limits'.

    store, index: directories. key_file: of the key that the store is sealed with. or_exact: see tuning.Limits.
    trees, trees_max: grown at first, and at most.
    """

    store: str
    key_file: str | None
    index: str
    trees: int
    trees_max: int
    neighbours: int
    search_k_max: int
    recall: float
    or_exact: bool


def spare_cores() -> int:
    """All cores that we may use but one, which is for those who ask meanwhile."""
    try:
        cores = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        cores = os.cpu_count() or 1
    return max(1, cores - 1)
