"""From a stated error rate to a threshold: calibration curves as shipped or measured, and their look-up.

A curve says for scores of one kind (so many enrolled templates, so many probe images, one way of fusing them) which
share of different people reaches a score (FMR) and which share of the same person does not (FNMR). The same score
means another error rate for other counts, so there is a curve for each. Knows no gallery and no faces; the numbers are
made by `face_server.evaluation.calibration`.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from face_server.errors import ConfigError, ThresholdUnsupported

SCHEMA = 1

#: How several vectors become one: the mean of the unit vectors, made a unit vector again.
FUSION = "centroid"


@dataclass(frozen=True, slots=True)
class Curve:
    """Error rates by score for `enrolled` templates against `probes` images.

    points: (score, FMR, FNMR) with ascending score, so falling FMR. comparisons: of different people; mated: of the
    same person; both of one round of drawing, a pair of single images counted once. Below measured_fmr the FMR is
    extrapolated.
    """

    enrolled: int
    probes: int
    comparisons: int
    mated: int
    measured_fmr: float
    points: tuple[tuple[float, float, float], ...]

    @property
    def least_fmr(self) -> float:
        """The lowest FMR that this curve can state a threshold for."""
        return self.points[-1][1]

    def threshold(self, fmr: float) -> float:
        """The score that different people reach with probability `fmr`. Raises ThresholdUnsupported below least_fmr."""
        if not fmr >= self.least_fmr:
            raise ThresholdUnsupported(
                f"a false match rate of {fmr:.1e} cannot be supported: the calibration for {self.enrolled} enrolled "
                f"and {self.probes} probe images rests on {self.comparisons} comparisons, enough for "
                f"{self.least_fmr:.1e}; "
                "claim an id (verify, 1:1), or calibrate on more people (face-server calibrate)",
                fmr=fmr,
                least_fmr=self.least_fmr,
                enrolled=self.enrolled,
                probes=self.probes,
            )
        logs = [-math.log10(point[1]) for point in self.points]
        return float(np.interp(-math.log10(min(fmr, 1.0)), logs, [point[0] for point in self.points]))

    def fmr(self, score: float) -> float:
        """The share of different people that reaches a score; past either end that point's."""
        scores = [point[0] for point in self.points]
        return float(10 ** np.interp(score, scores, [math.log10(point[1]) for point in self.points]))

    def fnmr(self, score: float) -> float:
        """The share of the same person's comparisons that does not reach a score; past either end that point's."""
        return float(np.interp(score, [point[0] for point in self.points], [point[2] for point in self.points]))

    def fmr_told(self, score: float) -> str:
        """FMR of a score in words: where the curve does not reach, a bound and no number that nobody measured."""
        return f"{self._side(score, 'above', 'below')}{self.fmr(score):.1e}"

    def fnmr_told(self, score: float) -> str:
        """FNMR of a score in words, as `fmr_told`."""
        return f"{self._side(score, 'below', 'above')}{self.fnmr(score):.2f}"

    def _side(self, score: float, before: str, after: str) -> str:
        if score < self.points[0][0]:
            return f"{before} "
        return f"{after} " if score > self.points[-1][0] else ""


@dataclass(frozen=True, slots=True)
class Calibration:
    """All curves of one fingerprint, and in words what they were measured on."""

    fingerprint: str
    source: str
    curves: tuple[Curve, ...]

    def curve(self, enrolled: int, probes: int) -> Curve:
        """The curve measured nearest to these counts, from above where there is one."""
        return self._curves[_from_above(self._enrolled, enrolled), _from_above(self._probes, probes)]

    def threshold(self, fmr: float, enrolled: int, probes: int) -> float:
        """The threshold for these counts: of all curves up to the next measured counts the highest, so the safe one.

        More images never lower a threshold. Past the last measured counts it goes on rising as it did between the last
        two, in the inverse of the number of images, by which the noise of a mean falls.
        Raises ThresholdUnsupported when a curve that is needed cannot support the rate.
        """
        most_enrolled, most_probes = _from_above(self._enrolled, enrolled), _from_above(self._probes, probes)
        highest = max(
            curve.threshold(fmr)
            for curve in self.curves
            if curve.enrolled <= most_enrolled and curve.probes <= most_probes
        )
        more = _beyond(self._enrolled, enrolled, lambda known: self._curves[known, most_probes].threshold(fmr))
        more += _beyond(self._probes, probes, lambda known: self._curves[most_enrolled, known].threshold(fmr))
        return min(highest + more, 1.0)

    def completed(self, other: Calibration) -> Calibration:
        """This one, with the other's curves for counts that it has none for; as it is where that leaves gaps."""
        curves = other._curves | self._curves
        counts = {enrolled for enrolled, _ in curves}, {probes for _, probes in curves}
        if len(curves) == len(self.curves) or len(curves) != len(counts[0]) * len(counts[1]):
            return self
        source = f"{self.source}; for other counts {other.source}"
        return Calibration(self.fingerprint, source, tuple(curves[counted] for counted in sorted(curves)))

    @property
    def _curves(self) -> dict[tuple[int, int], Curve]:
        return {(curve.enrolled, curve.probes): curve for curve in self.curves}

    @property
    def _enrolled(self) -> list[int]:
        return sorted({curve.enrolled for curve in self.curves})

    @property
    def _probes(self) -> list[int]:
        return sorted({curve.probes for curve in self.curves})


