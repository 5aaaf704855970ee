"""When a score is a match: thresholds from the error rates that the operator states. Knows no faces and no gallery.

`verify_fmr` is the share of impostors whose claim of an id succeeds. `identify_fpir` is the share of strangers whom a
search among all subjects takes for somebody; with N subjects a search is N comparisons, so each may have
FMR = 1 - (1 - FPIR)^(1/N) (comparisons taken as independent, which errs on the safe side). So the threshold of a search
rises as the gallery grows; and it never lies below that of a claim, since a search among few must not be easier to fool
than a claim of one. A threshold in the configuration overrides both, with a warning that says what it means.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

from face_server.calibration import Calibration
from face_server.config import DecisionConfig
from face_server.errors import ConfigError, ThresholdUnsupported

log = logging.getLogger(__name__)


def is_match(score: float, threshold: float) -> bool:
    """Whether a score is a match. A score that is not a number is none: NaN compares false."""
    return score >= threshold


def distance(score: float) -> float:
    """Euclidean distance of two unit vectors from their cosine: d^2 = 2 - 2 cos."""
    return math.sqrt(max(0.0, 2.0 - 2.0 * score))


def score_at(distance: float) -> float:
    """The cosine of two unit vectors at a Euclidean distance."""
    return 1.0 - distance * distance / 2.0


def fmr_of_search(fpir: float, subjects: int) -> float:
    """The FMR that each of N comparisons may have so that a search has this FPIR."""
    return -math.expm1(math.log1p(-fpir) / max(subjects, 1))


@dataclass(frozen=True, slots=True)
class Decision:
    """Thresholds for the counts at hand, from a calibration or, where `fixed` is set, one for all."""

    verify_fmr: float
    identify_fpir: float
    captures_fmr: float
    calibration: Calibration | None
    fixed: float | None = None
    refuse_duplicates: bool = True

    def verify_threshold(self, enrolled: int, probes: int) -> float:
        """For a claim of one id with so many templates, by so many images. Raises ThresholdUnsupported."""
        return self._threshold(self.verify_fmr, enrolled, probes)

    def identify_threshold(self, enrolled: int, probes: int, subjects: int) -> float:
        """For a candidate with so many templates, of a search among so many subjects. Raises ThresholdUnsupported."""
        return self._threshold(self._search_fmr(subjects), enrolled, probes)

    def same_person_threshold(self, others: int) -> float:
        """For one capture of an enrolment against so many others of it. Raises ThresholdUnsupported."""
        return self._threshold(self.captures_fmr, others, 1)

    def strictest_threshold(self, enrolled: int, probes: int, subjects: int) -> float:
        """As identify_threshold; past the supported size the one of the lowest rate that is supported."""
        if self.fixed is not None or self.calibration is None:
            return self.identify_threshold(enrolled, probes, subjects)
        least = max(curve.least_fmr for curve in self.calibration.curves)
        return self._threshold(max(self._search_fmr(subjects), least), enrolled, probes)

    def _search_fmr(self, subjects: int) -> float:
        return min(fmr_of_search(self.identify_fpir, subjects), self.verify_fmr)

    def _threshold(self, fmr: float, enrolled: int, probes: int) -> float:
        if self.fixed is not None:
            return self.fixed
        if self.calibration is None:
            raise ThresholdUnsupported("there is no calibration for this model, so no score is a match")
        return self.calibration.threshold(fmr, enrolled, probes)


def make_decision(config: DecisionConfig, calibration: Calibration | None) -> Decision:
    """The decision that the configuration asks for. Raises ConfigError when nothing can support it."""
    fixed = _fixed_threshold(config)
    decision = Decision(
        config.verify_fmr, config.identify_fpir, config.captures_fmr, calibration, fixed, config.refuse_duplicates
    )
    if fixed is not None:
        log.warning("[decision] threshold: the score %.4f is a match whatever the counts; %s", fixed, _cost(decision))
    elif calibration is None:
        raise ConfigError(
            "there is no calibration for this model and alignment, so no error rate can be stated: set [decision] "
            "threshold until enough people are enrolled, then run face-server calibrate and take it out again"
        )
    else:
        require_supported(config.verify_fmr, calibration)
    return decision


def _fixed_threshold(config: DecisionConfig) -> float | None:
    if config.threshold is not None and config.distance_threshold is not None:
        raise ConfigError("[decision] threshold and distance_threshold say the same thing twice: keep one")
    if config.distance_threshold is not None:
        return score_at(config.distance_threshold)
    return config.threshold


def _cost(decision: Decision) -> str:
    """What a fixed threshold means for one template and one image."""
    if decision.calibration is None or decision.fixed is None:
        return "its error rates are unknown, as there is no calibration for this model"
    curve = decision.calibration.curve(1, 1)
    fmr, fnmr = curve.fmr_told(decision.fixed), curve.fnmr_told(decision.fixed)
    return f"one template against one image: FMR {fmr}, FNMR {fnmr}; taking it out gives stated rates"


def require_supported(verify_fmr: float, calibration: Calibration) -> None:
    """Raises ConfigError where a curve cannot state this rate, so that a daemon would not start."""
    for curve in calibration.curves:
        try:
            curve.threshold(verify_fmr)
        except ThresholdUnsupported as error:
            raise ConfigError(f"[decision] verify_fmr = {verify_fmr:g} ({calibration.source}): {error}") from None
