"""What the fuzzer feeds: framing, messages, image headers. Each takes any bytes and raises when a promise is broken.

Knows no fuzzer: the same functions run under atheris (scripts/fuzz) and, on their seeds, in the tests.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from face_server.errors import ImageTooLarge, ImageUnreadable, WireError
from face_server.vision.imaging import decode
from face_server.wire.framing import FrameDecoder, encode_frame
from face_server.wire.legacy import LegacyFrameDecoder, parse_legacy_request
from face_server.wire.messages import Refused, encode_error, encode_reply, encode_request, parse_reply, parse_request
from face_server.wire.replies import IdentifyReply, PingReply, StatusReply
from face_server.wire.requests import Envelope, Limits

ROOT = Path(__file__).parents[2]
MAX_FRAME_BYTES = 4096
LIMITS = Limits(max_images=3, max_image_bytes=1000)
#: A thumbnail's; a fuzzer gains nothing from waiting for pixels.
MAX_PIXELS = 1 << 16


def framing(data: bytes) -> None:
    """However the bytes are cut, the same frames come out and the same error; nothing over the cap is kept."""
    if not data:
        return
    step, stream = 1 + data[0] % 64, data[1:]
    for decoder in (lambda: FrameDecoder(MAX_FRAME_BYTES), LegacyFrameDecoder):
        whole = _fed(decoder(), [stream])
        pieces = _fed(decoder(), [stream[at : at + step] for at in range(0, len(stream), step)])
        if whole != pieces:
            raise AssertionError(f"cut into {step}: {pieces} and not {whole}")


def _fed(decoder: FrameDecoder, pieces: list[bytes]) -> tuple[list[bytes], str]:
    frames: list[bytes] = []
    try:
        for piece in pieces:
            while made := decoder.feed(piece):
                frames += made
                piece = b""
            if decoder.buffered > MAX_FRAME_BYTES + 10_000:
                raise AssertionError(f"{decoder.buffered} bytes are kept")
    except WireError as error:
        return frames, error.code
    return frames, ""


def messages(data: bytes) -> None:
    """A request is read or refused by name; what is read, written again and read is the same; replies likewise."""
    parsed = parse_request(data, LIMITS)
    if isinstance(parsed, Refused):
        json.loads(encode_error(parsed.seq, parsed.error))
    else:
        again = parse_request(encode_request(parsed), LIMITS)
        if not isinstance(again, Envelope) or again != parsed:
            raise AssertionError(f"{parsed} became {again}")
    for read in (parse_legacy_request, *(_reply_of(kind) for kind in (PingReply, IdentifyReply, StatusReply))):
        try:
            read(data)
        except WireError as error:
            json.loads(encode_error(None, error))


def _reply_of(kind: type[PingReply | IdentifyReply | StatusReply]) -> Callable[[bytes], object]:
    def read(data: bytes) -> object:
        answer = parse_reply(data, kind)
        return answer if isinstance(answer.outcome, WireError) else encode_reply(answer.seq, answer.outcome)

    return read


def images(data: bytes) -> None:
    """A picture within the cap, or one of two named errors."""
    try:
        picture = decode(data, MAX_PIXELS)
    except (ImageUnreadable, ImageTooLarge):
        return
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.shape[0] * picture.shape[1] > MAX_PIXELS:
        raise AssertionError(f"a picture of {picture.shape}")


TARGETS: dict[str, Callable[[bytes], None]] = {"framing": framing, "messages": messages, "images": images}


def seeds(target: str) -> Iterator[bytes]:
    """Where the fuzzer begins: the golden frames, and small pictures of every format."""
    if target == "images":
        yield from _pictures()
        return
    for file in ("requests", "replies", "errors", "legacy"):
        for entry in json.loads((ROOT / "tests" / "vectors" / f"{file}.json").read_text("utf-8")):
            frame = bytes.fromhex(entry["hex"])
            yield b"\7" + frame if target == "framing" else frame[4:]
    if target == "framing":
        yield b"\3" + encode_frame(b"{}") * 3 + b"\xff\xff\xff\xff"


def _pictures() -> Iterator[bytes]:
    from io import BytesIO

    from PIL import Image

    gradient = Image.linear_gradient("L").resize((40, 30))
    for mode in ("L", "RGB", "RGBA", "P", "1", "I;16", "CMYK"):
        picture = gradient.convert("I").convert(mode) if mode == "I;16" else gradient.convert(mode)
        for form, options in (("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {}), ("BMP", {})):
            buffer = BytesIO()
            try:
                picture.save(buffer, form, **options)
            except OSError:
                continue
            yield buffer.getvalue()
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = BytesIO()
    gradient.save(buffer, "JPEG", exif=exif)
    yield buffer.getvalue()
