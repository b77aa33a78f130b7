"""Which fact a stored message is, by the contract's section 4 alone: nothing of the project is imported."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime

KEY_BYTES = 16
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One message of a stream, as the stream holds it."""

    subject: str
    sequence: int
    stored_at_ns: int
    headers: dict[str, str]
    data: bytes


@dataclass(frozen=True, slots=True)
class Identity:
    """A fact's key, its id, and its own time in nanoseconds since 1970."""

    key: bytes
    fact_id: str
    time_ns: int


def key_of(kind: str, source: str, fact_id: str) -> bytes:
    """Hash kind, source and id, each after its length, and give the first 128 bits."""
    state = hashlib.sha256()
    for text in (kind, source, fact_id):
        data = text.encode("utf-8")
        state.update(len(data).to_bytes(4, "big"))
        state.update(data)
    return state.digest()[:KEY_BYTES]


def identity_of(stream: str, message: StoredMessage) -> Identity:
    """Say which fact a message of the facts' stream is; only for messages that are facts."""
    found = {name.lower(): value for name, value in message.headers.items()}
    if found.get("content-type", "").lower().startswith("application/cloudevents+json"):
        attributes = json.loads(message.data)
    else:
        attributes = {name: found[f"ce-{name}"] for name in ("id", "source", "time") if f"ce-{name}" in found}
    time = attributes.get("time")
    time_ns = message.stored_at_ns if time is None else nanoseconds(time)
    if "id" in attributes:
        return Identity(key_of("ce", attributes["source"], attributes["id"]), attributes["id"], time_ns)
    message_id = message.headers.get("Nats-Msg-Id")
    if message_id is not None:
        return Identity(key_of("msg", "", message_id), message_id, time_ns)
    place = f"{message.sequence}@{message.stored_at_ns}"
    return Identity(key_of("seq", stream, place), f"{stream}:{message.sequence}", time_ns)


def payload_of(message: StoredMessage) -> dict[str, object]:
    """Give the fact's data: in CloudEvents' structured mode it is inside the envelope."""
    body: dict[str, object] = json.loads(message.data)
    found = {name.lower(): value for name, value in message.headers.items()}
    if found.get("content-type", "").lower().startswith("application/cloudevents+json"):
        data = body["data"]
        assert isinstance(data, dict)
        return data
    return body


def nanoseconds(text: str) -> int:
    """Read an RFC 3339 time with an offset or Z, to the nanosecond."""
    at = text.replace("Z", "+00:00").replace("z", "+00:00")
    head, sign, offset = at[:19], at[-6], at[-5:]
    fraction = at[19:-6].lstrip(".")
    assert sign in "+-"
    moment = datetime.fromisoformat(f"{head}{sign}{offset}")
    whole = round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    return whole * _SECOND_NS + int(fraction.ljust(9, "0") or "0")
