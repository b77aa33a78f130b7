"""What a worker tells of its work: every metric in both forms, and traces from publisher to subscriber."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from tests.behaviour.bus import Bus, Message, connected, eventually
from tests.fakes.otlp import Collector, SeenSpan, collecting
from worker.service import Worker, running_worker
from worker.settings import load_settings
from worker.telemetry import instruments as names
from worker.telemetry import telemetry as telemetry_module
from worker.telemetry.identity import INSTANCE, VERSION

CONSUMER, SERVER = 5, 2  # span kinds in OTLP
MATCHING = "when total > 100.0 then emit alert({'total': total})"
FAULTY = "when 1 / parts > 0 then set has_parts = true"

Start = Callable[..., Any]
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def addresses(nats_url: str, database: str, redis_url: str) -> dict[str, str]:
    return {"nats_url": nats_url, "postgres_dsn": database, "redis_url": redis_url}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """Give a collector that workers send to."""
    with collecting() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        yield found


@asynccontextmanager
async def working(addresses: dict[str, str], **settings: Any) -> AsyncIterator[tuple[Worker, Bus]]:
    async with (
        running_worker(load_settings(**addresses, http_port=0, **settings)) as worker,
        connected(addresses["nats_url"]) as bus,
    ):
        yield worker, bus


def samples(worker: Worker) -> Samples:
    """Give every sample of a worker's metrics by name and labels."""
    found = {}
    for family in text_string_to_metric_families(worker._telemetry.exposition().decode()):
        for sample in family.samples:
            labels = {(name, value) for name, value in sample.labels.items() if not name.startswith("otel_")}
            found[sample.name, frozenset(labels)] = sample.value
    return found


async def settled(worker: Worker, facts: int) -> None:
    """Wait until a worker has decided so many facts, or buried them."""

    async def look() -> float:
        dead = sum(worker._telemetry.counted(names.FACTS_DEAD, reason) for reason in names.FACTS_DEAD.labels["reason"])
        return worker._telemetry.counted(names.FACTS_DECIDED) + dead

    await eventually(look, lambda seen: seen >= facts)


async def do_some_of_everything(worker: Worker, bus: Bus) -> None:
    """Give a worker rules, facts that match, fail and are none, commands and queries good and bad."""
    await bus.activate_new("big order", MATCHING)
    await bus.activate_new("parts", FAULTY)
    await eventually(_revision(worker), lambda revision: revision == 2)
    await bus.command("ann", "make-coffee", {})
    await bus.command("ann", "submit", {"ruleId": str(uuid.uuid4())})
    await bus.send_command("ann", "create", {}, None)
    await bus.query("viewer", "list", {})
    await bus.query("viewer", "get", {"name": "nobody"})
    await bus.query("viewer", "what-is-that", {})
    for number in range(20):
        await bus.publish_fact("order.placed", {"total": number * 10.0, "parts": number % 2})
    await bus.publish_fact("order.placed", b"{", {"Nats-Msg-Id": "broken"})
    await settled(worker, 21)


EXPECTED: dict[str, dict[tuple[str, ...], float]] = {
    "rulestream.facts.decided": {(): 20},
    "rulestream.facts.matched": {(): 14},
    "rulestream.facts.repeated": {(): 0},
    "rulestream.facts.redelivered": {(): 0},
    "rulestream.facts.dead": {("NOT_JSON",): 1, ("FACT_TOO_DEEP",): 0},
    "rulestream.effects.published": {(): 9},
    "rulestream.faults": {("division-by-zero",): 10, ("overflow",): 0},
    "rulestream.commands.decided": {("activate", "ok"): 2, ("other", "NOT_FOUND"): 1, ("submit", "NOT_FOUND"): 1},
    "rulestream.commands.dead": {("COMMAND_WITHOUT_ID",): 1},
    "rulestream.queries.answered": {("list", "ok"): 1, ("get", "NOT_FOUND"): 1, ("other", "NOT_FOUND"): 1},
    "rulestream.events.relayed": {(): 8},
    "rulestream.outbox.pending": {(): 0},
    "rulestream.outbox.oldest.age": {(): 0},
    "rulestream.consumer.pending": {("facts",): 0, ("commands",): 0},
    "rulestream.consumer.ack.pending": {("facts",): 0, ("commands",): 0},
    "rulestream.consumer.redelivered": {("facts",): 0, ("commands",): 0},
    "rulestream.batches.in.flight": {(): 0},
    "rulestream.facts.waiting": {(): 0},
    "rulestream.dependency.up": {("nats",): 1, ("postgres",): 1, ("redis",): 1},
    "rulestream.dependency.waits": {("nats",): 0, ("postgres",): 0, ("redis",): 0},
    "rulestream.breaker.state": {("postgres", "closed"): 1, ("redis", "open"): 0},
    "rulestream.ruleset.revision": {(): 2},
    "rulestream.ruleset.rules": {(): 2},
    "rulestream.ruleset.loads": {("ok",): 3, ("failed",): 0},
    "rulestream.cache.reads": {("rules", "miss"): 1, ("rules", "away"): 0},
    "rulestream.partitions.dropped": {(): 0},
    "rulestream.decisions.moved": {(): 0},
    "rulestream.keys.expired": {(): 0},
    "rulestream.housekeeping.failed": {(): 0},
    "rulestream.build.info": {(VERSION,): 1},
}
COUNTED = {  # histograms, and how many values each has at least and at most
    "rulestream.batch.duration": (1, 21),
    "rulestream.batch.facts": (1, 21),
    "rulestream.batch.stage.duration": (1, 21),
    "rulestream.decision.latency": (1, 20),
    "rulestream.command.duration": (10, 10),
    "rulestream.query.duration": (3, 3),
    "rulestream.ruleset.load.duration": (3, 3),
}
UNSURE = {"rulestream.partitions.made"}  # at least one


