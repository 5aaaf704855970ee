"""What the limits of [liveness] rest on: `cd tests && ../.venv/bin/python -m liveness.measuring [VIDEO LFW]`.

Relief of drawn surfaces, and of the filmed man, turned and not; scores of the passive network on each frame of the film
and on every tenth photograph of lfw-dev.
"""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import numpy as np
from daemons import ROOT
from liveness.film import frames as film_frames
from liveness.surfaces import bent, flat, frames, head
from tqdm import tqdm

from face_server.assembly import PASSIVE_MODEL, assemble_pipeline
from face_server.config import load_config
from face_server.errors import WireError
from face_server.liveness.evidence import Frame
from face_server.liveness.relief import relief
from face_server.liveness.texture import PassiveNetwork
from face_server.models import verified_files
from face_server.vision.pipeline import Sighting

#: (yaw, pitch) in degrees.
POSES = [(15, 0), (20, 0), (30, 0), (-25, 0), (40, 0), (0, 18), (0, -18)]
#: Frames of the film: the man looks ahead, then has moved.
MOVEMENTS = {
    "turn, a second's worth": (range(120, 129), range(135, 148)),
    "slight turn": (range(96, 107), range(112, 119)),
    "from one side to the other": (range(139, 148), range(112, 119)),
    "looking down": (range(34, 44), range(48, 56)),
    "looking far down, blurred": (range(60, 72), range(78, 88)),
    "no turn, the camera moves": (range(0, 8), range(10, 20)),
    "no turn": (range(55, 62), range(62, 70)),
}


def told(name: str, values: list[float]) -> None:
    low, middle, high = np.quantile(values, [0, 0.5, 1])
    print(f"{name:40} {len(values):4d}  {low:.3f}  {middle:.3f}  {high:.3f}")  # noqa: T201


def drawn() -> None:
    surfaces = {
        "head": head,
        "flat": flat,
        "bent, 160 mm": bent(2.5),
        "bent, 100 mm": bent(1.6),
        "bent, 63 mm": bent(1),
    }
    for name, surface in surfaces.items():
        values = []
        for pose, seed in product(POSES, range(3)):
            seen = frames(surface, [(0, 0), pose], seed)
            values.append(relief(seen[:3], seen[3:]))
        told(f"relief, drawn: {name}", values)


def filmed(seen: list[Sighting]) -> None:
    rng = np.random.default_rng(0)
    for name, (ahead, moved) in MOVEMENTS.items():
        values = []
        for _ in range(20):
            one, two = (
                [_frame(seen[at]) for at in sorted(rng.choice(list(part), 3, replace=False))] for part in (ahead, moved)
            )
            values.append(relief(one, two))
        told(f"relief, filmed: {name}", values)


def _frame(seen: Sighting) -> Frame:
    return Frame(seen.given, seen.face, seen.vector, 0, seen.sha256)


def main() -> None:
    drawn()
    if len(sys.argv) < 3:
        return
    video, lfw = map(Path, sys.argv[1:3])
    pipeline = assemble_pipeline(load_config(ROOT / "config.ini"))
    network = PassiveNetwork(*verified_files(ROOT / "models", PASSIVE_MODEL))
    film = [pipeline.sight(each) for each in tqdm(film_frames(video), disable=None)]
    filmed(film)
    told("passive, film", [network(each.given, each.face) for each in film])
    scores = []
    for path in tqdm(sorted(lfw.rglob("*.jpg"))[::10], disable=None):
        try:
            seen = pipeline.sight(path.read_bytes())
        except WireError:
            continue
        scores.append(network(seen.given, seen.face))
    told("passive, lfw-dev", scores)
    for least in (0.02, 0.05, 0.1, 0.5):
        print(f"passive: below {least}: {np.mean(np.array(scores) < least):.3f} of lfw-dev")  # noqa: T201


if __name__ == "__main__":
    main()
