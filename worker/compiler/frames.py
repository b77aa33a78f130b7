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

    def alone(self) -> list[Check]:
        """Return a request for each text."""
        return [Check([source]) for source in self.sources]

    @property
    def code_points(self) -> int:
        return sum(map(len, self.sources))


class Compile(msgspec.Struct, frozen=True, tag="compile", array_like=True):
    """Compile each text that is a rule."""

    sources: list[str]

    def alone(self) -> list[Compile]:
        """Return a request for each text."""
        return [Compile([source]) for source in self.sources]

    @property
    def code_points(self) -> int:
        return sum(map(len, self.sources))


class CheckTemplate(msgspec.Struct, frozen=True, tag="check-template", array_like=True):
    """Find the problems of a template whose parameters have types; filled with ``defaults``, where there are any."""

    source: str
    types: dict[str, str]
    defaults: dict[str, str] | None

    def alone(self) -> list[CheckTemplate]:
        """Return the request, which is for one text."""
        return [self]

    @property
    def code_points(self) -> int:
        return len(self.source)


class Fill(msgspec.Struct, frozen=True, tag="fill", array_like=True):
    """Fill a template with each row's literals, and find the problems of the rule that it becomes."""

    source: str
    rows: list[dict[str, str]]

    def alone(self) -> list[Fill]:
        """Return a request for each row."""
        return [Fill(self.source, [row]) for row in self.rows]

    @property
    def code_points(self) -> int:
        return len(self.source)


Request = Check | Compile | CheckTemplate | Fill
# For each text: the compiled rule, the filled text, or its problems (all a check gives; none for a text without any).
Answer = RuleImage | str | list[Problem]
Reply = list[Answer]

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
