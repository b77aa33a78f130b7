"""The rulesets of earlier revisions, made again from Postgres alone and held against the digest that decisions name.

A digest vouches for a ruleset's contents: each member's is computed from the content itself, so that nothing which was
changed since, in the members or in the rules, can decide.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from domain.decisions.ruleset import ActiveRule, BoundRule, Ruleset, RulesetState, bind, ruleset_digest
from domain.errors import RulesetLostError
from domain.identifiers import RuleId
from domain.language import CompiledRule, InvalidRuleError, compile_rule
from domain.ports import Transactions

# Rulesets that are kept whole, and compiled rules that are kept beside those of the newest ruleset.
RULESETS_MAX: Final = 4
RULES_MAX: Final = 20_000
_CHUNK: Final = 200  # rules that are loaded and compiled at once
_NAMED_MAX: Final = 10  # rules that an error names

Members = Sequence[tuple[RuleId, int, bytes]]


class PastRulesets:
    """Makes rulesets again, one at a time: calls must not overlap.

    A rule is compiled once for all revisions that it decides in, while it is kept.
    """

    def __init__(
        self,
        transactions: Transactions,
        compile_one: Callable[[str], CompiledRule] = compile_rule,
        rulesets_max: int = RULESETS_MAX,
        rules_max: int = RULES_MAX,
    ) -> None:
        self._transactions = transactions
        self._compile_one = compile_one
        self._rulesets_max = rulesets_max
        self._rules_max = rules_max
        self._rulesets: OrderedDict[RulesetState, Ruleset | RulesetLostError] = OrderedDict()
        self._rules: OrderedDict[bytes, BoundRule] = OrderedDict()

    async def find(self, state: RulesetState) -> Ruleset:
        """Return the compiled ruleset of a revision; raises RulesetLostError, UnavailableError."""
        found = self._rulesets.get(state)
        if found is None:
            try:
                found = await self._make(state)
            except RulesetLostError as error:
                found = error  # known from now on: any number of decisions may name it
            self._rulesets[state] = found
            if len(self._rulesets) > self._rulesets_max:
                self._rulesets.popitem(last=False)
        self._rulesets.move_to_end(state)
        if isinstance(found, RulesetLostError):
            raise found.with_traceback(None)
        return found

    async def _make(self, state: RulesetState) -> Ruleset:
        async with self._transactions.begin() as tx:
            members = await tx.active_rules.members(state.revision)
            wanted = [(rule_id, version) for rule_id, version, digest in members if digest not in self._rules]
            loaded: dict[tuple[RuleId, int], ActiveRule] = {}
            for start in range(0, len(wanted), _CHUNK):
                for rule in await tx.active_rules.load(wanted[start : start + _CHUNK]):
                    loaded[rule.rule_id, rule.version] = rule
        fresh = self._verified(state, members, loaded)
        for start in range(0, len(fresh), _CHUNK):
            chunk = fresh[start : start + _CHUNK]
            for rule, compiled in zip(chunk, await asyncio.to_thread(self._compile, state, chunk), strict=True):
                self._rules[rule.digest] = bind(rule, rule.digest, compiled)
        rules = [self._rules[digest] for _, _, digest in members]
        self._keep(members)
        return Ruleset(state.revision, rules, state.digest)

    def _verified(
        self, state: RulesetState, members: Members, loaded: dict[tuple[RuleId, int], ActiveRule]
    ) -> list[ActiveRule]:
        """Return the rules that are to be compiled; raises RulesetLostError unless all together are the ruleset."""
        fresh: list[ActiveRule] = []
        wrong: list[str] = []
        for rule_id, version, digest in members:
            if digest in self._rules:
                continue
            rule = loaded.get((rule_id, version))
            if rule is None:
                wrong.append(f"version {version} of rule {rule_id} is gone")
            elif rule.digest != digest:
                wrong.append(f"version {version} of '{rule.content.name}' ({rule_id}) is not the content that decided")
            else:
                fresh.append(rule)
        if wrong:
            raise _lost(state, wrong)
        found = ruleset_digest(digest for _, _, digest in members)
        if found != state.digest:
            raise _lost(state, [f"its {len(members)} rules have the digest {found.hex()}"], found=found.hex())
        return fresh

    def _compile(self, state: RulesetState, rules: Sequence[ActiveRule]) -> list[CompiledRule]:
        compiled: list[CompiledRule] = []
        for rule in rules:
            try:
                compiled.append(self._compile_one(rule.content.dsl_content))
            except InvalidRuleError as error:
                named = f"version {rule.version} of '{rule.content.name}' ({rule.rule_id})"
                raise _lost(state, [f"this release refuses {named}: {error.message}"]) from error
        return compiled

    def _keep(self, members: Members) -> None:
        """Keep the rules of a ruleset, and of the others those that were met last."""
        for _, _, digest in members:
            self._rules.move_to_end(digest)
        while len(self._rules) > max(self._rules_max, len(members)):
            self._rules.popitem(last=False)


def _lost(state: RulesetState, wrong: Sequence[str], **details: str) -> RulesetLostError:
    more = f" and {len(wrong) - _NAMED_MAX} more" if len(wrong) > _NAMED_MAX else ""
    return RulesetLostError(
        f"the ruleset of revision {state.revision} cannot be made again: {'; '.join(wrong[:_NAMED_MAX])}{more}",
        revision=state.revision,
        digest=state.digest.hex(),
        **details,
    )
