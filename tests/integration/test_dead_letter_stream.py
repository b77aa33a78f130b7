"""The stream of dead letters on a real server: every letter once, in order, in bounded pulls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import pytest
from msgspec.structs import replace

from domain.errors import NotFoundError, UnavailableError
from streams import dead_letter_stream
from streams.connection import LenientClient, connect
from streams.dead_letter_stream import DeadLetterStream, LetterCriteria
from streams.facts.intake import DeadReason, Delivery, Refused
from streams.facts.outgoing import dead_fact_publication
from streams.redriving import Known, NotStored, Redriver, Stored
from streams.wire import BatchPublisher, Publication, header_block
from tests.contracts.proxy import proxied

STORED_AT_NS = 1_769_860_800_000_000_001
PAYLOAD_MAX = 1024 * 1024


@pytest.fixture
async def client(nats_url: str) -> AsyncIterator[LenientClient]:
    found = await connect(nats_url, "test")
    jetstream = found.jetstream()
    await jetstream.add_stream(name="DEAD_LETTERS", subjects=["dead.>"])
    await jetstream.add_stream(name="FACTS", subjects=["facts.>"])
    yield found
    await found.close()


@pytest.fixture
def letters(client: LenientClient) -> DeadLetterStream:
    return DeadLetterStream(client, "DEAD_LETTERS")


def a_letter(number: int, fact_type: str = "order", reason: DeadReason = DeadReason.NOT_JSON) -> Publication:
    data, headers = b"%d" % number, {"Nats-Msg-Id": f"m{number}"}
    delivery = Delivery(f"facts.{fact_type}", "", data, headers, "FACTS", number, STORED_AT_NS + number, 1)
    return dead_fact_publication(delivery, Refused(reason, "why"), PAYLOAD_MAX)


async def bury(client: LenientClient, publications: Sequence[Publication]) -> None:
    publisher = BatchPublisher(client)
    await publisher.start()
    await publisher.publish(publications)


async def oldest(letters: DeadLetterStream, criteria: LetterCriteria | None = None) -> list[int]:
    return [letter.sequence async for letter in letters.oldest_first(criteria or LetterCriteria())]


async def newest(letters: DeadLetterStream, criteria: LetterCriteria | None = None) -> list[int]:
    return [letter.sequence async for letter in letters.newest_first(criteria or LetterCriteria())]


async def consumers(client: LenientClient) -> int:
    """Give how many consumers the stream has, once the server has removed what it was asked to."""
    return int((await client.jetstream().stream_info("DEAD_LETTERS")).state.consumer_count)


async def test_letters_are_read_whole_and_the_oldest_first(client: LenientClient, letters: DeadLetterStream) -> None:
    await bury(client, [a_letter(number) for number in range(1, 4)])
    found = [letter async for letter in letters.oldest_first(LetterCriteria())]
    assert [(letter.sequence, letter.data, letter.size) for letter in found] == [
        (1, b"1", 1),
        (2, b"2", 1),
        (3, b"3", 1),
    ]
    assert [letter.headers for letter in found] == [{"Nats-Msg-Id": f"m{number}"} for number in range(1, 4)]
    assert [letter.place and letter.place.sequence for letter in found] == [1, 2, 3]
    assert found == [await letters.find(number) for number in range(1, 4)]


async def test_the_newest_come_without_their_bytes_and_with_their_size(
    client: LenientClient, letters: DeadLetterStream
) -> None:
    await bury(client, [a_letter(number) for number in (7, 100)])
    found = [letter async for letter in letters.newest_first(LetterCriteria())]
    assert [(letter.sequence, letter.data, letter.size, letter.subject) for letter in found] == [
        (2, None, 3, "facts.order"),
        (1, None, 1, "facts.order"),
    ]


async def test_more_letters_than_a_pull_and_a_window_hold_come_each_once(
    client: LenientClient, letters: DeadLetterStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letter_stream, "PULL_LETTERS", 7)
    monkeypatch.setattr(dead_letter_stream, "WINDOW", 15)
    await bury(client, [a_letter(number) for number in range(1, 101)])
    for sequence in (1, 30, 31, 32, 100):
        await letters.remove(sequence)
    left = [number for number in range(1, 101) if number not in {1, 30, 31, 32, 100}]
    assert await oldest(letters) == left
    assert await newest(letters) == left[::-1]


async def test_a_pull_ends_by_its_bytes_and_the_next_goes_on(
    client: LenientClient, letters: DeadLetterStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letter_stream, "PULL_BYTES", 1)  # the room for the largest message is left
    large = [replace(letter, payload=b"x" * 600_000) for letter in (a_letter(number) for number in range(5))]
    await bury(client, large)
    assert await oldest(letters) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("criteria", "sequences"),
    [
        (LetterCriteria(kind="fact"), [1, 2, 3, 5]),
        (LetterCriteria(kind="command"), [4]),
        (LetterCriteria(fact_type="order"), [1, 5]),
        (LetterCriteria(fact_type="flight.*"), [2]),
        (LetterCriteria(fact_type="nobody"), []),
        (LetterCriteria(reasons=frozenset({"NOT_JSON"})), [1, 3]),
        (LetterCriteria(reasons=frozenset({"FACT_TOO_LARGE", "COMMAND_FORGED"})), [2, 4, 5]),
        (LetterCriteria(fact_type="order", reasons=frozenset({"FACT_TOO_LARGE"})), [5]),
    ],
)
async def test_letters_are_chosen_by_what_they_say(
    client: LenientClient, letters: DeadLetterStream, criteria: LetterCriteria, sequences: list[int]
) -> None:
    command = Publication("dead.commands.ann.create", header_block({"Rulestream-Reason": "COMMAND_FORGED"}), b"{}")
    await bury(client, [a_letter(1), a_letter(2, "flight.late", DeadReason.FACT_TOO_LARGE), a_letter(3, "_invalid")])
    await bury(client, [command, a_letter(5, reason=DeadReason.FACT_TOO_LARGE)])
    assert await oldest(letters, criteria) == sequences
    assert await newest(letters, criteria) == sequences[::-1]


async def test_letters_are_chosen_by_when_they_were_buried(
    client: LenientClient, letters: DeadLetterStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letter_stream, "WINDOW", 2)
    for number in range(1, 7):
        await bury(client, [a_letter(number)])
    times = [letter.buried_at_ns async for letter in letters.oldest_first(LetterCriteria())]
    assert len(set(times)) == 6
    for criteria, sequences in (
        (LetterCriteria(since_ns=times[3]), [4, 5, 6]),
        (LetterCriteria(since_ns=times[3] + 1), [5, 6]),
        (LetterCriteria(until_ns=times[3]), [1, 2, 3]),
        (LetterCriteria(since_ns=times[1], until_ns=times[4]), [2, 3, 4]),
        (LetterCriteria(since_ns=times[5] + 1), []),
    ):
        assert await oldest(letters, criteria) == sequences
        assert await newest(letters, criteria) == sequences[::-1]


async def test_what_is_buried_meanwhile_is_left_for_the_next_time(
    client: LenientClient, letters: DeadLetterStream
) -> None:
    """A fact that is sent again and dies again must not be sent for ever."""
    await bury(client, [a_letter(1), a_letter(2)])
    seen = []
    async for letter in letters.oldest_first(LetterCriteria()):
        seen.append(letter.sequence)
        await bury(client, [a_letter(100 + letter.sequence)])
    assert seen == [1, 2]
    assert await oldest(letters) == [1, 2, 3, 4]


async def test_what_is_removed_meanwhile_ends_the_reading(
    client: LenientClient, letters: DeadLetterStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letter_stream, "PULL_LETTERS", 2)
    await bury(client, [a_letter(number) for number in range(1, 6)])
    impatient = DeadLetterStream(client, "DEAD_LETTERS", timeout_s=3)
    seen = []
    async for letter in impatient.oldest_first(LetterCriteria()):
        seen.append(letter.sequence)
        if letter.sequence == 2:
            await client.jetstream().purge_stream("DEAD_LETTERS")
    assert seen == [1, 2]


async def test_letters_that_are_not_sent_are_not_taken_for_the_end(
    client: LenientClient, letters: DeadLetterStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its consumer is lost while letters are read: as with the server that held it."""
    monkeypatch.setattr(dead_letter_stream, "PULL_LETTERS", 2)
    await bury(client, [a_letter(number) for number in range(1, 6)])
    manager = client.jsm()
    seen = []

    async def read() -> None:
        async for letter in letters.oldest_first(LetterCriteria()):
            seen.append(letter.sequence)
            for consumer in await manager.consumers_info("DEAD_LETTERS"):
                await manager.delete_consumer("DEAD_LETTERS", consumer.name)

    with pytest.raises(UnavailableError):
        await read()
    assert seen == [1, 2]


