"""The reference meaning of a plan, part by part: what ``explain`` shows, and what decides between two errors.

Compiled code stops at the first fault of a strict operator; whether another operand is missing, which wins, and where
the fault is, is found here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from domain.language import evaluation
from domain.language.faults import MISSING_ERRORS, Absent, Exhausted, Fault, strict
from domain.language.lets import LetOrder
from domain.language.library import operators
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
    MakeMap,
    OptionalMap,
    Part,
    Select,
    Variable,
    spine,
)
from domain.language.tree import Span
from domain.language.values import NONE, OptionalValue

_CHAIN_MAX: Final = 20


class Missing(Exception):  # noqa: N818 - the language's own word
    """A part's value is missing; ``part`` is where it began."""

    def __init__(self, part: Part) -> None:
        super().__init__()
        self.part = part


class PartFault(Exception):  # noqa: N818 - the language's own word
    """A part's value is a fault; ``part`` is where it began, ``at`` its place in the source."""

    def __init__(
        self, part: Part | None, code: str, message: str, *, final: bool = False, at: Span | None = None
    ) -> None:
        super().__init__(message)
        self.part = part
        self.at: Span = at if at is not None else part.mark if part is not None else (0, 0)
        self.code = code
        self.message = message
        self.final = final


class Interpreter:
    """Evaluates parts of one rule for one fact; ``seen`` is told each part's end, for ``explain``."""

    def __init__(
        self,
        lets: tuple[tuple[str, Part], ...],
        payload: Any,
        fact: Any,
        decision: Mapping[str, Any],
        seen: Callable[[Part, str, Any], None] | None = None,
    ) -> None:
        self.lets = lets
        self.payload = payload
        self.fact = fact
        self.decision = decision
        self.variables: dict[str, Any] = {}
        self.state = evaluation.new_state(0)
        self._seen = seen
        self._order: LetOrder | None = None
        self._ready: dict[int, tuple[Any, Exception | None]] = {}
        self._memory: dict[int, tuple[Any, Exception | None]] = {}

    def value(self, part: Part) -> Any:
        """Return a part's value; raises Missing or PartFault."""
        if id(part) in self._ready:
            value, failed = self._ready.pop(id(part))
            if failed is not None:
                raise failed
            return value
        try:
            value = self._evaluate(part)
        except Missing:
            if self._seen is not None:
                self._seen(part, "missing", None)
            raise
        except PartFault as fault:
            if self._seen is not None:
                self._seen(part, "error", fault)
            raise
        if self._seen is not None:
            self._seen(part, "value", value)
        return value

    def _evaluate(self, part: Part) -> Any:
        try:
            return self._VALUES[type(part)](self, part)
        except MISSING_ERRORS:
            raise Missing(part) from None
        except Fault as fault:
            raise PartFault(part, fault.code, fault.message, final=isinstance(fault, Exhausted)) from None

    def values(self, parts: tuple[Part, ...]) -> list[Any]:
        """Return the values of operands that are all needed; a missing one wins over a fault."""
        results: list[Any] = []
        fault: PartFault | None = None
        for part in parts:
            try:
                results.append(self.value(part))
            except PartFault as error:
                if error.final:
                    raise
                fault = fault or error
        if fault is not None:
            raise fault
        return results

    def test(self, part: Part) -> bool:
        """Return a bool; anything else is missing when it is fact data, and a fault otherwise."""
        value = self.value(part)
        if value is True or value is False:
            return bool(value)
        if part.tainted:
            raise Missing(part)
        try:
            evaluation.not_a_bool_strictly(value)
        except Fault as fault:
            raise PartFault(part, fault.code, fault.message) from None

    def _const(self, part: Const) -> Any:
        return part.value

    def _variable(self, part: Variable) -> Any:
        match part.name:
            case "payload":
                return self.payload
            case "decision":
                return self.decision
            case "fact.id":
                return self.fact.id
            case "fact.type":
                return self.fact.type
            case "fact.time":
                if self.fact.time is None:
                    raise Absent
                return self.fact.time
        if part.name.startswith("let:"):
            return self._let(int(part.name[4:]))
        return self.variables[part.name]

    def _let(self, number: int) -> Any:
        if number not in self._memory:
            if self._order is None:
                self._order = LetOrder(self.lets)
            if not self._order.is_shallow(number):
                # From the lowest up, needed or not, so that the way down is never long.
                for lower in self._order.below(number):
                    with contextlib.suppress(Missing, PartFault):
                        self._let(lower)
            try:
                self._memory[number] = (self.value(self.lets[number][1]), None)
            except (Missing, PartFault) as error:
                self._memory[number] = (None, error)
        value, failed = self._memory[number]
        if failed is not None:
            raise failed
        return value

    def _select(self, part: Select) -> Any:
        call = operators.optional_select if part.optional else operators.select
        return (call if part.tainted else strict(call))(self.value(part.operand), part.field)

    def _has(self, part: Has) -> bool:
        if part.field.startswith("fact."):
            return part.field != "fact.time" or self.fact.time is not None
        path = [part.field]
        root = part.operand
        while isinstance(root, Select) and not root.optional:
            path.append(root.field)
            root = root.operand
        try:
            return evaluation.has_path(self.value(root), tuple(reversed(path)))
        except Missing:
            return False

    def _invoke(self, part: Invoke) -> Any:
        if part.arguments and id(part.arguments[0]) not in self._ready:
            chain = spine(part)
            if len(chain) > _CHAIN_MAX:
                # The lower links of a long chain come first, from the bottom, so that none needs recursion.
                for link in reversed(chain[1:]):
                    self._ready[id(link)] = self._end(link)
        values = self.values(part.arguments)
        if part.metered:
            evaluation.spend(self.state, *values)
        return part.call(*values)

    def _end(self, part: Part) -> tuple[Any, Exception | None]:
        try:
            return self.value(part), None
        except (Missing, PartFault) as error:
            return None, error

    def _absorbing(self, decides: bool, tests: list[Callable[[], bool]]) -> bool:
        missing: Missing | None = None
        fault: PartFault | None = None
        for test in tests:
            try:
                if test() is decides:
                    return decides
            except Missing as error:
                missing = missing or error
            except PartFault as error:
                if error.final:
                    raise
                fault = fault or error
        if missing is not None:
            raise missing
        if fault is not None:
            raise fault
        return not decides

    def _logic(self, part: Logic) -> bool:
        return self._absorbing(
            part.operator == "||",
            [lambda item=item: self.test(item) for item in part.items],  # type: ignore[misc]
        )

    def _choose(self, part: Choose) -> Any:
        for test, value in part.branches:
            if self.test(test):
                return self.value(value)
        return self.value(part.otherwise)

    def _make_list(self, part: MakeList) -> list[Any]:
        unfold = evaluation.unfolded if part.tainted else strict(evaluation.unfolded)
        result: list[Any] = []
        for value, optional in zip(self.values(part.items), part.optional, strict=True):
            result.extend(unfold(value) if optional else (value,))
        return result

    def _make_map(self, part: MakeMap) -> Any:
        unfold = evaluation.unfolded_entry if part.tainted else strict(evaluation.unfolded_entry)
        flat = self.values(tuple(inner for key, value, _ in part.entries for inner in (key, value)))
        entries: list[Any] = []
        for number, (_, _, optional) in enumerate(part.entries):
            key, value = flat[2 * number], flat[2 * number + 1]
            entries.extend(unfold(key, value) if optional else (key, value))
        return evaluation.make_map(*entries)

    def _bind(self, part: Bind) -> Any:
        self.variables[part.variable] = self.value(part.value)
        return self.value(part.body)

    def _optional_map(self, part: OptionalMap) -> Any:
        opened = evaluation.opened if part.operand.tainted else strict(evaluation.opened)
        held = opened(self.value(part.operand))
        if not held.present:
            return NONE
        self.variables[part.variable] = held.value
        body = self.value(part.body)
        if part.flat:
            return (evaluation.opened if part.body.tainted else strict(evaluation.opened))(body)
        return OptionalValue(True, body)

    def _loop(self, part: Loop) -> Any:
        two = len(part.variables) == 2
        over: Callable[..., Any] = evaluation.pairs if two else evaluation.elements
        items = (over if part.source.tainted else strict(over))(self.value(part.source), self.state)
        if part.kind in {"all", "exists"}:
            return self._quantifier(part, items)
        made: list[Any] = []
        count = 0
        for item in items:
            self._assign(part, item)
            if part.test is not None and not self.test(part.test):
                continue
            if part.kind == "exists_one":
                count += 1
                continue
            value = self.variables[part.variables[-1]] if part.result is None else self.value(part.result)
            if part.kind == "list":
                made.append(value)
            elif part.kind == "map":
                made.extend((self.variables[part.variables[0]], value))
            else:
                assert part.result is not None
                flat = evaluation.flat_entries
                made.extend((flat if part.result.tainted else strict(flat))(value))
        if part.kind == "exists_one":
            return count == 1
        return made if part.kind == "list" else evaluation.make_map(*made)

    def _assign(self, part: Loop, item: Any) -> None:
        if len(part.variables) == 2:
            self.variables[part.variables[0]], self.variables[part.variables[1]] = item
        else:
            self.variables[part.variables[0]] = item

    def _quantifier(self, part: Loop, items: list[Any]) -> bool:
        test = part.test
        assert test is not None

        def tested(item: Any) -> bool:
            self._assign(part, item)
            return self.test(test)

        return self._absorbing(
            part.kind == "exists",
            [lambda item=item: tested(item) for item in items],  # type: ignore[misc]
        )

    def _failure(self, part: Failure) -> Any:
        raise Fault(part.code, part.message)

    _VALUES: Final[dict[type, Callable[..., Any]]] = {
        Const: _const,
        Variable: _variable,
        Select: _select,
        Has: _has,
        Invoke: _invoke,
        Logic: _logic,
        Choose: _choose,
        MakeList: _make_list,
        MakeMap: _make_map,
        Bind: _bind,
        OptionalMap: _optional_map,
        Loop: _loop,
        Failure: _failure,
    }
