"""Tokens: who may ask for what. Made at set-up, compared in constant time. Knows no socket and no face.

Two secrets, each a file of its own: the web site's and the operator's. Without a valid one the answer is no, on every
address; a Unix socket may instead let its file mode stand for the web level, never for the operator's.
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from face_server.errors import ConfigError, Unauthorised
from face_server.wire.requests import Level

#: 256 bits from the system's generator, far past guessing over a network.
TOKEN_BYTES = 32


def ensure_token(path: Path) -> str:
    """The token in this file; made with mode 0600 if the file is not there.

    Raises ConfigError as `read_token`, and when the file cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return read_token(path)
    except OSError as error:
        raise ConfigError(f"the token file {path} cannot be made: {error}") from error
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(TOKEN_BYTES) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return read_token(path)


def read_token(path: Path) -> str:
    """The token in this file. Raises ConfigError when it is absent, too short, or readable by everyone."""
    token = read_secret(path, "; the daemon makes it at its first start")
    if len(token) < TOKEN_BYTES:
        raise ConfigError(f"the token in {path} is shorter than {TOKEN_BYTES} characters: remove the file to make one")
    return token


def read_secret(path: Path, hint: str = "") -> str:
    """What stands in this file. Raises ConfigError, with a hint, when it is absent, or readable by everyone."""
    try:
        token = path.read_text(encoding="ascii").strip()
        mode = stat.S_IMODE(path.stat().st_mode)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the token file {path} cannot be read: {error}{hint}") from error
    # Its group may read it (a web server of another user); nobody else may read it, nobody but its owner change it.
    if mode & 0o037:
        raise ConfigError(f"{path} has mode {mode:04o}, so others can read or change it: chmod 600 {path}")
    return token


@dataclass(frozen=True, slots=True)
class Access:
    """The two tokens, and the level of a request that bears none (None: it is refused).

    Raises ConfigError when one token serves for both, since the site would be the operator.
    """

    web_token: str
    operator_token: str
    without_token: Level | None = None

    def __post_init__(self) -> None:
        if hmac.compare_digest(self.web_token, self.operator_token):
            raise ConfigError(
                "[access] web_token_file and operator_token_file hold the same token: name two files, or remove one "
                "of them to have it made anew"
            )

    def level_of(self, token: str | None) -> Level:
        """The level a token gives. Raises Unauthorised; which of the two it was not is not told."""
        if token is None:
            if self.without_token is None:
                raise Unauthorised("this request needs a token; the site's stands in the file [access] names")
            return self.without_token
        given = token.encode("utf-8", "surrogatepass")
        # Both are always compared, so that the time says nothing of which one matched.
        is_web = hmac.compare_digest(given, self.web_token.encode())
        is_operator = hmac.compare_digest(given, self.operator_token.encode())
        if is_operator:
            return Level.OPERATOR
        if is_web:
            return Level.WEB
        raise Unauthorised("the token is not one of this daemon's")

    def admit(self, token: str | None, required: Level) -> Level:
        """The token's level, if it suffices. Raises Unauthorised."""
        level = self.level_of(token)
        if required is Level.OPERATOR and level is not Level.OPERATOR:
            raise Unauthorised("this command needs the operator's token")
        return level
