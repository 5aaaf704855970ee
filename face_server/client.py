"""Blocking client: the reference for clients in other languages. Knows the wire, no faces and no configuration.

One connection, opened at the first request and kept; one deadline per request covers connecting, sending and waiting.
What the daemon refuses is raised as the class that names it; no answer at all is Unreachable. After any failure in
transport the connection is dropped, since half a reply may be in it, and the next request opens a new one. A kept
connection may be closed by the daemon at the moment the next request is on its way: that request is sent once more, on
a new connection. Every command of the protocol may be asked twice; the answer to a challenge is then refused, as it
was taken, and the caller asks for another challenge.

    with Client(token=token) as client:
        reply = client.identify(Path("photo.jpg").read_bytes())
        print(reply.id if reply.match else "not recognised")
"""

from __future__ import annotations

import hashlib
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from face_server.certificates import client_context, require_name, why_refused
from face_server.errors import Busy, ShuttingDown, TimedOut, Unreachable, WireError
from face_server.listening import is_loopback
from face_server.types import SubjectId
from face_server.wire.framing import FrameDecoder, encode_frame
from face_server.wire.messages import encode_request, parse_reply
from face_server.wire.replies import (
    ChallengeReply,
    CompareReply,
    DetectReply,
    EnrolReply,
    ForgetReply,
    IdentifyReply,
    PingReply,
    R,
    RebuildReply,
    RemoveReply,
    StatusReply,
    StepReply,
    SubjectReply,
    SubjectsReply,
    SubjectSummary,
    VerifyReply,
)
from face_server.wire.requests import (
    MAX_PAGE,
    Challenge,
    Compare,
    Detect,
    Enrol,
    Envelope,
    Forget,
    Identify,
    Ping,
    Rebuild,
    Remove,
    Request,
    Response,
    Status,
    Step,
    Subject,
    Subjects,
    Verify,
)

#: A page of 1,000 subjects has about 150 kB; this bounds what a broken peer can make us hold.
MAX_REPLY_BYTES = 32 << 20
READ_BYTES = 256 * 1024


