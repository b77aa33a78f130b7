"""What the fact loop tells about its batches; told once a batch, so that a fact costs next to nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.ports import StoredDecision
from streams.facts.insisting import Dependencies
from streams.facts.intake import DeadReason, Delivery


@dataclass(frozen=True, slots=True)
class StageTimes:
    """When a batch was at which end of a stage, in seconds of the event loop's clock.

    ``started`` is when it was taken, ``begun`` when it could be decided: one batch is decided at a time.
    """

    started: float
    begun: float
    decided: float
    stored: float
    published: float


@dataclass(slots=True)
class RuleFaults:
    """How often one rule failed with one code within a batch, and the id of a decision that says more."""

    decision_id: str
    count: int = 0


class FactSpan(Protocol):
    """A fact's step of its publisher's trace; decision and effects carry its ``traceparent``."""

    @property
    def traceparent(self) -> str: ...


class FactTracer(Protocol):
    """Follows some of the facts whose publishers trace them."""

    def begin(self, traceparent: str, delivery: Delivery) -> FactSpan | None:
        """Begin a fact's step of a trace as it is decided; None where it is not to be followed.

        Its publisher records its own step (``streams.traceparent.is_sampled``).
        """
        ...


@dataclass(frozen=True, slots=True)
class TracedFact:
    """A fact that is followed, and what became of it: the decision that stands, or why there is none.

    ``is_repeated`` where the decision was stored before; ``faults`` counts those that this batch met.
    """

    span: FactSpan
    delivery: Delivery
    decision: StoredDecision | None
    is_repeated: bool
    faults: int
    refused: DeadReason | None


@dataclass(frozen=True, slots=True)
class BatchReport:
    """A batch that was decided, stored, published and acknowledged.

    ``facts`` counts decisions; of these ``matched`` matched and ``repeated`` were stored before. ``effects`` were
    published with them. ``redelivered`` counts deliveries after a first, ``dead`` the dead letters by reason.
    ``faults`` has each rule (its id) and code of what failed in decisions that were stored now. ``latencies_s`` are, of
    some facts, the seconds from their storing in the stream to the acknowledgement of their decisions' publication.
    ``published_ns`` is when that was, in nanoseconds since 1970; ``deliveries`` is the batch's size.
    """

    facts: int
    matched: int
    effects: int
    repeated: int
    redelivered: int
    dead: Mapping[DeadReason, int]
    faults: Mapping[tuple[str, str], RuleFaults]
    times: StageTimes
    settled: float
    published_ns: int
    deliveries: int
    traced: Sequence[TracedFact]
    latencies_s: Sequence[float]


class FactObserver(Dependencies, Protocol):
    """Hears what the loop does; implemented by telemetry."""

    @property
    def tracer(self) -> FactTracer | None:
        """Who follows facts of the next batch; None where nobody does."""
        ...

    def batch_settled(self, report: BatchReport) -> None: ...

    def batch_failed(self, spans: Sequence[FactSpan], reason: str) -> None:
        """Hear of the facts that were followed in a batch that comes again."""
        ...
