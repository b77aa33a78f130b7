"""A pull subscription that can be told to fetch no more, so that what it fetched last is not lost in a stop."""

from __future__ import annotations

import asyncio
from typing import Any

from nats.aio.msg import Msg
from nats.js import JetStreamContext


class Gate:
    """Stands before a pull subscription, for FastStream drops at a stop what it is fetching.

    A message that is dropped waits for AckWait before anybody gets it. Whoever fetches in a loop, and hands on what it
    got before it fetches again, has handed on everything once it waits at the closed gate.
    """

    def __init__(self, subscription: JetStreamContext.PullSubscription) -> None:
        self._subscription = subscription
        self._is_closed = False
        self._reached = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._subscription, name)

    async def fetch(self, batch: int = 1, timeout: float | None = 5) -> list[Msg]:  # noqa: ASYNC109  # as nats-py's
        """Fetch as the subscription does; never return once the gate is closed."""
        if self._is_closed:
            self._reached.set()
            await asyncio.Event().wait()
        return await self._subscription.fetch(batch, timeout)

    async def close(self, timeout_s: float) -> bool:
        """Let nobody fetch again; say whether who fetched has come to the gate in time."""
        self._is_closed = True
        try:
            async with asyncio.timeout(timeout_s):
                await self._reached.wait()
        except TimeoutError:
            return False
        return True
