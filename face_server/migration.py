"""`face-server migrate`: a gallery made anew for another network, from the crops that were kept with its templates.

Owns what becomes of each subject, and what the operator is told to do next; may not know the wire, the daemon or what a
crop looks like. The gallery is only read. The new one is a store of its own, to which each subject is committed whole;
run again, it goes on where it was and makes the copy follow what was enrolled or removed in the meantime.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from face_server.assembly import (
    PASSIVE_MODEL,
    assemble_aligner,
    assemble_calibration,
    assemble_embedder,
    assemble_key,
    require_lmdb,
)
from face_server.config import Config, DecisionConfig
from face_server.errors import MigrationError, PersonError, UnknownSubject
from face_server.models import load_manifest
from face_server.types import FaceCrop, RgbImage, SubjectId, Template, subject_key

if TYPE_CHECKING:
    from face_server.gallery.store.template_store import TemplateStore
    from face_server.vision.alignment import Aligner
    from face_server.vision.embedding import Embedder

#: Subjects listed at a time.
_PAGE = 1000
#: What the source holds is copied, whatever [gallery] max_templates_per_subject is by now.
_NO_LIMIT = 2**31


@dataclass(frozen=True, slots=True)
class Moved:
    """One subject: how many of its templates are in the new gallery, of how many."""

    subject: SubjectId
    migrated: int
    templates: int


@dataclass(frozen=True, slots=True)
class Migration:
    """What became of every subject, and the config that uses the new gallery.

    uncalibrated: no curve is known for the new network; fixed: a threshold of the former one stands in config.ini.
    """

    moved: tuple[Moved, ...]
    config: Config
    uncalibrated: bool
    fixed: bool

    @property
    def whole(self) -> bool:
        """Whether every template was migrated."""
        return all(one.migrated == one.templates for one in self.moved)

    @property
    def templates(self) -> int:
        """How many templates the new gallery has."""
        return sum(one.migrated for one in self.moved)

    @property
    def migrated(self) -> tuple[Moved, ...]:
        """The subjects that are in the new gallery."""
        return tuple(one for one in self.moved if one.migrated)

    @property
    def missing(self) -> tuple[SubjectId, ...]:
        """Who must enrol again."""
        return tuple(one.subject for one in self.moved if not one.migrated)

    @property
    def partly(self) -> tuple[Moved, ...]:
        """Who is there with fewer templates than before."""
        return tuple(one for one in self.moved if 0 < one.migrated < one.templates)

    @property
    def settings(self) -> dict[str, dict[str, str]]:
        """The options of config.ini to set, by section."""
        embedding = {"model": self.config.embedding.model}
        if self.config.embedding.sha256:
            embedding["sha256"] = self.config.embedding.sha256
        return {"embedding": embedding, "gallery": {"path": _as_written(self.config, self.config.gallery.path)}}

    def as_json(self) -> dict[str, Any]:
        """The whole as a JSON object."""
        return {
            "ok": self.whole,
            "subjects": len(self.migrated),
            "templates": self.templates,
            "missing": list(self.missing),
            "partly": [
                {"id": one.subject, "migrated": one.migrated, "templates": one.templates} for one in self.partly
            ],
            "settings": self.settings,
            "calibrate": self.uncalibrated,
            "fixed_threshold": self.fixed,
        }

    def lines(self) -> Iterator[str]:
        """The whole in words."""
        yield (
            f"{_counted(len(self.migrated), 'subject')}, {_counted(self.templates, 'template')} migrated to "
            f"{self.config.embedding.model} in {self.config.gallery.path}"
        )
        if self.missing:
            yield f"{_counted(len(self.missing), 'subject')} must enrol again, no usable crop was kept:"
            yield from (f"  {subject}" for subject in self.missing)
        if self.partly:
            yield f"{_counted(len(self.partly), 'subject')} with fewer templates than before, better enrolled again:"
            yield from (f"  {one.subject}  {one.migrated} of {one.templates}" for one in self.partly)
        if self.migrated:
            yield from self._next_steps()

    def _next_steps(self) -> Iterator[str]:
        yield "set this in config.ini and start the daemon; to go back, undo it (the former gallery is as it was):"
        for section, values in self.settings.items():
            yield f"  [{section}]"
            yield from (f"  {name} = {value}" for name, value in values.items())
        if self.fixed:
            yield "remove [decision] threshold and distance_threshold, which mean nothing for another network"
        if self.uncalibrated:
            yield "no thresholds are known for this network: run `face-server calibrate` before the daemon starts"


def migrate(config: Config, model: str, sha256: str = "", gallery: Path | None = None) -> Migration:
    """Copy the configured gallery to one of `model`, an [embedding] model, or the path of a .pb of this sha256.

    gallery: directory of the copy, by default the gallery's own name and the model's. Shows progress on a terminal.
    Raises MigrationError for what cannot be done, ModelFileError, ConfigError, StoreLocked while a daemon runs,
    ModelMismatch, KeyMismatch, StorageFull, and StoreDamaged, also for a damaged crop. What was committed stays, to go
    on from.
    """
    require_lmdb(config, "migrate")
    wanted = _wanted(config, model, sha256, gallery)
    aligner, embedder = assemble_aligner(wanted), assemble_embedder(wanted)
    former = assemble_embedder(config)
    if former.fingerprint == embedder.fingerprint:
        raise MigrationError(f"The gallery in {config.gallery.path} has templates of {model} already.")
    with _opened(config, former) as source:
        if not source.template_count():
            raise MigrationError(f"The gallery in {config.gallery.path} is empty: there is nobody to migrate.")
        with _opened(wanted, embedder, copy_of=source.store_id) as target:
            moved = _copy(source, target, aligner, embedder)
    uncalibrated = assemble_calibration(wanted, embedder.fingerprint) is None
    return Migration(moved, wanted, uncalibrated, _is_fixed(config.decision))


def _wanted(config: Config, model: str, sha256: str, gallery: Path | None) -> Config:
    """The config of the new gallery. Raises MigrationError."""
    name = model
    if model.endswith(".pb"):  # on the command line it is relative to where that runs, in config.ini to the file
        model, name = str(Path(model).resolve()), Path(model).stem
    elif model not in (known := _known_models(config)):
        raise MigrationError(f"No model is named {model!r}; there are {', '.join(known)}, and paths of a FaceNet .pb.")
    if model == config.embedding.model:
        raise MigrationError(f"{model} is the [embedding] model already.")
    source = config.gallery.path.resolve()
    if not (source / "data.mdb").is_file():
        raise MigrationError(f"There is no gallery in {source}.")
    target = (gallery or source.with_name(f"{source.name}-{name}")).resolve()
    if target.is_relative_to(source) or source.is_relative_to(target):
        raise MigrationError(f"{target} and the gallery in {source} must not lie one in the other.")
    return replace(
        config,
        embedding=replace(config.embedding, model=model, sha256=sha256),
        gallery=replace(config.gallery, path=target),
    )


def _known_models(config: Config) -> list[str]:
    named = {file.model for file in load_manifest(config.models.path / "manifest.toml")}
    return sorted(named - {config.detection.model, PASSIVE_MODEL})


def _opened(config: Config, embedder: Embedder, copy_of: str | None = None) -> TemplateStore:
    from face_server.gallery.store.template_store import TemplateStore

    return TemplateStore(
        config.gallery.path,
        fingerprint=embedder.fingerprint,
        dimension=embedder.dimension,
        max_templates_per_subject=_NO_LIMIT,
        max_map_bytes=config.gallery.max_map_bytes,
        copy_of=copy_of,
        key=assemble_key(config),
    )


def _copy(source: TemplateStore, target: TemplateStore, aligner: Aligner, embedder: Embedder) -> tuple[Moved, ...]:
    """Make the target what the source is, and say what became of each subject."""
    there = {subject_key(subject) for subject in _subjects(source)}
    if gone := [subject for subject in _subjects(target) if subject_key(subject) not in there]:
        target.remove(gone)
    moved = []
    with tqdm(total=source.template_count(), unit="template", disable=None) as bar:
        for subject in _subjects(source):
            moved.append(_move(subject, source, target, aligner, embedder))
            bar.update(moved[-1].templates)
    return tuple(moved)


def _move(
    subject: SubjectId, source: TemplateStore, target: TemplateStore, aligner: Aligner, embedder: Embedder
) -> Moved:
    """Make the subject in the target what it is in the source, as far as there are crops; nothing where it is that."""
    import numpy as np

    templates = [stored.template for stored in source.subject(subject, crops=True).templates]
    usable = [(one, crop) for one in templates if one.crop and (crop := _realigned(one.crop, aligner)) is not None]
    copied = _copied(target, subject)
    if copied != _origins(subject, [one for one, _ in usable]):
        if copied:
            target.remove([subject])
        if usable:
            vectors = embedder.embed(np.stack([crop for _, crop in usable]))
            fresh = [
                replace(one, vector=vector, fingerprint=embedder.fingerprint)
                for (one, _), vector in zip(usable, vectors, strict=True)
            ]
            target.enrol(subject, fresh)
    return Moved(subject, len(usable), len(templates))


def _realigned(crop: FaceCrop, aligner: Aligner) -> RgbImage | None:
    """The new network's input; None where its alignment does not take a face that the former one's took."""
    from face_server.vision.face_crop import realign

    try:
        return realign(crop, aligner)
    except PersonError:
        return None


def _subjects(store: TemplateStore) -> Iterator[SubjectId]:
    cursor: str | None = None
    while True:
        page = store.subjects(cursor, _PAGE)
        yield from (entry.subject for entry in page.subjects)
        cursor = page.next_cursor
        if cursor is None:
            return


def _copied(target: TemplateStore, subject: SubjectId) -> list[tuple[object, ...]]:
    """What the target has of a subject, as `_origins` tells it."""
    try:
        detail = target.subject(subject, crops=True)
    except UnknownSubject:
        return []
    return _origins(detail.subject, [stored.template for stored in detail.templates])


def _origins(subject: SubjectId, templates: Sequence[Template]) -> list[tuple[object, ...]]:
    """All of these templates that does not depend on the network; 1 and "1" are told apart."""
    return [(subject, one.created_s, one.image_sha256, one.quality, one.crop) for one in templates]


def _is_fixed(decision: DecisionConfig) -> bool:
    return decision.threshold is not None or decision.distance_threshold is not None


def _as_written(config: Config, path: Path) -> str:
    """A path as it stands in config.ini: relative to the file where it lies below it."""
    root = config.source.parent.resolve() if config.source else Path.cwd()
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
