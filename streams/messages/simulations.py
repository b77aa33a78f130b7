"""What the query ``simulate`` answers with: decisions that nobody stored or published, and why they are as they are."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from domain.decisions.decision import Decision
from domain.decisions.ruleset import RulesetState
from streams.messages.decisions import EffectBody, FaultBody, RulesetBody, decision_body
from streams.messages.fields import (
    DECISION,
    FAULTS,
    TRACE,
    Count,
    FactIdText,
    FactTypeText,
    Key,
    Matches,
    Outcome,
    Output,
    Sequence,
    Utc,
)

_ENCODER: Final = msgspec.json.Encoder()


class SimulatedDecision(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A decision in the form of the stream's. Nobody decided it: ``decided_at`` is null.

    ``ruleset`` is the one that was active, where the rules were tried beside it, and null where they were tried alone.
    ``fact_seq`` is the fact's place among those given, counted from 1.
    """

    decision_id: Key
    fact_id: FactIdText
    fact_type: FactTypeText
    fact_seq: Sequence
    fact_time: Utc | None
    decided_at: None
    ruleset: RulesetBody | None
    outcome: Outcome
    output: Output
    matches: Matches
    effects: list[EffectBody]
    faults: Annotated[list[FaultBody], FAULTS]
    fault_count: Count


class SimulationBody(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """What became of one fact.

    ``trace`` has an ``ExplanationBody`` for each rule under trial, then for each active rule that the fact meets;
    ``trace_omitted`` counts those that were left out for their size or for the time that they take. ``effects`` are the
    payloads that would be published, in the order of the decision's. ``decision`` is null where it cannot be published
    as it is; ``problem`` says why.
    """

    fact_id: FactIdText
    decision: Annotated[msgspec.Raw, DECISION] | None
    effects: tuple[msgspec.Raw, ...] = ()
    problem: str | None = None
    trace: Annotated[list[msgspec.Raw], TRACE]
    trace_omitted: Count = 0


def encode_simulated(decision: Decision, active: RulesetState | None) -> tuple[bytes, tuple[bytes, ...]]:
    """Write a decision and its effects' payloads; raises ValueError when a value in them has no JSON form."""
    fields = msgspec.structs.asdict(decision_body(decision, ""))
    fields["decided_at"] = None
    fields["ruleset"] = None if active is None else RulesetBody(active.revision, active.digest.hex())
    try:
        effects = tuple(_ENCODER.encode(effect.payload) for effect in decision.effects)
        return _ENCODER.encode(SimulatedDecision(**fields)), effects
    except (TypeError, UnicodeEncodeError, OverflowError) as error:
        raise ValueError(str(error)) from error
