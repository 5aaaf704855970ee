"""A folder of people, laid out as LFW is: DIR/person/photo. Owns which photo a number in a pairs file means.

A photo named as LFW names it, `person/person_0007.jpg`, has the number in its name, whatever else is there. All other
photos of that person are counted on from the largest such number, in the order of their names: where no photo follows
LFW, number n is the n-th file. Who writes a pairs file and who reads it number alike, so any folder will do.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from face_server.errors import EvaluationError

#: What the pipeline reads; other files of a folder are passed over, as bulk enrolment does.
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}


@dataclass(frozen=True, slots=True, order=True)
class Photo:
    """One photograph of one person, and its number in a pairs file."""

    person: str
    number: int
    path: Path

    @property
    def shown(self) -> str:
        """`person/file`, fit to be printed whatever bytes the names are made of."""
        return printable(f"{self.person}/{self.path.name}")


#: Photos by person and number, people in the order of their names.
People = dict[str, dict[int, Photo]]


def read_people(root: Path) -> People:
    """Everyone below a folder who has a photo. Raises EvaluationError when there is nobody or no such folder."""
    try:
        folders = sorted(entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        people = {folder.name: _numbered(folder) for folder in folders}
    except OSError as error:
        raise EvaluationError(f"{printable(error.filename or root)} cannot be read: {error.strerror}") from error
    people = {person: photos for person, photos in people.items() if photos}
    if not people:
        raise EvaluationError(
            f"{printable(root)} holds no person/photo: one directory per person with pictures"
            f" ({', '.join(sorted(SUFFIXES))}) is expected"
        )
    return people


def all_photos(people: People) -> list[Photo]:
    """Every photo, person by person, in the order of their numbers."""
    return [photo for photos in people.values() for photo in photos.values()]


def printable(name: object) -> str:
    """A name or path as text: bytes that are no UTF-8 as replacement characters, control characters escaped."""
    text = os.fsencode(str(name)).decode("utf-8", "replace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _numbered(folder: Path) -> dict[int, Photo]:
    files = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    numbered: dict[int, Path] = {}
    others = []
    for path in files:
        number = _lfw_number(folder.name, path)
        if number is None or number in numbered:  # person_0001.jpg beside person_0001.png
            others.append(path)
        else:
            numbered[number] = path
    numbered |= dict(enumerate(others, max(numbered, default=0) + 1))
    return {number: Photo(folder.name, number, numbered[number]) for number in sorted(numbered)}


def _lfw_number(person: str, path: Path) -> int | None:
    found = re.fullmatch(r"([0-9]{4,9})", path.stem.removeprefix(f"{person}_"))
    # LFW writes four digits, more only where four do not do, and counts from 1; anything else is another naming.
    if not found or not path.stem.startswith(f"{person}_") or path.stem != f"{person}_{int(found[1]):04d}":
        return None
    return int(found[1]) or None
