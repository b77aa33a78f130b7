"""The two planes' servers: versions, JetStream, who may connect, and what the worker's identities may do."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import nats.errors

from domain.errors import UnavailableError
from streams import jetstream, permissions
from streams.connection import LenientClient
from streams.denials import PermissionDeniedError
from streams.endpoint import Endpoint
from streams.jetstream import JetStreamRefusedError
from streams.permissions import Granted, Sides
from streams.topology import Plane
from worker.doctor.findings import Code, Finding
from worker.doctor.reaching import Reached
from worker.doctor.streams import moment_s
from worker.settings import Role, Settings

SERVER_MIN: Final = (2, 12)
ANSWER_TIMEOUT_S: Final = 2.0
_NOT_ENABLED: Final = frozenset({10039, 10076})
_NO_ANSWER: Final = (OSError, TimeoutError, nats.errors.Error, PermissionDeniedError)
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Identity:
    """What a server says of the connection's user; no permissions: everything in its account."""

    account: str
    publish: Granted | None
    subscribe: Granted | None
    ahead_s: float  # the server's clock before ours
    within_s: float  # how far that may be off


@dataclass(frozen=True, slots=True)
class PlaneSeen:
    """What was seen of one plane; ``away`` is why nothing was."""

    plane: Plane
    addresses: str
    away: str = ""
    version: str = ""
    has_jetstream: bool = True
    asks_who: bool = True
    is_encrypted: bool = True
    inbox: str = permissions.INBOX
    identity: Identity | None = None


async def look(plane: Plane, where: Endpoint, reached: Reached[LenientClient], stream: str) -> PlaneSeen:
    """Ask a plane's server about itself and about us; ``stream`` is one that should be there."""
    addresses = where.address
    client = reached.client
    if client is None:
        return PlaneSeen(plane, addresses, reached.reason)
    told = client._server_info  # noqa: SLF001  # what the server said when we connected
    return PlaneSeen(
        plane,
        addresses,
        version=str(told.get("version", "")),
        has_jetstream=await _has_jetstream(client, stream),
        asks_who=bool(told.get("auth_required")),
        is_encrypted=_is_encrypted(where, told),
        inbox=where.inbox_prefix,
        identity=await _identity(client),
    )


def _is_encrypted(where: Endpoint, told: dict[str, Any]) -> bool:
    if where.demands_tls or told.get("tls_required"):
        return True
    hosts = (urlsplit(one if "://" in one else f"nats://{one}").hostname for one in where.servers)
    return all(host in _LOOPBACK for host in hosts)


async def _has_jetstream(client: LenientClient, stream: str) -> bool:
    """Ask for a stream, which may be there or not: only the account's JetStream knows."""
    try:
        async with client.denials.raised():
            await jetstream.ask(client, f"STREAM.INFO.{stream}", tries_s=(ANSWER_TIMEOUT_S,))
    except JetStreamRefusedError as error:
        return error.number not in _NOT_ENABLED
    except UnavailableError as error:
        return not isinstance(error.__cause__, nats.errors.NoRespondersError)
    except PermissionDeniedError:
        return bool(client._server_info.get("jetstream"))  # noqa: SLF001  # as above
    return True


async def _identity(client: LenientClient) -> Identity | None:
    began = time.time()
    try:
        async with client.denials.raised():
            answer = await client.request(permissions.USER_INFO, b"", timeout=ANSWER_TIMEOUT_S)
        said = msgspec.json.decode(answer.data)
        user = said["data"]
        at = moment_s(said["server"]["time"])
    except (*_NO_ANSWER, msgspec.MsgspecError, LookupError, TypeError, ValueError):
        return None
    ended = time.time()
    granted = user.get("permissions")
    return Identity(
        account=str(user.get("account", "")),
        publish=None if granted is None else _granted(granted.get("publish")),
        subscribe=None if granted is None else _granted(granted.get("subscribe")),
        ahead_s=at - (began + ended) / 2,
        within_s=(ended - began) / 2,
    )


