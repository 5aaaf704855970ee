"""A measured verification for people: lines for the terminal, JSON, plots, and one HTML file that needs no other.

The only module that knows jinja2. Everything is made before anything is written, and report.html comes last, so a
directory without it holds no whole report; the report of an earlier run is taken away first.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import jinja2

from face_server.errors import EvaluationError
from face_server.evaluation import plots
from face_server.evaluation.embeddings import Acquired, read_image
from face_server.evaluation.folders import Photo, printable
from face_server.evaluation.verification import Photos, Verification, WorstPair
from face_server.types import BoundingBox, RgbImage
from face_server.vision.imaging import decode

METHODS = {
    "accuracy": "mean over the folds, each with the threshold that answers most pairs of the other folds rightly;"
    " standard error = standard deviation (n - 1) of the folds / root of their number (LFW, view 2)",
    "rates": "all pairs of acquired photos; the threshold is the lowest whose FMR is at most the stated one",
    "interval": "95 %, Wilson's score interval (Wilson 1927), as if comparisons were independent",
    "people_interval": "95 %, percentiles of the subsets bootstrap over people, threshold included (Bolle, Ratha and"
    " Pankanti 2004)",
    "supported": "at least 30 errors on both sides (rule of 30, Doddington et al. 2000)",
}
#: Side of a face's picture in the report, and the share of the face's longer side shown around it.
_SIDE_PX, _MARGIN = 144, 0.45
#: Photos not acquired that are named.
_NAMED = 50


def as_json(result: Verification, about: dict[str, Any]) -> dict[str, Any]:
    """Everything that was measured, JSON-able; `about` says of what."""
    accuracy = result.accuracy
    return {
        **about,
        "people": result.people,
        "photos": photos_json(result.photos),
        "accuracy": {
            "mean": accuracy.mean,
            "standard_error": accuracy.standard_error,
            "pairs": accuracy.trials,
            "unanswered_pairs": result.unanswered,
            "folds": [
                {"accuracy": share, "threshold": threshold}
                for share, threshold in zip(accuracy.folds, accuracy.thresholds, strict=True)
            ],
        },
        "comparisons": {"mated": len(result.rates.mated), "nonmated": len(result.rates.nonmated)},
        "rates": [point.as_json() for point in result.points],
        "curve": [list(step) for step in result.curve],
        "worst_false_matches": [_pair_json(pair) for pair in result.false_matches],
        "worst_false_non_matches": [_pair_json(pair) for pair in result.false_non_matches],
        "methods": METHODS,
    }


def photos_json(photos: Photos) -> dict[str, Any]:
    """Counts of photos: failures to acquire, and apart from them what the daemon would refuse."""
    failed = _failed(photos)
    return {
        "total": len(photos.photos),
        "failures_to_acquire": photos.failures.as_json() | {"reasons": dict(photos.failure_reasons), "photos": failed},
        "refused_by_the_daemon": dict(photos.refusals),
        "identical_files": photos.identical,
    }


def lines(result: Verification) -> list[str]:
    """What the terminal shows."""
    accuracy = result.accuracy
    told = [
        *photo_lines(result.photos, f"{result.people} people"),
        f"accuracy     {accuracy.mean:.4f} +- {accuracy.standard_error:.4f} ({accuracy.trials} pairs in"
        f" {len(accuracy.folds)} folds, {result.unanswered} unanswered)",
        f"comparisons  {len(result.rates.mated)} mated, {len(result.rates.nonmated)} non-mated",
        "FMR      threshold  FNMR    95 % by people    95 % binomial     errors (non-mated / mated)",
    ]
    return told + [point_line(point) for point in result.points]


def photo_lines(photos: Photos, of: str) -> list[str]:
    """How many photos there are, of whom, and what became of them."""
    failures = photos.failures
    refusals = ", ".join(f"{count} {code}" for code, count in photos.refusals.most_common()) or "none"
    reasons = "".join(f", {count} {code}" for code, count in photos.failure_reasons.most_common())
    return [
        f"photos       {len(photos.photos)} of {of}"
        + (f", {photos.identical} of them copies of another" if photos.identical else ""),
        f"FTA          {failures.share:.4f} ({failures.errors} of {failures.trials}{reasons})",
        f"refusals     {refusals} (what the daemon would not search with; evaluated all the same)",
    ]


def point_line(point: Any) -> str:
    """One operating point, as a row."""
    (a, b), (c, d) = point.people_interval, point.missed.interval()
    mark = f"  NOT SUPPORTED: {point.doubt}" if point.doubt else ""
    return (
        f"{point.target:<8.0e} {point.threshold:9.4f}  {point.missed.share:.4f}  {a:.4f} to {b:.4f}  {c:.4f} to {d:.4f}"
        f"  {point.accepted.errors} / {point.missed.errors} of {point.missed.trials}{mark}"
    )


def prepare(directory: Path) -> None:
    """Make the directory and take an earlier report away. Raises EvaluationError, before hours are spent."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "report.html").unlink(missing_ok=True)
    except OSError as error:
        raise EvaluationError(f"the report {printable(directory)} cannot be written: {error.strerror}") from error


