"""Pairs files as LFW has them: first line `folds<TAB>pairs per fold`, then for each fold so many mated pairs
`name<TAB>i<TAB>j` and as many non-mated ones `name1<TAB>i<TAB>name2<TAB>j`.

A file is taken whole or refused with the number of the line: a wrong line that is passed over would change the figure
without a word. Source: "README" and "pairs.txt" of Labeled Faces in the Wild (Huang et al., UMass TR 07-49, 2007).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from face_server.errors import EvaluationError
from face_server.evaluation.folders import People, Photo, printable

#: How many missing photos a message names.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Pair:
    """Two photos to be compared."""

    first: Photo
    second: Photo

    @property
    def mated(self) -> bool:
        """Whether both are said to show one person."""
        return self.first.person == self.second.person


Fold = tuple[Pair, ...]

#: (person, number), (person, number) of a line.
_Reference = tuple[str, int]


def read_pairs(path: Path, people: People) -> tuple[Fold, ...]:
    """The folds of a pairs file, each mated pairs first.

    Raises EvaluationError for a file that cannot be read, a malformed line, and photos that are not there.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"the pairs file {printable(path)} cannot be read: {error}") from error
    lines = [line.rstrip("\r") for line in text.rstrip("\r\n").split("\n")]
    folds, per_fold = _header(path, lines)
    references = [_reference(path, n, line, per_fold) for n, line in enumerate(lines[1:])]
    missing = sorted({one for pair in references for one in pair if one[1] not in people.get(one[0], {})})
    if missing:
        raise EvaluationError(_missing(path, missing))
    pairs = [Pair(people[a][i], people[b][j]) for (a, i), (b, j) in references]
    size = 2 * per_fold
    return tuple(tuple(pairs[fold * size : (fold + 1) * size]) for fold in range(folds))


def write_pairs(folds: Sequence[Fold]) -> str:
    """The text of a pairs file. Raises EvaluationError when a person's name cannot stand in one."""
    rows = [f"{len(folds)}\t{len(folds[0]) // 2}"]
    for pair in (pair for fold in folds for pair in fold):
        one, two = pair.first, pair.second
        for photo in (one, two):
            if not _is_name(photo.person):
                raise EvaluationError(
                    f"the directory {printable(photo.person)!r} cannot be named in a pairs file: its name must be"
                    " UTF-8 without control characters and not begin or end with a blank; rename it"
                )
        second = str(two.number) if pair.mated else f"{two.person}\t{two.number}"
        rows.append(f"{one.person}\t{one.number}\t{second}")
    return "\n".join(rows) + "\n"


def _header(path: Path, lines: list[str]) -> tuple[int, int]:
    fields = lines[0].split("\t")
    if len(fields) != 2 or not all(_is_number(field) for field in fields):
        raise _malformed(path, 1, "expected folds<TAB>pairs per fold, such as 10<TAB>300")
    folds, per_fold = map(int, fields)
    if folds < 2:
        raise _malformed(path, 1, "a threshold is chosen on the other folds, so there must be two at least")
    expected = 1 + folds * 2 * per_fold
    if len(lines) != expected:
        raise EvaluationError(
            f"{printable(path)}: {folds} folds of {per_fold} mated and {per_fold} non-mated pairs are {expected} lines"
            f" with the first; the file has {len(lines)}"
        )
    return folds, per_fold


def _reference(path: Path, index: int, line: str, per_fold: int) -> tuple[_Reference, _Reference]:
    """The two photos of the line at this index after the first line."""
    fields, mated = line.split("\t"), index % (2 * per_fold) < per_fold
    numbers = list(_numbers(fields, mated))
    if len(fields) != (3 if mated else 4) or not all(map(_is_number, numbers)):
        form = "a mated pair name<TAB>i<TAB>j" if mated else "a non-mated pair name1<TAB>i<TAB>name2<TAB>j"
        raise _malformed(path, index + 2, f"expected {form}, found {printable(line)!r}")
    first, second = (fields[0], int(numbers[0])), (fields[0] if mated else fields[2], int(numbers[1]))
    if first == second:
        raise _malformed(path, index + 2, "a photo compared with itself measures nothing")
    if not mated and first[0] == second[0]:
        raise _malformed(path, index + 2, "a non-mated pair must name two people")
    return first, second


def _numbers(fields: list[str], mated: bool) -> Iterator[str]:
    yield from fields[1:3] if mated else fields[1:4:2]


def _missing(path: Path, missing: list[_Reference]) -> str:
    named = ", ".join(f"{printable(person)} {number}" for person, number in missing[:_NAMED])
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    return (
        f"{printable(path)} names {len(missing)} photos that the folder does not have: {named}{more}."
        " Nothing was measured: figures over the rest would be another benchmark's."
    )


def _malformed(path: Path, number: int, reason: str) -> EvaluationError:
    return EvaluationError(f"{printable(path)}, line {number}: {reason}")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and 1 <= len(text) <= 9 and int(text) > 0


def _is_name(person: str) -> bool:
    return person.isprintable() and person == person.strip()
