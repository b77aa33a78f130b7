"""The workers that answer service discovery: whether all parts are served, and whether they agree."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import nats.errors
from nats.aio.msg import Msg

from streams.connection import LenientClient
from streams.denials import Denial, PermissionDeniedError
from streams.discovery import SERVICE
from worker.doctor.findings import Code, Finding
from worker.settings import Role

# Workers answer at once; those that a scheduler holds up for a moment are waited for.
LISTEN_S: Final = 1.0
ANSWERS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """What a worker says of itself. What it does not say is empty."""

    id: str
    version: str
    host: str
    roles: frozenset[str]
    policy: str
    language: str
    code: str
    schema: str
    ruleset: tuple[int, str] | None

    def __str__(self) -> str:
        return f"{self.host or self.id} ({self.version})"


@dataclass(frozen=True, slots=True)
class WorkersSeen:
    """The workers that answered; ``refused`` where we may not ask."""

    workers: tuple[WorkerSeen, ...]
    refused: str = ""


async def look(client: LenientClient) -> WorkersSeen:
    """Ask every worker about itself, on the control plane; a second time where their rulesets differ."""
    try:
        found = await _ask(client)
        if len({one.ruleset for one in found if one.ruleset is not None}) > 1:
            found = await _ask(client)  # a change takes a moment to reach them all
    except (OSError, TimeoutError, nats.errors.Error, PermissionDeniedError) as error:
        return WorkersSeen((), str(error) or type(error).__name__)
    return WorkersSeen(found)


async def _ask(client: LenientClient) -> tuple[WorkerSeen, ...]:
    pings = await _answers(client, f"$SRV.PING.{SERVICE}")
    if not pings:
        return ()
    stats = await _answers(client, f"$SRV.STATS.{SERVICE}", len(pings))
    states = {str(one.get("id")): _ruleset(one) for one in stats}
    found = [_worker(one, states.get(str(one.get("id")))) for one in pings]
    return tuple(sorted(found, key=lambda one: (one.host, one.id)))


async def _answers(client: LenientClient, subject: str, wanted: int = ANSWERS_MAX) -> list[dict[str, Any]]:
    """Collect what comes within ``LISTEN_S``, or until as many as wanted; raises PermissionDeniedError."""
    found: dict[str, dict[str, Any]] = {}
    denied: list[Denial] = []
    is_enough = asyncio.Event()

    def told(denial: Denial) -> None:
        denied.append(denial)
        is_enough.set()

    async def hear(message: Msg) -> None:
        try:
            answer = msgspec.json.decode(message.data)
        except msgspec.MsgspecError:
            return  # it is none of ours
        if isinstance(answer, dict) and len(found) < ANSWERS_MAX:
            found[str(answer.get("id"))] = answer
        if len(found) >= wanted:
            is_enough.set()

    inbox = client.new_inbox()
    client.denials.waiting.append(told)
    subscription = await client.subscribe(inbox, cb=hear)
    try:
        await client.publish(subject, b"", reply=inbox)
        await client.flush()
        async with asyncio.timeout(LISTEN_S):
            await is_enough.wait()
    except TimeoutError:
        pass
    finally:
        client.denials.waiting.remove(told)
        await subscription.unsubscribe()
    if denied:
        raise denied[0].error
    return list(found.values())


def _worker(said: Mapping[str, Any], ruleset: tuple[int, str] | None) -> WorkerSeen:
    metadata = said.get("metadata") or {}
    return WorkerSeen(
        id=str(said.get("id", "")),
        version=str(said.get("version", "")),
        host=str(metadata.get("host", "")),
        roles=frozenset(filter(None, str(metadata.get("roles", "")).split(","))),
        policy=str(metadata.get("policy", "")),
        language=str(metadata.get("language", "")),
        code=str(metadata.get("code", "")),
        schema=str(metadata.get("schema", "")),
        ruleset=ruleset,
    )


def _ruleset(said: Mapping[str, Any]) -> tuple[int, str] | None:
    for endpoint in said.get("endpoints") or ():
        data = endpoint.get("data") or {}
        if "revision" in data:
            return int(data["revision"]), str(data.get("digest", ""))
    return None


def judge(seen: WorkersSeen, policy: str) -> Iterator[Finding]:
    """Say who is missing and in what the workers differ; ``policy`` is our own role policy's digest, or empty."""
    if seen.refused:
        yield Finding(
            Code.WORKERS_UNKNOWN,
            f"the workers could not be asked: {seen.refused}",
            f"allow the worker's user on the control plane to publish $SRV.PING.{SERVICE} and $SRV.STATS.{SERVICE}",
        )
        return
    if not seen.workers:
        yield Finding(
            Code.WORKERS_NONE,
            "no worker answers on the control plane",
            "rulestream worker; where some run, see that they are on this plane, and that we may ask there",
        )
        return
    served = frozenset().union(*(one.roles for one in seen.workers))
    for role in Role:
        if served and role.value not in served:
            yield Finding(
                Code.ROLE_UNSERVED, f"no worker has the role {role.value}", f"start one with --roles {role.value}"
            )
    yield from _differences(seen, policy)


def _differences(seen: WorkersSeen, policy: str) -> Iterator[Finding]:
    def groups(key: Callable[[WorkerSeen], object]) -> dict[object, list[WorkerSeen]]:
        found: dict[object, list[WorkerSeen]] = {}
        for one in seen.workers:
            found.setdefault(key(one), []).append(one)
        return found

    releases = groups(lambda one: (one.version, one.code))
    if len(releases) > 1:
        yield Finding(
            Code.WORKERS_RELEASES_DIFFER,
            f"workers of {len(releases)} releases run: {_listed(releases)}",
            "finish the upgrade or undo it (docs/upgrades.md)",
        )
    languages = groups(lambda one: one.language)
    if len(languages) > 1:
        yield Finding(
            Code.WORKERS_LANGUAGES_DIFFER,
            f"workers have {len(languages)} states of the rule language: {_listed(languages)}",
            "finish the upgrade soon (docs/upgrades.md)",
        )
    policies = groups(lambda one: one.policy)
    if len(policies) > 1 or (policy not in policies and policies):
        who = _listed(policies) if len(policies) > 1 else "the workers' is not the one of these settings"
        yield Finding(
            Code.WORKERS_POLICIES_DIFFER,
            f"role policies differ: {who}",
            "give every worker the same RULESTREAM_ROLE_POLICY, and start them anew",
        )
    rulesets = {key: ones for key, ones in groups(lambda one: one.ruleset).items() if key is not None}
    if len(rulesets) > 1:
        yield Finding(
            Code.WORKERS_RULESETS_DIFFER,
            f"workers decide under {len(rulesets)} rulesets: {_listed(rulesets)}",
            "see the log of those that are behind (Postgres away, say); starting them anew reads it again",
        )


def _listed(groups: Mapping[object, list[WorkerSeen]]) -> str:
    def named(key: object) -> str:
        if isinstance(key, tuple):
            return " ".join(str(part)[:16] for part in key)
        return str(key)[:16] or "none"

    return "; ".join(f"{named(key)}: {', '.join(map(str, ones[:5]))}" for key, ones in groups.items())
