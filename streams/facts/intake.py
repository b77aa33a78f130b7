"""From a delivered message to a fact, or to the reason why it is none (contract section 4)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec

from domain.decisions.fact import Fact
from domain.identifiers import fact_key, is_fact_id
from domain.language import parse_timestamp
from domain.ports import FactPlace
from streams import headers, subjects
from streams.codec import DEPTH_MAX, is_too_deep
from streams.facts.origin import parse_origin

FACT_BYTES_MAX: Final = 512 * 1024
INT_MIN: Final = -(2**63)
UINT_MAX: Final = 2**64 - 1

# Nineteen digits in a row: only such numbers can lie outside 64 bits. Looked for with every digit made a zero, which
# is ten times as fast as a regular expression; and what opens made one sign, for both together tell how deep it can be.
_COARSE: Final = bytes.maketrans(b"123456789[", b"000000000{")
_LONG_NUMBER: Final = b"0" * 19
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}[0-9a-f-]{0,64}\Z")
# What nats-py puts for header bytes that are not UTF-8: two ids that differ in such bytes would become one.
_NOT_UTF8: Final = "\N{REPLACEMENT CHARACTER}"
_ID_IS_UTF8: Final = "a fact id and its source are UTF-8"
_DECODER: Final = msgspec.json.Decoder()
_ORIGIN: Final = headers.ORIGIN.lower()


class DeadReason(StrEnum):
    """Why a message can never become a decision."""

    INVALID_SUBJECT = "INVALID_SUBJECT"
    INVALID_FACT_ID = "INVALID_FACT_ID"
    INVALID_TIME = "INVALID_TIME"
    INVALID_ORIGIN = "INVALID_ORIGIN"
    INVALID_CLOUD_EVENT = "INVALID_CLOUD_EVENT"
    STORE_REFUSED = "STORE_REFUSED"
    NOT_JSON = "NOT_JSON"
    NOT_AN_OBJECT = "NOT_AN_OBJECT"
    NUMBER_OUT_OF_RANGE = "NUMBER_OUT_OF_RANGE"
    FACT_TOO_LARGE = "FACT_TOO_LARGE"
    FACT_TOO_DEEP = "FACT_TOO_DEEP"
    DECISION_TOO_LARGE = "DECISION_TOO_LARGE"
    KILLED_WORKER = "KILLED_WORKER"
    COMMAND_WITHOUT_ID = "COMMAND_WITHOUT_ID"
    COMMAND_FORGED = "COMMAND_FORGED"
    INVALID_ACTOR = "INVALID_ACTOR"


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One delivery of one stored message; ``deliveries`` counts this one too."""

    subject: str
    reply: str
    data: bytes
    headers: dict[str, str] | None
    stream: str
    sequence: int
    stored_at_ns: int
    deliveries: int

    @property
    def place(self) -> FactPlace:
        """Where the message is stored."""
        return FactPlace(self.stream, self.sequence, self.stored_at_ns)

    @classmethod
    def heard(cls, subject: bytes, reply: bytes, data: bytes, found: dict[str, str] | None) -> Delivery:
        """Read what JetStream says of a delivery in its acknowledgement subject, with or without a domain."""
        text = reply.decode("utf-8", "replace")
        tokens = text.split(".")
        at = 2 if len(tokens) == 9 else 4
        return cls(
            subject.decode("utf-8", "replace"),
            text,
            data,
            found,
            tokens[at],
            int(tokens[at + 3]),
            int(tokens[at + 5]),
            int(tokens[at + 2]),
        )


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """A fact, with what goes beside it."""

    fact: Fact
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that is no fact, and why."""

    reason: DeadReason
    message: str


class _NotAFactError(Exception):
    def __init__(self, reason: DeadReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def read_fact(delivery: Delivery, bytes_max: int = FACT_BYTES_MAX) -> Accepted | Refused:
    """Make a fact of a delivery. The outcome depends on the stored message alone, never on when it is read."""
    try:
        return _read(delivery, bytes_max)
    except _NotAFactError as error:
        return Refused(error.reason, error.message)


def _read(delivery: Delivery, bytes_max: int) -> Accepted:
    fact_type = subjects.fact_type(delivery.subject)
    if fact_type is None:
        raise _NotAFactError(DeadReason.INVALID_SUBJECT, "a fact type is 1 to 16 tokens of A-Z a-z 0-9 _ -, 256 bytes")
    if len(delivery.data) > bytes_max:
        raise _NotAFactError(DeadReason.FACT_TOO_LARGE, f"a fact is at most {bytes_max} bytes")
    time_ns = delivery.stored_at_ns
    if not delivery.headers:
        key, fact_id = _sequence_key(delivery)
        return Accepted(Fact(key, fact_id, fact_type, delivery.sequence, time_ns, _decode(delivery.data)))
    if (
        len(delivery.headers) == 1 and headers.MESSAGE_ID in delivery.headers
    ):  # what most publishers send: the same, sooner
        payload = _decode(delivery.data)
        fact_id = _checked_id(delivery.headers[headers.MESSAGE_ID])
        return Accepted(Fact(fact_key("msg", "", fact_id), fact_id, fact_type, delivery.sequence, time_ns, payload))
    found = headers.lowered(delivery.headers)
    first: Delivery | FactPlace = delivery
    if _ORIGIN in found:
        first = _origin(found[_ORIGIN], delivery)
        time_ns = first.stored_at_ns
    if found.get(headers.CONTENT_TYPE, "").lower().startswith(headers.STRUCTURED_CLOUD_EVENT):
        envelope = _decode(delivery.data)
        cloud_id, source, time = (_text(envelope, name) for name in ("id", "source", "time"))
        data = envelope.get("data")
        if cloud_id is None:
            raise _NotAFactError(DeadReason.INVALID_CLOUD_EVENT, "a CloudEvent has an id and a source")
        if not isinstance(data, dict):
            raise _NotAFactError(DeadReason.NOT_AN_OBJECT, "the CloudEvent's data is not a JSON object")
        payload = data
    else:
        cloud_id, source, time = found.get(headers.CE_ID), found.get(headers.CE_SOURCE), found.get(headers.CE_TIME)
        payload = _decode(delivery.data)
    message_id = delivery.headers.get(headers.MESSAGE_ID)
    for text in (cloud_id, source, message_id):
        if text and _NOT_UTF8 in text:
            raise _NotAFactError(DeadReason.INVALID_FACT_ID, _ID_IS_UTF8)
    if cloud_id is not None:
        if source is None:
            raise _NotAFactError(DeadReason.INVALID_CLOUD_EVENT, "a CloudEvent has an id and a source")
        key, fact_id = fact_key("ce", source, cloud_id), cloud_id
    elif message_id is not None:
        key, fact_id = fact_key("msg", "", message_id), message_id
    else:
        key, fact_id = _sequence_key(first)
    _checked_id(fact_id)
    if time is not None:
        try:
            time_ns = parse_timestamp(time).ns
        except ValueError as error:
            raise _NotAFactError(DeadReason.INVALID_TIME, f"ce-time: {error}") from None
    fact = Fact(key, fact_id, fact_type, delivery.sequence, time_ns, payload)
    traceparent = found.get(headers.TRACEPARENT)
    return Accepted(fact, traceparent if traceparent and _TRACEPARENT.match(traceparent) else None)


def _checked_id(text: str) -> str:
    if _NOT_UTF8 in text:
        raise _NotAFactError(DeadReason.INVALID_FACT_ID, _ID_IS_UTF8)
    if not is_fact_id(text):
        raise _NotAFactError(DeadReason.INVALID_FACT_ID, "a fact id is 1 to 256 bytes without control characters")
    return text


def _origin(text: str, delivery: Delivery) -> FactPlace:
    origin = parse_origin(text)
    if origin is None or origin.stored_at_ns >= delivery.stored_at_ns:
        message = f"{headers.ORIGIN} is <stream>:<sequence>@<nanoseconds> of a message that was stored before"
        raise _NotAFactError(DeadReason.INVALID_ORIGIN, message)
    return origin


def _sequence_key(place: Delivery | FactPlace) -> tuple[bytes, str]:
    fact_id = f"{place.stream}:{place.sequence}"
    return fact_key("seq", place.stream, f"{place.sequence}@{place.stored_at_ns}"), fact_id


def _text(envelope: dict[str, Any], name: str) -> str | None:
    value = envelope.get(name)
    if value is not None and not isinstance(value, str):
        raise _NotAFactError(DeadReason.INVALID_CLOUD_EVENT, f"the CloudEvent's {name} is not a string")
    return value


def decode_object(data: bytes) -> dict[str, Any] | Refused:
    """Decode a fact's JSON text, for readers of files."""
    try:
        return _decode(data)
    except _NotAFactError as error:
        return Refused(error.reason, error.message)


