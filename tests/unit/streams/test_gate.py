"""A gate lets fetches through until it is closed, and tells when whoever fetches has come to it."""

from __future__ import annotations

import asyncio

import pytest

from streams.gate import Gate

WAIT_S = 5.0


class FakeSubscription:
    """Gives one message whenever the test says so."""

    def __init__(self) -> None:
        self.sub = "what else it has"
        self.coming: asyncio.Queue[str] = asyncio.Queue()

    async def fetch(self, _batch: int = 1, _timeout: float | None = 5) -> list[str]:
        return [await self.coming.get()]


class Fetcher:
    """Fetches in a loop and hands on what it got, as FastStream does."""

    def __init__(self, gate: Gate) -> None:
        self.got: list[object] = []
        self._gate = gate

    async def run(self) -> None:
        while True:
            self.got.extend(await self._gate.fetch(1, timeout=1.0))


@pytest.fixture
def source() -> FakeSubscription:
    return FakeSubscription()


@pytest.fixture
def gate(source: FakeSubscription) -> Gate:
    return Gate(source)  # type: ignore[arg-type]


async def test_a_closed_gate_is_reached_when_the_last_fetch_was_handed_on(source: FakeSubscription, gate: Gate) -> None:
    fetcher = Fetcher(gate)
    fetching = asyncio.create_task(fetcher.run())
    source.coming.put_nowait("first")
    await asyncio.sleep(0)
    closing = asyncio.create_task(gate.close(WAIT_S))
    await asyncio.sleep(0)
    assert not closing.done()
    source.coming.put_nowait("last")
    source.coming.put_nowait("too late")
    assert await closing
    assert fetcher.got == ["first", "last"]
    assert source.coming.qsize() == 1
    fetching.cancel()
    await asyncio.gather(fetching, return_exceptions=True)


async def test_a_fetch_that_does_not_end_is_told(gate: Gate) -> None:
    fetching = asyncio.create_task(Fetcher(gate).run())
    await asyncio.sleep(0)
    assert not await gate.close(0.01)
    fetching.cancel()
    await asyncio.gather(fetching, return_exceptions=True)


def test_whatever_else_a_subscription_has_is_there(gate: Gate) -> None:
    assert gate.sub == "what else it has"
