"""Content of a frame <-> typed requests and replies. Nothing outside this package knows the JSON keys.

Content is one JSON object and, where a request carries raw images, a NUL byte and their bytes. This file knows no
sockets, no permissions and no faces. A request is read strictly (an unknown key is an error: it may be a misspelt
`replace`), a reply tolerantly (a later daemon may tell more).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from face_server.errors import Malformed, UnknownCommand, WireError
from face_server.wire.fields import Fields
from face_server.wire.images import join_images, read_images
from face_server.wire.records import dump, dump_record, load, load_error
from face_server.wire.replies import Answer, R, Reply
from face_server.wire.requests import (
    COMMANDS,
    COMMON_KEYS,
    DEFAULT_CANDIDATES,
    DEFAULT_PAGE,
    IMAGE_KEYS,
    MAX_BINDING_CHARS,
    MAX_CANDIDATES,
    MAX_PAGE,
    MAX_RESPONSE_IMAGES,
    MAX_STEP,
    MAX_STEP_IMAGES,
    MODES,
    PURPOSES,
    Challenge,
    Compare,
    Detect,
    Enrol,
    Envelope,
    Forget,
    Identify,
    Level,
    Limits,
    Ping,
    Rebuild,
    Refused,
    Remove,
    Request,
    Response,
    Seq,
    Status,
    Step,
    Subject,
    Subjects,
    Verify,
)
from face_server.wire.strict_json import JsonObject, decode_object, encode_json, shown

#: The longest honest request without base64 is `remove` of 1,000 ids of 128 bytes, each byte escaped: 0.8 MB.
MAX_JSON_BYTES = 1024 * 1024

#: The same request has 2,007 strings, brackets and commas. This bounds the time spent on reading, with base64 too.
MAX_REQUEST_TOKENS = 4096

#: A page of 1,000 subjects has 7,000, a picture of a thousand faces 40,000; a client need not doubt its daemon more.
MAX_REPLY_TOKENS = 1_000_000

#: Says by a WireError that the bearer of this token may not ask at this level.
Admit: TypeAlias = Callable[[str | None, Level], object]

SHA256 = re.compile("[0-9a-f]{64}")

#: Every key that a request may have.
REQUEST_KEYS = frozenset(COMMON_KEYS).union(*(kind.keys for kind in COMMANDS.values()))


def parse_request(content: bytes, limits: Limits, admit: Admit = lambda token, level: None) -> Envelope | Refused:
    """The request that the content of a frame is, or what to answer when it is none. Raises nothing.

    `admit` is asked, with the token and the least level of the command, before an image is copied or decoded; a
    WireError that it raises is the answer.
    """
    seq: Seq = None
    cmd: str | None = None
    try:
        head, tail = _split(content)
        fields = Fields(head)
        seq = fields.seq()
        kind = _command(head, fields)
        cmd = kind.cmd
        _check_keys(kind, head, tail)
        token = fields.token()
        admit(token, kind.level)
        return Envelope(seq, token, _READERS[kind](_Source(fields, tail, limits)))
    except WireError as error:
        return Refused(seq, error, cmd)


def encode_request(envelope: Envelope) -> bytes:
    """The content of a frame, images raw. Raises ValueError for text that UTF-8 cannot hold; checks nothing else."""
    head: JsonObject = {"cmd": envelope.request.cmd}
    if envelope.seq is not None:
        head["seq"] = envelope.seq
    if envelope.token is not None:
        head["token"] = envelope.token
    head |= _arguments(envelope.request)
    images = _images_of(envelope.request)
    if not images:
        return encode_json(head)
    head["image_bytes"] = [len(image) for image in images]
    return encode_json(head) + join_images(images)


def encode_reply(seq: Seq, reply: Reply) -> bytes:
    """The content of a frame. Raises ValueError for a number that is not finite."""
    return encode_json({"ok": True, "seq": seq, **dump_record(reply)})


def encode_error(seq: Seq, error: WireError) -> bytes:
    """The content of a frame that refuses a request."""
    return encode_json({"ok": False, "seq": seq, "error": dump(error)})


def parse_reply(content: bytes, kind: type[R]) -> Answer[R]:
    """The reply of the class that belongs to the request, or the error that the daemon named, as a value.

    Raises Malformed when the content is neither: then the peer does not speak this protocol.
    """
    head = decode_object(content, MAX_REPLY_TOKENS)
    seq = Fields(head).seq()
    ok = load(bool, head.get("ok"), "ok")
    return Answer(seq, load(kind, head, "reply") if ok else load_error(head.get("error")))


def _split(content: bytes) -> tuple[JsonObject, memoryview | None]:
    """The object, and what follows the NUL; None where there is no NUL."""
    if not content:
        raise Malformed("The frame is empty; a request is a JSON object.")
    end = content.find(b"\0")
    data = content if end < 0 else content[:end]
    if len(data) > MAX_JSON_BYTES and b'"images_base64"' not in data:
        raise Malformed(f"The JSON has {len(data)} bytes; without images_base64 at most {MAX_JSON_BYTES} are allowed.")
    return decode_object(data, MAX_REQUEST_TOKENS), None if end < 0 else memoryview(content)[end + 1 :]


def _command(head: JsonObject, fields: Fields) -> type[Request]:
    cmd = fields.text("cmd")
    if cmd not in COMMANDS:
        raise UnknownCommand(f"There is no command {shown(cmd)}; there are {', '.join(COMMANDS)}.")
    return COMMANDS[cmd]


def _check_keys(kind: type[Request], head: JsonObject, tail: memoryview | None) -> None:
    for key in head:
        if key not in REQUEST_KEYS:
            raise Malformed(f"There is no key {shown(key)}.")
        if key not in kind.keys and key not in COMMON_KEYS:
            raise Malformed(f"`{key}` does not belong to `{kind.cmd}`.")
    if tail is not None and not set(IMAGE_KEYS) & set(kind.keys):
        raise Malformed(f"`{kind.cmd}` carries no images; a NUL byte and {len(tail)} bytes follow its JSON.")


class _Source:
    """What the arguments of one request are read from."""

    def __init__(self, fields: Fields, tail: memoryview | None, limits: Limits) -> None:
        self.fields = fields
        self._tail = tail
        self._limits = limits

    def images(self, least: int, most: int | None = None) -> tuple[bytes, ...]:
        if most is None:
            most = self._limits.max_images
            if "challenge" in self.fields:
                most = max(most, MAX_RESPONSE_IMAGES)
        return read_images(self.fields, self._tail, self._limits, least, most)

    def binding(self) -> str | None:
        return self.fields.optional_text("binding", MAX_BINDING_CHARS)

    def response(self, images: int) -> Response | None:
        """The answer to a challenge in so many images, where there is one."""
        if "challenge" not in self.fields:
            for key in ("frame_steps", "binding"):
                if key in self.fields:
                    raise Malformed(f"`{key}` belongs to a `challenge`, and there is none.")
            return None
        steps = self.fields.values("frame_steps")
        for step in steps:
            if not isinstance(step, int) or isinstance(step, bool) or step < 0:
                raise Malformed("`frame_steps` must hold integers from 0.")
        if len(steps) != images:
            raise Malformed(f"`frame_steps` names the steps of {len(steps)} images, {images} came.")
        if steps != sorted(steps):
            raise Malformed("`frame_steps` must not descend: images are sent in the order they were taken.")
        return Response(self.fields.text("challenge"), tuple(steps), self.binding())

    def step_taken(self) -> Step:
        hashes = self.fields.values("sha256s")
        if not 1 <= len(hashes) <= MAX_STEP_IMAGES:
            raise Malformed(f"`sha256s` has {len(hashes)} entries; a step has 1 to {MAX_STEP_IMAGES} images.")
        for each in hashes:
            if not isinstance(each, str) or SHA256.fullmatch(each) is None:
                raise Malformed("`sha256s` must hold strings of 64 hex digits, in lower case.")
        step = self.fields.whole("step", 0, MAX_STEP)
        return Step(self.fields.text("challenge"), step, tuple(hashes), self.binding())

    def removal(self) -> Remove:
        if ("id" in self.fields) == ("ids" in self.fields):
            raise Malformed("`remove` takes either `id` or `ids`.")
        if "id" in self.fields:
            return Remove((self.fields.subject_id(),))
        return Remove(self.fields.subject_ids(), listed=True)


_READERS: dict[type[Request], Callable[[_Source], Request]] = {
    Ping: lambda source: Ping(),
    Detect: lambda source: Detect(source.images(1, 1)[0]),
    Challenge: lambda source: Challenge(
        source.fields.choice("purpose", PURPOSES),
        source.binding(),
        source.fields.choice("mode", MODES) if "mode" in source.fields else None,
        source.fields.flag("flash", True),
    ),
    Step: lambda source: source.step_taken(),
    Enrol: lambda source: Enrol(
        source.fields.subject_id(),
        images := source.images(1),
        source.fields.flag("force"),
        source.fields.flag("replace"),
        source.response(len(images)),
    ),
    Identify: lambda source: Identify(
        images := source.images(1),
        source.fields.whole("limit", 1, MAX_CANDIDATES, DEFAULT_CANDIDATES),
        source.response(len(images)),
    ),
    Verify: lambda source: Verify(source.fields.subject_id(), images := source.images(1), source.response(len(images))),
    Remove: lambda source: source.removal(),
    Forget: lambda source: Forget(source.fields.subject_ids()),
    Compare: lambda source: Compare(source.images(2, 2)),
    Status: lambda source: Status(),
    Subjects: lambda source: Subjects(
        source.fields.whole("limit", 1, MAX_PAGE, DEFAULT_PAGE), source.fields.optional_text("cursor")
    ),
    Subject: lambda source: Subject(source.fields.subject_id()),
    Rebuild: lambda source: Rebuild(),
}


def _arguments(request: Request) -> JsonObject:
    """The keys of a command other than its images, defaults left out."""
    match request:
        case Challenge(purpose=purpose, binding=binding, mode=mode, flash=flash):
            asked = {"purpose": purpose, "binding": binding, "mode": mode}
            return {key: value for key, value in asked.items() if value is not None} | (
                {} if flash else {"flash": False}
            )
        case Step(challenge=challenge, step=step, sha256s=sha256s, binding=binding):
            tied = {} if binding is None else {"binding": binding}
            return {"challenge": challenge, **tied, "step": step, "sha256s": list(sha256s)}
        case Enrol(id=subject, force=force, replace=replace, response=response):
            flags = ({"force": True} if force else {}) | ({"replace": True} if replace else {})
            return {"id": subject} | flags | _answer(response)
        case Verify(id=subject, response=response):
            return {"id": subject} | _answer(response)
        case Subject(id=subject):
            return {"id": subject}
        case Remove(ids=ids, listed=True) | Forget(ids=ids):
            return {"ids": list(ids)}
        case Remove(ids=ids):
            return {"id": ids[0]}
        case Identify(limit=limit, response=response):
            return ({"limit": limit} if limit != DEFAULT_CANDIDATES else {}) | _answer(response)
        case Subjects(limit=limit, cursor=cursor):
            page = {"limit": limit} if limit != DEFAULT_PAGE else {}
            return page | ({"cursor": cursor} if cursor is not None else {})
    return {}


def _answer(response: Response | None) -> JsonObject:
    if response is None:
        return {}
    binding = {} if response.binding is None else {"binding": response.binding}
    return {"challenge": response.challenge, **binding, "frame_steps": list(response.frame_steps)}


def _images_of(request: Request) -> tuple[bytes, ...]:
    match request:
        case Detect(image=image):
            return (image,)
        case Enrol(images=images) | Identify(images=images) | Verify(images=images) | Compare(images=images):
            return images
    return ()
