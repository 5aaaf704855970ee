"""Frozen dataclasses <-> JSON values, by their type hints. Knows the shared nouns' shapes, no message.

Three shapes are not simply "a field is a key": a box is `[x1,y1,x2,y2]`, an error is `{code, act, message, detail}`,
and pixels have fewer decimals than other numbers. A None field is left out. Reading ignores keys that no field has, so
that a later daemon may tell more, and refuses missing keys and wrong types as Malformed.
"""

from __future__ import annotations

from dataclasses import astuple, fields, is_dataclass
from functools import cache
from numbers import Integral, Real
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

from face_server.errors import BY_CODE, Internal, Malformed, WireError
from face_server.types import BoundingBox, DetectedFace
from face_server.wire.strict_json import JsonObject, kind_of, shown

#: A hundredth of a pixel is finer than any detector.
PIXEL_DECIMALS = 2
#: Of scores, confidences and seconds: float32 carries seven digits.
NUMBER_DECIMALS = 6

_Box = tuple[float, float, float, float]


def dump(value: Any, decimals: int = NUMBER_DECIMALS) -> Any:
    """The JSON value of a record, an error, a tuple or a scalar (NumPy scalars too). Raises TypeError for others."""
    match value:
        case None | bool() | str():
            return value
        case Integral():
            return int(value)
        case Real():
            return round(float(value), decimals)
        case tuple():
            return [dump(each, decimals) for each in value]
        case BoundingBox():
            return dump(astuple(value), PIXEL_DECIMALS)
        case DetectedFace(box, landmarks, confidence):
            return {"box": dump(box), "landmarks": dump(landmarks, PIXEL_DECIMALS), "confidence": dump(confidence)}
        case WireError():
            return {"code": value.code, "act": value.act, "message": value.message, "detail": value.detail}
    return dump_record(value)


def dump_record(record: Any) -> JsonObject:
    """The JSON object of a dataclass."""
    values = {each.name: getattr(record, each.name) for each in fields(record)}
    return {name: dump(value) for name, value in values.items() if value is not None}


def load(hint: Any, value: Any, name: str) -> Any:
    """A value of the hinted type from its JSON; `name` is what messages call it. Raises Malformed."""
    if hint in (bool, int, str):
        return _scalar(hint, value, name)
    if hint is float:
        return _number(value, name)
    if hint is BoundingBox:
        return BoundingBox(*load(_Box, value, name))
    if hint is WireError:
        return load_error(value, name)
    if is_dataclass(hint):
        return _record(hint, value, name)
    if get_origin(hint) is tuple:
        return _tuple(get_args(hint), value, name)
    if get_origin(hint) is Literal:
        return _literal(get_args(hint), value, name)
    return _union(get_args(hint), value, name)


def load_error(value: Any, name: str = "error") -> WireError:
    """The error that the daemon named, as its class; a code that this version does not know is Internal and says so."""
    found = _object(value, name)
    code = _scalar(str, found.get("code"), f"{name}.code")
    message = _scalar(str, found.get("message"), f"{name}.message")
    kind = BY_CODE.get(code)
    if kind is None:
        kind, message = Internal, f"The daemon answered with an unknown error {shown(code)}: {message}"
    error = kind(message)
    # Not as keywords: a later daemon's detail may hold any key, `message` too.
    error.detail = _object(found.get("detail", {}), f"{name}.detail")
    return error


def _scalar(kind: type, value: Any, name: str) -> Any:
    # Exactly this type: to Python True is an integer; to JSON it is not.
    if type(value) is not kind:
        raise Malformed(f"`{name}` must be {kind_of(kind())}, it is {kind_of(value)}.")
    return value


def _number(value: Any, name: str) -> float:
    if type(value) not in (int, float):
        raise Malformed(f"`{name}` must be a number, it is {kind_of(value)}.")
    try:
        return float(value)
    except OverflowError:
        raise Malformed(f"`{name}` is too large for a number.") from None


def _object(value: Any, name: str) -> JsonObject:
    return cast(JsonObject, _scalar(dict, value, name))


def _record(kind: Any, value: Any, name: str) -> Any:
    found = _object(value, name)
    hints = _hints(kind)
    # A field that may be absent is one whose hint allows None.
    for key, hint in hints.items():
        if key not in found and type(None) not in get_args(hint):
            raise Malformed(f"`{name}` has no `{key}`.")
    return kind(**{key: load(hint, found.get(key), f"{name}.{key}") for key, hint in hints.items()})


@cache
def _hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {each.name: hints[each.name] for each in fields(kind)}


def _tuple(hints: tuple[Any, ...], value: Any, name: str) -> tuple[Any, ...]:
    values = _scalar(list, value, name)
    if hints[-1] is Ellipsis:
        hints = (hints[0],) * len(values)
    if len(values) != len(hints):
        raise Malformed(f"`{name}` must have {len(hints)} elements, it has {len(values)}.")
    return tuple([load(hint, each, f"{name}[{at}]") for at, (hint, each) in enumerate(zip(hints, values, strict=True))])


def _literal(allowed: tuple[Any, ...], value: Any, name: str) -> Any:
    if not any(type(value) is type(each) and value == each for each in allowed):
        raise Malformed(f"`{name}` must be one of {', '.join(map(repr, allowed))}.")
    return value


def _union(hints: tuple[Any, ...], value: Any, name: str) -> Any:
    """The first alternative that reads the value; a literal `ok` tells records apart."""
    if value is None and type(None) in hints:
        return None
    refusals = []
    for hint in hints:
        if hint is type(None):
            continue
        try:
            return load(hint, value, name)
        except Malformed as error:
            refusals.append(error.message)
    raise Malformed(" Or: ".join(refusals))
