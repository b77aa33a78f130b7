"""Doctor on real servers: a deployment as it should be has no finding; each finding is brought about, found with what
to do about it, and gone when that is done.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import nats
import pytest
import redis.asyncio
from nats.aio.client import Client
from typer.testing import CliRunner

from streams import subjects, topology
from streams.connection import connect
from tests.behaviour.bus import eventually
from tests.servers.deployed import Deployment, deployed
from tests.servers.operations import execute, with_database
from tests.servers.secured import secured_nats
from worker.cli.app import app
from worker.doctor import streams, workers
from worker.doctor.examine import Report, examine
from worker.doctor.findings import Code, Finding
from worker.embedded import binaries
from worker.embedded.ports import HOST, free_port
from worker.migrations.phases import Migration, Phase, migrations
from worker.migrations.runner import downgrade, upgrade
from worker.nats_accounts import accounts_file
from worker.service import running_worker
from worker.settings import Role, Settings, load_settings

# What the servers of a test session are, and the tests of this module that use them do not mind.
OF_SESSION = {
    Code.NATS_OPEN,
    Code.PLANES_SHARED,
    Code.ROLES_NOT_ENFORCED,
    Code.POSTGRES_NOT_DURABLE,
    Code.WORKERS_NONE,
}


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with deployed(tmp_path_factory.mktemp("deployed")) as found:
        yield found


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers of this machine answer sooner."""
    monkeypatch.setattr(workers, "LISTEN_S", 0.3)


async def found_by(settings: Settings) -> dict[str, list[Finding]]:
    report = await examine(settings)
    found: dict[str, list[Finding]] = {}
    for one in report.findings:
        found.setdefault(one.code, []).append(one)
    return found


async def healthy(settings: Settings) -> None:
    """See that there is no finding, at the latest in a moment."""

    async def look() -> Report:
        return await examine(settings)

    report = await eventually(look, lambda seen: not seen.findings, 30)
    assert report.findings == ()


async def the_one(settings: Settings, code: Code, *, beside: frozenset[Code] = frozenset()) -> Finding:
    """Give the finding of a code, which is the only one but for others that come with it."""
    found = await found_by(settings)
    assert set(found) - beside == {code}, found
    return found[code][0]


async def test_a_deployment_as_it_should_be_has_no_finding(deployment: Deployment) -> None:
    report = await examine(deployment.settings())
    assert report.findings == ()
    said = dict(report.looked_at)
    assert said["workers"] == "1 answer"
    assert said["streams"] == "8 of 8 streams and consumers"


