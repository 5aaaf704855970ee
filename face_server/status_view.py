"""What `face-server status` shows: what needs attention first, then the daemon in sections. Knows only the reply."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from face_server.health import STUCK_S
from face_server.terminal import Terminal, Tone, bytes_told, counted, span_told
from face_server.wire.replies import DecisionStatus, IndexStatus, LoadStatus, StatusReply, StoreStatus

#: A share of a limit from which it is said that the limit is near: time to act before something is refused.
NEAR = 0.8
#: A new index is written beside the old one, and the store doubles its file when it is full.
LEAST_FREE_BYTES = 1 << 30
#: Clocks of two machines, or of one before and after it was set, differ by less.
CLOCK_SLACK_S = 120.0


@dataclass(frozen=True, slots=True)
class Concern:
    """What needs attention; `urgent`: requests fail of it now."""

    text: str
    urgent: bool = False


def concerns(told: StatusReply, now_s: float) -> tuple[Concern, ...]:
    """What needs attention, the urgent first. now_s: Unix time of who asks."""
    found = [*load_concerns(told), *_store_concerns(told.store), *_index_concerns(told, now_s)]
    found += _decision_concerns(told.decision, told.subjects)
    return tuple(sorted(found, key=lambda concern: not concern.urgent))


def health_of(found: tuple[Concern, ...]) -> tuple[str, Tone]:
    """One plain word for it, and its colour."""
    if not found:
        return "healthy", Tone.GOOD
    return ("in trouble", Tone.BAD) if found[0].urgent else ("needs attention", Tone.WARNING)


def status_lines(told: StatusReply, now_s: float, terminal: Terminal) -> Iterator[str]:
    """The whole page."""
    found = concerns(told, now_s)
    word, tone = health_of(found)
    yield f"{terminal.paint(f'face-login {told.version}', Tone.HEADING)}  {terminal.paint(word, tone)}"
    for concern in found:
        first, *rest = terminal.row("  !", concern.text, 4)
        yield from (terminal.paint(line, Tone.BAD if concern.urgent else Tone.WARNING) for line in (first, *rest))
    for heading, rows in _sections(told, now_s):
        yield ""
        yield terminal.paint(heading, Tone.HEADING)
        for label, text in rows:
            yield from terminal.row(f"  {label}", text)


def _sections(told: StatusReply, now_s: float) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    yield "daemon", [("up", f"{span_told(told.uptime_s)}, {counted(told.requests, 'request')}"), *_load_rows(told)]
    yield (
        "gallery",
        [
            ("enrolled", f"{counted(told.subjects, 'subject')}, {counted(told.templates, 'template')}"),
            ("index", _index_told(told.index, now_s)),
            *_recall_rows(told.index),
            *([("store", _store_told(told.store))] if told.store else []),
        ],
    )
    yield "model", [("network", f"{told.model}, {told.dimension}-D"), ("fingerprint", told.fingerprint[:16])]
    yield "thresholds, by enrolled + probe images", list(_threshold_rows(told.decision))


def _load_rows(told: StatusReply) -> Iterator[tuple[str, str]]:
    load = told.load
    if load is None:  # an earlier daemon
        yield "connections", f"{told.connections}"
        yield "waiting", f"{told.queue}"
        return
    yield "connections", f"{told.connections} of {load.max_connections}"
    yield (
        "waiting",
        f"{told.queue} of {load.queue_size}" + (f", one in work for {load.busy_s:.1f} s" if load.busy_s else ""),
    )
    yield "held", f"{bytes_told(load.held_bytes)} of {bytes_told(load.max_buffered_bytes)}"


def _index_told(index: IndexStatus, now_s: float) -> str:
    if index.kind == "exact" and index.state == "ready":
        return "exact: a search looks at everybody" + ("" if index.configured == "exact" else ", as costs less here")
    if index.built_s is None:
        return f"{index.state}{_done(index)}; {index.overlay:,} searched one by one"
    age = span_told(max(0.0, now_s - index.built_s))
    built = datetime.fromtimestamp(index.built_s).astimezone().isoformat(sep=" ", timespec="minutes")
    return (
        f"{index.state}{_done(index)}, {counted(index.subjects, 'subject')}, built {age} ago ({built}); "
        f"{index.overlay:,} new or changed since"
    )


def _done(index: IndexStatus) -> str:
    return "" if index.done is None else f" ({index.phase}, {index.done:.0%})"


def _recall_rows(index: IndexStatus) -> Iterator[tuple[str, str]]:
    if index.recall is None or index.probes is None or index.recall_at_least is None:
        return
    yield (
        "recall",
        f"at least {index.recall_at_least:.3%}; {index.misses} of {index.probes:,} probes missed, with {index.trees} "
        f"trees and search_k {index.search_k:,}",
    )


def _store_told(store: StoreStatus) -> str:
    used, limit, free = map(bytes_told, (store.used_bytes, store.limit_bytes, store.free_disk_bytes))
    return f"{used} of {limit}, {free} free on its disk"


def _threshold_rows(decision: DecisionStatus) -> Iterator[tuple[str, str]]:
    if decision.fixed:
        yield "all", f"{_score(decision.verify_threshold)}, set by hand: no error rate is promised"
        return
    rates = f"claimed, FMR {decision.verify_fmr:g}", f"searched, FPIR {decision.identify_fpir:g} at this size"
    width = len(rates[0]) + 3
    yield "", f"{rates[0]:{width}}{rates[1]}"
    for one in decision.thresholds or ():
        yield f"{one.enrolled} + {one.probes}", f"{_score(one.verify):{width}}{_score(one.identify)}"
    if decision.thresholds is None:
        yield "1 + 1", f"{_score(decision.verify_threshold):{width}}{_score(decision.identify_threshold)}"
    yield "measured on", decision.calibration


def _score(threshold: float | None) -> str:
    return "not supported" if threshold is None else f"{threshold:.4f}"


# Concerns


def load_concerns(told: StatusReply) -> Iterator[Concern]:
    """Of the requests in hand."""
    load = told.load
    if load is None:
        return
    if load.busy_s > STUCK_S:
        yield Concern(
            f"The worker has been at one request for {span_told(load.busy_s)}, and all others wait: look into the log, "
            "then restart the daemon.",
            urgent=True,
        )
    for name, count, limit, option in _limits(told, load):
        if count >= NEAR * limit:
            yield Concern(f"{name}, and more are answered busy: see who asks so much, or raise [server] {option}.")


def _limits(told: StatusReply, load: LoadStatus) -> Iterator[tuple[str, float, float, str]]:
    yield f"{told.queue} of {load.queue_size} requests wait", told.queue, load.queue_size, "queue_size"
    # Our own is one of them.
    others, most = told.connections - 1, load.max_connections
    yield f"{told.connections} of {most} connections are open", others, most, "max_connections"
    held, limit = bytes_told(load.held_bytes), bytes_told(load.max_buffered_bytes)
    told_bytes = f"{held} of {limit} of requests are held"
    yield told_bytes, load.held_bytes, load.max_buffered_bytes, "max_buffered_bytes"


def _store_concerns(store: StoreStatus | None) -> Iterator[Concern]:
    if store is None:
        return
    if store.used_bytes >= NEAR * store.limit_bytes:
        share = store.used_bytes / store.limit_bytes
        yield Concern(
            f"The store is {share:.0%} full; beyond that nobody is enrolled: raise [gallery] max_map_bytes.",
            urgent=share >= 1,
        )
    if store.free_disk_bytes < LEAST_FREE_BYTES:
        free = bytes_told(store.free_disk_bytes)
        yield Concern(f"The store's disk has {free} left: make room, or enrolments and builds of the index will fail.")


def _index_concerns(told: StatusReply, now_s: float) -> Iterator[Concern]:
    index = told.index
    if index.error is not None:
        yield Concern(f"The index: {index.error} Searches are right, and slower in a large gallery.")
    elif index.state == "absent" and told.subjects:
        yield Concern("There is no index, so a search looks at everybody: run face-server rebuild.")
    if index.built_s is not None and index.built_s > now_s + CLOCK_SLACK_S:
        ahead = span_told(index.built_s - now_s)
        yield Concern(f"By this machine's clock the index is built {ahead} from now: set the clock right.")


def _decision_concerns(decision: DecisionStatus, subjects: int) -> Iterator[Concern]:
    if decision.fixed:
        return
    if decision.verify_threshold is None:
        yield Concern("The calibration cannot support [decision] verify_fmr: nobody is verified.", urgent=True)
    elif decision.identify_threshold is None:
        yield Concern(
            f"Among {counted(subjects, 'subject')} [decision] identify_fpir = {decision.identify_fpir:g} cannot be "
            "supported, so searches are refused: have people claim an id (verify), or run face-server calibrate.",
            urgent=True,
        )
