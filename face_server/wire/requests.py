"""What can be asked: one frozen class per command, with its name, the level that may use it and its keys.

Knows no JSON and no bytes of a frame; `messages` turns these into content and back. Images are the bytes of a file as
the camera or a person gave them, and stay out of every repr, since a repr ends up in a log.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar, TypeAlias

from face_server.errors import WireError
from face_server.types import SubjectId

#: Any JSON scalar; echoed in the reply so that a client can tell replies apart.
Seq: TypeAlias = str | int | float | bool | None

MAX_IDS = 1000
MAX_CANDIDATES = 100
DEFAULT_CANDIDATES = 1
MAX_PAGE = 1000
DEFAULT_PAGE = 100

COMMON_KEYS = ("cmd", "seq", "token")
IMAGE_KEYS = ("image_bytes", "images_base64")
RESPONSE_KEYS = ("challenge", "binding", "frame_steps")

#: The commands that may answer a challenge, and what may judge; the names are also those of [liveness].
PURPOSES = ("identify", "verify", "enrol")
MODES = ("passive", "active", "both")
MAX_BINDING_CHARS = 128

#: Images of one answer: no challenge asks for more than 5 steps and the start, of 4 each.
MAX_RESPONSE_IMAGES = 24
MAX_STEP = 5
MAX_STEP_IMAGES = 4


class Level(IntEnum):
    """Who may ask; a higher level may do all that a lower one may."""

    WEB = 1
    OPERATOR = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps on what one request may carry."""

    max_images: int
    max_image_bytes: int


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a challenge: its id, the step each image was taken in (0 before the first), what it is bound to."""

    challenge: str = field(repr=False)
    frame_steps: tuple[int, ...]
    binding: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Ping:
    """Is the daemon there, and can it work?"""

    cmd: ClassVar[str] = "ping"
    level: ClassVar[Level] = Level.WEB
    keys: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True, slots=True)
class Detect:
    """Find every face of one image."""

    cmd: ClassVar[str] = "detect"
    level: ClassVar[Level] = Level.WEB
    keys: ClassVar[tuple[str, ...]] = IMAGE_KEYS
    image: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Challenge:
    """What must a living person do now? `mode` may ask for more than the daemon does; `flash`: the screen may flash."""

    cmd: ClassVar[str] = "challenge"
    level: ClassVar[Level] = Level.WEB
    keys: ClassVar[tuple[str, ...]] = ("purpose", "binding", "mode", "flash")
    purpose: str
    binding: str | None = field(default=None, repr=False)
    mode: str | None = None
    flash: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """The images of one step are taken: their SHA-256 in hex, by which the daemon knows them when they come."""

    cmd: ClassVar[str] = "step"
    level: ClassVar[Level] = Level.WEB
    keys: ClassVar[tuple[str, ...]] = ("challenge", "binding", "step", "sha256s")
    challenge: str = field(repr=False)
    step: int
    sha256s: tuple[str, ...] = field(repr=False)
    binding: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Enrol:
    """Add a template per image to a subject; `replace` swaps all it has, `force` (operator) skips identity checks."""

    cmd: ClassVar[str] = "enrol"
    level: ClassVar[Level] = Level.WEB
    keys: ClassVar[tuple[str, ...]] = ("id", "force", "replace", *RESPONSE_KEYS, *IMAGE_KEYS)
    id: SubjectId
    images: tuple[bytes, ...] = field(repr=False)
    force: bool = False
    replace: bool = False
    response: Response | None = None


@dataclass(frozen=True, slots=True)
class Identify:
    """Who is this? (1:N). Several images of one person are fused into one probe."""

    cmd: ClassVar[str] = "identify"
    level: ClassVar[Level] = Level.WEB
    keys: ClassVar[tuple[str, ...]] = ("limit", *RESPONSE_KEYS, *IMAGE_KEYS)
    images: tuple[bytes, ...] = field(repr=False)
    limit: int = DEFAULT_CANDIDATES
    response: Response | None = None


@dataclass(frozen=True, slots=True)
class Verify:
    """Is this the subject? (1:1). Several images of one person are fused into one probe."""

    cmd: ClassVar[str] = "verify"
    level: ClassVar[Level] = Level.WEB
    keys: ClassVar[tuple[str, ...]] = ("id", *RESPONSE_KEYS, *IMAGE_KEYS)
    id: SubjectId
    images: tuple[bytes, ...] = field(repr=False)
    response: Response | None = None


@dataclass(frozen=True, slots=True)
class Remove:
    """Forget subjects: one asked by `id`, or, when `listed`, those of `ids`.

    An unknown subject is an error when asked by `id`; of `ids` the unknown ones are told in the reply.
    """

    cmd: ClassVar[str] = "remove"
    level: ClassVar[Level] = Level.WEB
    keys: ClassVar[tuple[str, ...]] = ("id", "ids")
    ids: tuple[SubjectId, ...]
    listed: bool = False


@dataclass(frozen=True, slots=True)
class Forget:
    """Remove subjects, and see to it that none of their bytes stay in the gallery's files. Unknown ones are told."""

    cmd: ClassVar[str] = "forget"
    level: ClassVar[Level] = Level.OPERATOR
    keys: ClassVar[tuple[str, ...]] = ("ids",)
    ids: tuple[SubjectId, ...]


