"""Is it a head? When a head turns, nose, cheeks and brow move apart; a photograph, flat or bent, moves as one sheet.

Between a frame that looks straight ahead and one of the turn, every place of the face is followed by dense optical
flow. A flat sheet that is moved, tilted or brought closer moves by a homography, a sheet that is bent by little more
than a quadratic form of the place, so one is fitted to the flow. What is measured is the share of the face that moves
otherwise. Followed places and not the detector's landmarks: these were measured in a flat photograph tilted by 35
degrees, and the detector, which has learnt heads, put the nose where a head's would be.

What else moves otherwise than a sheet: a mask, a print folded along the nose, a face that talks, a film of a face.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray

from face_server.config import LivenessConfig
from face_server.liveness.challenge import Kind, Step
from face_server.liveness.evidence import Finding, Frame
from face_server.types import FloatArray

#: The patch in which faces are compared, and the height from eyes to mouth in it: a webcam at arm's length gives 85 px.
PATCH_PX, HEIGHT_PX = 192, 64.0

#: From a place there and back again the flow must end this close, else it followed nothing.
_RETURN_PX = 2.0

#: A place moves with the sheet when it is at most this far from where the sheet would be, in heights from eyes to
#: mouth. Flow on rendered photographs errs by 0.002 to 0.006.
TOLERANCE = 0.01

#: Below this share of places that could be followed, a pair of frames says nothing.
_LEAST_FOLLOWED = 0.4

#: Pairs of frames that are tried for each step, and their middle value counts.
_MOST_PAIRS = 3

_CENTRE = np.array([PATCH_PX / 2, PATCH_PX / 2])
_YS, _XS = np.mgrid[0:PATCH_PX, 0:PATCH_PX].astype(np.float32)
_PLACES = np.stack([_XS, _YS], axis=-1)
_U, _V = (_PLACES.astype(np.float64) - _CENTRE).transpose(2, 0, 1) / HEIGHT_PX
#: From brow to upper lip, cheek to cheek: not the mouth, which talks, and not the hair.
_FACE = ((_U / 0.8) ** 2 + ((_V + 0.15) / 0.8) ** 2 < 1) & (_V < 0.38)
#: Every ninth place is enough to fit twelve numbers to.
_STRIDE = 9
#: Of five landmarks, those of eyes and mouth.
_CORNERS = [0, 1, 3, 4]
_MOVEMENTS = {Kind.TURN_LEFT, Kind.TURN_RIGHT, Kind.LOOK_UP, Kind.LOOK_DOWN}

Array = NDArray[np.float64]


def check(frames: Sequence[Frame], steps: Sequence[Step], options: LivenessConfig) -> Iterator[Finding]:
    """A finding per turn of the head: the share of the face that no sheet explains, 0 where nothing was followed."""
    straight = [frame for frame in frames if frame.step == 0]
    for number, step in enumerate(steps, 1):
        if step.kind not in _MOVEMENTS:
            continue
        turned = [frame for frame in frames if frame.step == number]
        value = relief(straight, turned)
        yield Finding("relief", value >= options.least_relief, value, options.least_relief, number)


def relief(straight: Sequence[Frame], turned: Sequence[Frame]) -> float:
    """The middle of what the first few pairs of frames that can be compared show; 0 where none can."""
    values: list[float] = []
    # The nearest in time first: the last that looked straight, the first of the step.
    for one, two in sorted(product(enumerate(straight[::-1]), enumerate(turned)), key=lambda pair: _apart(pair)):
        value = unexplained(one[1], two[1])
        if value is not None:
            values.append(value)
        if len(values) == _MOST_PAIRS:
            break
    return float(np.median(values)) if values else 0.0


def unexplained(one: Frame, two: Frame) -> float | None:
    """The share 0..1 of a face whose motion between two frames no sheet explains; None: too little was followed."""
    flow, followed = _motion(one, two)
    seen = _FACE & followed
    if seen.sum() < _LEAST_FOLLOWED * _FACE.sum():
        return None
    places = _PLACES[seen][::_STRIDE].astype(np.float64)
    moved = flow[seen][::_STRIDE].astype(np.float64)
    return float((_off_the_sheet(places, moved) > TOLERANCE).mean())


def _apart(pair: tuple[tuple[int, Frame], tuple[int, Frame]]) -> tuple[int, int]:
    (before, _), (after, _) = pair
    return max(before, after), before + after


def _motion(one: Frame, two: Frame) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Flow (PATCH_PX, PATCH_PX, 2) in pixels from the first frame's patch to the second's; where it can be trusted."""
    first, second = (_patch(frame, _framed(one, frame)) for frame in (one, two))
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    there = estimator.calc(first, second, None)
    back = estimator.calc(second, first, None)
    returned = there + cv2.remap(back, _XS + there[..., 0], _YS + there[..., 1], cv2.INTER_LINEAR)
    return there, np.linalg.norm(returned, axis=-1) < _RETURN_PX


def _framed(one: Frame, frame: Frame) -> Array:
    """The affine map (2, 3) of a frame's pixels to the patch of the first: upright, eyes and mouth around its middle.

    The second is laid on the first by what both have in eyes and mouth, so that the flow has little left to find. An
    affine map on top of a sheet's motion is a sheet's motion still.
    """
    points = np.asarray(one.face.landmarks, dtype=np.float64)
    across = points[1] - points[0]
    down = (points[3] + points[4] - points[0] - points[1]) / 2
    scale = HEIGHT_PX / max(float(np.linalg.norm(down)), 1.0)
    roll = float(np.arctan2(across[1], across[0]))
    turn = scale * np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
    corners = points[_CORNERS]
    placed = (corners - corners.mean(axis=0)) @ turn.T + _CENTRE
    own = np.asarray(frame.face.landmarks, dtype=np.float64)[_CORNERS]
    fitted: Array = np.linalg.lstsq(np.column_stack([own, np.ones(4)]), placed, rcond=None)[0].T
    return fitted


def _patch(frame: Frame, matrix: Array) -> NDArray[np.uint8]:
    """The patch (PATCH_PX, PATCH_PX) in grey, its contrast evened out."""
    grey = cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY)
    patch = cv2.warpAffine(grey, matrix, (PATCH_PX, PATCH_PX), flags=cv2.INTER_LINEAR)
    evened: NDArray[np.uint8] = cv2.createCLAHE(2.0, (4, 4)).apply(patch)
    return evened


def _off_the_sheet(places: Array, moved: Array) -> Array:
    """How far each place (n, 2) moves otherwise than the sheet that most of them lie on, in heights from eyes to mouth.

    Least squares with Cauchy's weights, so that a nose does not bend the sheet.
    """
    x, y = ((places - _CENTRE) / HEIGHT_PX).T
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
    weights = np.ones(len(terms))
    for _ in range(12):
        weighted = terms * weights[:, None]
        coefficients = np.linalg.lstsq(weighted.T @ terms, weighted.T @ moved, rcond=None)[0]
        off: Array = np.linalg.norm(moved - terms @ coefficients, axis=1) / HEIGHT_PX
        weights = 1 / (1 + (off / TOLERANCE) ** 2)
    return off
