"""What Prometheus is told: counters that the rooms add to as an Observer, and gauges read off `status` when it asks.
The only module that knows prometheus_client; knows no socket and no face.

A label's values are commands, error codes and stages of this program, never words of a client: whoever asks for a
command that does not exist must not make a series of it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from face_server.errors import BY_CODE, Busy, FrameTooLarge, Internal, ShuttingDown, TimedOut, Unauthorised
from face_server.health import Health, Watched
from face_server.observing import Stage
from face_server.wire.legacy import LEGACY_COMMANDS
from face_server.wire.replies import IndexStatus, StatusReply
from face_server.wire.requests import COMMANDS

CONTENT_TYPE = CONTENT_TYPE_LATEST

#: `none` is content that could not be read as a request, or asks for what there is not.
COMMAND_VALUES = frozenset((*COMMANDS, *(f"legacy {cmd}" for cmd in LEGACY_COMMANDS), "none"))
OUTCOME_VALUES = frozenset(("ok", "abandoned", *BY_CODE))
OTHER = "other"

#: Answered before any work: their times would hide how long the others take.
WITHOUT_WORK = frozenset((Busy.code, ShuttingDown.code, Unauthorised.code))

#: Seconds. A search of the wire alone takes half a millisecond, an enrolment of ten large images some seconds.
REQUEST_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
#: Seconds. An exact search among 10,000 takes 0.4 ms, a durable change 0.6 ms, FaceNet some 20 ms.
STAGE_BUCKETS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
#: Seconds. 100,000 subjects take some 7 s.
REBUILD_BUCKETS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0)


class Metrics:
    """An Observer, and what it has seen as text. Safe from any thread."""

    def __init__(self) -> None:
        # Else there is a series for each series, which says when it began.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = self._counter("requests", "Requests answered.", "command", "outcome")
        self._seconds = self._histogram(
            "request_duration_seconds",
            "From a whole request to its reply, of those that were worked on.",
            REQUEST_BUCKETS,
            "command",
        )
        self._stages = self._histogram("stage_duration_seconds", "Of the parts of requests.", STAGE_BUCKETS, "stage")
        self._images = self._counter("images_refused", "Images of enrolments and searches without a template.", "code")
        self._connections = self._counter("connections_refused", "Connections turned away or broken off.", "code")
        self._rebuilds = self._histogram("index_rebuild_duration_seconds", "Of builds of the index.", REBUILD_BUCKETS)
        self._failures = self._counter("index_rebuild_failures", "Builds of the index that failed.")
        self._gauges = _Gauges()
        self._registry.register(self._gauges)
        self._text = threading.Lock()
        self._begin_at_nought()

    # Observer

    def stage(self, stage: Stage, seconds: float) -> None:
        self._stages.labels(stage.value).observe(seconds)

    def request(self, command: str, outcome: str, seconds: float | None = None) -> None:
        command, outcome = _known(command, COMMAND_VALUES), _known(outcome, OUTCOME_VALUES)
        self._requests.labels(command, outcome).inc()
        if seconds is not None and outcome not in WITHOUT_WORK:
            self._seconds.labels(command).observe(seconds)

    def image_refused(self, code: str) -> None:
        self._images.labels(_known(code, OUTCOME_VALUES)).inc()

    def connection_refused(self, code: str) -> None:
        self._connections.labels(_known(code, OUTCOME_VALUES)).inc()

    def rebuild(self, seconds: float, failed: bool) -> None:
        self._rebuilds.observe(seconds)
        if failed:
            self._failures.inc()

    # What is told

    def watch(self, server: Watched, health: Health) -> None:
        """Read the gauges off these from now on."""
        self._gauges.server, self._gauges.health = server, health

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        with self._text:
            return generate_latest(self._registry)

    def _begin_at_nought(self) -> None:
        """Series that are worth a nought before anything happens: a rate needs a value to rise from."""
        for command in COMMANDS:
            for outcome in ("ok", Busy.code, Internal.code):
                self._requests.labels(command, outcome)
        for stage in Stage:
            self._stages.labels(stage.value)
        for error in (Busy, TimedOut, FrameTooLarge, ShuttingDown):
            self._connections.labels(error.code)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"face_login_{name}", text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"face_login_{name}", text, labels, buckets=buckets, registry=self._registry)


class _Gauges(Collector):
    """How things are at the moment somebody asks: costs nothing until then."""

    def __init__(self) -> None:
        self.server: Watched | None = None
        self.health: Health | None = None

    def describe(self) -> list[Metric]:
        return []  # else they would be collected once at registration, to learn their names

    def collect(self) -> Iterator[Metric]:
        ready = self.health is not None and self.health.not_ready() is None
        yield _gauge("ready", "1 when it answers requests, 0 while it starts, stops or is stuck.", ready)
        # At the end the gallery closes, of which nothing can be asked any more.
        if self.server is not None and not self.server.closing:
            told = self.server.status()
            yield from _gallery_gauges(told)
            yield from _index_gauges(told.index)
            yield from _load_gauges(told)


def _gallery_gauges(told: StatusReply) -> Iterator[Metric]:
    info = {"version": told.version, "model": told.model, "fingerprint": told.fingerprint}
    yield InfoMetricFamily("face_login_daemon", "What runs; a new fingerprint means new templates.", info)
    yield _gauge("subjects", "Subjects enrolled.", told.subjects)
    yield _gauge("templates", "Templates enrolled.", told.templates)
    if told.store is not None:
        yield _gauge("store_used_bytes", "Of the store, free pages left out.", told.store.used_bytes)
        yield _gauge("store_limit_bytes", "What enrolments may bring the store to.", told.store.limit_bytes)
        yield _gauge("store_disk_free_bytes", "Free on the store's disk.", told.store.free_disk_bytes)


def _index_gauges(index: IndexStatus) -> Iterator[Metric]:
    state = GaugeMetricFamily("face_login_index_state", "1 for the index's present state.", labels=("state",))
    for name in ("ready", "building", "absent"):
        state.add_metric((name,), float(index.state == name))
    yield state
    if index.kind is not None:
        kind = GaugeMetricFamily("face_login_index_kind", "1 for how searches go.", labels=("kind",))
        for name in ("annoy", "exact"):
            kind.add_metric((name,), float(index.kind == name))
        yield kind
    if index.recall is not None and index.recall_at_least is not None:
        yield _gauge("index_recall", "Share of probes that Annoy found when it was built.", index.recall)
        yield _gauge("index_recall_at_least", "The same with a confidence of 95 %.", index.recall_at_least)
    if index.search_k is not None and index.trees is not None:
        yield _gauge("index_search_k", "Items that Annoy looks at.", index.search_k)
        yield _gauge("index_trees", "Trees of Annoy's.", index.trees)
    yield _gauge("index_build_done", "Share of a running build that is done, 0 when none runs.", index.done or 0.0)
    yield _gauge("index_subjects", "Subjects that the index in use holds.", index.subjects)
    yield _gauge("index_overlay_subjects", "Subjects new or changed since the index was built.", index.overlay)
    yield _gauge("index_failed", "1 when the last build or load of the index failed.", index.error is not None)
    if index.built_s is not None:
        yield _gauge("index_built_timestamp_seconds", "When the index in use was built, Unix time.", index.built_s)


def _load_gauges(told: StatusReply) -> Iterator[Metric]:
    yield _gauge("queue_requests", "Requests that wait for the worker.", told.queue)
    yield _gauge("open_connections", "Connections that are open.", told.connections)
    if (load := told.load) is not None:
        yield _gauge("queue_limit_requests", "Requests that may wait; one more is busy.", load.queue_size)
        yield _gauge("open_connections_limit", "Connections that may be open; one more is busy.", load.max_connections)
        yield _gauge("held_bytes", "Of requests half-received, waiting or in work.", load.held_bytes)
        yield _gauge("held_limit_bytes", "What these may come to.", load.max_buffered_bytes)
        yield _gauge("worker_busy_seconds", "For how long the worker has been at its request.", load.busy_s)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"face_login_{name}", text, float(value))


def _known(word: str, words: frozenset[str]) -> str:
    return word if word in words else OTHER
