"""1:N error rates, open set: a gallery of people, and probes of them and of others.

An enrolled person's gallery vectors are one centroid (mean of unit vectors, made a unit vector again), and the answer
is the first candidate if it reaches the threshold. So a search for an enrolled person is missed (FNIR) when another
comes first or the score is too low (ISO/IEC 19795-1, rank 1), also when the probe or the whole enrolment could not be
acquired; a search for anybody else is a false positive (FPIR) when any candidate reaches the threshold.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from face_server.errors import EvaluationError
from face_server.evaluation.bootstrap import REPLICATES, Drawn, Genuine, Impostors, percentiles, replicated_misses
from face_server.evaluation.rates import ErrorRates, Interval, OperatingPoint, Proportion, operating_points
from face_server.evaluation.verification import Photos
from face_server.types import FloatArray

#: The rates of false positives at which FNIR is stated.
TARGETS = (1e-2, 1e-3)
#: The score of a search that cannot succeed; every cosine is higher.
MISSED = -2.0


@dataclass(frozen=True, slots=True)
class Identification:
    """What was measured. rank1: errors are searches in which another than the right person came first.

    left_out: probes that are a gallery photo byte for byte. not_enrolled: people of the gallery without a usable photo.
    """

    gallery: Photos
    probes: Photos
    people: int
    strangers: int
    not_enrolled: tuple[str, ...]
    left_out: int
    rank1: Proportion
    points: tuple[OperatingPoint, ...]


@dataclass(slots=True)
class _Searches:
    """Best score and person of each search; MISSED where an enrolled person did not come first."""

    genuine: list[float] = field(default_factory=list)
    genuine_person: list[str] = field(default_factory=list)
    wrong_first: int = 0
    impostors: list[float] = field(default_factory=list)
    impostor_person: list[str] = field(default_factory=list)


def identification(
    gallery: Photos, probes: Photos, replicates: int = REPLICATES, targets: Sequence[float] = TARGETS
) -> Identification:
    """Measure. Raises EvaluationError when nobody is enrolled or no probe is of an enrolled person."""
    names, centroids = _centroids(gallery)
    enrolled = {photo.person for photo in gallery.photos}
    kept = _without_gallery_photos(gallery, probes)
    found = _search(kept, enrolled, names, centroids)
    if not found.genuine:
        raise EvaluationError("no probe is of a person of the gallery (the directories' names tell), or all are copies")
    return Identification(
        gallery=gallery,
        probes=kept,
        people=len(names),
        strangers=len(set(found.impostor_person)),
        not_enrolled=tuple(sorted(enrolled - set(names))),
        left_out=len(probes.photos) - len(kept.photos),
        rank1=Proportion(found.wrong_first, len(found.genuine)),
        points=_points(found, targets, replicates) if found.impostors else (),
    )


def _centroids(gallery: Photos) -> tuple[list[str], FloatArray]:
    photos, vectors = gallery.usable()
    rows: dict[str, list[int]] = {}
    for row, photo in enumerate(photos):
        rows.setdefault(photo.person, []).append(row)
    means = np.stack([vectors[own].mean(axis=0) for own in rows.values()])
    centroids: FloatArray = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-6)
    return list(rows), centroids


def _without_gallery_photos(gallery: Photos, probes: Photos) -> Photos:
    """To find a picture in which it was enrolled proves nothing."""
    known = {one.image_sha256 for one in gallery.acquired}
    kept = [(p, a) for p, a in zip(probes.photos, probes.acquired, strict=True) if a.image_sha256 not in known]
    return Photos([photo for photo, _ in kept], [acquired for _, acquired in kept])


def _search(probes: Photos, enrolled: Collection[str], names: list[str], centroids: FloatArray) -> _Searches:
    found = _Searches()
    for photo, acquired in zip(probes.photos, probes.acquired, strict=True):
        scores = None if acquired.vector is None else centroids @ acquired.vector
        best = MISSED if scores is None else float(scores.max())
        if photo.person in enrolled:
            right = scores is not None and names[int(np.argmax(scores))] == photo.person
            found.wrong_first += not right
            found.genuine.append(best if right else MISSED)
            found.genuine_person.append(photo.person)
        elif scores is not None:  # an unreadable stranger must not lower the share of false positives
            found.impostors.append(best)
            found.impostor_person.append(photo.person)
    return found


def _points(found: _Searches, targets: Sequence[float], replicates: int) -> tuple[OperatingPoint, ...]:
    genuine, impostors = (np.array(scores, np.float32) for scores in (found.genuine, found.impostors))
    return operating_points(ErrorRates(genuine, impostors), targets, _intervals(found, targets, replicates))


def _intervals(found: _Searches, targets: Sequence[float], replicates: int) -> list[Interval]:
    people, person = np.unique(found.genuine_person + found.impostor_person, return_inverse=True)
    searched, strangers = np.split(person, [len(found.genuine)])
    order = np.argsort(-np.array(found.impostors))
    strangers = strangers[order]

    def weights(drawn: Drawn) -> Drawn:
        return drawn[strangers]

    impostors = Impostors(
        np.array(found.impostors, np.float32)[order], weights, lambda drawn: float(drawn[strangers].sum())
    )
    genuine = Genuine(np.array(found.genuine, np.float32), searched)
    return percentiles(replicated_misses(genuine, impostors, len(people), targets, replicates))
