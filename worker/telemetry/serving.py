"""Commands and queries: counted, timed and followed in their senders' traces, around what serves them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final, Protocol

import msgspec
from opentelemetry.trace import SpanKind

from domain.errors import UnavailableError
from domain.identifiers import Actor, CommandId
from streams.control import CommandPort, DeadLetterPort
from streams.facts.intake import DeadReason
from worker.telemetry.instruments import COMMANDS_DECIDED, QUERIES_ANSWERED
from worker.telemetry.traces import ServingTraces, following


class _Error(msgspec.Struct):
    code: str


class _Answer(msgspec.Struct):
    status: str
    error: _Error | None = None


_ANSWER: Final = msgspec.json.Decoder(_Answer)


class ServingObserver(Protocol):
    """Hears of commands and queries; ``result`` is ok or the error's code."""

    @property
    def serving_traces(self) -> ServingTraces | None: ...

    def command_answered(self, verb: str, result: str, seconds: float) -> None: ...

    def command_buried(self, reason: DeadReason) -> None: ...

    def query_answered(self, verb: str, result: str, seconds: float) -> None: ...

    def dependency_waited(self, service: str) -> None: ...


class Answering(Protocol):
    """What answers queries, errors included."""

    async def handle(self, actor: Actor, verb: str, payload: bytes) -> bytes: ...


class ObservedCommands:
    """CommandPort around another. A command that waits for a service is counted once, and timed by its last try."""

    def __init__(self, commands: CommandPort, observer: ServingObserver) -> None:
        self._commands = commands
        self._observer = observer
        self._waiting: set[tuple[Actor, CommandId]] = set()  # as many as are served at once, and those of a stop

    async def handle(
        self, actor: Actor, command_id: CommandId, verb: str, payload: bytes, traceparent: str | None = None
    ) -> bytes:
        started = time.perf_counter()
        known = COMMANDS_DECIDED.known("verb", verb)
        attributes = {
            "messaging.destination.name": f"rules.command.{actor.name}.{known}",
            "messaging.destination.template": "rules.command.{actor}.{verb}",
            "messaging.operation.type": "process",
            "messaging.message.id": command_id.value,
        }
        traces = self._observer.serving_traces
        with following(traces, traceparent, f"command {known}", SpanKind.CONSUMER, attributes) as step:
            try:
                answer = await self._commands.handle(actor, command_id, verb, payload, step.traceparent)
            except UnavailableError as error:
                step.ended(error.code)
                if (actor, command_id) not in self._waiting:
                    self._waiting.add((actor, command_id))
                    self._observer.dependency_waited(error.service)
                raise
            self._waiting.discard((actor, command_id))
            result = _result(answer)
            step.ended(result)
        self._observer.command_answered(verb, result, time.perf_counter() - started)
        return answer


class ObservedQueries:
    """QueryPort around another."""

    def __init__(self, queries: Answering, observer: ServingObserver) -> None:
        self._queries = queries
        self._observer = observer

    async def handle(self, actor: Actor, verb: str, payload: bytes, traceparent: str | None = None) -> bytes:
        started = time.perf_counter()
        known = QUERIES_ANSWERED.known("verb", verb)
        attributes = {
            "messaging.destination.name": f"rules.query.{actor.name}.{known}",
            "messaging.destination.template": "rules.query.{actor}.{verb}",
        }
        traces = self._observer.serving_traces
        with following(traces, traceparent, f"query {known}", SpanKind.SERVER, attributes) as step:
            answer = await self._queries.handle(actor, verb, payload)
            result = _result(answer)
            step.ended(result)
        self._observer.query_answered(verb, result, time.perf_counter() - started)
        return answer


class ObservedDeadLetters:
    """DeadLetterPort around another."""

    def __init__(self, letters: DeadLetterPort, observer: ServingObserver) -> None:
        self._letters = letters
        self._observer = observer

    async def bury(self, subject: str, payload: bytes, found: Mapping[str, str], reason: DeadReason) -> None:
        await self._letters.bury(subject, payload, found, reason)
        self._observer.command_buried(reason)


def _result(answer: bytes) -> str:
    said = _ANSWER.decode(answer)
    return said.status if said.error is None else said.error.code
