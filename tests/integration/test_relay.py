"""The outbox relay on a real database and bus: in order per rule, whatever the number of relays and their fate."""

from __future__ import annotations

import dataclasses
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import asyncpg
import pytest

from domain.errors import UnavailableError
from domain.identifiers import RuleId
from domain.ports import OutboxMessage
from streams import headers, topology
from streams.control import ControlPlane, ControlSettings, EventRefusedError
from tests.behaviour.bus import Bus, connected, eventually
from worker.adapters.postgres.pool import IDLE_TIMEOUTS, open_pool
from worker.adapters.postgres.transactions import PostgresTransactions
from worker.embedded import Addresses, guard
from worker.embedded.process import Command, ServerProcess, StopSteps
from worker.relay import REFUSED_AGAIN_S, RULES_AT_ONCE, OutboxRelay

PROJECT = Path(__file__).parents[2]
RULES = 10
EVENTS = 30
# How long the server leaves a frozen worker its transaction: long enough to be seen.
IDLE_S = 4.8
NAMES = topology.TopologySettings()


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    async with connected(nats_url) as found:
        await topology.apply(topology.topology(NAMES), found.client, found.client)
        yield found


@pytest.fixture
async def transactions(database: str) -> AsyncIterator[PostgresTransactions]:
    async with opened(database) as found:
        yield found


@asynccontextmanager
async def opened(database: str) -> AsyncIterator[PostgresTransactions]:
    pool = await open_pool(database, size_max=4, timeout_s=60)
    try:
        yield PostgresTransactions(pool)
    finally:
        await pool.close()


@asynccontextmanager
async def plane(nats_url: str) -> AsyncIterator[ControlPlane]:
    """Give the control plane's publishing side alone."""
    nobody = cast("Any", None)
    settings = ControlSettings(
        NAMES.commands, NAMES.commands_consumer, NAMES.events, serve_commands=False, serve_queries=False
    )
    control = ControlPlane(nats_url, settings, nobody, nobody, nobody, lambda: None, lambda: None)
    await control.start()
    try:
        yield control
    finally:
        await control.stop()


def event_of(rule_id: RuleId, number: int) -> OutboxMessage:
    event_id = str(uuid.uuid5(uuid.UUID(rule_id.value), str(number)))
    return OutboxMessage(
        event_id=event_id,
        rule_id=rule_id,
        subject=f"rules.event.{rule_id}.RuleUpdated",
        headers=headers.cloud_event(event_id, "rulestream.event.RuleUpdated", "2026-01-01T00:00:00Z"),
        payload=f'{{"number":{number}}}'.encode(),
    )


async def put_out(transactions: PostgresTransactions, *messages: OutboxMessage) -> None:
    async with transactions.begin() as tx:
        await tx.outbox.add(messages)


async def numbers(bus: Bus, rule_id: RuleId) -> list[int]:
    """Give the numbers of a rule's published events, in the stream's order."""
    return [message.body["number"] for message in await bus.stored(NAMES.events, f"rules.event.{rule_id}.>")]


async def is_empty(transactions: PostgresTransactions) -> bool:
    # Not by a claim, which does not see what another relay has claimed.
    return await transactions._pool.fetchval("SELECT count(*) FROM outbox") == 0


def a_rule() -> RuleId:
    return RuleId(str(uuid.uuid4()))


@pytest.mark.parametrize("count", [2, 4])
async def test_relays_at_once_publish_every_event_once_and_in_the_order_of_its_rule(
    count: int, nats_url: str, database: str, bus: Bus, transactions: PostgresTransactions
) -> None:
    rules = [a_rule() for _ in range(RULES)]
    async with AsyncExitStack() as stack:
        relays = []
        for _ in range(count):
            own = await stack.enter_async_context(opened(database))
            relay = OutboxRelay(own, await stack.enter_async_context(plane(nats_url)))
            relay.start()
            stack.push_async_callback(relay.stop)
            relays.append(relay)
        for number in range(EVENTS):
            await put_out(transactions, *(event_of(rule_id, number) for rule_id in rules))
            for relay in relays:
                relay.hint()
        await eventually(lambda: bus.count(NAMES.events), lambda seen: seen >= RULES * EVENTS)
        await eventually(lambda: is_empty(transactions), bool)
    for rule_id in rules:
        assert await numbers(bus, rule_id) == list(range(EVENTS))


async def test_a_relay_that_is_behind_goes_on_from_the_streams_last_event(
    nats_url: str, bus: Bus, transactions: PostgresTransactions
) -> None:
    rule_id = a_rule()
    async with plane(nats_url) as control:
        relay = OutboxRelay(transactions, control)
        await put_out(transactions, event_of(rule_id, 0))
        assert await relay.relay_once() == 1
        sequence, event_id = await control.last_event(rule_id)
        assert event_id == event_of(rule_id, 0).event_id
        unknown = event_of(rule_id, 1)  # published, and the database does not know: it was restored from a backup
        await control.publish_event(rule_id, unknown.subject, unknown.payload, dict(unknown.headers), sequence)
        await put_out(transactions, event_of(rule_id, 2))

        assert await relay.relay_once() == 1

    assert await numbers(bus, rule_id) == [0, 1, 2]
    assert await is_empty(transactions)


