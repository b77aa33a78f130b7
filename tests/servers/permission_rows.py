"""The tables of ``docs/security.md`` as checks on a running server: what an identity can and cannot do on the wire."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import nats.errors
from nats.aio.msg import Msg

from streams import topology
from streams.connection import LenientClient, connect
from streams.denials import Denial
from tests.servers.secured import WITNESSES, Secured

PAGE: Final = Path(__file__).parents[2] / "docs" / "security.md"
WAIT_S: Final = 10.0
_ROW: Final = re.compile(r"\| ([\w-]+) \| `(PUB|SUB) ([^`]+)` \| (yes|no|own account|not stored) \|")
_PARTS: Final = re.compile(r"(\S+)(?: QUEUE (\S+))?(?: REPLY (\S+))?(?: WITH ([\w-]+): (.+?))?(?: SAYING (\S+))?")
# Which identity has something arrive on the subjects that a client hears.
_SPEAKERS: Final[Mapping[str, str]] = {
    "rules.reply.": "worker-control",
    "rules.event.": "worker-control",
    "decisions.": "worker-data",
    "effects.": "worker-data",
}
_NO_ANSWER: Final = ("rules.query.", "rules.reply.", "$SRV.")
# Headers that one of a row needs beside it to mean something.
_BESIDE: Final[Mapping[str, Mapping[str, str]]] = {
    "Nats-Batch-Id": {"Nats-Batch-Sequence": "1"},
}
_SCHEDULE: Final = "Nats-Schedule"
_TRACE: Final = "Nats-Trace-Dest"

Outcome = Literal["yes", "no", "own account", "not stored"]


@dataclass(frozen=True, slots=True)
class Row:
    """One row: who does what, and what comes of it."""

    who: str
    does: str
    subject: str
    outcome: Outcome
    reply: str | None = None
    header: tuple[str, str] | None = None
    payload: bytes = b""
    queue: str = ""

    @property
    def named(self) -> str | None:
        """Where the client wants the server to publish."""
        return self.header[1] if self.header and self.header[0] == _TRACE else self.reply

    @property
    def refused(self) -> str:
        """The subject that the server names where it refuses the row."""
        is_named = self.header is not None or (self.reply or "").startswith(("_R_.", "$JS.ACK."))
        return self.named if self.named is not None and is_named else self.subject

    def __str__(self) -> str:
        with_queue = f" QUEUE {self.queue}" if self.queue else ""
        with_reply = f" REPLY {self.reply}" if self.reply else ""
        with_header = f" WITH {self.header[0]}: {self.header[1]}" if self.header else ""
        return f"{self.who} {self.does} {self.subject}{with_queue}{with_reply}{with_header} is {self.outcome}"


def rows(page: str) -> list[Row]:
    """Read every row of the page's tables."""
    found = []
    for who, does, what, outcome in _ROW.findall(page):
        parts = _PARTS.fullmatch(what)
        assert parts, what
        subject, queue, reply, name, value, payload = parts.groups()
        header = (name, value) if name else None
        found.append(Row(who, does, subject, outcome, reply, header, (payload or "").encode(), queue or ""))
    return found


