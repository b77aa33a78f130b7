"""A user of the worker on plain nats-py, written from the contract alone: nothing of the project is imported."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import nats
import nats.errors
from nats.aio.client import Client
from nats.js.errors import NotFoundError

T = TypeVar("T")

# Who hangs is found out, and nobody's speed is judged; less than AckWait, after which what was lost comes again.
WAIT_S = 45.0
POLL_S = 0.02


async def eventually(look: Callable[[], Awaitable[T]], accept: Callable[[T], bool], within_s: float = WAIT_S) -> T:
    """Look at the outside world until what is seen is acceptable, and give it; fail with what was seen last."""
    deadline = time.monotonic() + within_s
    while True:
        seen = await look()
        if accept(seen):
            return seen
        assert time.monotonic() < deadline, f"after {within_s:g} s still {seen!r}"
        await asyncio.sleep(POLL_S)


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a stream."""

    subject: str
    sequence: int
    headers: dict[str, str]
    data: bytes

    @property
    def body(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.data)
        return found


class Bus:
    """Commands, queries, facts, and what comes out of the streams."""

    def __init__(self, client: Client, jetstream_wait_s: float = WAIT_S) -> None:
        self.client = client
        self.jetstream = client.jetstream(timeout=jetstream_wait_s)

    async def command(
        self,
        actor: str,
        verb: str,
        payload: dict[str, Any] | bytes,
        command_id: str | None = None,
        wait_s: float = WAIT_S,
    ) -> dict[str, Any]:
        """Send a command and give its answer's envelope; raises TimeoutError where none comes."""
        command_id = command_id or str(uuid.uuid4())
        replies = await self.client.subscribe(f"rules.reply.{actor}.{command_id}", max_msgs=1)
        try:
            await self.client.flush()
            await self.send_command(actor, verb, payload, {"Nats-Msg-Id": command_id})
            answer: dict[str, Any] = json.loads((await replies.next_msg(timeout=wait_s)).data)
        finally:
            await replies.unsubscribe()
        assert answer["commandId"] == command_id
        return answer

    async def send_command(
        self, actor: str, verb: str, payload: dict[str, Any] | bytes, headers: dict[str, str] | None
    ) -> None:
        """Publish a command and wait until it is durable, not until it is decided."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        await self.jetstream.publish(f"rules.command.{actor}.{verb}", body, headers=headers)

    async def query(self, actor: str, verb: str, payload: dict[str, Any] | bytes | None = None) -> dict[str, Any]:
        """Ask and give the answer's envelope."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload or {}).encode()
        message = await self.client.request(f"rules.query.{actor}.{verb}", body, timeout=WAIT_S)
        answer: dict[str, Any] = json.loads(message.data)
        return answer

    async def ask(self, verb: str, **payload: Any) -> dict[str, Any]:
        """Ask as a viewer and give the result."""
        answer = await self.query("viewer", verb, payload)
        assert answer["status"] == "ok", answer
        result: dict[str, Any] = answer["result"]
        return result

    async def tell(self, actor: str, verb: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Send a command that must succeed and give its result."""
        answer = await self.command(actor, verb, payload)
        assert answer["status"] == "ok", answer
        result: dict[str, Any] = answer["result"]
        return result

    async def activate_new(self, name: str, dsl: str, priority: str = "MEDIUM") -> dict[str, Any]:
        """Take a new rule through its whole life until it decides."""
        rule = await self.tell("ann", "create", {"name": name, "dslContent": dsl, "priority": priority})
        return await self.review_and_activate(rule)

    async def review_and_activate(self, rule: dict[str, Any]) -> dict[str, Any]:
        """Submit, approve (by another actor) and activate a rule's latest version."""
        named = {"ruleId": rule["ruleId"]}
        await self.tell("ann", "submit", named)
        await self.tell("bob", "approve", {**named, "expectedVersion": rule["version"]})
        return await self.tell("bob", "activate", named)

    async def publish_fact(self, fact_type: str, data: Any, headers: dict[str, str] | None = None) -> int:
        """Publish a fact and give its sequence in the stream."""
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        return (await self.jetstream.publish(f"facts.{fact_type}", body, headers=headers)).seq

    async def decide(self, fact_type: str, data: dict[str, Any]) -> dict[str, Any]:
        """Publish a fact and give its decision."""
        fact_id = str(uuid.uuid4())
        await self.publish_fact(fact_type, data, {"Nats-Msg-Id": fact_id})
        answer = await eventually(
            lambda: self.query("viewer", "decision", {"factId": fact_id}), lambda seen: seen["status"] == "ok"
        )
        result: dict[str, Any] = answer["result"]
        return result

    async def last(self, stream: str, subject: str) -> Message | None:
        """Give the last message of a subject in a stream."""
        try:
            found = await self.jetstream.get_last_msg(stream, subject)
        except NotFoundError:
            return None
        return Message(found.subject or "", found.seq or 0, dict(found.headers or {}), found.data or b"")

    async def count(self, stream: str) -> int:
        """Give how many messages a stream has ever stored."""
        return int((await self.jetstream.stream_info(stream)).state.last_seq)

    async def stored(self, stream: str, subject: str = ">") -> list[Message]:
        """Give every message that a stream holds under a subject, the oldest first."""
        info = await self.jetstream.stream_info(stream, subjects_filter=subject)
        wanted = sum((info.state.subjects or {}).values())
        if not wanted:
            return []
        found: list[Message] = []
        subscription = await self.jetstream.subscribe(
            subject, stream=stream, ordered_consumer=True, pending_msgs_limit=0, pending_bytes_limit=0
        )
        try:
            while len(found) < wanted:
                message = await subscription.next_msg(timeout=WAIT_S)
                sequence = message.metadata.sequence.stream
                found.append(Message(message.subject, sequence, dict(message.headers or {}), message.data))
        finally:
            await subscription.unsubscribe()
        return found

    async def wait_stored(self, stream: str, count: int, subject: str = ">", within_s: float = WAIT_S) -> list[Message]:
        """Wait until a stream has stored so many messages and give those under a subject."""
        await eventually(lambda: self.count(stream), lambda seen: seen >= count, within_s)
        return await self.stored(stream, subject)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Bus]:
    """Connect for the length of a block."""
    client = await nats.connect(url)
    try:
        yield Bus(client)
    finally:
        await client.close()
