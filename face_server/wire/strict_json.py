"""Strict JSON: text that two readers could understand differently, or that costs more to read than to send, is refused.

Knows JSON and no message. Refused as `malformed`: invalid UTF-8, lone surrogates, duplicate keys, NaN and Infinity
(1e999 too), integers of thousands of digits, nesting deeper than MAX_DEPTH, more tokens than the caller allows.

Depth and tokens are counted before the standard reader runs, since it recurses per level and builds an object per
token. Strings and brackets and commas are all that has to be seen for that; the pattern is possessive and lets a string
stay open at the end, so that no text makes it go over the same bytes twice.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Never, TypeAlias

from face_server.errors import Malformed

JsonObject: TypeAlias = dict[str, Any]

MAX_DEPTH = 8

_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[][{},]', re.DOTALL)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_DEPTH_STEP = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}


def encode_json(value: Any) -> bytes:
    """Compact UTF-8. Raises ValueError for a number that JSON does not have, and for a lone surrogate."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")


def decode_object(data: bytes, max_tokens: int) -> JsonObject:
    """The JSON object that `data` is. Raises Malformed."""
    _check_shape(data, max_tokens)
    value = _decode(data)
    if not isinstance(value, dict):
        raise Malformed(f"The message must be a JSON object, it is {kind_of(value)}.")
    # Raw UTF-8 cannot hold a surrogate; only an escape can.
    if b"\\u" in data and _has_lone_surrogate(value):
        raise Malformed("A string holds half of a surrogate pair; escape the whole pair or send UTF-8.")
    return value


def kind_of(value: Any) -> str:
    """What a JSON reader calls this value, for messages."""
    return _KINDS[type(value)]


def shown(text: str) -> str:
    """Text of the peer for a message: short, ASCII, quoted."""
    return ascii(text if len(text) <= 40 else text[:37] + "...")


_KINDS = {
    type(None): "null",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


def _check_shape(data: bytes, max_tokens: int) -> None:
    depth = 0
    for count, token in enumerate(_TOKEN.finditer(data), start=1):
        if count > max_tokens:
            raise Malformed(f"The JSON has more than {max_tokens} strings, brackets and commas.")
        # Only the first byte: token.group() would copy a string of megabytes.
        depth += _DEPTH_STEP.get(data[token.start() : token.start() + 1], 0)
        if depth > MAX_DEPTH:
            raise Malformed(f"The JSON is nested deeper than {MAX_DEPTH} levels.")


def _decode(data: bytes) -> Any:
    try:
        return json.loads(
            data.decode("utf-8"),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_without_duplicates,
        )
    except UnicodeDecodeError as error:
        raise Malformed(f"The JSON is not UTF-8: byte {error.start} cannot be decoded.") from None
    except json.JSONDecodeError as error:
        raise Malformed(
            f"The content does not begin with one JSON object: {error.msg} at character {error.pos}."
        ) from None
    except ValueError:
        # The one other ValueError of json.loads: int() refuses thousands of digits, whose cost is quadratic.
        raise Malformed("The JSON has an integer of too many digits.") from None


def _refuse_constant(name: str) -> Never:
    raise Malformed(f"{name} is not JSON; send a finite number.")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise Malformed(f"The number {shown(text)} is too large; send a finite number.")
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> JsonObject:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for index, key in enumerate(keys) if key in keys[:index])
        raise Malformed(f"The key {shown(twice)} appears twice.")
    return found


def _has_lone_surrogate(value: Any) -> bool:
    """Recursion is bounded by MAX_DEPTH."""
    if isinstance(value, str):
        return not value.isascii() and _LONE_SURROGATE.search(value) is not None
    if isinstance(value, list):
        return any(map(_has_lone_surrogate, value))
    if isinstance(value, dict):
        return any(_has_lone_surrogate(key) or _has_lone_surrogate(inner) for key, inner in value.items())
    return False
