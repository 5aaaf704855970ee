"""The keys of one request, read with their types and ranges. Knows the values of the protocol, not its commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from face_server.errors import Malformed
from face_server.types import SubjectId, subject_key
from face_server.wire.requests import MAX_IDS, Seq
from face_server.wire.strict_json import JsonObject, kind_of

#: Of `seq`, `token` and `cursor`: room for a UUID, a 256-bit key or a subject id in hex, and no more.
MAX_TEXT_CHARS = 256

#: Readers built on doubles (JavaScript) lose integers beyond; a `seq` that comes back changed would be useless.
MAX_EXACT_INTEGER = 2**53 - 1


class Fields:
    """Typed access to a decoded object; every method raises Malformed with a sentence that names the key."""

    def __init__(self, values: JsonObject) -> None:
        self._values = values

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def seq(self) -> Seq:
        value: Any = self._values.get("seq")
        if isinstance(value, (list, dict)):
            raise Malformed(f"`seq` must be a string, a number, a boolean or null, it is {kind_of(value)}.")
        if isinstance(value, str) and len(value) > MAX_TEXT_CHARS:
            raise Malformed(f"`seq` has {len(value)} characters; at most {MAX_TEXT_CHARS} are allowed.")
        if isinstance(value, int) and abs(value) > MAX_EXACT_INTEGER:
            raise Malformed(f"As an integer, `seq` lies between -{MAX_EXACT_INTEGER} and {MAX_EXACT_INTEGER}.")
        checked: Seq = value
        return checked

    def text(self, key: str, max_chars: int = MAX_TEXT_CHARS) -> str:
        value = self._required(key)
        if not isinstance(value, str):
            raise Malformed(f"`{key}` must be a string, it is {kind_of(value)}.")
        if not 1 <= len(value) <= max_chars:
            raise Malformed(f"`{key}` must have 1 to {max_chars} characters, it has {len(value)}.")
        return value

    def optional_text(self, key: str, max_chars: int = MAX_TEXT_CHARS) -> str | None:
        return self.text(key, max_chars) if key in self else None

    def choice(self, key: str, choices: Sequence[str]) -> str:
        value = self.text(key)
        if value not in choices:
            raise Malformed(f"`{key}` must be one of {', '.join(choices)}.")
        return value

    def token(self) -> str | None:
        """ASCII only, so that a constant-time comparison of strings accepts it."""
        token = self.optional_text("token")
        if token is not None and not (token.isascii() and token.isprintable()):
            raise Malformed("`token` must be printable ASCII.")
        return token

    def whole(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """An integer of this range; without a default it must be there."""
        value = self._required(key) if default is None else self._values.get(key, default)
        # To Python True is an integer; to JSON it is not.
        if not isinstance(value, int) or isinstance(value, bool):
            raise Malformed(f"`{key}` must be an integer, it is {kind_of(value)}.")
        if not low <= value <= high:
            raise Malformed(f"`{key}` must lie between {low} and {high}.")
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        value = self._values.get(key, default)
        if not isinstance(value, bool):
            raise Malformed(f"`{key}` must be true or false, it is {kind_of(value)}.")
        return value

    def values(self, key: str) -> list[Any]:
        value = self._required(key)
        if not isinstance(value, list):
            raise Malformed(f"`{key}` must be a list, it is {kind_of(value)}.")
        return value

    def subject_id(self, key: str = "id") -> SubjectId:
        return _subject_id(key, self._required(key))

    def subject_ids(self, key: str = "ids") -> tuple[SubjectId, ...]:
        values = self.values(key)
        if not 1 <= len(values) <= MAX_IDS:
            raise Malformed(f"`{key}` must name 1 to {MAX_IDS} subjects, it names {len(values)}.")
        ids = tuple(_subject_id(key, value) for value in values)
        if len({subject_key(each) for each in ids}) < len(ids):
            raise Malformed(f'`{key}` names a subject twice; 1 and "1" are the same subject.')
        return ids

    def _required(self, key: str) -> Any:
        if key not in self:
            raise Malformed(f"`{key}` is missing.")
        return self._values[key]


def _subject_id(key: str, value: Any) -> SubjectId:
    try:
        subject_key(value)
    except ValueError as error:
        raise Malformed(f"`{key}`: {error}.") from None
    subject_id: SubjectId = value
    return subject_id
