"""`face-server import`: the subjects of a file of the portable format enrolled, in whatever keeps the gallery. Owns the
two passes, the first of which only checks; may not know the format's bytes or what a gallery lies in.

Each subject is committed whole. A template whose image the subject has is a duplicate, so an import that was broken
off is finished by running it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from face_server.assembly import assemble_embedder, assemble_gallery, expected_fingerprint
from face_server.config import Config
from face_server.errors import ModelMismatch, UpkeepError
from face_server.gallery.results import SubjectDetail
from face_server.terminal import counted
from face_server.upkeep.drafts import private_directory
from face_server.upkeep.portable import read_header, read_subjects

if TYPE_CHECKING:
    from face_server.gallery.gallery import Gallery

#: In the store's directory, which nobody else may enter.
_CONVERTING = "converting"


@dataclass(frozen=True, slots=True)
class Import:
    """What became of the templates of a file: new ones, and those that were there already. left_out: crops."""

    path: Path
    subjects: int
    enrolled: int
    duplicates: int
    crops: int
    left_out: int

    def as_json(self) -> dict[str, Any]:
        """The whole as a JSON object."""
        return asdict(self) | {"path": str(self.path)}

    def lines(self) -> Iterator[str]:
        """The whole in words."""
        yield (
            f"{counted(self.subjects, 'subject')} of {self.path}: {counted(self.enrolled, 'template')} enrolled, "
            f"{self.duplicates:,} there already"
        )
        if self.left_out:
            yield f"{counted(self.left_out, 'crop')} left out, since [gallery] keep_crops is false"


@dataclass(frozen=True, slots=True)
class Into:
    """What a file is imported into: the gallery's model (vectors of (dimension,)), and what it may keep."""

    fingerprint: str
    dimension: int
    max_templates_per_subject: int
    keep_crops: bool


def import_configured(config: Config, path: Path, *, original: bool = False, fingerprint: str = "") -> Import:
    """Import a file into the configured gallery, or, `original`, an original system's LMDB, of whose vectors the
    operator states by this fingerprint that the configured model made them. Raises as `import_file` and assembly do.
    """
    if not path.exists():
        raise UpkeepError(f"There is no {path}.")
    if original:
        _require_stated(path, fingerprint, expected_fingerprint(config))
    embedder = assemble_embedder(config)
    gallery = config.gallery
    into = Into(embedder.fingerprint, embedder.dimension, gallery.max_templates_per_subject, gallery.keep_crops)
    with assemble_gallery(config, into.fingerprint, into.dimension, background=False) as opened:
        return import_original(path, opened, into, gallery.path) if original else import_file(path, opened, into)


def _require_stated(path: Path, stated: str, running: str) -> None:
    if stated != running:
        raise UpkeepError(
            f"Nothing in {path} says which network and alignment its vectors are of, and those of others mean nothing "
            "here (the original system's three-point alignment is [alignment] method = affine3, with its own "
            "weights). Enrol the photographs instead, with `face-server enrol --folder`, which also makes better "
            "templates. If you know that the configured model and alignment made them, state it: "
            f"--fingerprint {running}"
        )


def import_original(path: Path, gallery: Gallery, into: Into, beside: Path) -> Import:
    """As `import_file`, of an original system's LMDB, first made into such a file in the directory `beside`."""
    from face_server.upkeep.original import convert

    try:
        beside.mkdir(mode=0o700, parents=True, exist_ok=True)  # in Milvus there is no store yet
        with private_directory(beside / _CONVERTING) as directory:
            convert(path, directory / "export", into.fingerprint, into.dimension)
            return replace(import_file(directory / "export", gallery, into), path=path)
    except OSError as error:
        raise UpkeepError(f"{path} could not be read by way of {beside}: {error}. Import it again.") from error


def import_file(path: Path, gallery: Gallery, into: Into) -> Import:
    """Enrol all of a file. Shows progress on a terminal.

    Raises ModelMismatch for vectors of another model, UpkeepError for a file that is not whole and right, both before
    anything is stored; StorageFull, and TooManyImages where a subject has others already: what was enrolled stays.
    """
    _require_right(path, into)
    tally: Counter[str] = Counter()
    with tqdm(unit="template", desc="enrolling", disable=None) as bar:
        for detail in read_subjects(path, bar.update):
            tally += _enrol(gallery, detail, into.keep_crops)
    return Import(path, tally["subjects"], tally["enrolled"], tally["duplicates"], tally["crops"], tally["left out"])


def _require_right(path: Path, into: Into) -> None:
    """The first pass: to its last byte, without storing anything."""
    header = read_header(path)
    if (header.fingerprint, header.dimension) != (into.fingerprint, into.dimension):
        raise ModelMismatch(
            f"{path} has vectors of another model or alignment, whose scores mean nothing here. Put the [embedding] "
            "and [alignment] of the gallery that it came from into config.ini and import it there; where it has crops, "
            "`face-server migrate` then makes a gallery for the present ones. Else enrol photographs.",
            stored_fingerprint=header.fingerprint,
            running_fingerprint=into.fingerprint,
        )
    most = into.max_templates_per_subject
    with tqdm(unit="template", desc="checking", disable=None) as bar:
        for detail in read_subjects(path, bar.update):
            if len(detail.templates) > most:
                raise UpkeepError(
                    f"Subject {detail.subject!a} of {path} has {len(detail.templates)} templates and may have {most} "
                    "([gallery] max_templates_per_subject). Nothing was imported."
                )


def _enrol(gallery: Gallery, detail: SubjectDetail, keep_crops: bool) -> Counter[str]:
    templates = [stored.template for stored in detail.templates]
    crops = sum(one.crop is not None for one in templates)
    if not keep_crops:
        templates = [replace(one, crop=None) for one in templates]
    done = gallery.enrol(detail.subject, templates)
    duplicates = sum(one.duplicate for one in done.added)
    kept = {"crops": crops} if keep_crops else {"left out": crops}
    return Counter(subjects=1, enrolled=len(done.added) - duplicates, duplicates=duplicates, **kept)
