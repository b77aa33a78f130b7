"""Traces: the worker's steps of the traces that publishers of facts, commands and queries have begun.

A step is made only where the sender's ``traceparent`` says that it records its own (the parent decides), and for so
many facts a second at most. All others pass their ``traceparent`` on unchanged, and cost next to nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeGuard

from opentelemetry.sdk.trace import Span, TracerProvider
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue
from structlog.contextvars import bound_contextvars

from streams.facts.intake import Delivery
from streams.facts.observing import BatchReport, FactSpan, TracedFact
from streams.traceparent import TraceParent, read_traceparent
from worker.telemetry.identity import SERVICE, VERSION
from worker.telemetry.instruments import OK

LINKS_MAX: Final = 128
_SECOND_NS: Final = 1_000_000_000
_STAGE_ENDS: Final = ("decided", "stored", "published")

Attributes = dict[str, AttributeValue]


class TraceBudget:
    """How many steps may begin: ``per_second`` of them, below one a second one in as many seconds as that gives.

    All that a second allows may begin at its start: steps of few batches cost less than as many of many.
    """

    def __init__(self, per_second: float, elapsed_s: Callable[[], float] = time.monotonic) -> None:
        self._elapsed_s = elapsed_s
        self._most = max(int(per_second), 1) if per_second else 0
        self._period_s = self._most / per_second if per_second else math.inf
        self._left = self._most
        self._at = elapsed_s()

    def refill(self) -> bool:
        """Take the time that went by into account; say whether there is one to take."""
        now = self._elapsed_s()
        if now - self._at >= self._period_s:
            self._left, self._at = self._most, now
        return self._left > 0

    def take(self) -> bool:
        """Take one of those that the last refill left, if there is one; quick, since many facts may ask."""
        if not self._left:
            return False
        self._left -= 1
        return True


@dataclass(frozen=True, slots=True)
class RecordedSpan:
    """A FactSpan that OpenTelemetry records."""

    span: Span
    traceparent: str


class FactTraces:
    """FactTracer: what is followed of a durable consumer's facts."""

    def __init__(self, provider: TracerProvider, budget: TraceBudget, stream: str, consumer: str) -> None:
        self._tracer = provider.get_tracer(SERVICE, VERSION)
        self._budget = budget
        self._stream = stream
        self._common: Attributes = {
            "messaging.system": "nats",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.consumer.group.name": consumer,
        }

    def may_begin(self) -> bool:
        """Say whether a step may begin now: to be asked before each batch."""
        return self._budget.refill()

    def begin(self, traceparent: str, delivery: Delivery) -> RecordedSpan | None:
        if not self._budget.take():
            return None
        parent = read_traceparent(traceparent)
        if parent is None:
            return None
        started_ns = time.time_ns()
        span = self._tracer.start_span(
            "process facts.{factType}",
            set_span_in_context(NonRecordingSpan(_remote(parent))),
            SpanKind.CONSUMER,
            {
                **self._common,
                "messaging.destination.name": delivery.subject,
                "messaging.destination.template": "facts.{factType}",
                "messaging.message.body.size": len(delivery.data),
                "rulestream.fact.stream": delivery.stream,
                "rulestream.fact.sequence": delivery.sequence,
                "rulestream.fact.deliveries": delivery.deliveries,
                "rulestream.fact.waited": max(started_ns - delivery.stored_at_ns, 0) / _SECOND_NS,
            },
            start_time=started_ns,
        )
        return _recorded(span)

    def batch_settled(self, report: BatchReport) -> None:
        """Record the batch in which facts were followed, and end their steps."""
        if not report.traced:
            return
        times = report.times

        def at_ns(seconds: float) -> int:
            return report.published_ns + round((seconds - times.published) * _SECOND_NS)

        links = [Link(one.span.span.get_span_context()) for one in report.traced[:LINKS_MAX] if _is_ours(one.span)]
        batch = self._tracer.start_span(
            f"process {self._stream}",
            links=links,
            attributes={
                **self._common,
                "messaging.destination.name": self._stream,
                "messaging.batch.message_count": report.deliveries,
                "rulestream.batch.decisions": report.facts,
                "rulestream.batch.traced": len(report.traced),
            },
            start_time=at_ns(times.started),
        )
        ends_ns = [at_ns(times.decided), at_ns(times.stored), at_ns(times.published)]
        batch.add_event("begun", timestamp=at_ns(times.begun))
        for name, ended_ns in zip(_STAGE_ENDS, ends_ns, strict=True):
            batch.add_event(name, timestamp=ended_ns)
        settled_ns = at_ns(report.settled)
        batch.end(settled_ns)
        for one in report.traced:
            if _is_ours(one.span):
                self._end(one, one.span.span, batch.get_span_context(), ends_ns, settled_ns)

    def batch_failed(self, spans: Sequence[FactSpan], reason: str) -> None:
        """End the steps of facts that come again."""
        for one in spans:
            if _is_ours(one):
                one.span.set_attribute("error.type", reason)
                one.span.set_status(Status(StatusCode.ERROR, "the batch failed, and comes again"))
                one.span.end()

    @staticmethod
    def _end(fact: TracedFact, span: Span, batch: SpanContext, ends_ns: Sequence[int], settled_ns: int) -> None:
        span.add_link(batch)
        decision = fact.decision
        if decision is not None:
            for name, at_ns in zip(_STAGE_ENDS, ends_ns, strict=True):
                span.add_event(name, timestamp=at_ns)
            span.set_attributes(
                {
                    "messaging.message.id": decision.fact_id,
                    "rulestream.decision.id": decision.key.hex(),
                    "rulestream.decision.outcome": "matched" if decision.matched else "unmatched",
                    "rulestream.decision.effects": len(decision.effects),
                    "rulestream.decision.faults": fact.faults,
                    "rulestream.decision.repeated": fact.is_repeated,
                    "rulestream.ruleset.revision": decision.revision,
                }
            )
            if fact.is_repeated and (first := read_traceparent(decision.traceparent or "")) is not None:
                span.add_link(_remote(first))  # what was published carries this one
        elif fact.refused is not None:
            span.set_attribute("error.type", fact.refused.value)
            span.set_status(Status(StatusCode.ERROR, "the fact is a dead letter"))
        else:
            span.set_status(Status(StatusCode.ERROR, "the fact comes again"))
        span.end(settled_ns)


