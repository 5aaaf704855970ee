"""`face-server export`: who is enrolled, in the portable format. Owns the way from a store to a file; may not know the
format's bytes. It reads one moment of the store, whether a daemon works on it or not.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from face_server import __version__
from face_server.config import Config
from face_server.errors import UpkeepError
from face_server.gallery.reading import StoreReader
from face_server.terminal import bytes_told, counted
from face_server.upkeep.drafts import drafting, require_free
from face_server.upkeep.portable import Counts, ExportWriter, Header

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
    if not (config.gallery.path / "data.mdb").is_file():
        raise UpkeepError(f"There is no gallery in {config.gallery.path} yet: nothing to export.")
    with drafting(path, force) as draft, StoreReader(config.gallery.path) as reader:
        header = Header(reader.fingerprint, reader.dimension, time.time(), __version__)
        with (draft / path.name).open("wb") as file, reader.snapshot() as snapshot:
            writer = ExportWriter(file, header)
            with tqdm(total=snapshot.template_count(), unit="template", disable=None) as bar:
                for detail in snapshot.details():
                    writer.write(detail, crops=crops)
                    bar.update(len(detail.templates))
            counts = writer.finish()
        size = (draft / path.name).stat().st_size
    return Export(path, size, header.fingerprint, counts)
