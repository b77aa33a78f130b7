"""Why a rule is tried on every fact, or on most of them: what in its text demands nothing that few facts have."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Final

from domain.language.demanding import Reader, conjuncts, demand_of
from domain.language.demands import AllOf, Asked, Demand, TextParts
from domain.language.lets import let_number
from domain.language.native import COMPARISONS
from domain.language.plan import Choose, Const, Has, Invoke, Logic, Loop, Part, PlannedRule, Variable, children
from domain.language.tree import Span

OBSTACLES_MAX: Final = 10
_NARROW: Final = "join it by `&&` with a comparison that few facts meet"
_TEXT_TESTS: Final = frozenset({"contains", "startsWith", "endsWith"})


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One reason, as a short phrase; where in the source, from offset to offset; and how to write it instead."""

    reason: str
    span: Span | None = None
    hint: str | None = None


def why_tried(plan: PlannedRule) -> list[Obstacle]:
    """Return why a rule is tried on every fact or on most of them; nothing for one whose demand is narrow.

    At most OBSTACLES_MAX, in the order of the source; where they are alternatives, each of them would have to go.
    """
    demand = None if demand_of(plan) is None else Reader(plan, guards=False).of_rule()
    if demand is not None and not is_wide(demand):
        return []
    if plan.otherwise is not None:
        hint = "put what `else` does into a rule of its own, on the condition turned round"
        return [Obstacle("it has an `else` branch, so every fact comes to something", None, hint)]
    finder = _Finder(plan)
    if plan.table is not None:
        finder.table()
    elif plan.condition is None:
        finder.add(Obstacle("it has no condition"))
    else:
        finder.condition(plan.condition)
    found = [*finder.found] or [Obstacle("its demands are too many to be told", None, "split it into several rules")]
    return sorted(found, key=lambda one: one.span or (0, 0))[:OBSTACLES_MAX]


def is_wide(asked: Asked) -> bool:
    """Return whether most facts with the fields of a demand meet it, as far as the demand itself tells."""
    if isinstance(asked, Demand):
        test = asked.test
        if isinstance(test, TextParts):
            return False
        if asked.absent:
            return test.all_texts_but or not test
        every_number = bool(test.numbers) and test.numbers[0][0] == -inf and test.numbers[-1][2] == inf
        return test.all_texts_but or test.others or every_number
    wide = map(is_wide, asked.items)
    return all(wide) if isinstance(asked, AllOf) else any(wide)


class _Finder:
    """Goes through what a rule tests for the parts that ask for nothing narrow."""

    def __init__(self, plan: PlannedRule) -> None:
        self._plan = plan
        self._reader = Reader(plan)
        self.found: dict[Obstacle, None] = {}

    def add(self, obstacle: Obstacle) -> None:
        self.found[obstacle] = None

    def condition(self, condition: Part) -> None:
        items = conjuncts(condition)
        bounds = self._reader.bounds()
        for item in items:
            if not (bounds.takes(item) and bounds.is_tellable):
                self._limited(item)
                return
        for item in items:
            self._part(item, True)

    def table(self) -> None:
        assert self._plan.table is not None
        bounds = self._reader.bounds()
        for row in self._plan.table.rows:
            for test in row.tests:
                if not (bounds.takes(test) and bounds.is_tellable):
                    self._limited(test)
                    return
        for row in self._plan.table.rows:
            if not row.tests:
                self.add(Obstacle("a row of its table takes every fact", row.span))
            elif self._is_open([*row.tests]):
                for test in row.tests:
                    self._part(test, True)

    def _limited(self, part: Part) -> None:
        reason = "what this may cost is not bounded for every fact, and nothing narrow is asked before it"
        hint = "put comparisons of fields with constants before it, by `&&`"
        self.add(Obstacle(reason, part.span, hint))

    def _is_open(self, parts: list[Part]) -> bool:
        asked = [self._reader.asked(part, True, False) for part in parts]
        return all(one is None or is_wide(one) for one in asked)

    def _part(self, part: Part, want: bool) -> None:
        """Add why a part asks for nothing narrow, where that is so."""
        if len(self.found) >= OBSTACLES_MAX:
            return
        asked = self._reader.asked(part, want, False)
        if asked is not None and not is_wide(asked):
            return
        number = let_number(part)
        if number is not None and not isinstance(self._plan.lets[number][1], Const):
            part = self._plan.lets[number][1]
        if isinstance(part, Logic):
            for item in part.items:
                self._part(item, want)
        elif isinstance(part, Invoke) and part.name == "!":
            self._part(part.arguments[0], not want)
        elif isinstance(part, Choose):
            self.add(Obstacle("it depends on a choice", part.span, "write the cases apart, by `||`"))
        else:
            reason, hint = self._reason(part, want)
            self.add(Obstacle(reason, part.span, hint))

    def _reason(self, part: Part, want: bool) -> tuple[str, str | None]:
        if isinstance(part, Const):
            return "it is the same for every fact", None
        if isinstance(part, Has):
            return f"most facts {'have' if want else 'lack'} this field, perhaps", _NARROW
        if isinstance(part, Loop):
            if part.kind == "all" or not want:
                return "it holds for an empty list", _NARROW
            return "nothing is known of the elements", "compare a field of the element with a constant"
        if isinstance(part, Invoke):
            return self._reason_of_call(part, want)
        return _outside(part) or ("no value of a field follows from it", _NARROW)

    def _reason_of_call(self, part: Invoke, want: bool) -> tuple[str, str | None]:
        name = part.name
        constants = [self._reader.constant(side) is not None for side in part.arguments]
        if name in {"==", "!=", "in", *COMPARISONS} and not any(constants):
            return "it compares two values of the fact", "compare one of them with a constant too"
        outside = next((found for side in part.arguments if (found := _outside(side)) is not None), None)
        if outside is not None:
            return outside
        if name == "!=" or not want:
            return f"{'`!=`' if name == '!=' else f'a negated `{name}`'} is true of most values", _NARROW
        if name == "matches" and constants[1]:
            return "no text is known that the pattern can't match without", "write such a text outside of `()` and `[]`"
        if name in _TEXT_TESTS and constants[1]:
            return "it is true of every string, or of a string in another case than it has", None
        if any(isinstance(side, Invoke) and side.name != "[]" for side in part.arguments):
            return "it compares what is calculated, not a field", "compare a field of the fact with a constant"
        return "it is true of most values", _NARROW


def _outside(part: Part) -> tuple[str, str | None] | None:
    """Return that a part is about something beside the fact's data, where it is."""
    while not isinstance(part, Variable):
        inner = children(part)
        if not inner:
            return None
        part = inner[0]
    if part.name.startswith("fact."):
        hint = "a type stands in `on`" if part.name == "fact.type" else None
        return f"`{part.name}` is no field of the fact's data", hint
    if part.name == "decision":
        return "it is about what other rules decide", _NARROW
    return None
