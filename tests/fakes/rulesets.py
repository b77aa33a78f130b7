"""Compiled rulesets, made anew for whoever asks."""

from __future__ import annotations

import functools

from domain.decisions.ruleset import Ruleset, RulesetState
from domain.language import compile_rule
from domain.ports import ActiveRules

_COMPILE = functools.lru_cache(compile_rule)


class CompilingRulesets:
    """RulesetSource that compiles whatever it is asked for; ``asked`` tells the revisions."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    async def snapshot(self, state: RulesetState, active_rules: ActiveRules) -> Ruleset:
        self.asked.append(state.revision)
        members = await active_rules.members(state.revision)
        rules = await active_rules.load([(rule_id, version) for rule_id, version, _ in members])
        ruleset = Ruleset.of(state.revision, rules, _COMPILE)
        assert ruleset.digest == state.digest
        return ruleset