async def test_events_that_a_dead_relay_published_are_not_published_again_after_the_duplicate_window(
    nats_url: str, database: str, transactions: PostgresTransactions
) -> None:
    rule_id = a_rule()
    events = [event_of(rule_id, number) for number in range(4)]
    async with connected(nats_url) as bus, plane(nats_url) as control:
        await bus.jetstream.add_stream(name=NAMES.events, subjects=["rules.event.>"], duplicate_window=0.1)
        last = 0
        for event in events[:3]:  # by a relay that died before it could say so
            last = await control.publish_event(rule_id, event.subject, event.payload, dict(event.headers), last)
        await put_out(transactions, *events)
        # The stream must have forgotten the ids, or it would drop the repeats by itself.
        await eventually(lambda: forgets(bus), bool)

        assert await OutboxRelay(transactions, control).relay_once() == 4

        assert await numbers(bus, rule_id) == [0, 1, 2, 3]
        assert await is_empty(transactions)


async def forgets(bus: Bus) -> bool:
    """Say whether the stream takes an id that it had when it was asked first, well after the events."""
    found = await bus.jetstream.publish("rules.event.other.Probe", b"{}", headers={"Nats-Msg-Id": "probe"})
    return found.seq > 4


async def test_nothing_is_lost_when_the_bus_is_away_for_a_moment(transactions: PostgresTransactions) -> None:
    rule_id = a_rule()
    bus = Away()
    relay = OutboxRelay(transactions, bus)
    await put_out(transactions, event_of(rule_id, 0), event_of(rule_id, 1))
    bus.refuses_from = 1
    with pytest.raises(UnavailableError):
        await relay.relay_once()
    assert not await is_empty(transactions)
    bus.refuses_from = 100
    assert await relay.relay_once() == 1, "what was published before is remembered as such"
    assert bus.published == [b'{"number":0}', b'{"number":1}']
    assert await is_empty(transactions)


async def test_a_running_relay_outlives_the_absence_of_the_bus(transactions: PostgresTransactions) -> None:
    bus = Away()
    bus.refuses_from = 0
    relay = OutboxRelay(transactions, bus)
    await put_out(transactions, event_of(a_rule(), 0))
    relay.start()
    try:
        await eventually(bus.refusals_seen, lambda seen: seen > 0)
        bus.refuses_from = 100
        relay.hint()
        await eventually(lambda: is_empty(transactions), bool)
    finally:
        await relay.stop()
    assert bus.published == [b'{"number":0}']


async def test_an_event_that_the_stream_refuses_holds_up_its_own_rule_only(
    nats_url: str, bus: Bus, transactions: PostgresTransactions
) -> None:
    await bus.jetstream.delete_stream(NAMES.events)
    await bus.jetstream.add_stream(name=NAMES.events, subjects=["rules.event.>"], max_msg_size=1_000)
    stuck, *others = [a_rule() for _ in range(RULES)]
    large = dataclasses.replace(event_of(stuck, 1), payload=b'{"number":1,"data":"' + b"x" * 1_000 + b'"}')
    await put_out(transactions, event_of(stuck, 0), large, event_of(stuck, 2))
    for number in range(EVENTS):
        await put_out(transactions, *(event_of(rule_id, number) for rule_id in others))
    seconds = [0.0]
    async with plane(nats_url) as control:
        relay = OutboxRelay(transactions, control, lambda: seconds[0])
        await relay.relay_once()
        for rule_id in others:
            assert await numbers(bus, rule_id) == list(range(EVENTS))
        assert await numbers(bus, stuck) == [0], "what comes behind the refused event waits for it"
        assert await relay.relay_once() == 0

        # The operator allows larger messages; the rule is tried again after a while.
        await bus.jetstream.update_stream(name=NAMES.events, subjects=["rules.event.>"], max_msg_size=10_000)
        assert await relay.relay_once() == 0
        seconds[0] = REFUSED_AGAIN_S
        assert await relay.relay_once() == 2
    assert await numbers(bus, stuck) == [0, 1, 2]
    assert await is_empty(transactions)


async def test_more_refused_rules_than_are_claimed_at_once_do_not_hold_up_the_others(
    transactions: PostgresTransactions,
) -> None:
    refused = {a_rule() for _ in range(RULES_AT_ONCE)}
    picky = Picky(refused)
    await put_out(transactions, *(event_of(rule_id, 0) for rule_id in refused))
    other = a_rule()
    await put_out(transactions, event_of(other, 0))
    relay = OutboxRelay(transactions, picky)
    relay.start()
    try:
        await eventually(picky.published_rules, lambda seen: seen == [other])
    finally:
        await relay.stop()
    assert sorted(picky.refusals, key=str) == sorted(refused, key=str), "each was tried once"


