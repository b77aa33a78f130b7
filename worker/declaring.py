"""A worker's first steps on the server: what it may do there, and the streams and consumers that it needs."""

from __future__ import annotations

from contextlib import AsyncExitStack

import structlog

from streams import topology
from streams.connection import LenientClient, connect
from streams.granting import require_permissions
from streams.permissions import Sides, requirements
from worker.settings import Role, Settings

_log = structlog.get_logger(__name__)


async def _require_permissions(settings: Settings, control: LenientClient, data: LenientClient) -> None:
    """Raise PermissionsMissingError with every subject that this worker needs and may not use."""
    sides = Sides(**{role.value: role in settings.roles for role in Role})
    await require_permissions(
        [
            (
                "control",
                control,
                requirements("control", settings.topology, settings.control_endpoint.inbox_prefix, sides),
            ),
            ("data", data, requirements("data", settings.topology, settings.data_endpoint.inbox_prefix, sides)),
        ]
    )


async def declare_topology(settings: Settings, data: LenientClient) -> None:
    """Declare what is missing on both planes, and log what was declared and what is otherwise than wanted.

    Raises PermissionsMissingError with every subject that this worker may not use and needs, before anything else;
    PermissionDeniedError where something is to be declared and may not be; UnavailableError, TopologyError.
    """
    wanted = topology.topology(settings.topology)
    async with AsyncExitStack() as stack:
        control = data
        if settings.control_endpoint != settings.data_endpoint:
            control = await connect(
                settings.control_endpoint, "rulestream-topology", timeout_s=settings.connect_timeout_s
            )
            stack.push_async_callback(control.close)
        await _require_permissions(settings, control, data)
        async with control.denials.raised(), data.denials.raised():  # to declare what is missing
            applied = await topology.apply(wanted, control, data)
    for name in applied.created:
        _log.info("topology_created", name=name)
    for difference in applied.differences:
        _log.warning("topology_differs", difference=str(difference))
