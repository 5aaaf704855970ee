"""`face-server calibrate`: error rates measured on one's own faces, written where the daemon finds them at its start.

By default on the gallery itself, with the daemon stopped (a server of Milvus may be asked meanwhile): the templates of
different subjects are the impostors, those of one subject the mated comparisons. With a folder of photographs laid out
as person/photo, on these; so the curves that are shipped in models/calibration were made.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from face_server.assembly import (
    assemble_calibration,
    assemble_embedder,
    assemble_gallery,
    assemble_key,
    assemble_pipeline,
)
from face_server.calibration import Calibration, Curve, write_calibration
from face_server.config import Config
from face_server.decision import require_supported
from face_server.errors import ConfigError, ThresholdUnsupported, UnknownSubject
from face_server.evaluation.calibration import ENROLLED, PROBES, calibrate
from face_server.evaluation.embeddings import FaceChoice, acquire
from face_server.types import FloatArray

if TYPE_CHECKING:
    from face_server.gallery.gallery import Gallery
    from face_server.vision.pipeline import FacePipeline

RATES = (1e-2, 1e-3, 1e-4)

#: Subjects listed at a time.
_PAGE = 1000


def run(options: argparse.Namespace, config: Config) -> int:
    """Measure, write, and print the thresholds before and after.

    Raises StoreLocked, and ConfigError, also for too few comparisons for verify_fmr: then nothing is written.
    """
    started = time.monotonic()
    if options.images:
        pipeline = assemble_pipeline(config)
        fingerprint = pipeline.fingerprint
        vectors, people = _of_photographs(pipeline, options.images)
        source = (
            options.source or f"{len(vectors):,} photographs of {len(set(people)):,} people of {options.images.name}"
        )
    else:
        fingerprint, vectors, people = _of_gallery(config)
        source = f"the own gallery: {len(vectors):,} templates of {len(set(people)):,} subjects"
    with tqdm(total=len(ENROLLED) * len(PROBES), unit="curve", disable=None) as bar:
        measured = calibrate(vectors, people, fingerprint, source, progress=bar.update)
    before = assemble_calibration(config, fingerprint)
    if before is not None and not options.images:
        # A small gallery says nothing of many images; judged by the curve of few they would be let in too easily.
        measured = measured.completed(before)
    if options.out is None and not _is_fixed(config):
        _require_useful(config, measured)
    path = write_calibration(options.out or config.decision.calibration_path, measured)
    for line in _comparison(before, measured):
        print(line)
    print(f"written to {path} in {time.monotonic() - started:.1f} s; in force from the daemon's next start")
    return 0


def _is_fixed(config: Config) -> bool:
    return config.decision.threshold is not None or config.decision.distance_threshold is not None


def _require_useful(config: Config, measured: Calibration) -> None:
    """Raises ConfigError for curves with which the daemon would not start any more."""
    try:
        require_supported(config.decision.verify_fmr, measured)
    except ConfigError as error:
        raise ConfigError(
            f"nothing was written, what was in force stays: {error}; or state a higher [decision] verify_fmr first, or "
            "write the curves elsewhere (--out DIR) to look at them"
        ) from None


def _of_gallery(config: Config) -> tuple[str, FloatArray, list[str]]:
    from face_server.gallery.store.template_store import TemplateStore

    embedder = assemble_embedder(config)
    if config.gallery.backend != "lmdb":
        with assemble_gallery(config, embedder.fingerprint, embedder.dimension) as gallery:
            return embedder.fingerprint, *_stacked(list(_vectors_in(gallery)))
    with (
        TemplateStore(
            config.gallery.path,
            fingerprint=embedder.fingerprint,
            dimension=embedder.dimension,
            max_templates_per_subject=config.gallery.max_templates_per_subject,
            max_map_bytes=config.gallery.max_map_bytes,
            key=assemble_key(config),
        ) as store,
        store.snapshot() as templates,
    ):
        found = [(str(subject), vector.copy()) for _, subject, vector in templates]
    return embedder.fingerprint, *_stacked(found)


def _vectors_in(gallery: Gallery) -> Iterator[tuple[str, FloatArray]]:
    """Whose, and the vector, of every template; as they come, since others may enrol meanwhile."""
    cursor = None
    with tqdm(total=gallery.subject_count(), unit="subject", disable=None) as bar:
        while True:
            page = gallery.subjects(cursor, _PAGE)
            for entry in page.subjects:
                with suppress(UnknownSubject):  # removed since the page was read
                    for one in gallery.subject(entry.subject).templates:
                        yield str(entry.subject), one.template.vector
                bar.update()
            if (cursor := page.next_cursor) is None:
                return


def _stacked(found: list[tuple[str, FloatArray]]) -> tuple[FloatArray, list[str]]:
    if not found:
        raise ConfigError("the gallery is empty: there is nothing to calibrate on")
    return np.stack([vector for _, vector in found]), [subject for subject, _ in found]


def _of_photographs(pipeline: FacePipeline, folder: Path) -> tuple[FloatArray, list[str]]:
    """Vectors of the face nearest the centre of each person/photo, and whose they are."""
    vectors, people = [], []
    for photo in tqdm(sorted(path for path in folder.glob("*/*") if path.is_file()), unit="photo", disable=None):
        acquired = acquire(pipeline, photo.read_bytes(), FaceChoice.CENTRE)
        if acquired.vector is None:
            print(f"{photo}: {acquired.failure}, left out", file=sys.stderr)
            continue
        vectors.append(acquired.vector)
        people.append(photo.parent.name)
    if not vectors:
        raise ConfigError(f"{folder} holds no person/photo with a face")
    return np.stack(vectors), people


def _comparison(before: Calibration | None, after: Calibration) -> list[str]:
    """A table of thresholds: for each pair of counts and each rate, what it was and what it is."""
    lines = [f"before: {before.source if before else 'no calibration'}", f"after:  {after.source}", ""]
    lines.append("enrolled probes     FMR   before    after     FNMR  comparisons")
    for curve in after.curves:
        for fmr in RATES:
            old = _threshold(before.curve(curve.enrolled, curve.probes), fmr) if before else None
            new = _threshold(curve, fmr)
            fnmr = "" if new is None or not curve.mated else f"{curve.fnmr(new):8.4f}"
            note = " (extrapolated)" if new is not None and fmr < curve.measured_fmr else ""
            lines.append(
                f"{curve.enrolled:8d} {curve.probes:6d} {fmr:7.0e} {_shown(old)} {_shown(new)} {fnmr:>8s}"
                f"  {curve.comparisons:,}{note}"
            )
    return lines


def _threshold(curve: Curve, fmr: float) -> float | None:
    try:
        return curve.threshold(fmr)
    except ThresholdUnsupported:
        return None


def _shown(threshold: float | None) -> str:
    return "  no data" if threshold is None else f"{threshold:8.4f} "