def test_the_command_line_ends_with_0_and_prints_one_object(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in deployment.options.items():
        monkeypatch.setenv(f"RULESTREAM_{name.upper()}", value)
    done = CliRunner().invoke(app, ["doctor", "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["errors"], said["warnings"], said["notes"], said["findings"]) == (0, 0, 0, [])
    assert "0 errors, 0 warnings, 0 notes; nothing was altered" in CliRunner().invoke(app, ["doctor"]).stdout

    monkeypatch.delenv("RULESTREAM_ROLE_POLICY")
    loose = CliRunner().invoke(app, ["doctor", "--json"])
    codes = {one["code"]: one for one in json.loads(loose.stdout)["findings"]}
    assert codes["roles-not-enforced"]["advice"].startswith("set it to who has which roles")
    assert loose.exit_code == 1, "the worker's policy is another one, which is an error"
    monkeypatch.setenv("RULESTREAM_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("RULESTREAM_ROLE_POLICY", deployment.options["role_policy"])
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 0
    assert CliRunner().invoke(app, ["doctor", "--strict"]).exit_code == 1
    assert CliRunner().invoke(app, ["doctor", "--all"]).exit_code == 2


# --- what is away -----------------------------------------------------------------------------------------------------


async def test_what_is_away_does_not_hide_the_rest(deployment: Deployment) -> None:
    nowhere = f"tls://{HOST}:1"
    away = deployment.settings(nats_url=nowhere, control_nats_url=nowhere, redis_url="redis://127.0.0.1:1/0")
    found = await found_by(away)
    assert set(found) == {Code.NATS_AWAY, Code.REDIS_AWAY}
    assert "127.0.0.1:1" in found[Code.NATS_AWAY][0].found

    without_postgres = deployment.settings(postgres_dsn="postgresql://u:secret@127.0.0.1:1/x")
    one = await the_one(without_postgres, Code.POSTGRES_AWAY)
    assert "127.0.0.1:1" in one.found
    assert "secret" not in one.found
    await healthy(deployment.settings())


async def test_a_key_that_the_server_does_not_know_is_named(deployment: Deployment) -> None:
    stranger = deployment.nats.folder / "system.nk"
    other = deployment.settings(nats_nkey_file=str(stranger), nats_inbox_prefix="_INBOX_system")
    found = await found_by(other)
    assert Code.PERMISSION_MISSING in found, found


# --- NATS -------------------------------------------------------------------------------------------------------------


async def test_a_server_without_jetstream_and_with_it(deployment: Deployment, tmp_path: Path) -> None:
    """Another server, plain as it comes."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        str(binaries.nats_server()), "-a", HOST, "-p", str(port), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        plain = load_settings(
            **{
                **{name: deployment.options[name] for name in ("postgres_dsn", "redis_url", "role_policy")},
                "nats_url": f"nats://{HOST}:{port}",
            }
        )

        async def look() -> dict[str, list[Finding]]:
            return await found_by(plain)

        found = await eventually(look, lambda seen: Code.NATS_AWAY not in seen)
        assert Code.NATS_WITHOUT_JETSTREAM in found
        assert "jetstream {}" in found[Code.NATS_WITHOUT_JETSTREAM][0].advice
        assert {Code.NATS_OPEN, Code.PLANES_SHARED, Code.WORKERS_NONE} <= set(found)
    finally:
        process.kill()
        await process.wait()
    assert Code.NATS_WITHOUT_JETSTREAM not in await found_by(deployment.settings())


ASKED = frozenset({"$SYS.REQ.USER.INFO", "$SRV.>"})


async def test_permissions_that_are_missing_unknown_or_too_many(deployment: Deployment, tmp_path: Path) -> None:
    """On another server of the same kind; its configuration put right and read again, they are gone."""
    kept: dict[str, Any] = {}

    def loosen(accounts: dict[str, Any]) -> None:
        kept["accounts"] = json.loads(json.dumps(accounts))
        for account in accounts.values():
            for user in account["users"]:
                allowed = user.get("permissions", {}).get("publish", {}).get("allow", [])
                if "decisions.>" in allowed and "effects.>" in allowed:
                    allowed.remove("effects.>")
                if "rules.reply.>" in allowed:
                    user["permissions"]["publish"]["allow"] = [one for one in allowed if one not in ASKED]

    with secured_nats(tmp_path, loosen=loosen) as server:
        settings = deployment.settings(
            nats_url=server.url,
            control_nats_url=server.url,
            nats_nkey_file=str(server.key("worker-data")),
            control_nats_nkey_file=str(server.key("worker-control")),
            nats_ca_file=str(server.ca_file),
        )
        without_topology = {Code.TOPOLOGY_MISSING, Code.WORKERS_NONE}
        found = await found_by(settings)
        without_asking = {
            Code.PERMISSION_MISSING,
            Code.PERMISSIONS_UNKNOWN,
            Code.WORKERS_UNKNOWN,
            Code.TOPOLOGY_MISSING,
        }
        assert set(found) == without_asking, found
        assert "publish $SRV.PING.rulestream" in found[Code.WORKERS_UNKNOWN][0].advice
        assert "the worker may not publish to effects.>" in found[Code.PERMISSION_MISSING][0].found
        assert "$SYS.REQ.USER.INFO" in found[Code.PERMISSIONS_UNKNOWN][0].advice
        assert "reload the server" in found[Code.PERMISSION_MISSING][0].advice

        (tmp_path / "accounts.conf").write_text(accounts_file(kept["accounts"]))
        server.reload()

        async def look() -> dict[str, list[Finding]]:
            return await found_by(settings)

        await eventually(look, lambda seen: set(seen) == without_topology, 30)

        for account in kept["accounts"].values():
            for user in account["users"]:
                if "decisions.>" in user.get("permissions", {}).get("publish", {}).get("allow", []):
                    del user["permissions"]
        (tmp_path / "accounts.conf").write_text(accounts_file(kept["accounts"]))
        server.reload()
        await eventually(look, lambda seen: Code.WORKER_UNRESTRICTED in seen, 30)


# --- Postgres ---------------------------------------------------------------------------------------------------------


async def test_a_database_that_forgets_and_one_that_only_reads(deployment: Deployment) -> None:
    """For new sessions; the worker's own go on."""
    admin = deployment.options["postgres_dsn"]
    settings = deployment.settings()
    await execute(admin, "ALTER ROLE rulestream SET synchronous_commit = off")
    one = await the_one(settings, Code.POSTGRES_NOT_DURABLE)
    await execute(admin, one.advice.partition(",")[0])
    await healthy(settings)

    await execute(admin, "ALTER DATABASE deployed SET default_transaction_read_only = on")
    one = await the_one(settings, Code.POSTGRES_READ_ONLY)
    assert "name the primary" in one.advice
    await execute(
        admin, "SET default_transaction_read_only = off", "ALTER DATABASE deployed RESET default_transaction_read_only"
    )
    await healthy(settings)


async def test_a_database_with_another_encoding(deployment: Deployment) -> None:
    admin = deployment.addresses.postgres
    await execute(
        admin, "CREATE DATABASE bytes ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0"
    )
    other = deployment.settings(postgres_dsn=with_database(admin, "bytes"))
    one = await the_one(other, Code.POSTGRES_ENCODING, beside=frozenset({Code.SCHEMA_UNUSABLE}))
    advised = one.advice.removeprefix("make another one by ").partition(",")[0]
    await execute(admin, "DROP DATABASE bytes", advised.replace("DATABASE rulestream", "DATABASE bytes"))
    await the_one(other, Code.SCHEMA_UNUSABLE)


async def test_a_role_without_rights_gets_them_by_the_advice(deployment: Deployment) -> None:
    """Each finding names the statement for one table; with all of them run there is none."""
    admin = deployment.options["postgres_dsn"]
    await execute(
        admin,
        "REVOKE INSERT, DELETE ON fact_key FROM rulestream",
        "REVOKE SELECT ON ruleset FROM rulestream",
        "REVOKE CREATE ON SCHEMA public FROM pg_database_owner",
    )
    found = await found_by(deployment.settings())
    assert set(found) - {Code.WORKERS_RULESETS_DIFFER} == {Code.POSTGRES_RIGHTS}
    texts = [one.found for one in found[Code.POSTGRES_RIGHTS]]
    assert texts == [
        "the role rulestream lacks DELETE, INSERT on fact_key",
        "the role rulestream lacks SELECT on ruleset",
        "the role rulestream may not create tables in the schema, and makes partitions",
    ]
    await execute(admin, *(one.advice.partition(": ")[2] for one in found[Code.POSTGRES_RIGHTS]))
    await healthy(deployment.settings())


async def test_a_database_that_is_behind_empty_or_ahead(deployment: Deployment) -> None:
    admin = deployment.addresses.postgres
    await execute(admin, "CREATE DATABASE empty_one")
    dsn = with_database(admin, "empty_one")
    settings = deployment.settings(postgres_dsn=dsn)
    one = await the_one(settings, Code.SCHEMA_UNUSABLE)
    assert "has no tables of ours" in one.found
    assert one.advice == "run 'rulestream migrate up --phase pre' of this release"

    await upgrade(dsn)
    await downgrade(dsn, "-1")
    one = await the_one(settings, Code.SCHEMA_UNUSABLE, beside=frozenset({Code.PARTITIONS_MISSING}))
    assert "a worker of this release needs version" in one.found
    await upgrade(dsn)
    no_worker = frozenset({Code.PARTITIONS_MISSING})
    assert set(await found_by(settings)) == no_worker

    await execute(dsn, "UPDATE schema_migration SET version_num = '9999'")
    await the_one(settings, Code.SCHEMA_AHEAD, beside=no_worker)
    await execute(dsn, "UPDATE schema_version SET version_num = '9999'")
    one = await the_one(settings, Code.SCHEMA_UNUSABLE, beside=no_worker)
    assert "only releases written for version 9999 or newer run on it" in one.found


# --- Redis ------------------------------------------------------------------------------------------------------------


async def test_a_cache_that_never_evicts(deployment: Deployment) -> None:
    async with redis.asyncio.from_url(deployment.addresses.redis) as client:
        kept = await client.config_get("maxmemory-policy")
        await client.config_set("maxmemory", "64mb")
        await client.config_set("maxmemory-policy", "noeviction")
        one = await the_one(deployment.settings(), Code.REDIS_NEVER_EVICTS)
        await client.execute_command(*one.advice.partition(",")[0].split())
        await healthy(deployment.settings())
        await client.config_set("maxmemory-policy", kept["maxmemory-policy"])


# --- streams and consumers --------------------------------------------------------------------------------------------


@asynccontextmanager
async def engineer(deployment: Deployment, plane: str) -> AsyncIterator[Client]:
    """Connect as someone who may change streams: the server's own administrator does, here the worker's identity."""
    client = await connect(deployment.nats.endpoint(f"worker-{plane}"), "test", is_patient=False)
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture
async def open_settings(nats_url: str, database: str, redis_url: str) -> Settings:
    """Give the session's servers with streams and consumers declared, and no worker."""
    settings = load_settings(
        nats_url=nats_url, postgres_dsn=database, redis_url=redis_url, http_port=0, duplicate_window_s=1
    )
    client = await connect(nats_url, "test", is_patient=False)
    await topology.apply(topology.topology(settings.topology), client, client)
    await client.close()
    return settings


async def api(settings: Settings, call: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    client = await nats.connect(settings.nats_url.get_secret_value())
    try:
        payload = b"" if body is None else msgspec.json.encode(body)
        answer: dict[str, Any] = msgspec.json.decode((await client.request(f"$JS.API.{call}", payload)).data)
    finally:
        await client.close()
    assert "error" not in answer, answer
    return answer


async def edit_stream(settings: Settings, name: str, **changes: Any) -> dict[str, Any]:
    """Change a stream as an operator does, and give what it was."""
    config: dict[str, Any] = (await api(settings, f"STREAM.INFO.{name}"))["config"]
    await api(settings, f"STREAM.UPDATE.{name}", {**config, **changes})
    return config


async def edit_consumer(settings: Settings, **changes: Any) -> dict[str, Any]:
    """Change the consumer of facts, and give what it was."""
    config: dict[str, Any] = (await api(settings, "CONSUMER.INFO.FACTS.rulestream-facts"))["config"]
    body = {"stream_name": "FACTS", "config": {**config, **changes}, "action": "update"}
    await api(settings, "CONSUMER.DURABLE.CREATE.FACTS.rulestream-facts", body)
    return config


IDLE = frozenset(OF_SESSION | {Code.PARTITIONS_MISSING})
DAY_NS = 86_400_000_000_000


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"max_age": 40 * DAY_NS}, Code.RETENTION_TOO_SHORT, "raise RULESTREAM_DECISION_RETENTION_S above"),
        (
            {"duplicate_window": 25 * DAY_NS, "max_age": 25 * DAY_NS},
            Code.RETENTION_TOO_SHORT,
            "lower the stream's max_age",
        ),
        ({"discard": "old"}, Code.FACTS_DISCARDED, "nats stream edit FACTS --discard new"),
        ({"max_bytes": 10_000}, Code.TOPOLOGY_DIFFERS, "nats stream edit FACTS --max-bytes"),
    ],
)
async def test_a_stream_that_somebody_changed(
    open_settings: Settings, changes: dict[str, Any], code: Code, words: str
) -> None:
    kept = await edit_stream(open_settings, "FACTS", **changes)
    found = await found_by(open_settings)
    assert set(found) - IDLE - {Code.TOPOLOGY_DIFFERS} | {code} == {code}, found
    assert words in found[code][0].advice
    await api(open_settings, "STREAM.UPDATE.FACTS", kept)
    assert set(await found_by(open_settings)) <= IDLE


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"max_deliver": 5}, Code.CONSUMER_GIVES_UP, "nats consumer edit FACTS rulestream-facts --max-deliver -1"),
        ({"ack_wait": 1_000_000_000}, Code.TOPOLOGY_DIFFERS, "nats consumer edit FACTS rulestream-facts --ack-wait"),
    ],
)
async def test_a_consumer_that_somebody_changed(
    open_settings: Settings, changes: dict[str, Any], code: Code, words: str
) -> None:
    kept = await edit_consumer(open_settings, **changes)
    one = await the_one(open_settings, code, beside=IDLE)
    assert words in one.advice
    await edit_consumer(open_settings, **kept)
    assert set(await found_by(open_settings)) <= IDLE


