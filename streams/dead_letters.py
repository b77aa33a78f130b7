"""Commands that can never be decided, stored as dead letters."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

from streams import headers, subjects
from streams.facts.intake import DeadReason
from streams.wire import Publication, header_block

_MESSAGES: Final = {
    DeadReason.COMMAND_WITHOUT_ID: "a command needs a Nats-Msg-Id of 16 to 64 characters of A-Z a-z 0-9 _ -",
    DeadReason.COMMAND_FORGED: "a command with the server's republish, direct-get or schedule headers is refused",
    DeadReason.INVALID_ACTOR: "a command's subject is rules.command.<actor>.<verb>, each one token of A-Z a-z 0-9 _ -",
}


def dead_command_publication(
    subject: str, payload: bytes, found: Mapping[str, str], reason: DeadReason, payload_bytes_max: int
) -> Publication:
    """Return a command's dead letter: its bytes, its headers as ``Original-<name>``, and why."""
    identity = hashlib.sha256(subject.encode() + b"\x00" + repr(sorted(found.items())).encode() + b"\x00" + payload)
    named = {
        headers.MESSAGE_ID: f"dead-command-{identity.hexdigest()[:32]}",
        headers.DEAD_REASON: reason.value,
        headers.DEAD_MESSAGE: _MESSAGES[reason],
        headers.DEAD_SUBJECT: headers.harmless(subject),
    }
    head = header_block({**named, **headers.original(found)})
    if len(head) + len(payload) > payload_bytes_max:
        head = header_block({**named, headers.DEAD_TRUNCATED: "headers"})
    return Publication(subjects.dead_command(subject), head, payload[: payload_bytes_max - len(head)])
