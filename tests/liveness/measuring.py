"""What the limits of [liveness] rest on: `cd tests && ../.venv/bin/python -m liveness.measuring`. Needs shared/data.

Relief of drawn surfaces that turn, and of every filmed movement; the passive network's scores on photographs of real
people and on filmed faces that look ahead. Some six minutes; `python -m liveness.fetching` first, for all the films.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from daemons import ROOT
from liveness.attacks.attempt import decoded, jpeg
from liveness.attacks.footage import Clip, clips
from liveness.fetching import FILMS
from liveness.surfaces import bent, flat, frames, head
from tqdm import tqdm

from face_server.assembly import PASSIVE_MODEL, assemble_pipeline
from face_server.config import load_config
from face_server.errors import WireError
from face_server.liveness.challenge import Kind
from face_server.liveness.evidence import Frame
from face_server.liveness.relief import relief
from face_server.liveness.texture import PassiveNetwork
from face_server.models import verified_files
from face_server.types import DetectedFace, RgbImage
from face_server.vision.imaging import decode
from face_server.vision.pipeline import FacePipeline, Purpose

DATA = ROOT.parent / "shared" / "data"
#: (yaw, pitch) in degrees.
POSES = [(15, 0), (20, 0), (30, 0), (-25, 0), (40, 0), (0, 18), (0, -18)]
SURFACES = {
    "head": head,
    "flat": flat,
    "bent, 160 mm": bent(2.5),
    "bent, 100 mm": bent(1.6),
    "bent, 63 mm": bent(1),
}
#: Draws of three frames from each filmed movement.
DRAWS = 10


def told(name: str, values: Sequence[float], quantiles: Iterable[float] = (0, 0.5, 1)) -> None:
    shown = "  ".join(f"{value:.3f}" for value in np.quantile(values, list(quantiles)))
    print(f"{name:44} {len(values):5d}  {shown}", flush=True)  # noqa: T201


def drawn() -> None:
    """Relief of surfaces whose every motion is known."""
    for name, surface in SURFACES.items():
        values = []
        for pose, seed in product(POSES, range(3)):
            seen = frames(surface, [(0, 0), pose], seed)
            values.append(relief(seen[:3], seen[3:]))
        told(f"relief, drawn: {name}", values)


def filmed(films: Sequence[Clip]) -> None:
    """Relief of each filmed turn and nod: three frames before it against three of its end."""
    rng = np.random.default_rng(0)
    for clip in films:
        for move in clip.moves:
            if move.kind is Kind.COME_CLOSER:
                continue
            values = [relief(_three(clip, move.ahead, rng), _three(clip, move.way, rng)) for _ in range(DRAWS)]
            told(f"relief, {clip.person}: {move.kind.value} {move.way[0]}", values)


def _three(clip: Clip, ends: tuple[int, int], rng: np.random.Generator) -> list[Frame]:
    return [
        Frame(clip.frames[at], clip.faces[at], np.zeros(1, np.float32), 0, str(at)) for at in clip.between(ends, 3, rng)
    ]


def looked_at(films: Sequence[Clip], pipeline: FacePipeline, network: PassiveNetwork) -> None:
    """The passive network's scores: of each film's faces that look ahead, the middle of three, then of photographs."""
    rng = np.random.default_rng(0)
    for clip in films:
        threes = [_three(clip, move.ahead, rng) for move in clip.moves for _ in range(DRAWS)]
        for name, noise in (("", 0.0), (", noise of 2 grey levels", 2.0)):
            values = [
                np.median([network(decoded(jpeg(one.image, rng, 88, noise)), one.face) for one in three])
                for three in threes
            ]
            told(f"passive, {clip.person}{name}", values)
    print("photographs: least, a hundredth, a twentieth, a quarter, middle")  # noqa: T201
    for name, folders in (("lfw-dev", ["lfw-dev/images"]), ("portraits and probes", ["portraits", "probes"])):
        values = [network(image, face) for image, face in _usable([DATA / folder for folder in folders], pipeline)]
        told(f"passive, {name}", values, (0, 0.01, 0.05, 0.25, 0.5))
        for least in (0.001, 0.002, 0.005, 0.05, 0.1):
            print(f"  below {least}: {sum(value < least for value in values)} of {len(values)}")  # noqa: T201


def _usable(folders: Sequence[Path], pipeline: FacePipeline) -> Iterator[tuple[RgbImage, DetectedFace]]:
    """Photographs that show one face, as a search needs it."""
    cap = load_config(ROOT / "config.ini").imaging.max_image_pixels
    paths = sorted(path for folder in folders for path in folder.rglob("*") if path.suffix in (".jpg", ".jpeg", ".png"))
    for path in tqdm(paths, disable=None):
        data = path.read_bytes()
        try:
            yield decode(data, cap), pipeline.choose(pipeline.decode(data), Purpose.SEARCH)
        except WireError:
            continue


def main() -> None:
    """Print all of it."""
    drawn()
    pipeline = assemble_pipeline(load_config(ROOT / "config.ini"))
    films = clips(DATA, pipeline.detector.detect, ROOT / "var" / "cache" / "footage", FILMS)
    filmed(films)
    looked_at(films, pipeline, PassiveNetwork(*verified_files(ROOT / "models", PASSIVE_MODEL)))


if __name__ == "__main__":
    main()
