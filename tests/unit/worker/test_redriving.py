"""Redriving dead letters: what is sent, what is removed, and what is said where nothing was stored."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable

import pytest

from domain.errors import UnavailableError
from streams.dead_letters import DeadLetter, read_letter
from streams.messages.decisions import time_text
from streams.redriving import Known, NotStored, Outcome, Remembered, Stored
from streams.wire import Publication
from worker import redriving
from worker.redriving import AT_ONCE, DeadLetterRedrive, Redrive, RedriveSettings

SECOND_NS = 1_000_000_000
STORED_AT_NS = 1_769_860_800 * SECOND_NS


def a_letter(sequence: int = 1, data: bytes = b"{}", **changes: str) -> DeadLetter:
    found = {
        "Rulestream-Reason": "FACT_TOO_LARGE",
        "Rulestream-Subject": "facts.order",
        "Rulestream-Stream": "FACTS",
        "Rulestream-Sequence": str(sequence + 100),
        "Rulestream-Stored-At": time_text(STORED_AT_NS),
        **changes,
    }
    return read_letter(sequence, STORED_AT_NS + SECOND_NS, "dead.facts.order", found, data, len(data))


class FakeLetters:
    """The stream of dead letters, in memory."""

    def __init__(self, letters: Iterable[DeadLetter]) -> None:
        self.held = {letter.sequence: letter for letter in letters}

    async def find(self, sequence: int) -> DeadLetter | None:
        return self.held.get(sequence)

    async def remove(self, sequence: int) -> None:
        del self.held[sequence]


class FakePublisher:
    """A stream that stores, or answers otherwise for as long as a test says."""

    def __init__(self, *outcomes: Outcome, remembered: Remembered | None = None) -> None:
        self.sent: list[Publication] = []
        self._outcomes = list(outcomes)
        self._remembered = remembered or Remembered(SECOND_NS, None)
        self.is_away = False
        self.away_after: int | None = None

    async def publish(self, publication: Publication) -> Outcome:
        if self.is_away or len(self.sent) == self.away_after:
            raise UnavailableError("nats", "away")
        self.sent.append(publication)
        return self._outcomes.pop(0) if self._outcomes else Stored("FACTS", 1000 + len(self.sent))

    async def remembered(self, known: Known) -> Remembered:
        assert known.stream == "FACTS"
        return self._remembered


async def redriven(
    letters: FakeLetters, publisher: FakePublisher, settings: RedriveSettings, *sequences: int
) -> list[Redrive]:
    """Redrive letters by their numbers, all without any."""
    redrive = DeadLetterRedrive(letters, publisher, settings)
    if sequences:
        return [one async for one in redrive.of_sequences(sequences)]

    async def every() -> AsyncIterator[DeadLetter]:
        for letter in list(letters.held.values()):
            yield letter

    return [one async for one in redrive.of_letters(every())]


async def test_a_letter_goes_once_its_fact_is_stored() -> None:
    letters, publisher = FakeLetters([a_letter(1), a_letter(2)]), FakePublisher()
    (one,) = await redriven(letters, publisher, RedriveSettings(), 2)
    assert (one.status, one.sequence, one.fact_sequence, one.note) == ("redriven", 2, 1001, "")
    assert one.is_well
    assert [publication.subject for publication in publisher.sent] == ["facts.order"]
    assert list(letters.held) == [1]


async def test_a_letter_stays_where_that_is_wanted() -> None:
    letters, publisher = FakeLetters([a_letter()]), FakePublisher()
    for _ in range(2):
        (one,) = await redriven(letters, publisher, RedriveSettings(keeps_letters=True), 1)
        assert one.status == "redriven"
    assert publisher.sent[0] == publisher.sent[1]
    assert list(letters.held) == [1]


async def test_a_dry_run_sends_and_removes_nothing_and_says_what_it_would_do() -> None:
    letters, publisher = FakeLetters([a_letter(1), a_letter(2, **{"Rulestream-Truncated": "data"})]), FakePublisher()
    found = await redriven(letters, publisher, RedriveSettings(is_dry=True))
    assert [(one.sequence, one.status, one.is_well) for one in found] == [(1, "possible", True), (2, "refused", False)]
    assert publisher.sent == []
    assert list(letters.held) == [1, 2]


async def test_what_cannot_be_sent_again_is_refused_and_the_others_are_sent() -> None:
    letters = FakeLetters([a_letter(1), a_letter(2, **{"Rulestream-Truncated": "headers"}), a_letter(3)])
    publisher = FakePublisher()
    found = await redriven(letters, publisher, RedriveSettings())
    assert [one.status for one in found] == ["redriven", "refused", "redriven"]
    assert "did not fit" in found[1].note
    assert list(letters.held) == [2]


async def test_a_letter_that_is_not_there_is_said() -> None:
    (one,) = await redriven(FakeLetters([]), FakePublisher(), RedriveSettings(), 5)
    assert (one.status, one.sequence, one.letter, one.is_well) == ("missing", 5, None, False)


async def test_what_the_server_refuses_stays_a_letter() -> None:
    letters = FakeLetters([a_letter()])
    (one,) = await redriven(letters, FakePublisher(NotStored("maximum bytes exceeded")), RedriveSettings(), 1)
    assert (one.status, one.note) == ("refused", "JetStream refused it: maximum bytes exceeded")
    assert list(letters.held) == [1]


async def test_a_fact_that_will_be_buried_again_is_sent_and_that_is_said() -> None:
    letters, publisher = FakeLetters([a_letter(data=b"[]")]), FakePublisher()
    for settings, status in ((RedriveSettings(is_dry=True), "possible"), (RedriveSettings(), "redriven")):
        (one,) = await redriven(letters, publisher, settings, 1)
        assert (one.status, one.note) == (status, "it is still no fact: NOT_AN_OBJECT: a fact is a JSON object")
    assert len(publisher.sent) == 1


async def test_whether_a_fact_is_too_large_is_the_workers_to_say() -> None:
    letters = FakeLetters([a_letter(data=b'{"a":"' + b"x" * 1_000_000 + b'"}')])
    (one,) = await redriven(letters, FakePublisher(), RedriveSettings(), 1)
    assert (one.status, one.note) == ("redriven", "")


async def test_many_letters_are_told_of_in_their_order() -> None:
    letters = FakeLetters(a_letter(number) for number in range(1, 2 * AT_ONCE + 2))
    found = await redriven(letters, FakePublisher(), RedriveSettings())
    assert [one.sequence for one in found] == list(range(1, 2 * AT_ONCE + 2))
    assert letters.held == {}


async def test_without_letters_nothing_is_done() -> None:
    assert await redriven(FakeLetters([]), FakePublisher(), RedriveSettings()) == []


async def test_while_the_server_is_away_the_letter_stays() -> None:
    letters, publisher = FakeLetters([a_letter()]), FakePublisher()
    publisher.is_away = True
    with pytest.raises(UnavailableError):
        await redriven(letters, publisher, RedriveSettings(), 1)
    assert list(letters.held) == [1]


async def test_what_was_done_when_the_server_goes_away_is_told() -> None:
    letters, publisher = FakeLetters(a_letter(number) for number in range(1, 6)), FakePublisher()
    publisher.away_after = 2
    told = []

    async def every() -> AsyncIterator[DeadLetter]:
        for letter in list(letters.held.values()):
            yield letter

    async def redrive() -> None:
        async for one in DeadLetterRedrive(letters, publisher, RedriveSettings()).of_letters(every()):
            told.append(one.sequence)  # noqa: PERF401  # those before the failure are wanted

    with pytest.raises(UnavailableError):
        await redrive()
    assert told == [1, 2]
    assert list(letters.held) == [3, 4, 5]


class TestDuplicates:
    """The stream drops a fact whose message id it remembers: that is no success, whatever the acknowledgement."""

    KNOWN = Known("FACTS", 42)

    async def test_it_is_said_until_when(self) -> None:
        letters = FakeLetters([a_letter()])
        publisher = FakePublisher(self.KNOWN, remembered=Remembered(SECOND_NS, STORED_AT_NS))
        (one,) = await redriven(letters, publisher, RedriveSettings(), 1)
        assert (one.status, one.is_well, one.fact_sequence) == ("duplicate", False, None)
        assert "it has its message id already (sequence 42); try again after 2026-01-31T12:00:00Z" in one.note
        assert list(letters.held) == [1]
        assert len(publisher.sent) == 1

    async def test_where_the_first_message_is_gone_the_window_is_named(self) -> None:
        (one,) = await redriven(FakeLetters([a_letter()]), FakePublisher(self.KNOWN), RedriveSettings(), 1)
        assert "try again after the stream's duplicate window, or with --wait" in one.note

    async def test_it_is_sent_again_when_the_window_is_over_where_that_is_wanted(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(redriving, "_RETRY_S", 0.0)
        letters = FakeLetters([a_letter()])
        over = Remembered(SECOND_NS, time.time_ns() - 1)
        publisher = FakePublisher(self.KNOWN, self.KNOWN, remembered=over)
        (one,) = await redriven(letters, publisher, RedriveSettings(waits=True), 1)
        assert (one.status, one.fact_sequence) == ("redriven", 1003)
        assert letters.held == {}

    async def test_waiting_ends_a_little_behind_the_window(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(redriving, "_PATIENCE_S", 0.0)
        monkeypatch.setattr(redriving, "_RETRY_S", 0.0)
        publisher = FakePublisher(*[self.KNOWN] * 3, remembered=Remembered(0, None))
        (one,) = await redriven(FakeLetters([a_letter()]), publisher, RedriveSettings(waits=True), 1)
        assert one.status == "duplicate"
