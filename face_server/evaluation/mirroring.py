"""The mirror image of a face, embedded as a second capture: for measuring what it would win. Knows no score.

The daemon does not do this; templates with and without it could not be told apart by their length, so the fingerprint
differs.
"""

from __future__ import annotations

import hashlib

import numpy as np

from face_server.assembly import assemble_aligner
from face_server.config import Config
from face_server.types import FloatArray
from face_server.vision.embedding import Crops, Embedder
from face_server.vision.pipeline import FacePipeline


class Mirrored:
    """An Embedder of the crops' mirror images, by the network of another."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.fingerprint = hashlib.sha256(f"mirrored {embedder.fingerprint}".encode()).hexdigest()
        self.dimension = embedder.dimension

    def embed(self, crops: Crops) -> FloatArray:
        """As Embedder.embed."""
        return self._embedder.embed(np.ascontiguousarray(crops[:, :, ::-1]))


def mirrored_pipeline(config: Config, pipeline: FacePipeline, embedder: Embedder) -> FacePipeline:
    """A pipeline that finds the faces of the given one and embeds their mirror images."""
    aligner = assemble_aligner(config)
    mirrored = Mirrored(embedder)
    return FacePipeline(pipeline.detector, aligner, mirrored, config.imaging, config.quality, config.detection)


def with_mirror_images(vectors: FloatArray, mirrored: FloatArray) -> FloatArray:
    """(n, dimension) float32: the unit vector of the mean of each vector and its mirror image's."""
    both = vectors.astype(np.float64) + mirrored
    unit: FloatArray = (both / np.linalg.norm(both, axis=1, keepdims=True)).astype(np.float32)
    return unit
