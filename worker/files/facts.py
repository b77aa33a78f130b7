"""FACTS: newline-delimited JSON, read as a stream (contract section 8).

A line whose keys are only ``id``, ``type``, ``time`` and ``data``, with ``data`` an object, is an envelope. Any other
object is a bare fact, of the type that the caller names. Blank lines are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec

from domain.decisions.fact import Fact
from domain.identifiers import fact_key, is_dotted_name, is_fact_id
from domain.language import parse_timestamp
from streams.facts.intake import FACT_BYTES_MAX, DeadReason, Refused, decode_object
from worker.files.lines import UnreadableError, count_lines, line_batches

__all__ = ["CE_SOURCE", "FactProblem", "FileFact", "count_lines", "read_fact", "read_fact_batches", "read_facts"]

# The CloudEvents source of facts whose envelope has an id: with it, the id is the fact's identity wherever it was read.
CE_SOURCE: Final = "file"
# What an envelope may hold beside its data.
ENVELOPE_ROOM_BYTES: Final = 16 * 1024

INVALID_TYPE: Final = "INVALID_TYPE"
NO_TYPE: Final = "NO_TYPE"
UNREADABLE: Final = "UNREADABLE"


@dataclass(frozen=True, slots=True)
class FileFact:
    """One line's fact. ``data`` is its JSON text, fit to be published; ``time_ns`` counts from 1970 in UTC."""

    line: int
    id: str | None
    type: str
    time_ns: int | None
    payload: dict[str, Any]
    data: bytes

    def to_fact(self, file_name: str) -> Fact:
        """Return the fact for an engine without a stream: its place is its line, its name is the file's."""
        if self.id is not None:
            return Fact(fact_key("ce", CE_SOURCE, self.id), self.id, self.type, self.line, self.time_ns, self.payload)
        place = str(self.line) if self.time_ns is None else f"{self.line}@{self.time_ns}"
        key = fact_key("seq", file_name, place)
        return Fact(key, f"{file_name}:{self.line}", self.type, self.line, self.time_ns, self.payload)


@dataclass(frozen=True, slots=True)
class FactProblem:
    """A line that is no fact, and why. Codes are those of dead letters, and a few that only files can have."""

    line: int
    code: str
    message: str


class _Envelope(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    data: msgspec.Raw
    id: Any = None
    type: Any = None
    time: Any = None


_ENVELOPES: Final = msgspec.json.Decoder(_Envelope)
_is_type: Final = lru_cache(maxsize=4096)(is_dotted_name)


def read_facts(path: Path, fact_type: str | None = None) -> Iterator[FileFact | FactProblem]:
    """Yield what each line of a file is, in order; see ``read_fact_batches``."""
    for batch in read_fact_batches(path, fact_type):
        yield from batch


def read_fact_batches(path: Path, fact_type: str | None = None) -> Iterator[list[FileFact | FactProblem]]:
    """Yield what the lines of a file are, in order, as many at a time as one read gave.

    ``fact_type`` is for lines that name none. Raises nothing for the file's sake: a line that is no fact, and a file
    that ends unreadable, are problems in their place.
    """
    line = 0
    try:
        for lines in line_batches(path, FACT_BYTES_MAX + ENVELOPE_ROOM_BYTES):
            yield [
                read_fact(number, text, fact_type)
                for number, text in lines
                if text is None or (text and not text.isspace())
            ]
            line = lines[-1][0]
    except UnreadableError as error:
        yield [FactProblem(line + 1, UNREADABLE, f"the file {error.message}")]


def read_fact(line: int, text: bytes | None, fact_type: str | None) -> FileFact | FactProblem:
    """Read one line's JSON text; None stands for a line that is too long."""
    if text is None:
        return FactProblem(line, DeadReason.FACT_TOO_LARGE, f"a fact is at most {FACT_BYTES_MAX} bytes")
    try:
        envelope = _ENVELOPES.decode(text)
        data = bytes(envelope.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _bare(line, text.strip(), fact_type)
    if not data.startswith(b"{"):
        return _bare(line, text.strip(), fact_type)
    payload = _decoded(line, data)
    if isinstance(payload, FactProblem):
        return payload
    fact_id, time, own_type = envelope.id, envelope.time, envelope.type
    if fact_id is not None and not (isinstance(fact_id, str) and is_fact_id(fact_id)):
        message = "a fact id is a string of 1 to 256 bytes without control characters"
        return FactProblem(line, DeadReason.INVALID_FACT_ID, message)
    if own_type is None:
        own_type = fact_type
    if own_type is None:
        return FactProblem(line, NO_TYPE, "the envelope has no type, and no --type was given")
    if not (isinstance(own_type, str) and _is_type(own_type)):
        return FactProblem(line, INVALID_TYPE, "a fact type is 1 to 16 tokens of A-Z a-z 0-9 _ -, 256 bytes")
    time_ns = None
    if time is not None:
        if not isinstance(time, str):
            return FactProblem(line, DeadReason.INVALID_TIME, "time: not an RFC 3339 timestamp")
        try:
            time_ns = parse_timestamp(time).ns
        except ValueError as error:
            return FactProblem(line, DeadReason.INVALID_TIME, f"time: {error}")
    return FileFact(line, fact_id, own_type, time_ns, payload, data)


def _bare(line: int, data: bytes, fact_type: str | None) -> FileFact | FactProblem:
    payload = _decoded(line, data)
    if isinstance(payload, FactProblem):
        return payload
    if fact_type is None:
        message = (
            "no type: the line is not an envelope (only the keys id, type, time and data, with data an object), "
            "and no --type was given"
        )
        return FactProblem(line, NO_TYPE, message)
    return FileFact(line, None, fact_type, None, payload, data)


def _decoded(line: int, data: bytes) -> dict[str, Any] | FactProblem:
    if len(data) > FACT_BYTES_MAX:
        return FactProblem(line, DeadReason.FACT_TOO_LARGE, f"a fact is at most {FACT_BYTES_MAX} bytes")
    payload = decode_object(data)
    if isinstance(payload, Refused):
        return FactProblem(line, payload.reason, payload.message)
    return payload
