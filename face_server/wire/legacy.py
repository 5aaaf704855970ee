"""The first-generation dialect: a length of four ASCII digits, JSON without images, replies of its own shape.

For old clients only; it has no token and no `seq`. Knows no files: `pic` stays the text that was sent, and whoever
opens it decides what it may name. Old clients cannot be changed, so keys that are not known are passed over; all else
is read as strictly as the modern dialect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from face_server.errors import Malformed, UnknownCommand, WireError
from face_server.types import DetectedFace, SubjectId
from face_server.wire.fields import Fields
from face_server.wire.framing import FrameDecoder
from face_server.wire.records import dump
from face_server.wire.strict_json import decode_object, encode_json, shown

#: The most that four digits can say.
MAX_LEGACY_BYTES = 9999

#: PATH_MAX of Linux; what is longer names no file.
MAX_PIC_CHARS = 4096

#: A request has a handful; 9,999 bytes cannot cost much anyway.
_MAX_TOKENS = 1024

_REPLY_TOO_LONG = f"The reply is longer than {MAX_LEGACY_BYTES} bytes, which this dialect cannot carry."


class LegacyFrameDecoder(FrameDecoder):
    """As FrameDecoder; a length that is not four digits raises Malformed and breaks the decoder."""

    def __init__(self, max_frame_bytes: int = MAX_LEGACY_BYTES) -> None:
        super().__init__(max_frame_bytes)

    def _length_of(self, header: bytes) -> int:
        # Of bytes, isdigit() means ASCII digits only; int() alone would take " 12 ", "+12" and "1_2".
        if not header.isdigit():
            raise Malformed(f"The length must be four ASCII digits, it is {header!r}.")
        return int(header)


@dataclass(frozen=True, slots=True)
class LegacySearch:
    """The nearest subjects to the face of a picture."""

    cmd: ClassVar[str] = "search"
    pic: str


@dataclass(frozen=True, slots=True)
class LegacyAddIndex:
    """Make the face of a picture the one template of a subject."""

    cmd: ClassVar[str] = "add_index"
    id: SubjectId
    pic: str


@dataclass(frozen=True, slots=True)
class LegacyFaceDetect:
    """Find every face of a picture."""

    cmd: ClassVar[str] = "face_detect"
    pic: str


LegacyRequest: TypeAlias = LegacySearch | LegacyAddIndex | LegacyFaceDetect

LEGACY_COMMANDS = (LegacySearch.cmd, LegacyAddIndex.cmd, LegacyFaceDetect.cmd)


@dataclass(frozen=True, slots=True)
class LegacySearchReply:
    """Subjects and their Euclidean distances to the probe, nearest first; equally many of both."""

    ids: tuple[SubjectId, ...]
    distances: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class LegacyAddIndexReply:
    """It is done."""


@dataclass(frozen=True, slots=True)
class LegacyFaceDetectReply:
    """The faces of a picture, in pixels."""

    faces: tuple[DetectedFace, ...]


LegacyReply: TypeAlias = LegacySearchReply | LegacyAddIndexReply | LegacyFaceDetectReply


def parse_legacy_request(content: bytes) -> LegacyRequest:
    """Raises Malformed or UnknownCommand; the connection may stay open, the framing is intact."""
    if not content:
        raise Malformed("The frame is empty; a request is a JSON object.")
    fields = Fields(decode_object(content, _MAX_TOKENS))
    match cmd := fields.text("cmd"):
        case LegacySearch.cmd:
            return LegacySearch(_pic(fields))
        case LegacyAddIndex.cmd:
            return LegacyAddIndex(fields.subject_id(), _pic(fields))
        case LegacyFaceDetect.cmd:
            return LegacyFaceDetect(_pic(fields))
    raise UnknownCommand(f"There is no command {shown(cmd)}; there are {', '.join(LEGACY_COMMANDS)}.")


def encode_legacy_frame(content: bytes) -> bytes:
    """The content with its length in front. Raises ValueError when four digits cannot say it."""
    if len(content) > MAX_LEGACY_BYTES:
        raise ValueError(_REPLY_TOO_LONG)
    return b"%04d" % len(content) + content


def encode_legacy_reply(reply: LegacyReply) -> bytes:
    """The content of a frame; an error in its place when it would not fit one."""
    content = encode_json({"code": 0, "data": _data(reply)})
    return content if len(content) <= MAX_LEGACY_BYTES else _error(_REPLY_TOO_LONG)


def encode_legacy_error(error: WireError) -> bytes:
    """The content of a frame that refuses a request: the sentence alone, the dialect has no codes."""
    content = _error(error.message)
    return content if len(content) <= MAX_LEGACY_BYTES else _error(error.code)


def _error(message: str) -> bytes:
    return encode_json({"code": 1, "msg": message})


def _pic(fields: Fields) -> str:
    pic = fields.text("pic", MAX_PIC_CHARS)
    if "\0" in pic:
        raise Malformed("`pic` must not hold a NUL character.")
    return pic


def _data(reply: LegacyReply) -> Any:
    match reply:
        case LegacySearchReply(ids, distances):
            return [dump(ids), dump(distances)]
        case LegacyAddIndexReply():
            return {"succ": 1}
        case LegacyFaceDetectReply(faces):
            found = [dump(face) for face in faces]
            return {
                "boxes": [[*face["box"], face["confidence"]] for face in found],
                "face_key_point": [face["landmarks"] for face in found],
            }
