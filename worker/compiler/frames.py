"""What a worker and its compiler say to each other: msgpack behind a length, over the compiler's standard streams."""

from __future__ import annotations

from typing import Final

import msgspec

from domain.language import Problem, RuleImage

LENGTH_BYTES: Final = 4
FRAME_BYTES_MAX: Final = 256 * 1024 * 1024


class Check(msgspec.Struct, frozen=True, tag="check", array_like=True):
    """Find the problems of each text."""

    sources: list[str]


class Compile(msgspec.Struct, frozen=True, tag="compile", array_like=True):
    """Compile each text that is a rule."""

    sources: list[str]


Request = Check | Compile
# For each text: the compiled rule, or its problems (all a check gives; none for a text without any).
Reply = list[RuleImage | list[Problem]]

_ENCODER: Final = msgspec.msgpack.Encoder()
_REQUESTS: Final = msgspec.msgpack.Decoder(Request)
_REPLIES: Final = msgspec.msgpack.Decoder(Reply)


def encode(message: Request | Reply) -> bytes:
    """Return a message as a frame."""
    body = _ENCODER.encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def decode_request(body: bytes) -> Request:
    """Read a request; raises msgspec.MsgspecError."""
    request: Request = _REQUESTS.decode(body)
    return request


def decode_reply(body: bytes) -> Reply:
    """Read a reply; raises msgspec.MsgspecError."""
    return _REPLIES.decode(body)
