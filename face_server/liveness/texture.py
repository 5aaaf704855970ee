"""The passive network: does one image look like a face, or like the picture of one? A second signal, not a defence.

The network of models/manifest.toml's `fr-liveness`, run by OpenCV. Its scores are not centred at 0.5: what it gave real
faces and pictures of faces stands in docs/measurements.md, with what follows for the threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from face_server.config import LivenessConfig
from face_server.errors import ModelFileError
from face_server.liveness.evidence import Finding, Frame
from face_server.types import DetectedFace, RgbImage

#: Side of the network's input, and how many times the face's box it sees; both as the package that holds it uses it.
_INPUT_PX, _SURROUNDINGS = 128, 2.7


class PassiveNetwork:
    """How live one image looks: (height, width, 3) uint8 RGB and its face -> 0..1."""

    def __init__(self, path: Path) -> None:
        """path: an ONNX file whose sha256 was compared. Raises ModelFileError."""
        try:
            self._network = cv2.dnn.readNetFromONNX(str(path))
        except cv2.error as error:
            raise ModelFileError(f"{path} cannot be read as a network: {error}") from error

    def __call__(self, image: RgbImage, face: DetectedFace) -> float:
        crop = surroundings(image, face)
        blob = cv2.dnn.blobFromImage(crop, 1.0, (_INPUT_PX, _INPUT_PX), swapRB=True, crop=False)
        self._network.setInput(blob)
        logits = self._network.forward().ravel().astype(np.float64)
        odds = np.exp(logits - logits.max())
        return float(odds[0] / odds.sum())


def surroundings(image: RgbImage, face: DetectedFace) -> RgbImage:
    """The face with what is around it, 2.7 times its box, moved and shrunk where it would leave the picture."""
    height, width = image.shape[:2]
    box = face.box
    times = min((height - 1) / max(box.height, 1), (width - 1) / max(box.width, 1), _SURROUNDINGS)
    wide, high = max(int(box.width * times), 1), max(int(box.height * times), 1)
    left = int(np.clip((box.x1 + box.x2 - wide) / 2, 0, max(width - wide, 0)))
    top = int(np.clip((box.y1 + box.y2 - high) / 2, 0, max(height - high, 0)))
    return image[top : top + high, left : left + wide]


def check(
    frames: Sequence[Frame], look: Callable[[RgbImage, DetectedFace], float], options: LivenessConfig
) -> Iterator[Finding]:
    """The middle of its scores on the frames that look straight ahead, which are what it was made for."""
    scores = [look(frame.image, frame.face) for frame in frames if frame.step == 0]
    value = float(np.median(scores))
    yield Finding("passive", value >= options.least_passive, value, options.least_passive, 0)