@dataclass(frozen=True, slots=True)
class Compare:
    """Do two images show one person?"""

    cmd: ClassVar[str] = "compare"
    level: ClassVar[Level] = Level.OPERATOR
    keys: ClassVar[tuple[str, ...]] = IMAGE_KEYS
    images: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Status:
    """How the daemon is."""

    cmd: ClassVar[str] = "status"
    level: ClassVar[Level] = Level.OPERATOR
    keys: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True, slots=True)
class Subjects:
    """One page of the enrolled subjects; `cursor` is the `next` of the page before."""

    cmd: ClassVar[str] = "subjects"
    level: ClassVar[Level] = Level.OPERATOR
    keys: ClassVar[tuple[str, ...]] = ("limit", "cursor")
    limit: int = DEFAULT_PAGE
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """The templates of one subject, without their vectors."""

    cmd: ClassVar[str] = "subject"
    level: ClassVar[Level] = Level.OPERATOR
    keys: ClassVar[tuple[str, ...]] = ("id",)
    id: SubjectId


@dataclass(frozen=True, slots=True)
class Rebuild:
    """Build the index from the store."""

    cmd: ClassVar[str] = "rebuild"
    level: ClassVar[Level] = Level.OPERATOR
    keys: ClassVar[tuple[str, ...]] = ()


Request: TypeAlias = (
    Ping
    | Detect
    | Challenge
    | Step
    | Enrol
    | Identify
    | Verify
    | Remove
    | Forget
    | Compare
    | Status
    | Subjects
    | Subject
    | Rebuild
)

COMMANDS: dict[str, type[Request]] = {
    kind.cmd: kind
    for kind in (
        Ping,
        Detect,
        Challenge,
        Step,
        Enrol,
        Identify,
        Verify,
        Remove,
        Forget,
        Compare,
        Status,
        Subjects,
        Subject,
        Rebuild,
    )
}


def required_level(request: Request) -> Level:
    """The least level that may ask this: its command's, or more where an argument widens what the command does."""
    match request:
        case Enrol(force=True) | Remove(listed=True):
            return Level.OPERATOR
    return request.level


@dataclass(frozen=True, slots=True)
class Envelope:
    """A request with what surrounds it: `seq` to echo and the token, if one was sent (1 to 256 printable ASCII)."""

    seq: Seq
    token: str | None = field(repr=False)
    request: Request


@dataclass(frozen=True, slots=True)
class Refused:
    """Content that is no request: what to answer, and the `seq` to echo and the `cmd` as far as these were read."""

    seq: Seq
    error: WireError
    cmd: str | None = None
