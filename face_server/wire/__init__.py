"""The wire: bytes <-> frames <-> typed messages, without I/O. PROTOCOL.md beside this file is the norm.

    framing      length prefix -> contents        legacy    the first-generation dialect, end to end
    messages     content <-> requests, replies    requests, replies    their classes
    strict_json, fields, images, records          what messages is made of

It knows no sockets, no clock, no permissions and no faces.
"""

from face_server.wire.framing import Dialect, FrameDecoder, FrameState, dialect_of, encode_frame
from face_server.wire.messages import encode_error, encode_reply, encode_request, parse_reply, parse_request
from face_server.wire.requests import Envelope, Level, Limits, Refused, Request, Seq, required_level

__all__ = [
    "Dialect",
    "Envelope",
    "FrameDecoder",
    "FrameState",
    "Level",
    "Limits",
    "Refused",
    "Request",
    "Seq",
    "dialect_of",
    "encode_error",
    "encode_frame",
    "encode_reply",
    "encode_request",
    "parse_reply",
    "parse_request",
    "required_level",
]
