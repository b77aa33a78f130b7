"""Whether a condition can reach a limit of the evaluation, and for which facts alone it can.

No limit can be reached by what has neither macros nor functions that make large values. Of macros over the fact's own
lists the steps are counted for the largest fact that a demand through those lists looks at (EACH_MAX elements, strings
of EACH_TEXT_MAX code points, no lists or objects at the end of a path): where they stay within STEPS_MAX only facts
that meet such a demand anyway, by its size, can reach a limit, and a demand for no value on those paths says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from domain.language.demands import EACH, EACH_MAX, EACH_TEXT_MAX, AllOf, Asked, Demand, Step
from domain.language.evaluation import UNMETERED_CODE_POINTS_MAX
from domain.language.lets import let_number
from domain.language.limits import STEPS_MAX
from domain.language.native import COMPARISONS
from domain.language.plan import (
    Bind,
    Choose,
    Const,
    Failure,
    Has,
    Invoke,
    Logic,
    Loop,
    MakeList,
    Part,
    PlannedRule,
    Select,
    Variable,
    children,
)
from domain.language.ranges import NOTHING, Values
from domain.language.types import NUMBERS

FactPath = tuple[Step, ...]
Located = tuple[FactPath, bool]  # a path, and whether it is of one element of a list, by its index
Known = Located | Const | None  # what a variable stands for
PathOf = Callable[[Part], Located | None]

_GUARDS_MAX: Final = 32
_CONTAINERS: Final = Values(others=True)
_ARITHMETIC: Final = frozenset({"+", "-", "*", "/", "%"})
_PLAIN: Final = frozenset(
    {
        "!", "[]", "size", "contains", "startsWith", "endsWith", "lowerAscii", "upperAscii", "trim", "charAt",
        "indexOf", "lastIndexOf", "substring", "type", "dyn", "double", "bool", "timestamp", "duration", "negative",
        "getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getHours",
        "getMinutes", "getSeconds", "getMilliseconds", "hasValue", "value", "asOptional", "optional.of", "[?]",
        *COMPARISONS,
    }
)  # fmt: skip
_NO_LONGER: Final = frozenset({"lowerAscii", "upperAscii", "trim", "charAt", "substring", "dyn"})
_SIZELESS: Final = frozenset({"bool", "timestamp", "duration", "null", "number", "decimal", "money", "type", *NUMBERS})
_UNIT: Final = 8  # elements of a list or map that take a step


class Bounds:
    """Takes in the parts of one condition, one by one, as far as no fact but a large one can reach a limit in them."""

    def __init__(self, plan: PlannedRule, known: dict[str, Known], path_of: PathOf) -> None:
        self._lets = plan.lets
        self._known = known
        self._path_of = path_of
        self._steps = 0
        self._seen_lets: set[int] = set()
        self._lists: dict[FactPath, None] = {}
        self._sized: dict[FactPath, None] = {}
        self._compared: dict[FactPath, None] = {}
        self._read: dict[FactPath, None] = {}
        self._longest: dict[str, int] = {}  # of macros' variables over constants without elements, the longest text

    def takes(self, root: Part) -> bool:
        """Take a part in; False when a fact of common size could reach a limit in it."""
        waiting: list[tuple[Part, int]] = [(root, 1)]
        lists = self._lists
        part: Any
        while waiting:
            part, times = waiting.pop()
            kind = type(part)
            if kind is Const:
                continue
            if lists:
                located = self._path_of(part)
                if located is not None and EACH in located[0]:
                    self._read[located[0]] = None
            if kind is Select:
                while type(part) is Select:
                    part = part.operand
                if type(part) is not Variable or part.name != "payload":
                    waiting.append((part, times))
            elif kind is Invoke:
                if not self._invoke(part, times):
                    return False
                waiting += [(argument, times) for argument in part.arguments]
            elif kind is Logic:
                waiting += [(item, times) for item in part.items]
            elif kind is Loop:
                if not self._loop(part, times, waiting):
                    return False
            elif kind is Variable:
                number = let_number(part)
                if number is not None and number not in self._seen_lets:
                    self._seen_lets.add(number)
                    waiting.append((self._lets[number][1], 1))
            elif kind is Bind:
                self._known[part.variable] = self._path_of(part.value)
                waiting += [(part.value, times), (part.body, times)]
            elif kind in _WALKED:
                waiting += [(child, times) for child in children(part)]
            else:
                return False
        return self._steps <= STEPS_MAX

    def guards(self, tree: Asked) -> list[Demand]:
        """Return what stands for the facts that are too large to tell, but what every fact meets by the tree itself."""
        sized = [path for path in self._sized if not _is_met_at(tree, path, whole=True)]
        compared = [path for path in self._compared if path not in self._sized]
        guarded = [*self._sized]
        lists = []
        for path in self._lists:
            if _is_met_at(tree, path, whole=False) or any(one[: len(path)] == path for one in guarded):
                continue
            below = [one for one in self._read if one[: len(path)] == path]
            chosen = max(below, key=len, default=path)
            guarded.append(chosen)
            lists.append(chosen)
        return [
            *(Demand(path, NOTHING) for path in (*sized, *lists)),
            *(Demand(path, NOTHING if EACH in path else _CONTAINERS) for path in compared),
        ]

    @property
    def is_tellable(self) -> bool:
        """Whether there are few enough lists and values whose size matters."""
        return len(self._lists) + len(self._sized) + len(self._compared) <= _GUARDS_MAX

    def _loop(self, part: Loop, times: int, waiting: list[tuple[Part, int]]) -> bool:
        source = part.source
        first: Known = None
        if part.kind in {"map", "entries"}:
            return False
        located = self._path_of(source)
        if located is not None:
            path = (*located[0], EACH)
            self._lists[path] = None
            first = (path, located[1])
            count = EACH_MAX
        elif (constant := self._constant(source)) is not None and type(constant.value) is list:
            count = len(constant.value)
            if len(part.variables) == 1 and not any(isinstance(item, (list, dict)) for item in constant.value):
                texts = (item for item in constant.value if isinstance(item, (str, bytes)))
                self._longest[part.variables[0]] = max(map(len, texts), default=0)
        elif isinstance(source, Loop) and source.kind == "list":
            count = EACH_MAX
        else:
            return False
        for variable in part.variables:
            self._known[variable] = first if len(part.variables) == 1 else None
        self._steps += times * (count + 1)
        waiting.append((source, times))
        waiting += [(inner, times * count) for inner in (part.test, part.result) if inner is not None]
        return True

    def _invoke(self, part: Invoke, times: int) -> bool:
        name, arguments = part.name, part.arguments
        if name in {"==", "!=", "in"}:
            if not self._compares_little(part):
                return False
        elif name == "matches":
            if not self._is_scalar(arguments[1]):
                return False
        elif name in _ARITHMETIC:
            if len(arguments) != 2 or not any(side.type.kind in NUMBERS for side in arguments):
                return False
        elif name not in _PLAIN or len(arguments) > 3:
            return False
        return not part.metered or all(self._spends_little(argument, times) for argument in arguments)

    def _compares_little(self, part: Invoke) -> bool:
        """Return whether few elements are compared: those of two values of the fact are when one is no container."""
        left, right = part.arguments
        if self._constant(right) is not None or left.type.kind in _SIZELESS | {"string"}:
            return True
        if part.name != "in" and (self._constant(left) is not None or right.type.kind in _SIZELESS | {"string"}):
            return True
        if self._is_scalar(left) or (part.name != "in" and self._is_scalar(right)):
            return True
        for side in (left, right) if part.name != "in" else (left,):
            located = self._path_of(side)
            if located is not None:
                self._compared[located[0]] = None
                return True
        return False

    def _spends_little(self, argument: Part, times: int) -> bool:
        """Count the steps for an argument's size; False when nothing bounds it."""
        while True:
            number = let_number(argument)
            if number is not None:
                argument = self._lets[number][1]
            elif isinstance(argument, Invoke) and argument.name in _NO_LONGER:
                argument = argument.arguments[0]
            else:
                break
        if isinstance(argument, Variable) and argument.name in self._longest:
            self._steps += times * (self._longest[argument.name] // UNMETERED_CODE_POINTS_MAX)
            return True
        if isinstance(argument, Const):
            value = argument.value
            if isinstance(value, (str, bytes)):
                self._steps += times * (len(value) // UNMETERED_CODE_POINTS_MAX)
            elif isinstance(value, (list, dict)):
                self._steps += times * (len(value) // _UNIT)
            return True
        if argument.type.kind in _SIZELESS:
            return True
        located = self._path_of(argument)
        if located is None:
            return False
        if EACH in located[0]:
            self._sized[located[0]] = None
            self._steps += times * (EACH_TEXT_MAX // UNMETERED_CODE_POINTS_MAX)
        else:
            # What is too long as a string, or has too many elements, meets a demand for them.
            self._sized[*located[0], EACH] = None
            self._steps += times * max(EACH_TEXT_MAX // UNMETERED_CODE_POINTS_MAX, EACH_MAX // _UNIT)
        return True

    def _constant(self, part: Part) -> Const | None:
        """Return the constant that a part is, by itself or as a `let`."""
        number = let_number(part)
        while number is not None:
            part = self._lets[number][1]
            number = let_number(part)
        return part if isinstance(part, Const) else None

    def _is_scalar(self, part: Part) -> bool:
        """Return whether a part is a constant without elements, by itself, as a `let` or as a macro's variable."""
        constant = self._constant(part)
        if constant is not None:
            return not isinstance(constant.value, (list, dict))
        return isinstance(part, Variable) and part.name in self._longest


_WALKED: Final = frozenset({Has, Choose, MakeList, Failure})


def _is_met_at(tree: Asked, path: FactPath, *, whole: bool) -> bool:
    """Return whether a fact that is too large at a path meets a tree; with ``whole`` at its end too."""
    if isinstance(tree, Demand):
        return tree.path == path if whole else tree.path[: len(path)] == path
    met = (_is_met_at(item, path, whole=whole) for item in tree.items)
    return all(met) if isinstance(tree, AllOf) else any(met)