class ServingTraces:
    """What is followed of commands and queries."""

    def __init__(self, provider: TracerProvider, budget: TraceBudget) -> None:
        self._tracer = provider.get_tracer(SERVICE, VERSION)
        self._budget = budget

    def begin(
        self, parent: TraceParent, name: str, kind: SpanKind, attributes: Mapping[str, AttributeValue]
    ) -> RecordedSpan | None:
        """Begin a step; None where it is not to be recorded."""
        if not parent.is_sampled or not (self._budget.refill() and self._budget.take()):
            return None
        common: Attributes = {"messaging.system": "nats", "messaging.operation.name": "process"}
        context = set_span_in_context(NonRecordingSpan(_remote(parent)))
        return _recorded(self._tracer.start_span(name, context, kind, {**common, **attributes}))


class Step:
    """A command or query on its way: where it belongs, and what became of it."""

    def __init__(self, recorded: RecordedSpan | None, traceparent: str | None) -> None:
        self._recorded = recorded
        self.traceparent = traceparent if recorded is None else recorded.traceparent

    def ended(self, result: str) -> None:
        """Say what became of it: ok, or an error's code."""
        if self._recorded is not None:
            span = self._recorded.span
            span.set_attribute("rulestream.result", result)
            if result != OK:
                span.set_attribute("error.type", result)
                span.set_status(Status(StatusCode.ERROR))


@contextmanager
def following(
    traces: ServingTraces | None,
    traceparent: str | None,
    name: str,
    kind: SpanKind,
    attributes: Mapping[str, AttributeValue],
) -> Iterator[Step]:
    """Follow a command or query in the block, in which logs tell its trace's ids."""
    parent = None if traceparent is None else read_traceparent(traceparent)
    if parent is None:
        yield Step(None, None)
        return
    recorded = None if traces is None else traces.begin(parent, name, kind, attributes)
    own = parent if recorded is None else read_traceparent(recorded.traceparent) or parent
    with bound_contextvars(trace_id=own.trace_id, span_id=own.span_id):
        try:
            yield Step(recorded, traceparent)
        finally:
            if recorded is not None:
                recorded.span.end()


def _recorded(span: object) -> RecordedSpan | None:
    if not isinstance(span, Span) or not span.is_recording():
        return None
    context = span.get_span_context()
    return RecordedSpan(span, f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}")


def _is_ours(span: FactSpan) -> TypeGuard[RecordedSpan]:
    return isinstance(span, RecordedSpan)


def _remote(parent: TraceParent) -> SpanContext:
    return SpanContext(
        int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=TraceFlags(parent.flags & 0x03)
    )
