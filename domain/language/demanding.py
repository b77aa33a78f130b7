"""What a rule demands of a fact, worked out from its plan.

Of each part of a condition that is a test it is found what a fact must meet for the part to be other than *silent*:
false or missing, and no fault. ``&&`` is silent where one of its parts is, whatever the others are: false where one is
false, and missing where one is missing, as that wins over faults. ``||`` is silent where all its parts are. ``!`` turns
to what its operand must be met for to be true or missing. A limit of the evaluation is the one thing that nothing
absorbs: ``bounds`` tells for which facts one can be reached. Of a condition that can reach one for any other fact too,
the parts before it count alone, and those only where they are *exactly* false, as after what is missing the next part
is evaluated.

Facts are JSON: numbers are finite, strings hold no half of a surrogate pair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import lru_cache
from math import inf
from typing import Any, Final

from domain.language.bounds import Bounds, Known, Located
from domain.language.demands import EACH, AllOf, Asked, Demand, PartKind, Step, TextParts, View, viewed
from domain.language.joining import ANY_TEXT, NEVER, all_of, any_of, atoms_of, few
from domain.language.lets import let_number
from domain.language.native import COMPARISONS, is_safe_number
from domain.language.patterns import required_by
from domain.language.plan import (
    Bind,
    Choose,
    Const,
    Has,
    Invoke,
    Logic,
    Loop,
    OptionalMap,
    Part,
    PlannedRule,
    Select,
    Variable,
    children,
)
from domain.language.ranges import (
    BOOLS,
    EVERYTHING,
    NOTHING,
    NUMBERS,
    Values,
    compared_with,
    equal_to,
    union,
)

ATOMS_MAX: Final = 2_000  # demands in one rule's tree
_VISITS_MAX: Final = 20_000  # parts looked at for one rule, those of a `let` once for each use
_DEPTH_MAX: Final = 120
_ROWS_MAX: Final = 64  # demands of a table's rows that are told row by row
_SPREAD_MAX: Final = 100  # elements of a constant list that a macro goes over
_PRESENT_MAX: Final = 8  # paths that one part can't do without
_EDGE: Final = 2**61  # beyond it the language's types do not agree on numbers: ranges are told to there
_FLIPPED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_VIEWS: Final = {"lowerAscii": View.LOWER, "upperAscii": View.UPPER}
_KINDS: Final = {"contains": PartKind.CONTAINS, "startsWith": PartKind.STARTS, "endsWith": PartKind.ENDS}
_TRUE, _FALSE = Values(bools=frozenset({True})), Values(bools=frozenset({False}))
_CONTAINERS: Final = Values(others=True)
_NO_TEXT: Final = ANY_TEXT.complement()
_TEXT_TESTS: Final = frozenset({*_KINDS, "matches"})
_OTHERS: Final = object()


def demand_of(plan: PlannedRule) -> Asked | None:
    """Return what a fact must meet for a rule to give anything but None, or to fail; None where that is nothing."""
    if plan.otherwise is not None:
        return None
    tree = Reader(plan).of_rule()
    if tree is None or isinstance(tree, Demand):
        return tree
    count = sum(1 for _ in atoms_of(tree))
    if count <= ATOMS_MAX:
        return tree
    if not isinstance(tree, AllOf):
        return None
    return all_of(item for item in tree.items if isinstance(item, Demand))


class Reader:
    """Reads the demands of one rule's parts; without ``guards`` as if no fact were too large for them."""

    def __init__(self, plan: PlannedRule, *, guards: bool = True) -> None:
        self._has_guards = guards
        self._plan = plan
        self._lets = plan.lets
        self._known: dict[str, Known] = {}
        self._memory: dict[tuple[int, bool, bool], Asked | None] = {}
        self._visits = _VISITS_MAX
        self._depth = 0

    def of_rule(self) -> Asked | None:
        """Return what the condition or the table of a rule without `else` demands."""
        return self.of_condition(self._plan.condition) if self._plan.table is None else self.of_rows()

    def of_condition(self, condition: Part | None) -> Asked | None:
        """Return what a condition demands; that of a rule that always applies is nothing."""
        if condition is None:
            return None
        items = conjuncts(condition)
        bounds = self.bounds()
        for number, item in enumerate(items):
            if not bounds.takes(item) or not bounds.is_tellable:
                # The bounds of the parts before it, without what was counted of this one.
                bounds = self.bounds()
                if not all(map(bounds.takes, items[:number])):
                    return None
                return self._guarded(all_of(self.asked(one, True, True) for one in items[:number]), bounds)
        return self._guarded(all_of(self.asked(item, True, False) for item in items), bounds)

    def bounds(self) -> Bounds:
        """Return the bounds that parts are to be taken into."""
        return Bounds(self._plan, self._known, self.path)

    def of_rows(self) -> Asked | None:
        """Return what a table demands: that a row matches, of which each test has to hold."""
        assert self._plan.table is not None
        bounds = self.bounds()
        if not all(map(bounds.takes, self._plan.tests)) or not bounds.is_tellable:
            return None
        rows = [all_of(self.asked(test, True, False) for test in row.tests) for row in self._plan.table.rows]
        tree = any_of(rows)
        if tree is not None and sum(1 for _ in atoms_of(tree)) > _ROWS_MAX:
            tree = _common(rows)
        return self._guarded(tree, bounds)

    def _guarded(self, tree: Asked | None, bounds: Bounds) -> Asked | None:
        if tree is None or not self._has_guards:
            return tree
        guards = bounds.guards(tree)
        return any_of([tree, *guards]) if guards else tree

    # Parts

    def asked(self, part: Part, want: bool, strict: bool) -> Asked | None:
        """Return what a fact must meet for a part to be ``want`` or to fail.

        For other facts it is the other bool or missing, and with ``strict`` the other bool. None: nothing is known.
        """
        self._visits -= 1
        if self._visits < 0 or self._depth > _DEPTH_MAX:
            return None
        read = _READ.get(type(part))
        if read is None:
            return None if strict else self.present(part)
        self._depth += 1
        try:
            return read(self, part, want, strict)
        finally:
            self._depth -= 1

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
        """Return the constant that a part is, by itself or as a `let` or as a macro's variable."""
        while not isinstance(part, Const):
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

    def _const(self, part: Const, want: bool, _strict: bool) -> Asked | None:
        return NEVER if part.value is (not want) else None

    def _logic(self, part: Logic, want: bool, strict: bool) -> Asked | None:
        items = (self.asked(item, want, strict) for item in part.items)
        if (part.operator == "&&") == want:
            return all_of(list(items))
        found: list[Asked] = []
        for item in items:
            if item is None:
                return None
            found.append(item)
        return any_of(found)

    def _of_path(self, part: Part, want: bool, strict: bool) -> Asked | None:
        located = self.path(part)
        if located is None:
            return None if strict else self.present(part)
        path, by_index = located
        if strict and by_index:
            return None
        true = _TRUE if want else _FALSE
        return Demand(path, (true | _NO_BOOL) if strict else true, strict)

    def _variable(self, part: Variable, want: bool, strict: bool) -> Asked | None:
        number = let_number(part)
        if number is None:
            known = self._known.get(part.name)
            if isinstance(known, Const):
                return self._const(known, want, strict)
            return self._of_path(part, want, strict)
        key = number, want, strict
        if key not in self._memory:
            self._memory[key] = self.asked(self._lets[number][1], want, strict)
        return self._memory[key]

    def _has(self, part: Has, want: bool, _strict: bool) -> Asked | None:
        if part.field.startswith("fact."):
            return None
        located = self.path(part.operand)
        if located is None:
            if not (isinstance(part.operand, Variable) and part.operand.name == "payload"):
                return None
            located = (), False
        path = (*located[0], part.field)
        if want:
            return Demand(path, EVERYTHING)
        return None if located[1] else Demand(path, NOTHING, True)

    def _invoke(self, part: Invoke, want: bool, strict: bool) -> Asked | None:
        name, arguments = part.name, part.arguments
        found: Any = _OTHERS
        if len(arguments) == 2:
            if name in _FLIPPED:
                found = self._compared(part, want, strict)
            elif name == "in":
                found = self._membership(part, want, strict)
            elif name in _TEXT_TESTS:
                found = self._text_test(part, want, strict)
            elif name == "[]":
                found = self._of_path(part, want, strict)
        elif name == "!":
            found = self.asked(arguments[0], not want, strict)
        elif name == "dyn":
            found = self.asked(arguments[0], want, strict)
        if found is _OTHERS:
            found = None if strict else self.present(part)
        return found  # type: ignore[no-any-return]

    # Tests of one path with constants

    def _compared(self, part: Invoke, want: bool, strict: bool) -> Any:
        left, right = part.arguments
        operator = part.name
        constant = self.constant(right)
        if constant is None:
            constant, left, operator = self.constant(left), right, _FLIPPED[operator]
        if constant is None:
            return _OTHERS
        value = constant.value
        if isinstance(left, Invoke) and left.name == "size":
            return self._sized(left, operator, value, want, strict)
        subject = self._subject(left)
        if subject is None or (strict and subject[1]):
            return _OTHERS
        path, _, view, trimmed = subject
        if view is not View.AS_IS or trimmed:
            if type(value) is not str or operator in COMPARISONS:
                return _OTHERS if strict else Demand(path, ANY_TEXT)
            same = (operator == "==") == want
            return self._texts(path, frozenset({value}), same, strict, view, trimmed)
        values = _compared_values(operator, value, want, strict)
        if values is None:
            return _OTHERS
        return Demand(path, values, strict) if values or strict else NEVER

    def _subject(self, part: Part) -> tuple[tuple[Step, ...], bool, View, bool] | None:
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

    def _texts(
        self, path: tuple[Step, ...], texts: frozenset[str], same: bool, strict: bool, view: View, trimmed: bool
    ) -> Asked | None:
        """Return what is asked by a string, as it is seen, being one of some texts, or being none of them."""
        if strict and (trimmed or not same):
            return None
        if not same:
            if trimmed:
                return Demand(path, ANY_TEXT)
            return Demand(path, few(Values(texts=texts, all_texts_but=True)), False, view)
        if trimmed:
            return self._parts(path, TextParts(PartKind.CONTAINS, texts), strict, view)
        texts = frozenset(text for text in texts if viewed(text, view) == text)
        found: Asked = Demand(path, few(Values(texts=texts)), False, view) if texts else NEVER
        return any_of([found, Demand(path, _NO_TEXT, True)]) if strict else found

    def _parts(self, path: tuple[Step, ...], parts: TextParts, strict: bool, view: View) -> Asked | None:
        texts = parts.texts
        found: Asked
        if "" in texts:
            found = Demand(path, ANY_TEXT)
        else:
            if view is not View.AS_IS:
                texts = frozenset(text for text in texts if viewed(text, view) == text)
            found = Demand(path, TextParts(parts.kind, texts), False, view) if texts else NEVER
        return any_of([found, Demand(path, _NO_TEXT, True)]) if strict else found

    def _membership(self, part: Invoke, want: bool, strict: bool) -> Any:
        left, right = part.arguments
        constant = self.constant(right)
        if constant is not None:
            items = list(constant.value) if type(constant.value) in {list, dict} else None
            subject = self._subject(left)
            if items is None or subject is None or (strict and subject[1]):
                return _OTHERS
            path, _, view, trimmed = subject
            if view is not View.AS_IS or trimmed:
                texts = frozenset(item for item in items if type(item) is str)
                return self._texts(path, texts, want, strict, view, trimmed)
            values = _members(items, want)
            if values is None:
                return _OTHERS
            return Demand(path, values, strict) if values or strict else NEVER
        constant, located = self.constant(left), self.path(right)
        if constant is None or located is None or (strict and (located[1] or not want)):
            return _OTHERS
        if not want:
            return Demand(located[0], _CONTAINERS)
        return Demand((*located[0], EACH), _compared_values("==", constant.value, True, False) or EVERYTHING, strict)

    def _text_test(self, part: Invoke, want: bool, strict: bool) -> Any:
        subject, constant = self._subject(part.arguments[0]), self.constant(part.arguments[1])
        if subject is None or constant is None or type(constant.value) is not str or (strict and subject[1]):
            return _OTHERS
        path, _, view, trimmed = subject
        if strict and not want:
            return None
        if part.name == "matches":
            return self._matched(subject, constant.value, want, strict)
        if not want:
            return Demand(path, ANY_TEXT) if constant.value else NEVER
        kind = PartKind.CONTAINS if trimmed else _KINDS[part.name]
        return self._parts(path, TextParts(kind, frozenset({constant.value})), strict, view)

    def _matched(
        self, subject: tuple[tuple[Step, ...], bool, View, bool], pattern: str, want: bool, strict: bool
    ) -> Asked | None:
        path, _, view, trimmed = subject
        required = required_by(pattern) if want else None
        if required is None:
            return None if strict else Demand(path, ANY_TEXT)
        view = View.LOWER if required.folded else view
        test = required.test
        if isinstance(test, Values):
            return self._texts(path, test.texts, True, strict, view, trimmed)
        return self._parts(path, TextParts(PartKind.CONTAINS, test.texts) if trimmed else test, strict, view)

    def _sized(self, part: Invoke, operator: str, value: Any, want: bool, strict: bool) -> Any:
        values = None if strict else _compared_values(operator, value, want, False)
        if values is None:
            return _OTHERS
        of = part.arguments[0]
        located = self.path(of)
        is_empty_out = 0 not in values
        if located is not None:
            return Demand(located[0], _NOT_EMPTY if is_empty_out else _SIZED)
        if isinstance(of, Loop) and of.kind == "list" and is_empty_out:
            return self._of_elements(of, True)
        return _OTHERS

    # Macros and choices

    def _loop(self, part: Loop, want: bool, strict: bool) -> Asked | None:
        constant = self.constant(part.source)
        kind, test = part.kind, part.test
        if constant is not None and kind in {"all", "exists"} and len(part.variables) == 1:
            assert test is not None
            return self._spread(part, constant.value, test, want, strict)
        if strict:
            return None
        if test is not None and (want, kind) in {(True, "exists"), (True, "exists_one"), (False, "all")}:
            return self._of_elements(part, want)
        located = self.path(part.source)
        return self.present(part) if located is None else Demand(located[0], _CONTAINERS)

    def _of_elements(self, part: Loop, want: bool) -> Asked | None:
        """Return what is asked by an element for which a test is ``want``, or by there being one."""
        located = self.path(part.source)
        each = None if located is None else (*located[0], EACH)
        for variable in part.variables:
            single = len(part.variables) == 1 and each is not None and located is not None
            self._known[variable] = (each, located[1]) if single else None  # type: ignore[index, assignment]
        found = None if part.test is None else self.asked(part.test, want, False)
        if found is None and each is not None:
            return Demand(each, EVERYTHING)
        return self.present(part.source) if found is None else found

    def _spread(self, part: Loop, items: Any, test: Part, want: bool, strict: bool) -> Asked | None:
        if type(items) is not list or len(items) > _SPREAD_MAX:
            return None
        found: list[Asked | None] = []
        for item in items:
            source = part.source
            self._known[part.variables[0]] = Const(source.span, source.mark, source.type.item, False, item)
            found.append(self.asked(test, want, strict))
        if (part.kind == "all") == want:
            return all_of(found)
        return None if None in found else any_of(found)

    def _bind(self, part: Bind, want: bool, strict: bool) -> Asked | None:
        located = self.path(part.value)
        if located is None or strict:
            return None if strict else self.present(part.value)
        self._known[part.variable] = located
        return all_of([Demand(located[0], EVERYTHING), self.asked(part.body, want, False)])

    def _choose(self, part: Choose, want: bool, strict: bool) -> Asked | None:
        if strict or len(part.branches) > 8:
            return None
        if not all(self._never_fails(test) for test, _ in part.branches):
            return self.present(part.branches[0][0])
        found = self.asked(part.otherwise, want, False)
        for test, value in reversed(part.branches):
            met = all_of([self.asked(test, True, False), self.asked(value, want, False)])
            not_met = all_of([self.asked(test, False, False), found])
            found = None if met is None or not_met is None else any_of([met, not_met])
        return found

    def _never_fails(self, part: Part) -> bool:
        """Return whether a test is true, false or missing for every fact."""
        if isinstance(part, Logic):
            return all(map(self._never_fails, part.items))
        if isinstance(part, Has):
            return True
        if isinstance(part, Invoke):
            if part.name == "!":
                return self._never_fails(part.arguments[0])
            if part.name in _FLIPPED and len(part.arguments) == 2:
                left, right = part.arguments
                constant = self.constant(right) or self.constant(left)
                other = left if self.constant(right) else right
                return constant is not None and _is_scalar(constant.value) and self.path(other) is not None
            if part.name in _KINDS:
                return self.path(part.arguments[0]) is not None and self.constant(part.arguments[1]) is not None
        return self.path(part) is not None


