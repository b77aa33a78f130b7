"""From the plan to Python: the text of expressions.

Order of evaluation is free, as expressions have no effects: an operand's text may be evaluated later than statements
that were written after it was made.

Variables of compiled code: ``p`` the fact, ``f`` its context, ``d`` the decision so far, ``s`` the evaluation's state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from domain.language.evaluation import UNMETERED_CODE_POINTS_MAX
from domain.language.faults import strict
from domain.language.lets import LetOrder, let_number
from domain.language.library import operators
from domain.language.native import COMPARISONS, is_plain
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
    children,
    spine,
)
from domain.language.searches import SearchWriter, gathered

_TEXT_MAX: Final = 200  # an operand longer than this becomes a statement of its own, so that nesting stays shallow
_CHAIN_MAX: Final = 20  # links of a chain of operators that are written in one expression
_BLOCKS_MAX: Final = 10  # nested blocks before the rest moves to a function of its own; CPython allows 20
_INLINE_BRANCHES_MAX: Final = 4


class ExpressionWriter(SearchWriter):
    """Writes the expressions of one rule."""

    def __init__(self, lets: tuple[tuple[str, Part], ...] = ()) -> None:
        super().__init__()
        self.lets = lets
        self._order = LetOrder(lets)
        self._let_uses = _let_uses(lets)
        self._written_lets: set[int] = set()
        self._hoisted: set[int] = set()

    def count_uses(self, *parts: Part) -> None:
        """Count the uses of each ``let`` in further parts, before anything is written."""
        for part in parts:
            _count_uses(part, self._let_uses, 1)

    def value(self, part: Part) -> str:
        """Return the text of an expression; statements that it needs first are written."""
        text = self._VALUES[type(part)](self, part)
        if len(text) > _TEXT_MAX and not isinstance(part, Const):
            name = self._temporary()
            self._write(f"{name} = {text}")
            return name
        return text

    def test(self, part: Part) -> str:
        """Return the text of a bool; what turns out to be none raises."""
        if part.type.kind == "bool":
            return self.value(part)
        name = self._temporary()
        refuse = "not_a_bool" if part.tainted else "not_a_bool_strictly"
        return f"(({name} := {self.value(part)}) is True or {name} is not False and {refuse}({name}))"

    def _const(self, part: Const) -> str:
        value = part.value
        kind = type(value)
        if value is None or kind is bool:
            return repr(value)
        if kind is str or kind is bytes or kind is int or (kind is float and value - value == 0.0):
            return self._literal(value)
        return self._constant(value)

    def _variable(self, part: Variable) -> str:
        name = part.name
        if name == "payload":
            return "p"
        if name == "decision":
            return "d"
        if name in {"fact.id", "fact.type"}:
            return f"f{name[4:]}"
        if name == "fact.time":
            held = self._temporary()
            return f"({held} if ({held} := f.time) is not None else absent())"
        if name.startswith("let:"):
            return self._let(int(name[4:]))
        return name

    def _let(self, number: int) -> str:
        if number in self._hoisted:
            return f"c{number}"
        part = self.lets[number][1]
        if isinstance(part, Const) or (self._let_uses[number] == 1 and self._order.is_shallow(number)):
            return self.value(part)
        if not self._order.is_shallow(number) and number not in self._written_lets:
            for lower in self._order.below(number):
                if not self._order.is_shallow(lower):
                    self._let(lower)
        self.uses_state = True
        if number not in self._written_lets:
            self._written_lets.add(number)
            self._write_let(number, part)
        slot = number + 1
        return f"(s[{slot}] if s[{slot}] is not UNSET else let{number}(p, f, d, s))"

    def _write_let(self, number: int, part: Part) -> None:
        value, error = number + 1, number + 1 + len(self.lets)

        def write() -> None:
            self._write(f"if s[{error}]: fail(s[{error}])")
            with self._block("try:", nests=True):
                self._write(f"s[{value}] = {self.value(part)}")
            with self._block("except:"):
                self._write(f"s[{error}] = note(0)")
                self._write(f"fail(s[{error}])")
            self._write(f"return s[{value}]")

        self._locals, outer = (), self._locals
        self.function(f"let{number}", "p, f, d, s", write)
        self._locals = outer

    def _select(self, part: Select) -> str:
        operand = self.value(part.operand)
        if part.optional:
            call = operators.optional_select
        elif part.operand.type.kind in {"json", "map"} and part.operand.tainted:
            return f"{operand}[{part.field!r}]"
        else:
            call = operators.select
        return f"{self._callable(call if part.tainted else strict(call))}({operand}, {part.field!r})"

    def _has(self, part: Has) -> str:
        if part.field.startswith("fact."):
            return "(f.time is not None)" if part.field == "fact.time" else "True"
        path = [part.field]
        root = part.operand
        while isinstance(root, Select) and not root.optional:
            path.append(root.field)
            root = root.operand
        fields = tuple(reversed(path))
        if isinstance(root, Variable) and not root.name.startswith("let:"):
            return f"has_path({self.value(root)}, {fields!r})"
        name = self._temporary()
        with self._block("try:", nests=True):
            self._write(f"{name} = has_path({self.value(root)}, {fields!r})")
        self._write("except ABSENT:")
        self._write(f" {name} = False")
        return name

    def _invoke(self, part: Invoke) -> str:
        part = self._shortened(part)
        text = self.search(part) or self.lowered(part)
        if text is not None:
            return text
        name, arguments = part.name, part.arguments
        if name in {"==", "!="}:
            text = self._equality(part)
            if text is not None:
                return text
        elif name in COMPARISONS:
            text = self._comparison(name, *arguments)
            if text is not None:
                return text
        elif name == "!":
            return f"(not {self.test(arguments[0])})"
        elif name == "[]":
            container, key = arguments
            if (
                isinstance(key, Const)
                and type(key.value) is str
                and container.tainted
                and container.type.kind in {"json", "map"}
            ):
                return f"{self.value(container)}[{key.value!r}]"
        elif name == "in" and isinstance(arguments[1], Const) and type(arguments[1].value) is list:
            text = self._membership(arguments[0], arguments[1].value)
            if text is not None:
                return text
        elif name in {"+", "-", "*", "/"}:
            text = self._arithmetic(part)
            if text is not None:
                return text
        elif len(arguments) == 2 and (text := self._part_of_time(part)) is not None:
            return text
        elif name == "size" and arguments[0].type.kind in {"string", "list", "map", "bytes"}:
            return f"len({self.value(arguments[0])})"
        written = ", ".join(map(self.value, arguments))
        if part.metered:
            self.uses_state = True
            written = f"*spend(s, {written})"
        return f"{self._callable(part.call)}({written})"

    def _shortened(self, part: Invoke) -> Invoke:
        """Write the lower links of a long chain of operators as statements, from the bottom, without recursion."""
        chain = spine(part)
        if len(chain) <= _CHAIN_MAX:
            return part
        below: Part = chain.pop()
        while chain:
            name = self._temporary()
            self._write(f"{name} = {self.value(below)}")
            held = Variable(below.span, below.mark, below.type, below.tainted, name)
            link = chain.pop()
            below = replace(link, arguments=(held, *link.arguments[1:]))
        assert isinstance(below, Invoke)
        return below

    def _logic(self, part: Logic) -> str:
        if is_plain(part):
            word = " or " if part.operator == "||" else " and "
            return self.one_of_many(part) or f"({word.join(map(self.value, part.items))})"
        search = self.search(part)
        if search is not None:
            return search
        if self._blocks >= _BLOCKS_MAX:
            return self._outlined(part)
        result, seen = self._temporary(), self._temporary()
        decides = part.operator == "||"
        self._write(f"{seen} = 0")
        with self._block("while True:", nests=True):
            for item in gathered(part):
                with self._block("try:", nests=True):
                    test = self.test(item)
                    with self._block(f"if {test}:" if decides else f"if not {test}:"):
                        self._write(f"{result} = {decides}")
                        self._write("break")
                self._write("except:")
                self._write(f" {seen} = note({seen})")
            self._write(f"if {seen}: fail({seen})")
            self._write(f"{result} = {not decides}")
            self._write("break")
        return result

    def _outlined(self, part: Part) -> str:
        """Move a part to a function of its own, as the blocks around it are nested deeply."""
        self.uses_state = True
        self._count += 1
        name = f"part{self._count}"
        parameters = ", ".join(("p", "f", "d", "s", *self._locals))

        def write() -> None:
            self._write(f"return {self.value(part)}")

        self.function(name, parameters, write)
        return f"{name}({parameters})"

    def _choose(self, part: Choose) -> str:
        if len(part.branches) <= _INLINE_BRANCHES_MAX:
            written = [
                (self._captured(lambda t=test: self.test(t)), self._captured(lambda v=value: self.value(v)))  # type: ignore[misc]  # a default binds it now
                for test, value in part.branches
            ]
            last = self._captured(lambda: self.value(part.otherwise))
            first_lines = written[0][0][0]
            if not last[0] and not any(
                value[0] or (test[0] and number) for number, (test, value) in enumerate(written)
            ):
                self._lines.extend(first_lines)
                chain = " else ".join(f"{value[1]} if {test[1]}" for test, value in written)
                return f"({chain} else {last[1]})"
        if self._blocks >= _BLOCKS_MAX:
            return self._outlined(part)
        result = self._temporary()
        with self._block("while True:", nests=True):
            for test, value in part.branches:
                with self._block(f"if {self.test(test)}:"):
                    self._write(f"{result} = {self.value(value)}")
                    self._write("break")
            self._write(f"{result} = {self.value(part.otherwise)}")
            self._write("break")
        return result

    def _make_list(self, part: MakeList) -> str:
        unfold = "unfolded" if part.tainted else "unfolded_strictly"
        items = [
            f"*{unfold}({self.value(item)})" if optional else self.value(item)
            for item, optional in zip(part.items, part.optional, strict=True)
        ]
        return f"[{', '.join(items)}]"

    def _make_map(self, part: MakeMap) -> str:
        plain = {k.value for k, _, opt in part.entries if isinstance(k, Const) and type(k.value) is str and not opt}
        if len(plain) == len(part.entries):
            return f"{{{', '.join(f'{self.value(key)}: {self.value(value)}' for key, value, _ in part.entries)}}}"
        unfold = "unfolded_entry" if part.tainted else "unfolded_entry_strictly"
        entries = [
            f"*{unfold}({self.value(key)}, {self.value(value)})"
            if optional
            else f"{self.value(key)}, {self.value(value)}"
            for key, value, optional in part.entries
        ]
        return f"make_map({', '.join(entries)})"

    def _bind(self, part: Bind) -> str:
        self._write(f"{part.variable} = {self.value(part.value)}")
        outer, self._locals = self._locals, (*self._locals, part.variable)
        text = self.value(part.body)
        self._locals = outer
        return text

    def _optional_map(self, part: OptionalMap) -> str:
        result, held = self._temporary(), self._temporary()
        opened = "opened" if part.operand.tainted else "opened_strictly"
        self._write(f"{held} = {opened}({self.value(part.operand)})")
        self._write(f"{result} = NONE")
        outer, self._locals = self._locals, (*self._locals, part.variable)
        with self._block(f"if {held}.present:"):
            self._write(f"{part.variable} = {held}.value")
            body = self.value(part.body)
            if part.flat:
                self._write(f"{result} = {'opened' if part.body.tainted else 'opened_strictly'}({body})")
            else:
                self._write(f"{result} = OptionalValue(True, {body})")
        self._locals = outer
        return result

    def _loop(self, part: Loop) -> str:
        if self._blocks >= _BLOCKS_MAX:
            return self._outlined(part)
        self.uses_state = True
        two = len(part.variables) == 2 or part.kind in {"map", "entries"}
        over = ("pairs" if two else "elements") + ("" if part.source.tainted else "_strictly")
        items = self._temporary()
        self._write(f"{items} = {over}({self.value(part.source)}, s)")
        outer, self._locals = self._locals, (*self._locals, *part.variables)
        head = f"for {', '.join(part.variables)} in {items}:"
        result = self._temporary()
        if part.kind in {"all", "exists"}:
            self._quick_quantifier(part, head, result)
        elif part.kind == "exists_one":
            assert part.test is not None
            self._write(f"{result} = 0")
            with self._block(head, nests=True):
                self._write(f"if {self.test(part.test)}: {result} += 1")
            result = f"({result} == 1)"
        else:
            self._collection(part, head, result)
        self._locals = outer
        return result

    def _quick_quantifier(self, part: Loop, head: str, result: str) -> None:
        """Write a quantifier; where it searches a string for constants, as a loop only if the string takes steps."""
        held = self._temporary()
        quick = self.quick_search(part, self._constants_of(part.source), held)
        if quick is None:
            self._quantifier(part, head, result)
            return
        subject, search, is_metered = quick
        with self._block("try:", nests=True):
            self._write(f"{held} = {self.value(subject)}")
        self._write(f"except ABSENT: {held} = None")
        size = f" and len({held}) < {UNMETERED_CODE_POINTS_MAX}" if is_metered else ""
        with self._block(f"if type({held}) is str{size}:"):
            self._write(f"{result} = {search}")
        with self._block("else:"):
            self._quantifier(part, head, result)

    def _constants_of(self, source: Part) -> Any:
        """Return the value of what a macro goes over, if that is a constant, by itself or as a `let`."""
        while (number := let_number(source)) is not None:
            source = self.lets[number][1]
        return source.value if isinstance(source, Const) else None

    def _quantifier(self, part: Loop, head: str, result: str) -> None:
        assert part.test is not None
        decides = part.kind == "exists"
        seen = self._temporary()
        self._write(f"{result} = {not decides}")
        self._write(f"{seen} = 0")
        with self._block(head, nests=True), self._block("try:", nests=True):
            test = self.test(part.test)
            with self._block(f"if {test}:" if decides else f"if not {test}:"):
                self._write(f"{result} = {decides}")
                self._write("break")
        self._indent += 1
        self._write("except:")
        self._write(f" {seen} = note({seen})")
        self._indent -= 1
        self._write("else:")
        self._write(f" if {seen}: fail({seen})")

    def _collection(self, part: Loop, head: str, result: str) -> None:
        self._write(f"{result} = []")
        with self._block(head, nests=True):
            if part.test is not None:
                self._write(f"if not {self.test(part.test)}: continue")
            made = part.variables[-1] if part.result is None else self.value(part.result)
            if part.kind == "list":
                self._write(f"{result}.append({made})")
            elif part.kind == "map":
                self._write(f"{result} += ({part.variables[0]}, {made})")
            else:
                assert part.result is not None
                flat = "flat_entries" if part.result.tainted else "flat_entries_strictly"
                self._write(f"{result} += {flat}({made})")
        if part.kind != "list":
            self._write(f"{result} = make_map(*{result})")

    def _failure(self, part: Failure) -> str:
        return f"raise_fault({part.code!r}, {part.message!r})"

    _VALUES: Final[dict[type, Callable[..., str]]] = {
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


def _let_uses(lets: tuple[tuple[str, Part], ...]) -> dict[int, int]:
    uses = dict.fromkeys(range(len(lets)), 0)
    for _, part in lets:
        _count_uses(part, uses, 1)
    return uses


def _count_uses(part: Part, uses: dict[int, int], weight: int) -> None:
    """Count uses of lets; one inside a macro counts twice, as it is evaluated for each element."""
    waiting = [(part, weight)]
    while waiting:
        part, weight = waiting.pop()
        number = let_number(part)
        if number is not None:
            uses[number] += weight
            continue
        if isinstance(part, Loop):
            weight = 2
        waiting.extend((child, weight) for child in children(part))
