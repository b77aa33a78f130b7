"""Service discovery: each worker answers ``$SRV.PING``, ``$SRV.INFO`` and ``$SRV.STATS``; ``nats micro ls`` lists them.

The messages are those of NATS's service API (ADR-32 of nats-io/nats-architecture-and-design), by the types of
``nats.micro``. Its ``Service`` is not used: it would serve the endpoints itself, which here are consumers and a queue
group that exist without it, and it answers to whatever subject it is told, so that who may ask could have the worker
publish an event or an effect.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.micro.service import (
    EndpointInfo,
    EndpointStats,
    ServiceInfo,
    ServicePing,
    ServiceStats,
    ServiceVerb,
    control_subject,
)
from nats.nuid import NUID

SERVICE: Final = "rulestream"
# Where an answer may go: an inbox, shared or private, or the server's own way back to another account's inbox.
_INBOX: Final = re.compile(r"(_INBOX(_[A-Za-z0-9_-]{1,64})?|_R_)\.[^ ]+")


class Tally:
    """How often an endpoint was asked, how often it answered with an error, and for how many nanoseconds it worked."""

    __slots__ = ("errors", "last_error", "requests", "worked_ns")

    def __init__(self) -> None:
        self.requests = 0
        self.errors = 0
        self.worked_ns = 0
        self.last_error = ""

    def count(self, seconds: float, *, requests: int = 1, errors: int = 0, last_error: str = "") -> None:
        """Take requests into account that ``seconds`` were worked on; ``last_error`` is a code, never a payload."""
        self.requests += requests
        self.errors += errors
        self.worked_ns += int(seconds * 1e9)
        if last_error:
            self.last_error = last_error


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Something that a worker serves; ``state`` is told with its statistics, as JSON data."""

    name: str
    subject: str
    queue_group: str
    tally: Tally
    metadata: Mapping[str, str]
    state: Callable[[], Mapping[str, Any]] = dict


class Discovery:
    """One worker, as the service API shows it. Its metadata and its endpoints do not change while it runs."""

    def __init__(
        self, client: Client, version: str, metadata: Mapping[str, str], endpoints: Sequence[Endpoint]
    ) -> None:
        self.id: Final = NUID().next().decode()
        self._client = client
        self._version = version
        self._metadata = dict(metadata)
        self._endpoints = endpoints
        self._started = datetime.now(UTC)
        self._subscriptions: list[Subscription] = []

    async def start(self) -> None:
        """Begin to answer: who asks all services, all of ours, or this one."""
        for verb, answer in (
            (ServiceVerb.PING, self._ping),
            (ServiceVerb.INFO, self._info),
            (ServiceVerb.STATS, self._stats),
        ):

            async def respond(message: Msg, answer: Callable[[], dict[str, Any]] = answer) -> None:
                if _INBOX.fullmatch(message.reply):
                    await self._client.publish(message.reply, msgspec.json.encode(answer()))

            for name, id_ in ((None, None), (SERVICE, None), (SERVICE, self.id)):
                subject = control_subject(verb, name=name, id=id_)
                self._subscriptions.append(await self._client.subscribe(subject, cb=respond))

    async def stop(self) -> None:
        """Answer no more."""
        while self._subscriptions:
            subscription = self._subscriptions.pop()
            if not self._client.is_closed:
                await subscription.unsubscribe()

    def _ping(self) -> dict[str, Any]:
        return ServicePing(self.id, SERVICE, self._version, self._metadata).to_dict()

    def _info(self) -> dict[str, Any]:
        return ServiceInfo(
            SERVICE,
            self.id,
            self._version,
            "Decides facts by rules, each exactly once.",
            [EndpointInfo(one.name, one.subject, one.queue_group, dict(one.metadata)) for one in self._endpoints],
            self._metadata,
        ).to_dict()

    def _stats(self) -> dict[str, Any]:
        return ServiceStats(
            self.id, SERVICE, self._version, self._started, [_stats(one) for one in self._endpoints], self._metadata
        ).to_dict()


def _stats(endpoint: Endpoint) -> EndpointStats:
    tally = endpoint.tally
    return EndpointStats(
        name=endpoint.name,
        subject=endpoint.subject,
        queue_group=endpoint.queue_group,
        num_requests=tally.requests,
        num_errors=tally.errors,
        processing_time=tally.worked_ns,
        average_processing_time=tally.worked_ns // tally.requests if tally.requests else 0,
        last_error=tally.last_error,
        data=endpoint.state(),
    )
