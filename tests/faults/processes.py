"""Workers that freeze, are restarted, have a wrong clock, or meet a fact that kills them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable

from tests.behaviour.bus import eventually
from tests.faults.audit import Audit
from tests.faults.evidence import DEAD_LETTERS, Evidence
from tests.faults.identity import nanoseconds
from tests.faults.load import Mix, patiently
from tests.faults.points import Point
from tests.faults.scenario import Scenario
from tests.faults.stage import CHANGE_WAIT_S, FaultyWorker, Stage

AN_HOUR_S = 3_600
DEADLY_WAIT_S = 240.0
FREEZING = (
    Point.DECIDE,
    Point.STORE_BEFORE,
    Point.STORE_AFTER,
    Point.PUBLISH_BEFORE,
    Point.PUBLISH_SENT,
    Point.PUBLISH_AFTER,
    Point.ACK_BEFORE,
)


async def freeze_and_thaw(stage: Stage, times: int) -> None:
    """Freeze a worker at a point of its facts' way; thaw it when another has done everything that it held."""
    await stage.start_worker()
    for _ in range(times):
        point = stage.chance.choice(FREEZING)
        worker = await stage.start_faulty(point, at_pass=stage.chance.randint(1, 5), how="STOP")
        await worker.at_point()
        await stage.caught_up()
        await worker.process.thaw()
        stage.injected += 1
        await worker.started()
        await worker.ends()


async def roll(stage: Stage, times: int) -> None:
    """Replace one worker after the other, as a deployment does, while facts keep coming."""
    workers = [await stage.start_worker(), await stage.start_worker()]
    for _ in range(times):
        await stage.progress(stage.chance.randrange(20, 200))
        workers.append(await stage.start_worker())
        leaving = workers.pop(0)
        await _nothing_decided_again(leaving)
        await leaving.ends()
        stage.injected += 1
    await stage.progress(100)
    for worker in workers:
        await _nothing_decided_again(worker)


async def _nothing_decided_again(worker: FaultyWorker) -> None:
    repeated = await worker.metric("rulestream_facts_repeated_total")
    assert repeated == 0, f"{repeated} facts came to a worker that another had finished"


def nothing_published_again(found: Audit, _: Evidence) -> Iterable[str]:
    """Whoever is asked to end hands back only what it has not begun."""
    if found.published_again:
        yield f"{found.published_again} messages were published again, though every worker ended in order"


async def shift_clocks(stage: Stage, times: int) -> None:
    """Let workers decide by clocks that are an hour ahead and an hour behind, beside one that is right."""
    await stage.start_worker()
    for number in range(times):
        shift = AN_HOUR_S if number % 2 else -AN_HOUR_S
        worker = await stage.start_faulty(clock_shift_s=shift)
        await worker.started()
        before = await worker.metric("rulestream_facts_decided_total")

        async def decided(worker: FaultyWorker = worker) -> float:
            return await worker.metric("rulestream_facts_decided_total")

        await eventually(decided, lambda seen, before=before: seen > before + 50, CHANGE_WAIT_S)
        await worker.ends()
        stage.injected += 1


def decided_by_wrong_clocks(_: Audit, evidence: Evidence) -> Iterable[str]:
    """Clocks were wrong indeed, both ways; all else in the decisions the audit has compared."""
    stored = {message.sequence: message.stored_at_ns for message in evidence.facts}
    bodies = [json.loads(row.body) for row in evidence.rows]
    off_s = [(nanoseconds(body["decidedAt"]) - stored[body["factSeq"]]) / 1e9 for body in bodies]
    for direction, count in (
        ("ahead", sum(one > AN_HOUR_S / 2 for one in off_s)),
        ("behind", sum(one < -AN_HOUR_S / 2 for one in off_s)),
    ):
        if not count:
            yield f"no decision was made by a clock that is {direction}"


async def meet_deadly_facts(stage: Stage, times: int) -> None:
    """Publish facts that kill whoever decides them; workers are started again, as a supervisor does."""
    deadly = [stage.load.deadly() for _ in range(times)]
    is_over = asyncio.Event()

    async def supervise() -> None:
        while not is_over.is_set():
            worker = await stage.start_faulty()
            over = asyncio.create_task(is_over.wait())
            dying = asyncio.create_task(_ended(worker))
            await asyncio.wait({over, dying}, return_when=asyncio.FIRST_COMPLETED)
            if dying.done():
                stage.kills += 1
                over.cancel()
            else:
                dying.cancel()
                await worker.kill()  # it may be just starting

    async with asyncio.TaskGroup() as group:
        group.create_task(supervise())
        group.create_task(supervise())
        await stage.progress(100)
        await stage.load.publish_all(deadly)

        async def buried() -> int:
            info = await patiently(lambda: stage.bus.jetstream.stream_info(DEAD_LETTERS, subjects_filter="dead.>"))
            letters = [
                await stage.bus.jetstream.get_msg(DEAD_LETTERS, seq) for seq in range(1, info.state.last_seq + 1)
            ]
            return sum((one.headers or {}).get("Rulestream-Reason") == "KILLED_WORKER" for one in letters)

        await eventually(buried, lambda count: count >= times, DEADLY_WAIT_S)
        is_over.set()
    stage.injected += times


async def _ended(worker: FaultyWorker) -> None:
    async def status() -> int | None:
        return worker.process.exit_status

    await eventually(status, lambda code: code is not None, DEADLY_WAIT_S)


SCENARIOS = (
    Scenario("freeze", "frozen past AckWait, then thawed", 10, freeze_and_thaw),
    Scenario("rolling-restart", "rolling restart", 10, roll, Mix(repeated=0), check=nothing_published_again),
    Scenario("clocks", "clocks an hour off", 6, shift_clocks, check=decided_by_wrong_clocks),
)
# Played last: a fact that kills its worker again and again.
DEADLY = Scenario("deadly", "facts that kill their worker", 3, meet_deadly_facts, Mix(poison=0))
