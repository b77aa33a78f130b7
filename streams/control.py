"""The control plane on FastStream: commands in, answers and events out, queries answered.

FastStream's own acknowledging is off (AckPolicy.MANUAL): its default would drop a command on any exception. Settling is
done here, in one place, by the outcome (``streams.settling``).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol
from weakref import WeakValueDictionary

import structlog
from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker, PullSub
from faststream.nats.message import NatsMessage
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError
from nats.js.errors import APIError

from domain.errors import InvalidRequestError, UnavailableError
from domain.identifiers import Actor, CommandId, RuleId
from domain.rules.events import EventName
from streams import headers, subjects
from streams.connection import (
    FLUSH_TIMEOUT_S,
    PING_INTERVAL_S,
    PINGS_UNANSWERED_MAX,
    LenientClient,
    failure,
    ping,
    reconnect_wait_s,
)
from streams.endpoint import INBOX as _INBOX
from streams.endpoint import Endpoint
from streams.facts.intake import DeadReason
from streams.gate import Gate
from streams.settling import HANDLED, Poison, Retry, Settlement, settle
from streams.traceparent import traceparent_of

_COMMANDS_AT_ONCE: Final = 32
_QUERIES_AT_ONCE: Final = 32
_RETRY_S: Final = 2.0
_DEFECT_RETRY_S: Final = 30.0
_PUBLISH_TIMEOUT_S: Final = 5.0
_CONNECT_TIMEOUT_S: Final = 10.0
# How long a request for commands waits for one, and so the end of a stop for the last request.
_FETCH_S: Final = 0.25
_LAST_FETCH_S: Final = 2.0
_LAST_COMMANDS_S: Final = 10.0
_WRONG_LAST_SEQUENCE: Final = frozenset({10071, 10164})
# JetStream's codes for "ask again": the id's first copy is still being stored (after a change of leaders for a while),
# the subject's last sequence is not known yet, too many requests wait. Everything under status 503 says so too.
_ASK_AGAIN: Final = frozenset({10158, 10163, 10167})
QUEUE_GROUP: Final = "rulestream"
# Replies to clients in other accounts go through the server by subjects of its own.
_SERVICE_REPLY: Final = "_R_."
_JSON: Final = "application/json"
# Room for an answer's headers, which count towards the server's maximum payload.
_HEADER_ROOM_BYTES: Final = 1024
# After the others no ruleset need be looked for.
_RULESET_EVENTS: Final = frozenset(
    {EventName.ACTIVATED, EventName.DEACTIVATED, EventName.DEPRECATED, EventName.ROLLED_BACK}
)

_log = structlog.get_logger(__name__)


class CommandPort(Protocol):
    """What decides commands."""

    async def handle(
        self, actor: Actor, command_id: CommandId, verb: str, payload: bytes, traceparent: str | None = None
    ) -> bytes:
        """Decide a command once for ever and return the bytes of its answer; durable on return.

        ``traceparent``, a valid one, goes on to the events of what the command changes.
        Raises UnavailableError while a backing service is away: the command then waits.
        """
        ...


class QueryPort(Protocol):
    """What answers queries."""

    async def handle(self, actor: Actor, verb: str, payload: bytes, traceparent: str | None = None) -> bytes:
        """Return the bytes of the answer, errors included; never raises."""
        ...


class DeadLetterPort(Protocol):
    """Where commands go that can never be decided."""

    async def bury(self, subject: str, payload: bytes, found: Mapping[str, str], reason: DeadReason) -> None:
        """Store a dead letter; raises UnavailableError when it is not known to be stored."""
        ...


class OutOfOrderError(Exception):
    """The stream's last event of a rule is not the one that the publisher believes; nothing was stored."""


class EventRefusedError(Exception):
    """This one event cannot be published as things are, whatever becomes of others; nothing was stored."""


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """Names of the control plane's streams and consumer, and which sides of it to serve."""

    commands_stream: str
    commands_consumer: str
    events_stream: str
    serve_commands: bool = True
    serve_queries: bool = True


