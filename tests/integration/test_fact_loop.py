"""The fact loop on a real bus, with the fake store or the real one: each fact decided once, whatever goes wrong."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import RawStreamMsg

from domain.decisions.ruleset import Ruleset
from domain.identifiers import fact_key
from domain.language import FactContext, Outcome
from domain.ports import DecisionStore, FactPlace, FactTrials, StoredDecision, StoreResult
from streams.connection import connect
from streams.facts.intake import DeadReason
from streams.facts.loop import TRIALS_MAX, FactLoop, LoopSettings
from streams.facts.observing import BatchReport, FactSpan, FactTracer
from streams.facts.puller import Puller, PullSettings
from streams.topology import TopologySettings, apply, batched, topology
from streams.wire import BatchPublisher, send
from tests.fakes.clock import FakeClock
from tests.fakes.decisions import FakeDecisions
from tests.fakes.handmade import bound, outcome
from tests.fakes.trials import FakeTrials
from worker.adapters.postgres.decisions import PostgresDecisions
from worker.adapters.postgres.pool import open_pool

WAIT_S = 45.0  # less than AckWait, after which what was lost comes again
ODD = b"NATS/1.0\r\nOdd: a\rb\x00c\nd\r\n\r\n"
COUNTED = ("facts", "matched", "effects", "repeated", "redelivered")
PULLS = PullSettings(window=400, request_messages=100, request_expires_s=2.0)


class Observer:
    """Adds up what the loop tells."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.dependencies: list[tuple[str, bool]] = []
        self.reports: list[BatchReport] = []
        self.waits: list[str] = []
        self.failed: list[tuple[Sequence[FactSpan], str]] = []
        self.tracer: FactTracer | None = None

    def batch_settled(self, report: BatchReport) -> None:
        times = report.times
        assert times.started <= times.begun <= times.decided <= times.stored <= times.published <= report.settled
        self.counts.update({name: getattr(report, name) for name in COUNTED})
        self.counts["dead"] += sum(report.dead.values())
        self.reports.append(report)

    def batch_failed(self, spans: Sequence[FactSpan], reason: str) -> None:
        self.failed.append((spans, reason))

    def dependency_waited(self, service: str) -> None:
        self.waits.append(service)

    def dependency(self, service: str, *, is_up: bool) -> None:
        if (service, is_up) not in self.dependencies[-1:]:
            self.dependencies.append((service, is_up))


class Bus:
    """The test's own connection to the bus, and the streams on it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.jetstream = client.jetstream()

    async def send(self, data: Any, headers: dict[str, str] | None = None, fact_type: str = "order.placed") -> None:
        payload = data if isinstance(data, bytes) else json.dumps(data).encode()
        await self.jetstream.publish(f"facts.{fact_type}", payload, headers=headers)

    async def send_orders(self, count: int, first: int = 0) -> None:
        await asyncio.gather(*(self.send({"n": n, "total": n % 200}) for n in range(first, first + count)))

    async def stored(self, stream: str) -> list[RawStreamMsg]:
        state = (await self.jetstream.stream_info(stream)).state
        return [await self.jetstream.get_msg(stream, number) for number in range(1, state.last_seq + 1)]

    async def count(self, stream: str) -> int:
        return (await self.jetstream.stream_info(stream)).state.messages

    async def unfinished(self) -> tuple[int, int]:
        """Return how many facts were not delivered yet, and how many were and are not acknowledged."""
        info = await self.jetstream.consumer_info("FACTS", "rulestream-facts")
        return info.num_pending or 0, info.num_ack_pending or 0

    async def all_settled(self) -> None:
        """Wait until every fact that the stream has is acknowledged or terminated."""
        last = (await self.jetstream.stream_info("FACTS")).state.last_seq

        async def is_settled() -> bool:
            info = await self.jetstream.consumer_info("FACTS", "rulestream-facts")
            assert info.ack_floor is not None
            return info.ack_floor.stream_seq >= last

        await until(is_settled)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds that nobody announces, for a bounded time."""
    async with asyncio.timeout(WAIT_S):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def judge(payload: dict[str, Any], _fact: FactContext, _decision: Mapping[str, Any]) -> Outcome | None:
    """Decide an order as every test's rule does."""
    if payload.get("defect"):
        raise RuntimeError("a defect of ours")
    if "total" not in payload:
        return None
    if payload["total"] >= 100:
        text = "x" * payload.get("size", 1)
        return outcome(("set", "tier", "big"), effects=[("alert", {"n": payload.get("n"), "text": text})])
    return outcome(("set", "tier", "small"), branch="else")


