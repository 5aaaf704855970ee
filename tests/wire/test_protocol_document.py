"""PROTOCOL.md is the norm, so what it leaves out does not exist."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

import face_server.wire
from face_server.errors import BY_CODE
from face_server.types import BoundingBox
from face_server.wire import Envelope, FrameDecoder, Limits, parse_request
from face_server.wire import replies as rep
from face_server.wire import requests as req
from face_server.wire.fields import MAX_TEXT_CHARS
from face_server.wire.framing import FIRST_AMBIGUOUS_LENGTH
from face_server.wire.legacy import LEGACY_COMMANDS, MAX_LEGACY_BYTES, MAX_PIC_CHARS
from face_server.wire.messages import MAX_JSON_BYTES, MAX_REQUEST_TOKENS, REQUEST_KEYS
from face_server.wire.strict_json import MAX_DEPTH

DOCUMENT = (Path(face_server.wire.__file__).parent / "PROTOCOL.md").read_text("utf-8")
SECTIONS = {part.split("`", 2)[1]: part for part in re.split(r"^### ", DOCUMENT, flags=re.M) if part.startswith("`")}


def keys_of(hint: Any) -> set[str]:
    """The keys of a reply class and of everything inside it."""
    if is_dataclass(hint) and hint is not BoundingBox:
        hints = get_type_hints(hint)
        return {each.name for each in fields(hint)}.union(*(keys_of(hints[each.name]) for each in fields(hint)))
    return set().union(*map(keys_of, get_args(hint)))


def test_every_command_has_a_section_that_names_its_level() -> None:
    assert SECTIONS.keys() == req.COMMANDS.keys()
    for cmd, kind in req.COMMANDS.items():
        assert SECTIONS[cmd].startswith(f"`{cmd}` ({kind.level.name.lower()}")


@pytest.mark.parametrize("key", sorted(REQUEST_KEYS))
def test_every_request_key_is_described(key: str) -> None:
    assert f"`{key}`" in DOCUMENT


@pytest.mark.parametrize("kind", req.COMMANDS.values())
def test_every_key_of_a_command_is_in_its_section(kind: Any) -> None:
    for key in set(kind.keys) - set(req.IMAGE_KEYS):
        assert f"`{key}`" in SECTIONS[kind.cmd]
    assert bool(set(req.IMAGE_KEYS) & set(kind.keys)) == bool(re.search(r"\d images?\b", SECTIONS[kind.cmd]))


@pytest.mark.parametrize("kind", rep.Reply.__args__)
def test_every_key_of_a_reply_is_described_and_its_own_in_the_section(kind: Any) -> None:
    section = SECTIONS[kind.__name__.removesuffix("Reply").lower()]
    for each in fields(kind):
        assert f"`{each.name}`" in section
    for key in keys_of(kind):
        assert f"`{key}`" in DOCUMENT or f'"{key}":' in DOCUMENT


@pytest.mark.parametrize("error", BY_CODE.values(), ids=str)
def test_every_error_is_in_the_table_with_who_must_act(error: Any) -> None:
    assert f"\n| `{error.code}` | {error.act} |" in DOCUMENT


def test_every_old_command_and_key_is_described() -> None:
    for cmd in LEGACY_COMMANDS:
        assert f'{{"cmd":"{cmd}",' in DOCUMENT
    for key in ("code", "data", "msg", "succ", "boxes", "face_key_point", "pic", "id"):
        assert f'"{key}":' in DOCUMENT


@pytest.mark.parametrize(
    "number",
    [
        f"{MAX_JSON_BYTES:,} bytes",
        f"more than {MAX_REQUEST_TOKENS:,} strings",
        f"deeper than {MAX_DEPTH},",
        f"at most {MAX_TEXT_CHARS} characters",
        f"never as much as {FIRST_AMBIGUOUS_LENGTH:,}",
        f"at most {MAX_LEGACY_BYTES})",
        f"1 to {MAX_PIC_CHARS} characters",
        f"1 to {req.MAX_IDS} subject ids",
        f"1 to {req.MAX_CANDIDATES}, default {req.DEFAULT_CANDIDATES})",
        f"1 to {req.MAX_PAGE}, default {req.DEFAULT_PAGE})",
    ],
)
def test_the_numbers_are_those_of_the_code(number: str) -> None:
    assert number in DOCUMENT


def test_the_worked_example_works() -> None:
    block = re.search(r"```hex\n(.*?)```", DOCUMENT, flags=re.S)
    assert block is not None
    frame = bytes.fromhex("".join(line[:48] for line in block[1].splitlines()))
    (content,) = FrameDecoder(100).feed(frame)
    assert parse_request(content, Limits(1, 4)) == Envelope(1, None, req.Detect(bytes.fromhex("ffd8ffe0")))
