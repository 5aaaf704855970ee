"""A measured identification for people and for programs."""

from __future__ import annotations

from typing import Any

from face_server.evaluation.folders import printable
from face_server.evaluation.identification import Identification
from face_server.evaluation.report import METHODS, photo_lines, photos_json, point_line

_METHODS = {
    "rank1": "share of searches for enrolled people in which that person comes first, whatever the score",
    "rates": "FNIR: enrolled people who do not come first with the threshold's score, failures to acquire included;"
    " FPIR: searches for others in which anybody reaches it; gallery vectors of one person fused as their centroid",
    "interval": METHODS["interval"],
    "people_interval": METHODS["people_interval"] + ", the gallery fixed",
    "supported": METHODS["supported"],
}


def as_json(result: Identification) -> dict[str, Any]:
    """Everything that was measured, JSON-able."""
    right, low_high = 1 - result.rank1.share, result.rank1.interval()
    return {
        "gallery": {
            "people": result.people,
            "not_enrolled": [printable(person) for person in result.not_enrolled],
            "photos": photos_json(result.gallery),
        },
        "probes": {
            "photos": photos_json(result.probes),
            "left_out": result.left_out,
            "enrolled": result.rank1.trials,
            "strangers": result.strangers,
        },
        "rank1": {
            "share": right,
            "interval": [1 - low_high[1], 1 - low_high[0]],
            "errors": result.rank1.errors,
            "trials": result.rank1.trials,
        },
        "rates": [point.as_json() for point in result.points],
        "methods": _METHODS,
    }


def lines(result: Identification) -> list[str]:
    """What the terminal shows."""
    low, high = result.rank1.interval()
    told = [
        "gallery",
        *(f"  {line}" for line in photo_lines(result.gallery, f"{result.people} enrolled people")),
        "probes",
        *(f"  {line}" for line in photo_lines(result.probes, f"{result.strangers} strangers and of the enrolled")),
        *([f"  left out     {result.left_out}, since they are gallery photos"] if result.left_out else []),
        f"rank 1       {1 - result.rank1.share:.4f}, 95 % binomial {1 - high:.4f} to {1 - low:.4f}"
        f" ({result.rank1.trials - result.rank1.errors} of {result.rank1.trials} searches for enrolled people)",
    ]
    if not result.points:
        return [*told, "no probe is of anybody else, so there is no FPIR and no FNIR"]
    header = "FPIR     threshold  FNIR    95 % by people    95 % binomial     errors (strangers / enrolled)"
    return [*told, header, *(point_line(point) for point in result.points)]
