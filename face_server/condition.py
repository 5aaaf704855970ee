"""How the daemon is, out of its parts: what `status` answers. Knows no sockets and decides nothing.

Split from service.py, which answers requests about faces; this is about the daemon itself.
"""

from __future__ import annotations

from collections.abc import Callable

from face_server import __version__
from face_server.decision import Decision
from face_server.errors import ThresholdUnsupported
from face_server.gallery import results as gallery_results
from face_server.gallery.gallery import Gallery
from face_server.vision.pipeline import FacePipeline
from face_server.wire.replies import DecisionStatus, IndexStatus, StatusReply, StoreStatus, ThresholdStatus

#: (enrolled templates, images searched with) that thresholds are told for: an old photograph or a registration of
#: three, against one image or the site's burst of three.
USUAL_COUNTS = ((1, 1), (3, 1), (3, 3))


def condition(pipeline: FacePipeline, gallery: Gallery, decision: Decision, model: str) -> StatusReply:
    """How things are, but for what the server knows (times and counts of requests, which are 0); from any thread."""
    usage = gallery.store_usage()
    return StatusReply(
        version=__version__,
        uptime_s=0.0,
        model=model,
        fingerprint=pipeline.fingerprint,
        dimension=pipeline.dimension,
        subjects=gallery.subject_count(),
        templates=gallery.template_count(),
        index=index_status(gallery.index_status()),
        decision=decision_status(decision, gallery.subject_count()),
        queue=0,
        connections=0,
        requests=0,
        store=StoreStatus(usage.used_bytes, usage.limit_bytes, usage.free_disk_bytes) if usage else None,
    )


def index_status(index: gallery_results.IndexStatus) -> IndexStatus:
    """How searches go, and how well Annoy finds where it proposes."""
    manifest, measured = index.manifest, index.measured
    return IndexStatus(
        state=index.state,
        subjects=index.subjects,
        sequence=index.sequence,
        overlay=index.overlay,
        built_s=index.built_s,
        error=index.error,
        configured=index.configured,
        kind=index.kind,
        recall=measured.recall if measured else None,
        recall_at_least=measured.at_least if measured else None,
        probes=measured.probes if measured else None,
        misses=measured.misses if measured else None,
        search_k=manifest.search_k if manifest and measured else None,
        trees=manifest.trees if manifest and measured else None,
        phase=index.progress.phase if index.progress else None,
        done=index.progress.done if index.progress else None,
    )


def decision_status(decision: Decision, subjects: int) -> DecisionStatus:
    """The stated rates and the thresholds that follow in a gallery of this size."""
    calibration = decision.calibration
    thresholds = tuple(_thresholds(decision, enrolled, probes, subjects) for enrolled, probes in USUAL_COUNTS)
    return DecisionStatus(
        decision.verify_fmr,
        decision.identify_fpir,
        calibration.source if calibration else "none",
        decision.fixed is not None,
        thresholds[0].verify,
        thresholds[0].identify,
        thresholds,
    )


def _thresholds(decision: Decision, enrolled: int, probes: int, subjects: int) -> ThresholdStatus:
    return ThresholdStatus(
        enrolled,
        probes,
        _supported(lambda: decision.verify_threshold(enrolled, probes)),
        _supported(lambda: decision.identify_threshold(enrolled, probes, subjects)),
    )


def _supported(threshold: Callable[[], float]) -> float | None:
    try:
        return threshold()
    except ThresholdUnsupported:
        return None