def _granted(said: dict[str, Any] | None) -> Granted:
    if not said:
        return Granted()
    allowed = said.get("allow")
    # An entry may name a queue group behind its subject, for subscriptions in that group.
    return Granted(
        None if allowed is None else tuple(one.partition(" ")[0] for one in allowed),
        tuple(one.partition(" ")[0] for one in said.get("deny") or ()),
    )


def judge(seen: Sequence[PlaneSeen], settings: Settings) -> Iterator[Finding]:
    """Say what is wrong with the planes."""
    looked: set[tuple[str, str]] = set()
    for one in seen:
        if (one.addresses, one.away) not in looked:  # both planes may be one server's
            yield from _judge_server(one)
        looked.add((one.addresses, one.away))
        if not one.away:
            yield from _judge_identity(one, settings)
    accounts = {(one.addresses, one.identity.account) for one in seen if one.identity is not None}
    if len(seen) > 1 and len(accounts) == 1 and all(one.identity is not None for one in seen):
        (_, account) = accounts.pop()
        yield Finding(
            Code.PLANES_SHARED,
            f"both planes are in the account {account} of {seen[0].addresses}",
            "give each plane an account of its own (docs/security.md), and set RULESTREAM_CONTROL_NATS_URL",
        )
    if not settings.role_policy.is_enforced:
        yield Finding(
            Code.ROLES_NOT_ENFORCED,
            "RULESTREAM_ROLE_POLICY is not set",
            "set it to who has which roles (docs/governance.md), the same for every worker",
        )


def _judge_server(one: PlaneSeen) -> Iterator[Finding]:
    setting = "RULESTREAM_NATS_URL" if one.plane == "data" else "RULESTREAM_CONTROL_NATS_URL"
    if one.away:
        yield Finding(
            Code.NATS_AWAY,
            f"the {one.plane} plane: {one.away}",
            f"see that the server runs and can be reached from here, and that {setting} and its key are right",
        )
        return
    where = f"the server of the {one.plane} plane at {one.addresses}"
    if _numbers(one.version) < SERVER_MIN:
        yield Finding(Code.NATS_OLD, f"{where} is nats-server {one.version}", "upgrade it to 2.12 or newer")
    if not one.has_jetstream:
        yield Finding(
            Code.NATS_WITHOUT_JETSTREAM,
            f"{where} has no JetStream for our account",
            "add 'jetstream {}' to the server's configuration, and 'jetstream: enabled' to the account",
        )
    if not one.asks_who:
        yield Finding(
            Code.NATS_OPEN,
            f"{where} lets everybody in",
            "configure accounts with keys: see deploy/nats, docs/security.md",
        )
    if not one.is_encrypted:
        yield Finding(
            Code.NATS_UNENCRYPTED,
            f"the connection to {one.addresses} is not encrypted",
            f"give the server a certificate, and {setting} the scheme tls://",
        )


def _judge_identity(one: PlaneSeen, settings: Settings) -> Iterator[Finding]:
    identity = one.identity
    if identity is None:
        yield Finding(
            Code.PERMISSIONS_UNKNOWN,
            f"the server of the {one.plane} plane does not tell what we may do",
            f"allow the worker's user to publish {permissions.USER_INFO}, which tells it of itself alone",
        )
        return
    if identity.publish is None or identity.subscribe is None:
        if one.asks_who:
            yield Finding(
                Code.WORKER_UNRESTRICTED,
                f"the {one.plane} plane's user may do everything in the account {identity.account}",
                "give it the permissions of the worker: see deploy/nats, docs/security.md",
            )
        return
    sides = Sides(**{role.value: role in settings.roles for role in Role})
    needed = permissions.requirements(one.plane, settings.topology, one.inbox, sides)
    missing = permissions.missing(needed, identity.publish, identity.subscribe)
    if missing:
        yield Finding(
            Code.PERMISSION_MISSING,
            f"on the {one.plane} plane, account {identity.account}, the worker may not {'; not '.join(missing)}",
            "allow it in the server's configuration (docs/security.md), and reload the server",
        )


def _numbers(version: str) -> tuple[int, ...]:
    found = version.partition("-")[0].split(".")
    return tuple(int(one) if one.isdigit() else 0 for one in found)
