"""Sending dead letters' facts again: which can be, what became of each, and what is left in the stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from streams.dead_letters import DeadLetter, obstacle, redrive_publication
from streams.facts.intake import Delivery, Refused, read_fact
from streams.messages.decisions import time_text
from streams.redriving import Known, NotStored, Outcome, Remembered, Stored
from streams.wire import Publication

AT_ONCE: Final = 32
_SECOND_NS: Final = 1_000_000_000
# Beyond the duplicate window, for a server that forgets a little late or has another clock.
_PATIENCE_S: Final = 5.0
_RETRY_S: Final = 0.5

Status = Literal["redriven", "possible", "duplicate", "refused", "missing"]


class Letters(Protocol):
    """The stream of dead letters."""

    async def find(self, sequence: int) -> DeadLetter | None: ...

    async def remove(self, sequence: int) -> None: ...


class Publisher(Protocol):
    """Where facts are sent to."""

    async def publish(self, publication: Publication) -> Outcome: ...

    async def remembered(self, known: Known) -> Remembered: ...


@dataclass(frozen=True, slots=True)
class RedriveSettings:
    """How letters are redriven.

    ``is_dry``: nothing is sent or removed. ``keeps_letters``: what was sent again stays a letter too. ``waits``: where
    the stream drops a fact for its message id, it is sent again once the duplicate window is over.
    """

    is_dry: bool = False
    keeps_letters: bool = False
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Redrive:
    """What became of one letter.

    ``redriven``: the stream has stored the fact, at ``fact_sequence``. ``possible``: a dry run, it could be. Otherwise
    nothing was sent, or stored, and the letter is still there: ``duplicate`` for its message id, ``refused``, or it is
    ``missing`` itself. ``note`` says why; for the first two it says why the fact will be a dead letter again.
    """

    sequence: int
    status: Status
    letter: DeadLetter | None = None
    fact_sequence: int | None = None
    note: str = ""

    @property
    def is_well(self) -> bool:
        """Whether all was done for the letter that was asked for."""
        return self.status in {"redriven", "possible"}


class DeadLetterRedrive:
    """Sends dead letters' facts again, some at once; the same letter any number of times, for one decision."""

    def __init__(self, letters: Letters, publisher: Publisher, settings: RedriveSettings) -> None:
        self._letters = letters
        self._publisher = publisher
        self._settings = settings

    async def of_sequences(self, sequences: Iterable[int]) -> AsyncIterator[Redrive]:
        """Redrive the letters at sequences; raises UnavailableError when a server is away, as the next method does."""
        for sequence in sequences:
            letter = await self._letters.find(sequence)
            yield (
                Redrive(sequence, "missing", note="there is no such letter")
                if letter is None
                else await self._one(letter)
            )

    async def of_letters(self, letters: AsyncIterable[DeadLetter]) -> AsyncIterator[Redrive]:
        """Redrive letters, read with their data; what becomes of each is given in their order."""
        some: list[DeadLetter] = []
        async for letter in letters:
            some.append(letter)
            if len(some) == AT_ONCE:
                async for redrive in self._at_once(some):
                    yield redrive
                some = []
        async for redrive in self._at_once(some):
            yield redrive

    async def _at_once(self, letters: Sequence[DeadLetter]) -> AsyncIterator[Redrive]:
        """Redrive some letters; where a server is away, what was done for others is told first."""
        failure: BaseException | None = None
        for redrive in await asyncio.gather(*map(self._one, letters), return_exceptions=True):
            if isinstance(redrive, BaseException):
                failure = failure or redrive
            else:
                yield redrive
        if failure is not None:
            raise failure

    async def _one(self, letter: DeadLetter) -> Redrive:
        why_not = obstacle(letter)
        if why_not is not None:
            return Redrive(letter.sequence, "refused", letter, note=why_not)
        note = _still_dead(letter)
        if self._settings.is_dry:
            return Redrive(letter.sequence, "possible", letter, note=note)
        outcome, remembered = await self._sent(redrive_publication(letter))
        match outcome:
            case Stored(_, sequence):
                if not self._settings.keeps_letters:
                    await self._letters.remove(letter.sequence)
                return Redrive(letter.sequence, "redriven", letter, sequence, note)
            case NotStored(reason):
                return Redrive(letter.sequence, "refused", letter, note=f"JetStream refused it: {reason}")
            case Known():
                return Redrive(letter.sequence, "duplicate", letter, note=_known(outcome, remembered))

    async def _sent(self, publication: Publication) -> tuple[Outcome, Remembered | None]:
        """Publish, and where the stream knows the message id wait if that is wanted; no longer than its window."""
        give_up_at: float | None = None
        while True:
            outcome = await self._publisher.publish(publication)
            if not isinstance(outcome, Known):
                return outcome, None
            remembered = await self._publisher.remembered(outcome)
            now = time.monotonic()
            if give_up_at is None:
                give_up_at = now + remembered.window_ns / _SECOND_NS + _PATIENCE_S
            if not self._settings.waits or now >= give_up_at:
                return outcome, remembered
            left_s = 0.0 if remembered.until_ns is None else (remembered.until_ns - time.time_ns()) / _SECOND_NS
            await asyncio.sleep(min(max(left_s, _RETRY_S), give_up_at - now))


def _known(known: Known, remembered: Remembered | None) -> str:
    note = f"{known.stream} drops it, for it has its message id already (sequence {known.sequence})"
    if remembered is None or remembered.until_ns is None:
        return f"{note}; try again after the stream's duplicate window, or with --wait"
    return f"{note}; try again after {time_text(remembered.until_ns)}, or with --wait"


def _still_dead(letter: DeadLetter) -> str:
    """Say why a fact will be buried again whatever the worker's settings; empty for one that is a fact."""
    assert letter.place is not None
    assert letter.data is not None
    place, found = letter.place, dict(letter.headers)
    delivery = Delivery(letter.subject, "", letter.data, found, place.stream, place.sequence, letter.buried_at_ns, 1)
    outcome = read_fact(delivery, bytes_max=len(letter.data))
    return f"it is still no fact: {outcome.reason}: {outcome.message}" if isinstance(outcome, Refused) else ""