def _from_above(known: list[int], wanted: int) -> int:
    return known[min(bisect_left(known, wanted), len(known) - 1)]


def _beyond(known: list[int], wanted: int, threshold: Callable[[int], float]) -> float:
    """What the threshold rises past the last known count; nothing where that is not past it, or the only one."""
    if wanted <= known[-1] or len(known) < 2:
        return 0.0
    before, last = known[-2:]
    rise = max(0.0, threshold(last) - threshold(before))
    return rise * (1 / last - 1 / wanted) / (1 / before - 1 / last)


def calibration_name(fingerprint: str) -> str:
    """The file name of a fingerprint's calibration."""
    return f"{fingerprint[:16]}.json"


def find_calibration(directories: tuple[Path, ...], fingerprint: str) -> Calibration | None:
    """The calibration of this fingerprint from the first directory that has one; None when none has.

    Raises ConfigError for a file that is damaged or another fingerprint's: a wrong threshold is worse than none.
    """
    for directory in directories:
        path = directory / calibration_name(fingerprint)
        if path.is_file():
            return read_calibration(path, fingerprint)
    return None


def read_calibration(path: Path, fingerprint: str) -> Calibration:
    """Raises ConfigError as `find_calibration`."""
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if (told["schema"], told["fusion"], told["fingerprint"]) != (SCHEMA, FUSION, fingerprint):
            raise ValueError("it is of another model, fusion or schema")
        curves = tuple(_curve(one) for one in told["curves"])
        calibration = Calibration(told["fingerprint"], str(told["source"]), curves)
        if len(calibration._curves) != len(calibration._enrolled) * len(calibration._probes) or not curves:
            raise ValueError("not every pair of counts has one curve")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"the calibration {path} cannot be used: {error}; make it anew or remove it") from error
    return calibration


def _curve(told: dict[str, Any]) -> Curve:
    points = tuple((float(score), float(fmr), float(fnmr)) for score, fmr, fnmr in told["points"])
    scores, fmrs, fnmrs = zip(*points, strict=True)
    ascending = all(a < b for a, b in pairwise(scores))
    falling = all(a > b > 0 for a, b in pairwise(fmrs))
    if len(points) < 2 or not ascending or not falling or not all(0 <= x <= 1 for x in (*fmrs, *fnmrs)):
        raise ValueError("the points of a curve are not in order")
    counts = {name: int(told[name]) for name in ("enrolled", "probes", "comparisons", "mated")}
    return Curve(**counts, measured_fmr=float(told["measured_fmr"]), points=points)


def write_calibration(directory: Path, calibration: Calibration) -> Path:
    """Write it where `find_calibration` finds it, whole or not at all."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / calibration_name(calibration.fingerprint)
    curves = [
        {
            "enrolled": curve.enrolled,
            "probes": curve.probes,
            "comparisons": curve.comparisons,
            "mated": curve.mated,
            "measured_fmr": curve.measured_fmr,
            "points": [[round(score, 5), float(f"{fmr:.4g}"), round(fnmr, 5)] for score, fmr, fnmr in curve.points],
        }
        for curve in calibration.curves
    ]
    told = {
        "schema": SCHEMA,
        "fusion": FUSION,
        "fingerprint": calibration.fingerprint,
        "source": calibration.source,
        "curves": curves,
    }
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)
    return path
