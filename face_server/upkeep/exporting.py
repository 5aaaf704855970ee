"""`face-server export`: who is enrolled, in the portable format. Owns the way from a gallery to a file; may not know
the format's bytes. Of a store it is one moment, whether a daemon works on it or not.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from face_server import __version__
from face_server.assembly import assemble_embedder, assemble_gallery, assemble_key
from face_server.config import Config
from face_server.errors import UnknownSubject, UpkeepError
from face_server.gallery.results import SubjectDetail
from face_server.gallery.store.reading import StoreReader
from face_server.terminal import bytes_told, counted
from face_server.upkeep.drafts import drafting, require_free
from face_server.upkeep.portable import Counts, ExportWriter, Header

if TYPE_CHECKING:
    from face_server.gallery.gallery import Gallery

#: Subjects listed at a time.
_PAGE = 1000
_REFUSAL = (
    "An export is not encrypted: whoever has the file can search for these people, and with --crops see them. Say "
    "--plaintext if that is meant, write it where nobody else reads, and delete it when it has been imported. To keep "
    "the gallery itself there is `face-server backup`, which stays as sealed as the gallery is."
)


@dataclass(frozen=True, slots=True)
class Export:
    """What was written."""

    path: Path
    file_bytes: int
    fingerprint: str
    counts: Counts

    def as_json(self) -> dict[str, Any]:
        """The whole as a JSON object."""
        told = {"path": str(self.path), "bytes": self.file_bytes, "fingerprint": self.fingerprint}
        return told | asdict(self.counts)

    def lines(self) -> list[str]:
        """The whole in words."""
        told = self.counts
        held = (counted(told.subjects, "subject"), counted(told.templates, "template"), counted(told.crops, "crop"))
        return [f"{self.path}: {', '.join(held)}, {bytes_told(self.file_bytes)}, readable for whoever has it"]


def export(config: Config, path: Path, *, plaintext: bool, crops: bool = False, force: bool = False) -> Export:
    """Write an export. Shows progress on a terminal.

    Raises UpkeepError unless it is said that it may be `plaintext`, when there is no gallery, and when the file cannot
    or may not be written; StoreDamaged for a record that cannot be read. Nothing is left of the file then.
    """
    path = path.absolute()
    require_free(path, force)
    if not plaintext:
        raise UpkeepError(_REFUSAL)
    source = _from_milvus if config.gallery.backend == "milvus" else _from_store
    with source(config) as people, drafting(path, force) as draft:
        header = Header(people.fingerprint, people.dimension, time.time(), __version__)
        with (draft / path.name).open("wb") as file:
            writer = ExportWriter(file, header)
            with tqdm(total=people.templates, unit="template", disable=None) as bar:
                for detail in people.details:
                    writer.write(detail, crops=crops)
                    bar.update(len(detail.templates))
            counts = writer.finish()
        size = (draft / path.name).stat().st_size
    return Export(path, size, header.fingerprint, counts)


@dataclass(frozen=True, slots=True)
class _People:
    """Everybody, in key order, and what their vectors (dimension,) are of."""

    fingerprint: str
    dimension: int
    templates: int
    details: Iterator[SubjectDetail]


@contextmanager
def _from_store(config: Config) -> Iterator[_People]:
    """One moment of the store, whoever holds it."""
    store = config.gallery.path
    if not (store / "data.mdb").is_file():
        raise UpkeepError(f"There is no gallery in {store} yet: nothing to export.")
    with StoreReader(store, assemble_key(config)) as reader, reader.snapshot() as snapshot:
        yield _People(reader.fingerprint, reader.dimension, snapshot.template_count(), snapshot.details())


@contextmanager
def _from_milvus(config: Config) -> Iterator[_People]:
    """Subject by subject as they are when it is their turn: there is no one moment to be read."""
    embedder = assemble_embedder(config)
    with assemble_gallery(config, embedder.fingerprint, embedder.dimension) as gallery:
        yield _People(embedder.fingerprint, embedder.dimension, gallery.template_count(), everybody(gallery))


def everybody(gallery: Gallery) -> Iterator[SubjectDetail]:
    """Every subject of a gallery in key order, with its crops, as it is when its turn comes."""
    cursor: str | None = None
    while True:
        page = gallery.subjects(cursor, _PAGE)
        for entry in page.subjects:
            with suppress(UnknownSubject):  # removed in between
                yield gallery.subject(entry.subject, crops=True)
        cursor = page.next_cursor
        if cursor is None:
            return
