"""Finds faces and their five landmarks: `Detector`, and `MtcnnDetector`, a cascade over three small networks.

It owns the image pyramid, the geometry between networks and the suppression of duplicates, after Zhang, Zhang, Li and
Qiao, "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks", IEEE Signal Processing
Letters 23(10), 2016 (below: the paper). It knows networks as functions on arrays, no files, and not what a face is
wanted for. The weights are those of PyPI `mtcnn` 1.0.0, whose own cascade is not used: see `pyramid`.

Candidates are one float32 array (n, 5): x1, y1, x2, y2, face probability; in pixels of the picture that is searched.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from face_server.config import DetectionConfig
from face_server.types import BoundingBox, DetectedFace, FloatArray, RgbImage
from face_server.vision.runtime import Network

#: P-Net looks through a window of 12 px that moves by 2 px, R-Net sees 24 px, O-Net 48 px (the paper, figure 2).
CELL_PX, STRIDE_PX, RNET_PX, ONET_PX = 12, 2, 24, 48
#: The most two candidates may overlap and both stay: within a level, across levels, after R-Net, and after O-Net as a
#: share of the smaller box (the authors' implementation, and `mtcnn` 1.0.0).
LEVEL_OVERLAP, PYRAMID_OVERLAP, RNET_OVERLAP, ONET_OVERLAP = 0.5, 0.7, 0.7, 0.7
#: Crops in one call of R- or O-Net: bounds memory (the first layer of O-Net needs 70 MB for 256 crops).
BATCH = 256
#: The most probable candidates that suppression looks at. Photographs of people have under 2,000; a picture made to
#: cost time must not, as all pairs are compared (40 ms). Even a picture tiled with 2,500 faces still gives all of them.
MAX_CANDIDATES = 4096
#: Rows of the table of pairs that exist at once: bounds memory to some MB.
BLOCK = 256


class Detector(Protocol):
    """Finds faces in a picture."""

    def detect(self, image: RgbImage, min_face_px: int | None = None) -> tuple[DetectedFace, ...]:
        """Faces of an RGB picture (height, width, 3) uint8, largest first, in its pixels; () when there is none.

        min_face_px: look for smaller (or only for larger) faces than configured.
        """
        ...


class MtcnnDetector:
    """P-Net proposes over a pyramid, R-Net refines, O-Net decides and locates landmarks. May be shared by threads.

    networks: P-, R- and O-Net as `runtime.load_mtcnn` gives them.
    """

    def __init__(self, networks: tuple[Network, Network, Network], config: DetectionConfig) -> None:
        self._pnet, self._rnet, self._onet = networks
        self._config = config
        # OpenCV shrinks on one thread but lets go of the interpreter while it does.
        self._pool = ThreadPoolExecutor(os.cpu_count(), "pyramid")

    def detect(self, image: RgbImage, min_face_px: int | None = None) -> tuple[DetectedFace, ...]:
        """Faces of an RGB picture (height, width, 3) uint8, largest first; boxes may reach past its edge.

        A picture whose longest side exceeds `max_side_px` is searched shrunk to it. min_face_px (the configured one by
        default) counts pixels of the searched picture, so the two together bound what one picture costs.
        """
        view = self.view(image)
        proposals = self.propose(view, self._config.min_face_px if min_face_px is None else min_face_px)
        found, landmarks = self.locate(view, self.refine(view, proposals))
        grown = np.divide(image.shape[1::-1], np.maximum(view.shape[1::-1], 1), dtype=np.float32)
        return _faces(found, landmarks, grown)

    def view(self, image: RgbImage) -> FloatArray:
        """What the stages search: the picture at most `max_side_px` long, as the networks were trained, -1 to 1."""
        ratio = self._config.max_side_px / max(*image.shape[:2], 1)
        if ratio < 1:
            width, height = (max(1, round(side * ratio)) for side in image.shape[1::-1])
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        return (image.astype(np.float32) - np.float32(127.5)) / np.float32(128)

    def propose(self, view: FloatArray, min_face_px: int) -> FloatArray:
        """First stage, P-Net once: square candidates (n, 5) of all levels of the pyramid."""
        levels = pyramid(view.shape[1], view.shape[0], min_face_px, self._config.scale_factor)
        if not levels:
            return np.empty((0, 5), np.float32)
        offsets, probabilities = self._pnet(canvas(view, levels, self._pool)[None])
        proposed = (
            level.candidates(offsets[0], probabilities[0, :, :, 1], self._config.pnet_threshold) for level in levels
        )
        return squared(suppress(np.concatenate([suppress(c, LEVEL_OVERLAP) for c in proposed]), PYRAMID_OVERLAP))

    def refine(self, view: FloatArray, candidates: FloatArray) -> FloatArray:
        """Second stage, R-Net: fewer, better square candidates (n, 5)."""
        if not len(candidates):
            return candidates
        offsets, probabilities = _outputs(self._rnet, view, candidates, RNET_PX)
        sure = probabilities[:, 1] > self._config.rnet_threshold
        return squared(suppress(moved(candidates[sure], offsets[sure], probabilities[sure, 1]), RNET_OVERLAP))

    def locate(self, view: FloatArray, candidates: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Third stage, O-Net: faces (n, 5) and their landmarks (n, 5, 2)."""
        if not len(candidates):
            return candidates, np.empty((0, 5, 2), np.float32)
        offsets, shares, probabilities = _outputs(self._onet, view, candidates, ONET_PX)
        sure = probabilities[:, 1] > self._config.onet_threshold
        faces = moved(candidates[sure], offsets[sure], probabilities[sure, 1])
        kept = unsuppressed(faces, ONET_OVERLAP, of_smaller=True)
        return faces[kept], placed(candidates[sure], shares[sure])[kept]