class Client:
    """Typed requests to one daemon, at (host, port) or at a Unix socket. Not for several threads at once.

    TLS is spoken with every host but loopback, and there where `tls` or `tls_ca` says so; chain and name are checked.
    tls_ca: a PEM file with the certificate, or who signed it, that alone is trusted; None: the system's authorities.
    tls_name: the name that the certificate must be for, where it is not `host`. Raises ConfigError for a tls_ca that
    cannot be read, and for what can be no name.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 9999,
        *,
        unix_socket: Path | None = None,
        token: str | None = None,
        timeout_s: float = 30.0,
        tls: bool = False,
        tls_ca: Path | None = None,
        tls_name: str = "",
    ) -> None:
        self._address = (host, port)
        self._unix_socket = unix_socket
        self._token = token
        self._timeout_s = timeout_s
        self._tls: ssl.SSLContext | None = None
        if unix_socket is None and (tls or tls_ca is not None or not is_loopback(host)):
            self._tls = client_context(tls_ca)
            require_name(tls_name or host)
        self._tls_name = tls_name or host
        self._socket: socket.socket | None = None
        self._seq = 0

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection; the next request opens a new one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ping(self) -> PingReply:
        """Is the daemon there?"""
        return self._ask(Ping(), PingReply)

    def status(self) -> StatusReply:
        """How the daemon is. Operator."""
        return self._ask(Status(), StatusReply)

    def detect(self, image: bytes) -> DetectReply:
        """The faces of one image, largest first."""
        return self._ask(Detect(image), DetectReply)

    def challenge(
        self, purpose: str, *, binding: str | None = None, mode: str | None = None, flash: bool = True
    ) -> ChallengeReply:
        """What a living person must do now, for one `identify`, `verify` or `enrol`."""
        return self._ask(Challenge(purpose, binding, mode, flash), ChallengeReply)

    def tell_step(self, challenge: str, step: int, images: Sequence[bytes], *, binding: str | None = None) -> StepReply:
        """A step of a challenge is done, 0 being straight ahead, and these are its images, which come later."""
        sha256s = tuple(hashlib.sha256(image).hexdigest() for image in images)
        return self._ask(Step(challenge, step, sha256s, binding), StepReply)

    def enrol(
        self,
        subject: SubjectId,
        images: Sequence[bytes],
        *,
        force: bool = False,
        replace: bool = False,
        response: Response | None = None,
    ) -> EnrolReply:
        """Add templates to a subject; when this returns they are on disk.

        May be asked again after a time-out, unless it answers a challenge: that is taken once.
        """
        request = Enrol(subject, tuple(images), force=force, replace=replace, response=response)
        return self._ask(request, EnrolReply)

    def identify(self, *images: bytes, limit: int = 1, response: Response | None = None) -> IdentifyReply:
        """Who is this? (1:N). Several images of the one person, taken one after the other, miss fewer."""
        return self._ask(Identify(images, limit, response), IdentifyReply)

    def verify(self, subject: SubjectId, *images: bytes, response: Response | None = None) -> VerifyReply:
        """Is this the subject? (1:1)"""
        return self._ask(Verify(subject, images, response), VerifyReply)

    def compare(self, one: bytes, two: bytes) -> CompareReply:
        """Do two images show one person? Operator."""
        return self._ask(Compare((one, two)), CompareReply)

    def remove(self, subject: SubjectId) -> RemoveReply:
        """Forget one subject; raises UnknownSubject when it is not there."""
        return self._ask(Remove((subject,)), RemoveReply)

    def remove_all(self, subjects: Sequence[SubjectId]) -> RemoveReply:
        """Forget several subjects; the reply tells the unknown ones. Operator."""
        return self._ask(Remove(tuple(subjects), listed=True), RemoveReply)

    def forget(self, subjects: Sequence[SubjectId]) -> ForgetReply:
        """Remove subjects, and wait until none of their bytes are in the gallery's files. Operator."""
        return self._ask(Forget(tuple(subjects)), ForgetReply)

    def subjects(self, *, limit: int = MAX_PAGE, cursor: str | None = None) -> SubjectsReply:
        """One page of the enrolled subjects. Operator."""
        return self._ask(Subjects(limit, cursor), SubjectsReply)

    def all_subjects(self) -> Iterator[SubjectSummary]:
        """Every enrolled subject, page by page. Operator."""
        cursor = None
        while True:
            page = self.subjects(cursor=cursor)
            yield from page.subjects
            cursor = page.next
            if cursor is None:
                return

    def subject(self, subject: SubjectId) -> SubjectReply:
        """The templates of one subject, without their vectors. Operator."""
        return self._ask(Subject(subject), SubjectReply)

    def rebuild(self) -> RebuildReply:
        """Build the index anew and wait until it is in use. Operator."""
        return self._ask(Rebuild(), RebuildReply)

    def _ask(self, request: Request, kind: type[R]) -> R:
        """Raises the WireError that the daemon named, or Unreachable."""
        self._seq += 1
        frame = encode_frame(encode_request(Envelope(self._seq, self._token, request)))
        deadline = time.monotonic() + self._timeout_s
        try:
            answer = parse_reply(self._exchanged(frame, deadline), kind)
        except TimeoutError:
            self.close()
            raise Unreachable(f"the daemon at {self._where()} did not answer within {self._timeout_s:g} s") from None
        except ssl.SSLError as error:
            self.close()
            raise Unreachable(f"the daemon at {self._where()} {why_refused(error)}") from error
        except OSError as error:
            self.close()
            raise Unreachable(f"the daemon at {self._where()} cannot be reached: {error}") from error
        except WireError as error:
            self.close()
            raise Unreachable(f"what answers at {self._where()} does not speak this protocol: {error}") from error
        if isinstance(answer.outcome, WireError):
            # After these the daemon closes; a new connection costs less than finding out.
            if answer.seq is None or isinstance(answer.outcome, (TimedOut, ShuttingDown, Busy)):
                self.close()
            raise answer.outcome
        if answer.seq != self._seq:
            self.close()
            raise Unreachable(f"the daemon at {self._where()} answered another request than was asked")
        return answer.outcome

    def _exchanged(self, frame: bytes, deadline: float) -> bytes:
        kept = self._socket
        connection = self._connected(deadline)
        try:
            return _exchange(connection, frame, deadline)
        except _WithoutAnswer:
            if connection is not kept:
                raise
        self.close()
        return _exchange(self._connected(deadline), frame, deadline)

    def _connected(self, deadline: float) -> socket.socket:
        if self._socket is not None and _is_stale(self._socket):
            self.close()
        if self._socket is None:
            if self._unix_socket is not None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                self._socket.settimeout(_left(deadline))
                self._socket.connect(str(self._unix_socket))
            else:
                self._socket = socket.create_connection(self._address, timeout=_left(deadline))
                # A request is one write: waiting to fill a packet would only add delay.
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                self._socket.settimeout(_left(deadline))
                self._socket = self._tls.wrap_socket(self._socket, server_hostname=self._tls_name)
        return self._socket

    def _where(self) -> str:
        return str(self._unix_socket) if self._unix_socket else f"{self._address[0]}:{self._address[1]}"


class _WithoutAnswer(ConnectionError):
    """The peer closed or reset the connection before the first byte of its answer."""


def _exchange(connection: socket.socket, frame: bytes, deadline: float) -> bytes:
    try:
        connection.settimeout(_left(deadline))
        connection.sendall(frame)
    except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
        # The daemon may have refused and closed while we were sending; its words may still be readable.
        pass
    decoder = FrameDecoder(MAX_REPLY_BYTES)
    answered = False
    while True:
        connection.settimeout(_left(deadline))
        try:
            data = connection.recv(READ_BYTES)
        except ConnectionResetError as error:
            raise error if answered else _WithoutAnswer(str(error)) from error
        if not data:
            problem = "it closed the connection without an answer"
            raise ConnectionError(problem) if answered else _WithoutAnswer(problem)
        answered = True
        if frames := decoder.feed(data):
            return frames[0]


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _is_stale(connection: socket.socket) -> bool:
    """Whether an idle connection was closed by the daemon (its idle limit); nothing else can be readable on one."""
    connection.setblocking(False)
    try:
        connection.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True
    return True
