"""The decision store, in memory."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from domain.decisions.patterns import matches
from domain.errors import UnavailableError
from domain.ports import (
    DecisionCriteria,
    DecisionPage,
    DecisionsRefusedError,
    ListedDecision,
    StoredDecision,
    StoreResult,
)


class FakeDecisions:
    """DecisionStore in memory.

    For tests to set: ``is_away``; ``refused``, fact ids that the store takes for bad data; ``unsettled``, keys whose
    first decision cannot be seen; ``looked_at_max``, how many decisions a page looks at. ``calls`` counts the calls of
    ``store``, those that failed too.
    """

    def __init__(self) -> None:
        self.stored: dict[bytes, StoredDecision] = {}
        self.is_away = False
        self.refused: set[str] = set()
        self.unsettled: set[bytes] = set()
        self.calls = 0
        self.looked_at_max = 1_000

    async def store(self, decisions: Sequence[StoredDecision]) -> StoreResult:
        self.calls += 1
        self._require_presence()
        assert len({one.key for one in decisions}) == len(decisions), "keys must be distinct within a call"
        for one in decisions:
            if one.fact_id in self.refused:
                raise DecisionsRefusedError(f"the store refuses {one.fact_id}")
        first: dict[bytes, StoredDecision] = {}
        for one in decisions:
            if one.key in self.stored:
                first[one.key] = _without_fact(self.stored[one.key])
            elif one.key not in self.unsettled:
                self.stored[one.key] = one
        return StoreResult(first, frozenset(one.key for one in decisions if one.key in self.unsettled))

    async def find(self, key: bytes) -> StoredDecision | None:
        self._require_presence()
        return self.stored.get(key)

    async def find_by_fact_id(self, fact_id: str) -> Sequence[StoredDecision]:
        self._require_presence()
        found = [_without_fact(one) for one in self.stored.values() if one.fact_id == fact_id]
        return sorted(found, key=lambda one: one.stored_at_ns, reverse=True)

    async def list_by_criteria(self, criteria: DecisionCriteria) -> DecisionPage:
        self._require_presence()
        newest = max((one.stored_at_ns + 1 for one in self.stored.values()), default=None)
        until_ns = newest if criteria.until_ns is None else criteria.until_ns
        if until_ns is None:
            return DecisionPage([], None, None)
        between = [
            one
            for one in self.stored.values()
            if (criteria.since_ns is None or one.stored_at_ns >= criteria.since_ns)
            and one.stored_at_ns < until_ns
            and criteria.fact_id in (None, one.fact_id)
        ]
        between.sort(key=lambda one: (one.stored_at_ns, one.key), reverse=True)
        looked_at = list(enumerate(between, start=1))[criteria.offset : criteria.offset + self.looked_at_max]
        met = [
            ListedDecision(_without_fact(one), place)
            for place, one in looked_at
            if (criteria.fact_type is None or matches(criteria.fact_type, one.fact_type))
            and criteria.matched in (None, one.matched)
        ]
        items = met[: criteria.size]
        if len(met) > len(items):
            return DecisionPage(items, items[-1].next_offset, until_ns)
        end = criteria.offset + len(looked_at)
        return DecisionPage(items, end if end < len(between) else None, until_ns)

    def _require_presence(self) -> None:
        if self.is_away:
            raise UnavailableError("postgres", "the fake store is away")


def _without_fact(decision: StoredDecision) -> StoredDecision:
    return decision if decision.fact is None else replace(decision, fact=None)
