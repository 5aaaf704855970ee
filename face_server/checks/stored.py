"""Checks of what is stored: weights, gallery, index, clock, and whether error rates hold for so many subjects."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec

from face_server.assembly import PASSIVE_MODEL, assemble_calibration, milvus_uri, require_milvus
from face_server.checks.findings import Examined, Finding, Logged, ok, problem, warning
from face_server.condition import USUAL_COUNTS
from face_server.config import Config
from face_server.decision import Decision, make_decision
from face_server.errors import ConfigError, FaceLoginError, ThresholdUnsupported
from face_server.gallery.index.current_index import FLOOR_SUBJECTS
from face_server.models import verified_files
from face_server.status_view import CLOCK_SLACK_S, LEAST_FREE_BYTES, NEAR
from face_server.terminal import bytes_told, counted, span_told

#: The store's file grows by this much at least, and no enrolment fits when it cannot.
GROWTH_BYTES = 8 << 20

#: This program is of November 2026, and no clock may say that it is earlier. Unix time.
WRITTEN_S = 1_793_491_200.0


def weights(seen: Examined) -> Iterator[Finding]:
    """The files of the networks that are in use have the sha256 that they must have."""
    config = seen.config
    try:
        verified_files(config.models.path, config.detection.model)
        yield ok(f"detection: {config.detection.model} has the sha256 it must have")
    except FaceLoginError as error:
        yield problem(f"detection: {error}")
    if seen.misfit is not None:
        yield problem(f"embedding: {seen.misfit}")
    else:
        yield ok(f"embedding: {config.embedding.model} has the sha256 it must have")
    if config.web.liveness in ("passive", "both"):
        yield _passive(config)


def _passive(config: Config) -> Finding:
    """The network without which a site that asks for it lets nobody in by face."""
    try:
        verified_files(config.models.path, PASSIVE_MODEL)
    except FaceLoginError as error:
        without = f"without it nobody logs in by face where [web] liveness = {config.web.liveness}; `active` needs none"
        return problem(f"liveness: {error}", without)
    return ok(f"liveness: {PASSIVE_MODEL} has the sha256 it must have")


def store(seen: Examined) -> Iterator[Finding]:
    """It can be read, is of this model, nobody strange holds it, and there is room."""
    path = seen.config.gallery.path
    if seen.config.gallery.backend == "milvus":
        yield _in_milvus(seen)
        return
    if seen.damage is not None:
        ours = os.access(path, os.R_OK | os.X_OK)
        copy = "stop the daemon and run face-server restore with the last backup; face-server check says more"
        yield problem(seen.damage, copy if ours else "run this as the daemon's user")
        return
    if seen.locked_out is not None:
        yield problem(seen.locked_out)
        return
    if seen.holder is not None and seen.daemon is None:
        yield problem(
            f"{path} is held by {seen.holder}, and no daemon answers with this configuration",
            f"see what {seen.holder} is: a daemon of another configuration, one that starts, or a command at work",
        )
    if seen.gallery is None:
        yield ok(f"{path} is not there yet: the daemon makes it at its first start")
        return
    if seen.fingerprint not in (None, seen.gallery.fingerprint) and seen.gallery.templates:
        yield problem(
            f"the templates in {path} are of another model or alignment ({seen.gallery.fingerprint[:16]}) than the "
            f"configured one ({str(seen.fingerprint)[:16]})",
            "put the former [embedding] and [alignment] back, or run face-server migrate, or name a new [gallery] path",
        )
    yield from _room(seen)
    people = f"{counted(seen.gallery.subjects, 'subject')}, {counted(seen.gallery.templates, 'template')}"
    yield ok(f"{people}: every record {'opens with the key' if _sealed(seen) else 'has its checksum'}")
    yield from _key_beside(seen)


def _in_milvus(seen: Examined) -> Finding:
    """What the daemon says of it; nobody else is asked, since to connect may make what is not there."""
    where = f"in Milvus, {milvus_uri(seen.config)}"
    try:
        require_milvus(seen.config)
    except ConfigError as error:
        return problem(str(error))
    if any(find_spec(name) is None for name in ("pymilvus", "grpc")):
        return problem(
            f"{where}: the package pymilvus is not installed",
            ".venv/bin/pip install --require-hashes -r requirements-milvus.lock",
        )
    if seen.daemon is None:
        return warning(f"{where}: how it is can be told once the daemon answers", "start it, and run this again")
    if seen.daemon.index.error is not None:
        return problem(f"{where}: {seen.daemon.index.error}", "start Milvus, and look at its own logs")
    people = f"{counted(seen.daemon.subjects, 'subject')}, {counted(seen.daemon.templates, 'template')}"
    return ok(f"{where}: {people}")


def _sealed(seen: Examined) -> bool:
    return seen.config.gallery.encryption_key_file is not None


def _key_beside(seen: Examined) -> Iterator[Finding]:
    """Who takes away the directory that holds both has not been kept from anything."""
    key = seen.config.gallery.encryption_key_file
    if key is not None and key.resolve().is_relative_to(seen.config.gallery.path.resolve().parent):
        yield warning(
            f"the key {key} lies in the directory that holds the gallery: a copy of that, or the disk, has both",
            "move it elsewhere (mv), name that place in [gallery] encryption_key_file, and restart the daemon",
        )


def _room(seen: Examined) -> Iterator[Finding]:
    gallery = seen.config.gallery
    limit = gallery.max_map_bytes - gallery.max_map_bytes // 16
    used = seen.gallery.used_bytes if seen.gallery else 0
    free = shutil.disk_usage(gallery.path).free
    if used >= NEAR * limit:
        yield (problem if used >= limit else warning)(
            f"the store has {bytes_told(used)} of the {bytes_told(limit)} that enrolments may use",
            "raise [gallery] max_map_bytes and restart the daemon",
        )
    if free < LEAST_FREE_BYTES:
        yield (problem if free < GROWTH_BYTES else warning)(
            f"the disk of {gallery.path} has {bytes_told(free)} left",
            "make room there, or enrolments and builds of the index fail",
        )


def index(seen: Examined) -> Iterator[Finding]:
    """The daemon's word for it; without one the files are tested as it would test them."""
    if seen.config.gallery.backend == "milvus":
        yield ok(f"Milvus' own ({seen.config.gallery.milvus_index})")
        return
    if seen.daemon is not None:
        told = seen.daemon.index
        if told.error is not None:
            yield warning(f"{told.error} Searches are right, and slower in a large gallery.", "run face-server rebuild")
        elif told.state == "absent" and seen.daemon.subjects:
            yield warning("there is none, so a search looks at everybody", "run face-server rebuild")
        elif told.kind == "exact":
            yield ok("none is needed: a search looks at everybody")
        else:
            yield ok(f"{told.state}, {counted(told.subjects, 'subject')}, {told.overlay:,} new or changed since")
    elif seen.gallery is None:
        yield ok("not there yet, as is the gallery")
    elif seen.gallery.index_error is not None:
        yield warning(seen.gallery.index_error, "the daemon builds it anew at its start; nothing is lost")
    elif seen.gallery.index_subjects is None and not _needs_index(seen.config, seen.gallery.subjects):
        yield ok("none is needed: a search looks at everybody")
    elif seen.gallery.index_subjects is None and seen.gallery.subjects:
        yield warning("there is none", "the daemon builds it at its start")
    else:
        yield ok(f"fits the gallery and finds what it holds: {counted(seen.gallery.index_subjects or 0, 'subject')}")


