"""Presentation attack detection measured (ISO/IEC 30107-3): a kit through the pipeline and the checks of liveness.

APCER is the share of one species of attacks that passes, BPCER of bona fide presentations that is refused. There is no
figure over all species: an attacker takes the one that works. Presentations that were not judged, for want of a face
or because a file is broken, are non-responses and counted apart: they pass nowhere, and prove nothing about the checks.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from face_server.config import LivenessConfig
from face_server.errors import ClientError, EvaluationError, PersonError
from face_server.evaluation.presentations import Answer, Kit, Presentation
from face_server.evaluation.rates import Proportion
from face_server.liveness.evidence import Finding, Frame
from face_server.liveness.judging import Passive, SamePerson, judge
from face_server.vision.pipeline import Sighting

#: Names of checks: the network's, that of movements, and all that need steps.
PASSIVE, STEPS = "passive", "steps"
ACTIVE = frozenset({"missing", "continuity", STEPS, "too_far", "relief", "flash"})


@dataclass(frozen=True, slots=True)
class Judge:
    """What judges one presentation. sight: an image file's bytes -> its one face, or a PersonError or ClientError."""

    sight: Callable[[bytes], Sighting]
    options: LivenessConfig
    passive: Passive | None
    same_person: SamePerson


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a presentation. response: "" where it was judged, else the code or reason why it was not."""

    presentation: Presentation
    findings: tuple[Finding, ...]
    response: str = ""

    @property
    def live(self) -> bool:
        return bool(self.findings) and all(finding.ok for finding in self.findings)

    @property
    def failed(self) -> frozenset[str]:
        """The checks that did not pass it."""
        return frozenset(finding.check for finding in self.findings if not finding.ok)

    @property
    def checks(self) -> frozenset[str]:
        """The checks that looked at it."""
        return frozenset(finding.check for finding in self.findings)

    @property
    def score(self) -> float | None:
        """What the passive network gave, where it looked."""
        return next((finding.value for finding in self.findings if finding.check == PASSIVE), None)


@dataclass(frozen=True, slots=True)
class Group:
    """The outcomes of one species of attacks, or of all bona fide presentations (species "")."""

    species: str
    outcomes: tuple[Outcome, ...]

    @property
    def judged(self) -> tuple[Outcome, ...]:
        return tuple(outcome for outcome in self.outcomes if not outcome.response)

    @property
    def errors(self) -> tuple[Outcome, ...]:
        """Attacks that passed, bona fide presentations that did not."""
        return tuple(outcome for outcome in self.judged if outcome.live is bool(self.species))

    @property
    def rate(self) -> Proportion | None:
        """APCER or BPCER; None where nothing was judged."""
        return Proportion(len(self.errors), len(self.judged)) if self.judged else None

    @property
    def responses(self) -> Counter[str]:
        """Why presentations were not judged, and how many."""
        return Counter(outcome.response for outcome in self.outcomes if outcome.response)

    def refused_by(self, check: str) -> Proportion | None:
        """What one check alone refuses, of what it looked at."""
        looked = [outcome for outcome in self.judged if check in outcome.checks]
        return Proportion(sum(check in outcome.failed for outcome in looked), len(looked)) if looked else None

    def passing(self, looked: str, left_out: frozenset[str]) -> Proportion | None:
        """How many of those that one check looked at pass when others are left out."""
        asked = [outcome.failed - left_out for outcome in self.judged if looked in outcome.checks]
        return Proportion(sum(not failed for failed in asked), len(asked)) if asked else None


@dataclass(frozen=True, slots=True)
class PadResult:
    """All groups, the species that passes most first."""

    bona_fide: Group
    attacks: tuple[Group, ...]
    checks: tuple[str, ...]


def evaluate(
    kit: Kit,
    read: Callable[[Presentation], Answer],
    judges: Judge,
    progress: Callable[[], object] = lambda: None,
) -> PadResult:
    """Every presentation judged as the daemon would; one that cannot be read ends nothing.

    Raises EvaluationError where pictures, films or bursts without steps are to be judged and there is no network.
    """
    known: set[str] = set()
    order: dict[str, None] = {}

    def outcomes(items: Iterable[Presentation], remember: bool) -> tuple[Outcome, ...]:
        done = []
        for item in items:
            done.append(_outcome(item, read, judges, known, remember))
            order.update(dict.fromkeys(finding.check for finding in done[-1].findings))
            progress()
        return tuple(done)

    # Bona fide first: what was seen there is known when it comes again as an attack.
    bona_fide = Group("", outcomes(kit.bona_fide, True))
    attacks = [Group(species, outcomes(items, False)) for species, items in kit.attacks.items()]
    attacks.sort(key=_worst_first)
    return PadResult(bona_fide, tuple(attacks), tuple(order))


def _worst_first(group: Group) -> tuple[float, float, str]:
    """By rate, then by what it may be at most: few tries without an error prove less than many."""
    if group.rate is None:
        return (1.0, 0.0, group.species)
    return (-group.rate.share, -group.rate.upper_bound(), group.species)


def _outcome(
    item: Presentation, read: Callable[[Presentation], Answer], judges: Judge, known: set[str], remember: bool
) -> Outcome:
    try:
        answer = read(item)
        sightings = [judges.sight(image) for image in answer.images]
    except EvaluationError as error:
        return Outcome(item, (), str(error))
    except (PersonError, ClientError) as error:
        return Outcome(item, (), error.code)
    if not answer.steps and judges.passive is None:
        raise EvaluationError(
            f"{item.shown} has no steps: only the passive network can judge it, and there is none"
            " (`.venv/bin/python -m face_server.models models/manifest.toml models --with fr-liveness` fetches it)"
        )
    return Outcome(item, (_seen(answer, known, remember), *_findings(answer, sightings, judges)))


def _seen(answer: Answer, known: set[str], remember: bool) -> Finding:
    """The daemon takes no frame twice; an attack with a bona fide frame's bytes is such a replay."""
    hashes = {hashlib.sha256(image).hexdigest() for image in answer.images}
    again = 0 if remember else len(hashes & known)
    if remember:
        known |= hashes
    return Finding("seen", again == 0, again, 0)


def _findings(answer: Answer, sightings: Sequence[Sighting], judges: Judge) -> tuple[Finding, ...]:
    frames = [
        Frame(seen.given, seen.face, seen.vector, step, seen.sha256)
        for seen, step in zip(sightings, answer.frame_steps, strict=True)
    ]
    return judge(frames, answer.steps, judges.options, judges.passive, judges.same_person).findings
