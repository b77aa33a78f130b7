"""Commands and queries, counted and timed around what serves them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

from domain.errors import UnavailableError
from domain.identifiers import Actor, CommandId
from streams.control import CommandPort, DeadLetterPort, QueryPort
from streams.facts.intake import DeadReason


class _Error(msgspec.Struct):
    code: str


class _Answer(msgspec.Struct):
    status: str
    error: _Error | None = None


_ANSWER: Final = msgspec.json.Decoder(_Answer)


class ServingObserver(Protocol):
    """Hears of commands and queries; ``result`` is ok or the error's code."""

    def command_answered(self, verb: str, result: str, seconds: float) -> None: ...

    def command_buried(self, reason: DeadReason) -> None: ...

    def query_answered(self, verb: str, result: str, seconds: float) -> None: ...

    def dependency_waited(self, service: str) -> None: ...


class ObservedCommands:
    """CommandPort around another. A command that waits for a service is counted when it is answered."""

    def __init__(self, commands: CommandPort, observer: ServingObserver) -> None:
        self._commands = commands
        self._observer = observer

    async def handle(self, actor: Actor, command_id: CommandId, verb: str, payload: bytes) -> bytes:
        started = time.perf_counter()
        try:
            answer = await self._commands.handle(actor, command_id, verb, payload)
        except UnavailableError as error:
            self._observer.dependency_waited(error.service)
            raise
        self._observer.command_answered(verb, _result(answer), time.perf_counter() - started)
        return answer


class ObservedQueries:
    """QueryPort around another."""

    def __init__(self, queries: QueryPort, observer: ServingObserver) -> None:
        self._queries = queries
        self._observer = observer

    async def handle(self, actor: Actor, verb: str, payload: bytes) -> bytes:
        started = time.perf_counter()
        answer = await self._queries.handle(actor, verb, payload)
        self._observer.query_answered(verb, _result(answer), time.perf_counter() - started)
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
