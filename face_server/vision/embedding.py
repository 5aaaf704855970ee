"""Aligned crops to unit vectors. Owns how pixels are standardised and what identifies a template's origin.

Knows no picture files, no detector and no score. The fingerprint covers everything that changes a vector of the same
crop or the crop of the same landmarks, and nothing else: two templates may be compared if and only if theirs are equal.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from face_server.errors import Internal, ModelFileError
from face_server.types import FloatArray
from face_server.vision.centring import Centre
from face_server.vision.runtime import Network

#: Batch of crops, (n, size, size, 3) uint8 RGB.
Crops = NDArray[np.uint8]

#: Counts changes of this package that move vectors without touching a setting: the warp's interpolation and border,
#: the orientation or colours of decoding, the order of channels. Raise it, and old templates are refused.
PREPROCESSING_VERSION = 1

#: (x - 127.5) / 128, to about -1..1: what the 2018 FaceNet checkpoints and MobileFaceNet (Chen et al. 2018,
#: arXiv:1804.07573, section 4.1) were trained with. The per-image prewhitening of earlier FaceNets, which the first
#: generation used, costs accuracy here and lets the background change the face.
_MEAN, _SCALE = 127.5, 128.0

#: Below this a vector has no direction worth trusting; FaceNet's own lie at 1, MobileFaceNet's of faces at 56 to 91.
_MIN_NORM = 1e-6


class Embedder(Protocol):
    """Turns crops into vectors whose dot product is the score."""

    @property
    def fingerprint(self) -> str:
        """Identifies weights and preprocessing, 64 hex digits."""
        ...

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        ...

    def embed(self, crops: Crops) -> FloatArray:
        """(n, dimension) float32 unit vectors of (n, size, size, 3) uint8 RGB crops. Raises Internal."""
        ...


class NetworkEmbedder:
    """A network with the standardisation above: an Inception-ResNet FaceNet of 2018, or MobileFaceNet.

    What tells them apart is weights and alignment, and that is what the fingerprint must tell: alignment is
    Aligner.describe() of the crops the network was trained on, and the size of a crop comes from there. The vectors
    of a network that leaves them unnormalised, as MobileFaceNet does, are brought to length 1 here. A centre is taken
    away after that, and what is left brought to length 1 again.
    Raises ModelFileError when the network does not give one vector for one crop, or the centre has another dimension.
    """

    def __init__(
        self, network: Network, weights_sha256: str, alignment: Mapping[str, Any], centre: Centre | None = None
    ) -> None:
        self._network = network
        self._size = int(alignment["image_size"])
        self._centre = centre
        self.fingerprint = fingerprint_of(weights_sha256, alignment, centre)
        self.dimension = self._measured_dimension()
        if centre is not None and centre.mean.shape != (self.dimension,):
            raise ModelFileError(f"the centre has {centre.mean.shape}, the network gives {self.dimension} components")

    def embed(self, crops: Crops) -> FloatArray:
        """(n, dimension) float32 unit vectors of (n, size, size, 3) uint8 RGB crops; n may be 0.

        Raises ValueError when the crops have another shape or type, Internal when the network answers with a vector
        that is zero or not finite: such a vector would score the same against everybody.
        """
        if crops.dtype != np.uint8 or crops.shape[1:] != (self._size, self._size, 3):
            raise ValueError(f"expected uint8 (n, {self._size}, {self._size}, 3), got {crops.dtype} {crops.shape}")
        if not len(crops):
            return np.empty((0, self.dimension), np.float32)
        vectors = _unit(self._network(_standardised(crops))[0])
        return vectors if self._centre is None else _unit(vectors - self._centre.mean)

    def _measured_dimension(self) -> int:
        grey = np.full((1, self._size, self._size, 3), 128, np.uint8)
        try:
            raw = self._network(_standardised(grey))[0]
        except ValueError as error:
            raise ModelFileError(f"the embedding network takes no crop of {self._size} px: {error}") from error
        if raw.ndim != 2 or len(raw) != 1 or not np.isfinite(raw).all():
            raise ModelFileError(f"the embedding network gives {raw.shape} for one crop, expected one finite vector")
        return int(raw.shape[1])


def _standardised(crops: Crops) -> FloatArray:
    return (crops.astype(np.float32) - np.float32(_MEAN)) / np.float32(_SCALE)


def _unit(raw: FloatArray) -> FloatArray:
    norms = np.linalg.norm(raw, axis=1, keepdims=True)
    if not (np.isfinite(norms) & (norms > _MIN_NORM)).all():
        raise Internal("the embedding network gave a vector that is zero or not finite")
    return np.asarray(raw / norms, dtype=np.float32)


def fingerprint_of(weights_sha256: str, alignment: Mapping[str, Any], centre: Centre | None = None) -> str:
    """64 hex digits that differ where vectors of the same crop or crops of the same landmarks may."""
    origin = {
        "weights": weights_sha256,
        "alignment": dict(alignment),
        "standardisation": {"mean": _MEAN, "scale": _SCALE},
        "colour": "RGB",
        "version": PREPROCESSING_VERSION,
    }
    if centre is not None:
        origin["centre"] = centre.sha256
    # Canonical: the same bytes in every process, whatever the order in which the settings were collected.
    text = json.dumps(origin, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
