"""The composition root: builds a worker from its settings, starts it, watches it and stops it. Nothing else is global.

A stop drains: no new work is taken, what was taken is finished and acknowledged, what was not begun is handed back.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from typing import Final

import asyncpg
import structlog
from nats.aio.client import Client
from redis.asyncio import Redis

from domain.decisions.retention import require_retention
from domain.errors import UnavailableError
from domain.rules.content import format_moment
from streams import topology
from streams.connection import LenientClient, connect, ping
from streams.control import ControlPlane, ControlSettings
from streams.dead_letters import dead_command_publication
from streams.discovery import Tally
from streams.facts.intake import DeadReason
from streams.facts.loop import FactLoop, LoopSettings
from streams.facts.puller import Puller, PullSettings
from streams.facts.reader import StreamFacts
from streams.wire import BatchPublisher
from worker.adapters.postgres.cache_key import cache_key
from worker.adapters.postgres.decisions import PostgresDecisions
from worker.adapters.postgres.partitions import PostgresPartitions
from worker.adapters.postgres.pool import GuardedPool, open_pool
from worker.adapters.postgres.releases import record_start
from worker.adapters.postgres.transactions import PostgresTransactions
from worker.adapters.postgres.trials import PostgresTrials
from worker.adapters.redis.active_rules import RedisActiveRules
from worker.adapters.redis.client import open_client
from worker.adapters.redis.plans import RedisPlans
from worker.breakers import Breaker
from worker.clock import SystemClock
from worker.compiler.process import CompilerProcess
from worker.declaring import declare_topology
from worker.discovery import worker_discovery
from worker.health import PING_TIMEOUT_S, Health
from worker.probes import Probes, Readiness, State
from worker.relay import OutboxRelay
from worker.release import language_digest, this_release
from worker.retention import Housekeeper, RetentionPolicy
from worker.rulesets import Rulesets
from worker.schema import SchemaError, SchemaWatch, require_schema
from worker.settings import Role, Settings
from worker.telemetry.serving import ObservedCommands, ObservedDeadLetters, ObservedQueries
from worker.telemetry.telemetry import Telemetry
from worker.usecases.answer_queries import QueryResponder
from worker.usecases.change_rules import Tools
from worker.usecases.decide_commands import CommandDecider
from worker.usecases.explain_decisions import DecisionExplainer
from worker.usecases.simulate_rules import RuleSimulator

PULL_BYTES: Final = 8 * 1024 * 1024
HEADER_ROOM_BYTES: Final = 64 * 1024
# Consecutive failures that open a breaker. Redis can be done without, so that its first one is enough.
_POSTGRES_FAILURES: Final = 3
_REDIS_FAILURES: Final = 1
_BREAKER_PAUSE_S: Final = 1.0
_STOP_GRACE_S: Final = 10.0
_LAST_PARTS_S: Final = 1.0  # for each part, when those before it have used up the time

_log = structlog.get_logger(__name__)


class Worker:
    """One worker process: started, ready, stopped."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tallies = {role.value: Tally() for role in Role}
        self._telemetry = telemetry = Telemetry(settings, self._tallies)
        self._resources = AsyncExitStack()
        self._breakers = {
            "postgres": Breaker("postgres", failures=_POSTGRES_FAILURES, pause_s=_BREAKER_PAUSE_S),
            "redis": Breaker("redis", failures=_REDIS_FAILURES, pause_s=_BREAKER_PAUSE_S),
        }
        self._health = Health(
            {"nats": self._ping_nats, "postgres": self._ping_postgres, "redis": self._ping_redis},
            SystemClock(),
            lambda service, is_up: telemetry.dependency(service, is_up=is_up),
        )
        telemetry.show_breakers(self._breakers)
        self._pool: GuardedPool | None = None
        self._data: Client | None = None
        self._cache: RedisActiveRules | None = None
        self._control: ControlPlane | None = None
        self._rulesets: Rulesets | None = None
        self._facts: FactLoop | None = None
        self._probes = Probes(self.readiness, self._is_alive, telemetry.exposition)
        self._is_stopping = False
        self._stop_by = math.inf
        self._lost: UnavailableError | SchemaError | None = None
        self._has_lost = asyncio.Event()

    @property
    def telemetry(self) -> Telemetry:
        """What its parts tell."""
        return self._telemetry

    @property
    def health_port(self) -> int:
        """The port of the probes; 0 before the start."""
        return self._probes.port

    async def start(self) -> None:
        """Connect to every server, declare what is missing, load the ruleset and begin to work.

        Raises UnavailableError naming the server and its address, SchemaError, TopologyError, and RetentionError when
        facts could outlive their decisions; then nothing is left running.
        """
        try:
            await self._start()
        except BaseException:
            await self._resources.aclose()
            raise

    async def stop(self) -> None:
        """Drain and stop everything, in the reverse order of the start, within one bound for all of it together."""
        self._is_stopping = True
        self._stop_by = asyncio.get_running_loop().time() + self._settings.stop_timeout_s + _STOP_GRACE_S
        await self._resources.aclose()
        _log.info("worker_stopped")

    async def failed(self) -> None:
        """Wait until a part of the worker ends by itself: a connection closed for good, or a defect of ours."""
        ends: list[asyncio.Task[object]] = [asyncio.create_task(self._has_lost.wait())]
        if self._facts is not None:
            ends.append(asyncio.create_task(self._facts.ended()))
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()

    def raise_failure(self) -> None:
        """Raise what ended a part of the worker, if something did."""
        failure = self._lost or (None if self._facts is None else self._facts.failure)
        if failure is not None:
            raise failure

    async def readiness(self) -> Readiness:
        """Tell each dependency's state, soon even where one hangs; without Redis the worker is degraded, and ready."""
        seen = await self._health.look()
        nats_up, postgres_up, redis_up = seen["nats"].is_up, seen["postgres"].is_up, seen["redis"].is_up
        is_loaded = self._rulesets is not None and self._rulesets.is_loaded
        states: dict[str, State] = {
            "nats": "up" if nats_up else "down",
            "postgres": "up" if postgres_up else "down",
            "redis": "up" if redis_up else "degraded",
        }
        policy = self._settings.role_policy
        details: dict[str, object] = {
            "since": {service: format_moment(one.since) for service, one in seen.items()},
            "reasons": {service: one.reason for service, one in seen.items() if one.reason is not None},
            "breakers": {service: breaker.state for service, breaker in self._breakers.items()},
            "version": version("rulestream"),
            "roles": sorted(self._settings.roles),
            "policy": {"digest": policy.digest, "enforced": policy.is_enforced},
        }
        if self._rulesets is not None and is_loaded:
            ruleset = self._rulesets.current
            details["ruleset"] = {
                "revision": ruleset.revision,
                "digest": ruleset.digest.hex(),
                "rules": len(ruleset),
            }
        is_ready = nats_up and postgres_up and is_loaded and not self._is_stopping
        return Readiness(is_ready, states, details)

    async def _start(self) -> None:
        settings = self._settings
        resources = self._resources
        telemetry = self._telemetry
        resources.push_async_callback(telemetry.end)
        _log_policy(settings)
        pool = await self._open_pool()
        await require_schema(pool)
        self._watch_schema(pool)
        if Role.FACTS in settings.roles:
            await record_start(pool, this_release())
        self._data = data = await connect(
            settings.data_endpoint,
            "rulestream-facts",
            timeout_s=settings.connect_timeout_s,
            on_closed=lambda: self._on_closed("data"),
        )
        self._on_stop("nats", lambda: _close_client(data))
        await declare_topology(settings, data)
        if Role.FACTS in settings.roles:
            await self._keep_house(data, pool)
        redis, cache = await self._open_cache()
        transactions = PostgresTransactions(pool)
        decisions = PostgresDecisions(pool)
        clock = SystemClock()
        compiler = CompilerProcess()
        self._on_stop("compiler", compiler.stop)
        plans = RedisPlans(redis, await cache_key(pool), language_digest(), self._breakers["redis"], telemetry)
        self._rulesets = rulesets = Rulesets(transactions, cache, plans, compiler, settings.ruleset_poll_s, telemetry)
        await rulesets.start()
        telemetry.show_ruleset(lambda: rulesets.current)
        self._on_stop("rulesets", rulesets.stop)

        publisher = BatchPublisher(data, batched=await topology.batched(data, settings.topology))
        await publisher.start()
        relay: OutboxRelay | None = None

        def on_change(changes_ruleset: bool) -> None:  # noqa: FBT001  # a callback of one argument
            if changes_ruleset:
                rulesets.hint()
            if relay is not None:
                relay.hint()

        commands = CommandDecider(transactions, clock, Tools(compiler, rulesets), on_change, settings.role_policy)
        self._control = control = ControlPlane(
            settings.control_endpoint,
            ControlSettings(
                commands_stream=settings.commands_stream,
                commands_consumer=settings.commands_consumer,
                events_stream=settings.events_stream,
                serve_commands=Role.COMMANDS in settings.roles,
                serve_queries=Role.QUERIES in settings.roles,
            ),
            ObservedCommands(commands, telemetry),
            ObservedQueries(_query_responder(settings, data, transactions, decisions, rulesets, compiler), telemetry),
            ObservedDeadLetters(_CommandGrave(publisher, data), telemetry),
            rulesets.hint,
            lambda: self._on_closed("control"),
        )
        if Role.RELAY in settings.roles:
            relay = OutboxRelay(transactions, control, observer=telemetry)
        await control.start()
        self._on_stop("control", control.stop)
        if relay is not None:
            relay.start()
            self._on_stop("relay", relay.stop)
        if Role.FACTS in settings.roles:
            await self._start_facts(data, publisher, pool, rulesets)
        self._on_stop("telemetry-polling", telemetry.poll(data, control.client, pool))
        await compiler.start()  # by now, so that the first command need not wait for it
        await self._be_seen(control, rulesets)
        _log.info("worker_started", health_port=self._probes.port, roles=sorted(role.value for role in settings.roles))

    async def _be_seen(self, control: ControlPlane, rulesets: Rulesets) -> None:
        """Answer who discovers services, and who probes."""
        settings = self._settings
        discovery = worker_discovery(control.client, settings, self._tallies, lambda: rulesets.current)
        await discovery.start()
        self._on_stop("discovery", discovery.stop)
        await self._health.start()
        self._on_stop("health", self._health.stop)
        await self._probes.start(settings.http_host, settings.http_port)
        self._on_stop("probes", self._probes.stop)

    async def _start_facts(
        self, data: LenientClient, publisher: BatchPublisher, pool: GuardedPool, rulesets: Rulesets
    ) -> None:
        settings, telemetry = self._settings, self._telemetry
        self._facts = facts = FactLoop(
            data,
            Puller(
                data,
                settings.facts_stream,
                settings.facts_consumer,
                # A request bounded below the largest message that there can be would never get past it.
                PullSettings(request_bytes=max(PULL_BYTES, data.max_payload + HEADER_ROOM_BYTES)),
            ),
            publisher,
            PostgresDecisions(pool),
            PostgresTrials(pool),
            lambda: rulesets.current,
            SystemClock(),
            telemetry,
            LoopSettings(
                batch_facts=settings.batch_facts,
                batch_bytes=settings.batch_bytes,
                batches_in_flight=settings.batches_in_flight,
                fact_bytes_max=settings.fact_bytes_max,
                stop_timeout_s=settings.stop_timeout_s,
                ack_wait_s=settings.ack_wait_s,
                store_facts=settings.store_facts,
            ),
        )
        telemetry.show_backlog(facts)
        await facts.start()
        self._on_stop("facts", facts.stop)

    async def _open_pool(self) -> GuardedPool:
        settings = self._settings
        self._pool = pool = await open_pool(
            settings.postgres_dsn.get_secret_value(),
            size_max=settings.postgres_pool_max,
            timeout_s=settings.postgres_timeout_s,
            connect_timeout_s=settings.connect_timeout_s,
            breaker=self._breakers["postgres"],
        )
        self._on_stop("postgres", lambda: _close_pool(pool))
        return pool

    def _watch_schema(self, pool: GuardedPool) -> None:
        """End the worker when the database becomes one that it was not written for."""

        def end(problem: SchemaError) -> None:
            self._lost = self._lost or problem
            self._has_lost.set()

        watch = SchemaWatch(pool, end)
        watch.start()
        self._on_stop("schema-watch", watch.stop)

    async def _open_cache(self) -> tuple[Redis, RedisActiveRules]:
        settings = self._settings
        client = open_client(settings.redis_url.get_secret_value(), settings.redis_timeout_s, settings.redis_ca_file)
        self._on_stop("redis", client.aclose)
        self._cache = cache = RedisActiveRules(client, self._breakers["redis"], self._telemetry)
        try:
            await cache.ping(settings.redis_timeout_s)
        except UnavailableError as error:  # active rules come from Postgres meanwhile
            _log.warning("cache_away", call="start", reason=error.message)
        return client, cache

    async def _keep_house(self, data: Client, pool: GuardedPool) -> None:
        """See to it that decisions outlive their facts, and that there are partitions for them now and later."""
        settings = self._settings
        facts = await topology.limits(data, settings.facts_stream)
        require_retention(
            settings.decision_retention_s, settings.facts_stream, facts.max_age_s, facts.duplicate_window_s
        )
        policy = RetentionPolicy(settings.decision_retention_s, settings.decision_partition_s, facts.max_age_s)
        housekeeper = Housekeeper(PostgresPartitions(pool), policy, self._telemetry, PostgresTrials(pool))
        await housekeeper.prepare()
        housekeeper.start()
        self._on_stop("housekeeper", housekeeper.stop)

    def _on_stop(self, part: str, stop: Callable[[], Awaitable[None]]) -> None:
        """Have a part stopped in its turn, within a bound: one part that hangs must not keep the others from it."""

        async def bounded() -> None:
            try:
                left_s = self._stop_by - asyncio.get_running_loop().time()
                bound_s = min(max(left_s, _LAST_PARTS_S), self._settings.stop_timeout_s + _STOP_GRACE_S)
                async with asyncio.timeout(bound_s):
                    await stop()
            except TimeoutError:
                _log.error("stop_timed_out", part=part)
            except Exception:  # noqa: BLE001  # the other parts are still to be stopped
                _log.exception("stop_failed", part=part)

        self._resources.push_async_callback(bounded)

    def _on_closed(self, plane: str) -> None:
        """Hear that a connection is closed for good; unless we are stopping, the worker is to end."""
        if not self._is_stopping:
            self._lost = UnavailableError("nats", f"the server closed the connection to the {plane} plane for good")
            self._has_lost.set()

    def _is_alive(self) -> bool:
        return self._lost is None and (self._facts is None or self._facts.failure is None)

    async def _ping_nats(self) -> None:
        if self._data is None or self._control is None:
            raise UnavailableError("nats", "not connected yet")
        await asyncio.gather(ping(self._data, PING_TIMEOUT_S), self._control.ping(PING_TIMEOUT_S))

    async def _ping_postgres(self) -> None:
        if self._pool is None:
            raise UnavailableError("postgres", "not connected yet")
        await self._pool.ping(PING_TIMEOUT_S)

    async def _ping_redis(self) -> None:
        if self._cache is None:
            raise UnavailableError("redis", "not connected yet")
        await self._cache.ping(PING_TIMEOUT_S)