async def test_a_consumer_that_is_paused(open_settings: Settings) -> None:
    until = "2100-01-01T00:00:00Z"
    await api(open_settings, "CONSUMER.PAUSE.FACTS.rulestream-facts", {"pause_until": until})
    one = await the_one(open_settings, Code.CONSUMER_PAUSED, beside=IDLE)
    assert one.advice == "nats consumer resume FACTS rulestream-facts"
    await api(open_settings, "CONSUMER.PAUSE.FACTS.rulestream-facts", {})
    assert set(await found_by(open_settings)) <= IDLE


async def test_what_is_missing_is_declared_by_the_advice(
    open_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api(open_settings, "CONSUMER.DELETE.FACTS.rulestream-facts")
    await api(open_settings, "STREAM.DELETE.EFFECTS")
    found = await found_by(open_settings)
    assert sorted(one.found for one in found[Code.TOPOLOGY_MISSING]) == [
        "consumer FACTS/rulestream-facts is missing",
        "stream EFFECTS is missing",
    ]
    monkeypatch.setenv("RULESTREAM_NATS_URL", open_settings.nats_url.get_secret_value())
    monkeypatch.setenv("RULESTREAM_DUPLICATE_WINDOW_S", "1")
    advice = found[Code.TOPOLOGY_MISSING][0].advice
    done = await asyncio.to_thread(CliRunner().invoke, app, advice.split()[1:])
    assert done.exit_code == 0, done.output
    assert set(await found_by(open_settings)) <= IDLE


async def test_a_subscriber_that_is_behind(open_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "WAITED_MAX_S", 0.0)
    settings = open_settings.model_copy(update={"decision_subscribers": ("billing",)})
    client = await nats.connect(settings.nats_url.get_secret_value())
    try:
        await topology.apply(topology.topology(settings.topology), client, client)
        await client.jetstream().publish("decisions.matched.order", b"{}")
        one = await the_one(settings, Code.SUBSCRIBER_BEHIND, beside=IDLE)
        assert "1 message waiting for the subscriber DECISIONS/billing" in one.found
        delivered = await client.subscribe(subjects.deliver(subjects.DECISIONS, "billing"), queue="billing")
        message = await delivered.next_msg(timeout=30)
        await message.ack_sync()
        assert set(await found_by(settings)) <= IDLE
    finally:
        await client.close()


async def test_a_check_that_fails_is_said_and_the_others_are_made(
    open_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def defect(_: object) -> object:
        raise LookupError("a defect of ours")

    monkeypatch.setattr("worker.doctor.database.look", defect)
    found = await found_by(open_settings)
    assert found[Code.CHECK_FAILED][0].found == "the check of Postgres ended LookupError: a defect of ours"
    assert Code.NATS_OPEN in found


async def test_removals_that_are_still_to_be_applied(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    known = migrations()
    removal = Migration(f"{int(known[-1].version) + 1:04d}", Phase.POST, known[-1].version, "What nobody uses.")
    monkeypatch.setattr("worker.doctor.schema.migrations", lambda: (*known, removal))
    one = await the_one(deployment.settings(), Code.MIGRATIONS_PENDING)
    assert one.found == f"not applied yet: {removal}"
    assert one.advice.endswith("rulestream migrate up --phase post")


async def test_a_stream_that_is_nearly_full(open_settings: Settings) -> None:
    client = await nats.connect(open_settings.nats_url.get_secret_value())
    await client.jetstream().publish("facts.order", b"x" * 900)
    await client.close()
    kept = await edit_stream(open_settings, "FACTS", max_bytes=1_100)
    found = await found_by(open_settings)
    assert "of 1100 bytes" in found[Code.STREAM_NEARLY_FULL][0].found
    await api(open_settings, "STREAM.UPDATE.FACTS", kept)
    assert Code.STREAM_NEARLY_FULL not in await found_by(open_settings)


# --- workers and what they keep ---------------------------------------------------------------------------------------


async def test_facts_without_a_worker_and_with_one(open_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asks, facts wait, no partition is there, an event lies in the outbox: a worker puts all of it right."""
    monkeypatch.setattr(streams, "WAITED_MAX_S", 0.0)
    client = await nats.connect(open_settings.nats_url.get_secret_value())
    await client.jetstream().publish("facts.order", b"{}")
    await client.jetstream().publish("facts.order", b"[]")  # none, and a dead letter soon
    await client.close()
    dsn = open_settings.postgres_dsn.get_secret_value()
    event = {"eventId": "e", "occurredAt": "2026-01-01T00:00:00Z"}
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(
            "INSERT INTO outbox (event_id, rule_id, subject, headers, payload)"
            " VALUES (gen_random_uuid(), gen_random_uuid(), 'rules.event.x.RuleCreated', $1, $2)",
            b"{}",
            msgspec.json.encode(event),
        )
        await connection.execute("INSERT INTO fact_trial VALUES ('FACTS', 9, 1795000000000000000, 1, 1)")
        found = await found_by(open_settings)
        wanted = {
            Code.WORKERS_NONE,
            Code.CONSUMER_UNATTENDED,
            Code.CONSUMER_BEHIND,
            Code.PARTITIONS_MISSING,
            Code.OUTBOX_WAITING,
            Code.FACTS_SUSPECTED,
        }
        assert wanted | OF_SESSION == set(found), found
        assert found[Code.CONSUMER_UNATTENDED][0].advice == "start a worker with the role facts"
        await connection.execute("DELETE FROM fact_trial")
    finally:
        await connection.close()

    async def look() -> dict[str, list[Finding]]:
        return await found_by(open_settings)

    async with running_worker(open_settings):
        usual = OF_SESSION - {Code.WORKERS_NONE}
        found = await eventually(look, lambda seen: set(seen) - usual == {Code.DEAD_LETTERS}, 30)
        assert found[Code.DEAD_LETTERS][0].found == "1 dead letter waiting"
        await api(open_settings, "STREAM.PURGE.DEAD_LETTERS")
        assert set(await look()) == usual


async def test_deliveries_that_are_not_acknowledged(open_settings: Settings) -> None:
    """As workers that die with them leave them: they fill what may be out, and come again and again."""
    await edit_consumer(open_settings, max_ack_pending=12)
    client = await nats.connect(open_settings.nats_url.get_secret_value())
    try:
        jetstream = client.jetstream()
        for number in range(12):
            await jetstream.publish("facts.order", b"%d" % number)
        subscription = await jetstream.pull_subscribe_bind("rulestream-facts", "FACTS")
        for message in await subscription.fetch(12):
            await message.nak()
        again = await subscription.fetch(12)
        found = await found_by(open_settings)
        assert "12 messages are unacknowledged, of max_ack_pending 12" in found[Code.CONSUMER_SATURATED][0].found
        assert "12 unacknowledged messages were delivered more than once" in found[Code.DELIVERIES_REPEATED][0].found
        for message in again:
            await message.ack_sync()
        await edit_consumer(open_settings, max_ack_pending=50_000)
        assert set(await found_by(open_settings)) <= IDLE
    finally:
        await client.close()


async def test_workers_that_differ(open_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = OF_SESSION - {Code.WORKERS_NONE}
    only_facts = open_settings.model_copy(update={"roles": frozenset({Role.FACTS})})
    async with running_worker(only_facts):
        found = await found_by(open_settings)
        assert {one.found for one in found[Code.ROLE_UNSERVED]} == {
            f"no worker has the role {role}" for role in ("commands", "queries", "relay")
        }
        monkeypatch.setattr("worker.discovery.language_digest", lambda: b"another")
        monkeypatch.setattr("worker.discovery.version", lambda _: "9.9.9")
        other = load_settings(
            **{
                **open_settings.model_dump(include={"duplicate_window_s", "http_port"}),
                "nats_url": open_settings.nats_url.get_secret_value(),
                "postgres_dsn": open_settings.postgres_dsn.get_secret_value(),
                "redis_url": open_settings.redis_url.get_secret_value(),
                "role_policy": '{"alice": ["author"]}',
            }
        )
        async with running_worker(other):
            differing = {
                Code.WORKERS_RELEASES_DIFFER,
                Code.WORKERS_LANGUAGES_DIFFER,
                Code.WORKERS_POLICIES_DIFFER,
            }
            assert set(await found_by(open_settings)) == usual | differing
        monkeypatch.undo()
    async with running_worker(open_settings):
        assert set(await found_by(open_settings)) == usual


async def test_partitions_that_are_late_and_decisions_outside(open_settings: Settings) -> None:
    dsn = open_settings.postgres_dsn.get_secret_value()
    row = "INSERT INTO decision (stored_at_ns, matched, key, fact_id, fact_type, body) VALUES"
    async with running_worker(open_settings):
        pass  # it has made the partitions
    old_ns = time.time_ns() - 60 * DAY_NS
    span = f"FOR VALUES FROM ({old_ns}) TO ({old_ns + DAY_NS})"
    await execute(dsn, f"CREATE TABLE decision_old PARTITION OF decision {span}")
    await execute(dsn, f"{row} ({9_000_000_000 * 10**9}, true, 'k', 'f', 't', '')")
    found = await found_by(open_settings)
    assert set(found) == OF_SESSION | {Code.HOUSEKEEPING_BEHIND, Code.DECISIONS_OUTSIDE_PARTITIONS}
    assert "1 partition still there beyond" in found[Code.HOUSEKEEPING_BEHIND][0].found
    assert "look at the clocks" in found[Code.DECISIONS_OUTSIDE_PARTITIONS][0].advice

    async def look() -> dict[str, list[Finding]]:
        return await found_by(open_settings)

    async with running_worker(open_settings):
        await eventually(look, lambda seen: Code.HOUSEKEEPING_BEHIND not in seen, 30)


async def test_a_clock_that_is_off_is_told_against_every_server(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() - 60)
    found = await found_by(deployment.settings())
    texts = sorted(one.found for one in found[Code.CLOCK_OFF])
    assert [text.partition(" is ")[2] for text in texts] == ["60.0 s ahead of this machine's"] * 2
    monkeypatch.undo()
    await healthy(deployment.settings())


async def test_nothing_is_created_or_altered(deployment: Deployment) -> None:
    """The streams, the consumers and every table are as they were, to the last sequence and row."""

    async def state() -> list[Any]:
        found: list[Any] = []
        async with engineer(deployment, "data") as client:
            for name in ("FACTS", "DECISIONS", "EFFECTS", "DEAD_LETTERS"):
                told = msgspec.json.decode((await client.request(f"$JS.API.STREAM.INFO.{name}", b"")).data)
                found.append((told["config"], told["state"]))
        connection = await asyncpg.connect(deployment.options["postgres_dsn"])
        try:
            names = await connection.fetch(
                "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1"
            )
            found += [(row[0], await connection.fetchval(f'SELECT count(*) FROM "{row[0]}"')) for row in names]
        finally:
            await connection.close()
        return found

    before = await state()
    await examine(deployment.settings())
    assert await state() == before
