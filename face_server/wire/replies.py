"""What is answered: one frozen class per command. The classes are the schema: a field is a key on the wire.

Knows no JSON; `records` turns these into JSON and back. A field that is None is left out on the wire: the web token is
told `match` and `id` and no score, and it must not be able to tell that there was one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Literal, TypeAlias, TypeVar

from face_server.errors import WireError
from face_server.types import Candidate, DetectedFace, Quality, SubjectId
from face_server.wire.requests import Seq


@dataclass(frozen=True, slots=True)
class PingReply:
    version: str
    ready: bool


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """The search index, of `subjects`: `sequence` is the store's change number at its build, `overlay` how many
    subjects are new or changed since.

    `built_s` is Unix time in seconds; `error` says why the last build failed. `configured` and `kind`: how searches are
    to go, and how they do. `recall` and what follows are of the Annoy in use: of `probes` it missed `misses`, so with a
    confidence of 95 % it finds `recall_at_least`. `phase` and `done` (0 to 1) are of a running build.
    """

    state: Literal["ready", "building", "absent"]
    subjects: int
    sequence: int
    overlay: int
    built_s: float | None = None
    error: str | None = None
    configured: Literal["auto", "annoy", "exact", "milvus"] | None = None
    kind: Literal["annoy", "exact", "milvus"] | None = None
    recall: float | None = None
    recall_at_least: float | None = None
    probes: int | None = None
    misses: int | None = None
    search_k: int | None = None
    trees: int | None = None
    phase: str | None = None
    done: float | None = None


@dataclass(frozen=True, slots=True)
class ThresholdStatus:
    """Thresholds of a subject with `enrolled` templates against `probes` images; None where it is not supported."""

    enrolled: int
    probes: int
    verify: float | None = None
    identify: float | None = None


@dataclass(frozen=True, slots=True)
class DecisionStatus:
    """The stated error rates and what follows: thresholds of one template against one image, of a search at the present
    number of subjects. A threshold is None where the rate cannot be supported; `fixed`: the operator set it.
    `thresholds` has those of other counts too.
    """

    verify_fmr: float
    identify_fpir: float
    calibration: str
    fixed: bool
    verify_threshold: float | None = None
    identify_threshold: float | None = None
    thresholds: tuple[ThresholdStatus, ...] | None = None


@dataclass(frozen=True, slots=True)
class LoadStatus:
    """What is in hand and how much may be: bytes of requests, and for how long the worker has been at its request."""

    queue_size: int
    max_connections: int
    held_bytes: int
    max_buffered_bytes: int
    busy_s: float


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """Bytes in use in the store, the most that enrolments may bring it to, and what is free on its disk."""

    used_bytes: int
    limit_bytes: int
    free_disk_bytes: int


@dataclass(frozen=True, slots=True)
class StatusReply:
    """`subjects` and `templates` of the store; `queue` and `connections` now, `requests` since the start.

    Like `thresholds`, `load` and `store` are None of an earlier daemon.
    """

    version: str
    uptime_s: float
    model: str
    fingerprint: str
    dimension: int
    subjects: int
    templates: int
    index: IndexStatus
    decision: DecisionStatus
    queue: int
    connections: int
    requests: int
    load: LoadStatus | None = None
    store: StoreStatus | None = None


@dataclass(frozen=True, slots=True)
class DetectReply:
    """Size of the upright picture in pixels, and its faces."""

    width: int
    height: int
    faces: tuple[DetectedFace, ...]


@dataclass(frozen=True, slots=True)
class ChallengeStep:
    """A step to do; `colour` "#rrggbb" of a flash."""

    step: Literal["turn_left", "turn_right", "look_up", "look_down", "come_closer", "flash"]
    colour: str | None = None


@dataclass(frozen=True, slots=True)
class ChallengeReply:
    """`challenge` is answered within `expires_s`, by `frames_per_step` images of each step and of the start; each step
    is done within `step_s`."""

    challenge: str
    steps: tuple[ChallengeStep, ...]
    frames_per_step: int
    max_frames: int
    step_s: float
    expires_s: float


@dataclass(frozen=True, slots=True)
class StepReply:
    """The step whose images are now known by their hashes."""

    step: int


@dataclass(frozen=True, slots=True)
class AcceptedImage:
    """An image of an enrolment that is a template now, or (`duplicate`) already was."""

    template: int
    duplicate: bool
    face: DetectedFace
    quality: Quality
    ok: Literal[True] = True


@dataclass(frozen=True, slots=True)
class RefusedImage:
    """An image of an enrolment that became no template, and why."""

    error: WireError
    ok: Literal[False] = False


EnrolledImage: TypeAlias = AcceptedImage | RefusedImage


@dataclass(frozen=True, slots=True)
class EnrolReply:
    """`templates` is how many the subject has now; `images` in the order they were sent."""

    id: SubjectId
    templates: int
    images: tuple[EnrolledImage, ...]
    live: Literal[True] | None = None


@dataclass(frozen=True, slots=True)
class IdentifyReply:
    """`id` only of a match; `live` where it was judged; the rest only for the operator.

    threshold: of the first candidate; probes: images used.
    """

    match: bool
    id: SubjectId | None = None
    score: float | None = None
    threshold: float | None = None
    probes: int | None = None
    candidates: tuple[Candidate, ...] | None = None
    live: Literal[True] | None = None


@dataclass(frozen=True, slots=True)
class VerifyReply:
    """`score`, `threshold` and `probes` (images used) only for the operator; `live` where it was judged."""

    match: bool
    id: SubjectId
    score: float | None = None
    threshold: float | None = None
    probes: int | None = None
    live: Literal[True] | None = None


@dataclass(frozen=True, slots=True)
class RemoveReply:
    """`templates` is how many were removed."""

    removed: tuple[SubjectId, ...]
    unknown: tuple[SubjectId, ...]
    templates: int


@dataclass(frozen=True, slots=True)
class RewrittenFile:
    """A file of the gallery, by its path on the daemon's machine: its size, and that of the one it took the place of.

    `bytes` is None of one that is not there any more.
    """

    path: str
    former_bytes: int | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ForgetReply:
    """`removed` and `unknown` as of `remove`; `templates` and `crops` removed; `files` that were written anew."""

    removed: tuple[SubjectId, ...]
    unknown: tuple[SubjectId, ...]
    templates: int
    crops: int
    files: tuple[RewrittenFile, ...]


@dataclass(frozen=True, slots=True)
class CompareReply:
    match: bool
    score: float
    distance: float
    threshold: float
    faces: tuple[DetectedFace, DetectedFace]


@dataclass(frozen=True, slots=True)
class SubjectSummary:
    id: SubjectId
    templates: int


@dataclass(frozen=True, slots=True)
class SubjectsReply:
    """`next` is the cursor of the following page; None on the last."""

    subjects: tuple[SubjectSummary, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class TemplateSummary:
    """A template without its vector; created_s is Unix time in seconds."""

    template: int
    created_s: float
    image_sha256: str
    fingerprint: str
    quality: Quality


@dataclass(frozen=True, slots=True)
class SubjectReply:
    id: SubjectId
    templates: tuple[TemplateSummary, ...]


@dataclass(frozen=True, slots=True)
class RebuildReply:
    """How many subjects the new index holds and how long it took."""

    subjects: int
    seconds: float


Reply: TypeAlias = (
    PingReply
    | StatusReply
    | DetectReply
    | ChallengeReply
    | StepReply
    | EnrolReply
    | IdentifyReply
    | VerifyReply
    | RemoveReply
    | ForgetReply
    | CompareReply
    | SubjectsReply
    | SubjectReply
    | RebuildReply
)

R = TypeVar("R", bound=Reply)


@dataclass(frozen=True, slots=True)
class Answer(Generic[R]):
    """What a client gets for one request: the reply it asked for, or the error the daemon named."""

    seq: Seq
    outcome: R | WireError
