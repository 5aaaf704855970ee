"""How images travel in a request: raw after the JSON, or as base64 within it. Knows byte counts, not pictures.

Counts and sizes are checked before anything is copied or decoded.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Any

from face_server.errors import ImageTooLarge, Malformed, TooManyImages
from face_server.wire.fields import Fields
from face_server.wire.requests import Limits
from face_server.wire.strict_json import kind_of

#: `data:image/jpeg;base64,` and the like; canvas.toDataURL() adds no parameter that would need more.
MAX_DATA_PREFIX_CHARS = 128


def read_images(fields: Fields, tail: memoryview | None, limits: Limits, least: int, most: int) -> tuple[bytes, ...]:
    """The `least` to `most` images of a request; `tail` is what follows the NUL, None where there is no NUL.

    Raises TooManyImages, ImageTooLarge, Malformed.
    """
    if "images_base64" in fields:
        if "image_bytes" in fields or tail is not None:
            raise Malformed("Send images either raw, described by `image_bytes`, or as `images_base64`, not both.")
        texts = fields.values("images_base64")
        _check_count(len(texts), least, most)
        return tuple([_from_base64(text, limits.max_image_bytes) for text in texts])
    sizes = fields.values("image_bytes")
    _check_count(len(sizes), least, most)
    return _cut(b"" if tail is None else tail, _checked_sizes(sizes, limits.max_image_bytes))


def join_images(images: Iterable[bytes]) -> bytes:
    """What follows the JSON of a request with these images."""
    return b"\0" + b"".join(images)


def _check_count(count: int, least: int, most: int) -> None:
    wanted = str(least) if least == most else f"{least} to {most}"
    if count < least:
        raise Malformed(f"This command takes {wanted} image(s), {count} came.")
    if count > most:
        raise TooManyImages(f"This command takes {wanted} image(s), {count} came.", images=count, max_images=most)


def _checked_sizes(sizes: Sequence[Any], max_image_bytes: int) -> list[int]:
    for size in sizes:
        if not isinstance(size, int) or isinstance(size, bool):
            raise Malformed(f"`image_bytes` must hold integers, one is {kind_of(size)}.")
        _check_size(size, max_image_bytes)
    return list(sizes)


def _check_size(size: int, max_image_bytes: int) -> None:
    if size < 1:
        raise Malformed("An image has at least one byte.")
    if size > max_image_bytes:
        raise ImageTooLarge(f"An image may have at most {max_image_bytes} bytes.", max_image_bytes=max_image_bytes)


def _cut(tail: bytes | memoryview, sizes: list[int]) -> tuple[bytes, ...]:
    if sum(sizes) != len(tail):
        raise Malformed(
            f"`image_bytes` announces {sum(sizes)} bytes of images, {len(tail)} follow the JSON.",
            announced=sum(sizes),
            received=len(tail),
        )
    return tuple([bytes(tail[start:end]) for start, end in pairwise(accumulate(sizes, initial=0))])


def _from_base64(text: Any, max_image_bytes: int) -> bytes:
    if not isinstance(text, str):
        raise Malformed(f"`images_base64` must hold strings, one is {kind_of(text)}.")
    text = _without_data_prefix(text)
    # At most two "=" pad a text; more are not base64 and must not make it look shorter than it is.
    _check_size(len(text) * 3 // 4 - text[-2:].count("="), max_image_bytes)
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise Malformed(f"`images_base64` holds text that is not base64: {error}.") from None


def _without_data_prefix(text: str) -> str:
    if not text.startswith("data:"):
        return text
    comma = text.find(",", 0, MAX_DATA_PREFIX_CHARS)
    if not text[: max(comma, 0)].endswith(";base64"):
        raise Malformed("A data: prefix of `images_base64` must be `data:<type>;base64,`.")
    return text[comma + 1 :]