def write_report(directory: Path, result: Verification, about: dict[str, Any], max_pixels: int) -> Path:
    """Write det.png, scores.png, result.json and report.html; returns the last. Raises EvaluationError."""
    told = as_json(result, about)
    det = plots.det_plot(result.rates, result.points, result.band)
    scores = plots.histogram(result.rates, result.points)
    pictures = _Pictures(result.photos, max_pixels)
    html = rendered(
        "verification.html",
        told=told,
        result=result,
        det=data_uri("image/png", det),
        scores=data_uri("image/png", scores),
        false_matches=pictures.shown(result.false_matches),
        false_non_matches=pictures.shown(result.false_non_matches),
        failed=_failed(result.photos),
    )
    content = {
        "det.png": det,
        "scores.png": scores,
        "result.json": (json.dumps(told, indent=1, ensure_ascii=False) + "\n").encode(),
        "report.html": html.encode(),
    }
    prepare(directory)
    for name, data in content.items():
        write_file(directory / name, data)
    return directory / "report.html"


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all. Raises EvaluationError."""
    draft = path.with_name(f"{path.name}.part")
    try:
        draft.write_bytes(data)
        draft.replace(path)
    except OSError as error:
        raise EvaluationError(f"{printable(path)} cannot be written: {error.strerror}") from error


def rendered(template: str, **values: Any) -> str:
    """One of the templates of this package with these values, which are escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("face_server.evaluation"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values).strip() + "\n"


class _Pictures:
    """The faces of pairs as small pictures."""

    def __init__(self, photos: Photos, max_pixels: int) -> None:
        self._acquired: dict[Photo, Acquired] = dict(zip(photos.photos, photos.acquired, strict=True))
        self._max_pixels = max_pixels

    def shown(self, pairs: Sequence[WorstPair]) -> list[dict[str, Any]]:
        """Both photos of each pair (name and picture) and the score."""
        return [
            {
                "score": pair.score,
                "photos": [(photo.shown, self._picture(photo)) for photo in (pair.first, pair.second)],
            }
            for pair in pairs
        ]

    def _picture(self, photo: Photo) -> str:
        image = decode(read_image(photo.path), self._max_pixels)
        face = self._acquired[photo].face
        part = image if face is None else _around(image, face.box)
        small = cv2.resize(part, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA)
        done, jpeg = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
        if not done:
            raise EvaluationError(f"OpenCV could not write the picture of {photo.shown}")
        return data_uri("image/jpeg", bytes(jpeg))


def _around(image: RgbImage, box: BoundingBox) -> RgbImage:
    """The square around a face, continued at the picture's edges by their colours."""
    side = max(8, round((1 + 2 * _MARGIN) * max(box.width, box.height)))
    left, top = round((box.x1 + box.x2 - side) / 2), round((box.y1 + box.y2 - side) / 2)
    height, width = image.shape[:2]
    before, after = (max(0, -top), max(0, -left)), (max(0, top + side - height), max(0, left + side - width))
    padded = cv2.copyMakeBorder(image, before[0], after[0], before[1], after[1], cv2.BORDER_REPLICATE)
    top, left = top + before[0], left + before[1]
    square: RgbImage = padded[top : top + side, left : left + side]
    return square


def _failed(photos: Photos) -> list[dict[str, str]]:
    both = zip(photos.photos, photos.acquired, strict=True)
    return [{"photo": photo.shown, "reason": one.failure} for photo, one in both if one.failure][:_NAMED]


def _pair_json(pair: WorstPair) -> dict[str, Any]:
    return {"photos": [pair.first.shown, pair.second.shown], "score": pair.score}


def data_uri(kind: str, data: bytes) -> str:
    """A file's bytes as an address that holds them."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
