"""The cache of active rules, in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from domain.decisions.ruleset import ActiveRule, ruleset_digest
from domain.identifiers import RuleId


class FakeActiveRulesCache:
    """ActiveRulesCache in memory. ``is_away`` is for tests to set; ``lists`` and ``rules`` are for them to spoil."""

    def __init__(self) -> None:
        self.is_away = False
        self.lists: dict[bytes, list[tuple[RuleId, int, bytes]]] = {}
        self.rules: dict[bytes, ActiveRule] = {}

    async def members(self, digest: bytes) -> Sequence[tuple[RuleId, int, bytes]] | None:
        found = None if self.is_away else self.lists.get(digest)
        if found is None or ruleset_digest(content for _, _, content in found) != digest:
            return None
        return list(found)

    async def load(self, digests: Sequence[bytes]) -> Mapping[bytes, ActiveRule]:
        if self.is_away:
            return {}
        return {digest: self.rules[digest] for digest in digests if self._is_sound(digest)}

    async def store_members(self, digest: bytes, members: Sequence[tuple[RuleId, int, bytes]]) -> None:
        if not self.is_away:
            self.lists[digest] = list(members)

    async def store_rules(self, rules: Sequence[ActiveRule]) -> None:
        if not self.is_away:
            self.rules.update((rule.digest, rule) for rule in rules)

    def _is_sound(self, digest: bytes) -> bool:
        return digest in self.rules and self.rules[digest].digest == digest
