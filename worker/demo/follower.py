"""Following the decision stream to its end, and counting what was decided."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import msgspec
from nats.aio.client import Client
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import ConsumerConfig, DeliverPolicy

from domain.errors import RulestreamError

SILENCE_MAX_S: Final = 60.0


class StalledError(RulestreamError):
    """No decision came for a long time although some are missing."""


class _Match(msgspec.Struct, frozen=True):
    name: str
    branch: str


class _Named(msgspec.Struct, frozen=True):
    name: str


class _Decision(msgspec.Struct, frozen=True, rename="camel"):
    decision_id: str
    outcome: str
    matches: list[_Match]
    effects: list[_Named]
    fault_count: int


_DECODER: Final = msgspec.json.Decoder(_Decision)


@dataclass(slots=True)
class Tally:
    """What was decided: decisions by distinct id, repeats, and per rule how often its ``then`` was taken."""

    seen: set[str] = field(default_factory=set)
    repeated: int = 0
    matched: int = 0
    faults: int = 0
    by_rule: Counter[str] = field(default_factory=Counter)
    by_effect: Counter[str] = field(default_factory=Counter)
    sample: bytes = b""

    @property
    def decisions(self) -> int:
        return len(self.seen)

    def add(self, body: bytes) -> None:
        """Count one message of the decision stream."""
        decision = _DECODER.decode(body)
        if decision.decision_id in self.seen:
            self.repeated += 1
            return
        self.seen.add(decision.decision_id)
        self.matched += decision.outcome == "matched"
        self.faults += decision.fault_count
        for match in decision.matches:
            if match.branch == "then":
                self.by_rule[match.name] += 1
        for effect in decision.effects:
            self.by_effect[effect.name] += 1
        if decision.effects and not self.sample:
            self.sample = body


async def follow(client: Client, stream: str, tally: Tally, wanted: asyncio.Future[int]) -> None:
    """Read the decision stream from its beginning until as many decisions are seen as ``wanted`` comes to say.

    Raises StalledError when nothing comes for a minute.
    """
    subscription = await client.jetstream().subscribe(
        "decisions.>",
        stream=stream,
        ordered_consumer=True,
        config=ConsumerConfig(deliver_policy=DeliverPolicy.ALL),
        pending_msgs_limit=0,
        pending_bytes_limit=0,
    )
    loop = asyncio.get_running_loop()
    heard = loop.time()
    queue = subscription._pending_queue  # noqa: SLF001  # next_msg makes a task a message, which costs more than deciding
    while not (wanted.done() and tally.decisions >= wanted.result()):
        if queue.empty():
            try:
                message = await subscription.next_msg(timeout=0.5)
            except (TimeoutError, NatsTimeoutError):
                if loop.time() - heard > SILENCE_MAX_S:
                    raise StalledError(f"no decision for {SILENCE_MAX_S:g} s, {tally.decisions} seen") from None
                continue
        else:
            message = queue.get_nowait()
            queue.task_done()
        heard = loop.time()
        tally.add(message.data)
