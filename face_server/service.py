"""The use-cases: a request in, a reply or a named error out. Owns the decision; knows no sockets and no JSON.

Synchronous; `status`, `at_once`, `rebuild` and `forget` may be called from any thread, all else from the one worker.
Every way out that is not an explicit match is no: an exception, a missing candidate and a score that is not a number
all mean "not recognised".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Literal, TypeAlias

import numpy as np

from face_server.condition import condition
from face_server.decision import Decision, distance, is_match
from face_server.errors import (
    DifferentPeople,
    DuplicatePerson,
    ImageTooLarge,
    NotTheSubject,
    PersonError,
    ThresholdUnsupported,
    UnknownSubject,
    WireError,
)
from face_server.gallery.gallery import Gallery
from face_server.gallery.results import Added
from face_server.observing import NOBODY, Observer
from face_server.presence import Presence
from face_server.types import FloatArray, Identification, SubjectId, Template, Verification, subject_key
from face_server.vision.pipeline import Capture, FacePipeline, Purpose
from face_server.wire.legacy import (
    LegacyAddIndex,
    LegacyAddIndexReply,
    LegacyFaceDetect,
    LegacyFaceDetectReply,
    LegacyReply,
    LegacyRequest,
    LegacySearch,
    LegacySearchReply,
)
from face_server.wire.replies import (
    AcceptedImage,
    CompareReply,
    DetectReply,
    EnrolledImage,
    EnrolReply,
    ForgetReply,
    IdentifyReply,
    RebuildReply,
    RefusedImage,
    RemoveReply,
    Reply,
    RewrittenFile,
    StatusReply,
    SubjectReply,
    SubjectsReply,
    SubjectSummary,
    TemplateSummary,
    VerifyReply,
)
from face_server.wire.requests import (
    Challenge,
    Compare,
    Detect,
    Enrol,
    Forget,
    Identify,
    Level,
    Remove,
    Request,
    Step,
    Subject,
    Subjects,
    Verify,
)

#: A capture, or why an image gave none.
Outcome: TypeAlias = Capture | WireError

#: The mean of unit vectors of one person is 0.6 long or more; below this it has no direction.
LEAST_MEAN_LENGTH = 1e-3


class Service:
    """Answers requests with a pipeline, a gallery and a decision."""

    def __init__(
        self,
        pipeline: FacePipeline,
        gallery: Gallery,
        decision: Decision,
        model: str,
        presence: Presence,
        read_legacy_image: Callable[[str], bytes],
        legacy_candidates: int,
        observer: Observer = NOBODY,
    ) -> None:
        self._pipeline = pipeline
        self._gallery = gallery
        self._decision = decision
        self._model = model
        self._presence = presence
        self._read_legacy_image = read_legacy_image
        self._legacy_candidates = legacy_candidates
        self._observer = observer
        self._started_s = time.monotonic()

    def at_once(self, request: Challenge | Step, level: Level, received_s: float) -> Reply:
        """The reply to what is about a challenge and waits for nothing; from any thread. Raises WireError."""
        match request:
            case Challenge():
                return self._presence.issue(request, received_s)
            case Step():
                return self._presence.told(request, level, received_s)

    def handle(self, request: Request, level: Level, received_s: float) -> Reply:
        """The reply to one request of somebody with this level, which came at this monotonic time. Raises WireError."""
        match request:
            case Detect():
                found = self._pipeline.detect(request.image)
                return DetectReply(found.width, found.height, found.faces)
            case Enrol():
                return self._enrol(request, level, received_s)
            case Identify():
                return self._identify(request, level, received_s)
            case Verify():
                return self._verify(request, level, received_s)
            case Compare():
                return self._compare(request)
            case Remove():
                return self._remove(request)
            case Subjects():
                page = self._gallery.subjects(request.cursor, request.limit)
                rows = tuple(SubjectSummary(entry.subject, entry.templates) for entry in page.subjects)
                return SubjectsReply(rows, page.next_cursor)
            case Subject():
                return self._subject(request)
        raise TypeError(f"{type(request).__name__} is not the worker's to answer")

    def handle_legacy(self, request: LegacyRequest) -> LegacyReply:
        """The reply to a request of the first generation's dialect. Raises WireError."""
        image = self._read_legacy_image(request.pic)
        match request:
            case LegacySearch():
                self._presence.require(Identify.cmd, Level.WEB)
                probe = _fused(self._probes(self._captures((image,), Purpose.SEARCH)))
                found = self._gallery.identify(probe, self._legacy_candidates)
                return LegacySearchReply(
                    tuple(candidate.subject for candidate in found),
                    tuple(distance(candidate.score) for candidate in found),
                )
            case LegacyAddIndex():
                self._presence.require(Enrol.cmd, Level.WEB)
                template = self._pipeline.capture(image, Purpose.ENROL).template
                self._gallery.enrol(request.id, [template], replace=True)
                return LegacyAddIndexReply()
            case LegacyFaceDetect():
                return LegacyFaceDetectReply(self._pipeline.detect(image).faces)

    def rebuild(self) -> RebuildReply:
        """Build the index anew; takes its time and is called from a thread of its own."""
        result = self._gallery.rebuild()
        return RebuildReply(result.subjects, result.seconds)

    def forget(self, request: Forget) -> ForgetReply:
        """Remove subjects down to their bytes; takes its time and is called from a thread of its own."""
        done = self._gallery.forget(request.ids)
        files = tuple(RewrittenFile(str(one.path), one.former_bytes, one.bytes) for one in done.files)
        gone = done.removal
        return ForgetReply(gone.removed, gone.unknown, len(gone.template_ids), gone.crops, files)

    def status(self, *, queue: int, connections: int, requests: int) -> StatusReply:
        """How things are; quick, from any thread."""
        told = condition(self._pipeline, self._gallery, self._decision, self._model)
        uptime_s = time.monotonic() - self._started_s
        return replace(told, uptime_s=uptime_s, queue=queue, connections=connections, requests=requests)

    def identification(self, probe: FloatArray, probes: int, limit: int) -> Identification:
        """1:N: the nearest subjects to a probe fused from so many images, and whether the first is one.

        Only the first may match: who is second best is not let in by having fewer templates and a lower threshold.
        Raises ThresholdUnsupported when the gallery is too large for the stated rate.
        """
        candidates = self._gallery.identify(probe, limit)
        if not candidates:
            return Identification(False, (), None)
        first = candidates[0]
        threshold = self._decision.identify_threshold(first.templates, probes, self._gallery.subject_count())
        return Identification(is_match(first.score, threshold), candidates, threshold)

    def verification(self, subject: SubjectId, probe: FloatArray, probes: int) -> Verification:
        """1:1: whether a probe fused from so many images is the subject. Raises UnknownSubject."""
        found = self._gallery.verify(subject, probe)
        threshold = self._decision.verify_threshold(found.templates, probes)
        return Verification(is_match(found.score, threshold), found.score, threshold)

    def _identify(self, request: Identify, level: Level, received_s: float) -> IdentifyReply:
        outcomes, live = self._outcomes(request, level, Purpose.SEARCH, received_s)
        templates = self._probes(outcomes)
        probes = len(templates)
        try:
            found = self.identification(_fused(templates), probes, request.limit)
        except ThresholdUnsupported:
            if probes == 1:
                raise
            # Single images rest on far more comparisons, so they can be searched in a larger gallery. Always the first:
            # to try one after the other would be several chances for a stranger.
            probes = 1
            found = self.identification(templates[0].vector, probes, request.limit)
        subject = found.candidates[0].subject if found.match else None
        if level is not Level.OPERATOR:
            return IdentifyReply(found.match, subject, live=live)
        best = found.candidates[0].score if found.candidates else None
        return IdentifyReply(found.match, subject, best, found.threshold, probes, found.candidates, live)

    def _verify(self, request: Verify, level: Level, received_s: float) -> VerifyReply:
        # The pipeline runs before the subject is looked up, so that the time does not tell who is enrolled.
        outcomes, live = self._outcomes(request, level, Purpose.SEARCH, received_s)
        templates = self._probes(outcomes)
        found = self.verification(request.id, _fused(templates), len(templates))
        if level is not Level.OPERATOR:
            return VerifyReply(found.match, request.id, live=live)
        return VerifyReply(found.match, request.id, found.score, found.threshold, len(templates), live)

    def _outcomes(
        self, request: Identify | Verify | Enrol, level: Level, purpose: Purpose, received_s: float
    ) -> tuple[list[Outcome], Literal[True] | None]:
        """What became of each image, or, where a challenge is answered, of each that looks straight ahead; whether the
        person was judged to be live. Raises as `Presence.shown`.
        """
        shown = self._presence.shown(request, level, purpose, received_s)
        if shown is None:
            return self._captures(request.images, purpose), None
        return [_tried(partial(self._pipeline.capture_of, seen, purpose)) for seen in shown], True

    def _captures(self, images: tuple[bytes, ...], purpose: Purpose) -> list[Outcome]:
        # The same image twice in a search is one: it adds no evidence. An enrolment tells of each.
        wanted = dict.fromkeys(images) if purpose is Purpose.SEARCH else images
        return [_tried(partial(self._pipeline.capture, image, purpose)) for image in wanted]

    def _probes(self, outcomes: list[Outcome]) -> list[Template]:
        """The templates of the images that can be used, at least one, in their order.

        Raises the first image's error when none can be used.
        """
        self._tell_refused(outcomes)
        captures = [outcome for outcome in outcomes if isinstance(outcome, Capture)]
        if not captures:
            raise _all_refused(outcomes)
        return [capture.template for capture in captures]

    def _compare(self, request: Compare) -> CompareReply:
        one, two = (self._pipeline.capture(image, Purpose.SEARCH) for image in request.images)
        score, threshold = _score(one.template, two.template), self._decision.verify_threshold(1, 1)
        return CompareReply(is_match(score, threshold), score, distance(score), threshold, (one.face, two.face))

    def _remove(self, request: Remove) -> RemoveReply:
        done = self._gallery.remove(request.ids)
        if done.unknown and not request.listed:
            raise UnknownSubject("no subject with this id is enrolled, so nothing was removed")
        return RemoveReply(done.removed, done.unknown, len(done.template_ids))

    def _subject(self, request: Subject) -> SubjectReply:
        detail = self._gallery.subject(request.id)
        return SubjectReply(
            detail.subject,
            tuple(
                TemplateSummary(
                    stored.template_id,
                    stored.template.created_s,
                    stored.template.image_sha256,
                    stored.template.fingerprint,
                    stored.template.quality,
                )
                for stored in detail.templates
            ),
        )

    def _enrol(self, request: Enrol, level: Level, received_s: float) -> EnrolReply:
        outcomes, live = self._outcomes(request, level, Purpose.ENROL, received_s)
        if not request.force:
            outcomes = self._of_one_person(request, level, outcomes)
        self._tell_refused(outcomes)
        captures = [outcome for outcome in outcomes if isinstance(outcome, Capture)]
        # What is there is swapped for all that was sent or for nothing: half might be worse than what it replaces.
        if not captures or (request.replace and len(captures) < len(outcomes)):
            raise _all_refused(outcomes)
        templates = [capture.template for capture in captures]
        if not request.force and self._decision.refuse_duplicates:
            self._require_new_person(request.id, templates)
        enrolment = self._gallery.enrol(request.id, templates, replace=request.replace)
        added = iter(enrolment.added)
        images = tuple(_told(outcome, added) for outcome in outcomes)
        return EnrolReply(enrolment.subject, enrolment.templates, images, live)

    def _tell_refused(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, WireError):
                self._observer.image_refused(outcome.code)

    def _of_one_person(self, request: Enrol, level: Level, outcomes: list[Outcome]) -> list[Outcome]:
        """The same outcomes, with each capture refused that is not of the person to be enrolled.

        Who is enrolled already is known by the own templates (only the operator may replace these by another face).
        The captures of somebody new must be of one person: those that differ from most of the others are refused.
        """
        own = self._own_templates(request.id)
        if own and not (request.replace and level is Level.OPERATOR):
            return [
                NotTheSubject("the face of this image does not match the subject's own templates")
                if isinstance(outcome, Capture) and not self._is_of(own, outcome.template)
                else outcome
                for outcome in outcomes
            ]
        captures = [outcome for outcome in outcomes if isinstance(outcome, Capture)]
        odd = self._odd_ones([capture.template for capture in captures])
        if 2 * len(odd) >= len(captures) > 1:
            odd = list(range(len(captures)))  # nobody is in the majority
        strangers = {id(captures[place]) for place in odd}
        refusal = DifferentPeople("the images do not all show one person; send images of one person")
        return [refusal if id(outcome) in strangers else outcome for outcome in outcomes]

    def _is_of(self, own: list[Template], template: Template) -> bool:
        """Whether a template is of the person of these, or the very image of one, which a client may send again."""
        if template.image_sha256 in {one.image_sha256 for one in own}:
            return True
        return is_match(float(_fused(own) @ template.vector), self._decision.verify_threshold(len(own), 1))

    def _odd_ones(self, templates: list[Template]) -> list[int]:
        """Places of the templates to leave out, the worst first, until each left matches the others' fusion."""
        left = list(range(len(templates)))
        odd: list[int] = []
        while len(left) > 1:
            scores = {
                place: float(_fused([templates[other] for other in left if other != place]) @ templates[place].vector)
                for place in left
            }
            worst = min(left, key=scores.__getitem__)
            if is_match(scores[worst], self._decision.same_person_threshold(len(left) - 1)):
                return odd
            odd.append(worst)
            left.remove(worst)
        return odd + left if odd else odd

    def _own_templates(self, subject: SubjectId) -> list[Template]:
        try:
            return [stored.template for stored in self._gallery.subject(subject).templates]
        except UnknownSubject:
            return []

    def _require_new_person(self, subject: SubjectId, templates: list[Template]) -> None:
        """Raises DuplicatePerson when another subject has this face; past the supported size by the strictest rate."""
        own = subject_key(subject)
        for other in self._gallery.identify(_fused(templates), 2):
            if subject_key(other.subject) == own:
                continue
            counts = (other.templates, len(templates), self._gallery.subject_count())
            if is_match(other.score, self._decision.strictest_threshold(*counts)):
                raise DuplicatePerson("this face is enrolled already under another id")


