"""A worker that cannot start says what is missing, and where; one that can is ready and says so."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncpg
import pytest
from structlog.testing import capture_logs

from domain.errors import UnavailableError
from domain.roles import RolePolicy
from tests.behaviour.bus import connected, eventually
from tests.servers.fixtures import Servers
from tests.servers.operations import run_apart, with_database
from worker.embedded import EmbeddedStack
from worker.migrations.runner import downgrade, upgrade
from worker.service import Worker, running_worker
from worker.settings import load_settings

RULESTREAM = Path(sys.executable).with_name("rulestream")
START_WAIT_S = 90.0
METRICS = (
    r"rulestream_facts_decided_total{.*} 1\.0",
    r"rulestream_facts_matched_total{.*} 0\.0",
    r'rulestream_facts_dead_total{.*reason="NOT_JSON"} 0\.0',
    r"rulestream_facts_repeated_total{.*} 0\.0",
    r"rulestream_facts_redelivered_total{.*} 0\.0",
    r'rulestream_batch_duration_seconds_bucket{.*le="\+Inf".*} 1\.0',
    r'rulestream_dependency_up{.*service="nats".*} 1\.0',
    r'rulestream_dependency_up{.*service="postgres".*} 1\.0',
    r'rulestream_dependency_up{.*service="redis".*} 1\.0',
    r'rulestream_breaker_state{.*service="postgres",state="closed".*} 1\.0',
    r'rulestream_breaker_state{.*service="postgres",state="half_open".*} 0\.0',
    r'rulestream_breaker_state{.*service="postgres",state="open".*} 0\.0',
    r'rulestream_breaker_state{.*service="redis",state="closed".*} 1\.0',
    r"rulestream_partitions_made_total{.*} [1-9]\d*\.0",
    r"rulestream_partitions_dropped_total{.*} 0\.0",
    r"rulestream_decisions_moved_total{.*} 0\.0",
    r"rulestream_keys_expired_total{.*} 0\.0",
    r"rulestream_housekeeping_failed_total{.*} 0\.0",
    r"rulestream_ruleset_revision{.*} 0\.0",
    r"rulestream_ruleset_rules{.*} 0\.0",
)


@pytest.fixture
def closed_port() -> int:
    """Give a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def run_worker(**settings: str) -> subprocess.CompletedProcess[str]:
    """Run ``rulestream worker``, which is expected to end by itself."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RULESTREAM_")}
    environment |= {f"RULESTREAM_{name.upper()}": value for name, value in settings.items()}
    return subprocess.run(
        [RULESTREAM, "worker"], env=environment, capture_output=True, text=True, timeout=START_WAIT_S, check=False
    )


def assert_said(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stdout + done.stderr, "a password was printed"
    assert done.stdout == ""


def test_without_nats_the_message_names_it_and_its_address(database: str, redis_url: str, closed_port: int) -> None:
    done = run_worker(
        nats_url=f"nats://user:hunter2@127.0.0.1:{closed_port}",
        postgres_dsn=database,
        redis_url=redis_url,
        http_port="0",
        connect_timeout_s="2",
    )
    assert_said(done, "error[UNAVAILABLE]", f"NATS does not answer at 127.0.0.1:{closed_port}")


def test_without_postgres_the_message_names_it_and_its_address(nats_url: str, redis_url: str, closed_port: int) -> None:
    done = run_worker(
        nats_url=nats_url,
        postgres_dsn=f"postgresql://user:hunter2@127.0.0.1:{closed_port}/rules",
        redis_url=redis_url,
        http_port="0",
    )
    assert_said(done, "error[UNAVAILABLE]", f"Postgres does not answer at 127.0.0.1:{closed_port}/rules")


def test_a_database_that_was_never_migrated_is_said_with_the_remedy(
    servers: Servers, nats_url: str, redis_url: str, make_database: Callable[[], str]
) -> None:
    dsn = make_database()
    run_apart(downgrade(dsn, "base"))
    done = run_worker(nats_url=nats_url, postgres_dsn=dsn, redis_url=redis_url, http_port="0")
    assert_said(done, "the database", "rulestream migrate up")


def test_a_database_that_does_not_exist_is_said(servers: Servers, nats_url: str, redis_url: str) -> None:
    dsn = with_database(servers.postgres_dsn, "no_such_database")
    done = run_worker(nats_url=nats_url, postgres_dsn=dsn, redis_url=redis_url, http_port="0")
    assert_said(done, "error[UNAVAILABLE]", "no_such_database")


def test_wrong_settings_are_all_said_at_once() -> None:
    done = run_worker(http_port="hunter2", roles="cooking", nats_ulr="x")
    assert_said(done, "RULESTREAM_HTTP_PORT", "RULESTREAM_ROLES", "RULESTREAM_NATS_ULR: no such setting")


async def get(worker: Worker, path: str) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", worker.health_port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await writer.drain()
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), body
    finally:
        writer.close()
        await writer.wait_closed()


async def test_a_busy_health_port_is_left_for_another_one(nats_url: str, database: str, redis_url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = load_settings(nats_url=nats_url, postgres_dsn=database, redis_url=redis_url, http_port=port)
        async with running_worker(settings) as worker:
            assert worker.health_port != port
            assert await get(worker, "/livez") == (200, b"ok\n")


async def test_a_start_tells_the_role_policys_digest_as_readyz_does(
    nats_url: str, database: str, redis_url: str
) -> None:
    """So that workers with different policies are seen."""
    policy = {"ann": ["author"], "bob": ["approver"]}
    addresses = {"nats_url": nats_url, "postgres_dsn": database, "redis_url": redis_url}
    settings = load_settings(**addresses, http_port=0, role_policy=policy)
    with capture_logs() as logs:
        async with running_worker(settings) as worker:
            ready = json.loads((await get(worker, "/readyz"))[1])
    assert ready["policy"] == {"digest": RolePolicy.of(policy).digest, "enforced": True}
    assert [line["digest"] for line in logs if line["event"] == "role_policy"] == [ready["policy"]["digest"]]
    assert not [line for line in logs if line["event"] == "roles_not_enforced"]


async def test_a_start_without_a_role_policy_warns_once(nats_url: str, database: str, redis_url: str) -> None:
    settings = load_settings(nats_url=nats_url, postgres_dsn=database, redis_url=redis_url, http_port=0)
    with capture_logs() as logs:
        async with running_worker(settings) as worker:
            ready = json.loads((await get(worker, "/readyz"))[1])
    assert ready["policy"] == {"digest": None, "enforced": False}
    assert [line["log_level"] for line in logs if line["event"] == "roles_not_enforced"] == ["warning"]


async def test_metrics_hold_what_operators_look_at(nats_url: str, database: str, redis_url: str) -> None:
    settings = load_settings(nats_url=nats_url, postgres_dsn=database, redis_url=redis_url, http_port=0)
    async with running_worker(settings) as worker:
        await get(worker, "/readyz")
        async with connected(nats_url) as bus:
            await bus.publish_fact("order.placed", {})

            async def exposition() -> str:
                return (await get(worker, "/metrics"))[1].decode()

            found = await eventually(exposition, lambda text: bool(re.search(METRICS[0], text)))
    for metric in METRICS:
        assert re.search(f"^{metric}$", found, re.MULTILINE), metric


@pytest.fixture
async def own_stack(free_folder: Path) -> AsyncIterator[EmbeddedStack]:
    async with EmbeddedStack(free_folder / "data") as stack:
        await upgrade(stack.addresses.postgres)
        yield stack


async def test_readyz_tells_each_dependencys_state_as_servers_go_and_come_back(own_stack: EmbeddedStack) -> None:
    found = own_stack.addresses
    settings = load_settings(nats_url=found.nats, postgres_dsn=found.postgres, redis_url=found.redis, http_port=0)
    async with running_worker(settings) as worker:

        async def state() -> tuple[int, str, str, str]:
            status, body = await get(worker, "/readyz")
            states = json.loads(body)["dependencies"]
            return status, states["nats"], states["postgres"], states["redis"]

        async def becomes(*wanted: object) -> None:
            await eventually(state, lambda seen: seen == wanted)

        await becomes(200, "up", "up", "up")
        await own_stack.valkey.stop()
        await becomes(200, "up", "up", "degraded")
        await own_stack.valkey.start()
        await becomes(200, "up", "up", "up")
        await own_stack.postgres.stop()
        await becomes(503, "up", "down", "up")
        await own_stack.postgres.start()
        await becomes(200, "up", "up", "up")
        await own_stack.nats.stop()
        await becomes(503, "down", "up", "up")
        assert (await get(worker, "/livez"))[0] == 200, "a restart would not bring the bus back"
        await own_stack.nats.start()
        await becomes(200, "up", "up", "up")


async def test_a_start_that_fails_leaves_nothing_connected(
    servers: Servers, database: str, redis_url: str, closed_port: int
) -> None:
    settings = load_settings(
        nats_url=f"nats://127.0.0.1:{closed_port}",
        postgres_dsn=database,
        redis_url=redis_url,
        http_port=0,
        connect_timeout_s=1,
    )
    with pytest.raises(Exception, match="NATS does not answer"):
        await Worker(settings).start()
    connection = await asyncpg.connect(database)
    try:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        await eventually(lambda: connection.fetchval(query), lambda count: count == 0)
    finally:
        await connection.close()


@pytest.mark.parametrize("plane", ["data", "control"])
async def test_a_worker_whose_connection_is_closed_for_good_ends(
    servers: Servers, nats_url: str, database: str, plane: str
) -> None:
    """Nats-py does not come back from some errors: a worker that stayed would look alive and do nothing."""
    settings = load_settings(nats_url=nats_url, postgres_dsn=database, redis_url=servers.redis_url, http_port=0)
    async with asyncio.timeout(START_WAIT_S), running_worker(settings) as worker:
        assert worker._data is not None
        assert worker._control is not None
        connections = {"data": worker._data, "control": worker._control.broker.config.connection_state.connection}
        await connections[plane].close()
        await worker.failed()
        with pytest.raises(UnavailableError, match=f"the {plane} plane for good"):
            worker.raise_failure()
        assert not (await worker.readiness()).is_ready
        assert not worker._is_alive()
