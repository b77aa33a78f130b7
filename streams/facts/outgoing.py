"""What leaves for a fact: its decision, its effects, or its dead letter."""

from __future__ import annotations

from typing import Final

from domain.ports import StoredDecision
from streams import headers, subjects
from streams.facts.intake import Delivery, Refused
from streams.messages.decisions import time_text
from streams.wire import Publication, header_block

# Room that the server's maximum payload must leave for headers, which count towards it.
_HEADER_ROOM_BYTES: Final = 4096


def fits(decision: StoredDecision, payload_bytes_max: int) -> bool:
    """Say whether a decision and each of its effects fit a message."""
    room = payload_bytes_max - _HEADER_ROOM_BYTES
    if len(decision.body) > room:
        return False
    return not decision.effects or all(len(payload) <= room for _, _, payload in decision.effects)


def decision_publications(decision: StoredDecision) -> list[Publication]:
    """Return the messages of a decision, from its stored bytes alone: they are the same whenever they are made."""
    time = time_text(decision.time_ns)
    key = decision.key.hex()
    found = [
        Publication(
            subjects.decision(decision.fact_type, matched=decision.matched),
            _head(key, headers.DECISION_TYPE, time, decision.traceparent),
            decision.body,
        )
    ]
    found.extend(
        Publication(subjects.effect(name), _head(effect_id, headers.EFFECT_TYPE, time, decision.traceparent), payload)
        for name, effect_id, payload in decision.effects
    )
    return found


def dead_fact_publication(delivery: Delivery, refused: Refused, payload_bytes_max: int) -> Publication:
    """Return a fact's dead letter: its bytes, its headers as ``Original-<name>``, and why.

    Where bytes and headers together do not fit a message, the original headers are left out first, then the end of the
    bytes; ``Rulestream-Truncated`` says which.
    """
    found = {
        headers.MESSAGE_ID: f"dead-{delivery.stream}-{delivery.sequence}-{delivery.stored_at_ns}",
        headers.DEAD_REASON: refused.reason.value,
        headers.DEAD_MESSAGE: _one_line(refused.message),
        headers.DEAD_SUBJECT: headers.harmless(delivery.subject),
        headers.DEAD_STREAM: delivery.stream,
        headers.DEAD_SEQUENCE: str(delivery.sequence),
        headers.DEAD_STORED_AT: time_text(delivery.stored_at_ns),
    }
    subject = subjects.dead_fact(subjects.fact_type(delivery.subject))
    head = header_block({**found, **headers.original(delivery.headers)})
    if len(head) + len(delivery.data) <= payload_bytes_max:
        return Publication(subject, head, delivery.data)
    head = header_block({**found, headers.DEAD_TRUNCATED: "headers"})
    if len(head) + len(delivery.data) <= payload_bytes_max:
        return Publication(subject, head, delivery.data)
    head = header_block({**found, headers.DEAD_TRUNCATED: "data"})
    return Publication(subject, head, delivery.data[: payload_bytes_max - len(head)])


def _head(message_id: str, event_type: str, time: str, traceparent: str | None) -> bytes:
    """Write ``headers.cloud_event`` as ``wire.header_block`` would: here every part is ours and harmless."""
    trace = f"{headers.TRACEPARENT}: {traceparent}\r\n" if traceparent else ""
    return (
        f"NATS/1.0\r\n{headers.MESSAGE_ID}: {message_id}\r\nce-specversion: 1.0\r\n{headers.CE_ID}: {message_id}\r\n"
        f"ce-type: {event_type}\r\n{headers.CE_SOURCE}: {headers.SOURCE}\r\n{headers.CE_TIME}: {time}\r\n"
        f"{headers.CONTENT_TYPE}: application/json\r\n{trace}\r\n"
    ).encode()


def _one_line(text: str) -> str:
    return " ".join(text.split())[:500]
