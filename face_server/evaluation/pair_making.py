"""Draws a pairs file from any folder of people, as LFW's authors drew theirs, the same for the same seed.

People are dealt to the folds, so that nobody is in two of them: a threshold is then never tried on a person it was
chosen on. A mated pair is a person drawn at random and two of their photos, a non-mated one two people and a photo of
each, so that somebody with hundreds of photos counts no more than others (Huang et al., UMass TR 07-49, 2007, sec. 3).
"""

from __future__ import annotations

from itertools import combinations
from random import Random

from face_server.errors import EvaluationError
from face_server.evaluation.folders import People, Photo
from face_server.evaluation.pairs import Fold, Pair

#: LFW's own.
MOST_PER_FOLD = 300

_Group = list[list[Photo]]


def make_pairs(people: People, folds: int, per_fold: int | None, seed: int) -> tuple[Fold, ...]:
    """So many folds of `per_fold` mated and as many non-mated pairs; None takes what every fold has, at most 300.

    Raises EvaluationError when the people are too few, or have too few photos.
    """
    random = Random(seed)
    groups = _dealt(people, folds, random)
    most = min(min(_mated_pairs(group), _other_pairs(group)) for group in groups)
    wanted = min(most, MOST_PER_FOLD) if per_fold is None else per_fold
    if wanted > most:
        raise EvaluationError(
            f"{per_fold} pairs per fold cannot be made: the poorest of {folds} folds has {most}; ask for fewer"
        )
    return tuple((*_draw_mated(group, wanted, random), *_draw_others(group, wanted, random)) for group in groups)


def _dealt(people: People, folds: int, random: Random) -> list[_Group]:
    """People of each fold: first those with several photos are dealt round, then the others."""
    several = [list(photos.values()) for photos in people.values() if len(photos) > 1]
    single = [list(photos.values()) for photos in people.values() if len(photos) == 1]
    if len(people) < 2:
        raise EvaluationError("there is one person only, so no two people can be compared")
    if not several:
        raise EvaluationError("nobody has two photos, so there is no mated pair")
    if folds < 2 or len(several) < folds or len(people) < 2 * folds:
        raise EvaluationError(
            f"{len(people)} people, {len(several)} of them with two photos or more, cannot make {folds} folds: each"
            " needs two people of its own, one of them with two photos, and there must be two folds at least"
        )
    random.shuffle(several)
    random.shuffle(single)
    dealt = several + single
    return [dealt[fold::folds] for fold in range(folds)]


def _mated_pairs(group: _Group) -> int:
    return sum(len(photos) * (len(photos) - 1) // 2 for photos in group)


def _other_pairs(group: _Group) -> int:
    sizes = [len(photos) for photos in group]
    return (sum(sizes) ** 2 - sum(size**2 for size in sizes)) // 2


def _draw_mated(group: _Group, count: int, random: Random) -> list[Pair]:
    left = [random.sample(pairs, len(pairs)) for photos in group if (pairs := list(combinations(photos, 2)))]
    drawn = []
    for _ in range(count):
        person = random.randrange(len(left))
        drawn.append(Pair(*left[person].pop()))
        if not left[person]:
            del left[person]
    return drawn


def _draw_others(group: _Group, count: int, random: Random) -> list[Pair]:
    drawn: dict[tuple[Photo, Photo], None] = {}
    while len(drawn) < count:
        one, two = sorted(random.choice(photos) for photos in random.sample(group, 2))
        drawn[one, two] = None
    return [Pair(*pair) for pair in drawn]
