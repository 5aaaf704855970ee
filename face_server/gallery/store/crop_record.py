"""How one crop lies in the store: its bytes, with a checksum, under its template's key. Owns the layout; may not know
LMDB, transactions, files or what an image file is. Beside record.py, whose records are read far more often.

A record, layout 1, little-endian:

    u8   67, "C": no template's record begins so, and neither is taken for the other
    u8   1, the layout
    u16  H, bytes of the header
    H bytes of JSON: box, landmarks, confidence
    the image file
    16 bytes of BLAKE2b over the key and all of the above
"""

from __future__ import annotations

import json
import struct
from dataclasses import astuple

from face_server.errors import StoreDamaged
from face_server.gallery.store.record import CHECKSUM_BYTES, checksum, split_key
from face_server.types import BoundingBox, DetectedFace, FaceCrop

_MARK, _LAYOUT = ord("C"), 1
_HEAD = struct.Struct("<BBH")


def make_crop_record(key: bytes, crop: FaceCrop) -> bytes:
    """The bytes to store under this key."""
    face = crop.face
    fields = {"box": astuple(face.box), "landmarks": face.landmarks, "confidence": face.confidence}
    header = json.dumps(fields).encode("ascii")
    body = _HEAD.pack(_MARK, _LAYOUT, len(header)) + header + crop.picture
    return body + checksum(key, body)


def open_crop_record(key: bytes, record: bytes) -> FaceCrop:
    """Check and read a record. Raises StoreDamaged, naming subject and template id."""
    subject, template_id = split_key(key)
    whose = f"The crop of template {template_id} of subject {subject.decode('utf-8', 'replace')}"
    body = record[:-CHECKSUM_BYTES]
    if checksum(key, body) != record[-CHECKSUM_BYTES:]:
        raise StoreDamaged(f"{whose} is damaged: its checksum does not fit. Enrol that subject anew, with replace.")
    mark, layout, header_bytes = _HEAD.unpack_from(body)
    if (mark, layout) != (_MARK, _LAYOUT):
        raise StoreDamaged(f"{whose} has a layout that this program does not know.")
    start = _HEAD.size + header_bytes
    fields = json.loads(body[_HEAD.size : start])
    first, second, third, fourth, fifth = (tuple(point) for point in fields["landmarks"])
    landmarks = (first, second, third, fourth, fifth)
    return FaceCrop(body[start:], DetectedFace(BoundingBox(*fields["box"]), landmarks, fields["confidence"]))
