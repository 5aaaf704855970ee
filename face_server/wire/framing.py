"""Frames: a four-byte length, then that many bytes of content. No I/O.

Rules of this file: it may know lengths and nothing else. What the content means, who sent it, how it travels and what
time it is are for others, so a client and a server use the same decoder and neither is held to softer rules.

Theory of operation: a frame has a header and a body. Received bytes go to whichever of the two is incomplete. The cap
is applied to the length as soon as the header is complete, before a byte of the body is kept, and room grows only with
bytes that arrived: a header that claims 4 GB costs four bytes. Each byte is copied a fixed number of times, however it
was cut into pieces.
"""

from __future__ import annotations

from enum import Enum, auto

from face_server.errors import FrameTooLarge, WireError

HEADER_BYTES = 4

#: A length whose first byte is "0" is at least this long; a cap below it keeps the two dialects apart.
FIRST_AMBIGUOUS_LENGTH = ord("0") << 24


class Dialect(Enum):
    """What a connection speaks, known from its first byte."""

    MODERN = auto()
    LEGACY = auto()


class FrameState(Enum):
    """Where a decoder stands; a server derives its deadlines from it."""

    IDLE = auto()  #: nothing of a next frame has been seen
    HEADER = auto()  #: one to three bytes of a length have been seen
    BODY = auto()  #: the length is known and allowed, its bytes are not all here
    BROKEN = auto()  #: a length was refused; where the next frame begins cannot be known


def dialect_of(first_byte: int) -> Dialect:
    """The dialect of a connection whose first byte is this one: the old dialect begins with an ASCII digit."""
    return Dialect.LEGACY if ord("0") <= first_byte <= ord("9") else Dialect.MODERN


def encode_frame(content: bytes) -> bytes:
    """The content with its length in front."""
    return len(content).to_bytes(HEADER_BYTES, "big") + content


class FrameDecoder:
    """Bytes as they arrive -> the contents of frames, in order.

    An error comes after the frames that came before it: `feed` returns those first, and the next `feed`, of b"" too,
    raises. So this loop sees everything:

        while frames := decoder.feed(data):
            ...
            data = b""

    A refused length breaks the decoder for good: its `state` is BROKEN and every later `feed` raises the same error.
    """

    def __init__(self, max_frame_bytes: int) -> None:
        if not 0 < max_frame_bytes < FIRST_AMBIGUOUS_LENGTH:
            raise ValueError(f"max_frame_bytes lies between 1 and {FIRST_AMBIGUOUS_LENGTH - 1}, not {max_frame_bytes}")
        self._max_frame_bytes = max_frame_bytes
        self._header = bytearray()
        self._body = bytearray()
        self._length: int | None = None
        self._error: WireError | None = None

    @property
    def state(self) -> FrameState:
        if self._error is not None:
            return FrameState.BROKEN
        if self._length is not None:
            return FrameState.BODY
        return FrameState.HEADER if self._header else FrameState.IDLE

    @property
    def buffered(self) -> int:
        """How many bytes of an incomplete frame are held, its header included."""
        return len(self._header) + len(self._body)

    def feed(self, data: bytes) -> list[bytes]:
        """The contents of the frames that `data` completes; an empty list when more bytes are needed.

        Raises FrameTooLarge for a length above the cap (a subclass may raise another WireError for a bad header).
        """
        if self._error is not None:
            raise self._error
        frames: list[bytes] = []
        rest = memoryview(data)
        try:
            while rest:
                rest = self._take(rest, frames)
        except WireError as error:
            self._break(error)
            if not frames:
                raise
        return frames

    def _take(self, data: memoryview, frames: list[bytes]) -> memoryview:
        """Move the head of `data` into the current frame, add that frame to `frames` if complete, return the rest."""
        if self._length is None:
            data = _fill(self._header, HEADER_BYTES, data)
            if len(self._header) == HEADER_BYTES:
                self._length = self._allowed_length()
        if self._length is not None:
            data = _fill(self._body, self._length, data)
            if len(self._body) == self._length:
                frames.append(bytes(self._body))
                self._reset()
        return data

    def _allowed_length(self) -> int:
        length = self._length_of(bytes(self._header))
        if length > self._max_frame_bytes:
            raise FrameTooLarge(
                f"The frame announces {length} bytes; at most {self._max_frame_bytes} are allowed.",
                frame_bytes=length,
                max_frame_bytes=self._max_frame_bytes,
            )
        return length

    def _length_of(self, header: bytes) -> int:
        """What a complete header announces; the one thing in which the dialects differ."""
        return int.from_bytes(header, "big")

    def _break(self, error: WireError) -> None:
        self._error = error
        self._reset()

    def _reset(self) -> None:
        # New buffers rather than cleared ones: a frame of 32 MiB must not keep its room for the next ping.
        self._header = bytearray()
        self._body = bytearray()
        self._length = None


def _fill(buffer: bytearray, size: int, data: memoryview) -> memoryview:
    """Grow `buffer` to at most `size` from the head of `data`; return what is left."""
    missing = size - len(buffer)
    buffer += data[:missing]
    return data[missing:]