@dataclass(slots=True)
class Stage:
    """A secured server with its streams, and a connection for each identity."""

    server: Secured
    clients: dict[str, LenientClient] = field(default_factory=dict)
    seen: list[Msg] = field(default_factory=list)

    async def holds(self, row: Row) -> bool:
        """Do what a row says and tell whether that comes of it."""
        denials: list[Denial] = []
        client = self.clients[row.who]
        client.denials.waiting.append(denials.append)
        try:
            return await (self._publishes(row, denials) if row.does == "PUB" else self._subscribes(row, denials))
        finally:
            client.denials.waiting.remove(denials.append)

    async def _subscribes(self, row: Row, denials: list[Denial]) -> bool:
        client = self.clients[row.who]
        subscription = await client.subscribe(row.subject, queue=row.queue)
        await round_trip(client)
        try:
            if denials:
                return row.outcome == "no" and denials[0] == Denial("subscribe", row.subject)
            if row.outcome != "yes":
                return False
            speaker = next((name for prefix, name in _SPEAKERS.items() if row.subject.startswith(prefix)), None)
            if speaker is not None:
                subject = row.subject.replace("*", "x").replace(">", "probe.x")
                await self.clients[speaker].publish(subject, b"{}")
                await subscription.next_msg(timeout=WAIT_S)
            return True
        finally:
            await subscription.unsubscribe()

    async def _publishes(self, row: Row, denials: list[Denial]) -> bool:
        client = self.clients[row.who]
        inbox = client.new_inbox()
        answers = await client.subscribe(inbox)
        before = len(self.seen)
        try:
            async with self._eavesdropping(row.named) as overheard:
                await self._send(row, row.reply or inbox)
                await round_trip(client)
                if denials:
                    return row.outcome == "no" and denials[0] == Denial("publish", row.refused)
                if row.outcome == "no":
                    return False
                if row.outcome == "own account":
                    # The same again, answered to the client: by then the first has been answered too.
                    await self._send(row, inbox)
                    await answers.next_msg(timeout=WAIT_S)
                    await self._settled()
                    return not overheard
                if row.subject.startswith(_NO_ANSWER):
                    return await self._was_seen(row.subject, before)
                answer = await answers.next_msg(timeout=WAIT_S)
        except nats.errors.TimeoutError:
            return False
        finally:
            await answers.unsubscribe()
        is_refused = b'"error"' in answer.data and row.subject.startswith(("facts.", "rules.command."))
        return is_refused == (row.outcome == "not stored")

    async def _send(self, row: Row, reply: str) -> None:
        headers = dict([row.header]) if row.header else {}
        headers.update(_BESIDE.get(row.header[0], {}) if row.header else {})
        if _SCHEDULE in headers:  # to be published later, as another: a target is of the same stream
            is_fact = row.subject.startswith("facts.")
            headers["Nats-Schedule-Target"] = "facts.payment.failed" if is_fact else "rules.command.bob.approve"
        await self.clients[row.who].publish(row.subject, row.payload, reply=reply, headers=headers or None)

    @asynccontextmanager
    async def _eavesdropping(self, subject: str | None) -> AsyncIterator[list[Msg]]:
        """Give what comes to the planes' accounts on a subject, whichever subject a delivered message shows."""
        overheard: list[Msg] = []

        async def hear(message: Msg) -> None:
            overheard.append(message)

        subscriptions = [
            (self.clients[name], await self.clients[name].subscribe(subject, cb=hear))
            for name in WITNESSES
            if subject is not None
        ]
        for client, _ in subscriptions:
            await round_trip(client)
        try:
            yield overheard
        finally:
            for _, subscription in subscriptions:
                await subscription.unsubscribe()

    async def _was_seen(self, subject: str, before: int) -> bool:
        await self._settled()
        return any(message.subject == subject for message in self.seen[before:])

    async def _settled(self) -> None:
        for name in (*WITNESSES, "worker-control", "worker-data", *WITNESSES):
            await round_trip(self.clients[name])


async def round_trip(client: LenientClient) -> None:
    """Wait until the server has taken what was sent before; nats-py's ping may overtake what waits to be written."""
    for _ in range(2):
        await client.flush()


@asynccontextmanager
async def staged(
    server: Secured, *, change: Callable[[topology.Topology], topology.Topology] | None = None
) -> AsyncIterator[Stage]:
    """Declare the streams, connect as every identity and let witnesses listen, for the length of a block."""
    stage = Stage(server)
    async with AsyncExitStack() as stack:
        names = [*(one.name for one in server.identities), *WITNESSES]
        clients = await asyncio.gather(*(connect(server.endpoint(name), name) for name in names))
        for name, client in zip(names, clients, strict=True):
            stage.clients[name] = client
            stack.push_async_callback(client.close)
        wanted = topology.topology(server.settings)
        await topology.apply(
            wanted if change is None else change(wanted), stage.clients["worker-control"], stage.clients["worker-data"]
        )

        async def see(message: Msg) -> None:
            stage.seen.append(message)

        async def answer(message: Msg) -> None:
            await message.respond(b"{}")  # to whatever reply subject it is: no help from the worker's own care

        for name in WITNESSES:
            await stage.clients[name].subscribe(">", cb=see)
            await round_trip(stage.clients[name])
        await stage.clients["worker-control"].subscribe("rules.query.*.*", cb=answer)
        await round_trip(stage.clients["worker-control"])
        for _ in range(3):  # for subscribers to take
            for subject in ("decisions.matched.order.placed", "effects.loyalty.points"):
                await stage.clients["worker-data"].jetstream().publish(subject, b"{}")
        yield stage