async def test_an_empty_stream_has_no_letters(client: LenientClient, letters: DeadLetterStream) -> None:
    assert await oldest(letters) == await newest(letters) == []
    await bury(client, [a_letter(1)])
    await letters.remove(1)
    assert await oldest(letters) == await newest(letters) == []


async def test_a_letter_that_is_gone_stays_gone(client: LenientClient, letters: DeadLetterStream) -> None:
    await bury(client, [a_letter(1)])
    for _ in range(2):
        await letters.remove(1)
        assert await letters.find(1) is None
    assert await letters.find(99) is None


async def test_no_consumer_is_left_behind(client: LenientClient, letters: DeadLetterStream) -> None:
    await bury(client, [a_letter(number) for number in range(1, 4)])
    await oldest(letters)
    await newest(letters)
    async with aclosing(letters.oldest_first(LetterCriteria())) as begun:
        async for _ in begun:
            break
    assert await consumers(client) == 0


async def test_a_stream_that_is_not_there_is_named(nats_url: str) -> None:
    client = await connect(nats_url, "test")
    with pytest.raises(NotFoundError, match="there is no stream GRAVES here"):
        await oldest(DeadLetterStream(client, "GRAVES"))
    await client.close()


@pytest.mark.usefixtures("client")
async def test_while_the_server_is_away_that_is_said(nats_url: str) -> None:
    async with proxied(nats_url) as proxy:
        client = await connect(proxy.url, "test", is_patient=False)
        assert await oldest(DeadLetterStream(client, "DEAD_LETTERS", timeout_s=60)) == []
        await proxy.cut()
        letters = DeadLetterStream(client, "DEAD_LETTERS", timeout_s=0.5)
        for call in (oldest(letters), newest(letters), letters.find(1), letters.remove(1)):
            with pytest.raises(UnavailableError):
                await call
        await client.close()