async def test_every_metric_is_told_with_what_was_done(addresses: dict[str, str], collector: Collector) -> None:
    async with working(addresses) as (worker, bus):
        await do_some_of_everything(worker, bus)
        found = await eventually(_shown(worker), is_quiet)
    assert EXPECTED.keys() | COUNTED.keys() | UNSURE == {one.name for one in names.instruments(VERSION)}
    for one in names.instruments(VERSION):
        for values, wanted in EXPECTED.get(one.name, {}).items():
            labels = frozenset(zip(one.labels, values, strict=True))
            assert found[one.prometheus_name, labels] == wanted, one.name
            assert _point(collector, one.name, dict(labels)) == wanted, f"{one.name} by OTLP"
        if one.name in COUNTED:
            least, most = COUNTED[one.name]
            series = [value for (name, _), value in found.items() if name == f"{one.prometheus_name}_count"]
            assert series, one.name
            assert all(least <= value <= most for value in series), one.name
            assert all(least <= value <= most for _, value in collector.metrics[one.name]), f"{one.name} by OTLP"
    assert found["rulestream_partitions_made_total", frozenset()] >= 1
    assert found["process_resident_memory_bytes", frozenset()] > 0
    assert {"service.name": "rulestream", "service.version": VERSION, "service.instance.id": INSTANCE}.items() <= (
        collector.resources[0].items()
    )


def _shown(worker: Worker) -> Callable[[], Any]:
    async def look() -> Samples:
        assert worker._telemetry.poller is not None
        await worker._telemetry.poller.poll()
        return samples(worker)

    return look


def is_quiet(seen: Samples) -> bool:
    """Say whether everything that was begun is done, and known to be."""
    gauges = (names.BATCHES_IN_FLIGHT, names.OUTBOX_PENDING, names.CONSUMER_ACK_PENDING)
    shown = {gauge.prometheus_name for gauge in gauges}
    return not any(value for (name, _), value in seen.items() if name in shown)


def _point(collector: Collector, name: str, labels: dict[str, str]) -> float:
    (found,) = [value for attributes, value in collector.metrics[name] if attributes == labels]
    return found


async def test_without_telemetry_nothing_is_told_but_the_process(
    addresses: dict[str, str], collector: Collector
) -> None:
    async with working(addresses, telemetry="off") as (worker, bus):
        await bus.activate_new("big order", MATCHING)
        sent = traceparent()
        await bus.publish_fact("order.placed", {"total": 200.0}, {"traceparent": sent})
        (decision,) = await bus.wait_stored("DECISIONS", 1)
        found = {name for name, _ in samples(worker)}
    assert decision.headers["traceparent"] == sent
    assert "process_open_fds" in found
    assert not [name for name in found if name.startswith("rulestream")]
    assert collector.requests == 0


# Traces


def traceparent(*, is_sampled: bool = True) -> str:
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-{'01' if is_sampled else '00'}"


async def decision_of(bus: Bus, data: dict[str, Any], **headers: str) -> Message:
    """Publish a fact, the first one, and give its decision."""
    await bus.publish_fact("order.placed", data, headers)
    (decision,) = await bus.wait_stored("DECISIONS", 1)
    return decision


