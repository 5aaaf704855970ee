"""Templates and crops sealed at rest: AES-256-GCM under a key from a file. Owns the key, its id, and what a sealed
record looks like; may not know LMDB or what is in a record. The only module that imports cryptography.

A sealed record:

    u8   83, "S": no record of record.py or crop_record.py begins so
    u8   1, the layout
    12 bytes, the nonce
    the record, encrypted, and 16 bytes by which any change of it shows (GCM's tag)

The tag is also over where the record belongs: schema, key id, fingerprint, database, and the record's own key, which
holds subject and template id. A record that was moved, or is of another store's model, is as wrong as a flipped bit.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from face_server.errors import ConfigError, StoreDamaged

#: Of a key: AES-256.
KEY_BYTES = 32
#: Drawn anew for each record. NIST SP 800-38D, 8.3, allows 2**32 records to a key with nonces so drawn.
_NONCE_BYTES = 12
_HEAD = bytes((ord("S"), 1))


class StoreKey:
    """A key of 32 bytes and the file it came from. key_id: 32 hex digits that tell one key from another and no more."""

    def __init__(self, secret: bytes, path: Path) -> None:
        self._secret, self.path = secret, path
        # A keyed hash of a constant: who knows it learns nothing of a random key.
        self.key_id = hashlib.blake2b(b"face-login store key", key=secret, digest_size=16).hexdigest()

    def __repr__(self) -> str:
        return f"StoreKey(key_id={self.key_id!r}, path={self.path!r})"

    @classmethod
    def read(cls, path: Path) -> Self:
        """The key in this file. Raises ConfigError when it is absent, of another length, or others may read it."""
        try:
            with path.open("rb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                secret = file.read(KEY_BYTES + 1)
        except OSError as error:
            raise ConfigError(
                f"the key file {path} cannot be read: {error.strerror}; put it back from where its copy is kept, or "
                "make one with face-server keygen if the gallery never had one"
            ) from error
        if mode & 0o077:
            raise ConfigError(f"{path} has mode {mode:04o}, so others can read or change it: chmod 600 {path}")
        if len(secret) != KEY_BYTES:
            raise ConfigError(f"{path} is no key: it must hold {KEY_BYTES} bytes, as face-server keygen writes them")
        return cls(secret, path)

    @classmethod
    def make(cls, path: Path) -> Self:
        """Draw a key into a new file of mode 0600, durably. Raises ConfigError, also for a file that is there."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(os.urandom(KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            raise ConfigError(
                f"{path} is there already, and a key is never overwritten: what is sealed with it would be lost"
            ) from None
        except OSError as error:
            raise ConfigError(f"the key file {path} cannot be made: {error.strerror}") from error
        return cls.read(path)

    def seal(self, schema: str, fingerprint: str) -> Seal:
        """What seals the records of a store of this schema and fingerprint."""
        return Seal(self._secret, f"{schema} {self.key_id} {fingerprint}")


class Seal:
    """Closes and opens the records of one store. Safe to use from several threads."""

    def __init__(self, secret: bytes, belonging: str) -> None:
        self._cipher = AESGCM(secret)
        self._belonging = belonging.encode("utf-8")

    def close(self, database: str, key: bytes, record: bytes) -> bytes:
        """The bytes to store for a record under this key."""
        nonce = os.urandom(_NONCE_BYTES)
        return _HEAD + nonce + self._cipher.encrypt(nonce, record, self._bound(database, key))

    def open(self, database: str, key: bytes, sealed: bytes) -> bytes:
        """The record. Raises StoreDamaged where it, or where it lies, is not what it was."""
        start = len(_HEAD) + _NONCE_BYTES
        try:
            if sealed[: len(_HEAD)] != _HEAD:
                raise InvalidTag
            return self._cipher.decrypt(sealed[len(_HEAD) : start], sealed[start:], self._bound(database, key))
        except (InvalidTag, ValueError):  # ValueError: too short for a nonce or a tag
            template_id = int.from_bytes(key[-8:], "big")
            raise StoreDamaged(
                f"The record of template {template_id} in {database} is damaged: it does not open with the store's key."
            ) from None

    def _bound(self, database: str, key: bytes) -> bytes:
        # Neither a schema, a key id nor a database's name holds a blank or a line's end.
        return b"%b\n%b\n%b" % (self._belonging, database.encode("ascii"), key)
