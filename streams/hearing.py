"""Messages as they come: a short way past nats-py's parser, queues and tasks, for those that a listener hears.

nats-py's parser is there for everything else, and takes over wherever this one does not see a whole message for a
listener. Frames: https://docs.nats.io/reference/reference-protocols/nats-protocol.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import structlog
from nats.aio.client import Client
from nats.protocol.parser import AWAITING_CONTROL_LINE, Parser

# What hears a message as it came: subject, reply subject, payload and header block (None without headers).
Listener = Callable[[bytes, bytes, bytes, bytes | None], None]

_VERSION_BYTES: Final = len(b"NATS/1.0")
# A control line is at most this long; a message that is longer and not all there yet is nats-py's, which adds up parts.
_CONTROL_LINE_MAX: Final = 4096
_PARTIAL_MAX: Final = 256 * 1024
_ERROR_OP: Final = b"-ERR '"
ERROR: Final = re.compile(rb"-ERR ('[^\r\n]{1,4096}')\r\n")
_ERRORS_MAX: Final = 64
_ONE_HEADER: Final = re.compile(rb"NATS/1\.0\r\n([!-9;-~]+): ?([!-~](?:[ -~]*[!-~])?)\r\n\r\n")
_header_lines = Client._parse_header_lines  # noqa: SLF001  # nats-py's own reading, so that there is one

_log = structlog.get_logger(__name__)


class HearingParser(Parser):
    """A connection's parser; ``listeners`` are by subscription number."""

    def __init__(self, client: Client) -> None:
        self.listeners: dict[bytes, Listener] = {}
        self._partial = b""
        self._errors: dict[str, str] = {}
        super().__init__(client)

    def reset(self) -> None:
        """Forget what was begun: the connection is another one."""
        self._partial = b""
        super().reset()

    async def parse(self, data: bytes = b"") -> None:
        """Take what the connection gave."""
        if _ERROR_OP in data:
            self._note_errors(data)
        if not self.listeners:
            await super().parse(data)
            return
        if self.state != AWAITING_CONTROL_LINE:  # nats-py waits for the rest of a message: that, and no more
            missing = self.needed + len(b"\r\n") - len(self.buf)
            await super().parse(data[:missing])
            data = data[missing:]
        elif self.buf:
            data = bytes(self.buf) + data
            self.buf.clear()
        elif self._partial:
            data = self._partial + data
        self._partial = b""
        rest = self._hear(data) if data else b""
        if rest:
            await super().parse(rest)

    def said(self, lowered: str) -> str:
        """Return what the server said as it was: nats-py hands it on in lower case, and subjects have cases."""
        return self._errors.get(lowered, lowered)

    def _note_errors(self, data: bytes) -> None:
        for found in ERROR.findall(data):
            if len(self._errors) >= _ERRORS_MAX:
                self._errors.clear()
            text = found.decode("utf-8", "replace")
            self._errors[text.lower()] = text

    def _hear(self, data: bytes) -> bytes:
        """Give whole messages to their listeners, and return what begins with something else."""
        listeners, stats = self.listeners, self.nc.stats
        at = 0
        while True:
            line_end = data.find(b"\r\n", at)
            if line_end < 0:
                if len(data) - at > _CONTROL_LINE_MAX:
                    return data[at:]
                self._partial = data[at:]
                return b""
            words = data[at:line_end].split(b" ")
            kind, count = words[0], len(words)
            if kind == b"HMSG" and 5 <= count <= 6:
                head_bytes = int(words[-2])
            elif kind == b"MSG" and 4 <= count <= 5:
                head_bytes = 0
            else:
                return data[at:]
            listener = listeners.get(words[2])
            if listener is None:
                return data[at:]
            begin = line_end + 2
            end = begin + int(words[-1])
            if end + 2 > len(data):
                if len(data) - at > _PARTIAL_MAX:
                    return data[at:]
                self._partial = data[at:]
                return b""
            stats["in_msgs"] += 1
            stats["in_bytes"] += end - begin - head_bytes
            if head_bytes:
                reply = words[3] if count == 6 else b""
                hear(listener, words[1], reply, data[begin + head_bytes : end], data[begin : begin + head_bytes])
            else:
                hear(listener, words[1], words[3] if count == 5 else b"", data[begin:end], None)
            at = end + 2


def hear(listener: Listener, subject: bytes, reply: bytes, data: bytes, head: bytes | None) -> None:
    """Let a listener hear a message; what it raises is logged: in nats-py's read loop it would cost the connection."""
    try:
        listener(subject, reply, data, head)
    except Exception:  # noqa: BLE001  # see above
        _log.exception("message_unheard")


def read_headers(block: bytes) -> dict[str, str]:
    """Read a header block as nats-py does; a status in its first line becomes ``Status`` and ``Description``."""
    if one := _ONE_HEADER.fullmatch(block):  # what most facts have: the same, sooner
        return {one[1].decode(): one[2].decode()}
    first, _, rest = block.partition(b"\r\n")
    found: dict[str, Any] = _header_lines(rest)
    if status := first[_VERSION_BYTES:].strip():
        code, _, description = status.decode("utf-8", "replace").partition(" ")
        found = {"Status": code, "Description": description, **found}
    return found
