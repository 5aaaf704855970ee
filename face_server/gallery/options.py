"""What a gallery on one machine is told: where it lies and how it searches. Owns no behaviour; may not know config.ini,
whose options have the same names.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from face_server.gallery.store.sealing import StoreKey


@dataclass(frozen=True, slots=True)
class GalleryOptions:
    """Where the gallery lies and how it searches.

    store_path, index_path: directories. fingerprint, dimension: of the running pipeline. max_map_bytes: the size the
    store may reach. kind: `annoy` or `exact` search, or (`auto`) what costs less on this machine. recall: the share of
    searches that must find the nearest subject, or Annoy is not used. trees, trees_max: that Annoy grows at first, and
    at most; neighbours: that it proposes; search_k_max: items that it may look at. overlay_max: subjects newer than the
    index, and gone or changed since, at which it is built anew. background: build by itself, in a thread; without it
    only `rebuild` does.
    key: that seals the store. memory_only_index: no vector of the index may lie on a disk.
    """

    store_path: Path
    index_path: Path
    fingerprint: str
    dimension: int
    max_templates_per_subject: int
    max_map_bytes: int
    trees: int
    neighbours: int
    overlay_max: int
    kind: Literal["auto", "annoy", "exact"] = "auto"
    recall: float = 0.999
    search_k_max: int = 1_000_000
    trees_max: int = 200
    background: bool = True
    key: StoreKey | None = None
    memory_only_index: bool = False
