"""Decisions and effects on the wire (contract section 5)."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

import msgspec

from domain.decisions.decision import Decision, FixedMatch, Match
from domain.language import timestamp_from_ns, timestamp_to_text
from domain.ports import StoredDecision

_ENCODER: Final = msgspec.json.Encoder()
_SECOND_NS: Final = 1_000_000_000


class RulesetBody(msgspec.Struct, frozen=True, gc=False):
    revision: int
    digest: str


class MatchBody(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    rule_id: str
    name: str
    version: int
    priority: str
    branch: str
    output: dict[str, Any]
    rows: list[int] | None = None


class EffectBody(msgspec.Struct, frozen=True, rename="camel", gc=False):
    name: str
    effect_id: str


class FaultBody(msgspec.Struct, frozen=True, rename="camel", gc=False):
    rule_id: str
    code: str
    message: str
    line: int
    column: int


class DecisionBody(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """The payload of a decision."""

    decision_id: str
    fact_id: str
    fact_type: str
    fact_seq: int
    fact_time: str | None
    decided_at: str
    ruleset: RulesetBody
    outcome: str
    output: dict[str, Any]
    matches: list[Any]  # MatchBody, or what it is written as
    effects: list[EffectBody]
    faults: list[FaultBody]
    fault_count: int


def decision_body(decision: Decision, decided_at: str) -> DecisionBody:
    """Put a decision into the contract's form."""
    fact = decision.fact
    return DecisionBody(
        decision_id=decision.id,
        fact_id=fact.id,
        fact_type=fact.type,
        fact_seq=fact.sequence,
        fact_time=None if fact.time_ns is None else time_text(fact.time_ns),
        decided_at=decided_at,
        ruleset=RulesetBody(decision.revision, decision.digest.hex()),
        outcome="matched" if decision.matched else "unmatched",
        output=decision.output,
        matches=[_match_body(match) for match in decision.matches],
        effects=[EffectBody(effect.name, effect.effect_id) for effect in decision.effects],
        faults=[
            FaultBody(fault.rule_id, fault.code, fault.message, fault.line, fault.column) for fault in decision.faults
        ],
        fault_count=decision.fault_count,
    )


def _match_body(match: Match) -> MatchBody | msgspec.Raw:
    if match.__class__ is FixedMatch and match.written is not None:
        return match.written  # type: ignore[no-any-return]  # what is put there below
    body = MatchBody(match.rule_id, match.name, match.version, match.priority, match.branch, match.output, match.rows)
    if match.__class__ is FixedMatch:
        with suppress(TypeError, UnicodeEncodeError, OverflowError):  # told where the whole decision is written
            match.written = msgspec.Raw(_ENCODER.encode(body))
    return body


def encode_decision(decision: Decision, decided_at: str) -> bytes:
    """Write a decision in its bytes; raises ValueError when a value in it has no JSON form."""
    try:
        return _ENCODER.encode(decision_body(decision, decided_at))
    except (TypeError, UnicodeEncodeError, OverflowError) as error:
        raise ValueError(str(error)) from error


def stored_decision(
    decision: Decision, decided_at: str, stored_at_ns: int, traceparent: str | None, kept_fact: bytes | None = None
) -> StoredDecision:
    """Put a decision and its effects into the bytes that are stored and published; ``decided_at`` is RFC 3339.

    ``kept_fact`` is what ``streams.facts.kept`` makes of the fact's message, where it is to be stored beside them.
    """
    fact = decision.fact
    assert fact.time_ns is not None  # a fact from a stream has a time
    return StoredDecision(
        key=fact.key,
        stored_at_ns=stored_at_ns,
        fact_id=fact.id,
        fact_type=fact.type,
        sequence=fact.sequence,
        time_ns=fact.time_ns,
        matched=decision.matched,
        revision=decision.revision,
        body=encode_decision(decision, decided_at),
        effects=tuple((effect.name, effect.effect_id, _ENCODER.encode(effect.payload)) for effect in decision.effects),
        traceparent=traceparent,
        fact=kept_fact,
    )


@lru_cache(maxsize=4096)
def time_text(time_ns: int) -> str:
    """Write nanoseconds since 1970 as RFC 3339 in UTC; kept, since a fact's time is written several times over."""
    return timestamp_to_text(timestamp_from_ns(time_ns))
