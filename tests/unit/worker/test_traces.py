"""Traces: whose steps are followed, how many, and what a step says."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind
from structlog.contextvars import get_contextvars

from domain.ports import StoredDecision
from streams.facts.intake import DeadReason, Delivery
from streams.facts.observing import BatchReport, FactSpan, StageTimes, TracedFact
from streams.traceparent import TraceParent, is_sampled, read_traceparent, traceparent_of
from worker.telemetry.traces import LINKS_MAX, FactTraces, ServingTraces, TraceBudget, following

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SENT = f"00-{TRACE}-{PARENT}-01"
SECOND_NS = 1_000_000_000
PUBLISHED_NS = 1_700_000_000 * SECOND_NS
DELIVERY = Delivery("facts.order.placed", "reply", b"{}", None, "FACTS", 7, PUBLISHED_NS - 60 * SECOND_NS, 1)
TIMES = StageTimes(started=100.0, begun=100.5, decided=101.0, stored=102.0, published=104.0)


class World:
    """A tracer whose spans are kept, and a clock that is set."""

    def __init__(self, per_second: float = 10.0) -> None:
        self.now = 0.0
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.budget = TraceBudget(per_second, lambda: self.now)
        self.facts = FactTraces(self.provider, self.budget, "FACTS", "rulestream-facts")

    def begun(self, sent: str = SENT) -> FactSpan:
        span = self.facts.begin(sent, DELIVERY)
        assert span is not None
        return span

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]


@pytest.fixture
def world() -> World:
    return World()


def decided(traceparent: str | None = None) -> StoredDecision:
    return StoredDecision(b"k" * 16, 1, "fact-1", "order.placed", 7, 1, True, 3, b"{}", (), traceparent)


def report(*traced: TracedFact) -> BatchReport:
    return BatchReport(
        facts=len(traced),
        matched=0,
        effects=0,
        repeated=0,
        redelivered=0,
        dead={},
        faults={},
        times=TIMES,
        settled=105.0,
        published_ns=PUBLISHED_NS,
        deliveries=500,
        traced=traced,
        latencies_s=(),
    )


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (SENT, TraceParent(TRACE, PARENT, 1)),
        (f"00-{TRACE}-{PARENT}-00", TraceParent(TRACE, PARENT, 0)),
        (f"01-{TRACE}-{PARENT}-03-beef", TraceParent(TRACE, PARENT, 3)),
        (f"00-{TRACE}-{PARENT}-01-more", None),
        (f"ff-{TRACE}-{PARENT}-01", None),
        (f"00-{'0' * 32}-{PARENT}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{PARENT}-01", None),
        (f"00-{TRACE}-{PARENT}-01\n", None),
        ("", None),
    ],
)
def test_a_traceparent_is_read_as_the_standard_says(text: str, read: TraceParent | None) -> None:
    assert read_traceparent(text) == read
    if read is not None:
        assert is_sampled(text) is read.is_sampled is bool(read.flags & 1)


@pytest.mark.parametrize(
    ("found", "value"),
    [(None, None), ({}, None), ({"TraceParent": SENT}, SENT), ({"traceparent": "00-no"}, None), ({"a": SENT}, None)],
)
def test_a_messages_traceparent_is_a_valid_one_in_any_spelling(found: dict[str, str] | None, value: str | None) -> None:
    assert traceparent_of(found) == value


def test_a_step_is_the_child_of_its_publishers_and_others_come_from_it(world: World) -> None:
    span = world.begun()
    step = read_traceparent(span.traceparent)
    assert step is not None
    assert (step.trace_id, step.is_sampled) == (TRACE, True)
    assert step.span_id != PARENT
    world.facts.batch_settled(report(TracedFact(span, DELIVERY, decided(), False, 2, None)))
    (found,) = world.named("process facts.{factType}")
    assert found.parent is not None
    assert (f"{found.parent.span_id:016x}", f"{found.context.span_id:016x}") == (PARENT, step.span_id)
    assert found.attributes is not None
    assert found.attributes["rulestream.decision.faults"] == 2
    assert found.attributes["rulestream.decision.id"] == (b"k" * 16).hex()
    assert found.status.is_ok or found.status.is_unset


def test_stages_have_the_times_at_which_they_ended(world: World) -> None:
    world.facts.batch_settled(report(TracedFact(world.begun(), DELIVERY, decided(), False, 0, None)))
    (fact,) = world.named("process facts.{factType}")
    (batch,) = world.named("process FACTS")
    wanted = {"decided": -3, "stored": -2, "published": 0}
    for span in (fact, batch):
        ends = {event.name: (event.timestamp - PUBLISHED_NS) / SECOND_NS for event in span.events}
        assert {name: ends[name] for name in wanted} == wanted
    assert batch.start_time == PUBLISHED_NS - 4 * SECOND_NS
    assert batch.end_time == fact.end_time == PUBLISHED_NS + SECOND_NS


def test_a_batch_links_to_its_facts_but_not_to_any_number() -> None:
    world = World(per_second=1_000)
    traced = [TracedFact(world.begun(), DELIVERY, decided(), False, 0, None) for _ in range(LINKS_MAX + 5)]
    world.facts.batch_settled(report(*traced))
    (batch,) = world.named("process FACTS")
    assert batch.attributes is not None
    assert (len(batch.links), batch.attributes["rulestream.batch.traced"]) == (LINKS_MAX, LINKS_MAX + 5)
    assert batch.attributes["messaging.batch.message_count"] == 500
    assert len(world.named("process facts.{factType}")) == LINKS_MAX + 5


def test_a_batch_without_a_followed_fact_makes_no_step(world: World) -> None:
    world.facts.batch_settled(report())
    assert not world.exporter.get_finished_spans()


def test_a_repeated_fact_names_the_step_that_was_published(world: World) -> None:
    first = f"00-{'a' * 32}-{'b' * 16}-01"
    world.facts.batch_settled(report(TracedFact(world.begun(), DELIVERY, decided(first), True, 0, None)))
    (fact,) = world.named("process facts.{factType}")
    assert ("a" * 32, "b" * 16) in [
        (f"{one.context.trace_id:032x}", f"{one.context.span_id:016x}") for one in fact.links
    ]


@pytest.mark.parametrize(("refused", "kind"), [(DeadReason.NOT_JSON, "NOT_JSON"), (None, None)])
def test_a_fact_without_a_decision_ends_in_an_error(world: World, refused: DeadReason | None, kind: str | None) -> None:
    world.facts.batch_settled(report(TracedFact(world.begun(), DELIVERY, None, False, 0, refused)))
    (fact,) = world.named("process facts.{factType}")
    assert fact.attributes is not None
    assert (fact.status.is_ok, fact.attributes.get("error.type")) == (False, kind)


def test_a_batch_that_comes_again_ends_its_steps_in_an_error(world: World) -> None:
    world.facts.batch_failed([world.begun()], "UNAVAILABLE")
    (fact,) = world.named("process facts.{factType}")
    assert fact.attributes is not None
    assert (fact.status.is_ok, fact.attributes["error.type"]) == (False, "UNAVAILABLE")


def test_so_many_steps_begin_in_a_second_and_more_in_the_next() -> None:
    world = World(per_second=3.0)
    assert [world.facts.begin(SENT, DELIVERY) is not None for _ in range(5)] == [True] * 3 + [False] * 2
    assert not world.facts.may_begin()
    world.now = 0.9
    assert not world.facts.may_begin()
    world.now = 1.0
    assert world.facts.may_begin()
    assert world.facts.begin(SENT, DELIVERY) is not None
    world.now = 100.0
    assert world.facts.may_begin()
    assert sum(world.facts.begin(SENT, DELIVERY) is not None for _ in range(9)) == 3, (
        "what was not used is not saved up"
    )


def test_a_bound_below_one_a_second_lets_one_through_now_and_then() -> None:
    world = World(per_second=0.1)
    assert world.facts.begin(SENT, DELIVERY) is not None
    world.now = 9.0
    assert not world.facts.may_begin()
    world.now = 10.1
    assert world.facts.may_begin()


def test_what_the_operators_sampler_leaves_out_is_passed_on() -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    traces = FactTraces(provider, TraceBudget(10.0, lambda: 0.0), "FACTS", "rulestream-facts")
    assert traces.begin(SENT, DELIVERY) is None


def test_a_command_is_followed_and_its_logs_tell_its_step(world: World) -> None:
    traces = ServingTraces(world.provider, world.budget)
    with following(traces, SENT, "command create", SpanKind.CONSUMER, {}) as step:
        said = get_contextvars()
        step.ended("CONFLICT")
    (span,) = world.named("command create")
    assert step.traceparent == f"00-{TRACE}-{span.context.span_id:016x}-01"
    assert said == {"trace_id": TRACE, "span_id": f"{span.context.span_id:016x}"}
    assert span.attributes is not None
    assert (span.attributes["error.type"], span.status.is_ok) == ("CONFLICT", False)
    assert get_contextvars() == {}


@pytest.mark.parametrize("sent", [f"00-{TRACE}-{PARENT}-00", SENT])
def test_without_a_step_of_its_own_a_commands_logs_tell_its_senders(sent: str) -> None:
    with following(None, sent, "command create", SpanKind.CONSUMER, {}) as step:
        assert get_contextvars() == {"trace_id": TRACE, "span_id": PARENT}
        step.ended("ok")
    assert step.traceparent == sent


@pytest.mark.parametrize("sent", [None, "00-nonsense"])
def test_without_a_trace_nothing_is_told_or_passed_on(world: World, sent: str | None) -> None:
    with following(ServingTraces(world.provider, world.budget), sent, "x", SpanKind.SERVER, {}) as step:
        assert get_contextvars() == {}
    assert step.traceparent is None
    assert not world.exporter.get_finished_spans()
