"""Message headers: NATS's own, CloudEvents' binary mode, and ours on dead letters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MESSAGE_ID: Final = "Nats-Msg-Id"
TRACEPARENT: Final = "traceparent"
CONTENT_TYPE: Final = "content-type"
CE_ID: Final = "ce-id"
CE_SOURCE: Final = "ce-source"
CE_TIME: Final = "ce-time"
STRUCTURED_CLOUD_EVENT: Final = "application/cloudevents+json"

SOURCE: Final = "rulestream"
DECISION_TYPE: Final = "rulestream.decision"
EFFECT_TYPE: Final = "rulestream.effect"

EXPECTED_LAST_SEQUENCE: Final = "Nats-Expected-Last-Subject-Sequence"
EXPECTED_LAST_SEQUENCE_SUBJECT: Final = "Nats-Expected-Last-Subject-Sequence-Subject"

# Headers that say a message was not published by a person under the subject that it came on: JetStream's direct-get
# and republish marks, and message scheduling. A command with a header that begins so is refused.
FORGED: Final = ("nats-stream", "nats-subject", "nats-schedul")

DEAD_REASON: Final = "Rulestream-Reason"
DEAD_MESSAGE: Final = "Rulestream-Message"
DEAD_SUBJECT: Final = "Rulestream-Subject"
DEAD_STREAM: Final = "Rulestream-Stream"
DEAD_SEQUENCE: Final = "Rulestream-Sequence"
DEAD_STORED_AT: Final = "Rulestream-Stored-At"
DEAD_TRUNCATED: Final = "Rulestream-Truncated"
ORIGINAL_PREFIX: Final = "Original-"
ORIGIN: Final = "Rulestream-Origin"

_SERVERS_PREFIX: Final = "nats-"
_BREAKING: Final = dict.fromkeys(map(ord, "\r\n\0"), "\N{REPLACEMENT CHARACTER}")


def cloud_event(event_id: str, event_type: str, time: str, traceparent: str | None = None) -> dict[str, str]:
    """Return the headers of a message that we publish; ``event_id`` is also what the server deduplicates by."""
    found = {
        MESSAGE_ID: event_id,
        "ce-specversion": "1.0",
        CE_ID: event_id,
        "ce-type": event_type,
        CE_SOURCE: SOURCE,
        CE_TIME: time,
        CONTENT_TYPE: "application/json",
    }
    if traceparent:
        found[TRACEPARENT] = traceparent
    return found


def original(found: Mapping[str, str] | None) -> dict[str, str]:
    """Return a message's headers as a dead letter carries them: ``Original-<name>``, made harmless."""
    return {ORIGINAL_PREFIX + harmless(name): harmless(value) for name, value in (found or {}).items()}


def unwrapped(found: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of the message that a dead letter carries."""
    start = len(ORIGINAL_PREFIX)
    return {name[start:]: value for name, value in found.items() if name.startswith(ORIGINAL_PREFIX)}


def is_for_the_server(name: str) -> bool:
    """Say whether a header asks the server for something, or is its mark: all of NATS's own but the message id."""
    return name.lower().startswith(_SERVERS_PREFIX) and name != MESSAGE_ID


def harmless(text: str) -> str:
    """Put a replacement character for what no header may hold but a raw client can send: CR, LF and NUL."""
    return text.translate(_BREAKING)


def lowered(headers: dict[str, str] | None) -> dict[str, str]:
    """Return headers with their names in lower case; of two spellings of one name the last stands."""
    return {name.lower(): value for name, value in headers.items()} if headers else {}
