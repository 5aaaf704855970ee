"""Do the quality checks refuse what would fail, and what does brightening win? Prints the tables of the README.

    python -m face_server.evaluation.quality --images DIR [--people N]

DIR holds one folder of photographs per person. The face nearest the centre counts, as is LFW's convention. FNMR is the
share of mated comparisons below the threshold, FMR that of others that reach it.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from face_server.assembly import assemble_calibration, assemble_pipeline
from face_server.config import Config, load_config
from face_server.errors import PersonError
from face_server.evaluation import degrading
from face_server.types import BoundingBox, DetectedFace, FloatArray, RgbImage
from face_server.vision import imaging, lighting, quality
from face_server.vision.pipeline import FacePipeline, Purpose
from face_server.vision.quality import Limits

#: What counts as a match where none is given: the score of this rate by the network's calibration.
_FMR = 1e-4

#: Mean greys of the darkened copies: dim, and so dark that one cannot read.
_DARK_MEANS = (30, 18)

#: Degraded copies show small faces that the daemon does not look for.
_MIN_FACE_PX = 16

Correction = Callable[[RgbImage], RgbImage]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One photograph: whose it is, its face and what was measured of it, by the names of the limits."""

    person: str
    path: Path
    box: BoundingBox
    vector: FloatArray
    measured: dict[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """One copy: its person, its vector or None when no face was found, the score with its mate, refusals by purpose."""

    person: str
    vector: FloatArray | None
    score: float
    refusals: dict[Purpose, str]


def main() -> None:
    """Print all tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True, help="one folder of photographs per person")
    parser.add_argument("--config", type=Path, default=Path("config.ini"))
    parser.add_argument("--people", type=int, default=0, help="so many people only; 0 takes all")
    parser.add_argument("--copies", type=int, default=150, help="people of whom worse copies are made")
    parser.add_argument("--threshold", type=float, help="cosine similarity of a match (else of FMR 1e-4)")
    options = parser.parse_args()
    config = load_config(options.config)
    pipeline = assemble_pipeline(config)
    study = Study(pipeline, config, options.threshold or _threshold(config, pipeline))
    study.acquire(_photographs(options.images, options.people))
    for lines in (study.natural(), study.degraded(options.copies), study.dark(options.copies)):
        sys.stdout.write("".join(f"{line}\n" for line in (*lines, "")))


def _threshold(config: Config, pipeline: FacePipeline) -> float:
    calibration = assemble_calibration(config, pipeline.fingerprint)
    if calibration is None:
        raise SystemExit("there is no calibration for this network: state a --threshold")
    return calibration.threshold(_FMR, 1, 1)


class Study:
    """The photographs of a folder, and the tables made of them."""

    def __init__(self, pipeline: FacePipeline, config: Config, threshold: float) -> None:
        self._pipeline, self._config, self._threshold = pipeline, config, threshold
        self._limits = {purpose: Limits.of(config.quality, purpose.value) for purpose in Purpose}
        self._samples: list[Sample] = []

    def acquire(self, paths: Sequence[Path]) -> None:
        """Find, measure and embed the face of every photograph; those without one are left out."""
        for path in tqdm(paths, desc="photographs"):
            given = self._given(path)
            image = lighting.brightened(given, self._config.imaging.low_light_luminance)
            height, width = image.shape[:2]
            face = self._find(image, (width / 2, height / 2), None)
            if face is not None:
                vector = self._pipeline.embed(self._pipeline.crop(image, face))
                self._samples.append(Sample(path.parent.name, path, face.box, vector, _measured(given, face)))

    def natural(self) -> Iterator[str]:
        """Of each limit: what share of the photographs it refuses, FNMR of their comparisons and of the rest."""
        firsts, seconds = self._mates()
        vectors = np.array([sample.vector for sample in self._samples])
        fails = (vectors[firsts] * vectors[seconds]).sum(axis=1) < self._threshold
        yield f"{len(self._samples)} photographs, {len(fails)} mated comparisons, FNMR {fails.mean():.3f}\n"
        yield "| limit | value | photographs refused | FNMR with a refused one (comparisons) | FNMR of the rest |"
        yield "|---|---|---|---|---|"
        for purpose in Purpose:
            every = np.zeros(len(self._samples), bool)
            for name in self._samples[0].measured:
                limit = getattr(self._limits[purpose], name)
                values = np.array([sample.measured[name] for sample in self._samples])
                refused = values < limit if name.startswith("min") else values > limit
                every |= refused
                yield self._row(f"`{purpose.value}_{name}`", f"{limit:g}", refused, fails, firsts, seconds)
            yield self._row(f"any, {purpose.value}", "", every, fails, firsts, seconds)

    def degraded(self, copies: int) -> Iterator[str]:
        """Of each way to be worse: FTA, FNMR, FMR, and the share refused for its reason and for any."""
        yield "| worse copies | no face found | FNMR | enrol: its reason (any) | search: its reason (any) |"
        yield "|---|---|---|---|---|"
        pairs = self._pairs(copies)
        ways = [("none", "as they are", _unchanged), *degrading.degradations()]
        for reason, name, degrade in tqdm(ways, desc="worse copies"):
            outcomes = [self._copy(probe, mate, degrade) for probe, mate in pairs]
            refused = " | ".join(_refused(outcomes, purpose, reason) for purpose in Purpose)
            yield f"| {name} ({reason}) | {_fta(outcomes):.1%} | {self._fnmr(outcomes):.3f} | {refused} |"

    def dark(self, copies: int) -> Iterator[str]:
        """Of each correction, of each darkness: FTA, FNMR with and without those, FMR."""
        yield "| mean grey | correction | no face found | FNMR | not matched in all | FMR at this threshold |"
        yield "|---|---|---|---|---|---|"
        pairs = self._pairs(copies)
        for mean, noisy in ((m, n) for m in _DARK_MEANS for n in (True, False)):
            dark = [
                degrading.darkened(self._given(probe.path), mean, number, noisy)
                for number, (probe, _) in enumerate(tqdm(pairs, desc=f"darkening to {mean}"))
            ]
            for name, seen, embedded in tqdm(_corrections(), desc=f"corrections at {mean}"):
                outcomes = [
                    self._outcome(seen(image), embedded(image), degrading.middle(probe.box), probe, mate)
                    for image, (probe, mate) in zip(dark, pairs, strict=True)
                ]
                lost = np.mean([outcome.score < self._threshold for outcome in outcomes])
                yield (
                    f"| {mean}{', noisy' if noisy else ', no noise'} | {name} | {_fta(outcomes):.1%} |"
                    f" {self._fnmr(outcomes):.3f} | {lost:.3f} | {self._fmr(outcomes):.1e} |"
                )

    def _copy(self, probe: Sample, mate: Sample, degrade: degrading.Degrade) -> Outcome:
        given, centre = degrade(self._given(probe.path), probe.box)
        image = lighting.brightened(given, self._config.imaging.low_light_luminance)
        return self._outcome(image, image, centre, probe, mate, given)

    def _outcome(
        self,
        seen: RgbImage,
        embedded: RgbImage,
        centre: tuple[float, float],
        probe: Sample,
        mate: Sample,
        given: RgbImage | None = None,
    ) -> Outcome:
        face = self._find(seen, centre, None if given is None else _MIN_FACE_PX)
        if face is None:
            return Outcome(probe.person, None, -1.0, {})
        refusals = {} if given is None else {purpose: self._refusal(given, face, purpose) for purpose in Purpose}
        vector = self._pipeline.embed(self._pipeline.crop(embedded, face))
        return Outcome(probe.person, vector, float(vector @ mate.vector), refusals)

    def _refusal(self, given: RgbImage, face: DetectedFace, purpose: Purpose) -> str:
        try:
            self._pipeline.assess(given, face, purpose)
        except PersonError as error:
            return error.code
        return ""

    def _find(self, image: RgbImage, centre: tuple[float, float], min_face_px: int | None) -> DetectedFace | None:
        """The face nearest a point, if it is a face there and not one beside it."""
        found = [
            (abs(x - centre[0]) + abs(y - centre[1]), face)
            for face in self._pipeline.detector.detect(image, min_face_px=min_face_px)
            for x, y in [degrading.middle(face.box)]
        ]
        distance, face = min(found, key=lambda one: one[0], default=(0.0, None))
        return face if face is not None and distance < max(face.box.width, face.box.height) else None

    def _given(self, path: Path) -> RgbImage:
        return imaging.decode(path.read_bytes(), self._config.imaging.max_image_pixels)

    def _mates(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        people = np.array([sample.person for sample in self._samples])
        firsts, seconds = np.nonzero(np.triu(people[:, None] == people[None], 1))
        return firsts, seconds

    def _pairs(self, count: int) -> list[tuple[Sample, Sample]]:
        """(probe, mate): two photographs of each of so many people, the same at every call."""
        of: dict[str, list[Sample]] = {}
        for sample in self._samples:
            of.setdefault(sample.person, []).append(sample)
        chosen = random.Random(1)
        people = [samples for samples in of.values() if len(samples) > 1]
        chosen.shuffle(people)
        return [(pair[0], pair[1]) for pair in (chosen.sample(samples, 2) for samples in people[:count])]

    def _fnmr(self, outcomes: Sequence[Outcome]) -> float:
        found = [outcome.score < self._threshold for outcome in outcomes if outcome.vector is not None]
        return float(np.mean(found)) if found else float("nan")

    def _fmr(self, outcomes: Sequence[Outcome]) -> float:
        vectors = np.array([sample.vector for sample in self._samples])
        people = np.array([sample.person for sample in self._samples])
        scores = [vectors[people != o.person] @ o.vector for o in outcomes if o.vector is not None]
        return float((np.concatenate(scores) >= self._threshold).mean()) if scores else float("nan")

    def _row(
        self,
        name: str,
        limit: str,
        refused: NDArray[np.bool_],
        fails: NDArray[np.bool_],
        firsts: NDArray[np.intp],
        seconds: NDArray[np.intp],
    ) -> str:
        touched = refused[firsts] | refused[seconds]
        worse = f"{fails[touched].mean():.2f} ({touched.sum()})" if touched.any() else "(none)"
        share = f"{refused.mean():.2%} ({refused.sum()})"
        return f"| {name} | {limit} | {share} | {worse} | {fails[~touched].mean():.4f} |"


def _photographs(directory: Path, people: int) -> list[Path]:
    folders = sorted(folder for folder in directory.iterdir() if folder.is_dir())
    random.Random(0).shuffle(folders)
    return [path for folder in folders[: people or None] for path in sorted(folder.iterdir())]


def _measured(given: RgbImage, face: DetectedFace) -> dict[str, float]:
    crop = quality.measuring_crop(given, face)
    measured = quality.measure(face, crop)
    return {
        "min_face_px": measured.face_px,
        "max_cut_off": quality.cut_off(face, given.shape[1], given.shape[0]),
        "min_luminance": measured.luminance,
        "max_overexposed": quality.overexposed(crop),
        "max_yaw": abs(measured.yaw),
        "max_pitch": abs(measured.pitch - quality.STRAIGHT_PITCH),
        "max_roll": abs(measured.roll),
        "min_sharpness": measured.sharpness,
    }


def _corrections() -> list[tuple[str, Correction, Correction]]:
    """(name, for detection, for the embedding)."""

    def none(image: RgbImage) -> RgbImage:
        return image

    def shipped(image: RgbImage) -> RgbImage:
        return lighting.brightened(image, 255)

    whole: list[tuple[str, Correction]] = [
        ("none", none),
        ("each of R, G, B equalised", degrading.equalised_channels),
        ("luminance equalised", degrading.equalised_luminance),
        ("CLAHE on luminance", degrading.clahe),
        ("gamma to mean 90", degrading.gamma_stretched),
        ("gain", degrading.gained),
        ("**gain, smoothed by the noise** (shipped)", shipped),
    ]
    return [
        *((name, correct, correct) for name, correct in whole),
        ("R, G, B equalised for detection only", degrading.equalised_channels, none),
        ("R, G, B equalised for detection, shipped for the vector", degrading.equalised_channels, shipped),
        ("shipped for detection only", shipped, none),
    ]


def _unchanged(image: RgbImage, box: BoundingBox) -> tuple[RgbImage, tuple[float, float]]:
    return image, degrading.middle(box)


def _fta(outcomes: Sequence[Outcome]) -> float:
    return float(np.mean([outcome.vector is None for outcome in outcomes]))


def _refused(outcomes: Sequence[Outcome], purpose: Purpose, reason: str) -> str:
    codes = [outcome.refusals[purpose] for outcome in outcomes if outcome.refusals]
    if not codes:
        return "-"
    return f"{np.mean([code == reason for code in codes]):.0%} ({np.mean([code != '' for code in codes]):.0%})"


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    main()
