"""Tokens: made once, kept private, and never more than they are for."""

from __future__ import annotations

import hmac
import os
from contextlib import suppress
from pathlib import Path

import pytest

from face_server.access import Access, ensure_token, read_token
from face_server.errors import ConfigError, Unauthorised
from face_server.wire.requests import Level

WEB, OPERATOR = "w" * 64, "o" * 64


def test_a_token_is_made_once_with_mode_0600_and_256_bits(tmp_path: Path) -> None:
    path = tmp_path / "var" / "token.web"
    token = ensure_token(path)
    assert len(bytes.fromhex(token)) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert ensure_token(path) == token == read_token(path)
    assert ensure_token(tmp_path / "another") != token


def test_the_mode_does_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        ensure_token(tmp_path / "token")
    finally:
        os.umask(before)
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o601, 0o666])
def test_a_token_that_everyone_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "token"
    ensure_token(path)
    path.chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_token(path)


def test_the_group_may_read_a_token_as_the_web_server_must(tmp_path: Path) -> None:
    path = tmp_path / "token"
    token = ensure_token(path)
    path.chmod(0o640)
    assert read_token(path) == token


@pytest.mark.parametrize("content", ["", "\n", "short", "x" * 31])
def test_a_token_that_could_be_guessed_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "token"
    path.touch(0o600)
    path.write_text(content)
    with pytest.raises(ConfigError, match="shorter than 32"):
        ensure_token(path)


def test_what_cannot_be_read_or_made_is_told_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file/token"):
        ensure_token(tmp_path / "file" / "token")
    with pytest.raises(ConfigError, match="absent"):
        read_token(tmp_path / "absent")
    (tmp_path / "bytes").touch(0o600)
    (tmp_path / "bytes").write_bytes(b"\xff" * 64)
    with pytest.raises(ConfigError, match="bytes"):
        read_token(tmp_path / "bytes")


@pytest.mark.parametrize(
    ("token", "required", "level"),
    [
        (WEB, Level.WEB, Level.WEB),
        (OPERATOR, Level.WEB, Level.OPERATOR),
        (OPERATOR, Level.OPERATOR, Level.OPERATOR),
    ],
)
def test_a_token_that_suffices_gives_its_own_level(token: str, required: Level, level: Level) -> None:
    assert Access(WEB, OPERATOR).admit(token, required) is level


@pytest.mark.parametrize("token", ["", "x", WEB[:-1], WEB + "w", WEB.upper(), OPERATOR[:-1] + "x", "\ud800", "ü" * 64])
@pytest.mark.parametrize("required", list(Level))
@pytest.mark.parametrize("without_token", [None, Level.WEB])
def test_a_wrong_token_is_refused_in_the_same_words_wherever_and_for_whatever(
    token: str, required: Level, without_token: Level | None
) -> None:
    with pytest.raises(Unauthorised) as caught:
        Access(WEB, OPERATOR, without_token).admit(token, required)
    assert caught.value.message == "the token is not one of this daemon's"
    assert caught.value.detail == {}


def test_no_token_is_refused_unless_the_socket_stands_for_the_web_level() -> None:
    for level in Level:
        with pytest.raises(Unauthorised, match="needs a token"):
            Access(WEB, OPERATOR).admit(None, level)
    assert Access(WEB, OPERATOR, Level.WEB).admit(None, Level.WEB) is Level.WEB
    with pytest.raises(Unauthorised, match="operator"):
        Access(WEB, OPERATOR, Level.WEB).admit(None, Level.OPERATOR)


def test_the_web_token_is_not_the_operators() -> None:
    with pytest.raises(Unauthorised, match="operator"):
        Access(WEB, OPERATOR).admit(WEB, Level.OPERATOR)


def test_one_token_for_both_levels_is_refused() -> None:
    with pytest.raises(ConfigError, match="same token"):
        Access(WEB, WEB)


@pytest.mark.parametrize("token", [WEB, OPERATOR, "x"])
def test_both_tokens_are_compared_in_constant_time_whichever_it_is(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    access, compared, real = Access(WEB, OPERATOR), [], hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    with suppress(Unauthorised):
        access.level_of(token)
    assert compared == [WEB.encode(), OPERATOR.encode()]
