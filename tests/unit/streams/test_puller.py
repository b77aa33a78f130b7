"""Pulling: how many messages are asked for, taken and given back, whatever the server answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from streams.facts import puller as module
from streams.facts.puller import Puller, PullSettings
from streams.hearing import Listener

WAIT_S = 60.0
SETTINGS = PullSettings(window=30, request_messages=10, request_bytes=1000, request_expires_s=5.0)


class FakeListening:
    """A subscription whose drain delivers what the server had sent already."""

    def __init__(self, client: FakeClient) -> None:
        self._client = client

    async def drain(self) -> None:
        for number in self._client.on_their_way:
            await self._client.deliver(number)


class FakeClient:
    """The part of nats-py's client that a puller uses; the test is the server."""

    def __init__(self) -> None:
        self.is_connected = True
        self.stats = {"reconnects": 0}
        self.requests: list[tuple[str, dict[str, Any], str]] = []
        self.requested = asyncio.Event()
        self.on_their_way: list[int] = []
        self._listener: Listener | None = None
        self._subject = ""

    def new_inbox(self) -> str:
        return "_INBOX.abc"

    async def listen(self, subject: str, listener: Listener) -> FakeListening:
        self._subject, self._listener = subject, listener
        return FakeListening(self)

    async def publish(self, subject: str, payload: bytes, reply: str) -> None:
        assert reply.startswith(self._subject.removesuffix("*"))
        self.requests.append((subject, json.loads(payload), reply))
        self.requested.set()

    async def deliver(self, number: int, data: bytes = b"{}") -> None:
        self._give(b"facts.a", b"$JS.ACK.FACTS.c.1.%d.%d.7.0" % (number, number), data, None)

    async def answer(self, status: str, **headers: str) -> None:
        lines = [f"NATS/1.0 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
        self._give(b"_INBOX.abc.1", b"", b"", "".join(f"{line}\r\n" for line in [*lines, ""]).encode())

    def _give(self, subject: bytes, reply: bytes, data: bytes, head: bytes | None) -> None:
        assert self._listener is not None
        self._listener(subject, reply, data, head)

    async def settled(self) -> None:
        """Let every task that can run, run."""
        for _ in range(10):
            await asyncio.sleep(0)


@pytest.fixture
async def client() -> FakeClient:
    return FakeClient()


@pytest.fixture
async def puller(client: FakeClient) -> AsyncIterator[Puller]:
    made = Puller(client, "FACTS", "c", SETTINGS)  # type: ignore[arg-type]
    await made.start()
    await client.settled()
    yield made
    await made.finish()


async def test_the_whole_window_is_asked_for_in_bounded_requests(client: FakeClient, puller: Puller) -> None:
    assert [(subject, body) for subject, body, _ in client.requests] == [
        (
            "$JS.API.CONSUMER.MSG.NEXT.FACTS.c",
            {"batch": 10, "max_bytes": 1000, "expires": 5_000_000_000, "idle_heartbeat": 1_000_000_000},
        )
    ] * 3
    assert len({reply for _, _, reply in client.requests}) == 3


async def test_what_waits_here_counts_against_the_window(client: FakeClient, puller: Puller) -> None:
    for number in range(30):
        await client.deliver(number)
    await client.settled()
    assert len(client.requests) == 3
    await puller.take(9, 10**6)
    await client.settled()
    assert len(client.requests) == 3
    await puller.take(1, 10**6)
    await client.settled()
    assert len(client.requests) == 4


async def test_taking_while_messages_are_on_their_way_asks_for_no_more_than_the_window(
    client: FakeClient, puller: Puller
) -> None:
    for number in range(10):
        await client.deliver(number)
    await puller.take(10, 10**6)
    await client.settled()
    assert len(client.requests) == 4  # ten are done with, twenty are on their way, ten more are asked for


# Statuses that end a request, how many of its messages will not come, and whether it may be asked for again at once
ENDINGS = [
    pytest.param("404", {"Nats_Pending_Messages": "10"}, 1, id="404: nothing there"),
    pytest.param("408", {"Nats_Pending_Messages": "10"}, 1, id="408: expired, none came"),
    pytest.param("408", {"Nats_Pending_Messages": "4"}, 0, id="408: expired, six came"),
    pytest.param("408", {}, 1, id="408: expired, of an old server"),
    pytest.param(
        "409", {"Nats_Pending_Messages": "10", "Description": "Message Size Exceeds MaxBytes"}, 1, id="409: full"
    ),
    pytest.param("100", {}, 0, id="100: a heartbeat ends nothing"),
]


@pytest.mark.parametrize(("status", "headers", "more"), ENDINGS)
async def test_what_will_not_come_is_asked_for_again(
    client: FakeClient, puller: Puller, status: str, headers: dict[str, str], more: int
) -> None:
    await client.answer(status, **headers)
    await client.settled()
    assert len(client.requests) == 3 + more


async def test_parts_of_several_requests_add_up(client: FakeClient, puller: Puller) -> None:
    for number in range(6):
        await client.deliver(number)
    await client.answer("408", Nats_Pending_Messages="4")
    await client.settled()
    assert len(client.requests) == 3  # six wait here and twenty are asked for: room for four is too little
    await puller.take(6, 10**6)
    await client.settled()
    assert len(client.requests) == 4


@pytest.mark.parametrize(
    ("status", "headers", "more"),
    [
        ("409", {"Description": "Consumer Deleted"}, 1),
        ("404", {}, 1),
        ("503", {}, 3),
    ],
)
async def test_a_refusal_is_not_answered_at_once_but_after_a_pause(
    client: FakeClient,
    puller: Puller,
    monkeypatch: pytest.MonkeyPatch,
    status: str,
    headers: dict[str, str],
    more: int,
) -> None:
    monkeypatch.setattr(module, "_RETRY_S", 0.02)
    client.requested.clear()
    await client.answer(status, **headers)
    await client.settled()
    assert len(client.requests) == 3
    async with asyncio.timeout(WAIT_S):
        await client.requested.wait()
        await client.settled()
    assert len(client.requests) == 3 + more


async def test_more_statuses_than_requests_never_ask_past_the_window(client: FakeClient, puller: Puller) -> None:
    for _ in range(10):
        await client.answer("408", Nats_Pending_Messages="10")
        await client.settled()
    outstanding = len(client.requests) - 10
    assert outstanding == 3


async def test_nothing_is_asked_while_there_is_no_connection(client: FakeClient, puller: Puller) -> None:
    client.is_connected = False
    await client.answer("408", Nats_Pending_Messages="10")
    await client.settled()
    assert len(client.requests) == 3


async def test_requests_that_a_lost_connection_took_with_it_are_made_again(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LONG_SILENCE_HEARTBEATS", 10**9)  # silence alone has none made again
    settings = replace(SETTINGS, heartbeat_s=0.01)
    puller = Puller(client, "FACTS", "c", settings)  # type: ignore[arg-type]
    await puller.start()
    await client.settled()
    client.requested.clear()
    client.stats["reconnects"] += 1
    async with asyncio.timeout(WAIT_S):
        await client.requested.wait()
        await client.settled()
    assert len(client.requests) == 6
    await puller.finish()


async def test_requests_whose_heartbeat_stays_away_are_made_again(client: FakeClient) -> None:
    settings = replace(SETTINGS, heartbeat_s=0.01)
    puller = Puller(client, "FACTS", "c", settings)  # type: ignore[arg-type]
    await puller.start()
    await client.settled()
    client.requested.clear()
    async with asyncio.timeout(WAIT_S):
        await client.requested.wait()
    assert len(client.requests) > 3
    await puller.finish()


async def test_a_puller_that_is_paused_asks_for_no_more_until_it_is_told_to(client: FakeClient, puller: Puller) -> None:
    puller.pause()
    await client.answer("408", Nats_Pending_Messages="10")
    await client.settled()
    assert len(client.requests) == 3
    puller.resume()
    await client.settled()
    assert len(client.requests) == 4


class TestTake:
    async def test_messages_come_oldest_first_and_as_many_as_wait(self, client: FakeClient, puller: Puller) -> None:
        for number in range(3):
            await client.deliver(number)
        assert [one.sequence for one in await puller.take(10, 10**6)] == [0, 1, 2]

    async def test_no_more_than_asked(self, client: FakeClient, puller: Puller) -> None:
        for number in range(3):
            await client.deliver(number)
        assert [one.sequence for one in await puller.take(2, 10**6)] == [0, 1]
        assert [one.sequence for one in await puller.take(2, 10**6)] == [2]

    @pytest.mark.parametrize(("bytes_most", "count"), [(1, 1), (10, 1), (19, 1), (20, 2), (29, 2), (30, 3)])
    async def test_nor_more_bytes_than_asked_but_one_message_at_least(
        self, client: FakeClient, puller: Puller, bytes_most: int, count: int
    ) -> None:
        for number in range(3):
            await client.deliver(number, b"x" * 10)
        assert len(await puller.take(10, bytes_most)) == count

    async def test_it_waits_for_the_first(self, client: FakeClient, puller: Puller) -> None:
        taking = asyncio.create_task(puller.take(10, 10**6))
        await client.settled()
        assert not taking.done()
        await client.deliver(7)
        async with asyncio.timeout(WAIT_S):
            assert [one.sequence for one in await taking] == [7]

    async def test_a_take_that_is_cancelled_loses_nothing(self, client: FakeClient, puller: Puller) -> None:
        taking = asyncio.create_task(puller.take(10, 10**6))
        await client.settled()
        await client.deliver(7)
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
        assert taking.cancelled()
        assert [one.sequence for one in await puller.take(10, 10**6)] == [7]


class TestFinish:
    async def test_what_was_on_its_way_can_still_be_taken_and_then_nothing(
        self, client: FakeClient, puller: Puller
    ) -> None:
        for number in range(3):
            await client.deliver(number)
        await puller.take(1, 10**6)
        client.on_their_way = [3, 4]
        await puller.finish()
        assert [one.sequence for one in await puller.take(3, 10**6)] == [1, 2, 3]
        assert [one.sequence for one in await puller.take(3, 10**6)] == [4]
        assert await puller.take(3, 10**6) == []

    async def test_what_was_requested_is_waited_for_as_long_as_it_comes(
        self, client: FakeClient, puller: Puller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A request that the server fills is not taken back: its messages would be delivered a second time."""
        numbers = iter(range(3))

        async def one_more(_: float) -> None:
            for number in numbers:
                await client.deliver(number)
                return

        monkeypatch.setattr(module.asyncio, "sleep", one_more)
        await puller.finish()
        assert [one.sequence for one in await puller.take(10, 10**6)] == [0, 1, 2]

    async def test_who_waits_for_messages_is_told_that_none_will_come(self, client: FakeClient, puller: Puller) -> None:
        taking = asyncio.create_task(puller.take(10, 10**6))
        await client.settled()
        await puller.finish()
        async with asyncio.timeout(WAIT_S):
            assert await taking == []

    async def test_what_nobody_took_is_given_back_once(self, client: FakeClient, puller: Puller) -> None:
        for number in range(3):
            await client.deliver(number)
        await puller.finish()
        assert [one.sequence for one in puller.leave()] == [0, 1, 2]
        assert puller.leave() == []

    async def test_nothing_is_asked_for_afterwards(self, client: FakeClient, puller: Puller) -> None:
        await puller.finish()
        await client.answer("408", Nats_Pending_Messages="10")
        await client.settled()
        assert len(client.requests) == 3
