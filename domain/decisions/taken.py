"""A rule that took a branch for a fact, and what it gives to the decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.decisions.decision import Match
from domain.decisions.merge import fields_of, nested, output_of
from domain.language import Outcome, to_json

if TYPE_CHECKING:
    from domain.decisions.ruleset import BoundRule


class Taken:
    """An outcome of a rule: with its values as the rules see them, and their JSON forms.

    ``fields`` are its part of the output, None where it writes a path twice. Raises ValueError for a value that has no
    JSON form. Never changed once made: a rule whose outcome is always the same has one for all facts.
    """

    __slots__ = ("contributions", "effects", "fields", "match", "outcome", "rule")

    def __init__(self, rule: BoundRule, outcome: Outcome, kind: type[Match] = Match) -> None:
        self.rule = rule
        self.outcome = outcome
        contributions = self.contributions = outcome.contributions
        fields = fields_of(contributions) if contributions else ()
        output = output_of(contributions) if fields is None else nested(fields) if fields else {}
        self.fields = fields
        self.match = kind(rule.rule_id, rule.name, rule.version, rule.priority, outcome.branch, output, outcome.rows)
        self.effects = [(name, to_json(payload)) for name, payload in outcome.effects] if outcome.effects else ()
