"""Who must show that they are there, and whether they did: challenges out, answers in. Decides on no identity.

Brings the pipeline, the challenges and the judging together for the three commands that may answer a challenge. Every
way out that is not a live verdict raises: the caller gets the frames that look straight ahead, or nothing.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from face_server.config import LivenessConfig
from face_server.errors import ChallengeRequired, Malformed, NotLive, PersonError, TooManyImages
from face_server.liveness.challenge import Challenge, Challenges, Kind, Mode, SeenFrames, Step
from face_server.liveness.evidence import CheckFailed, Finding, Frame, Verdict
from face_server.liveness.judging import Passive, SamePerson, judge
from face_server.vision.pipeline import FacePipeline, Purpose, Sighting
from face_server.wire import requests as req
from face_server.wire.records import dump_record
from face_server.wire.replies import ChallengeReply, ChallengeStep, StepReply
from face_server.wire.requests import Enrol, Identify, Level, Response, Verify

#: What helps an honest person, by check; no measured values, which would help the others.
ADVICE = {
    "too_soon": "Please take your time with each step, and try again.",
    "too_slow": "That took too long. Please do each step as soon as it is shown.",
    "missing": "Please do every step that is shown, until the end.",
    "told": "The pictures are not those of the steps. Please try again.",
    "identical": "The camera gave one picture twice. Please try again.",
    "seen": "These pictures were sent before. Please try again with the camera.",
    "person": "Please be alone in the picture, and stay before the camera until the end.",
    "continuity": "Please move slowly, and stay in the picture.",
    "too_far": "Please turn or nod a little less far, and come no closer meanwhile.",
    "relief": "Please turn your head itself, slowly and not too far, in good light.",
    "flash": "Please hold still while the screen changes its colour, close to it and not in bright light.",
    "passive": "Please seek even light, with nothing before the face.",
}

#: Of the check "steps", by what was asked.
STEP_ADVICE = {
    Kind.TURN_LEFT: "Please turn your head a little further to the side that is shown.",
    Kind.TURN_RIGHT: "Please turn your head a little further to the side that is shown.",
    Kind.LOOK_UP: "Please look up a little further when you are asked to.",
    Kind.LOOK_DOWN: "Please look down a little further when you are asked to.",
    Kind.COME_CLOSER: "Please come a little closer when you are asked to, and look ahead.",
}


class Presence:
    """Issues challenges, from any thread, and judges answers, in one. Seconds are those of a monotonic clock."""

    def __init__(
        self,
        pipeline: FacePipeline,
        options: LivenessConfig,
        passive: Passive | None,
        same_person: SamePerson,
        queue_s: float = 0.0,
    ) -> None:
        """queue_s: so long an answer may wait before it is judged, after it came."""
        self._pipeline = pipeline
        self._options = options
        self._passive = passive
        self._same_person = same_person
        self._challenges = Challenges(options, queue_s)
        self._seen = SeenFrames()

    def issue(self, request: req.Challenge, received_s: float) -> ChallengeReply:
        """A challenge that asks for no less than the daemon does of this command. Raises Busy, Malformed."""
        wanted = Mode.OFF if request.mode is None else Mode.named(request.mode)
        mode = (wanted | self._demanded(request.purpose)) or Mode.ACTIVE
        if Mode.PASSIVE in mode and self._passive is None:
            raise Malformed("This daemon has no passive network: ask for `mode` active, or have the operator fetch it.")
        made = self._challenges.issue(request.purpose, request.binding, mode, request.flash, received_s)
        return ChallengeReply(
            made.id,
            tuple(ChallengeStep(step.kind.value, step.colour) for step in made.steps),
            self._options.frames_per_step,
            self._options.frames_per_step * (len(made.steps) + 1),
            self._options.most_step_s,
            self._options.expires_s,
        )

    def told(self, request: req.Step, level: Level, received_s: float) -> StepReply:
        """A step is done, and these are its images. Raises ChallengeUnknown, Malformed, NotLive."""
        if len(request.sha256s) != self._options.frames_per_step:
            each = self._options.frames_per_step
            raise Malformed(f"`sha256s` names {len(request.sha256s)} images; each step has {each}.")
        try:
            self._challenges.tell(request.challenge, request.binding, request.step, request.sha256s, received_s)
        except CheckFailed as failed:
            raise _not_live((failed.finding,), (), level) from None
        return StepReply(request.step)

    def require(self, purpose: str, level: Level) -> None:
        """Raises ChallengeRequired where a command that answers none is not taken. The operator's always is."""
        if level is not Level.OPERATOR and self._demanded(purpose):
            raise ChallengeRequired(f"`{purpose}` is taken only with a challenge here: ask for one with `challenge`")

    def shown(
        self, request: Identify | Verify | Enrol, level: Level, purpose: Purpose, received_s: float
    ) -> tuple[Sighting, ...] | None:
        """What looks straight ahead, of a person found to be live; None where nothing was asked and nothing answered.

        received_s: when the answer came, which is what counts, however long it waited. Raises ChallengeRequired,
        ChallengeUnknown, NotLive, Malformed, TooManyImages, and for a frame that does not show one face what is wrong
        with it, with the frame's place in `detail`.
        """
        response = request.response
        if response is None:
            self.require(request.cmd, level)
            return None
        try:
            challenge = self._challenges.take(response.challenge, request.cmd, response.binding, received_s)
            self._check_counts(challenge, response)
            self._check_hashes(challenge, request.images)
        except CheckFailed as failed:
            raise _not_live((failed.finding,), (), level) from None
        sightings = self._sightings(request.images, purpose)
        passive = self._passive if Mode.PASSIVE in challenge.mode else None
        frames = [
            Frame(seen.given, seen.face, seen.vector, step, seen.sha256)
            for seen, step in zip(sightings, response.frame_steps, strict=True)
        ]
        verdict = judge(frames, challenge.steps, self._options, passive, self._same_person)
        if not verdict.live:
            raise _not_live(verdict.findings, challenge.steps, level)
        return tuple(seen for seen, step in zip(sightings, response.frame_steps, strict=True) if step == 0)

    def _demanded(self, purpose: str) -> Mode:
        return Mode.named({name: getattr(self._options, name) for name in req.PURPOSES}[purpose])

    def _check_counts(self, challenge: Challenge, response: Response) -> None:
        """As many images of each step as the challenge asked for: before the networks look at a single one."""
        each, last = self._options.frames_per_step, len(challenge.steps)
        if max(response.frame_steps) > last:
            raise Malformed(f"`frame_steps` names step {max(response.frame_steps)}; this challenge has {last}.")
        counts = Counter(response.frame_steps)
        for step in range(last + 1):
            if counts[step] > each:
                most = each * (last + 1)
                raise TooManyImages(
                    f"Step {step} has {counts[step]} images, {each} were asked for.",
                    images=len(response.frame_steps),
                    max_images=most,
                )
            if counts[step] < each:
                raise CheckFailed(Finding("missing", False, counts[step], each, step))

    def _check_hashes(self, challenge: Challenge, images: Sequence[bytes]) -> None:
        """The very images that the steps told of, and none that was ever judged."""
        hashes = [hashlib.sha256(image).hexdigest() for image in images]
        told = [each for step in challenge.told for each in step] if challenge.steps else hashes
        if hashes != told:
            same = sum(one == other for one, other in zip(hashes, told, strict=False))
            raise CheckFailed(Finding("told", False, same, len(told)))
        if seen := self._seen.add(hashes):
            raise CheckFailed(Finding("seen", False, seen, 0))

    def _sightings(self, images: Sequence[bytes], purpose: Purpose) -> list[Sighting]:
        found = []
        for place, image in enumerate(images):
            try:
                found.append(self._pipeline.sight(image, purpose))
            except PersonError as error:
                error.detail["frame"] = place
                raise
        return found


def _not_live(findings: Sequence[Finding], steps: Sequence[Step], level: Level) -> NotLive:
    """The first failure in words; the operator is told what every check measured."""
    failed = Verdict(tuple(findings)).first_failure or Finding("missing", False, 0, 1)
    if failed.check == "steps" and failed.step:
        advice = STEP_ADVICE[steps[failed.step - 1].kind]
    else:
        advice = ADVICE[failed.check]
    error = NotLive(advice, check=failed.check, advice=advice)
    if failed.step is not None:
        error.detail["step"] = failed.step
    if level is Level.OPERATOR:
        error.detail["findings"] = [dump_record(finding) for finding in findings]
    return error
