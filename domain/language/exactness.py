"""Whether a rule's demand is its condition: whoever meets the one makes the other true.

A demand is what a fact has to meet before a rule can give anything; most conditions ask for more than that, and are
still to be tried. Of a condition that is put together by ``&&`` and ``||`` of nothing but plain tests (a path of the
fact compared with a constant, or a constant's part of the string there), it is all: such a test is true for just the
values that its demand names, and a fact that has them makes it neither missing nor a fault. The same goes for what is
any value but a string.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from domain.language.boxes import path_of
from domain.language.demanding import Reader
from domain.language.demands import EACH, Asked, Demand
from domain.language.joining import INTERVALS_MAX, TEXTS_MAX, all_of, any_of, atoms_of
from domain.language.native import COMPARISONS, is_safe_number
from domain.language.plan import Const, Invoke, Logic, Loop, Part, PlannedRule, Variable
from domain.language.ranges import Values

_TEXT_TESTS: Final = frozenset({"contains", "startsWith", "endsWith"})
_VIEWS: Final = frozenset({"lowerAscii", "upperAscii"})
_TESTS_MAX: Final = 200
_DEPTH_MAX: Final = 20


def is_exact(plan: PlannedRule, demand: Asked | None) -> bool:
    """Return whether a rule's condition is true for every fact that meets its demand, as ``demand_of`` gave it."""
    if demand is None or plan.condition is None or plan.otherwise is not None or plan.table is not None:
        return False
    tree = _Exactly(plan).asked(plan.condition, 0)
    return tree is not None and tree == demand and all(map(_is_of_values, atoms_of(tree)))


class _Exactly:
    """Reads conditions of plain tests."""

    def __init__(self, plan: PlannedRule) -> None:
        self._reader = Reader(plan, guards=False)
        self._left = _TESTS_MAX

    def asked(self, part: Part, depth: int) -> Asked | None:
        """Return what a part demands, which is exactly what makes it true; None where that is not known."""
        if isinstance(part, Logic) and depth < _DEPTH_MAX:
            found: list[Asked] = []
            for item in part.items:
                one = self.asked(item, depth + 1)
                if one is None:
                    return None
                found.append(one)
            if part.operator == "&&":
                return all_of(found)
            return any_of(found) if _is_few(found) else None
        self._left -= 1
        if self._left < 0:
            return None
        if isinstance(part, Loop):
            return self._reader.asked(part, True, False) if self._is_plain_macro(part) else None
        if not isinstance(part, Invoke) or not (_is_plain(part) or _is_another_text(part)):
            return None
        return self._reader.asked(part, True, False)

    def _is_plain_macro(self, part: Loop) -> bool:
        """Return whether a macro is plain tests of one string with some constants, for any or all of them."""
        constant, test = self._reader.constant(part.source), part.test
        if part.kind not in {"exists", "all"} or len(part.variables) != 1 or constant is None:
            return False
        if not isinstance(test, Invoke) or test.name not in _TEXT_TESTS | {"=="}:
            return False
        left, right = test.arguments
        if not isinstance(right, Variable) or right.name != part.variables[0] or not _is_string_of_path(left):
            return False
        texts = constant.value
        return type(texts) is list and 0 < len(texts) <= TEXTS_MAX and all(type(one) is str and one for one in texts)


def _is_plain(part: Invoke) -> bool:
    if len(part.arguments) != 2:
        return False
    left, right = part.arguments
    if not isinstance(right, Const):
        return False
    value = right.value
    if part.name in _TEXT_TESTS:
        return type(value) is str and value != "" and _is_string_of_path(left)
    if part.name == "==":
        if type(value) is str:
            return _is_string_of_path(left)
        return _is_of_fact(left) and (type(value) is bool or is_safe_number(value))
    if part.name in COMPARISONS:
        return _is_of_fact(left) and is_safe_number(value)
    if part.name != "in" or type(value) is not list:
        return False
    if all(type(item) is str for item in value):
        return len(value) <= TEXTS_MAX and _is_string_of_path(left)
    if len(value) > INTERVALS_MAX:
        return False
    return _is_of_fact(left) and all(type(item) is str or is_safe_number(item) for item in value)


def _is_another_text(part: Invoke) -> bool:
    """Return whether a part is true for whatever is there, but for one string."""
    if part.name == "!" and isinstance(part.arguments[0], Invoke):
        part, name = part.arguments[0], "=="
    else:
        name = "!="
    if part.name != name or len(part.arguments) != 2:
        return False
    left, right = part.arguments
    return isinstance(right, Const) and type(right.value) is str and _is_of_fact(left)


def _is_string_of_path(part: Part) -> bool:
    if isinstance(part, Invoke) and part.name in _VIEWS and len(part.arguments) == 1:
        part = part.arguments[0]
    return _is_of_fact(part)


def _is_of_fact(part: Part) -> bool:
    path = path_of(part)
    return path is not None and path[0] == "payload" and len(path) > 1


def _is_of_values(demand: Demand) -> bool:
    """Return whether a demand is for values that are there, and looked at whatever their size."""
    return not demand.absent and EACH not in demand.path


def _is_few(trees: Sequence[Asked]) -> bool:
    """Return whether demands stay what they are where they are joined by ``||``."""
    tests = [one.test for tree in trees for one in atoms_of(tree)]
    texts = sum(len(test.texts) for test in tests)
    return texts <= TEXTS_MAX and sum(len(test.numbers) for test in tests if isinstance(test, Values)) <= INTERVALS_MAX
