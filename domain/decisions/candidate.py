"""A rule where facts find it: its place in the order, and what decides it there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from domain.decisions.bound import BoundRule
from domain.decisions.decision import FixedMatch, Match
from domain.decisions.merge import Fields
from domain.decisions.taken import Taken
from domain.language import Given, shared_test, unmet_items


class Candidate(float):
    """A rule to try: a number, which is the rule's position, with all that deciding by it needs.

    An index keeps candidates as its labels, and so hands out at once what else would have to be looked up: of a large
    ruleset each thing that is touched on the way is fetched from far memory. What is for all rules of a shape is theirs
    together, and what is the rule's own is here, or one step away.

    ``condition`` tells whether the rule applies, given fact, context, decision and ``test_constants``; None where
    ``then`` is the rule's ``evaluate``, and before the first ``make``. ``match``, ``fields`` and ``effects`` are as of
    ``Taken`` for a rule that gives the same for every fact; of others ``match`` is None, and ``then``, given the same
    with ``then_constants``, gives contributions and effects. ``met`` says, in bits, which items of the rule's demand
    every fact meets that finds it here.
    """

    # Python lays these out in the order of their names, so those that most facts need lie next to each other.
    __slots__ = ("condition", "effects", "fields", "match", "met", "rule", "test_constants", "then", "then_constants")

    condition: Given | None
    effects: Sequence[tuple[str, Any]]
    fields: Fields | None
    match: Match | None
    met: int
    rule: BoundRule
    test_constants: tuple[Any, ...]
    then: Given
    then_constants: tuple[Any, ...]

    def __new__(cls, rule: BoundRule) -> Self:
        return super().__new__(cls, rule.position)

    def __init__(self, rule: BoundRule) -> None:
        super().__init__()
        self.rule = rule
        self.met = 0
        self.then = _unmade
        self.condition = self.fields = self.match = None
        self.test_constants = self.then_constants = self.effects = ()

    @property
    def contributions(self) -> Sequence[Any]:
        """What a rule contributes that gives the same for every fact."""
        plain = self.rule.compiled.plain
        assert plain is not None
        assert plain.constant is not None
        return plain.constant.contributions

    def make(self) -> Given | None:
        """Make what decides the rule, once, and return its condition.

        Threads that ask at the same time may each make it; all are alike.
        """
        if self.then is not _unmade:
            return self.condition
        compiled = self.rule.compiled
        plain = compiled.plain
        if plain is None:
            self.then = compiled.evaluate
            return None
        constant = plain.constant
        if constant is not None:
            try:
                taken = Taken(self.rule, constant, FixedMatch)
            except ValueError:
                self.then = compiled.evaluate
                return None
            self.fields, self.effects, self.match = taken.fields, taken.effects, taken.match
        condition, constants = plain.test, plain.constants
        if compiled.is_exact and self.met:
            left = unmet_items(compiled.demand, self.met)
            shared = shared_test(left) if left else it_holds
            if shared is not None:
                condition, constants = shared, ()
        self.test_constants, self.then_constants = constants, plain.action_constants
        self.condition = condition
        self.then = plain.actions or _no_actions
        return condition


def _unmade(*_: Any) -> Any:
    raise AssertionError("a candidate is made before it is used")


def _no_actions(*_: Any) -> Any:
    raise AssertionError("what is the same for every fact needs no actions")


def it_holds(_payload: Any, _fact: Any, _decision: Any, _constants: Any) -> bool:
    """Stand for a condition that is true for every fact that finds the rule."""
    return True
