"""Following decisions: by the stream, by a subscriber's durable consumer, or as they are published."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, DeliverPolicy
from nats.js.errors import APIError

from domain.errors import UnavailableError
from streams import subjects
from streams.endpoint import Endpoint
from streams.permissions import covers
from worker.cli.running import stop_signal
from worker.connecting import connection

# How long one wait for a message is, in seconds; then it is looked whether to stop.
_WAIT_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which decisions: on a subject with wildcards; from the oldest on; or what a durable consumer holds."""

    subject: str
    from_start: bool = False
    durable: str | None = None


async def tail(where: Endpoint, stream: str, wanted: Wanted, count: int | None, show: Callable[[bytes], None]) -> None:
    """Show decisions until a signal comes, or so many were shown.

    What a durable consumer holds is acknowledged when it was shown, or is not wanted. Raises UnavailableError, and
    PermissionDeniedError where the server refuses a subject.
    """
    stopping = stop_signal()
    seen = 0
    try:
        async with connection(where, "rulestream-tail") as client:
            if wanted.durable is not None:
                found = _held(client, wanted.durable)
            elif where.has_identity and not wanted.from_start:
                found = _published(client, wanted.subject)
            else:
                found = _stored(client, stream, wanted)
            async with aclosing(found) as messages:
                async for message in messages:
                    if message is not None and covers(wanted.subject, message.subject):
                        show(message.data)
                        seen += 1
                    if message is not None and wanted.durable is not None:
                        await message.ack_sync(timeout=5.0)
                    if stopping.is_set() or seen == count:
                        return
    except (nats.errors.Error, APIError) as error:
        raise UnavailableError("nats", f"the decisions cannot be followed: {error}") from error


async def _stored(client: Client, stream: str, wanted: Wanted) -> AsyncGenerator[Msg | None, None]:
    policy = DeliverPolicy.ALL if wanted.from_start else DeliverPolicy.NEW
    subscription = await client.jetstream().subscribe(
        wanted.subject, stream=stream, ordered_consumer=True, config=ConsumerConfig(deliver_policy=policy)
    )
    while True:
        try:
            yield await subscription.next_msg(timeout=_WAIT_S)
        except TimeoutError:
            yield None


async def _published(client: Client, subject: str) -> AsyncGenerator[Msg | None, None]:
    subscription = await client.subscribe(subject)
    while True:
        try:
            yield await subscription.next_msg(timeout=_WAIT_S)
        except TimeoutError:
            yield None


async def _held(client: Client, name: str) -> AsyncGenerator[Msg | None, None]:
    """Give what a subscriber's consumer delivers; what was delivered and not given is handed back."""
    arrived: asyncio.Queue[Msg] = asyncio.Queue()
    subscription = await client.subscribe(subjects.deliver(subjects.DECISIONS, name), queue=name, cb=arrived.put)
    try:
        while True:
            try:
                yield await asyncio.wait_for(arrived.get(), _WAIT_S)
            except TimeoutError:
                yield None
    finally:
        if client.is_connected:
            await subscription.unsubscribe()
            await client.flush()
            while not arrived.empty():
                await arrived.get_nowait().nak()
            await client.flush()