RULESET = Ruleset(7, [bound("judge", judge)])
OTHER_RULESET = Ruleset(8, [bound("other", outcome(("set", "tier", "other")))])


class Running:
    """A loop that runs, and everything that it was given."""

    def __init__(self, loop: FactLoop, store: Any, observer: Observer) -> None:
        self.loop = loop
        self.store = store
        self.observer = observer
        self.ruleset = RULESET


class RecordedTrials(FakeTrials):
    """Trials that tell what was tried; of the fact at ``died_of`` every trial so far ended in death."""

    def __init__(self, died_of: int = 0) -> None:
        super().__init__()
        self.tried: list[FactPlace] = []
        self._died_of = died_of

    async def begin(self, fact: FactPlace, ended: Sequence[FactPlace] = ()) -> int:
        begun = await super().begin(fact, ended)
        self.tried.append(fact)
        if fact.sequence == self._died_of and begun == 1:
            self.begun[fact] = begun = TRIALS_MAX + 1
        return begun


Start = Callable[..., Awaitable[Running]]


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    client = await nats.connect(nats_url)
    await apply(topology(TopologySettings()), client, client)
    yield Bus(client)
    await client.close()


@pytest.fixture
async def start(bus: Bus, nats_url: str) -> AsyncIterator[Start]:
    """Give what starts loops; they are stopped at the end."""
    async with AsyncExitStack() as stack:

        async def make(
            store: DecisionStore | None = None,
            pulls: PullSettings = PULLS,
            trials: FactTrials | None = None,
            **settings: Any,
        ) -> Running:
            chosen = {"batch_facts": 50, "stop_timeout_s": 5.0, **settings}
            given = (store or FakeDecisions(), trials or FakeTrials())
            return await stack.enter_async_context(running(nats_url, *given, pulls, chosen))

        yield make


@asynccontextmanager
async def running(
    nats_url: str, store: DecisionStore, trials: FactTrials, pulls: PullSettings, settings: dict[str, Any]
) -> AsyncIterator[Running]:
    client = await connect(nats_url, "test-facts")
    observer = Observer()
    started: Running
    loop = FactLoop(
        client,
        Puller(client, "FACTS", "rulestream-facts", pulls),
        BatchPublisher(client, batched=await batched(client, TopologySettings())),
        store,
        trials,
        lambda: started.ruleset,
        FakeClock(),
        observer,
        LoopSettings(**settings),
    )
    started = Running(loop, store, observer)
    await loop.start()
    try:
        yield started
        assert loop.failure is None
    finally:
        await loop.stop()
        await client.close()