async def test_a_subscribers_parent_is_the_workers_step_whose_parent_is_the_publishers(
    addresses: dict[str, str], collector: Collector
) -> None:
    sent = traceparent()
    _, trace_id, publisher, _ = sent.split("-")
    async with working(addresses) as (worker, bus):
        await bus.activate_new("big order", MATCHING)
        await eventually(_revision(worker), lambda revision: revision == 1)
        decision = await decision_of(bus, {"total": 200.0}, traceparent=sent)
        effects = await bus.wait_stored("EFFECTS", 1)
        (fact,) = await _spans(collector, lambda span: span.trace_id == trace_id)
        (batch,) = await _spans(collector, lambda span: (trace_id, fact.span_id) in span.links)
    assert decision.headers["traceparent"] == f"00-{trace_id}-{fact.span_id}-01"
    assert [effect.headers["traceparent"] for effect in effects] == [decision.headers["traceparent"]]
    assert (fact.parent_id, fact.kind, fact.is_error) == (publisher, CONSUMER, False)
    assert fact.name == "process facts.{factType}"
    assert fact.attributes["messaging.system"] == "nats"
    assert fact.attributes["messaging.destination.name"] == "facts.order.placed"
    assert fact.attributes["messaging.consumer.group.name"] == "rulestream-facts"
    assert fact.attributes["rulestream.decision.id"] == decision.body["decisionId"]
    assert fact.attributes["rulestream.decision.outcome"] == "matched"
    assert fact.attributes["rulestream.ruleset.revision"] == 1
    times = [fact.start_ns, *(fact.events[name] for name in ("decided", "stored", "published")), fact.end_ns]
    assert times == sorted(times)
    assert (batch.parent_id, batch.attributes["messaging.batch.message_count"]) == ("", 1)
    assert (batch.trace_id, batch.span_id) in fact.links
    assert list(batch.events) == ["begun", "decided", "stored", "published"]
    times = [batch.start_ns, *batch.events.values(), batch.end_ns]
    assert times == sorted(times)


def _revision(worker: Worker) -> Callable[[], Any]:
    async def look() -> int:
        assert worker._rulesets is not None
        return worker._rulesets.current.revision

    return look


async def _spans(collector: Collector, wanted: Callable[[SeenSpan], bool], count: int = 1) -> list[SeenSpan]:
    async def look() -> list[SeenSpan]:
        return [span for span in list(collector.spans) if wanted(span)]

    return await eventually(look, lambda seen: len(seen) >= count)


@pytest.mark.parametrize(
    ("sent", "published"),
    [
        ("unsampled", "the same"),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", "the same"),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-zzf067aa0ba902b7-01", None),
        ("nonsense", None),
    ],
)
async def test_what_is_not_followed_is_passed_on_as_it_came_or_ignored(
    addresses: dict[str, str], collector: Collector, sent: str, published: str | None
) -> None:
    value = traceparent(is_sampled=False) if sent == "unsampled" else sent
    async with working(addresses) as (_, bus):
        decision = await decision_of(bus, {"total": 200.0}, traceparent=value)
    assert decision.headers.get("traceparent") == (value if published else None)
    assert not [span for span in collector.spans if span.name.startswith("process")]


async def test_so_many_facts_a_second_are_followed_and_no_more(addresses: dict[str, str], collector: Collector) -> None:
    """The bound is so low that it gives one step in the whole test."""
    sent = [traceparent() for _ in range(30)]
    async with working(addresses, traces_per_second=0.0001) as (worker, bus):
        for value in sent:
            await bus.publish_fact("order.placed", {}, {"traceparent": value})
        await settled(worker, 30)
        decisions = await bus.stored("DECISIONS")
    published = [one.headers["traceparent"] for one in decisions]
    assert len(set(sent) - set(published)) == 1, "one has another step in place of the publisher's"
    assert {one.split("-")[1] for one in published} == {one.split("-")[1] for one in sent}
    assert len([span for span in collector.spans if span.kind == CONSUMER]) == 1


