"""The server's accounts and the worker's settings that follow from who is who (``worker.identities``).

The server's part is one file, ``accounts.conf``, that ``deploy/nats/nats-server.conf`` includes: CONTROL and DATA with
the streams, their workers and engineers, SYS, and an account for each client. See ``streams.permissions`` for why.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from streams.permissions import (
    PLANES,
    Access,
    Permissions,
    Role,
    administering,
    client_access,
    engineering,
    inbox_prefix,
    working,
)
from streams.topology import Plane, TopologySettings
from worker.identities import IdentitiesError, Identity, actors_of

ACCOUNTS: Final[Mapping[Plane, str]] = {"control": "CONTROL", "data": "DATA"}
SYSTEM: Final = "SYS"
# One client's bounds. The payload: facts are at most 512 KiB, a command with a long rule or many rows less than this.
CLIENT_LIMITS: Final = {
    "max_connections": 64,
    "max_subscriptions": 128,
    "max_payload": 1024 * 1024,
    "max_leafnodes": 0,
}
_HEAD: Final = """\
# Made by `rulestream nats-config write`, never edited: change the file of identities and make it again.
# Accounts and their users. Everything that is not allowed here is refused.
"""

Accounts = dict[str, dict[str, Any]]


def accounts_of(identities: Sequence[Identity], settings: TopologySettings) -> Accounts:
    """Return the server's accounts as data; raises IdentitiesError where there is no worker for a plane."""
    for role in (Role.WORKER_DATA, Role.WORKER_CONTROL):
        if not any(role in one.roles for one in identities):
            raise IdentitiesError(f"wrong identities:\n  no identity has the role {role}: rules would never decide")
    settings = replace(settings, subscribers=subscribers_of(identities))
    clients = {
        one.name: client_access(one.name, one.roles, settings, one.fact_types) for one in identities if one.is_client
    }
    system = {one.name: administering(inbox_prefix(one.name)) for one in identities if Role.SYSTEM in one.roles}
    found: Accounts = {SYSTEM: {"users": _users(identities, Role.SYSTEM, system)}}
    for plane, name in ACCOUNTS.items():
        found[name] = {
            "jetstream": "enabled",
            "users": [
                user
                for role in PLANES
                for user in _users(identities, role, _plane_permissions(identities, settings))
                if PLANES[role] == plane
            ],
            "exports": _exports(plane, clients),
        }
    for one in identities:
        if one.is_client:
            access = clients[one.name]
            allowed = _allowed(access.permissions)
            found[one.name] = {
                "users": [{"nkey": key, "permissions": allowed} for key in one.keys],
                "imports": _imports(access),
                "limits": CLIENT_LIMITS,
            }
    return found


def accounts_file(accounts: Accounts) -> str:
    """Write accounts as the server reads them."""
    return f"{_HEAD}accounts: {json.dumps(accounts, indent=2)}\n"


def settings_file(identities: Sequence[Identity]) -> str:
    """Write the settings of every worker that follow from who is who, as the TOML file that RULESTREAM_CONFIG names."""
    lines = ["# Made by `rulestream nats-config write`: the same for every worker."]
    if subscribers := subscribers_of(identities):
        lines.append(f"decision_subscribers = {json.dumps(list(subscribers))}")
    if actors := actors_of(identities):
        lines += ["", "[role_policy]", *(f"{json.dumps(name)} = {json.dumps(held)}" for name, held in actors.items())]
    return "\n".join(lines) + "\n"


def subscribers_of(identities: Sequence[Identity]) -> tuple[str, ...]:
    """Return who has durable consumers on decisions and effects."""
    return tuple(one.name for one in identities if Role.SUBSCRIBER in one.roles)


def _plane_permissions(identities: Sequence[Identity], settings: TopologySettings) -> dict[str, Permissions]:
    engineers = [inbox_prefix(one.name) for one in identities if Role.ENGINEER_CONTROL in one.roles]
    found: dict[str, Permissions] = {}
    for one in identities:
        inbox = inbox_prefix(one.name)
        for role in one.roles & set(PLANES):
            plane = PLANES[role]
            if role in {Role.WORKER_DATA, Role.WORKER_CONTROL}:
                found[one.name] = working(plane, settings, inbox, engineers)
            else:
                found[one.name] = engineering(plane, settings, inbox)
    return found


def _users(identities: Sequence[Identity], role: Role, permissions: Mapping[str, Permissions]) -> list[dict[str, Any]]:
    users: list[dict[str, Any]] = []
    for one in identities:
        if role in one.roles:
            allowed = _allowed(permissions[one.name])
            users.extend({"nkey": key, "permissions": allowed} for key in one.keys)
    return users


def _allowed(permissions: Permissions) -> dict[str, Any]:
    """Name what is allowed; an empty list would allow everything, so that nothing is named by its opposite."""
    return {
        side: {"allow": list(subjects)} if subjects else {"deny": [">"]}
        for side, subjects in (("publish", permissions.publish), ("subscribe", permissions.subscribe))
    }


def _exports(plane: Plane, clients: Mapping[str, Access]) -> list[dict[str, Any]]:
    services: dict[str, list[str]] = defaultdict(list)
    feeds: dict[str, list[str]] = defaultdict(list)
    for name, access in clients.items():
        for service in access.services:
            if service.plane == plane:
                services[service.subject].append(name)
        for feed in access.feeds:
            if feed.plane == plane:
                feeds[feed.subject].append(name)
    return [
        *({"service": subject, "accounts": names} for subject, names in services.items()),
        *({"stream": subject, "accounts": names} for subject, names in feeds.items()),
    ]


def _imports(access: Access) -> list[dict[str, Any]]:
    return [
        *({"service": {"account": ACCOUNTS[one.plane], "subject": one.subject}} for one in access.services),
        *({"stream": {"account": ACCOUNTS[one.plane], "subject": one.subject}} for one in access.feeds),
    ]