class Level(NamedTuple):
    """One size of the picture: times scale; and where it lies on the canvas; pixels."""

    scale: float
    width: int
    height: int
    x: int = 0
    y: int = 0

    def candidates(self, offsets: FloatArray, probabilities: FloatArray, threshold: float) -> FloatArray:
        """Candidates (n, 5) of this level, from P-Net's answers (h', w', 4) and (h', w') for the whole canvas.

        Only windows that lie wholly in the level count; the others see its neighbour or the grey around.
        """
        rows, columns = (
            slice(at // STRIDE_PX, (at + side - CELL_PX) // STRIDE_PX + 1)
            for at, side in ((self.y, self.height), (self.x, self.width))
        )
        row, column = np.nonzero(probabilities[rows, columns] > threshold)
        # The authors' MATLAB counts pixels from 1: a window reaches from 1 to 12, and offsets are shares of 12 - 1.
        corners = STRIDE_PX * np.stack([column, row, column, row], axis=1) + [1, 1, CELL_PX, CELL_PX]
        boxes = (corners + (CELL_PX - 1) * offsets[rows, columns][row, column]) / self.scale
        return np.column_stack([boxes, probabilities[rows, columns][row, column]]).astype(np.float32)


def pyramid(width: int, height: int, min_face_px: int, factor: float) -> tuple[Level, ...]:
    """Sizes of a picture at which faces of min_face_px and larger fill P-Net's window, packed onto one canvas.

    Level k is the picture times 12 / min_face_px * factor^k, down to the last whose shorter side P-Net can still take.
    `mtcnn` 1.0.0 counts its levels without regard to min_face_px: from about 30 px on its last ones are smaller than
    P-Net's window, TensorFlow refuses them, and it answers "no faces" whatever the picture shows.
    """
    levels = []
    # At most 1: enlarging a picture adds no detail, only cost.
    scale = min(1.0, CELL_PX / max(min_face_px, 1))
    while min(width, height) * scale >= CELL_PX:
        levels.append(Level(scale, int(width * scale), int(height * scale)))
        scale *= factor
    return tuple(_packed(levels))


def _packed(levels: list[Level]) -> Iterator[Level]:
    """Levels on one canvas as wide as the first, at even pixels so that P-Net's stride fits.

    One call of P-Net instead of ten: what a small level costs is the call, not its pixels. Each level takes the first
    free rectangle that it fits in and leaves two, the one beside it and the one below (guillotine packing).
    """
    free = [(0, 0, levels[0].width if levels else 0, sys.maxsize)]
    for level in levels:
        width, height = (side + side % STRIDE_PX for side in (level.width, level.height))
        # The last rectangle is bounded by nothing below, so every level fits somewhere.
        x, y, room, depth = spot = next(f for f in free if level.width <= f[2] and height <= f[3])
        at = free.index(spot)
        free[at : at + 1] = [(x + width, y, room - width, height), (x, y + height, room, depth - height)]
        yield level._replace(x=x, y=y)


def canvas(view: FloatArray, levels: tuple[Level, ...], pool: Executor) -> FloatArray:
    """All levels of a picture in one, (height, width, 3) float32, grey between them; drawn by the threads of a pool."""
    drawn = np.zeros((max(level.y + level.height for level in levels), levels[0].width, 3), np.float32)

    def draw(level: Level) -> None:
        # Each from the whole picture: shrinking the level before instead saves 3 ms of 640x480, but smooths otherwise,
        # and a third of the faces then differ from `mtcnn` 1.0.0 by over 2 px.
        part = cv2.resize(view, (level.width, level.height), interpolation=cv2.INTER_AREA)
        drawn[level.y : level.y + level.height, level.x : level.x + level.width] = part

    # Exhausting the results raises what a thread raised.
    list(pool.map(draw, levels))
    return drawn


def _outputs(network: Network, view: FloatArray, candidates: FloatArray, side: int) -> tuple[FloatArray, ...]:
    batches = [
        network(crops(view, candidates[start : start + BATCH], side)) for start in range(0, len(candidates), BATCH)
    ]
    return tuple(np.concatenate(outputs) for outputs in zip(*batches, strict=True))


def crops(view: FloatArray, candidates: FloatArray, side: int) -> FloatArray:
    """(n, side, side, 3): bilinear samples of each box, the outermost on its edges; grey outside the picture.

    Positions are those of TensorFlow's crop_and_resize, which lays the picture's width on its w - 1 steps between
    pixels. Straight pixels would be as good, but then a quarter of large faces differ from `mtcnn` 1.0.0 by over 2 px.
    """
    height, width = view.shape[:2]
    steps = np.linspace(0, 1, side, dtype=np.float32)
    x1, y1, x2, y2 = (candidates[:, corner, None] for corner in range(4))
    columns = (x1 + steps * (x2 - x1)) * np.float32((width - 1) / width)
    rows = (y1 + steps * (y2 - y1)) * np.float32((height - 1) / height)
    # One call for all boxes, which stand below each other in one tall picture.
    x = np.repeat(columns, side, axis=0)
    y = np.repeat(rows.reshape(-1, 1), side, axis=1)
    sampled: FloatArray = cv2.remap(view, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(0, 0, 0))
    return sampled.reshape(-1, side, side, 3)


def moved(candidates: FloatArray, offsets: FloatArray, probabilities: FloatArray) -> FloatArray:
    """Candidates (n, 5) with corners moved by offsets (n, 4) in box widths and heights, and new probabilities (n,).

    A width is x2 - x1 + 1, as in training: both corner pixels belong to the box.
    """
    sizes = candidates[:, 2:4] - candidates[:, :2] + 1
    return np.column_stack([candidates[:, :4] + offsets * np.tile(sizes, 2), probabilities])


def placed(candidates: FloatArray, shares: FloatArray) -> FloatArray:
    """Landmarks (n, 5, 2) from O-Net's x1..x5, y1..y5 (n, 10), shares of the box it was shown, pixels from 1."""
    sizes = candidates[:, None, 2:4] - candidates[:, None, :2] + 1
    return shares.reshape(-1, 2, 5).transpose(0, 2, 1) * sizes + candidates[:, None, :2] - 1


def squared(candidates: FloatArray) -> FloatArray:
    """Each box grown to a square about its centre."""
    centres = (candidates[:, :2] + candidates[:, 2:4]) / 2
    halves = (candidates[:, 2:4] - candidates[:, :2]).max(axis=1, keepdims=True) / 2
    return np.column_stack([centres - halves, centres + halves, candidates[:, 4]])


def suppress(candidates: FloatArray, limit: float) -> FloatArray:
    """The candidates that `unsuppressed` keeps."""
    return candidates[unsuppressed(candidates, limit)]


def unsuppressed(candidates: FloatArray, limit: float, of_smaller: bool = False) -> NDArray[np.intp]:
    """Indices, most probable first, of the candidates that no more probable one overlaps by more than limit.

    One that is itself suppressed still suppresses, unlike in the usual greedy kind: so `mtcnn` 1.0.0 does it (10 of 81
    large faces differ otherwise), and it needs no loop over boxes. Of equals the later wins; they are no rarity, as
    float32 probabilities saturate at 1.
    """
    order = np.argsort(candidates[:, 4], kind="stable")[::-1][:MAX_CANDIDATES]
    ranked = candidates[order]
    kept = np.ones(len(order), dtype=bool)
    for start in range(0, len(order), BLOCK):
        stop = min(start + BLOCK, len(order))
        clash = overlaps(ranked[start:stop], ranked[:stop], of_smaller) > limit
        better = np.tri(stop - start, stop, start - 1, dtype=bool)
        kept[start:stop] = ~(clash & better).any(axis=1)
    return order[kept]


def overlaps(ones: FloatArray, others: FloatArray, of_smaller: bool = False) -> FloatArray:
    """(n, m): area shared by boxes (n, 4 or more) and (m, 4 or more) over that of the union or of the smaller one."""
    x1, y1, x2, y2 = (ones[:, corner, None] for corner in range(4))
    u1, v1, u2, v2 = (others[None, :, corner] for corner in range(4))
    widths, heights = np.minimum(x2, u2) - np.maximum(x1, u1), np.minimum(y2, v2) - np.maximum(y1, v1)
    shared = np.maximum(widths, 0) * np.maximum(heights, 0)
    area, other = (x2 - x1) * (y2 - y1), (u2 - u1) * (v2 - v1)
    whole = np.minimum(area, other) if of_smaller else area + other - shared
    # A box without area shares none.
    share: FloatArray = shared / np.maximum(whole, np.finfo(np.float32).tiny)
    return share


def _faces(candidates: FloatArray, landmarks: FloatArray, grown: FloatArray) -> tuple[DetectedFace, ...]:
    """What was found in the searched picture, in pixels of the given one, which is larger by grown (x, y)."""
    boxes, points = candidates[:, :4] * np.tile(grown, 2), landmarks * grown
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return tuple(_face(boxes[i], points[i], candidates[i, 4]) for i in np.argsort(-areas, kind="stable"))


def _face(box: FloatArray, points: FloatArray, probability: np.float32) -> DetectedFace:
    eye_left, eye_right, nose, mouth_left, mouth_right = ((float(x), float(y)) for x, y in points)
    landmarks = (eye_left, eye_right, nose, mouth_left, mouth_right)
    return DetectedFace(BoundingBox(*box.tolist()), landmarks, float(probability))
