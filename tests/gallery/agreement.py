"""Plain numpy that every gallery must agree with, and people to try it on."""

import numpy as np
import pytest
from people import make_template, unit

from face_server.types import subject_key


def plain_score(vectors, probe):
    """The cosine of the vectors' mean with the probe in plain numpy, None where the vectors cancel out."""
    mean = np.mean(np.array(vectors, np.float64), axis=0)
    length = np.linalg.norm(mean)
    return float(mean @ probe / length) if length > 1e-3 else None


def expected(enrolled, probe, limit):
    """Plain numpy over a dict of subject -> vectors."""
    scores = {subject: plain_score(own, probe) for subject, own in enrolled.items()}
    scores = {subject: score for subject, score in scores.items() if score is not None}
    ranked = sorted(scores, key=lambda subject: (-round(scores[subject], 5), subject_key(subject)))[:limit]
    return [(subject, pytest.approx(scores[subject], abs=1e-6), len(enrolled[subject])) for subject in ranked]


def told(candidates):
    return [(one.subject, one.score, one.templates) for one in candidates]


def enrol_many(gallery, count, start=0):
    enrolled = {}
    for seed in range(start, start + count):
        gallery.enrol(seed, [make_template(seed)])
        enrolled[seed] = [unit(seed)]
    return enrolled


def noisy(seed, by=10**6):
    vector = unit(seed) + 0.3 * unit(seed + by)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def found(gallery, seed, subject=None):
    best = gallery.identify(unit(seed), 1)
    return bool(best) and best[0].subject == (subject or seed) and best[0].score > 0.999999
