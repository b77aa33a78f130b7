"""Trials of facts, in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from domain.errors import UnavailableError
from domain.ports import FactPlace


class FakeTrials:
    """FactTrials in memory; ``begun`` is what outlives a worker, to be handed to the next one's trials.

    For tests to set: ``is_away``; ``answers_lost``, how many beginnings from now on are counted and not answered.
    """

    def __init__(self, begun: Counter[FactPlace] | None = None) -> None:
        self.begun: Counter[FactPlace] = Counter() if begun is None else begun
        self.is_away = False
        self.answers_lost = 0
        self._unsure: set[FactPlace] = set()
        self._unsaid: set[FactPlace] = set()

    async def begin(self, fact: FactPlace, ended: Sequence[FactPlace] = ()) -> int:
        await self.end(ended)
        if fact not in self._unsure or fact not in self.begun:
            self.begun[fact] += 1
        self._unsure.discard(fact)
        if self.answers_lost > 0:
            self.answers_lost -= 1
            self._unsure.add(fact)
            raise UnavailableError("postgres", "the fake's answer is lost")
        return self.begun[fact]

    async def end(self, facts: Sequence[FactPlace]) -> None:
        self._unsaid.update(facts)
        self._require_presence()
        for fact in self._unsaid:
            self.begun.pop(fact, None)
            self._unsure.discard(fact)
        self._unsaid.clear()

    async def expire(self, before_ns: int) -> int:
        self._require_presence()
        gone = [fact for fact in self.begun if fact.stored_at_ns < before_ns]
        await self.end(gone)
        return len(gone)

    def _require_presence(self) -> None:
        if self.is_away:
            raise UnavailableError("postgres", "the fake trials are away")