@pytest.fixture(params=["fake", "postgres"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[DecisionStore]:
    """Give the fake store, then the real one."""
    if request.param == "fake":
        yield FakeDecisions()
        return
    pool = await open_pool(request.getfixturevalue("database"), size_max=4, timeout_s=60)
    yield PostgresDecisions(pool)
    await pool.close()


async def test_every_fact_is_decided_once_stored_published_and_acknowledged(
    bus: Bus, start: Start, store: DecisionStore
) -> None:
    await bus.send_orders(300)
    run = await start(store)
    await bus.send_orders(300, first=300)
    await bus.all_settled()
    decisions = await bus.stored("DECISIONS")
    bodies = [json.loads(message.data or b"") for message in decisions]
    assert sorted(body["factSeq"] for body in bodies) == list(range(1, 601))
    facts = {sequence: json.loads(message.data or b"") for sequence, message in enumerate(await bus.stored("FACTS"), 1)}
    for message, body in zip(decisions, bodies, strict=True):
        is_big = facts[body["factSeq"]]["total"] >= 100
        assert message.subject == f"decisions.{'matched' if is_big else 'unmatched'}.order.placed"
        assert body["output"] == {"tier": "big" if is_big else "small"}
        assert (message.headers or {})["Nats-Msg-Id"] == body["decisionId"]
        kept = await store.find(bytes.fromhex(body["decisionId"]))
        assert kept is not None
        assert kept.body == message.data
    effects = [json.loads(message.data or b"")["n"] for message in await bus.stored("EFFECTS")]
    assert sorted(effects) == sorted(fact["n"] for fact in facts.values() if fact["total"] >= 100)
    assert await bus.count("DEAD_LETTERS") == 0
    assert (run.observer.counts["facts"], run.observer.counts["matched"]) == (600, len(effects))
    assert set(run.observer.dependencies) == {("postgres", True), ("nats", True)}


async def test_two_loops_share_the_facts(bus: Bus, start: Start) -> None:
    one = await start(pulls=PullSettings(window=20, request_messages=10), batch_facts=10)
    two = await start(one.store, pulls=PullSettings(window=20, request_messages=10), batch_facts=10)
    await bus.send_orders(400)
    await bus.all_settled()
    assert await bus.count("DECISIONS") == 400
    assert one.observer.counts["facts"] + two.observer.counts["facts"] == 400
    assert min(one.observer.counts["facts"], two.observer.counts["facts"]) > 0


class TestDeadLetters:
    async def test_what_is_no_fact_is_a_dead_letter_once_with_its_bytes_headers_and_reason(
        self, bus: Bus, start: Start
    ) -> None:
        await bus.send_orders(5)
        await bus.send(b"not json", {"Trace": "x", "Nats-Msg-Id": "m1"})
        await bus.send([], {"Nats-Expected-Stream": "FACTS"})
        await bus.send_orders(5, first=5)
        run = await start()
        await bus.all_settled()
        letters = await bus.stored("DEAD_LETTERS")
        found = {(letter.headers or {})["Rulestream-Reason"]: letter for letter in letters}
        assert len(letters) == len(found) == 2
        assert await bus.count("DECISIONS") == 10
        letter = found["NOT_JSON"]
        assert (letter.subject, letter.data) == ("dead.facts.order.placed", b"not json")
        assert letter.headers is not None
        assert (letter.headers["Original-Trace"], letter.headers["Original-Nats-Msg-Id"]) == ("x", "m1")
        assert (letter.headers["Rulestream-Stream"], letter.headers["Rulestream-Sequence"]) == ("FACTS", "6")
        assert (found["NOT_AN_OBJECT"].headers or {})["Original-Nats-Expected-Stream"] == "FACTS"
        assert run.observer.counts["dead"] == 2

    @pytest.mark.parametrize(
        ("frame", "subject"),
        [
            (b"HPUB facts.a %d %d\r\n%bnot json\r\n" % (len(ODD), len(ODD) + 8, ODD), "dead.facts.a"),
            (b"PUB facts.a..b 2\r\n{}\r\n", None),
            ("PUB facts.é 2\r\n{}\r\n".encode(), "dead.facts._invalid"),
            (b"PUB facts.a\x00b 2\r\n{}\r\n", "dead.facts._invalid"),
            (b"PUB facts.\xff\xfe 2\r\n{}\r\n", "dead.facts._invalid"),
        ],
        ids=["headers that break lines", "empty token", "no ASCII", "NUL", "no UTF-8"],
    )
    async def test_what_only_a_raw_client_can_send_holds_nothing_up(
        self, bus: Bus, start: Start, frame: bytes, subject: str | None
    ) -> None:
        await send(bus.client, frame)
        await bus.send_orders(3)
        assert await bus.count("FACTS") == (3 if subject is None else 4)  # the server refuses some by itself
        await start()
        await bus.all_settled()
        assert await bus.count("DECISIONS") == 3
        letters = await bus.stored("DEAD_LETTERS")
        assert [letter.subject for letter in letters] == ([] if subject is None else [subject])

    async def test_a_decision_that_fits_no_message_is_a_dead_letter(self, bus: Bus, start: Start) -> None:
        await bus.send({"total": 100, "size": bus.client.max_payload})
        await bus.send_orders(3)
        await start()
        await bus.all_settled()
        (letter,) = await bus.stored("DEAD_LETTERS")
        assert (letter.headers or {})["Rulestream-Reason"] == DeadReason.DECISION_TOO_LARGE
        assert (await bus.count("DECISIONS"), await bus.count("EFFECTS")) == (3, 0)

    @pytest.mark.parametrize("again", [{"total": 1, "defect": True}, {"total": 100, "size": 2**20}])
    async def test_what_was_decided_once_stands_though_deciding_it_again_fails(
        self, bus: Bus, start: Start, again: dict[str, Any]
    ) -> None:
        identity = {"ce-id": "o1", "ce-source": "/shop"}
        await bus.send({"total": 1}, identity)
        run = await start()
        await bus.all_settled()
        await bus.send(again, identity)
        await bus.all_settled()
        assert (await bus.count("DECISIONS"), await bus.count("DEAD_LETTERS")) == (1, 0)
        assert run.observer.counts["repeated"] == 1

    async def test_a_fact_whose_data_the_store_refuses_is_a_dead_letter_and_its_batch_is_not(
        self, bus: Bus, start: Start
    ) -> None:
        store = FakeDecisions()
        store.refused = {"bad-1", "bad-2"}
        for number in range(20):
            fact_id = {3: "bad-1", 17: "bad-2"}.get(number, f"good-{number}")
            await bus.send({"total": 1}, {"Nats-Msg-Id": fact_id})
        await start(store)
        await bus.all_settled()
        letters = await bus.stored("DEAD_LETTERS")
        assert {(letter.headers or {})["Original-Nats-Msg-Id"] for letter in letters} == {"bad-1", "bad-2"}
        assert {(letter.headers or {})["Rulestream-Reason"] for letter in letters} == {"STORE_REFUSED"}
        assert await bus.count("DECISIONS") == 18


class TestRepeats:
    """Core subscribers see what is published again, though the stream drops it as a duplicate."""

    @pytest.fixture
    async def seen(self, bus: Bus) -> list[Msg]:
        messages: list[Msg] = []

        async def note(message: Msg) -> None:
            messages.append(message)

        for subject in ("decisions.>", "effects.>"):
            await bus.client.subscribe(subject, cb=note)
        await bus.client.flush()
        return messages

    @staticmethod
    def forms(messages: Sequence[Msg]) -> list[tuple[Any, ...]]:
        return [(one.subject, one.data, one.headers) for one in sorted(messages, key=lambda one: one.subject)]

    async def test_of_one_facts_repeats_in_a_batch_the_first_is_decided_and_all_are_acknowledged(
        self, bus: Bus, start: Start, store: DecisionStore
    ) -> None:
        for total in (150, 5, 7):
            await bus.send({"total": total}, {"ce-id": "e1", "ce-source": "/shop"})
        await bus.send({"total": 5}, {"ce-id": "e1", "ce-source": "/other"})
        await start(store)
        await bus.all_settled()
        bodies = [json.loads(message.data or b"") for message in await bus.stored("DECISIONS")]
        assert sorted(body["factSeq"] for body in bodies) == [1, 4]
        kept = await store.find(fact_key("ce", "/shop", "e1"))
        assert kept is not None
        assert kept.matched

    async def test_a_fact_that_comes_again_gives_the_first_bytes_again_whatever_the_rules_are_by_then(
        self, bus: Bus, start: Start, store: DecisionStore, seen: list[Msg]
    ) -> None:
        run = await start(store)
        headers = {"ce-id": "e1", "ce-source": "/shop", "ce-time": "9999-12-31T23:59:59.999999999Z"}
        await bus.send({"total": 150}, headers)
        await bus.all_settled()
        await bus.client.flush()
        first = self.forms(seen)
        assert [subject for subject, _, _ in first] == ["decisions.matched.order.placed", "effects.alert"]
        seen.clear()
        run.ruleset = OTHER_RULESET
        await bus.send({"total": 1}, headers)
        await bus.all_settled()
        await bus.client.flush()
        assert self.forms(seen) == first
        assert (await bus.count("DECISIONS"), await bus.count("EFFECTS")) == (1, 1)
        assert run.observer.counts["repeated"] == 1

    async def test_another_loop_gives_the_first_bytes_too(
        self, bus: Bus, start: Start, store: DecisionStore, seen: list[Msg]
    ) -> None:
        headers = {"ce-id": "e1", "ce-source": "/shop"}
        run = await start(store)
        await bus.send({"total": 150}, headers)
        await bus.all_settled()
        await run.loop.stop()
        await bus.client.flush()
        first = self.forms(seen)
        seen.clear()
        other = await start(store)
        other.ruleset = OTHER_RULESET
        await bus.send({"total": 150}, headers)
        await bus.all_settled()
        await bus.client.flush()
        assert self.forms(seen) == first


class TestOutages:
    async def test_while_the_store_is_away_nothing_is_published_nor_acknowledged_and_then_everything_is(
        self, bus: Bus, start: Start
    ) -> None:
        store = FakeDecisions()
        store.is_away = True
        run = await start(store)
        await bus.send_orders(40)
        await until(lambda: is_equal(bus.unfinished(), (0, 40)))
        seen = store.calls
        await until(lambda: answer(store.calls >= seen + 3))
        assert (await bus.count("DECISIONS"), await bus.unfinished()) == (0, (0, 40))
        store.is_away = False
        await bus.all_settled()
        assert await bus.count("DECISIONS") == 40
        assert await bus.count("DEAD_LETTERS") == 0
        assert run.observer.dependencies[0] == ("postgres", False)
        assert ("postgres", True) in run.observer.dependencies

    async def test_while_decisions_cannot_be_published_nothing_is_acknowledged_and_then_everything_is(
        self, bus: Bus, start: Start
    ) -> None:
        await bus.jetstream.delete_stream("DECISIONS")
        run = await start()
        await bus.send_orders(40)
        await until(lambda: answer(("nats", False) in run.observer.dependencies))
        await until(lambda: is_equal(bus.unfinished(), (0, 40)))
        await apply(topology(TopologySettings()), bus.client, bus.client)
        await bus.all_settled()
        assert await bus.count("DECISIONS") == 40

    async def test_a_fact_whose_first_decision_cannot_be_seen_comes_again(self, bus: Bus, start: Start) -> None:
        class Unseen(FakeDecisions):
            """One that is asked about the unsettled decision once, and then not before it is to be seen."""

            def __init__(self) -> None:
                super().__init__()
                self.asked = 0
                self.is_seen = asyncio.Event()

            async def store(self, decisions: Sequence[StoredDecision]) -> StoreResult:
                if any(one.fact_id == "m1" for one in decisions):
                    self.asked += 1
                    if self.asked > 1:
                        await self.is_seen.wait()
                return await super().store(decisions)

        store = Unseen()
        store.unsettled.add(fact_key("msg", "", "m1"))
        run = await start(store)
        await bus.send({"total": 1}, {"Nats-Msg-Id": "m1"})
        await bus.send({"total": 1}, {"Nats-Msg-Id": "m2"})
        await until(lambda: answer(store.asked >= 1 and run.observer.counts["facts"] == 1))
        assert await bus.count("DECISIONS") == 1
        store.unsettled.clear()
        store.is_seen.set()
        await bus.all_settled()
        assert await bus.count("DECISIONS") == 2
        assert run.observer.counts["redelivered"] == 1


class TestSuspects:
    """Facts that come for the third time and more."""

    async def again(self, bus: Bus, times: int) -> None:
        """Have every fact delivered so many times, to somebody who does nothing with it."""
        facts = await bus.count("FACTS")
        pull = await bus.jetstream.pull_subscribe_bind("rulestream-facts", stream="FACTS")
        for _ in range(times):
            messages: list[Msg] = []
            while len(messages) < facts:
                messages += await pull.fetch(facts - len(messages), timeout=WAIT_S)
            for message in messages:
                await message.nak()
            await bus.client.flush()
        await pull.unsubscribe()

    async def test_each_is_tried_alone_on_record_and_crossed_out_and_all_are_decided(
        self, bus: Bus, start: Start
    ) -> None:
        await bus.send_orders(7)
        await self.again(bus, 2)
        trials = RecordedTrials()
        run = await start(trials=trials)
        await bus.all_settled()
        assert await bus.count("DECISIONS") == 7
        assert sorted(place.sequence for place in trials.tried) == list(range(1, 8))
        assert not trials.begun
        assert run.observer.counts["redelivered"] == 7

    async def test_one_that_killed_its_workers_becomes_a_dead_letter_and_its_neighbours_are_decided(
        self, bus: Bus, start: Start
    ) -> None:
        await bus.send_orders(5)
        await self.again(bus, 2)
        trials = RecordedTrials(died_of=3)
        run = await start(trials=trials)
        await bus.all_settled()
        decided = [json.loads(message.data or b"")["factSeq"] for message in await bus.stored("DECISIONS")]
        assert sorted(decided) == [1, 2, 4, 5]
        (letter,) = await bus.stored("DEAD_LETTERS")
        assert (letter.headers or {})["Rulestream-Reason"] == DeadReason.KILLED_WORKER.value
        assert (letter.headers or {})["Rulestream-Sequence"] == "3"
        await until(lambda: answer(not trials.begun))
        assert run.observer.counts["dead"] == 1

    async def test_one_that_was_decided_before_it_began_to_kill_keeps_its_decision(
        self, bus: Bus, start: Start, store: DecisionStore
    ) -> None:
        headers = {"Nats-Msg-Id": "m1"}
        await bus.send({"total": 150}, headers)
        first = await start(store)
        await bus.all_settled()
        await first.loop.stop()
        await bus.jetstream.delete_consumer("FACTS", "rulestream-facts")
        await apply(topology(TopologySettings()), bus.client, bus.client)
        await self.again(bus, 2)
        await start(store, trials=RecordedTrials(died_of=1))
        await bus.all_settled()
        assert (await bus.count("DECISIONS"), await bus.count("DEAD_LETTERS")) == (1, 0)

    async def test_while_trials_cannot_be_recorded_nothing_is_tried(self, bus: Bus, start: Start) -> None:
        await bus.send_orders(3)
        await self.again(bus, 2)
        trials = RecordedTrials()
        trials.is_away = True
        run = await start(trials=trials)
        await until(lambda: answer(("postgres", False) in run.observer.dependencies))
        assert await bus.count("DECISIONS") == 0
        trials.is_away = False
        await bus.all_settled()
        assert await bus.count("DECISIONS") == 3


class TestInProgress:
    async def test_facts_in_hand_are_delivered_to_nobody_else_while_the_store_is_away(
        self, bus: Bus, start: Start
    ) -> None:
        await bus.jetstream.delete_consumer("FACTS", "rulestream-facts")
        # The server waits for twice as long as the loop is told: a loaded machine may hold the loop up.
        await apply(topology(TopologySettings(ack_wait_s=2)), bus.client, bus.client)
        store = FakeDecisions()
        store.is_away = True
        run = await start(store, ack_wait_s=1.0, batch_facts=10)
        await bus.send_orders(60)
        # More than AckWait has to go by; a fact that was not reported as in progress would have come again.
        began = asyncio.get_running_loop().time()
        await until(lambda: answer(asyncio.get_running_loop().time() - began > 2.5))
        store.is_away = False
        await bus.all_settled()
        assert await bus.count("DECISIONS") == 60
        assert run.observer.counts["redelivered"] == 0

    async def test_no_facts_are_asked_for_while_the_store_is_away(self, bus: Bus, start: Start) -> None:
        store = FakeDecisions()
        store.is_away = True
        pulls = PullSettings(window=20, request_messages=10, request_expires_s=2.0)
        await start(store, pulls=pulls, batch_facts=10)
        await bus.send_orders(10)
        await until(lambda: answer(store.calls >= 2))
        await bus.send_orders(200, first=10)
        waiting, in_hand = await bus.unfinished()
        assert in_hand <= 10 + 20
        assert waiting >= 210 - 30
        store.is_away = False
        await bus.all_settled()
        assert await bus.count("DECISIONS") == 210


class TestDefects:
    async def test_a_defect_in_deciding_leaves_its_fact_unacknowledged_and_its_neighbours_are_decided(
        self, bus: Bus, start: Start
    ) -> None:
        await bus.send_orders(5)
        await bus.send({"defect": True})
        await bus.send_orders(5, first=5)
        await start()
        await until(lambda: is_equal(bus.count("DECISIONS"), 10))
        await until(lambda: is_equal(bus.unfinished(), (0, 1)))
        assert await bus.count("DEAD_LETTERS") == 0

    async def test_a_defect_in_storing_leaves_its_batch_unacknowledged_and_the_loop_goes_on(
        self, bus: Bus, start: Start
    ) -> None:
        class Defective(FakeDecisions):
            async def store(self, decisions: Sequence[StoredDecision]) -> StoreResult:
                if any(one.fact_id == "bad" for one in decisions):
                    raise RuntimeError("a defect of ours")
                return await super().store(decisions)

        run = await start(Defective())
        await bus.send({"total": 1}, {"Nats-Msg-Id": "bad"})
        await until(lambda: is_equal(bus.unfinished(), (0, 1)))
        await bus.send_orders(5)
        await until(lambda: is_equal(bus.count("DECISIONS"), 5))
        await until(lambda: is_equal(bus.unfinished(), (0, 1)))
        assert await bus.count("DEAD_LETTERS") == 0
        assert run.loop.failure is None


class TestStop:
    async def test_what_was_begun_is_finished(self, bus: Bus, start: Start) -> None:
        class Slow(FakeDecisions):
            def __init__(self) -> None:
                super().__init__()
                self.begun = asyncio.Event()
                self.go_on = asyncio.Event()

            async def store(self, decisions: Sequence[StoredDecision]) -> StoreResult:
                self.begun.set()
                await self.go_on.wait()
                return await super().store(decisions)

        store = Slow()
        run = await start(store)
        await bus.send_orders(10)
        async with asyncio.timeout(WAIT_S):
            await store.begun.wait()
        stopping = asyncio.create_task(run.loop.stop())
        await until(lambda: answer(run.loop._intake is not None and run.loop._intake.done()))
        assert not stopping.done()
        store.go_on.set()
        async with asyncio.timeout(WAIT_S):
            await stopping
        begun = await bus.count("DECISIONS")
        assert begun == len(store.stored) > 0
        rest = await start(store)
        await bus.all_settled()
        assert await bus.count("DECISIONS") == 10
        assert rest.observer.counts["repeated"] == 0

    async def test_what_came_is_decided_so_that_nothing_is_delivered_twice(self, bus: Bus, start: Start) -> None:
        """A stop at full load: facts wait in the stream, in requests that the server fills, and here."""

        class Seen(FakeDecisions):
            def __init__(self) -> None:
                super().__init__()
                self.begun = asyncio.Event()

            async def store(self, decisions: Sequence[StoredDecision]) -> StoreResult:
                self.begun.set()
                return await super().store(decisions)

        await bus.send_orders(600)
        store = Seen()
        run = await start(store, PullSettings(window=100, request_messages=50), batch_facts=10, batches_in_flight=2)
        async with asyncio.timeout(WAIT_S):
            await store.begun.wait()
        await run.loop.stop()
        info = await bus.jetstream.consumer_info("FACTS", "rulestream-facts")
        assert info.delivered is not None
        assert info.num_pending, "the stop came too late to say anything"
        assert (info.num_ack_pending, info.delivered.consumer_seq) == (0, 600 - info.num_pending)
        assert await bus.count("DECISIONS") == info.delivered.consumer_seq
        assert run.observer.counts["redelivered"] == 0

    async def test_what_was_not_finished_is_handed_back_and_another_loop_decides_it_at_once(
        self, bus: Bus, start: Start
    ) -> None:
        class Away(FakeDecisions):
            begun = 0

            async def store(self, decisions: Sequence[StoredDecision]) -> StoreResult:
                self.begun = len(decisions)
                return await super().store(decisions)

        await bus.jetstream.delete_consumer("FACTS", "rulestream-facts")
        await apply(topology(TopologySettings(ack_wait_s=600)), bus.client, bus.client)
        await bus.send_orders(50)
        away = Away()
        away.is_away = True
        pulls = PullSettings(window=50, request_messages=50)
        run = await start(away, pulls, batch_facts=10, batches_in_flight=1, stop_timeout_s=0.2)
        await until(lambda: answer(away.begun > 0 and away.begun + len(run.loop._puller._buffer) == 50))
        await run.loop.stop()
        assert await bus.unfinished() == (0, 50)
        other = await start()
        await until(lambda: is_equal(bus.unfinished(), (0, 0)))  # in far less than AckWait
        assert await bus.count("DECISIONS") == len(other.store.stored) == 50
        assert other.observer.counts["redelivered"] == 50

    async def test_a_loop_that_is_stopped_takes_nothing_more(self, bus: Bus, start: Start) -> None:
        run = await start()
        await bus.send_orders(5)
        await bus.all_settled()
        await run.loop.stop()
        await bus.send_orders(5, first=5)
        await run.loop.stop()
        assert await bus.unfinished() == (5, 0)
        assert run.store.calls >= 1
        assert len(run.store.stored) == 5


async def answer(value: bool) -> bool:
    return value


async def is_equal(found: Awaitable[Any], wanted: Any) -> bool:
    return bool(await found == wanted)