def _tried(capture: Callable[[], Capture]) -> Outcome:
    """A capture, or what is wrong with this one image; what is wrong with the daemon is raised."""
    try:
        return capture()
    except (PersonError, ImageTooLarge) as error:
        return error


def _fused(templates: list[Template]) -> FloatArray:
    """One unit vector (dimension,) float32 of several templates of one person: their mean, made a unit vector again.

    Of the ways to fuse that were measured it misses the fewest (docs/measurements.md, "Several images of one person").
    Raises DifferentPeople when the vectors cancel out, which those of one person never do.
    """
    mean = np.mean([template.vector for template in templates], axis=0, dtype=np.float64)
    length = float(np.linalg.norm(mean))
    if not length > LEAST_MEAN_LENGTH:
        raise DifferentPeople("the images do not show one person; send images of one person")
    return np.asarray(mean / length, dtype=np.float32)


def _score(one: Template, two: Template) -> float:
    """Cosine similarity of two templates' unit vectors."""
    return float(one.vector @ two.vector)


def _told(outcome: Outcome, added: Iterator[Added]) -> EnrolledImage:
    if isinstance(outcome, WireError):
        return RefusedImage(outcome)
    stored = next(added)
    return AcceptedImage(stored.template_id, stored.duplicate, outcome.face, outcome.template.quality)


def _all_refused(outcomes: list[Outcome]) -> WireError:
    """The first refused image's error; with several images its detail tells of each, in their order."""
    first = next(outcome for outcome in outcomes if isinstance(outcome, WireError))
    if len(outcomes) == 1:
        return first
    images = [
        {"code": one.code, "act": one.act, "message": one.message}
        if isinstance(one, WireError)
        else {"code": first.code, "act": first.act, "message": "not taken, because another image was refused"}
        for one in outcomes
    ]
    refused = sum(isinstance(outcome, WireError) for outcome in outcomes)
    message = f"{refused} of {len(outcomes)} images were refused, so nothing was done; the first: {first.message}"
    return type(first)(message, images=images)