async def test_a_fact_that_comes_again_is_published_with_the_first_traceparent(
    addresses: dict[str, str], collector: Collector
) -> None:
    identity = {"ce-id": "order-1", "ce-source": "/shop", "ce-specversion": "1.0"}
    async with working(addresses) as (worker, bus):
        first = await decision_of(bus, {"total": 1.0}, traceparent=traceparent(), **identity)
        await bus.jetstream.purge_stream("DECISIONS")
        again = traceparent()
        seen: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

        async def heard(message: Any) -> None:
            if not seen.done():
                seen.set_result(Message(message.subject, 0, dict(message.headers), message.data))

        await bus.client.subscribe("decisions.>", cb=heard)
        await bus.publish_fact("order.placed", {"total": 1.0}, {**identity, "traceparent": again})
        await settled(worker, 2)
        async with asyncio.timeout(45):
            second = await seen
        (step,) = await _spans(collector, lambda span: span.trace_id == again.split("-")[1])
    assert (second.data, second.headers) == (first.data, first.headers)
    _, trace_id, span_id, _ = first.headers["traceparent"].split("-")
    assert (trace_id, span_id) in step.links, "the second delivery's step names what was published"
    assert step.attributes["rulestream.decision.repeated"] is True


async def test_a_dead_letters_step_is_an_error_with_the_reason(addresses: dict[str, str], collector: Collector) -> None:
    sent = traceparent()
    async with working(addresses) as (worker, bus):
        await bus.publish_fact("order.placed", b"{", {"traceparent": sent})
        await settled(worker, 1)
        (step,) = await _spans(collector, lambda span: span.trace_id == sent.split("-")[1])
    assert step.is_error
    assert step.attributes["error.type"] == "NOT_JSON"


async def test_a_commands_step_is_the_parent_of_its_events_and_logs_tell_it(
    addresses: dict[str, str], collector: Collector
) -> None:
    sent = traceparent()
    _, trace_id, sender, _ = sent.split("-")
    async with working(addresses) as (_, bus):
        with capture_logs(processors=[]) as logs:
            payload = {"name": "big order", "dslContent": MATCHING, "priority": "HIGH"}
            await bus.send_command("ann", "create", payload, {"Nats-Msg-Id": str(uuid.uuid4()), "Traceparent": sent})
            (event,) = await bus.wait_stored("RULES_EVENTS", 1)
        (step,) = await _spans(collector, lambda span: span.trace_id == trace_id)
    assert (step.name, step.parent_id, step.kind) == ("command create", sender, CONSUMER)
    assert event.headers["traceparent"] == f"00-{trace_id}-{step.span_id}-01"
    assert step.attributes["rulestream.result"] == "ok"
    assert logs


async def test_a_querys_step_tells_its_result(addresses: dict[str, str], collector: Collector) -> None:
    sent = traceparent()
    async with working(addresses) as (_, bus):
        await bus.client.request(
            "rules.query.viewer.get", b'{"name": "nobody"}', timeout=45, headers={"traceparent": sent}
        )
        (step,) = await _spans(collector, lambda span: span.trace_id == sent.split("-")[1])
    assert (step.name, step.parent_id, step.kind) == ("query get", sent.split("-")[2], SERVER)
    assert (step.is_error, step.attributes["error.type"]) == (True, "NOT_FOUND")


async def test_without_a_collector_a_commands_traceparent_goes_on_to_its_events(addresses: dict[str, str]) -> None:
    sent = traceparent()
    async with working(addresses) as (_, bus):
        payload = {"name": "big order", "dslContent": MATCHING, "priority": "HIGH"}
        await bus.send_command("ann", "create", payload, {"Nats-Msg-Id": str(uuid.uuid4()), "traceparent": sent})
        (event,) = await bus.wait_stored("RULES_EVENTS", 1)
    assert event.headers["traceparent"] == sent


# Collectors that are away


@pytest.fixture
def refusing() -> str:
    """Give an address at which nobody listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{found.getsockname()[1]}"


@pytest.mark.parametrize("collector_is", ["refusing", "hanging"])
async def test_a_collector_that_is_away_costs_neither_facts_nor_the_stop(
    addresses: dict[str, str], refusing: str, collector_is: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry_module, "LAST_EXPORT_S", 0.2)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    with collecting(hangs=threading.Event()) as hanging, capture_logs() as logs:
        url = refusing if collector_is == "refusing" else hanging.url
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        async with working(addresses) as (worker, bus):
            for _ in range(10):
                await bus.publish_fact("order.placed", {}, {"traceparent": traceparent()})
            await settled(worker, 10)
            if collector_is == "hanging":
                await eventually(_requests(hanging), bool)
            assert (await worker.readiness()).is_ready
            assert json.loads((await bus.stored("DECISIONS"))[-1].data)["outcome"] == "unmatched"
    assert [line["log_level"] for line in logs if line["event"] == "telemetry_not_sent"] == ["warning"]
    assert [line for line in logs if line["event"] == "worker_stopped"]


def _requests(collector: Collector) -> Callable[[], Any]:
    async def look() -> int:
        return collector.requests

    return look
