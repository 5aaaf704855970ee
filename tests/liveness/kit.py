"""Generated attacks and honest answers as files, laid out as `face-server evaluate pad` reads a kit.

Beside honest answers from real footage lies `modelled`: photographs of many people on a modelled head, which turns. It
is no bona fide presentation, so it is kept apart: species `head_animated` is the same thing seen as an attack.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from liveness.attacks.attempt import Attempt
from liveness.attacks.species import Scene, attempt


def write_kit(
    directory: Path, scene: Scene, tries: int, species: Iterable[str], progress: Callable[[], object]
) -> None:
    """`tries` honest answers and as many attempts of each species. What is there already is taken to be whole."""
    for number in range(tries):
        _write(directory / "bona_fide" / f"{number:03}", lambda number=number: scene.recorded(number))
        progress()
    for name in species:
        for number in range(tries):
            place = directory / "attacks" / name / f"{number:03}"
            _write(place, lambda name=name, number=number: attempt(name, scene, number))
            progress()


def _write(place: Path, make: Callable[[], Attempt]) -> None:
    """One burst: numbered frames, then steps.json, which says that it is whole."""
    if (place / "steps.json").exists():
        return
    made = make()
    place.mkdir(parents=True, exist_ok=True)
    for number, shot in enumerate(made.shots):
        (place / f"{number:02}.jpg").write_bytes(shot.jpeg)
    steps = [{"step": step.kind.value} | ({"colour": step.colour} if step.colour else {}) for step in made.steps]
    told = {"steps": steps, "frame_steps": [shot.step for shot in made.shots]}
    (place / "steps.json").write_text(json.dumps(told))
