"""Bulk enrolment as a client does it: photographs of one subject, or a folder of people. Knows no daemon's insides.

Photographs travel in messages that keep to the daemon's limits, one subject after the other; what is refused is kept
with its reason, so that a folder of thousands ends in a summary and not at the first blurred picture.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from face_server.client import Client
from face_server.config import ServerConfig
from face_server.errors import (
    Busy,
    ClientError,
    ConfigError,
    FaceLoginError,
    ImageTooLarge,
    ImageUnreadable,
    Malformed,
    OperatorError,
    PersonError,
    Unreachable,
    WebError,
)
from face_server.terminal import counted
from face_server.types import subject_key
from face_server.wire.replies import AcceptedImage, EnrolReply

#: What the daemon reads; other files of a folder are passed over.
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
#: Waits between tries while the daemon is busy; a queue of 64 photographs is worked off in some seconds.
BUSY_PAUSES_S = (0.5, 1.0, 2.0, 4.0)
#: Room that the JSON part of a message may need within the frame.
HEADROOM_BYTES = 64 * 1024


class Outcome(Enum):
    """What became of one photograph."""

    ENROLLED = "enrolled"
    DUPLICATE = "duplicate"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class PhotoOutcome:
    """One photograph of one subject; code and message tell why it was refused."""

    subject: str
    path: Path
    outcome: Outcome
    code: str = ""
    message: str = ""


@dataclass(slots=True)
class Report:
    """What became of all photographs, in their order."""

    outcomes: list[PhotoOutcome] = field(default_factory=list)
    #: Why the rest was not tried, when the daemon went away or stayed busy.
    aborted: FaceLoginError | None = None

    def _count(self, outcome: Outcome) -> int:
        return sum(item.outcome is outcome for item in self.outcomes)

    @property
    def enrolled(self) -> int:
        """Photographs that became templates."""
        return self._count(Outcome.ENROLLED)

    @property
    def duplicates(self) -> int:
        return self._count(Outcome.DUPLICATE)

    @property
    def refused(self) -> int:
        return self._count(Outcome.REFUSED)

    @property
    def subjects(self) -> set[str]:
        return {item.subject for item in self.outcomes}

    @property
    def reasons(self) -> Counter[str]:
        return Counter(item.code for item in self.outcomes if item.outcome is Outcome.REFUSED)

    def lines(self) -> Iterator[str]:
        """The report for people: each refusal, the sum, and how often each reason occurred."""
        for item in self.outcomes:
            if item.outcome is Outcome.REFUSED:
                yield f"{item.subject}  {item.path}  refused, {item.code}: {item.message}"
        parts = [f"{self.enrolled} enrolled"]
        parts += [f"{self.duplicates} there already"] if self.duplicates else []
        parts += [f"{self.refused} refused"] if self.refused else []
        yield f"{counted(len(self.subjects), 'subject')}: {', '.join(parts)}"
        for code, count in sorted(self.reasons.items(), key=lambda pair: -pair[1]):
            yield f"  {count:5d}  {code}"

    def as_json(self) -> dict[str, Any]:
        """The report as a JSON object."""
        rows = [
            {"id": item.subject, "path": str(item.path), "outcome": item.outcome.value}
            | ({"code": item.code, "message": item.message} if item.code else {})
            for item in self.outcomes
        ]
        return {
            "ok": not self.refused and self.aborted is None,
            "enrolled": self.enrolled,
            "duplicates": self.duplicates,
            "refused": self.refused,
            "photos": rows,
        }


def enrol_images(
    client: Client, subject: str, photos: Sequence[Path], limits: ServerConfig, *, force: bool, replace: bool
) -> Report:
    """Enrol photographs of one subject. Raises OperatorError and Unreachable; other refusals are in the report."""
    report = Report()
    _enrol_subject(client, subject, photos, limits, report, force=force, replace=replace)
    return report


def enrol_folder(client: Client, folder: Path, limits: ServerConfig, *, force: bool, replace: bool) -> Report:
    """Enrol every `person/photo` below a folder, with a progress bar where there is a terminal.

    Raises ConfigError when there is none. Refusals are in the report, and so is what ended it early.
    """
    people = {entry.name: _photos(entry) for entry in sorted(folder.glob("*")) if entry.is_dir()}
    total = sum(map(len, people.values()))
    if not total:
        raise ConfigError(f"{folder} holds no person/photo: one directory per subject, named as its id, with pictures")
    report = Report()
    # disable=None: no bar where standard error is no terminal.
    with tqdm(total=total, unit="photo", disable=None) as bar:
        for subject, photos in people.items():
            bar.set_postfix_str(subject, refresh=False)
            try:
                _enrol_subject(client, subject, photos, limits, report, force=force, replace=replace)
            except (OperatorError, Unreachable) as error:
                # What was done so far is worth telling; enrolling the folder again goes on from there.
                report.aborted = error
                break
            bar.update(len(photos))
    return report


def _photos(directory: Path) -> list[Path]:
    return [path for path in sorted(directory.iterdir()) if path.suffix.lower() in SUFFIXES and path.is_file()]


def _enrol_subject(
    client: Client,
    subject: str,
    photos: Sequence[Path],
    limits: ServerConfig,
    report: Report,
    *,
    force: bool,
    replace: bool,
) -> None:
    try:
        subject_key(subject)
    except ValueError as error:
        # A directory's name may be what no message can carry (bytes that are no UTF-8).
        report.outcomes.extend(_refusal(subject, path, Malformed.code, str(error)) for path in photos)
        return
    stored = False
    for paths, images in _messages(subject, photos, limits, report):
        try:
            # Only the first message that is accepted swaps; the others add to it.
            reply = _patiently(partial(client.enrol, subject, images, force=force, replace=replace and not stored))
        except (ClientError, PersonError, WebError) as error:
            # With several images the detail tells of each, in their order.
            told = error.detail.get("images") or [{"code": error.code, "message": error.message}] * len(paths)
            for path, one in zip(paths, told, strict=True):
                report.outcomes.append(_refusal(subject, path, str(one["code"]), str(one["message"])))
            continue
        stored = True
        for path, image in zip(paths, reply.images, strict=True):
            if isinstance(image, AcceptedImage):
                outcome = Outcome.DUPLICATE if image.duplicate else Outcome.ENROLLED
                report.outcomes.append(PhotoOutcome(subject, path, outcome))
            else:
                report.outcomes.append(_refusal(subject, path, image.error.code, image.error.message))


def _patiently(ask: Callable[[], EnrolReply]) -> EnrolReply:
    """Ask again a few times while the daemon is busy. Raises what the last try raised."""
    for pause_s in BUSY_PAUSES_S:
        try:
            return ask()
        except Busy:
            time.sleep(pause_s)
    return ask()


def _refusal(subject: str, path: Path, code: str, message: str) -> PhotoOutcome:
    return PhotoOutcome(subject, path, Outcome.REFUSED, code, message)


def _messages(
    subject: str, photos: Iterable[Path], limits: ServerConfig, report: Report
) -> Iterator[tuple[list[Path], list[bytes]]]:
    """Photographs in groups that fit one message; one that can fit none, or cannot be read, is reported at once."""
    paths: list[Path] = []
    images: list[bytes] = []
    for path in photos:
        try:
            image = path.read_bytes()
        except OSError as error:
            report.outcomes.append(_refusal(subject, path, ImageUnreadable.code, str(error.strerror)))
            continue
        if not image:
            # Within a message it would be the message that is malformed, and the others with it.
            report.outcomes.append(_refusal(subject, path, ImageUnreadable.code, "the file is empty"))
            continue
        if len(image) > limits.max_image_bytes:
            message = f"{len(image)} bytes; at most {limits.max_image_bytes} are allowed"
            report.outcomes.append(_refusal(subject, path, ImageTooLarge.code, message))
            continue
        size = sum(map(len, images)) + len(image)
        if images and (len(images) == limits.max_images or size > limits.max_frame_bytes - HEADROOM_BYTES):
            yield paths, images
            paths, images = [], []
        paths.append(path)
        images.append(image)
    if images:
        yield paths, images