class TestRedriver:
    """Each message's own acknowledgement."""

    @pytest.fixture
    async def redriver(self, client: LenientClient) -> Redriver:
        made = Redriver(client, timeout_s=60)
        await made.start()
        return made

    async def test_many_at_once_have_each_their_own(self, redriver: Redriver) -> None:
        head = header_block({"x y": "names that a client may send", "Nats-Msg-Id": ""})
        sent = [redriver.publish(Publication("facts.order", head, b"%d" % number)) for number in range(50)]
        outcomes = await asyncio.gather(*sent)
        assert outcomes == [Stored("FACTS", number) for number in range(1, 51)]

    async def test_a_repeat_is_told_and_when_it_is_none_any_more(
        self, client: LenientClient, redriver: Redriver
    ) -> None:
        publication = Publication("facts.order", header_block({"Nats-Msg-Id": "m1"}), b"{}")
        assert await redriver.publish(publication) == Stored("FACTS", 1)
        known = Known("FACTS", 1)
        assert await redriver.publish(publication) == known
        window_ns = 120 * 1_000_000_000
        stored = (await client.jetstream().get_msg("FACTS", 1)).time
        remembered = await redriver.remembered(known)
        assert remembered.window_ns == window_ns
        assert stored is not None
        assert remembered.until_ns is not None
        assert abs(remembered.until_ns - window_ns - stored.timestamp() * 1e9) < 1e6
        await client.jetstream().delete_msg("FACTS", 1)
        assert (await redriver.remembered(known)).until_ns is None

    async def test_what_no_stream_takes_is_told(self, client: LenientClient, redriver: Redriver) -> None:
        publication = Publication("nobody.listens", header_block({}), b"{}")
        assert await redriver.publish(publication) == NotStored("no stream listens on the subject")
        await client.jetstream().delete_stream("FACTS")
        await client.jetstream().add_stream(name="FACTS", subjects=["facts.>"], max_msg_size=1)
        outcome = await redriver.publish(Publication("facts.order", header_block({}), b"{}"))
        assert isinstance(outcome, NotStored)
        assert "message size" in outcome.reason

    @pytest.mark.usefixtures("client")
    async def test_without_an_answer_nobody_knows(self, nats_url: str) -> None:
        async with proxied(nats_url) as proxy:
            client = await connect(proxy.url, "test", is_patient=False)
            redriver = Redriver(client, timeout_s=0.3)
            await redriver.start()
            await proxy.cut()
            with pytest.raises(UnavailableError):
                await redriver.publish(Publication("facts.order", header_block({}), b"{}"))
            await client.close()
