"""The tree of named errors: each knows its wire code and who must act on it. Knows nothing of sockets, JSON or faces.

FaceLoginError
├── WireError                    has a code and an owner; may be sent to a client
│   ├── ClientError              act: client    the program that talks to the daemon is at fault
│   │   ├── Malformed  FrameTooLarge  UnknownCommand  TooManyImages  ImageTooLarge  TimedOut
│   │   └── TlsRequired
│   ├── PersonError              act: person    the one in front of the camera can help
│   │   ├── NoFace  SeveralFaces  FaceTooSmall  TooDark  TooBright  Blurred  TurnedAway  CutOff
│   │   └── ImageUnreadable  DifferentPeople  NotLive
│   ├── WebError                 act: web       the site that asked must decide what to do
│   │   ├── Unauthorised  UnknownSubject  DuplicatePerson  NotTheSubject
│   │   └── ChallengeRequired  ChallengeUnknown
│   └── OperatorError            act: operator  the one who runs the daemon must act
│       ├── Busy  ShuttingDown  StorageFull  GalleryUnavailable  IndexFailed  ModelMismatch  ThresholdUnsupported
│       └── Internal
└── StartupError                 never on the wire: told on the terminal before the daemon answers
    ├── ConfigError  ModelFileError  StoreLocked  StoreDamaged  KeyMismatch  EvaluationError  MigrationError
    ├── UpkeepError
    └── Unreachable              the client's side: no daemon, or it went away

Messages are whole sentences with the numbers in them; `detail` carries the same numbers for programs. No message holds
a vector, a score or image bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar


class FaceLoginError(Exception):
    """Base of every error this project raises on purpose."""


class WireError(FaceLoginError):
    """An error with a name on the wire: `code`, who must `act`, a message and JSON-able `detail`."""

    code: ClassVar[str]
    act: ClassVar[str]

    def __init__(self, message: str, **detail: Any) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail


class ClientError(WireError):
    """The calling program must act."""

    act = "client"


class Malformed(ClientError):
    """The content of a frame is not a request."""

    code = "malformed"


class FrameTooLarge(ClientError):
    """A length prefix exceeds max_frame_bytes. The connection closes."""

    code = "frame_too_large"


class UnknownCommand(ClientError):
    """`cmd` names no command."""

    code = "unknown_command"


class TooManyImages(ClientError):
    """More images than the command or max_images allows."""

    code = "too_many_images"


class ImageTooLarge(ClientError):
    """An image exceeds the byte or pixel cap."""

    code = "image_too_large"


class TimedOut(ClientError):
    """The client did not send a whole request in time. The connection closes."""

    code = "timed_out"


class TlsRequired(ClientError):
    """The client speaks in the clear where TLS is spoken. The connection closes."""

    code = "tls_required"


class PersonError(WireError):
    """The person in front of the camera can help; the message is advice."""

    act = "person"


class NoFace(PersonError):
    """No face was found."""

    code = "no_face"


class SeveralFaces(PersonError):
    """A second face is nearly as large as the first."""

    code = "several_faces"


class FaceTooSmall(PersonError):
    """The face has too few pixels."""

    code = "face_too_small"


class TooDark(PersonError):
    """The face is too dark."""

    code = "too_dark"


class TooBright(PersonError):
    """The face is too bright."""

    code = "too_bright"


class Blurred(PersonError):
    """The face is not sharp."""

    code = "blurred"


class TurnedAway(PersonError):
    """The face does not look at the camera."""

    code = "turned_away"


class CutOff(PersonError):
    """Part of the face lies outside the picture."""

    code = "cut_off"


class ImageUnreadable(PersonError):
    """The bytes are no JPEG, PNG, WebP or BMP picture, or a broken one."""

    code = "image_unreadable"


class DifferentPeople(PersonError):
    """The captures of one enrolment do not show one person."""

    code = "different_people"


class NotLive(PersonError):
    """The images do not show a living person doing what was asked; detail: `check`, `step`, `advice`."""

    code = "not_live"


class WebError(WireError):
    """The site that asked must decide what to do."""

    act = "web"


class Unauthorised(WebError):
    """No token, a wrong token, or a token that may not do this."""

    code = "unauthorised"


class UnknownSubject(WebError):
    """No subject with this id is enrolled."""

    code = "unknown_subject"


class DuplicatePerson(WebError):
    """The person is already enrolled under another id."""

    code = "duplicate_person"


class NotTheSubject(WebError):
    """A new template does not match the subject's own."""

    code = "not_the_subject"


class ChallengeRequired(WebError):
    """The command is taken only as the answer to a challenge."""

    code = "challenge_required"


class ChallengeUnknown(WebError):
    """No such challenge is open, or it is not for this: which of these is not told."""

    code = "challenge_unknown"


class OperatorError(WireError):
    """The one who runs the daemon must act."""

    act = "operator"


class Busy(OperatorError):
    """The queue, the connections or the buffers are full."""

    code = "busy"


class ShuttingDown(OperatorError):
    """The daemon is stopping and takes no new work."""

    code = "shutting_down"


class StorageFull(OperatorError):
    """The disk or the store's configured limit is full; searching goes on."""

    code = "storage_full"


class GalleryUnavailable(OperatorError):
    """The server that keeps the gallery does not answer, or refuses; nobody is let in meanwhile."""

    code = "gallery_unavailable"


class IndexFailed(OperatorError):
    """The index could not be built, or finds too little; the former one stays in use, or exact search."""

    code = "index_failed"


class ModelMismatch(OperatorError):
    """The gallery's templates come from another model or preprocessing."""

    code = "model_mismatch"


class ThresholdUnsupported(OperatorError):
    """The calibration cannot support the configured error rate."""

    code = "threshold_unsupported"


class Internal(OperatorError):
    """An uncaught error; carries only an id that the log has."""

    code = "internal"


class StartupError(FaceLoginError):
    """Told on the terminal; has no name on the wire."""


class ConfigError(StartupError):
    """config.ini is wrong; the message names section, option and remedy."""


class ModelFileError(StartupError):
    """A model file is missing, or its sha256 is not the manifest's."""


class StoreLocked(StartupError):
    """Another process holds the gallery."""


class StoreDamaged(StartupError):
    """The gallery cannot be read as what it should be."""


class KeyMismatch(StartupError):
    """The gallery is sealed with another key than the configured one, or only one of the two has one."""


class EvaluationError(StartupError):
    """An evaluation cannot be made, or not as asked: a pairs file, a folder or its people do not allow it."""


class MigrationError(StartupError):
    """A gallery cannot be migrated to another network, or not as asked."""


class UpkeepError(StartupError):
    """A backup, a restoration, an export, an import or the like cannot be made, or not as asked."""


class Unreachable(StartupError):
    """The daemon does not answer: absent, gone, or silent past the deadline."""


def _leaves(cls: type[WireError]) -> Iterator[type[WireError]]:
    children = cls.__subclasses__()
    if not children:
        yield cls
    for child in children:
        yield from _leaves(child)


#: Every error that can be on the wire, by its code; the client raises from it what the daemon raised.
BY_CODE: dict[str, type[WireError]] = {cls.code: cls for cls in _leaves(WireError)}
