"""What holds in every gallery, whatever keeps it: vectors, room of a subject, cursors. Owns these rules and their
words; may not know LMDB, Annoy, Milvus or any other keeper.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Sequence

from face_server.errors import Malformed, TooManyImages
from face_server.types import FloatArray, SubjectId, Template, subject_key

_UNIT_TOLERANCE = 1e-3


def require_unit(vector: FloatArray, dimension: int) -> None:
    """Raises ValueError unless it is (dimension,), of length 1 and finite."""
    if vector.shape != (dimension,):
        raise ValueError(f"a vector has shape {vector.shape}, the gallery ({dimension},)")
    # A component that is not finite makes a length that is not near 1 either.
    if not abs(math.sqrt(vector @ vector) - 1) <= _UNIT_TOLERANCE:
        raise ValueError("a vector has length 1 and finite components")


def require_own(templates: Sequence[Template], fingerprint: str, dimension: int) -> None:
    """Raises ValueError unless there is one at least, and all are of this model."""
    if not templates:
        raise ValueError("an enrolment has at least one template")
    for template in templates:
        if template.fingerprint != fingerprint:
            raise ValueError("a template has another fingerprint than the gallery")
        if template.vector.shape != (dimension,):
            raise ValueError(f"a template has shape {template.vector.shape}, the gallery ({dimension},)")


def require_room(stored: int, fresh: int, most: int) -> None:
    """Raises TooManyImages when a subject of `stored` templates may not have `fresh` more."""
    if fresh and stored + fresh > most:
        raise TooManyImages(
            f"The subject has {stored} templates and may have {most}: {fresh} more do not fit. "
            "Enrol with replace to swap them all, or remove the subject first.",
            templates=stored,
            offered=fresh,
            max_templates_per_subject=most,
        )


def write_cursor(last: SubjectId) -> str:
    """What a client gives back to go on after this subject."""
    return base64.urlsafe_b64encode(subject_key(last)).decode("ascii")


def read_cursor(cursor: str | None) -> bytes | None:
    """The subject key after which a page starts. Any subject key is a place to start, also of one removed since.

    Raises Malformed.
    """
    if cursor is None:
        return None
    try:
        return subject_key(base64.b64decode(cursor, altchars=b"-_", validate=True).decode("utf-8"))
    except (ValueError, binascii.Error):
        raise Malformed("`cursor` is not one that an earlier page gave.") from None
