"""The daemon's end of TLS over a pair of asyncio streams. Knows bytes, no frames; `certificates` makes its context.

asyncio has TLS too, but (3.11) it shakes hands before the server knows of a connection, so that no limit would hold for
those who never finish; a reply counts as sent before the system has it; and a peer that is silent at the end keeps its
descriptor for half a minute. Over plain streams the connection's own limits and deadlines hold for all of it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

#: The first byte of a connection that speaks TLS: a record of the kind `handshake` (RFC 8446, 5.1). No allowed length
#: of a frame begins with it.
FIRST_BYTE = 0x16

#: A record has at most this much (RFC 8446, 5.1), and one read gives at most one record.
RECORD_BYTES = 1 << 14

READ_BYTES = 256 * 1024


class TlsStream:
    """Reader and writer in one: what has a name of asyncio's streams does what it does there, enciphered.

    Everything raises OSError (ssl.SSLError is one) as the streams do. Nothing is lost when a call is cancelled.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext, received: bytes
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._incoming.write(received)
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def handshake(self) -> None:
        """Agree with the client; may be called again after it was cancelled."""
        await self._complete(self._tls.do_handshake)

    async def read(self, size: int) -> bytes:
        try:
            return await self._complete(lambda: self._tls.read(min(size, RECORD_BYTES)))
        except ssl.SSLZeroReturnError:
            return b""

    def write(self, data: bytes) -> None:
        self._tls.write(data)
        self._pass_on()

    async def drain(self) -> None:
        await self._writer.drain()

    def write_eof(self) -> None:
        self._sign_off()
        self._writer.write_eof()

    def close(self) -> None:
        self._sign_off()
        self._writer.close()

    async def _complete(self, step: Callable[[], T]) -> T:
        """The result of a step that may need to hear from the client first, however often."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                pass
            finally:
                self._pass_on()
            await self._writer.drain()
            if received := await self._reader.read(READ_BYTES):
                self._incoming.write(received)
            else:
                self._incoming.write_eof()

    def _pass_on(self) -> None:
        if self._outgoing.pending:
            self._writer.write(self._outgoing.read())

    def _sign_off(self) -> None:
        """The closing alert; what the client would answer to it is not waited for."""
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        self._pass_on()
