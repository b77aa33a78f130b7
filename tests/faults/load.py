"""Facts of every kind, published without end until told, each publish tried until JetStream has acknowledged it."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import nats.errors
import nats.js.errors

from tests.behaviour.bus import Bus
from tests.faults.evidence import CONSUMER, FACTS
from tests.faults.ledger import Entry, Ledger
from tests.faults.rulebook import CANCELLED, PLACED

ACK_TIMEOUT_S = 3.0
AGAIN_AFTER_S = 0.1
# A burst of facts, and the pause before the next: some hundred facts a second, so that there is always something to do.
BURST_MAX = 40
PAUSE_S = 0.05
# The load goes on while fewer facts than this wait for their delivery or their acknowledgement: dead workers hold what
# they took until AckWait is over.
UNFINISHED_MAX = 1_500
REFUSED = (TimeoutError, OSError, nats.errors.Error, nats.js.errors.Error)


@dataclass(frozen=True, slots=True)
class Mix:
    """Shares of what is published, each between 0 and 1; what is left are good facts, each published once."""

    repeated: float = 0.06  # the same content under the same id: just sent, or long ago
    poison: float = 0.01
    failing: float = 0.04  # a rule fails on it


@dataclass(frozen=True, slots=True)
class Poison:
    """A message that can be no decision, and why."""

    reason: str
    make: Callable[[int], tuple[str, dict[str, str] | None, bytes]]


FACT_BYTES_MAX = 512 * 1024
POISONS = (
    Poison("NOT_JSON", lambda n: (f"facts.{PLACED}", None, b'{"number": %d, "total": ' % n)),
    Poison("NOT_AN_OBJECT", lambda n: (f"facts.{PLACED}", {"Nats-Msg-Id": f"list-{n}"}, b"[%d]" % n)),
    Poison("NUMBER_OUT_OF_RANGE", lambda n: (f"facts.{PLACED}", None, b'{"number": %d, "total": 1e999}' % n)),
    Poison("FACT_TOO_DEEP", lambda n: (f"facts.{PLACED}", None, b'{"n": %d, "a": ' % n + b"[" * 70 + b"]" * 70 + b"}")),
    Poison(
        "FACT_TOO_LARGE",
        lambda n: (f"facts.{PLACED}", None, b'{"number": %d, "note": "%b"}' % (n, b"x" * FACT_BYTES_MAX)),
    ),
    Poison(
        "INVALID_FACT_ID",
        lambda n: (f"facts.{PLACED}", {"ce-id": "i" * 257, "ce-source": "shop"}, b'{"number": %d, "poison": 1}' % n),
    ),
    Poison(
        "INVALID_CLOUD_EVENT", lambda n: (f"facts.{PLACED}", {"ce-id": f"c{n}"}, b'{"number": %d, "poison": 2}' % n)
    ),
    Poison("INVALID_SUBJECT", lambda n: ("facts.order!placed", None, b'{"number": %d, "poison": 3}' % n)),
)


class Load:
    """Publishes facts and writes the ledger."""

    def __init__(self, bus: Bus, ledger: Ledger, chance: random.Random, mix: Mix) -> None:
        self._bus = bus
        self._ledger = ledger
        self._chance = chance
        self.mix = mix
        self._numbers = 0
        self._task: asyncio.Task[None] | None = None
        self._is_ending = asyncio.Event()

    # --- what is published --------------------------------------------------------------------------------------------

    def fact(self, *, kind: str | None = None, **more: Any) -> Entry:
        """Make a good fact of one of the kinds of identity: ce, structured, bare-ce, msg or seq."""
        chance = self._chance
        self._numbers += 1
        number = self._numbers
        kind = kind or chance.choices(("ce", "structured", "bare-ce", "msg", "seq"), (45, 15, 10, 15, 15))[0]
        fact_type = CANCELLED if chance.random() < 0.15 else PLACED
        order: dict[str, Any] = {
            "number": number,
            "total": chance.randrange(1000),
            "parts": 0 if chance.random() < self.mix.failing else chance.randrange(1, 9),
            "customer": {"tier": chance.choice(("VIP", "STANDARD", "GOLD"))},
            "region": chance.choice(("EU", "US")),
            "note": "größer als Ω" if chance.random() < 0.2 else "",
            **more,
        }
        if chance.random() < 0.1:
            del order["parts"]
        time = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number, microseconds=chance.randrange(1_000_000))
        event = {"specversion": "1.0", "id": f"order-{number}", "source": chance.choice(("shop", "till/é"))}
        event |= {"type": "order", "time": time.isoformat()}
        if kind == "structured":
            headers: dict[str, str] | None = {"content-type": "application/cloudevents+json"}
            body: dict[str, Any] = {**event, "data": order}
        else:
            body = order
            headers = {f"ce-{name}": value for name, value in event.items()} if "ce" in kind else None
        if kind in {"ce", "structured"}:
            headers = {**(headers or {}), "Nats-Msg-Id": f"{event['source'][:4]}-{number}"}
        elif kind == "msg":
            headers = {"Nats-Msg-Id": f"order {number}"}
        return self._ledger.enter(f"facts.{fact_type}", headers, json.dumps(body, ensure_ascii=False).encode())

    def poison(self) -> Entry:
        """Make a message that must become a dead letter."""
        self._numbers += 1
        chosen = self._chance.choice(POISONS)
        return self._ledger.enter(*chosen.make(self._numbers), dead=chosen.reason)

    def deadly(self) -> Entry:
        """Make a fact that kills each worker of ``dying_worker`` that decides it."""
        entry = self.fact(kind="ce", deadly=True)
        entry.dead = "KILLED_WORKER"
        return entry

    def _known(self) -> Entry:
        """Choose what was published before under an id: one of the last, or any."""
        entries = self._ledger.entries
        first = max(0, len(entries) - 50) if self._chance.random() < 0.5 else 0
        for _ in range(20):
            entry = entries[self._chance.randrange(first, len(entries))]
            if entry.headers is not None and entry.dead is None:
                return entry
        return self.fact()

    def next(self) -> Entry:
        """Make or choose what is published next."""
        drawn = self._chance.random()
        if drawn < self.mix.poison:
            return self.poison()
        if drawn < self.mix.poison + self.mix.repeated and self._ledger.entries:
            return self._known()
        return self.fact()

    # --- publishing ---------------------------------------------------------------------------------------------------

    async def publish(self, entry: Entry) -> None:
        """Publish until JetStream has acknowledged it, however long that takes."""
        while True:
            entry.attempts += 1
            try:
                ack = await self._bus.jetstream.publish(
                    entry.subject, entry.data, timeout=ACK_TIMEOUT_S, headers=entry.headers
                )
            except REFUSED:  # the server is away, full or slow: whether the message is stored is not known
                await asyncio.sleep(AGAIN_AFTER_S)
                continue
            entry.acknowledged.append((ack.seq, bool(ack.duplicate)))
            return

    async def publish_all(self, entries: list[Entry]) -> None:
        """Publish many at once."""
        await asyncio.gather(*(self.publish(entry) for entry in entries))

    def start(self) -> None:
        """Publish from now on, so that there is always something to decide."""
        self._is_ending.clear()
        self._task = asyncio.create_task(self._go_on())

    async def end(self) -> None:
        """Publish no more, and wait until all that was is acknowledged."""
        self._is_ending.set()
        if self._task is not None:
            await self._task
            self._task = None

    async def _go_on(self) -> None:
        while not self._is_ending.is_set():
            if await self._has_room():
                await self.publish_all([self.next() for _ in range(self._chance.randint(1, BURST_MAX))])
            await asyncio.sleep(PAUSE_S)

    async def _has_room(self) -> bool:
        try:
            info = await self._bus.jetstream.consumer_info(FACTS, CONSUMER)
        except REFUSED:
            return True  # and the publishes wait until the server is back
        return (info.num_pending or 0) + (info.num_ack_pending or 0) < UNFINISHED_MAX


async def patiently(call: Callable[[], Awaitable[Any]]) -> Any:
    """Call until the server answers."""
    while True:
        try:
            return await call()
        except REFUSED:
            await asyncio.sleep(AGAIN_AFTER_S)
