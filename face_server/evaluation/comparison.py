"""Two photographs side by side: what was found, how it was aligned, and how alike it is. Judges nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from face_server.calibration import Curve
from face_server.evaluation.embeddings import Chosen, FaceChoice, choose
from face_server.evaluation.plots import side_by_side
from face_server.vision.drawing import annotate
from face_server.vision.pipeline import FacePipeline


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both faces, their score and distance, and the FMR at that score where a calibration tells it.

    fmr_told: in words, with "above" or "below" where the calibration's curve does not reach the score.
    """

    faces: tuple[Chosen, Chosen]
    score: float
    distance: float
    fmr: float | None
    fmr_told: str = ""

    @property
    def caption(self) -> str:
        """The numbers in one line."""
        known = f", FMR at this score {self.fmr_told}" if self.fmr_told else ""
        return f"score {self.score:.4f}, distance {self.distance:.4f}{known}"

    def as_json(self) -> dict[str, Any]:
        return {
            "score": self.score,
            "distance": self.distance,
            "fmr": self.fmr,
            "fmr_told": self.fmr_told or None,
            "faces": [
                {
                    "box": [box.x1, box.y1, box.x2, box.y2],
                    "landmarks": [list(point) for point in chosen.face.landmarks],
                    "confidence": chosen.face.confidence,
                    "faces_found": chosen.faces,
                    "refused_by_the_daemon": chosen.refusal or None,
                }
                for chosen in self.faces
                for box in (chosen.face.box,)
            ],
        }


def compare(
    pipeline: FacePipeline,
    first: bytes,
    second: bytes,
    choice: FaceChoice,
    curve: Curve | None = None,
) -> Comparison:
    """Compare the chosen faces. curve: of single images, to tell the score's FMR.

    Raises ImageUnreadable, ImageTooLarge, NoFace, TurnedAway, CutOff.
    """
    one, two = choose(pipeline, first, choice), choose(pipeline, second, choice)
    score = float(one.vector @ two.vector)
    # Of the vectors themselves, which is exact where they are alike and sqrt(2 - 2 score) is not.
    distance = float(np.linalg.norm(one.vector.astype(np.float64) - two.vector))
    if curve is None:
        return Comparison((one, two), score, distance, None)
    return Comparison((one, two), score, distance, curve.fmr(score), curve.fmr_told(score))


def picture(pipeline: FacePipeline, first: bytes, second: bytes, comparison: Comparison) -> bytes:
    """A PNG: both pictures with box and landmarks, below them what the embedding network saw, above the numbers."""
    one, two = comparison.faces
    return side_by_side(
        (
            annotate(pipeline.decode(first), [one.face], ["A"]),
            annotate(pipeline.decode(second), [two.face], ["B"]),
        ),
        (one.crop, two.crop),
        comparison.caption,
    )
