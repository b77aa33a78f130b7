"""The whole look: every check by itself, each within a bound, whatever the others meet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from streams.topology import topology
from worker.doctor import cache, clocks, database, planes, schema, storage, streams, workers
from worker.doctor.clocks import ClockSeen
from worker.doctor.findings import Code, Finding, Severity, counted
from worker.doctor.planes import PlaneSeen
from worker.doctor.reaching import Servers, reaching
from worker.settings import Settings

CHECK_TIMEOUT_S: Final = 30.0
_ORDER: Final = {severity: at for at, severity in enumerate(Severity)}


@dataclass(frozen=True, slots=True)
class Report:
    """What was looked at, each with what it was, and what was found, errors first."""

    looked_at: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]

    def count(self, severity: Severity) -> int:
        """Count the findings of a severity."""
        return sum(one.severity is severity for one in self.findings)


@dataclass(slots=True)
class _Look:
    servers: Servers
    settings: Settings
    planes: dict[str, PlaneSeen]
    clocks: dict[str, ClockSeen]
    facts_max_age_s: float


async def examine(settings: Settings) -> Report:
    """Look at everything that a worker with these settings would use; raises nothing for what it finds."""
    async with reaching(settings) as servers:
        look = _Look(servers, settings, {}, {}, settings.facts_max_age_s)
        looked: list[tuple[str, str]] = []
        found: list[Finding] = []
        # On one connection one after the other, the connections side by side: clocks after those who tell them.
        for checks in await asyncio.gather(
            _in_turn(look, (("NATS", _planes), ("streams", _streams), ("workers", _workers))),
            _in_turn(look, (("Postgres", _database), ("schema", _schema), ("storage", _storage))),
            _in_turn(look, (("Redis", _cache),)),
        ):
            for name, was, findings in checks:
                looked.append((name, was))
                found.extend(findings)
        found.extend(clocks.judge(look.clocks))
    return Report(tuple(looked), tuple(sorted(found, key=lambda one: (_ORDER[one.severity], one.code))))


_Seen = tuple[str, Iterable[Finding]]
_Check = Callable[[_Look], Awaitable[_Seen]]


async def _in_turn(look: _Look, checks: Iterable[tuple[str, _Check]]) -> list[tuple[str, str, list[Finding]]]:
    done = []
    for name, check in checks:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                was, findings = await check(look)
                done.append((name, was, list(findings)))
        except Exception as error:  # noqa: BLE001  # one check that fails must not hide the others
            reason = (
                f"after {CHECK_TIMEOUT_S:g} s"
                if isinstance(error, TimeoutError)
                else f"{type(error).__name__}: {error}"
            )
            finding = Finding(
                Code.CHECK_FAILED,
                f"the check of {name} ended {reason}",
                "run it again; look at what it asked in the server's log",
            )
            done.append((name, "not known", [finding]))
    return done


async def _planes(look: _Look) -> _Seen:
    settings, servers = look.settings, look.servers
    seen = await asyncio.gather(
        planes.look("data", settings.data_endpoint, servers.data, settings.facts_stream),
        planes.look("control", settings.control_endpoint, servers.control, settings.commands_stream),
    )
    for one in seen:
        look.planes[one.plane] = one
        if one.identity is not None:
            name = f"nats-server at {one.addresses}"
            look.clocks[name] = ClockSeen(one.identity.ahead_s, one.identity.within_s)
    was = "; ".join(
        f"{one.plane} {one.addresses} " + ("away" if one.away else f"nats-server {one.version}") for one in seen
    )
    return was, planes.judge(seen, settings)


async def _streams(look: _Look) -> _Seen:
    wanted = topology(look.settings.topology)
    seen = await streams.look(wanted, look.servers.control.client, look.servers.data.client)
    facts = seen.streams.get(look.settings.facts_stream)
    if facts is not None:
        look.facts_max_age_s = facts["config"].get("max_age", 0) / 1_000_000_000
    there = sum(one is not None for one in (*seen.streams.values(), *seen.consumers.values()))
    return f"{there} of {len(wanted.streams) + len(wanted.consumers)} streams and consumers", streams.judge(
        seen, look.settings
    )


async def _workers(look: _Look) -> _Seen:
    client = look.servers.control.client
    if client is None:
        return "not asked", ()
    seen = await workers.look(client)
    return f"{len(seen.workers)} answer", workers.judge(seen, look.settings.role_policy.digest or "")


async def _database(look: _Look) -> _Seen:
    seen = await database.look(look.servers.postgres)
    if seen.away:
        return "away", database.judge(seen)
    look.clocks["Postgres"] = ClockSeen(seen.ahead_s, seen.within_s)
    return f"{seen.version_text} as {seen.role}", database.judge(seen)


async def _schema(look: _Look) -> _Seen:
    postgres = look.servers.postgres.client
    if postgres is None:
        return "not asked", ()
    seen = await schema.look(postgres)
    return f"version {seen.state.applied or 'none'}", schema.judge(seen)


async def _storage(look: _Look) -> _Seen:
    postgres = look.servers.postgres.client
    if postgres is None:
        return "not asked", ()
    if (await schema.look(postgres)).state.applied is None:
        return "no tables", ()
    seen = await storage.look(postgres)
    return f"{len(seen.spans)} partitions", storage.judge(seen, look.settings, look.facts_max_age_s)


async def _cache(look: _Look) -> _Seen:
    seen = await cache.look(look.servers.redis, look.settings.redis_timeout_s)
    return ("away" if seen.away else seen.version), cache.judge(seen)


def exit_code(report: Report, *, is_strict: bool) -> int:
    """Return 1 where there are errors, or warnings and they count as such; else 0."""
    return int(bool(report.count(Severity.ERROR) or (is_strict and report.count(Severity.WARNING))))


def lines(report: Report) -> Iterator[str]:
    """Give a report as lines for people."""
    for name, was in report.looked_at:
        yield f"looked at {name}: {was}"
    for one in report.findings:
        yield ""
        yield f"{one.severity}[{one.code}]: {one.found}"
        yield f"  why: {one.why}"
        yield f"  do:  {one.advice}"
    yield ""
    counts = [counted(report.count(severity), severity.value) for severity in Severity]
    yield f"{', '.join(counts)}; nothing was altered"
