"""What a worker tells of itself to whoever discovers services."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version

from nats.aio.client import Client

from domain.decisions.ruleset import Ruleset
from streams import subjects
from streams.control import QUEUE_GROUP
from streams.discovery import Discovery, Endpoint, Tally
from worker.migrations.newest import SCHEMA_VERSION
from worker.release import language_digest, this_release
from worker.settings import Role, Settings
from worker.telemetry.identity import INSTANCE


def worker_discovery(
    client: Client, settings: Settings, tallies: Mapping[str, Tally], ruleset: Callable[[], Ruleset]
) -> Discovery:
    """Describe a worker with its settings; ``tallies`` has one for each of facts, commands and queries.

    Its metadata tells host, instance (as logs, traces and metrics do), roles, and by digests what must be alike in all
    workers: the role policy, the rule language and the code. The ruleset's revision and digest, which change, are among
    each endpoint's statistics.
    """
    metadata = {
        "host": platform.node(),
        "instance": INSTANCE,
        "roles": ",".join(sorted(role.value for role in settings.roles)),
        "policy": settings.role_policy.digest or "",
        "language": language_digest().hex()[:16],
        "code": this_release().code[:16],
        "schema": str(SCHEMA_VERSION),
    }

    def state() -> dict[str, object]:
        current = ruleset()
        return {"revision": current.revision, "digest": current.digest.hex()}

    endpoints = [
        Endpoint(role.value, subject, group, tallies[role.value], about, state)
        for role, subject, group, about in (
            (Role.FACTS, subjects.FACTS, settings.facts_consumer, {"stream": settings.facts_stream}),
            (Role.COMMANDS, subjects.COMMANDS, settings.commands_consumer, {"stream": settings.commands_stream}),
            (Role.QUERIES, subjects.QUERIES, QUEUE_GROUP, {}),
        )
        if role in settings.roles
    ]
    return Discovery(client, version("rulestream"), metadata, endpoints)
