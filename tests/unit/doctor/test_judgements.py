"""What doctor makes of what it saw: tables of what there may be, and the codes that come of it. No server is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from domain.decisions.retention import Span
from domain.roles import RolePolicy
from streams.permissions import Granted, requirements
from streams.topology import Difference, topology
from worker.adapters.postgres.pool import SchemaState
from worker.doctor import cache, clocks, database, planes, schema, storage, streams, workers
from worker.doctor.cache import CacheSeen
from worker.doctor.clocks import ClockSeen
from worker.doctor.database import DatabaseSeen
from worker.doctor.examine import Report, exit_code, lines
from worker.doctor.findings import KINDS, Code, Finding, Severity
from worker.doctor.planes import Identity, PlaneSeen
from worker.doctor.schema import SchemaSeen
from worker.doctor.storage import StorageSeen
from worker.doctor.streams import StreamsSeen
from worker.doctor.workers import WorkerSeen, WorkersSeen
from worker.migrations.phases import Migration, Phase
from worker.schema import SchemaRange
from worker.settings import Role, Settings, load_settings

PAGE = Path(__file__).parents[3] / "docs" / "upgrades.md"
POLICY = RolePolicy.of({"alice": ["author"]})


@pytest.fixture
def settings() -> Settings:
    return load_settings(role_policy=POLICY)


def codes(findings: Iterable[Finding]) -> list[str]:
    return sorted(one.code for one in findings)


def test_every_code_has_a_severity_and_a_reason() -> None:
    assert set(KINDS) == set(Code)
    assert all(kind.why.endswith(".") for kind in KINDS.values())


# --- planes -----------------------------------------------------------------------------------------------------------

ALL = requirements("data", load_settings().topology)
ALLOWED = Identity("DATA", Granted(ALL.publish), Granted(ALL.subscribe), 0.0, 0.0)
DATA = PlaneSeen("data", "nats-1:4222", version="2.15.1", identity=ALLOWED)
ALL_CONTROL = requirements("control", load_settings().topology)
CONTROL = replace(
    DATA,
    plane="control",
    identity=Identity("CONTROL", Granted(ALL_CONTROL.publish), Granted(ALL_CONTROL.subscribe), 0.0, 0.0),
)


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [
        ([DATA, CONTROL], []),
        ([replace(DATA, away="no"), replace(CONTROL, away="no")], ["nats-away"]),  # one server, said once
        ([DATA, replace(CONTROL, away="no", addresses="nats-2:4222")], ["nats-away"]),
        ([replace(DATA, version="2.11.9"), replace(CONTROL, addresses="x")], ["nats-old"]),
        ([replace(DATA, version="2.12.0-RC.1"), CONTROL], []),
        ([replace(DATA, version="3.0.0"), CONTROL], []),
        ([replace(DATA, has_jetstream=False), CONTROL], ["nats-without-jetstream"]),
        ([replace(DATA, asks_who=False), CONTROL], ["nats-open"]),
        ([replace(DATA, is_encrypted=False), CONTROL], ["nats-unencrypted"]),
        ([DATA, replace(CONTROL, identity=replace(CONTROL.identity, account="DATA"))], ["planes-shared"]),
        (
            [DATA, replace(CONTROL, addresses="nats-2:4222", identity=replace(CONTROL.identity, account="DATA"))],
            [],  # of another server
        ),
        ([replace(DATA, identity=None), CONTROL], ["permissions-unknown"]),
        ([replace(DATA, identity=Identity("DATA", None, None, 0, 0)), CONTROL], ["worker-unrestricted"]),
        ([replace(DATA, identity=replace(ALLOWED, publish=Granted(("x",)))), CONTROL], ["permission-missing"]),
        ([replace(DATA, identity=replace(ALLOWED, subscribe=Granted((), ()))), CONTROL], ["permission-missing"]),
        (
            [replace(DATA, identity=replace(ALLOWED, publish=Granted(None, ("decisions.matched.x",)))), CONTROL],
            ["permission-missing"],
        ),
    ],
)
def test_planes(settings: Settings, seen: list[PlaneSeen], wanted: list[str]) -> None:
    assert codes(planes.judge(seen, settings)) == wanted


def test_a_missing_permission_is_named_by_its_subject(settings: Settings) -> None:
    publish = Granted(tuple(one for one in ALL.publish if one != "effects.>"))
    (found,) = planes.judge([replace(DATA, identity=replace(ALLOWED, publish=publish)), CONTROL], settings)
    assert "the worker may not publish to effects.>" in found.found


def test_a_worker_that_decides_no_facts_need_not_publish_decisions(settings: Settings) -> None:
    publish = Granted(tuple(one for one in ALL.publish if one not in {"effects.>", "decisions.>"}))
    seen = [replace(DATA, identity=replace(ALLOWED, publish=publish)), CONTROL]
    queries = settings.model_copy(update={"roles": frozenset({Role.QUERIES})})
    assert codes(planes.judge(seen, queries)) == []


def test_roles_that_are_not_enforced_are_said() -> None:
    assert codes(planes.judge([DATA, CONTROL], load_settings())) == ["roles-not-enforced"]


# --- Postgres, Redis, clocks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [
        (DatabaseSeen(), []),
        (DatabaseSeen(away="no"), ["postgres-away"]),
        (DatabaseSeen(version=16), ["postgres-old"]),
        (DatabaseSeen(version=18), []),
        (DatabaseSeen(is_read_only=True), ["postgres-read-only"]),
        (DatabaseSeen(encoding="SQL_ASCII"), ["postgres-encoding"]),
        (DatabaseSeen(fsync="off", full_page_writes="off"), ["postgres-not-durable"] * 2),
        (DatabaseSeen(synchronous_commit="off"), ["postgres-not-durable"]),
        (DatabaseSeen(synchronous_commit="local"), []),
        (DatabaseSeen(is_encrypted=False), ["postgres-unencrypted"]),
        (DatabaseSeen(unowned=("decision",)), ["postgres-rights"]),
        (DatabaseSeen(refused=(("rule", "INSERT"), ("rule", "UPDATE"))), ["postgres-rights"]),
        (DatabaseSeen(may_create=False), ["postgres-rights"]),
    ],
)
def test_the_database(seen: DatabaseSeen, wanted: list[str]) -> None:
    assert codes(database.judge(seen)) == wanted


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [
        (CacheSeen(bytes_max=0, policy="noeviction"), []),
        (CacheSeen(bytes_max=1, policy="allkeys-lru"), []),
        (CacheSeen(bytes_max=1, policy="noeviction"), ["redis-never-evicts"]),
        (CacheSeen(away="no"), ["redis-away"]),
    ],
)
def test_the_cache(seen: CacheSeen, wanted: list[str]) -> None:
    assert codes(cache.judge(seen)) == wanted


@pytest.mark.parametrize(
    ("ahead_s", "within_s", "is_off"),
    [(0, 0, False), (2, 0, False), (2.1, 0, True), (-2.1, 0, True), (5, 4, False), (7, 4, True)],
)
def test_a_clock_is_off_when_the_time_that_asking_took_does_not_explain_it(
    ahead_s: float, within_s: float, is_off: bool
) -> None:
    assert bool(list(clocks.judge({"Postgres": ClockSeen(ahead_s, within_s)}))) == is_off


# --- the schema -------------------------------------------------------------------------------------------------------

KNOWN = tuple(Migration(version, Phase(phase), version, "x") for version, phase in (("0011", "pre"), ("0012", "post")))
RANGE = SchemaRange("0011", "0012")


@pytest.mark.parametrize(
    ("applied", "lowest", "wanted"),
    [
        (None, None, ["schema-unusable"]),
        ("0010", "0010", ["schema-unusable"]),
        ("0011", "0010", ["migrations-pending"]),
        ("0012", "0012", []),
        ("0013", "0012", ["schema-ahead"]),
        ("0013", "0013", ["schema-unusable"]),
        ("0011", "0009", ["schema-unusable"]),
    ],
)
def test_the_schema(applied: str | None, lowest: str | None, wanted: list[str]) -> None:
    found = list(schema.judge(SchemaSeen(SchemaState(applied, lowest), KNOWN), RANGE))
    assert codes(found) == wanted
    assert all((one.advice and "rulestream migrate" in one.advice) or "upgrades.md" in one.advice for one in found)


# --- streams and consumers --------------------------------------------------------------------------------------------

WANTED = topology(load_settings().topology)
HEALTHY_STREAMS: Mapping[str, dict[str, Any]] = {
    spec.name: {"config": dict(spec.config), "state": {"bytes": 0, "messages": 0}} for spec in WANTED.streams
}
HEALTHY_CONSUMERS: Mapping[str, dict[str, Any]] = {
    streams.place(spec): {"config": dict(spec.config), "num_waiting": 2} for spec in WANTED.consumers
}
FACTS, FACTS_CONSUMER = "FACTS", "FACTS/rulestream-facts"


def seen_streams(
    stream: Mapping[str, Any] | None = None, consumer: Mapping[str, Any] | None = None, **more: Any
) -> StreamsSeen:
    """Give what is seen where the stream of facts, or its consumer, is otherwise."""
    there: dict[str, Any] = dict(HEALTHY_STREAMS)
    consumers: dict[str, Any] = dict(HEALTHY_CONSUMERS)
    if stream is not None:
        known = there[FACTS]
        there[FACTS] = {
            **known,
            **stream,
            "config": {**known["config"], **stream.get("config", {})},
            "state": {**known["state"], **stream.get("state", {})},
        }
    if consumer is not None:
        known = consumers[FACTS_CONSUMER]
        config = {**known["config"], **consumer.get("config", {})}
        consumers[FACTS_CONSUMER] = {**known, **consumer, "config": config}
    return StreamsSeen(WANTED, there, consumers, **more)


DAY_NS = 86_400_000_000_000


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [
        (seen_streams(), []),
        (seen_streams(failed={"FACTS": "no"}), ["check-failed"]),
        (replace(seen_streams(), streams={**HEALTHY_STREAMS, FACTS: None}), ["topology-missing"]),
        (replace(seen_streams(), consumers={**HEALTHY_CONSUMERS, FACTS_CONSUMER: None}), ["topology-missing"]),
        (StreamsSeen(WANTED, {}, {}), []),  # planes that are away are said elsewhere
        (seen_streams(differences=(Difference("stream", "FACTS", "max_age", 1, 2),)), ["topology-differs"]),
        (seen_streams(differences=(Difference("consumer", FACTS_CONSUMER, "max_deliver", -1, 5),)), []),
        (seen_streams(differences=(Difference("stream", "FACTS", "discard", "new", "old"),)), []),
        (
            seen_streams(differences=(Difference("stream", "RULES_EVENTS", "discard", "old", "new"),)),
            ["topology-differs"],
        ),
        (seen_streams({"config": {"discard": "old"}}), ["facts-discarded"]),
        (seen_streams({"config": {"max_age": 40 * DAY_NS}}), ["retention-too-short"]),
        (seen_streams({"config": {"max_age": 0}}), ["retention-too-short"]),
        (seen_streams({"config": {"max_age": 29 * DAY_NS, "duplicate_window": DAY_NS}}), ["retention-too-short"]),
        (seen_streams({"config": {"max_bytes": 100}, "state": {"bytes": 79}}), []),
        (seen_streams({"config": {"max_bytes": 100}, "state": {"bytes": 80}}), ["stream-nearly-full"]),
        (seen_streams({"config": {"max_msgs": 100}, "state": {"messages": 80}}), ["stream-nearly-full"]),
        (seen_streams({"cluster": {"leader": "a", "replicas": [{"name": "b", "current": True}]}}), []),
        (
            seen_streams({"cluster": {"leader": "a", "replicas": [{"name": "b", "offline": True}]}}),
            ["stream-replicas-missing"],
        ),
        (
            seen_streams({"cluster": {"leader": "a", "replicas": [{"name": "b", "current": False}]}}),
            ["stream-replicas-missing"],
        ),
        (seen_streams(consumer={"config": {"max_deliver": 5}}), ["consumer-gives-up"]),
        (seen_streams(consumer={"paused": True}), ["consumer-paused"]),
        (seen_streams(consumer={"num_pending": 3, "num_waiting": 0}), ["consumer-unattended"]),
        (seen_streams(consumer={"num_pending": 3, "num_waiting": 0, "num_ack_pending": 9}), []),
        (seen_streams(consumer={"num_pending": 0, "num_waiting": 0}), []),
        (seen_streams(consumer={"num_ack_pending": 47_500}), ["consumer-saturated"]),
        (seen_streams(consumer={"num_redelivered": 9}), []),
        (seen_streams(consumer={"num_redelivered": 10}), ["deliveries-repeated"]),
        (seen_streams(consumer={"num_pending": 3}, oldest_waiting_s={FACTS_CONSUMER: 61}), ["consumer-behind"]),
        (seen_streams(consumer={"num_pending": 3}, oldest_waiting_s={FACTS_CONSUMER: 59}), []),
    ],
)
def test_streams_and_consumers(settings: Settings, seen: StreamsSeen, wanted: list[str]) -> None:
    assert codes(streams.judge(seen, settings)) == wanted


def test_a_stream_without_a_leader_is_said_where_there_are_to_be_replicas() -> None:
    settings = load_settings(role_policy=POLICY, stream_replicas=3)
    wanted = topology(settings.topology)
    there = {**HEALTHY_STREAMS, FACTS: {**HEALTHY_STREAMS[FACTS], "cluster": {"leader": ""}}}
    of_facts = replace(wanted, streams=tuple(one for one in wanted.streams if one.name == FACTS))
    assert codes(streams.judge(StreamsSeen(of_facts, there, {}), settings)) == ["stream-replicas-missing"]


def test_dead_letters_and_subscribers_that_are_behind_are_said() -> None:
    settings = load_settings(role_policy=POLICY, decision_subscribers="billing")
    wanted = topology(settings.topology)
    consumers = {streams.place(one): {"config": dict(one.config), "num_waiting": 1} for one in wanted.consumers}
    letters = {"config": HEALTHY_STREAMS["DEAD_LETTERS"]["config"], "state": {"bytes": 1, "messages": 2}}
    seen = StreamsSeen(
        wanted,
        {**HEALTHY_STREAMS, "DEAD_LETTERS": letters},
        {**consumers, "DECISIONS/billing": {**consumers["DECISIONS/billing"], "num_pending": 9, "num_waiting": 0}},
        oldest_waiting_s={"DECISIONS/billing": 100},
    )
    assert codes(streams.judge(seen, settings)) == ["dead-letters", "subscriber-behind"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:01Z", 1),
        ("1970-01-01T00:00:01.5Z", 1.5),
        ("1970-01-01T00:00:01.000000001Z", 1.000000001),
        ("2026-11-23T07:38:40.538519591Z", 1_795_419_520.538519591),
    ],
)
def test_times_are_read_to_the_nanosecond_that_servers_tell(text: str, seconds: float) -> None:
    assert streams.moment_s(text) == pytest.approx(seconds, abs=1e-6)


# --- workers ----------------------------------------------------------------------------------------------------------

EVERY_ROLE = frozenset(role.value for role in Role)
DIGEST = POLICY.digest or ""
ONE = WorkerSeen("1", "0.1.0", "a", EVERY_ROLE, DIGEST, "lang", "code", "0010", (7, "d"))
TWO = replace(ONE, id="2", host="b")


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ((ONE, TWO), []),
        ((), ["workers-none"]),
        ((replace(ONE, roles=EVERY_ROLE - {"relay"}),), ["role-unserved"]),
        ((replace(ONE, roles=EVERY_ROLE - {"relay"}), replace(TWO, roles=frozenset({"relay"}))), []),
        ((replace(ONE, roles=frozenset()),), []),  # it does not say
        ((ONE, replace(TWO, version="0.2.0")), ["workers-releases-differ"]),
        ((ONE, replace(TWO, code="other")), ["workers-releases-differ"]),
        ((ONE, replace(TWO, language="other")), ["workers-languages-differ"]),
        ((ONE, replace(TWO, policy="other")), ["workers-policies-differ"]),
        ((replace(ONE, policy="other"),), ["workers-policies-differ"]),  # from these settings
        ((ONE, replace(TWO, ruleset=(8, "e"))), ["workers-rulesets-differ"]),
        ((ONE, replace(TWO, ruleset=None)), []),
    ],
)
def test_workers(found: tuple[WorkerSeen, ...], wanted: list[str]) -> None:
    assert codes(workers.judge(WorkersSeen(found), DIGEST)) == wanted


def test_workers_that_may_not_be_asked_are_not_said_to_be_none() -> None:
    assert codes(workers.judge(WorkersSeen((), refused="no"), DIGEST)) == ["workers-unknown"]


# --- what is stored ---------------------------------------------------------------------------------------------------

SECOND_NS = 1_000_000_000
NOW_NS = 20_000 * DAY_NS + DAY_NS // 2
TODAY = Span(20_000 * DAY_NS, 20_001 * DAY_NS)
STORED = StorageSeen(NOW_NS, (TODAY,))


def day(back: int) -> Span:
    return Span(TODAY.since_ns - back * DAY_NS, TODAY.until_ns - back * DAY_NS)


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [
        (STORED, []),
        (replace(STORED, spans=()), ["partitions-missing"]),
        (replace(STORED, now_ns=TODAY.until_ns - 60 * SECOND_NS), ["partitions-missing"]),
        (replace(STORED, spans=(day(-1), TODAY), now_ns=TODAY.until_ns - 60 * SECOND_NS), []),
        (replace(STORED, outbox=3, outbox_oldest_s=59), []),
        (replace(STORED, outbox=3, outbox_oldest_s=61), ["outbox-waiting"]),
        (replace(STORED, spans=(TODAY, day(30))), []),
        (replace(STORED, spans=(TODAY, day(31))), ["housekeeping-behind"]),
        (replace(STORED, expired=("decision_expired_1",)), []),
        (replace(STORED, expired=("decision_expired_1", "decision_expired_2")), ["housekeeping-behind"]),
        (replace(STORED, strays=2, first_stray_ns=NOW_NS), ["decisions-outside-partitions"]),
        (replace(STORED, strays=2, first_stray_ns=NOW_NS + 900 * DAY_NS), ["decisions-outside-partitions"]),
        (replace(STORED, suspected=1), ["facts-suspected"]),
    ],
)
def test_what_is_stored(settings: Settings, seen: StorageSeen, wanted: list[str]) -> None:
    assert codes(storage.judge(seen, settings, 7 * 86_400)) == wanted


def test_who_decides_no_facts_makes_no_partitions(settings: Settings) -> None:
    queries = settings.model_copy(update={"roles": frozenset({Role.QUERIES})})
    assert codes(storage.judge(replace(STORED, spans=()), queries, 7 * 86_400)) == []


# --- the report -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "normal", "strict"),
    [([], 0, 0), ([Code.SCHEMA_AHEAD], 0, 0), ([Code.NATS_OPEN], 0, 1), ([Code.NATS_OPEN, Code.NATS_AWAY], 1, 1)],
)
def test_errors_end_with_1_and_warnings_where_they_are_to(found: list[Code], normal: int, strict: int) -> None:
    report = Report((), tuple(Finding(code, "x", "y") for code in found))
    assert (exit_code(report, is_strict=False), exit_code(report, is_strict=True)) == (normal, strict)


def test_a_finding_is_told_with_its_severity_its_reason_and_what_to_do() -> None:
    text = "\n".join(lines(Report((("Redis", "9.1"),), (Finding(Code.NATS_OPEN, "it is open", "close it"),))))
    assert "looked at Redis: 9.1\n\nwarning[nats-open]: it is open\n  why: Whoever" in text
    assert text.endswith("  do:  close it\n\n0 errors, 1 warning, 0 notes; nothing was altered")


def test_the_page_has_each_code_with_its_severity_and_no_other() -> None:
    """docs/upgrades.md, the table of findings."""
    rows = [line.split("|")[1:3] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    said = {code.strip().strip("`"): severity.strip() for code, severity in rows}
    assert said == {code.value: kind.severity.value for code, kind in KINDS.items()}
    assert set(said.values()) == {one.value for one in Severity}
