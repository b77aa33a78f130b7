"""The decision store, in memory."""

from __future__ import annotations

from collections.abc import Sequence

from domain.errors import UnavailableError
from domain.ports import DecisionsRefusedError, StoredDecision, StoreResult


class FakeDecisions:
    """DecisionStore in memory.

    For tests to set: ``is_away``; ``refused``, fact ids that the store takes for bad data; ``unsettled``, keys whose
    first decision cannot be seen. ``calls`` counts the calls of ``store``, those that failed too.
    """

    def __init__(self) -> None:
        self.stored: dict[bytes, StoredDecision] = {}
        self.is_away = False
        self.refused: set[str] = set()
        self.unsettled: set[bytes] = set()
        self.calls = 0

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
                first[one.key] = self.stored[one.key]
            elif one.key not in self.unsettled:
                self.stored[one.key] = one
        return StoreResult(first, frozenset(one.key for one in decisions if one.key in self.unsettled))

    async def find(self, key: bytes) -> StoredDecision | None:
        self._require_presence()
        return self.stored.get(key)

    async def find_by_fact_id(self, fact_id: str) -> Sequence[StoredDecision]:
        self._require_presence()
        found = [one for one in self.stored.values() if one.fact_id == fact_id]
        return sorted(found, key=lambda one: one.stored_at_ns, reverse=True)

    def _require_presence(self) -> None:
        if self.is_away:
            raise UnavailableError("postgres", "the fake store is away")
