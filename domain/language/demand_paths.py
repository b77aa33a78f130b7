"""The paths of a fact that parts of a rule are about, and the constants that they are compared with."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from domain.language.bounds import Known, Located
from domain.language.demands import EACH, Asked, Demand, Step, View
from domain.language.joining import all_of
from domain.language.lets import let_number
from domain.language.plan import (
    Bind,
    Choose,
    Const,
    Invoke,
    Loop,
    OptionalMap,
    Part,
    PlannedRule,
    Select,
    Variable,
    children,
)
from domain.language.ranges import EVERYTHING

_VISITS_MAX: Final = 50_000  # parts looked at for one rule, those of a `let` once for each use
_PRESENT_MAX: Final = 8  # paths that one part can't do without
_VIEWS: Final = {"lowerAscii": View.LOWER, "upperAscii": View.UPPER}

# The path that a string is from, whether by the index of an element, how it is seen, and whether it is trimmed.
Subject = tuple[tuple[Step, ...], bool, View, bool]


class PathReader:
    """Reads the paths and constants of one rule's parts."""

    def __init__(self, plan: PlannedRule) -> None:
        self._plan = plan
        self._lets = plan.lets
        self._known: dict[str, Known] = {}
        self._visits = _VISITS_MAX

    def path(self, part: Part) -> Located | None:
        """Return the path of the fact that a part reads; None when it is something else."""
        steps: list[Step] = []
        by_index = False
        while True:
            kind = type(part)
            if kind is Select:
                if part.optional:  # type: ignore[attr-defined]
                    return None
                steps.append(part.field)  # type: ignore[attr-defined]
                part = part.operand  # type: ignore[attr-defined]
            elif kind is Variable:
                name: str = part.name  # type: ignore[attr-defined]
                if name == "payload":
                    return (tuple(reversed(steps)), by_index) if steps and steps[-1] is not None else None
                if name.startswith("let:"):
                    part = self._lets[int(name[4:])][1]
                    continue
                known = self._known.get(name)
                if not isinstance(known, tuple):
                    return None
                return (*known[0], *reversed(steps)), known[1] or by_index
            elif kind is Invoke and part.name == "[]" and part.type.kind != "optional":  # type: ignore[attr-defined]
                part, key = part.arguments  # type: ignore[attr-defined]
                if not isinstance(key, Const):
                    return None
                if type(key.value) is str:
                    steps.append(key.value)
                elif isinstance(key.value, int) and type(key.value) is not bool:
                    steps.append(EACH)
                    by_index = True
                else:
                    return None
            elif kind is Invoke and part.name == "dyn":  # type: ignore[attr-defined]
                (part,) = part.arguments  # type: ignore[attr-defined]
            else:
                return None

    def constant(self, part: Part) -> Const | None:
        """Return the constant that a part is, by itself or as a `let` or as a macro's variable, in whichever case."""
        while not isinstance(part, Const):
            if isinstance(part, Invoke) and part.name in _VIEWS and len(part.arguments) == 1:
                below = self.constant(part.arguments[0])
                if below is None or type(below.value) is not str:
                    return None
                return replace(below, value=part.call(below.value))
            if not isinstance(part, Variable):
                return None
            number = let_number(part)
            if number is None:
                known = self._known.get(part.name)
                return known if isinstance(known, Const) else None
            part = self._lets[number][1]
        return part

    def present(self, part: Part) -> Asked | None:
        """Return what a fact must have for a part's value not to be missing, as all of its operands are needed."""
        found: dict[tuple[Step, ...], Asked] = {}
        waiting = [part]
        while waiting and len(found) < _PRESENT_MAX:
            part = waiting.pop()
            located = self.path(part)
            if located is not None:
                found[located[0]] = Demand(located[0], EVERYTHING)
            elif isinstance(part, Invoke):
                waiting += reversed(part.arguments)
            elif isinstance(part, Variable):
                number = let_number(part)
                if number is not None:
                    waiting.append(self._lets[number][1])
            elif isinstance(part, (Select, Loop, Bind, OptionalMap, Choose)):
                waiting.append(children(part)[0])
            self._visits -= 1
            if self._visits < 0:
                return None
        return all_of(found.values())

    def _subject(self, part: Part) -> Subject | None:
        """Return the path that a string is from, whether by an index, how it is seen, and whether it is trimmed."""
        view, trimmed = View.AS_IS, False
        while isinstance(part, (Invoke, Variable)):
            if isinstance(part, Variable):
                number = let_number(part)
                if number is None:
                    break
                below = self._lets[number][1]
                if not isinstance(below, (Invoke, Variable)):
                    break
                part = below
            elif part.name in _VIEWS and len(part.arguments) == 1:
                view = _VIEWS[part.name] if view is View.AS_IS else view
                part = part.arguments[0]
            elif part.name == "trim" and len(part.arguments) == 1:
                trimmed = True
                part = part.arguments[0]
            else:
                break
        located = self.path(part)
        return None if located is None else (*located, view, trimmed)
