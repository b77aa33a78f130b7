"""Typed identifiers. Each validates its text once, where it enters; later code trusts the type.

Rule, template and event ids are UUIDs (version 5) derived from the command that caused them. A command id is
unguessable and is decided once for ever under its actor, so a command that is run again after a crash names the same
rule and events.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Self

from domain.errors import InvalidRequestError, ValidationError

_NAMESPACE: Final = uuid.UUID("6f1c55a5-0a3c-5c0c-9e49-5d6b7c6d3f10")
# Each is of the whole text, in what regular expressions of Python and of JSON Schema have in common.
ACTOR_PATTERN: Final = "[A-Za-z0-9_-]{1,64}"
COMMAND_ID_PATTERN: Final = "[A-Za-z0-9_-]{16,64}"
DOTTED_NAME_PATTERN: Final = r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+){0,15}"
UUID_PATTERN: Final = r"(?:urn:uuid:)?\{?[0-9A-Fa-f]{8}(?:-?[0-9A-Fa-f]{4}){3}-?[0-9A-Fa-f]{12}\}?"
DECISION_ID_PATTERN: Final = "[0-9A-Fa-f]{32}"
_TOKEN: Final = re.compile(rf"{ACTOR_PATTERN}\Z")
_COMMAND_ID: Final = re.compile(rf"{COMMAND_ID_PATTERN}\Z")
_DOTTED: Final = re.compile(rf"{DOTTED_NAME_PATTERN}\Z")
_UUID: Final = re.compile(rf"{UUID_PATTERN}\Z")
_DECISION_ID: Final = re.compile(rf"{DECISION_ID_PATTERN}\Z")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")

DOTTED_NAME_BYTES_MAX: Final = 256
FACT_ID_BYTES_MAX: Final = 256
FACT_KEY_BYTES: Final = 16


def is_dotted_name(text: str) -> bool:
    """Say whether text may be a fact type or an effect name: 1 to 16 tokens of ``[A-Za-z0-9_-]``, 256 bytes."""
    return len(text) <= DOTTED_NAME_BYTES_MAX and _DOTTED.match(text) is not None


def is_dotted_pattern(text: str) -> bool:
    """Say whether text may be a fact type with NATS wildcards: ``*`` for a token, ``>`` for those that are left."""
    tokens = text.split(".")
    return ">" not in tokens[:-1] and is_dotted_name(".".join("x" if one in {"*", ">"} else one for one in tokens))


def is_fact_id(text: str) -> bool:
    """Say whether text may be a fact's id: 1 to 256 bytes of UTF-8 without control characters."""
    if text.isascii() and text.isprintable():  # what most are: the same, sooner
        return 0 < len(text) <= FACT_ID_BYTES_MAX
    if not text or _CONTROL.search(text):
        return False
    try:
        return len(text.encode()) <= FACT_ID_BYTES_MAX
    except UnicodeEncodeError:
        return False


@dataclass(frozen=True, slots=True, order=True)
class Actor:
    """Who sent a command: one literal subject token, vouched for by the NATS server's permissions."""

    name: str

    def __post_init__(self) -> None:
        if _TOKEN.match(self.name) is None:
            raise InvalidRequestError("an actor is 1 to 64 characters of A-Z a-z 0-9 _ -", actor=self.name[:80])

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class CommandId:
    """The id under which an actor's command is decided once, for ever."""

    value: str

    def __post_init__(self) -> None:
        if _COMMAND_ID.match(self.value) is None:
            raise InvalidRequestError("a command id is 16 to 64 characters of A-Z a-z 0-9 _ -")

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True, order=True)
class RuleId:
    """A rule's identity over all its versions."""

    value: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a rule id in any of UUID's spellings; raises ValidationError."""
        if _UUID.match(text) is None:
            raise ValidationError("ruleId is not a UUID", field="ruleId")
        return cls(str(uuid.UUID(text)))

    @classmethod
    def for_command(cls, actor: Actor, command_id: CommandId, index: int = 0) -> Self:
        """Name the index-th rule that a command creates."""
        return cls(str(uuid.uuid5(_NAMESPACE, f"rule/{actor}/{command_id}/{index}")))

    @classmethod
    def for_name(cls, name: str) -> Self:
        """Name a rule that comes from a file and has no id of its own."""
        return cls(str(uuid.uuid5(_NAMESPACE, f"name/{name}")))

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True, order=True)
class TemplateId:
    """A template's identity over all its versions."""

    value: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a template id in any of UUID's spellings; raises ValidationError."""
        if _UUID.match(text) is None:
            raise ValidationError("templateId is not a UUID", field="templateId")
        return cls(str(uuid.UUID(text)))

    @classmethod
    def for_command(cls, actor: Actor, command_id: CommandId) -> Self:
        """Name the template that a command creates."""
        return cls(str(uuid.uuid5(_NAMESPACE, f"template/{actor}/{command_id}")))

    def __str__(self) -> str:
        return self.value


def event_id_for_command(actor: Actor, command_id: CommandId, index: int) -> str:
    """Name the index-th event that a command causes."""
    return str(uuid.uuid5(_NAMESPACE, f"event/{actor}/{command_id}/{index}"))


def fact_key(kind: str, source: str, fact_id: str) -> bytes:
    """Return a fact's key: the first 128 bits of SHA-256 over the length-prefixed kind, source and id.

    Lengths are of the UTF-8 bytes, as 4-byte big-endian integers, so that no two triples share a text. ``kind`` is
    ``ce`` (source: CloudEvents source), ``msg`` (source empty) or ``seq`` (source: the stream; id: sequence and stored
    time in nanoseconds, as ``<sequence>@<time>``).
    """
    state = _key_state(kind, source).copy()
    state.update(_length_prefixed(fact_id))
    return state.digest()[:FACT_KEY_BYTES]


def parse_decision_id(text: str) -> bytes:
    """Return the fact's key that a decision's id is the hexadecimal form of; raises ValidationError."""
    if _DECISION_ID.match(text) is None:
        raise ValidationError("decisionId is 32 hexadecimal digits", field="decisionId")
    return bytes.fromhex(text)


@lru_cache(maxsize=256)
def _key_state(kind: str, source: str) -> hashlib._Hash:
    """Return the hash's state before the id, which is the same for all facts of a source."""
    return hashlib.sha256(_length_prefixed(kind) + _length_prefixed(source))


def _length_prefixed(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(4, "big") + data
