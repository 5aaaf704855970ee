"""A measured presentation attack detection for people: lines for the terminal, JSON, a DET plot, one HTML file.

Each species of attacks stands alone, the worst first; nothing here adds them up. The failures are shown as pictures:
attacks that passed and honest presentations that were refused, since most of them explain themselves.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from face_server.errors import ClientError, EvaluationError
from face_server.evaluation import plots
from face_server.evaluation.pad import ACTIVE, PASSIVE, STEPS, Group, Outcome, PadResult
from face_server.evaluation.presentations import Answer, Presentation
from face_server.evaluation.rates import Proportion
from face_server.evaluation.report import data_uri, prepare, rendered, write_file
from face_server.types import RgbImage
from face_server.vision.imaging import decode

METHODS = {
    "APCER": "share of the attack presentations of one species that pass, of those that were judged (ISO/IEC 30107-3)",
    "BPCER": "share of the bona fide presentations that are refused, of those that were judged",
    "non_responses": "presentations that were refused before any check of liveness (no face, several, unreadable);"
    " the daemon refuses them too, but they are no evidence for the checks",
    "interval": "95 %, exact (Clopper and Pearson 1934), as if presentations were independent: tries with one print or"
    " of one person are not",
    "at_most": "95 %, one-sided: what the rate is at most, even if no error was seen",
    "det": "APCER over BPCER when only the passive network decides, at every threshold; one line per species",
    "checks": "what each check alone refuses, of what it looked at; one that never looked is left out",
    "modes": "what passes where [liveness] asks for `active` (all but the network), `passive` (the network) or `both`",
}
#: Failures shown per group, frames of each, and their height.
_SHOWN, _FRAMES, _HEIGHT_PX = 24, 8, 96


def lines(result: PadResult) -> list[str]:
    """What the terminal shows."""
    told = [f"{'presentations':22} {'judged':>6} {'failed':>6}  {'rate':>7}  95 % exact        at most  not judged"]
    told += [_line(group) for group in (result.bona_fide, *result.attacks)]
    told += ["", "refused by each check alone, of what it looked at", f"{'':22} " + " ".join(result.checks)]
    told += [f"{_name(group):22} " + " ".join(_alone(group, result.checks)) for group in _groups(result)]
    told += ["", "that pass where [liveness] asks for", f"{'':22} active passive  both"]
    return told + [f"{_name(g):22} {m['active']:>6} {m['passive']:>7} {m['both']:>5}" for g, m in _modes(result)]


def as_json(result: PadResult, about: dict[str, Any]) -> dict[str, Any]:
    """Everything that was measured, JSON-able; `about` says of what."""
    return {
        **about,
        "bona_fide": _group_json(result.bona_fide, result.checks),
        "attacks": [_group_json(group, result.checks) for group in result.attacks],
        "methods": METHODS,
    }


def write_report(
    directory: Path,
    result: PadResult,
    about: dict[str, Any],
    read: Callable[[Presentation], Answer],
    max_pixels: int,
) -> Path:
    """Write det.png, result.json and report.html; returns the last. Raises EvaluationError."""
    det = plots.pad_det_plot(_scores(result.bona_fide), {g.species: _scores(g) for g in result.attacks})
    failures = [(group, _failures(group, read, max_pixels)) for group in _groups(result)]
    html = rendered(
        "pad.html",
        told=as_json(result, about),
        groups=[(_name(group), group) for group in _groups(result)],
        checks=result.checks,
        alone={group.species: _alone(group, result.checks) for group in _groups(result)},
        modes=[(_name(group), modes) for group, modes in _modes(result)],
        failures=[(_name(group), group, pictures) for group, pictures in failures if pictures],
        det=data_uri("image/png", det) if det else "",
    )
    content = {"result.json": (json.dumps(as_json(result, about), indent=1, ensure_ascii=False) + "\n").encode()}
    content |= {"det.png": det} if det else {}
    prepare(directory)
    for name, data in (content | {"report.html": html.encode()}).items():
        write_file(directory / name, data)
    return directory / "report.html"


def modes(group: Group) -> dict[str, str]:
    """`passing/tries` in each mode of [liveness], of those whose frames it could judge; `-` where there are none.

    active: those with steps. passive: those that the network looked at. both: those with steps and network.
    """
    counted = {
        "active": group.passing(STEPS, frozenset({PASSIVE})),
        "passive": group.passing(PASSIVE, ACTIVE),
        "both": group.passing(STEPS, frozenset()) if any(PASSIVE in one.checks for one in group.judged) else None,
    }
    return {mode: f"{share.errors}/{share.trials}" if share else "-" for mode, share in counted.items()}


def _modes(result: PadResult) -> list[tuple[Group, dict[str, str]]]:
    return [(group, modes(group)) for group in _groups(result)]


def _groups(result: PadResult) -> tuple[Group, ...]:
    return (result.bona_fide, *result.attacks)


def _name(group: Group) -> str:
    return group.species or "bona fide"


def _line(group: Group) -> str:
    responses = ", ".join(f"{count} {reason}" for reason, count in group.responses.most_common()) or "none"
    rate = group.rate
    if rate is None:
        return f"{_name(group):22} {0:6} {'':6}  {'':7}  {'':16}  {'':7}  {responses}"
    low, high = rate.exact_interval()
    return (
        f"{_name(group):22} {rate.trials:6} {rate.errors:6}  {rate.share:7.2%}  {low:6.2%} to {high:6.2%}"
        f"  {rate.upper_bound():7.2%}  {responses}"
    )


def _alone(group: Group, checks: Sequence[str]) -> list[str]:
    shares = ((check, group.refused_by(check)) for check in checks)
    return [f"{f'{share.errors}/{share.trials}' if share else '-':>{len(check)}}" for check, share in shares]


def _group_json(group: Group, checks: Sequence[str]) -> dict[str, Any]:
    return {
        "species": group.species,
        "presentations": len(group.outcomes),
        "rate": _rate_json(group.rate) if group.rate else None,
        "non_responses": dict(group.responses),
        "refused_by": {c: [p.errors, p.trials] for c in checks if (p := group.refused_by(c)) is not None},
        "passing": modes(group),
        "failures": [_outcome_json(outcome) for outcome in group.errors],
    }


def _rate_json(rate: Proportion) -> dict[str, Any]:
    interval = list(rate.exact_interval())
    return {
        "errors": rate.errors,
        "trials": rate.trials,
        "share": rate.share,
        "interval": interval,
        "at_most": rate.upper_bound(),
    }


def _outcome_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "presentation": outcome.presentation.shown,
        "findings": [
            {"check": f.check, "ok": f.ok, "value": float(f.value), "threshold": float(f.threshold), "step": f.step}
            for f in outcome.findings
        ],
    }


def _scores(group: Group) -> list[float]:
    return [outcome.score for outcome in group.judged if outcome.score is not None]


def _failures(group: Group, read: Callable[[Presentation], Answer], max_pixels: int) -> list[tuple[str, str, str]]:
    """(name, why, picture) of the first failures."""
    shown = []
    for outcome in group.errors[:_SHOWN]:
        why = ", ".join(_told(f) for f in outcome.findings if not f.ok) or "passed every check"
        shown.append((outcome.presentation.shown, why, _strip(outcome.presentation, read, max_pixels)))
    return shown


def _told(finding: Any) -> str:
    where = f" in step {finding.step}" if finding.step is not None else ""
    return f"{finding.check}{where}: {finding.value:.3g}, limit {finding.threshold:.3g}"


def _strip(item: Presentation, read: Callable[[Presentation], Answer], max_pixels: int) -> str:
    """Some frames side by side, as a data URI; "" when they cannot be read any more."""
    try:
        images = read(item).images
        chosen = [images[at] for at in np.unique(np.linspace(0, len(images) - 1, _FRAMES).round().astype(int))]
        small = [_shrunk(decode(image, max_pixels)) for image in chosen]
    except (EvaluationError, ClientError):
        return ""
    strip = cv2.cvtColor(np.hstack(small), cv2.COLOR_RGB2BGR)
    done, jpeg = cv2.imencode(".jpg", strip, [cv2.IMWRITE_JPEG_QUALITY, 80])
    return data_uri("image/jpeg", bytes(jpeg)) if done else ""


def _shrunk(image: RgbImage) -> RgbImage:
    width = max(1, min(round(image.shape[1] * _HEIGHT_PX / image.shape[0]), 4 * _HEIGHT_PX))
    small: RgbImage = cv2.resize(image, (width, _HEIGHT_PX), interpolation=cv2.INTER_AREA)
    return small
