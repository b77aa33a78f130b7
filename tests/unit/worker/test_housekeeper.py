"""The housekeeper on partitions in memory: what it does when, what it waits for, and what it lets pass."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from domain.decisions.retention import Span
from domain.errors import UnavailableError
from domain.ports import FactPlace
from tests.fakes.trials import FakeTrials
from worker.adapters.postgres.partitions import ExpiredPartition, Partition
from worker.breakers import BusyError
from worker.retention import JITTER, PERIOD_S, START_TRIES_MAX, TRIES_MAX, Housekeeper, Kept, RetentionPolicy

SECOND_NS = 1_000_000_000
HOUR_S = 3600
DAY_S = 24 * HOUR_S
NOW_NS = 20_000 * DAY_S * SECOND_NS
POLICY = RetentionPolicy(retention_s=10 * DAY_S, partition_s=DAY_S, facts_max_age_s=DAY_S)
BUSY = BusyError("postgres", "others are in the way")
AWAY = UnavailableError("postgres", "Postgres is away")


@dataclass
class FakeStorage:
    """DecisionStorage in memory. ``failures`` are raised by the next calls, in order; ``calls`` names all of them."""

    spans: list[Span] = field(default_factory=list)
    former: list[ExpiredPartition] = field(default_factory=list)
    strays_ns: list[int] = field(default_factory=list)
    failures: dict[str, list[Exception]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    time_ns: int = NOW_NS

    def called(self, name: str) -> None:
        self.calls.append(name)
        if waiting := self.failures.get(name):
            raise waiting.pop(0)

    async def now_ns(self) -> int:
        self.called("now_ns")
        return self.time_ns

    async def partitions(self) -> Sequence[Partition]:
        self.called("partitions")
        return [Partition(str(one.since_ns), one) for one in self.spans]

    async def expired(self) -> Sequence[ExpiredPartition]:
        self.called("expired")
        return list(self.former)

    async def first_stray_ns(self, span: Span) -> int | None:
        self.called("first_stray_ns")
        return min((one for one in self.strays_ns if span.since_ns <= one < span.until_ns), default=None)

    async def strays(self, span: Span) -> int:
        self.called("strays")
        return sum(span.since_ns <= one < span.until_ns for one in self.strays_ns)

    async def attach(self, span: Span) -> str:
        self.called("attach")
        self.spans.append(span)
        self.strays_ns = [one for one in self.strays_ns if not span.since_ns <= one < span.until_ns]
        return str(span.since_ns)

    async def detach(self, name: str) -> None:
        self.called("detach")
        self.spans = [one for one in self.spans if str(one.since_ns) != name]
        self.former.append(ExpiredPartition(name, 30))

    async def expire_keys(self, expired: ExpiredPartition, block: int) -> tuple[int, int | None]:
        self.called("expire_keys")
        return 7, block + 10 if block + 10 < expired.blocks else None

    async def drop(self, expired: ExpiredPartition) -> bool:
        self.called("drop")
        self.former.remove(expired)
        return True

    async def expire_strays(self, before_ns: int) -> int:
        self.called("expire_strays")
        gone = [one for one in self.strays_ns if one < before_ns][:2_000]
        self.strays_ns = [one for one in self.strays_ns if one not in gone]
        return len(gone)


class Ground:
    """A housekeeper on a fake, what it told its observer, and how long it paused."""

    def __init__(self, policy: RetentionPolicy = POLICY) -> None:
        self.storage = FakeStorage()
        self.counted: list[tuple[Kept, bool]] = []
        self.pauses: list[float] = []
        self.rounds_max = 3
        self.is_over = asyncio.Event()
        self.now_ns = NOW_NS
        self.trials = FakeTrials()
        self.keeper = Housekeeper(self.storage, policy, self, self.trials, now_ns=lambda: self.now_ns, pause=self.pause)

    def storage_kept(self, *, made: int, moved: int, dropped: int, keys: int, failed: bool) -> None:
        self.counted.append((Kept(made, moved, dropped, keys), failed))

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if sum(one > 1 for one in self.pauses) >= self.rounds_max:
            self.is_over.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)

    async def after_rounds(self) -> None:
        """Let it run until it has paused between as many rounds as it is to have."""
        self.keeper.start()
        async with asyncio.timeout(60):
            await self.is_over.wait()
        await self.keeper.stop()


@pytest.fixture
def ground() -> Ground:
    return Ground()


def day(number: int) -> Span:
    return Span(NOW_NS + number * DAY_S * SECOND_NS, NOW_NS + (number + 1) * DAY_S * SECOND_NS)


@pytest.mark.parametrize(
    ("policy", "since_s", "until_s"),
    [
        (POLICY, -DAY_S - 2 * HOUR_S, 2 * DAY_S),
        (RetentionPolicy(10 * DAY_S, HOUR_S, DAY_S), -DAY_S - 2 * HOUR_S, 2 * HOUR_S),
        (RetentionPolicy(DAY_S + 60, HOUR_S, DAY_S), -DAY_S - 60, 2 * HOUR_S),
        (RetentionPolicy(10 * DAY_S, HOUR_S, 0.5), -2 * HOUR_S - 0.5, 2 * HOUR_S),
    ],
)
def test_what_is_needed_goes_back_as_far_as_facts_and_two_partitions_or_hours_ahead(
    policy: RetentionPolicy, since_s: float, until_s: int
) -> None:
    """It never goes back to what would be dropped at once."""
    assert policy.needed(NOW_NS, NOW_NS) == Span(NOW_NS + round(since_s * SECOND_NS), NOW_NS + until_s * SECOND_NS)


async def test_clocks_that_differ_have_partitions_for_both_and_drop_by_the_one_behind(ground: Ground) -> None:
    ground.storage.spans = [day(-11)]
    ground.storage.time_ns = NOW_NS + 3 * DAY_S * SECOND_NS
    done = await ground.keeper.keep_once()
    assert sorted(one.since_ns for one in ground.storage.spans) == [day(number).since_ns for number in range(-2, 5)]
    assert (done.made, done.dropped) == (7, 1)
    ground.storage.spans = [day(-10)]
    await ground.keeper.keep_once()
    assert day(-10) in ground.storage.spans


async def test_todays_partition_is_made_first(ground: Ground) -> None:
    await ground.keeper.keep_once()
    assert ground.storage.spans[0] == day(0)
    assert set(ground.storage.spans) == {day(number) for number in range(-2, 2)}


async def test_keys_go_before_their_partition_and_for_half_of_the_time_at_most(ground: Ground) -> None:
    ground.storage.spans = [day(-12)]
    done = await ground.keeper.keep_once()
    wanted = ["detach", "expire_keys", "expire_keys", "expire_keys", "drop"]
    assert [one for one in ground.storage.calls if one in wanted] == wanted
    assert (done.dropped, done.keys) == (1, 21)
    assert len(ground.pauses) == 2


async def test_a_preparation_makes_what_is_needed_and_drops_nothing(ground: Ground) -> None:
    ground.storage.spans = [day(-12)]
    await ground.keeper.prepare()
    assert day(0) in ground.storage.spans
    assert "detach" not in ground.storage.calls
    assert ground.counted == [(Kept(made=4), False)]


@pytest.mark.parametrize("call", ["attach", "detach", "drop"])
async def test_who_is_in_the_way_is_waited_for_some_times(ground: Ground, call: str) -> None:
    ground.storage.spans = [day(-12)]
    ground.storage.failures[call] = [BUSY] * (TRIES_MAX - 1)
    done = await ground.keeper.keep_once()
    assert (done.made, done.dropped) == (4, 1)


@pytest.mark.parametrize("call", ["attach", "detach", "drop"])
async def test_who_stays_in_the_way_makes_it_give_up_until_the_next_round(ground: Ground, call: str) -> None:
    ground.storage.spans = [day(-12)]
    ground.storage.failures[call] = [BUSY] * TRIES_MAX
    with pytest.raises(BusyError):
        await ground.keeper.keep_once()
    assert (await ground.keeper.keep_once()).dropped == 1


async def test_a_partition_whose_keys_another_worker_takes_away_is_left_to_it(ground: Ground) -> None:
    ground.storage.former = [ExpiredPartition("x", 30)]
    ground.storage.failures["expire_keys"] = [BUSY]
    with pytest.raises(BusyError):
        await ground.keeper.keep_once()
    assert ground.storage.calls.count("expire_keys") == 1
    assert ground.storage.former


@pytest.mark.parametrize(
    ("failure", "event", "failed"),
    [(BUSY, "storage_busy", False), (AWAY, "storage_waits", True), (ValueError("a defect"), "storage_failed", True)],
)
@pytest.mark.parametrize("call", ["now_ns", "partitions", "first_stray_ns", "expired"])
async def test_whatever_fails_is_logged_and_counted_and_the_next_round_comes(
    ground: Ground, call: str, failure: Exception, event: str, failed: bool
) -> None:
    ground.storage.failures[call] = [failure] * (TRIES_MAX if failure is BUSY and call != "expired" else 1)
    with capture_logs() as logs:
        await ground.after_rounds()
    assert [one["event"] for one in logs if one["event"].startswith("storage_")] == [event]
    assert [one for _, one in ground.counted] == [failed, False, False]
    assert len(ground.storage.spans) == 4


async def test_what_was_done_before_a_failure_is_counted_too(ground: Ground) -> None:
    ground.storage.failures["expired"] = [AWAY]
    await ground.after_rounds()
    assert ground.counted[0] == (Kept(made=4), True)


async def test_a_preparation_that_fails_stops_nobody(ground: Ground) -> None:
    ground.storage.failures["now_ns"] = [AWAY]
    with capture_logs() as logs:
        await ground.keeper.prepare()
    assert [one["event"] for one in logs] == ["storage_waits"]
    assert ground.counted == [(Kept(), True)]


async def test_rounds_are_a_period_apart_more_or_less(ground: Ground) -> None:
    ground.rounds_max = 30
    await ground.after_rounds()
    between = [one for one in ground.pauses if one > 1]
    assert all(PERIOD_S * (1 - JITTER) <= one <= PERIOD_S * (1 + JITTER) for one in between)
    assert len(set(between)) > 1


async def test_decisions_that_stay_outside_are_warned_of(ground: Ground) -> None:
    ground.storage.strays_ns = [day(100).since_ns]
    with capture_logs() as logs:
        await ground.keeper.keep_once()
    assert [(one["log_level"], one["count"]) for one in logs if one["event"] == "decisions_outside_partitions"] == [
        ("warning", 1)
    ]


async def test_strays_that_are_over_go_many_at_a_time_until_there_are_none(ground: Ground) -> None:
    ground.storage.strays_ns = [day(-30).since_ns + n for n in range(4_001)]
    assert (await ground.keeper.keep_once()).keys == 4_001
    assert ground.storage.calls.count("expire_strays") == 3
    assert ground.storage.strays_ns == []


async def test_a_housekeeper_that_was_never_started_stops(ground: Ground) -> None:
    await ground.keeper.stop()
    assert ground.storage.calls == []


async def test_a_preparation_waits_longer_for_others_than_a_round(ground: Ground) -> None:
    ground.storage.failures["attach"] = [BUSY] * (START_TRIES_MAX - 1)
    await ground.keeper.prepare()
    assert ground.counted == [(Kept(made=4), False)]
    assert START_TRIES_MAX > TRIES_MAX


async def test_trials_of_facts_that_no_stream_holds_any_more_are_removed_and_no_others(ground: Ground) -> None:
    due = ground.now_ns - POLICY.retention_s * SECOND_NS
    gone, kept = FactPlace("FACTS", 1, due - 10**18), FactPlace("FACTS", 2, ground.now_ns)
    for place in (gone, kept):
        await ground.trials.begin(place)
    await ground.keeper.keep_once()
    assert set(ground.trials.begun) == {kept}
