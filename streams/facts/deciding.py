"""One delivery to its decision, or to the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from domain.decisions.engine import decide
from domain.decisions.ruleset import Ruleset
from streams.facts.batch import Batch
from streams.facts.intake import DeadReason, Delivery, Refused, read_fact
from streams.facts.kept import keep_fact
from streams.facts.observing import FactTracer
from streams.facts.outgoing import fits
from streams.messages.decisions import stored_decision
from streams.traceparent import is_sampled, traceparent_of

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Deciding:
    """What a batch is decided under: one ruleset and one moment for all of it; bounds in bytes.

    ``tracer`` follows facts that have a ``traceparent``: theirs is then another one in their decisions.
    """

    ruleset: Ruleset
    decided_at: str
    fact_bytes_max: int
    payload_bytes_max: int
    store_facts: bool
    tracer: FactTracer | None = None

    def decide(self, batch: Batch, delivery: Delivery) -> None:
        """Take a delivery out of TAKEN."""
        found = read_fact(delivery, self.fact_bytes_max)
        if isinstance(found, Refused):
            batch.refuse(delivery, found)
            traceparent = None if self.tracer is None else traceparent_of(delivery.headers)
            if traceparent is not None and is_sampled(traceparent):
                self._follow(batch, delivery, None, traceparent)
            return
        fact = found.fact
        if batch.join(delivery, fact.key):
            return
        traceparent = found.traceparent
        if traceparent is not None and self.tracer is not None and is_sampled(traceparent):
            traceparent = self._follow(batch, delivery, fact.key, traceparent)
        try:
            kept = keep_fact(delivery) if self.store_facts else None
            made = decide(self.ruleset, fact)
            decision = stored_decision(made, self.decided_at, delivery.stored_at_ns, traceparent, kept)
        except Exception:  # noqa: BLE001  # a defect of ours must not cost this fact, nor its neighbours
            _log.exception("decide_failed", fact_type=fact.type, sequence=fact.sequence)
            batch.leave_undecided(delivery, fact.key, None)
            return
        if fits(decision, self.payload_bytes_max):
            batch.decide(delivery, decision, made.faults)
        else:
            message = f"the decision and its effects must each fit {self.payload_bytes_max} bytes"
            batch.leave_undecided(delivery, fact.key, Refused(DeadReason.DECISION_TOO_LARGE, message))

    def _follow(self, batch: Batch, delivery: Delivery, key: bytes | None, traceparent: str) -> str:
        """Return the ``traceparent`` of a fact's decision: its own step of the trace, where that is followed."""
        span = None if self.tracer is None else self.tracer.begin(traceparent, delivery)
        if span is None:
            return traceparent
        batch.trace(delivery, key, span)
        return span.traceparent

    def give_up(self, batch: Batch, delivery: Delivery, trials: int, trials_max: int) -> None:
        """Refuse a fact whose every trial ended with its worker's death, unless a decision of it is stored.

        Its key is read at the first time only: should reading it be what kills, the next time it is refused unread.
        """
        refused = Refused(DeadReason.KILLED_WORKER, f"{trials_max} workers died while they decided this fact alone")
        if trials == trials_max + 1:
            found = read_fact(delivery, self.fact_bytes_max)
            if not isinstance(found, Refused):
                batch.leave_undecided(delivery, found.fact.key, refused)
                return
        batch.refuse(delivery, refused)


DecidingNow = Callable[[], Deciding]
