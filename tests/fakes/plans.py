"""The cache of plans, in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from domain.language import StoredPlan


class FakePlanCache:
    """PlanCache in memory. ``is_away`` is for tests to set; ``plans`` is for them to look at."""

    def __init__(self) -> None:
        self.is_away = False
        self.plans: dict[bytes, StoredPlan] = {}

    async def load(self, digests: Sequence[bytes]) -> Mapping[bytes, StoredPlan]:
        return {} if self.is_away else {digest: self.plans[digest] for digest in digests if digest in self.plans}

    async def store(self, plans: Mapping[bytes, StoredPlan]) -> None:
        if not self.is_away:
            self.plans.update(plans)
