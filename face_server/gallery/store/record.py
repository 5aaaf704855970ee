"""How one template lies in the store: its key and its bytes, with a checksum. Owns the layout; may not know LMDB,
transactions or files. Split from template_store.py because a layout is read and changed on its own.

A key is subject key + NUL + template id (8 bytes, big-endian). A subject key has no control characters, so the NUL
ends it: a subject's records lie side by side in the order of their ids, and subjects lie in key order.

A record, layout 1, little-endian:

    u8   1, the layout
    u8   0 when the subject id is text, 1 when it is an integer (the type of the subject's first enrolment)
    u16  H, bytes of the header
    u32  D, components of the vector
    H bytes of JSON: fingerprint, created_s, image_sha256, quality
    D x float32, the unit vector
    16 bytes of BLAKE2b over the key and all of the above: a record moved to another key is as wrong as a flipped bit
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from face_server.errors import StoreDamaged
from face_server.types import FloatArray, Quality, SubjectId, Template

_LAYOUT = 1
_HEAD = struct.Struct("<BBHI")
_ID_BYTES = 8
CHECKSUM_BYTES = 16


@dataclass(frozen=True, slots=True)
class Record:
    """A record whose checksum is right. vector: (D,) float32, read-only. The header is parsed only when asked for."""

    template_id: int
    subject: SubjectId
    vector: FloatArray
    header: bytes

    @property
    def image_sha256(self) -> str:
        return str(json.loads(self.header)["image_sha256"])

    @property
    def template(self) -> Template:
        fields: dict[str, Any] = json.loads(self.header)
        quality = Quality(**fields.pop("quality"))
        return Template(vector=self.vector, quality=quality, **fields)


def subject_prefix(subject: bytes) -> bytes:
    """What the keys of all records of this subject key start with, and no other's."""
    return subject + b"\0"


def record_key(subject: bytes, template_id: int) -> bytes:
    """The key of one template's record."""
    return subject_prefix(subject) + template_id.to_bytes(_ID_BYTES, "big")


def split_key(key: bytes) -> tuple[bytes, int]:
    """Subject key and template id of a record's key."""
    return key[: -_ID_BYTES - 1], int.from_bytes(key[-_ID_BYTES:], "big")


def make_record(key: bytes, subject: SubjectId, template: Template) -> bytes:
    """The bytes to store under this key."""
    fields = {
        "fingerprint": template.fingerprint,
        "created_s": template.created_s,
        "image_sha256": template.image_sha256,
        "quality": asdict(template.quality),
    }
    header = json.dumps(fields).encode("ascii")
    head = _HEAD.pack(_LAYOUT, isinstance(subject, int), len(header), template.vector.size)
    body = head + header + template.vector.astype("<f4").tobytes()
    return body + checksum(key, body)


def open_record(key: bytes, record: bytes, dimension: int) -> Record:
    """Check and read a record of `dimension` components. Raises StoreDamaged, naming the template id."""
    name, template_id = split_key(key)
    body = record[:-CHECKSUM_BYTES]
    if checksum(key, body) != record[-CHECKSUM_BYTES:]:
        raise StoreDamaged(f"The record of template {template_id} is damaged: its checksum does not fit.")
    layout, is_integer, header_bytes, components = _HEAD.unpack_from(body)
    start = _HEAD.size + header_bytes
    if layout != _LAYOUT or components != dimension or len(body) != start + 4 * dimension:
        raise StoreDamaged(f"The record of template {template_id} has a layout that this program does not know.")
    text = name.decode("utf-8")
    vector = np.frombuffer(body, "<f4", dimension, start)
    return Record(template_id, int(text) if is_integer else text, vector, body[_HEAD.size : start])


def checksum(key: bytes, body: bytes) -> bytes:
    """What a record ends with, (CHECKSUM_BYTES,), over its key and what stands before."""
    digest = hashlib.blake2b(key, digest_size=CHECKSUM_BYTES)
    digest.update(body)
    return digest.digest()