class ControlPlane:
    """One connection to the control account: serves commands and queries, publishes answers and events."""

    def __init__(
        self,
        where: Endpoint | str,
        settings: ControlSettings,
        commands: CommandPort,
        queries: QueryPort,
        dead_letters: DeadLetterPort,
        on_event: Callable[[], None],
        on_closed: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._commands = commands
        self._queries = queries
        self._dead_letters = dead_letters
        self._on_event = on_event
        self._on_closed = on_closed
        self._stopping = asyncio.Event()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._endpoint = Endpoint.of(where)
        self._broker = _Broker(
            self._endpoint,
            on_closed=self._closed,
            apply_types=False,
            logger=None,
            name="rulestream-control",
            max_reconnect_attempts=-1,
            reconnect_time_wait=reconnect_wait_s(),
            ping_interval=PING_INTERVAL_S,
            max_outstanding_pings=PINGS_UNANSWERED_MAX,
            flush_timeout=FLUSH_TIMEOUT_S,
            graceful_timeout=10.0,
        )
        self._command_subscriber: Any = None
        self._gate: Gate | None = None
        self._subscribe()

    @property
    def broker(self) -> NatsBroker:
        """The FastStream broker, for the API document."""
        return self._broker

    @property
    def client(self) -> Client:
        """The connection to the control account, while it runs."""
        client: Client = self._broker.config.connection_state.connection
        return client

    async def start(self) -> None:
        """Connect and begin to serve; the topology must be there. Raises UnavailableError."""
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await self._broker.start()
        except (OSError, TimeoutError, NatsError) as error:
            raise UnavailableError("nats", f"the control plane: {failure(self._endpoint, error)}") from error
        if self._command_subscriber is not None:
            self._command_subscriber.subscription = self._gate = Gate(self._command_subscriber.subscription)

    async def stop(self) -> None:
        """Take nothing more, finish what was taken, and leave."""
        self._stopping.set()
        await self._finish_commands()
        try:
            await self._broker.stop()
        except* NatsError:
            _log.warning("control_connection_gone")
        finally:  # FastStream leaves its subscribers' queues open when the connection is gone
            for subscriber in self._broker.subscribers:
                for queue in ("send_stream", "receive_stream"):
                    if (stream := getattr(subscriber, queue, None)) is not None:
                        stream.close()

    async def _finish_commands(self) -> None:
        """Decide what was fetched: FastStream's stop drops what it did not begin, which comes again after AckWait."""
        if self._gate is None or not self.client.is_connected:
            return
        if await self._gate.close(_LAST_FETCH_S):
            self._command_subscriber.send_stream.close()  # what serves this queue ends when it is empty
            await asyncio.wait(self._command_subscriber.tasks[:1], timeout=_LAST_COMMANDS_S)
        else:
            _log.warning("commands_unfinished", meaning="what was fetched last comes again after AckWait")

    def _closed(self) -> None:
        for subscriber in self._broker.subscribers:
            subscriber.running = False  # FastStream's pull would go round on a closed connection without a pause
        self._on_closed()

    async def ping(self, timeout_s: float) -> None:
        """Ask the server for an answer; raises UnavailableError when none comes in time."""
        await ping(self._broker.config.connection_state.connection, timeout_s)

    async def publish_event(
        self, rule_id: RuleId, subject: str, payload: bytes, found: Mapping[str, str], last_sequence: int
    ) -> int:
        """Publish an event behind the rule's last one and return its sequence in the stream.

        A repeat of an event inside the server's duplicate window returns the first one's sequence. Raises
        OutOfOrderError when another event of the rule is the last one, EventRefusedError when the server does not take
        this one, UnavailableError when nobody knows.
        """
        expectations = {
            headers.EXPECTED_LAST_SEQUENCE: str(last_sequence),
            headers.EXPECTED_LAST_SEQUENCE_SUBJECT: subjects.events_of(rule_id),
        }
        if not self._broker.config.connection_state.connection.is_connected:
            # At once: who relays events holds a transaction open meanwhile.
            raise UnavailableError("nats", "not connected to NATS")
        try:
            acknowledgement = await self._broker.publish(
                payload,
                subject,
                headers={**found, **expectations},
                stream=self._settings.events_stream,
                timeout=_PUBLISH_TIMEOUT_S,
            )
        except APIError as error:
            if error.err_code in _WRONG_LAST_SEQUENCE:
                raise OutOfOrderError(str(error.description)) from error
            if error.code == 503 or error.err_code in _ASK_AGAIN:
                raise UnavailableError("nats", f"the event was not stored: {error.description}") from error
            raise EventRefusedError(str(error.description)) from error
        except (MaxPayloadError, ValueError) as error:  # too large, or with headers that cannot be sent
            raise EventRefusedError(str(error)) from error
        except (OSError, TimeoutError, NatsError) as error:
            raise UnavailableError("nats", f"the event was not acknowledged: {error}") from error
        return acknowledgement.seq

    async def last_event(self, rule_id: RuleId) -> tuple[int, str | None]:
        """Return the stream sequence and the id of a rule's last published event; (0, None) when there is none."""
        connection = self._broker.config.connection_state.connection
        manager = connection.jsm(timeout=_PUBLISH_TIMEOUT_S)
        try:
            message = await manager.get_last_msg(self._settings.events_stream, subjects.events_of(rule_id))
        except APIError as error:
            if error.code == 404:
                return 0, None
            raise UnavailableError("nats", f"the last event could not be read: {error.description}") from error
        except (OSError, TimeoutError, NatsError) as error:
            raise UnavailableError("nats", f"the last event could not be read: {error}") from error
        return message.seq or 0, (message.headers or {}).get(headers.MESSAGE_ID)

    def _subscribe(self) -> None:
        if self._settings.serve_commands:
            self._command_subscriber = self._broker.subscriber(
                subjects.COMMANDS,
                stream=JStream(self._settings.commands_stream, declare=False),
                durable=self._settings.commands_consumer,
                max_workers=_COMMANDS_AT_ONCE,
                # One at a time: a fetch of more lingers for the rest, up to its time-out, with what has come already.
                pull_sub=PullSub(batch_size=1, timeout=_FETCH_S),
                inbox_prefix=f"{self._endpoint.inbox_prefix}.".encode(),
                ack_policy=AckPolicy.MANUAL,
                no_reply=True,
                decoder=_whole,
                title="commands",
                description="Rule commands, one actor and one verb a subject.",
            )
            self._command_subscriber(self._on_command)
        if self._settings.serve_queries:
            self._broker.subscriber(
                subjects.QUERIES,
                queue=QUEUE_GROUP,
                max_workers=_QUERIES_AT_ONCE,
                ack_policy=AckPolicy.MANUAL,
                no_reply=True,
                decoder=_whole,
                title="queries",
                description="Questions about rules, rulesets, commands and decisions.",
            )(self._on_query)
        self._broker.subscriber(
            subjects.EVENTS,
            ack_policy=AckPolicy.MANUAL,
            no_reply=True,
            decoder=_whole,
            title="events",
            description="Lifecycle events, by which every worker hears at once of a changed ruleset.",
        )(self._heard_event)

    async def _heard_event(self, message: NatsMessage) -> None:
        if message.raw_message.subject.rpartition(".")[2] in _RULESET_EVENTS:
            self._on_event()  # only a hint: what changed is read from Postgres

    async def _on_command(self, message: NatsMessage) -> None:
        raw = message.raw_message
        turn = self._turns.setdefault(raw.subject.rpartition(".")[0], asyncio.Lock())
        async with turn:  # this worker decides one actor's commands in the order in which they were published
            settlement = await self._decide_with_patience(raw)
            await settle(raw, settlement)

    async def _decide_with_patience(self, raw: Msg) -> Settlement:
        """Decide a command, however long a service is away; meanwhile it stays ours, and those behind it wait."""
        while True:
            try:
                return await self._decide(raw.subject, raw.data, raw.headers or {})
            except UnavailableError as error:
                _log.warning("command_waits", service=error.service, reason=error.message)
            except Exception:  # noqa: BLE001  # nothing is acknowledged on an error
                _log.exception("command_failed", subject=raw.subject)
                return Retry(_DEFECT_RETRY_S)
            try:
                async with asyncio.timeout(_RETRY_S * random.uniform(0.5, 1.5)):  # noqa: S311  # spreads load
                    await self._stopping.wait()
                return Retry(0.0)
            except TimeoutError:
                await raw.in_progress()

    async def _decide(self, subject: str, payload: bytes, found: Mapping[str, str]) -> Settlement:
        sender = _sender(subject, found)
        if isinstance(sender, DeadReason):
            await self._dead_letters.bury(subject, payload, found, sender)
            _log.warning("command_buried", subject=subject, reason=sender.value)
            return Poison(sender)
        answer = await self._commands.handle(
            sender.actor, sender.command_id, sender.verb, payload, traceparent_of(found)
        )
        await self._answer(answer, subjects.reply(sender.actor, sender.command_id), sender.command_id.value)
        return HANDLED

    async def _answer(self, answer: bytes, subject: str, correlation_id: str | None = None) -> None:
        if len(answer) > self._broker.config.connection_state.connection.max_payload - _HEADER_ROOM_BYTES:
            _log.warning("answer_too_large", bytes=len(answer))  # a command's is stored, and not lost
            return
        await self._broker.publish(
            answer, subject, headers={headers.CONTENT_TYPE: _JSON}, correlation_id=correlation_id
        )

    async def _on_query(self, message: NatsMessage) -> None:
        raw = message.raw_message
        address = subjects.address(raw.subject)
        if address is None or not self._may_answer(raw.reply, address.actor):
            return
        try:
            actor = Actor(address.actor)
        except InvalidRequestError:
            return
        answer = await self._queries.handle(actor, address.verb, raw.data, traceparent_of(raw.headers))
        await self._answer(answer, raw.reply)

    def _may_answer(self, reply: str, actor: str) -> bool:
        """Say whether a query is answered there: in the inbox of who asks, or by the server to who asks elsewhere.

        No client can ask with a reply of the latter kind; the server refuses it.
        """
        if reply.startswith((f"{_INBOX}_{actor}.", _SERVICE_REPLY)):
            return True
        return reply.startswith(f"{_INBOX}.") and not self._endpoint.has_identity


class _Broker(NatsBroker):
    """FastStream's broker on a client that no subject can disconnect."""

    def __init__(self, where: Endpoint, on_closed: Callable[[], None], **options: Any) -> None:
        super().__init__(where.servers, **options)
        self._endpoint = where
        self._on_closed = on_closed

    async def _connect(self) -> Client:
        client = LenientClient(self._on_closed)
        client.demands_tls = self._endpoint.demands_tls
        await client.connect(**{**self._connection_kwargs, **self._endpoint.options()})
        self.config.connect(client)
        return client


class _Sender(NamedTuple):
    actor: Actor
    command_id: CommandId
    verb: str


def _sender(subject: str, found: Mapping[str, str]) -> _Sender | DeadReason:
    """Read who sent which command, or why nobody can be answered."""
    if any(name.lower().startswith(headers.FORGED) for name in found):
        return DeadReason.COMMAND_FORGED
    address = subjects.address(subject)
    try:
        actor = Actor(address.actor if address else "")
    except InvalidRequestError:
        return DeadReason.INVALID_ACTOR
    try:
        command_id = CommandId(found.get(headers.MESSAGE_ID, ""))
    except InvalidRequestError:
        return DeadReason.COMMAND_WITHOUT_ID
    return _Sender(actor, command_id, address.verb if address else "")


async def _whole(message: NatsMessage) -> NatsMessage:
    """Hand the message to its handler as it came, undecoded."""
    return message