def _decode(data: bytes) -> dict[str, Any]:
    coarse = data.translate(_COARSE)
    if coarse.count(b"{") > DEPTH_MAX and is_too_deep(data):
        raise _NotAFactError(DeadReason.FACT_TOO_DEEP, f"a fact is nested at most {DEPTH_MAX} deep")
    try:
        payload = _DECODER.decode(data)
    except msgspec.ValidationError as error:  # "Number out of range" is the only thing an untyped decode can refuse
        raise _NotAFactError(DeadReason.NUMBER_OUT_OF_RANGE, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _NotAFactError(DeadReason.NOT_JSON, str(error)) from None
    if type(payload) is not dict:
        raise _NotAFactError(DeadReason.NOT_AN_OBJECT, "a fact is a JSON object")
    if _LONG_NUMBER in coarse:
        try:
            return _within_64_bits(payload)  # type: ignore[no-any-return]  # an object stays one
        except OverflowError:
            message = "a number is outside a double's range"
            raise _NotAFactError(DeadReason.NUMBER_OUT_OF_RANGE, message) from None
    return payload


def _within_64_bits(value: Any) -> Any:
    """Make doubles of integers that fit neither int nor uint, as the language reads JSON."""
    kind = type(value)
    if kind is int:
        return value if INT_MIN <= value <= UINT_MAX else float(value)
    if kind is dict:
        return {name: _within_64_bits(item) for name, item in value.items()}
    if kind is list:
        return [_within_64_bits(item) for item in value]
    return value