class _CommandGrave:
    """DeadLetterPort on the data plane."""

    def __init__(self, publisher: BatchPublisher, client: Client) -> None:
        self._publisher = publisher
        self._client = client

    async def bury(self, subject: str, payload: bytes, found: Mapping[str, str], reason: DeadReason) -> None:
        letter = dead_command_publication(subject, payload, found, reason, self._client.max_payload)
        await self._publisher.publish([letter])


@asynccontextmanager
async def running_worker(settings: Settings) -> AsyncIterator[Worker]:
    """Run a worker for the length of a block."""
    worker = Worker(settings)
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop()


def _log_policy(settings: Settings) -> None:
    if settings.role_policy.is_enforced:
        _log.info("role_policy", digest=settings.role_policy.digest)
    else:
        _log.warning("roles_not_enforced", meaning="every actor may send everything; set RULESTREAM_ROLE_POLICY")


def _query_responder(
    settings: Settings,
    data: Client,
    transactions: PostgresTransactions,
    decisions: PostgresDecisions,
    rulesets: Rulesets,
    compiler: CompilerProcess,
) -> QueryResponder:
    facts = StreamFacts(data, settings.facts_stream)
    explainer = DecisionExplainer(transactions, decisions, facts, rulesets, compiler, settings.fact_bytes_max)
    simulator = RuleSimulator(transactions, rulesets, compiler, settings.fact_bytes_max)
    return QueryResponder(transactions, decisions, compiler, explainer, simulator, settings.role_policy)


async def _close_pool(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    try:
        async with asyncio.timeout(5):
            await pool.close()
    except TimeoutError:
        pool.terminate()


async def _close_client(client: Client) -> None:
    if not client.is_closed:
        await client.close()
