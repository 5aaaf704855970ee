"""One connection of the daemon: frames under deadlines, limits and the way out. Knows frames, not what they say.

A connection has one request in hand at a time, so replies come in request order and a client that does not read stops
being read from. A length is checked before its body is kept, and the bytes held count against the server's one budget.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from contextlib import suppress
from typing import Protocol

from face_server.config import ServerConfig
from face_server.errors import Busy, FrameTooLarge, ShuttingDown, TimedOut, TlsRequired, WireError
from face_server.observing import Observer
from face_server.tls import FIRST_BYTE, TlsStream
from face_server.wire.framing import Dialect, FrameDecoder, FrameState, dialect_of, encode_frame
from face_server.wire.legacy import LegacyFrameDecoder, encode_legacy_error, encode_legacy_frame
from face_server.wire.messages import encode_error

log = logging.getLogger(__name__)

#: One read takes at most this much, so that one connection cannot keep the loop to itself.
READ_BYTES = 256 * 1024

#: Whoever holds no more than this is not refused for the bytes that others hold: `ping` and `status` must get through.
SMALL_BYTES = 64 * 1024

#: How long a refused client may take to hear why, sending on meanwhile, before it is cut off. Closing at once, with its
#: bytes unread, would make the system reset the connection and with it the words that say why.
LINGER_S = 1.0


class Host(Protocol):
    """The server of a connection."""

    #: What is in hand is finished, nothing new is begun.
    closing: bool
    #: Bytes of requests that are half-received, waiting or in work, of all connections.
    held_bytes: int
    observer: Observer

    def make_room(self) -> None: ...
    async def answer(self, content: bytes, peer: str) -> tuple[bytes, bool]: ...
    async def answer_legacy(self, content: bytes, peer: str) -> bytes: ...


class Connection:
    """One client: reads frames under deadlines, has them answered one by one, writes replies under a deadline."""

    def __init__(
        self,
        server: Host,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        config: ServerConfig,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._server = server
        self._plain = reader, writer
        self._reader: asyncio.StreamReader | TlsStream = reader
        self._writer: asyncio.StreamWriter | TlsStream = writer
        #: What is still to be agreed on; None: nothing, or no more.
        self._tls = tls
        self._handshake: TlsStream | None = None
        # A reply counts as sent when the system has all of it: no unread rest outlives the connection.
        writer.transport.set_write_buffer_limits(high=0)
        self._config = config
        self._decoder = FrameDecoder(config.max_frame_bytes)
        self._legacy = False
        #: Bytes of the request that is being received, or in hand.
        self.held = 0
        self._broken_off = False
        self._peer = _peer_name(writer)
        #: The state of the frame that is arriving and the moment by which it must have changed.
        self._deadline: tuple[FrameState, float] | None = None
        #: Whether a whole request has been received and its reply not yet sent.
        self.in_hand = False
        #: Whether a request of it was let in: until then nothing says that it is no attacker's.
        self.known = False
        self.gave_way = False

    async def serve(self) -> None:
        """Serve until the client goes, breaks a rule, or the server closes."""
        log.debug("%s connected", self._peer, extra={"peer": self._peer})
        try:
            await self._serve()
        except WireError as error:
            log.info("%s closed: %s", self._peer, error.code, extra={"peer": self._peer, "outcome": error.code})
            await self.refuse(error)
        except ssl.SSLError as error:
            reason = error.reason or type(error).__name__
            log.info("%s closed: TLS failed: %s", self._peer, reason, extra={"peer": self._peer})
        except asyncio.CancelledError:
            # Only FaceServer.close cancels. Who has sent part of a request is told; who is silent needs no words.
            if self.in_hand or self._decoder.state is not FrameState.IDLE:
                await self.refuse(ShuttingDown("the daemon is stopping; ask again when it is back"))
        except (OSError, TimeoutError) as error:
            log.info("%s went away: %s", self._peer, type(error).__name__, extra={"peer": self._peer})
            self.cut_off()
        finally:
            log.debug("%s disconnected", self._peer, extra={"peer": self._peer})
            self._release()
            self._writer.close()
            if self._plain[1].transport.get_write_buffer_size():
                # The system takes not even the last words: who does not read must not keep a descriptor by it.
                self.cut_off()

    async def refuse(self, error: WireError) -> None:
        """Tell why and close; a peer that does not take this in time is cut off."""
        self._server.observer.connection_refused(error.code)
        try:
            async with asyncio.timeout(LINGER_S):
                with suppress(TlsRequired):
                    await self._secure()
                await self._send_error(error)
                self._writer.write_eof()
                while await self._plain[0].read(READ_BYTES):
                    pass
            self._writer.close()
        except (OSError, asyncio.CancelledError):
            self.cut_off()

    def give_way(self) -> None:
        """Go without a word, for another wants the place: to linger with many would need the room that is wanted."""
        self.gave_way = True
        self._server.observer.connection_refused(Busy.code)
        log.info("%s gave way to another connection", self._peer, extra={"peer": self._peer})
        self.cut_off()

    def cut_off(self) -> None:
        """Drop the connection and what is unsent."""
        self._plain[1].transport.abort()

    async def _serve(self) -> None:
        first = await self._read(self._config.first_byte_timeout_s, TimedOut("nothing was sent in time"))
        if first and dialect_of(first[0]) is Dialect.LEGACY:
            self._choose_legacy()
        data = first
        while data:
            await self._answer_frames(data)
            data = await self._read_on()

    def _choose_legacy(self) -> None:
        if not self._config.legacy:
            raise FrameTooLarge(
                "the first byte is a digit, as old clients send it; that dialect is off ([server] legacy = true)"
            )
        self._legacy = True
        self._decoder = LegacyFrameDecoder()

    async def _read_on(self) -> bytes:
        """The next bytes, within what the state of the frame allows. Raises TimedOut in the middle of a frame."""
        state, config = self._decoder.state, self._config
        if state is FrameState.IDLE:
            self._deadline = None
            try:
                return await self._read(config.idle_timeout_s)
            except TimeoutError:
                return b""
        allowed_s = config.header_timeout_s if state is FrameState.HEADER else config.body_timeout_s
        if self._deadline is None or self._deadline[0] is not state:
            self._deadline = (state, time.monotonic() + allowed_s)
        part = "length" if state is FrameState.HEADER else "body"
        late = TimedOut(f"the {part} of a frame did not arrive within {allowed_s:g} s")
        return await self._read(self._deadline[1] - time.monotonic(), late)

    async def _read(self, timeout_s: float, late: WireError | None = None) -> bytes:
        try:
            async with asyncio.timeout(max(0.0, timeout_s)):
                await self._secure()
                return await self._reader.read(READ_BYTES)
        except TimeoutError:
            if late is None:
                raise
            raise late from None

    async def _secure(self) -> None:
        """Agree on TLS where it is configured, once; goes on where it was cancelled. Raises TlsRequired, OSError."""
        if self._tls is None:
            return
        if self._handshake is None:
            first = await self._plain[0].read(READ_BYTES)
            if not first:
                return
            if first[0] != FIRST_BYTE:
                self._tls = None  # what is said to this client it must be able to read
                raise TlsRequired(
                    "TLS is spoken here and this came in the clear, its token too: have the client speak TLS"
                )
            self._handshake = TlsStream(*self._plain, self._tls, first)
        await self._handshake.handshake()
        self._reader = self._writer = self._handshake
        self._tls = None

    async def _answer_frames(self, data: bytes) -> None:
        if self._broken_off:
            raise _no_room()
        while frames := self._decoder.feed(data):
            data = b""
            for content in frames:
                self._hold(len(content) + self._decoder.buffered)
                self.in_hand = True
                await self._answer(content)
                # Neither the answer nor its sending need have waited for anything: let the others have their turn.
                await asyncio.sleep(0)
                self.in_hand = False
                self._deadline = None
                if self._server.closing:
                    raise ShuttingDown("the daemon is stopping; ask again when it is back")
        self._hold(self._decoder.buffered)

    async def _answer(self, content: bytes) -> None:
        if self._legacy:
            self.known = True  # this dialect, where it is on, lets in whoever comes
            await self._send(encode_legacy_frame(await self._server.answer_legacy(content, self._peer)))
        else:
            reply, admitted = await self._server.answer(content, self._peer)
            self.known |= admitted
            await self._send(encode_frame(reply))

    def _hold(self, size: int) -> None:
        """Count this connection's bytes against the budget. Raises Busy when all connections' together pass it and
        this one is the largest of those that are being received."""
        self._server.held_bytes += size - self.held
        self.held = size
        if size > SMALL_BYTES:
            self._server.make_room()
            if self._broken_off or self._server.held_bytes > self._config.max_buffered_bytes:
                raise _no_room()

    def break_off(self) -> None:
        """Give up what is being received, for others need the room; its sender is told when it sends on."""
        self._broken_off = True
        self._decoder = FrameDecoder(self._config.max_frame_bytes)
        self._release()

    def _release(self) -> None:
        self._server.held_bytes -= self.held
        self.held = 0

    async def _send_error(self, error: WireError) -> None:
        if self._legacy:
            await self._send(encode_legacy_frame(encode_legacy_error(error)))
        else:
            await self._send(encode_frame(encode_error(None, error)))

    async def _send(self, frame: bytes) -> None:
        self._writer.write(frame)
        async with asyncio.timeout(self._config.write_timeout_s):
            await self._writer.drain()


def _no_room() -> Busy:
    return Busy("the daemon holds as many bytes of requests as it may; ask again in a moment")


def _peer_name(writer: asyncio.StreamWriter) -> str:
    peer = writer.get_extra_info("peername")
    return f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else "unix"
