"""What liveness is judged by, and what comes of it. Knows no check and no camera.

A frame bears the number of the step that it was taken in, as its sender says: 0 is looking straight ahead before the
first step. What it shows must agree with that number; the number alone proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from face_server.types import DetectedFace, FloatArray, RgbImage


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One image of an answer: (height, width, 3) uint8 RGB, its one face, that face's unit vector (dimension,) float32.

    step: 0 before the first step, then 1..n. sha256: hex, of the bytes that were sent.
    """

    image: RgbImage = field(repr=False)
    face: DetectedFace
    vector: FloatArray = field(repr=False)
    step: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: `value` is what it measured and `threshold` what it must reach (or must not pass).

    step: the step that it is about, None where it is about all frames.
    """

    check: str
    ok: bool
    value: float
    threshold: float
    step: int | None = None


class CheckFailed(Exception):
    """An answer that need not be looked at: this one check failed before."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.check)
        self.finding = finding


@dataclass(frozen=True, slots=True)
class Verdict:
    """All findings in the order of the checks; live is that there are some and each is ok."""

    findings: tuple[Finding, ...]

    @property
    def live(self) -> bool:
        return bool(self.findings) and all(finding.ok for finding in self.findings)

    @property
    def first_failure(self) -> Finding | None:
        """The first check that failed: causes stand before what they cause."""
        return next((finding for finding in self.findings if not finding.ok), None)
