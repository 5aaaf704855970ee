"""Prints the tables of docs/measurements.md: python -m liveness.table, in tests/. Needs shared/data.

Makes 50 honest answers and 50 attempts of every species (--tries), lays them out as a kit in var/liveness-kit (--kit;
what is there already is used, so remove it when the generator changed), and judges them as `face-server evaluate pad`
does. What the networks saw in each frame is kept beside the kit, so that another run after a change of the checks
takes a minute instead of twenty.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
from daemons import ROOT
from liveness.attacks.footage import clips, face_of, vars_of
from liveness.attacks.honest import independent
from liveness.attacks.photographs import photographs
from liveness.attacks.species import SPECIES, Scene
from liveness.fetching import FILMS
from liveness.kit import write_kit
from tqdm import tqdm

from face_server.config import load_config
from face_server.errors import PersonError
from face_server.evaluation.pad import Group, Judge, evaluate
from face_server.evaluation.pad_command import assemble_judge
from face_server.evaluation.pad_report import modes
from face_server.evaluation.presentations import Kit, read_answer, read_kit
from face_server.vision.imaging import decode
from face_server.vision.pipeline import Sighting

DATA = ROOT.parent / "shared" / "data"


class Kept:
    """What the pipeline saw in a frame, kept in a file: a line of JSON for each."""

    def __init__(self, judges: Judge, path: Path, max_pixels: int) -> None:
        self._sight, self._max_pixels = judges.sight, max_pixels
        lines = path.read_text().splitlines() if path.exists() else []
        self._known = {told["sha256"]: told for told in map(json.loads, lines)}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a")

    def __call__(self, image: bytes) -> Sighting:
        """As FacePipeline.sight."""
        sha256 = hashlib.sha256(image).hexdigest()
        if sha256 not in self._known:
            self._known[sha256] = self._look(image, sha256)
            self._file.write(json.dumps(self._known[sha256]) + "\n")
            self._file.flush()
        told = self._known[sha256]
        if "code" in told:
            raise next(kind for kind in _subclasses(PersonError) if getattr(kind, "code", "") == told["code"])(
                "seen before"
            )
        vector = np.array(told["vector"], np.float32)
        return Sighting(decode(image, self._max_pixels), face_of(told["face"]), vector, sha256)

    def _look(self, image: bytes, sha256: str) -> dict[str, object]:
        try:
            seen = self._sight(image)
        except PersonError as error:
            return {"sha256": sha256, "code": error.code}
        return {"sha256": sha256, "face": vars_of(seen.face), "vector": [float(value) for value in seen.vector]}


def main() -> None:
    """Make the kit, judge it, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kit", type=Path, default=ROOT / "var" / "liveness-kit")
    parser.add_argument("--tries", type=int, default=50)
    parser.add_argument("--flash", action="store_true", help="challenges flash the screen; give another --kit")
    parser.add_argument("--species", nargs="*", default=list(SPECIES), help="only these")
    options = parser.parse_args()
    config = load_config(ROOT / "config.ini")
    judges = assemble_judge(config)
    scene = _scene(judges, options)
    with tqdm(total=options.tries * (1 + len(options.species)), unit="attempt", desc="make") as bar:
        write_kit(options.kit, scene, options.tries, options.species, bar.update)
    caps = config.server.max_image_bytes, config.imaging.max_image_pixels
    kept = Kept(judges, options.kit / "sightings.jsonl", caps[1])
    kit = _only(read_kit(options.kit), options)
    with tqdm(total=len(kit), unit="attempt", desc="judge") as bar:
        result = evaluate(
            kit, lambda item: read_answer(item, *caps), dataclasses.replace(judges, sight=kept), bar.update
        )
    people, moves = independent(scene.clips)
    counted = ", ".join(f"{count} {name}" for name, count in moves.items())
    print(f"Honest: {options.tries} sequences out of what {people} people were filmed doing: {counted}.\n")
    groups = (result.bona_fide, *result.attacks)
    _print_rates(groups)
    _print_checks(groups, result.checks)


def _scene(judges: Judge, options: argparse.Namespace) -> Scene:
    pipeline = judges.sight.__self__  # type: ignore[attr-defined]
    detect = pipeline.detector.detect
    photos = photographs([DATA / "portraits", DATA / "lfw-dev" / "images"], detect, options.tries)
    films = clips(DATA, detect, ROOT / "var" / "cache" / "footage", FILMS)
    return Scene(photos, tuple(film for film in films if film.answers), detect, flash=options.flash)


def _only(kit: Kit, options: argparse.Namespace) -> Kit:
    attacks = {name: kit.attacks[name][: options.tries] for name in options.species}
    return Kit(kit.bona_fide[: options.tries], attacks)


def _print_rates(groups: tuple[Group, ...]) -> None:
    print(
        "| presentations | tries | judged | passed `active` | `passive` | `both` | error rate, 95 % exact | at most |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for group in groups:
        passing, rate = modes(group), group.rate
        shown = [group.species or "**honest**", str(len(group.outcomes)), str(len(group.judged)), *passing.values()]
        if rate is None:
            shown += ["none judged", ""]
        else:
            low, high = rate.exact_interval()
            kind = "APCER" if group.species else "BPCER"
            shown += [f"{kind} {rate.share:.1%} ({low:.1%} to {high:.1%})", f"{rate.upper_bound():.1%}"]
        print(f"| {' | '.join(shown)} |")
    print()


def _print_checks(groups: tuple[Group, ...], checks: tuple[str, ...]) -> None:
    print(f"| refused by this check alone | {' | '.join(checks)} | all |")
    print("|---" * (len(checks) + 2) + "|")
    for group in groups:
        alone = [((share := group.refused_by(check)) and f"{share.errors}/{share.trials}") or "" for check in checks]
        refused = sum(not outcome.live for outcome in group.judged)
        print(f"| {group.species or '**honest**'} | {' | '.join(alone)} | {refused}/{len(group.judged)} |")


def _subclasses(kind: type[PersonError]) -> list[type[PersonError]]:
    return [kind, *(deeper for each in kind.__subclasses__() for deeper in _subclasses(each))]


if __name__ == "__main__":
    main()
