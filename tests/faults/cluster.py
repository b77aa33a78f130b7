"""A three-node JetStream cluster whose leaders die, hang, step down and are upgraded; every stream has three copies.

Facts and commands are sent throughout. A row's notes say how long the decisions stood still, in milliseconds: the
longest time between two of them, by the cluster's own clock, from a fault until they flowed again.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.behaviour.bus import Bus, eventually
from tests.faults.audit import Audit
from tests.faults.evidence import CONSUMER, DECISIONS, EFFECTS, FACTS, Evidence, stored
from tests.faults.load import REFUSED, Mix, patiently
from tests.faults.results import Result
from tests.faults.scenario import Scenario, perform_on
from tests.faults.stage import CHANGE_WAIT_S, Site, Stage
from tests.servers.cluster import META, NODES, NatsCluster
from worker.embedded import Addresses

FACTS_CONSUMER = f"{FACTS}/{CONSUMER}"
COMMANDS, EVENTS, DEAD_LETTERS = "RULES_COMMANDS", "RULES_EVENTS", "DEAD_LETTERS"
COMMANDS_CONSUMER = f"{COMMANDS}/rulestream-commands"
FACTS_CLIENT = "rulestream-facts"  # how a worker's connection for facts calls itself
# Whose leaders die, in turn: whatever a fact or a command needs on its way, and the cluster itself.
LED = (FACTS, FACTS_CONSUMER, DECISIONS, EFFECTS, COMMANDS, COMMANDS_CONSUMER, META)
REPLICAS = 3
# As operators have them: a decision that a leader acknowledged and lost is not mended by a fact that soon comes again,
# and what is published again in the fault is told by its id, and must not be told wrongly.
SETTINGS: Mapping[str, object] = {"stream_replicas": REPLICAS, "ack_wait_s": 60, "duplicate_window_s": 120}
# What a dead leader was told and did not pass on comes again after this long, where a test cannot wait a minute.
SHORT_ACK_WAIT_S = 5
LANES = 4
# Some ten batches of a size that a node that comes back takes in before it hears that it was replaced.
BURST = 600
BURST_BATCH = 50
LANE_PAUSE_S = 0.05
COMMAND_PAUSE_S = 0.1
ANSWER_WAIT_S = 2.0
PUBLISH_TIMEOUT_S = 5.0  # the worker's
AGAIN_AFTER_S = 0.05
NS = 1_000_000_000
MS_NS = 1_000_000


@dataclass(frozen=True, slots=True)
class Fault:
    """When a fault came, and when facts were decided again, in nanoseconds since 1970."""

    kind: str
    began_ns: int
    over_ns: int


@dataclass(slots=True)
class Command:
    """A command that was acknowledged, and how long its sender waited for its answer."""

    command_id: str
    name: str
    answer: dict[str, Any]
    seconds: float


class Commander:
    """Sends commands one after the other, each until it is acknowledged, and then asks until its answer is known."""

    def __init__(self, bus: Bus, dsl: str) -> None:
        self._bus = bus
        self._dsl = dsl
        self._is_ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.answered: list[Command] = []

    def start(self) -> None:
        self._task = asyncio.create_task(self._go_on())

    async def end(self) -> None:
        """Send no more and wait for the last answer."""
        self._is_ending.set()
        if self._task is not None:
            await asyncio.wait_for(self._task, CHANGE_WAIT_S)

    async def _go_on(self) -> None:
        for number in itertools.count():
            if self._is_ending.is_set():
                return
            self.answered.append(await self._one(number))
            await asyncio.sleep(COMMAND_PAUSE_S)

    async def _one(self, number: int) -> Command:
        name = f"sent while leaders change {number}"
        command_id = str(uuid.uuid4())
        payload = json.dumps({"name": name, "dslContent": self._dsl, "priority": "LOW"}).encode()
        began = time.monotonic()
        await patiently(
            lambda: self._bus.jetstream.publish(
                "rules.command.ann.create", payload, timeout=ANSWER_WAIT_S, headers={"Nats-Msg-Id": command_id}
            )
        )
        answer = await self._answer(command_id)
        return Command(command_id, name, answer, time.monotonic() - began)

    async def _answer(self, command_id: str) -> dict[str, Any]:
        question = json.dumps({"commandId": command_id}).encode()
        while True:
            try:
                message = await self._bus.client.request("rules.query.ann.command", question, timeout=ANSWER_WAIT_S)
            except REFUSED:
                await asyncio.sleep(AGAIN_AFTER_S)
                continue
            answer: dict[str, Any] = json.loads(message.data)
            if answer["status"] == "ok":
                result: dict[str, Any] = answer["result"]
                return result
            assert answer["error"]["code"] == "NOT_FOUND", answer
            await asyncio.sleep(AGAIN_AFTER_S)

    async def problems(self) -> list[str]:
        """Compare what was sent with the events: each command is answered well, and has its one event."""
        events: dict[str, set[str]] = {}
        for message in await stored(self._bus.jetstream, EVENTS):
            body = json.loads(message.data)
            events.setdefault(body["commandId"], set()).add(body["eventId"])
        found = [f"command {one.command_id}: {one.answer}" for one in self.answered if not _succeeded(one)]
        found += [
            f"command {one.command_id} has {len(events.get(one.command_id, ()))} events"
            for one in self.answered
            if len(events.get(one.command_id, ())) != 1
        ]
        left = (await self._bus.jetstream.stream_info(COMMANDS)).state.messages
        return [*found, *([f"{left} commands wait"] if left else [])]


def _succeeded(command: Command) -> bool:
    return command.answer["status"] == "ok" and command.answer["result"]["name"] == command.name


class ClusterStage(Stage):
    """A stage on a cluster of its own."""

    def __init__(
        self, cluster: NatsCluster, addresses: Addresses, folder: Path, seed: int, mix: Mix, **settings: object
    ) -> None:
        super().__init__(addresses, folder, seed, mix, **{**SETTINGS, **settings})
        self.cluster = cluster
        self.faults: list[Fault] = []
        self._is_ending = asyncio.Event()
        self._lanes: list[asyncio.Task[None]] = []

    async def begin(self, workers: int = 2) -> None:
        """Start workers, and a steady load of facts and of commands."""
        await asyncio.gather(*(self.start_worker() for _ in range(workers)))
        self._lanes = [asyncio.create_task(self._publish_steadily()) for _ in range(LANES)]
        self.commander = Commander(self.bus, "on never.sent\nwhen order.total >= 100.0")
        self.commander.start()
        await self.progress(50)

    async def end(self) -> None:
        """End the load, see that all commands were carried out, and that all nodes are well."""
        await self.cluster.await_health()
        self._is_ending.set()
        await asyncio.gather(*self._lanes)
        await self.commander.end()

        async def problems() -> list[str]:
            return list(await patiently(self.commander.problems))

        await eventually(problems, lambda found: not found, CHANGE_WAIT_S)  # events follow their commands
        self.notes["commands"] = len(self.commander.answered)
        self.notes["slowest command, ms"] = round(max(one.seconds for one in self.commander.answered) * 1000)

    async def _publish_steadily(self) -> None:
        while not self._is_ending.is_set():
            await self.load.publish(self.load.fact())
            await asyncio.sleep(LANE_PAUSE_S)

    async def fault(self, kind: str, bring_about: Callable[[], Awaitable[None]]) -> None:
        """Bring a fault about and wait until facts are decided again that were published after it."""
        began_ns = time.time_ns()
        await bring_about()
        await self.progress(self.chance.randrange(20, 60))
        self.faults.append(Fault(kind, began_ns, time.time_ns()))
        self.injected += 1

    def stood_still(self, evidence: Evidence) -> None:
        """Note for each kind of fault the longest time without a decision, in milliseconds."""
        times = sorted(message.stored_at_ns for message in evidence.decisions)
        for fault in self.faults:
            within = [
                later - earlier
                for earlier, later in itertools.pairwise(times)
                if later > fault.began_ns and earlier < fault.over_ns
            ]
            name = f"stood still: {fault.kind}, ms"
            self.notes[name] = max(self.notes.get(name, 0), max(within, default=0) // MS_NS)


# --- the faults -------------------------------------------------------------------------------------------------------


async def kill_leader(stage: ClusterStage, asset: str) -> None:
    """Kill the node that leads an asset, see that facts are decided without it, and start it again."""
    cluster = stage.cluster
    leader = await cluster.await_leader(asset)
    await kill_node(stage, leader)


async def kill_node(stage: ClusterStage, node: str) -> None:
    """Kill a node, see that facts are decided without it, and start it again."""
    cluster = stage.cluster
    for asset in (await cluster.nodes[node].leaders()).led_by(node):
        stage.note(f"leader of {asset} killed")
    stage.kills += 1

    async def kill() -> None:
        await cluster.kill(node)
        for asset in LED:
            await cluster.await_leader(asset, but=[node])

    await stage.fault("leader killed", kill)
    await cluster.start_node(node)
    await cluster.await_health()


async def freeze_leader(stage: ClusterStage, asset: str) -> None:
    """Let the node that leads an asset hang until another one leads it, and come back believing that it does."""
    cluster = stage.cluster
    leader = await cluster.await_leader(asset)

    async def freeze() -> None:
        await cluster.freeze(leader)
        await cluster.await_leader(asset, but=[leader])

    try:
        await stage.fault("leader frozen", freeze)
    finally:
        await cluster.thaw(leader)
    await cluster.await_health()


async def freeze_briefly(stage: ClusterStage, asset: str, longest_s: float = 6.0) -> None:
    """Let the node that leads an asset hang for about as long as an election takes, which it may win or lose."""
    cluster = stage.cluster
    leader = await cluster.await_leader(asset)

    async def freeze() -> None:
        await cluster.freeze(leader)
        await asyncio.sleep(stage.chance.uniform(1.0, longest_s))  # the fault itself
        await cluster.thaw(leader)

    await stage.fault("leader frozen briefly", freeze)
    await cluster.await_health()


async def freeze_workers_own(stage: ClusterStage) -> None:
    """Let the node hang that a worker is connected to and that leads what the worker publishes to.

    The worker publishes again what was not answered, over the same connection; then the node comes back, takes itself
    for the leader still, and finds all that in its buffers. What it then says must not be believed too soon.
    """
    cluster = stage.cluster
    node = stage.chance.choice(sorted(set(await cluster.nodes_of(FACTS_CLIENT))))
    for asset in (DECISIONS, EFFECTS):
        await cluster.lead(asset, node)

    async def freeze() -> None:
        await cluster.freeze(node)
        # The fault: past the first time-out of a publish, and until another one leads.
        await asyncio.gather(
            asyncio.sleep(PUBLISH_TIMEOUT_S + stage.chance.uniform(0.3, 1.0)),
            *(cluster.await_leader(asset, but=[node]) for asset in (DECISIONS, EFFECTS)),
        )
        await cluster.thaw(node)

    async with asyncio.TaskGroup() as group:
        # Batch after batch, so that many messages are on their way.
        group.create_task(stage.load.publish_all([stage.load.fact() for _ in range(BURST)]))
        await stage.progress(BURST // 10)
        await stage.fault("worker's own node frozen", freeze)
    await cluster.await_health()


async def step_down(stage: ClusterStage, asset: str) -> None:
    """Have the leader of an asset give up."""
    cluster = stage.cluster
    leader = await cluster.await_leader(asset)

    async def give_up() -> None:
        if await cluster.step_down(asset):
            await cluster.await_leader(asset, but=[leader])

    await stage.fault("leader stepped down", give_up)


async def upgrade(stage: ClusterStage) -> None:
    """Stop and start one node after the other, each when the cluster is well, as an upgrade does."""
    cluster = stage.cluster
    for node in NODES:

        async def restart(node: str = node) -> None:
            await cluster.stop_node(node)
            await cluster.start_node(node)
            await cluster.await_health()

        await stage.fault("node restarted", restart)


# --- the scenarios ----------------------------------------------------------------------------------------------------


async def play_leaders(stage: Stage, times: int) -> None:
    """Kill the leader of each asset in turn, so many times."""
    assert isinstance(stage, ClusterStage)
    await stage.begin()
    for _ in range(times):
        for asset in stage.chance.sample(LED, len(LED)):
            await kill_leader(stage, asset)
    await stage.end()


async def play_hanging(stage: Stage, times: int) -> None:
    """Freeze and thaw leaders, past an election and about as long as one."""
    assert isinstance(stage, ClusterStage)
    await stage.begin()
    for _ in range(times):
        await freeze_leader(stage, stage.chance.choice((FACTS, FACTS_CONSUMER, DECISIONS, EFFECTS)))
        await freeze_briefly(stage, stage.chance.choice((FACTS, FACTS_CONSUMER, DECISIONS, EFFECTS)))
    await stage.end()


async def play_own_nodes(stage: Stage, times: int) -> None:
    """Freeze and thaw, so many times, a node that a worker is connected to and that leads what it publishes to."""
    assert isinstance(stage, ClusterStage)
    await stage.begin()
    for _ in range(times):
        await freeze_workers_own(stage)
    await stage.end()


async def play_stepdowns(stage: Stage, times: int) -> None:
    """Have each leader give up, in turn, so many times."""
    assert isinstance(stage, ClusterStage)
    await stage.begin()
    for _ in range(times):
        for asset in stage.chance.sample(LED, len(LED)):
            await step_down(stage, asset)
    await stage.end()


async def play_upgrades(stage: Stage, times: int) -> None:
    """Restart all nodes one after the other, so many times."""
    assert isinstance(stage, ClusterStage)
    await stage.begin()
    for _ in range(times):
        await upgrade(stage)
    await stage.end()


async def play_all(stage: Stage, times: int) -> None:
    """Play the short form: one node is made the leader of everything and dies, another hangs, all are upgraded."""
    assert isinstance(stage, ClusterStage)
    await stage.begin()
    for _ in range(times):
        node = stage.chance.choice(NODES)
        for asset in stage.chance.sample(LED, len(LED)):
            await stage.fault("leader stepped down", partial(stage.cluster.lead, asset, node))
        await kill_node(stage, node)
        await freeze_briefly(stage, DECISIONS, longest_s=2.0)
        await upgrade(stage)
    await stage.end()


SCENARIOS = (
    Scenario("cluster-leaders", "the leaders of a three-node cluster killed in turn", 4, play_leaders),
    Scenario("cluster-hanging", "leaders of a cluster frozen and thawed", 6, play_hanging),
    Scenario(
        "cluster-own-node",
        "the cluster's node of a worker frozen and thawed",
        8,
        play_own_nodes,
        settings={"batch_facts": BURST_BATCH},
    ),
    Scenario("cluster-stepdowns", "leaders of a cluster stepping down", 6, play_stepdowns),
    Scenario("cluster-upgrades", "the nodes of a cluster restarted one after the other", 4, play_upgrades),
)
SHORT = Scenario(
    "cluster",
    "a cluster's leaders killed, frozen, stepping down, upgraded",
    1,
    play_all,
    settings={"ack_wait_s": SHORT_ACK_WAIT_S},
)


async def perform(site: Site, scenario: Scenario, seed: int, times: int) -> Result:
    """Play a scenario on a cluster of its own, beside the site's Postgres and cache, and give its row."""
    name = f"faults_{scenario.name.replace('-', '_')}_{seed}"
    folder = site.folder / name
    folder.mkdir(parents=True)
    clean = await site.clean(name)
    async with NatsCluster(folder / "nats") as cluster:
        addresses = Addresses(cluster.url, clean.postgres, clean.redis)
        stage = ClusterStage(cluster, addresses, folder, seed, scenario.mix, **scenario.settings)

        def measured(found: Audit, evidence: Evidence) -> Iterable[str]:
            stage.stood_still(evidence)
            return scenario.check(found, evidence) if scenario.check else ()

        return await perform_on(stage, dataclasses.replace(scenario, check=measured), seed, times, folder)
