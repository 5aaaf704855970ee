"""A kit of presentations, as docs/spoof-kit.md has it recorded: who is really there, and every kind of attack.

    DIR/bona_fide/ITEM            honest presentations
    DIR/attacks/SPECIES/ITEM      attacks, one folder for each kind

An ITEM is a picture, a film, or a folder of frames (a burst) in the order of their names. A burst may hold steps.json,
in the words of the wire: `{"steps": [{"step": "turn_left"}, ...], "frame_steps": [0, 0, 0, 1, ...]}`; without it, as
with pictures and films, no check of movements applies. Files of other kinds and names that begin with a dot are passed
over. Reading is lazy: a kit may be larger than memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from face_server.errors import EvaluationError
from face_server.evaluation import films
from face_server.evaluation.folders import SUFFIXES, printable
from face_server.liveness.challenge import Kind, Step

STEPS = "steps.json"
#: Frames of a burst, and how many of a film are looked at.
MOST_FRAMES, FILM_FRAMES = 64, 9
MOST_STEPS, _MOST_STEPS_BYTES = 16, 64 * 1024


class Form(Enum):
    """What an item is made of."""

    PICTURE = "picture"
    BURST = "burst"
    FILM = "film"


@dataclass(frozen=True, slots=True)
class Presentation:
    """One try. species: the kind of attack, "" for a bona fide presentation."""

    species: str
    path: Path
    form: Form

    @property
    def shown(self) -> str:
        """Its place in the kit, fit to be printed."""
        return printable(f"{self.species or 'bona_fide'}/{self.path.name}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a presentation holds: image files' bytes, the step each was taken in, and the steps that were asked."""

    images: tuple[bytes, ...]
    frame_steps: tuple[int, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Kit:
    """All presentations, in the order of their names."""

    bona_fide: tuple[Presentation, ...]
    attacks: dict[str, tuple[Presentation, ...]]

    def __iter__(self) -> Iterator[Presentation]:
        yield from self.bona_fide
        for items in self.attacks.values():
            yield from items

    def __len__(self) -> int:
        return sum(1 for _ in self)


def read_kit(root: Path) -> Kit:
    """What lies below a folder. Raises EvaluationError when there is neither an honest presentation nor an attack."""
    try:
        bona_fide = tuple(_items(root / "bona_fide", ""))
        species = [folder for folder in sorted(_entries(root / "attacks")) if folder.is_dir()]
        attacks = {folder.name: items for folder in species if (items := tuple(_items(folder, folder.name)))}
    except OSError as error:
        raise EvaluationError(f"{printable(error.filename or root)} cannot be read: {error.strerror}") from error
    if not bona_fide and not attacks:
        raise EvaluationError(
            f"{printable(root)} holds no bona_fide/ITEM and no attacks/SPECIES/ITEM: an item is a picture, a film or a"
            " folder of frames"
        )
    return Kit(bona_fide, attacks)


def read_answer(presentation: Presentation, max_image_bytes: int, max_pixels: int) -> Answer:
    """The frames and steps of one presentation. Raises EvaluationError, which is about this one only."""
    path = presentation.path
    if presentation.form is Form.FILM:
        images = films.frames(path, FILM_FRAMES, max_pixels)
        return Answer(tuple(images), (0,) * len(images), ())
    files = [path] if presentation.form is Form.PICTURE else _pictures(path)
    if not 1 <= len(files) <= MOST_FRAMES:
        raise EvaluationError(f"{presentation.shown} has {len(files)} frames, 1 to {MOST_FRAMES} are read")
    images = [_read(file, max_image_bytes) for file in files]
    if presentation.form is Form.BURST and (path / STEPS).is_file():
        steps, frame_steps = _steps(_read(path / STEPS, _MOST_STEPS_BYTES), len(files))
        return Answer(tuple(images), frame_steps, steps)
    return Answer(tuple(images), (0,) * len(files), ())


def _items(folder: Path, species: str) -> Iterator[Presentation]:
    for entry in sorted(_entries(folder)):
        form = _form(entry)
        if form is not None:
            yield Presentation(species, entry, form)


def _form(entry: Path) -> Form | None:
    if entry.is_dir():
        return Form.BURST
    if not entry.is_file():
        return None
    suffix = entry.suffix.lower()
    return Form.PICTURE if suffix in SUFFIXES else Form.FILM if suffix in films.SUFFIXES else None


def _entries(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [entry for entry in folder.iterdir() if not entry.name.startswith(".")]


def _pictures(folder: Path) -> list[Path]:
    try:
        return sorted(e for e in _entries(folder) if e.suffix.lower() in SUFFIXES and e.is_file())
    except OSError as error:
        raise EvaluationError(f"{printable(folder)} cannot be read: {error.strerror}") from error


def _read(path: Path, most: int) -> bytes:
    """A file's bytes, no more than are allowed. Raises EvaluationError."""
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise EvaluationError(f"{printable(path)} cannot be read: {error.strerror}") from error
    if len(data) > most:
        raise EvaluationError(f"{printable(path.name)} has more than {most} bytes")
    return data


def _steps(data: bytes, frames: int) -> tuple[tuple[Step, ...], tuple[int, ...]]:
    """Steps and the frames' step numbers. Raises EvaluationError for anything else than `read_kit` describes."""
    try:
        told = json.loads(data)
        steps = tuple(_step(one) for one in told["steps"])
        numbers = tuple(told["frame_steps"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise EvaluationError(f"{STEPS} is no object of `steps` and `frame_steps`: {error!r:.120}") from error
    if not 1 <= len(steps) <= MOST_STEPS or len(numbers) != frames:
        raise EvaluationError(f"{STEPS}: 1 to {MOST_STEPS} steps, and one of `frame_steps` for each of {frames} frames")
    if any(type(number) is not int or not 0 <= number <= len(steps) for number in numbers):
        raise EvaluationError(f"{STEPS}: `frame_steps` are whole numbers from 0 to {len(steps)}")
    return steps, numbers


def _step(told: Any) -> Step:
    kind, colour = Kind(told["step"]), told.get("colour")
    flash = isinstance(colour, str) and re.fullmatch("#[0-9a-f]{6}", colour) is not None
    if flash is not (kind is Kind.FLASH) or (colour is not None and not flash):
        raise ValueError("a flash has a colour #rrggbb, other steps have none")
    return Step(kind, colour)
