"""Dead letters: how a command becomes one, what a letter says, and the fact that is sent again from it.

Facts become dead letters in ``streams.facts.outgoing``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from domain.language import parse_timestamp
from domain.ports import FactPlace
from streams import headers, subjects
from streams.facts.intake import DeadReason
from streams.facts.origin import origin_text, parse_origin
from streams.wire import Publication, header_block

Kind = Literal["fact", "command", "unknown"]

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


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message of the dead-letter stream, as read back; what it does not say is empty, or None.

    ``subject`` and ``headers`` are those of the message that was buried, ``place`` is where its stream stored it.
    ``data`` is None where only the letter's headers were read; ``size`` counts its bytes in any case. ``truncated``
    says what did not fit: ``headers``, or ``data`` and the headers.
    """

    sequence: int
    buried_at_ns: int
    letter_subject: str
    reason: str
    message: str
    subject: str
    place: FactPlace | None
    headers: Mapping[str, str]
    data: bytes | None
    size: int
    truncated: str

    @property
    def kind(self) -> Kind:
        """Whether it was a fact or a command, by the subject that the letter lies under."""
        if self.letter_subject.startswith(subjects.DEAD_FACT_PREFIX):
            return "fact"
        return "command" if self.letter_subject.startswith(subjects.DEAD_COMMAND_PREFIX) else "unknown"


def read_letter(
    sequence: int, buried_at_ns: int, letter_subject: str, found: Mapping[str, str], data: bytes | None, size: int
) -> DeadLetter:
    """Read a message of the dead-letter stream; anyone's message is a letter, if one that says nothing."""
    return DeadLetter(
        sequence=sequence,
        buried_at_ns=buried_at_ns,
        letter_subject=letter_subject,
        reason=found.get(headers.DEAD_REASON, ""),
        message=found.get(headers.DEAD_MESSAGE, ""),
        subject=found.get(headers.DEAD_SUBJECT, ""),
        place=_place(found),
        headers=headers.unwrapped(found),
        data=data,
        size=size,
        truncated=found.get(headers.DEAD_TRUNCATED, ""),
    )


def obstacle(letter: DeadLetter) -> str | None:
    """Say why a letter cannot be sent again; None for one that can.

    A command never can: its reasons lie in the message itself, and sent by an operator it would pass for its actor's.
    """
    if letter.kind == "command":
        return "a command is its actor's to send again, with an id of its own: nobody else may speak as that actor"
    fact_type = subjects.fact_type(letter.subject)
    if letter.kind != "fact" or not letter.subject:
        return "it is no dead letter of a fact"
    if fact_type is None:
        return f"its subject can never be a fact's: {letter.subject}"
    if subjects.dead_fact(fact_type) != letter.letter_subject:
        return f"it lies under {letter.letter_subject}, where letters of {letter.subject} do not belong"
    if letter.truncated:
        lost = "its headers" if letter.truncated == "headers" else "its headers and the end of its bytes"
        return f"{lost} did not fit the letter and are lost: the fact is its sender's to send again"
    if letter.place is None:
        return "it does not say where the fact was stored"
    return None


def redrive_publication(letter: DeadLetter) -> Publication:
    """Return a letter's fact as it is sent again: its bytes under its subject, with its headers.

    The server's own headers are left out but the message id: what they asked for held for the first time. The place
    where it was stored first goes with it, and keeps the identity of a fact without an id, and the time of one without
    a time. The letter is one without an obstacle, read with its data.
    """
    assert letter.place is not None
    assert letter.data is not None
    found = {headers.ORIGIN: origin_text(letter.place)}
    found.update((name, value) for name, value in letter.headers.items() if not headers.is_for_the_server(name))
    return Publication(letter.subject, header_block(found), letter.data)


def _place(found: Mapping[str, str]) -> FactPlace | None:
    try:
        stored_at_ns = parse_timestamp(found.get(headers.DEAD_STORED_AT, "")).ns
    except ValueError:
        return None
    stream, sequence = found.get(headers.DEAD_STREAM, ""), found.get(headers.DEAD_SEQUENCE, "")
    return parse_origin(f"{stream}:{sequence}@{stored_at_ns}")