_NO_BOOL: Final = BOOLS.complement()
_NOT_EMPTY: Final = Values(texts=frozenset({""}), all_texts_but=True, others=True)
_SIZED: Final = Values(all_texts_but=True, others=True)
_READ: Final[dict[type, Callable[..., Asked | None]]] = {
    Const: Reader._const,  # noqa: SLF001 - the reader's own table
    Logic: Reader._logic,  # noqa: SLF001
    Select: Reader._of_path,  # noqa: SLF001
    Variable: Reader._variable,  # noqa: SLF001
    Has: Reader._has,  # noqa: SLF001
    Invoke: Reader._invoke,  # noqa: SLF001
    Loop: Reader._loop,  # noqa: SLF001
    Bind: Reader._bind,  # noqa: SLF001
    Choose: Reader._choose,  # noqa: SLF001
}


def conjuncts(condition: Part | None) -> list[Part]:
    """Return the parts that ``&&`` joins at the top of a condition, in order of evaluation."""
    found: list[Part] = []
    waiting = [] if condition is None else [condition]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Logic) and part.operator == "&&":
            waiting.extend(reversed(part.items))
        else:
            found.append(part)
    return found


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))


@lru_cache(maxsize=8192, typed=True)
def _scalar_values(operator: str, value: Any, want: bool, strict: bool) -> Values | None:
    """Return the values for which ``x OPERATOR value`` is ``want``; with ``strict`` also where it is missing."""
    found = compared_with(operator, value)
    if operator in COMPARISONS:
        kinds = NUMBERS
        if found is None:
            kinds = found = ANY_TEXT if type(value) is str else BOOLS if type(value) is bool else EVERYTHING
        elif not want:
            found = kinds - found
        return _widened(found | kinds.complement() if strict else found)
    if found is None:  # not finite
        return NUMBERS if (operator == "==") == want else EVERYTHING
    return _widened(found if want else found.complement())


