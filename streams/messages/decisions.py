"""Decisions and effects on the wire (contract section 5)."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from typing import Annotated, Final

import msgspec

from domain.decisions.decision import Decision, FixedMatch, Match
from domain.language import ns_to_text
from domain.ports import StoredDecision
from streams.messages.fields import (
    FAULTS,
    Branch,
    Count,
    Digest,
    EffectId,
    EffectName,
    FactIdText,
    FactTypeText,
    FaultCode,
    FaultRuleId,
    Key,
    Matches,
    Number,
    Outcome,
    Output,
    Place,
    PriorityText,
    Revision,
    RuleName,
    Sequence,
    TableRows,
    Utc,
    Uuid,
)

_ENCODER: Final = msgspec.json.Encoder()
_SECOND_NS: Final = 1_000_000_000


class RulesetBody(msgspec.Struct, frozen=True, gc=False):
    revision: Revision
    digest: Digest


class MatchBody(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    rule_id: Uuid
    name: RuleName
    version: Number
    priority: PriorityText
    branch: Branch
    output: Output
    rows: TableRows | None = None


class EffectBody(msgspec.Struct, frozen=True, rename="camel", gc=False):
    name: EffectName
    effect_id: EffectId


class FaultBody(msgspec.Struct, frozen=True, rename="camel", gc=False):
    rule_id: FaultRuleId
    code: FaultCode
    message: str
    line: Place
    column: Place


class DecisionBody(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """The payload of a decision."""

    decision_id: Key
    fact_id: FactIdText
    fact_type: FactTypeText
    fact_seq: Sequence
    fact_time: Utc | None
    decided_at: Utc
    ruleset: RulesetBody
    outcome: Outcome
    output: Output
    matches: Matches  # MatchBody, or what it is written as
    effects: list[EffectBody]
    faults: Annotated[list[FaultBody], FAULTS]
    fault_count: Count


def decision_body(decision: Decision, decided_at: str) -> DecisionBody:
    """Put a decision into the contract's form."""
    fact = decision.fact
    return DecisionBody(  # by place, which costs half of what it costs by name
        fact.key.hex(),
        fact.id,
        fact.type,
        fact.sequence,
        None if fact.time_ns is None else time_text(fact.time_ns),
        decided_at,
        _ruleset_body(decision.revision, decision.digest),
        "matched" if decision.matched else "unmatched",
        decision.output,
        [
            match.written if match.__class__ is FixedMatch and match.written is not None else _match_body(match)
            for match in decision.matches
        ],
        [EffectBody(effect.name, effect.effect_id) for effect in decision.effects],
        [FaultBody(fault.rule_id, fault.code, fault.message, fault.line, fault.column) for fault in decision.faults],
        decision.fault_count,
    )


@lru_cache(maxsize=64)
def _ruleset_body(revision: int, digest: bytes) -> RulesetBody:
    return RulesetBody(revision, digest.hex())


def _match_body(match: Match) -> MatchBody | msgspec.Raw:
    body = MatchBody(match.rule_id, match.name, match.version, match.priority, match.branch, match.output, match.rows)
    if match.__class__ is FixedMatch:
        with suppress(TypeError, UnicodeEncodeError, OverflowError):  # told where the whole decision is written
            msgspec.structs.force_setattr(match, "written", msgspec.Raw(_ENCODER.encode(body)))
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
    effects = decision.effects
    return StoredDecision(
        fact.key,
        stored_at_ns,
        fact.id,
        fact.type,
        fact.sequence,
        fact.time_ns,
        decision.matched,
        decision.revision,
        encode_decision(decision, decided_at),
        tuple([(effect.name, effect.effect_id, _ENCODER.encode(effect.payload)) for effect in effects])
        if effects
        else (),
        traceparent,
        kept_fact,
    )


@lru_cache(maxsize=4096)
def time_text(time_ns: int) -> str:
    """Write nanoseconds since 1970 as RFC 3339 in UTC; kept, since a fact's time is written several times over."""
    return ns_to_text(time_ns)
