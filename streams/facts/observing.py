"""What the fact loop tells about its batches; told once a batch, so that a fact costs next to nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from streams.facts.insisting import Dependencies
from streams.facts.intake import DeadReason


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


@dataclass(frozen=True, slots=True)
class BatchReport:
    """A batch that was decided, stored, published and acknowledged.

    ``facts`` counts decisions; of these ``matched`` matched and ``repeated`` were stored before. ``effects`` were
    published with them. ``redelivered`` counts deliveries after a first, ``dead`` the dead letters by reason.
    ``faults`` has each rule (its id) and code of what failed in decisions that were stored now. ``latencies_s`` are, of
    some facts, the seconds from their storing in the stream to the acknowledgement of their decisions' publication.
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
    latencies_s: Sequence[float]


class FactObserver(Dependencies, Protocol):
    """Hears what the loop does; implemented by telemetry."""

    def batch_settled(self, report: BatchReport) -> None: ...