def _compared_values(operator: str, value: Any, want: bool, strict: bool) -> Values | None:
    if _is_scalar(value):
        return _scalar_values(operator, value, want, strict)
    if operator in COMPARISONS or strict:
        return None
    if isinstance(value, (list, dict)):
        return _CONTAINERS if (operator == "==") == want else EVERYTHING
    if isinstance(value, Decimal):  # it is equal to numbers alone, and fails on doubles
        return NUMBERS if (operator == "==") == want else EVERYTHING
    return None


def _members(items: Iterable[Any], want: bool) -> Values | None:
    """Return the values that are, or are not, among some constants; None when that is not known."""
    found: list[Values] = []
    for item in items:
        values = equal_to(item)
        if values is None:
            return None
        found.append(values)
    values = union(found)
    return few(_widened(values if want else values.complement()))


def _widened(values: Values) -> Values:
    """Return values whose numbers end where all types agree on them, or nowhere."""
    if all(
        (low == -inf or is_safe_number(low)) and (high == inf or is_safe_number(high))
        for low, _, high, _ in values.numbers
    ):
        return values
    numbers: list[tuple[float, bool, float, bool]] = []
    for low, low_in, high, high_in in values.numbers:
        if low != -inf and not is_safe_number(low):
            low, low_in = (-inf, True) if low < 0 else (_EDGE, True)  # noqa: PLW2901
        if high != inf and not is_safe_number(high):
            high, high_in = (inf, True) if high > 0 else (-_EDGE, True)  # noqa: PLW2901
        numbers.append((low, low_in, high, high_in))
    return union(
        [
            Values((), values.texts, values.all_texts_but, values.bools, values.null, values.others),
            *(Values((one,)) for one in numbers),
        ]
    )


def _common(rows: list[Asked | None]) -> Asked | None:
    """Return, for each path that every row of a table asks something of, what some row asks."""
    columns: dict[tuple[tuple[Step, ...], View], list[Asked]] = {}
    for row in rows:
        if row is None:
            return None
        for place, asked in {
            (one.path, one.view): one
            for one in (row.items if isinstance(row, AllOf) else (row,))
            if isinstance(one, Demand)
        }.items():
            columns.setdefault(place, []).append(asked)
    return all_of(any_of(found) for found in columns.values() if len(found) == len(rows))
