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

from collections.abc import Callable, Iterator
from typing import Any, Final

from domain.language.bounds import Bounds
from domain.language.demand_constants import FLIPPED, OTHERS, TEXT_KINDS, ConstantReader
from domain.language.demanded_values import CONTAINERS, compared_values, is_scalar
from domain.language.demands import EACH, AllOf, Asked, Demand, Step, View
from domain.language.joining import NEVER, all_of, any_of, atoms_of
from domain.language.lets import let_number
from domain.language.plan import (
    Bind,
    Choose,
    Const,
    Has,
    Invoke,
    Logic,
    Loop,
    Part,
    PlannedRule,
    Select,
    Variable,
)
from domain.language.ranges import (
    BOOLS,
    EVERYTHING,
    NOTHING,
    Values,
)

ATOMS_MAX: Final = 4_000  # demands in one rule's tree: more than its operators can join
_DEPTH_MAX: Final = 120
_ROWS_MAX: Final = 64  # demands of a table's rows that are told row by row
_SPREAD_MAX: Final = 10_000  # elements of a constant list that a macro goes over: as many as a rule can hold
_TRUE, _FALSE = Values(bools=frozenset({True})), Values(bools=frozenset({False}))


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
    return all_of([item for item in tree.items if isinstance(item, Demand)][:ATOMS_MAX])


class Reader(ConstantReader):
    """Reads the demands of one rule's parts; without ``guards`` as if no fact were too large for them."""

    def __init__(self, plan: PlannedRule, *, guards: bool = True) -> None:
        super().__init__(plan)
        self._has_guards = guards
        self._memory: dict[tuple[int, bool, bool], Asked | None] = {}
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
        found: Any = OTHERS
        if len(arguments) == 2:
            if name in FLIPPED:
                found = self._compared(part, want, strict)
                found = self._sized(part, want) if found is OTHERS and not strict else found
            elif name == "in":
                found = self._membership(part, want, strict)
            elif name in TEXT_KINDS or name == "matches":
                found = self._text_test(part, want, strict)
            elif name == "[]":
                found = self._of_path(part, want, strict)
        elif name == "!":
            found = self.asked(arguments[0], not want, strict)
        elif name == "dyn":
            found = self.asked(arguments[0], want, strict)
        if found is OTHERS:
            found = None if strict else self.present(part)
        return found  # type: ignore[no-any-return]

    def _sized(self, part: Invoke, want: bool) -> Any:
        """Return what a comparison of a size asks for: what has one, and is not empty where 0 is not asked for."""
        sides = self._sides(part)
        if sides is None or not isinstance(sides[0], Invoke) or sides[0].name != "size":
            return OTHERS
        of = sides[0].arguments[0]
        values = compared_values(sides[1], sides[2], want, False)
        if values is None:
            return OTHERS
        located = self.path(of)
        if located is not None:
            return Demand(located[0], _SIZED if 0 in values else _NOT_EMPTY)
        if isinstance(of, Loop) and of.kind == "list" and 0 not in values:
            return self._of_elements(of, True)
        return OTHERS

    # Macros and choices

    def _loop(self, part: Loop, want: bool, strict: bool) -> Asked | None:
        constant = self.constant(part.source)
        kind, test = part.kind, part.test
        if constant is not None and test is not None and len(part.variables) == 1:
            if kind in {"all", "exists"}:
                found = self._spread(part, constant.value, want, strict)
                return all_of(found) if (kind == "all") == want else any_of(found)
            if kind == "exists_one" and want:
                return any_of(self._spread(part, constant.value, True, strict))
        if strict:
            return None
        if test is not None and (want, kind) in {(True, "exists"), (True, "exists_one"), (False, "all")}:
            return self._of_elements(part, want)
        located = self.path(part.source)
        return self.present(part) if located is None else Demand(located[0], CONTAINERS)

    def _of_elements(self, part: Loop, want: bool) -> Asked | None:
        """Return what is asked by an element for which a test is ``want``, or by there being one."""
        constant = self.constant(part.source)
        if constant is not None and part.test is not None and len(part.variables) == 1:
            return any_of(self._spread(part, constant.value, want, False))
        located = self.path(part.source)
        each = None if located is None else (*located[0], EACH)
        for variable in part.variables:
            single = len(part.variables) == 1 and each is not None and located is not None
            self._known[variable] = (each, located[1]) if single else None  # type: ignore[index, assignment]
        found = None if part.test is None else self.asked(part.test, want, False)
        if found is None and each is not None:
            return Demand(each, EVERYTHING)
        return self.present(part.source) if found is None else found

    def _spread(self, part: Loop, items: Any, want: bool, strict: bool) -> Iterator[Asked | None]:
        """Give what a macro's test asks for with each of some constants; None where they are not to be told."""
        source, test = part.source, part.test
        assert test is not None
        if type(items) is not list or len(items) > _SPREAD_MAX:
            yield None
            return
        for item in items:
            self._known[part.variables[0]] = Const(source.span, source.mark, source.type.item, False, item)
            yield self.asked(test, want, strict)

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
            if part.name in FLIPPED and len(part.arguments) == 2:
                left, right = part.arguments
                constant = self.constant(right) or self.constant(left)
                other = left if self.constant(right) else right
                return constant is not None and is_scalar(constant.value) and self.path(other) is not None
            if part.name in TEXT_KINDS:
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
