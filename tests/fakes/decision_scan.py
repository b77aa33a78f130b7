"""Going through decisions, in memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from domain.decisions.patterns import matches
from domain.errors import UnavailableError
from domain.ports import BrokenRecord, DecisionRange, StoredDecision
from tests.fakes.decisions import FakeDecisions


class FakeDecisionScan:
    """DecisionScan on the fake store.

    For tests: ``page_decisions``; ``broken``, keys of decisions that cannot be read; ``pages_given`` counts the pages.
    """

    def __init__(self, decisions: FakeDecisions, page_decisions: int = 512) -> None:
        self._decisions = decisions
        self.page_decisions = page_decisions
        self.broken: set[bytes] = set()
        self.pages_given = 0

    async def pages(self, wanted: DecisionRange) -> AsyncGenerator[Sequence[StoredDecision | BrokenRecord], None]:
        until_ns = self._until(wanted)
        place = (wanted.since_ns, b"")
        while True:
            behind = [one for one in self._between(wanted.since_ns, until_ns) if (one.stored_at_ns, one.key) > place]
            if wanted.fact_type is not None:
                behind = [one for one in behind if matches(wanted.fact_type, one.fact_type)]
            page = behind[: self.page_decisions]
            if not page:
                return
            place = (page[-1].stored_at_ns, page[-1].key)
            self.pages_given += 1
            yield [BrokenRecord(one.key, "broken by a test") if one.key in self.broken else one for one in page]

    async def count(self, wanted: DecisionRange, most: int) -> int:
        return min(most, len(self._between(wanted.since_ns, self._until(wanted))))

    def _until(self, wanted: DecisionRange) -> int:
        if self._decisions.is_away:
            raise UnavailableError("postgres", "the fake store is away")
        newest = max((one.stored_at_ns for one in self._decisions.stored.values()), default=-1)
        return newest + 1 if wanted.until_ns is None else wanted.until_ns

    def _between(self, since_ns: int, until_ns: int) -> list[StoredDecision]:
        found = [one for one in self._decisions.stored.values() if since_ns <= one.stored_at_ns < until_ns]
        return sorted(found, key=lambda one: (one.stored_at_ns, one.key))
