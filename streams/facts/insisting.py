"""Calling a backing service until it answers: retries with growing, random pauses, while the worker takes no facts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential
from tenacity.stop import stop_base

from domain.errors import UnavailableError

# The longest pause before another try, in seconds. NATS refuses at once while it elects a leader.
PAUSE_MAX_S: Final = {"nats": 1.0, "postgres": 5.0}

_Result = TypeVar("_Result")
_log = structlog.get_logger(__name__)


class Dependencies(Protocol):
    """Hears which services answer, and when work begins to wait for one that does not."""

    def dependency(self, service: str, *, is_up: bool) -> None: ...

    def dependency_waited(self, service: str) -> None: ...


class _StopWhenAsked(stop_base):
    def __init__(self, stopping: asyncio.Event) -> None:
        self._stopping = stopping

    def __call__(self, retry_state: RetryCallState) -> bool:  # noqa: ARG002  # tenacity's signature
        return self._stopping.is_set()


class Insistence:
    """Insists on calls to services. ``on_wait`` hears whether any call is being insisted on at the moment."""

    def __init__(self, dependencies: Dependencies, on_wait: Callable[[bool], None]) -> None:
        self._dependencies = dependencies
        self._on_wait = on_wait
        self._insisting = 0
        self._giving_up = asyncio.Event()

    def give_up(self) -> None:
        """Let every call that is being insisted on fail with its next failure."""
        self._giving_up.set()

    async def call(self, service: str, call: Callable[[], Awaitable[_Result]]) -> _Result:
        """Call until the service answers. Raises UnavailableError only when told to give up."""
        try:
            result = await call()
        except UnavailableError as error:
            result = await self._insist(service, call, error)
        self._dependencies.dependency(service, is_up=True)
        return result

    async def _insist(self, service: str, call: Callable[[], Awaitable[_Result]], error: UnavailableError) -> _Result:
        self._insisting += 1
        self._on_wait(True)
        self._dependencies.dependency_waited(service)
        try:
            self._say(service, 1, error)
            return await self._retried(service, call)
        finally:
            self._insisting -= 1
            if not self._insisting:
                self._on_wait(False)

    async def _retried(self, service: str, call: Callable[[], Awaitable[_Result]]) -> _Result:
        # Apart from the first call, because tenacity leaves reference cycles that would keep every batch for a while.
        def say(state: RetryCallState) -> None:
            self._say(service, state.attempt_number + 1, state.outcome.exception() if state.outcome else None)

        async def attempt() -> _Result:
            return await call()

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(UnavailableError),
            wait=wait_random_exponential(multiplier=0.1, max=PAUSE_MAX_S[service]),
            stop=_StopWhenAsked(self._giving_up),
            before_sleep=say,
            reraise=True,
        )
        result: _Result = await retrying(attempt)
        return result

    def _say(self, service: str, attempt: int, error: BaseException | None) -> None:
        self._dependencies.dependency(service, is_up=False)
        _log.warning("service_away", service=service, attempt=attempt, reason=str(error))
