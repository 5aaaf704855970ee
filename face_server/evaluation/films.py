"""Some frames of a film file, read by OpenCV in a process of its own: a hostile film ends that one, not an evaluation.

    python -m face_server.evaluation.films FILM COUNT MAX_PIXELS

writes at most COUNT frames, evenly spread over the first minute or so, to standard output: of each its length as four
bytes, big-endian, then a PNG. The process may use a bounded amount of memory and time, write no file, and FFmpeg, which
OpenCV reads with, may open nothing but local files, as some formats name others, by URL too.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from face_server.errors import EvaluationError
from face_server.evaluation.folders import printable

SUFFIXES = {".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi", ".mjpeg", ".mjpg"}
#: A minute at 30 Hz: what comes after it is not looked at.
MOST_FRAMES = 1800
MOST_FILE_BYTES = 512 * 2**20
_TIMEOUT_S, _CPU_S, _MEMORY_BYTES = 120, 60, 4 * 2**30
#: How the containers above begin, at which byte: other text, such as a playlist with a film's name, is no film.
_BEGINNINGS = ((4, b"ftyp"), (0, b"\x1a\x45\xdf\xa3"), (0, b"RIFF"), (0, b"\xff\xd8\xff"))


def frames(path: Path, count: int, max_pixels: int) -> list[bytes]:
    """At most so many frames of a film as PNG files' bytes. Raises EvaluationError when it gives none."""
    _check(path)
    command = [sys.executable, "-m", "face_server.evaluation.films", str(path), str(count), str(max_pixels)]
    allowed = {"OPENCV_FFMPEG_CAPTURE_OPTIONS": "protocol_whitelist;file", "OPENCV_LOG_LEVEL": "OFF"}
    try:
        done = subprocess.run(command, env=os.environ | allowed, capture_output=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise EvaluationError(f"{printable(path.name)}: no frame within {_TIMEOUT_S} s") from error
    found = list(_parted(done.stdout))
    if not found:
        raise EvaluationError(f"{printable(path.name)} is no film that OpenCV can read")
    return found


def _check(path: Path) -> None:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            beginning = file.read(16)
    except OSError as error:
        raise EvaluationError(f"{printable(path)} cannot be read: {error.strerror}") from error
    if size > MOST_FILE_BYTES:
        raise EvaluationError(f"{printable(path.name)} has {size} bytes, at most {MOST_FILE_BYTES} are read")
    if not any(beginning[at:].startswith(mark) for at, mark in _BEGINNINGS):
        raise EvaluationError(f"{printable(path.name)} does not begin as a film does")


def _parted(output: bytes) -> Iterator[bytes]:
    """The frames that arrived whole."""
    at = 0
    while at + 4 <= len(output):
        size = int.from_bytes(output[at : at + 4], "big")
        if at + 4 + size > len(output):
            return
        yield output[at + 4 : at + 4 + size]
        at += 4 + size


def _read(path: str, count: int, max_pixels: int) -> Iterator[bytes]:
    """The child's work: count what there is, then decode evenly spaced ones."""
    import cv2
    import numpy as np

    there = 0
    film = cv2.VideoCapture(path)
    while there < MOST_FRAMES and film.grab():
        there += 1
    wanted = set(np.linspace(0, there - 1, min(count, there)).round().astype(int)) if there else set()
    film = cv2.VideoCapture(path)
    for number in range(there):
        if not film.grab() or number not in wanted:
            continue
        found, image = film.retrieve()
        if not found or image.shape[0] * image.shape[1] > max_pixels:
            continue
        done, png = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        if done:
            yield png.tobytes()


def _main(path: str, count: int, max_pixels: int) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for png in _read(path, count, max_pixels):
        sys.stdout.buffer.write(len(png).to_bytes(4, "big") + png)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