def _needs_index(config: Config, subjects: int) -> bool:
    kind = config.index.kind
    return kind == "annoy" or (kind == "auto" and subjects >= FLOOR_SUBJECTS)


def clock(seen: Examined) -> Iterator[Finding]:
    """It is not before what was written, by it or by us."""
    latest, what = WRITTEN_S, "this program was written"
    if seen.gallery is not None and (seen.gallery.newest_s or 0) > latest:
        latest, what = seen.gallery.newest_s or 0, "the newest template was made"
    if seen.daemon is not None and (seen.daemon.index.built_s or 0) > latest:
        latest, what = seen.daemon.index.built_s or 0, "the index was built"
    if seen.now_s < latest - CLOCK_SLACK_S:
        yield problem(
            f"it says that it is {span_told(latest - seen.now_s)} before {what}",
            "set it right (timedatectl), or times of templates and logins will be wrong",
        )
    else:
        yield ok(f"{span_told(seen.now_s - latest)} after {what}")


def calibration(seen: Examined) -> Iterator[Finding]:
    """The stated error rates can be kept with so many enrolled, and with twice as many."""
    if seen.fingerprint is None:
        yield warning("not known, as the weights are not what they should be")
        return
    with Logged("face_server.decision") as logged:
        try:
            decision = make_decision(seen.config.decision, assemble_calibration(seen.config, seen.fingerprint))
        except ConfigError as error:
            yield problem(str(error))
            return
    yield from map(warning, logged)
    if not logged:
        yield from _rates(decision, seen)


def _rates(decision: Decision, seen: Examined) -> Iterator[Finding]:
    """Of searches; that claims can be kept was checked when the decision was made."""
    people = counted(seen.subjects, "subject")
    refused = [most for most in _largest(decision, 1) if most[1] < seen.subjects]
    near = [most for most in _largest(decision, 1) if most[1] < 2 * seen.subjects]
    fused = dict(_largest(decision, 3))
    told = ", ".join(f"{most:,} with {counted(enrolled, 'template')} each" for enrolled, most in _largest(decision, 1))
    remedy = "have people claim an id ([web] login_mode = email_face), or run face-server calibrate on more people"
    if refused:
        serious = problem if seen.config.web.login_mode == "face" else warning
        yield serious(f"searches among {people} are refused, as the rate cannot be kept beyond {told}", remedy)
    elif near:
        yield warning(f"searches are refused beyond {told}; there are {people}", remedy)
    elif seen.subjects > min(fused.values()):
        yield warning(f"among {people} a burst's first image alone is searched with, which misses more", remedy)
    else:
        yield ok(f"the rates can be kept; in searches up to {told}")


def _largest(decision: Decision, probes: int) -> list[tuple[int, int]]:
    """(enrolled templates, subjects among whom such a one can be found by so many images)."""
    counts = sorted({enrolled for enrolled, images in USUAL_COUNTS if images == probes})
    return [(enrolled, _largest_gallery(decision, enrolled, probes)) for enrolled in counts]


def _largest_gallery(decision: Decision, enrolled: int, probes: int) -> int:
    """Up to how many subjects a search can be supported; 10 million for more."""
    low, high = 0, 10_000_000
    while low < high:
        middle = (low + high + 1) // 2
        try:
            decision.identify_threshold(enrolled, probes, middle)
            low = middle
        except ThresholdUnsupported:
            high = middle - 1
    return low