async def test_an_event_too_large_for_the_server_is_refused_before_it_is_sent(nats_url: str, bus: Bus) -> None:
    rule_id = a_rule()
    event = event_of(rule_id, 0)
    async with plane(nats_url) as control:
        with pytest.raises(EventRefusedError):
            await control.publish_event(
                rule_id, event.subject, b"x" * (bus.client.max_payload + 1), dict(event.headers), 0
            )
        assert await control.publish_event(rule_id, event.subject, event.payload, dict(event.headers), 0) == 1


@pytest.mark.parametrize("where", ["before", "after"])
async def test_a_relay_frozen_past_its_connections_life_and_thawed_neither_disorders_nor_repeats(
    where: str,
    nats_url: str,
    database: str,
    redis_url: str,
    bus: Bus,
    transactions: PostgresTransactions,
    tmp_path: Path,
) -> None:
    rules = [a_rule() for _ in range(3)]
    for number in range(3):
        await put_out(transactions, *(event_of(rule_id, number) for rule_id in rules))
    async with frozen_relay(where, Addresses(nats_url, database, redis_url), tmp_path) as process:
        await eventually(lambda: transactions_open(database), lambda count: count == 1)
        # It holds every rule; the server ends its transaction after a while, and with it its hold.
        await eventually(lambda: transactions_open(database), lambda count: count == 0)
        async with opened(database) as own, plane(nats_url) as control:
            relay = OutboxRelay(own, control)
            await put_out(transactions, *(event_of(rule_id, 3) for rule_id in rules))
            relay.start()
            await eventually(lambda: is_empty(transactions), bool)
            await relay.stop()

        await process.thaw()
        # It has seen its mistake, and works: nobody else could publish these.
        await put_out(transactions, *(event_of(rule_id, 4) for rule_id in rules))
        await eventually(lambda: is_empty(transactions), bool)
        assert process.running
    for rule_id in rules:
        assert await numbers(bus, rule_id) == [0, 1, 2, 3, 4]


@asynccontextmanager
async def frozen_relay(where: str, addresses: Addresses, folder: Path) -> AsyncIterator[ServerProcess]:
    """Run a worker whose relay freezes itself, on a database that ends what is idle after IDLE_S."""
    settings = {
        "NATS_URL": addresses.nats,
        "POSTGRES_DSN": addresses.postgres,
        "REDIS_URL": addresses.redis,
        "HTTP_PORT": "0",
        "POSTGRES_TIMEOUT_S": str(IDLE_S / IDLE_TIMEOUTS),
    }
    environment = {f"RULESTREAM_{name}": value for name, value in settings.items()}
    process = await ServerProcess.launch(
        Command(
            argv=(sys.executable, str(Path(__file__).with_name("freezing_relay.py")), where),
            log=folder / "relay.log",
            stop=StopSteps(orderly=((signal.SIGTERM, 20.0),), orphaned=((signal.SIGTERM, 1.0),)),
            env={**environment, "PYTHONPATH": str(PROJECT)},
            cwd=PROJECT,
        )
    )

    async def is_frozen() -> bool:
        assert process.running, process.log_tail()
        fields = guard.stat_fields(process.pid)
        return fields is not None and fields[0] in "Tt"

    try:
        await eventually(is_frozen, bool)
        yield process
    finally:
        await process.stop()


async def transactions_open(database: str) -> int:
    """Count the transactions that a worker has begun and does nothing in."""
    connection = await asyncpg.connect(database)
    try:
        return int(
            await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND state = 'idle in transaction'"
            )
        )
    finally:
        await connection.close()


class Picky:
    """An events stream that takes nothing of some rules."""

    def __init__(self, refused: set[RuleId]) -> None:
        self._refused = refused
        self.refusals: list[RuleId] = []
        self.published: list[RuleId] = []

    async def published_rules(self) -> list[RuleId]:
        return self.published

    async def publish_event(
        self, rule_id: RuleId, _subject: str, _payload: bytes, _found: dict[str, str], _last_sequence: int
    ) -> int:
        if rule_id in self._refused:
            self.refusals.append(rule_id)
            raise EventRefusedError("not this one")
        self.published.append(rule_id)
        return len(self.published)

    async def last_event(self, _rule_id: RuleId) -> tuple[int, str | None]:
        raise AssertionError("never asked")


class Away:
    """An events stream that answers only so often."""

    def __init__(self) -> None:
        self.refuses_from = 0
        self.refusals = 0
        self.published: list[bytes] = []

    async def refusals_seen(self) -> int:
        return self.refusals

    async def publish_event(
        self, _rule_id: RuleId, _subject: str, payload: bytes, _found: dict[str, str], last_sequence: int
    ) -> int:
        if len(self.published) >= self.refuses_from:
            self.refusals += 1
            raise UnavailableError("nats", "away")
        assert last_sequence == len(self.published)
        self.published.append(payload)
        return len(self.published)

    async def last_event(self, _rule_id: RuleId) -> tuple[int, str | None]:
        raise AssertionError("never asked")
