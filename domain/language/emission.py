"""From the plan to Python: the text of the functions that a rule becomes.

Every name in the text is made here and every constant is written by ``repr`` or passed in, so nothing of a rule's own
text can become code. Order of evaluation is free, as expressions have no effects: an operand's text may be evaluated
later than statements that were written after it was made.

Variables of compiled code: ``p`` the fact, ``f`` its context, ``d`` the decision so far, ``s`` the evaluation's state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import CodeType
from typing import Any, Final

from domain.language.faults import strict
from domain.language.lets import LetOrder
from domain.language.library import operators
from domain.language.limits import CODE_CHARACTERS_MAX
from domain.language.native import COMPARISONS, OperatorWriter, is_plain
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
    PlannedBranch,
    PlannedEffect,
    PlannedRow,
    PlannedTable,
    Select,
    Variable,
    children,
    spine,
)
from domain.language.reach import GLOBALS, NAMES

_TEXT_MAX: Final = 200  # an operand longer than this becomes a statement of its own, so that nesting stays shallow
_CHAIN_MAX: Final = 20  # links of a chain of operators that are written in one expression
_BLOCKS_MAX: Final = 10  # nested blocks before the rest moves to a function of its own; CPython allows 20
_INLINE_BRANCHES_MAX: Final = 4


def code_of(text: str) -> CodeType:
    """Compile what an emitter wrote."""
    return compile(text, "<rule>", "exec")


class TooCostlyError(Exception):
    """The rule would become more code than a rule may."""


class Emitter(OperatorWriter):
    """Writes the functions of one rule."""

    def __init__(self, lets: tuple[tuple[str, Part], ...] = ()) -> None:
        self.lets = lets
        self._order = LetOrder(lets)
        self.functions: list[list[str]] = []
        self.constants: list[Any] = []
        self.uses_state = False
        self._constant_names: dict[int, str] = {}
        self._let_uses = _let_uses(lets)
        self._written_lets: set[int] = set()
        self._lines: list[str] = []
        self._written = 0
        self._hoisted: set[int] = set()
        self._indent = 1
        self._blocks = 0
        self._count = 0
        self._locals: tuple[str, ...] = ()

    def count_uses(self, *parts: Part) -> None:
        """Count the uses of each ``let`` in further parts, before anything is written."""
        for part in parts:
            _count_uses(part, self._let_uses, 1)

    # Writing

    def _write(self, text: str) -> None:
        self._written += len(text) + self._indent
        if self._written > CODE_CHARACTERS_MAX:
            raise TooCostlyError
        self._lines.append(" " * self._indent + text)

    @contextmanager
    def _block(self, head: str, *, nests: bool = False) -> Iterator[None]:
        self._write(head)
        self._indent += 1
        self._blocks += nests
        try:
            yield
        finally:
            self._indent -= 1
            self._blocks -= nests

    def _temporary(self) -> str:
        self._count += 1
        return f"t{self._count}"

    def function(self, name: str, parameters: str | None, write: Callable[[], None]) -> None:
        """Write a function of its own; without ``parameters`` it takes the state only if it needs it."""
        outer = self._lines, self._indent, self._blocks, self._locals
        self._lines, self._indent, self._blocks = [], 2, 0
        write()
        if parameters is None:
            parameters = "p, f, d, s" if self.uses_state else "p, f, d"
        self.functions.append([f" def {name}({parameters}):", *self._lines])
        self._lines, self._indent, self._blocks, self._locals = outer

    def _captured(self, write: Callable[[], str]) -> tuple[list[str], str]:
        outer = self._lines
        self._lines = []
        text = write()
        lines, self._lines = self._lines, outer
        return lines, text

    def _constant(self, value: Any) -> str:
        name = self._constant_names.get(id(value))
        if name is None:
            name = f"k{len(self.constants)}"
            self._constant_names[id(value)] = name
            self.constants.append(value)
        return name

    def _callable(self, call: Callable[..., Any]) -> str:
        return NAMES.get(call) or self._constant(call)

    def source(self, results: list[str]) -> str:
        """Return the module's text: a function ``make`` that takes the constants and returns the named functions."""
        head = f"def make({', '.join(f'k{number}' for number in range(len(self.constants)))}):"
        lines = [line for function in self.functions for line in function]
        return "\n".join([head, *lines, f" return {', '.join(results)},", ""])

    def functions_of(self, names: list[str], code: CodeType | None = None) -> dict[str, Callable[..., Any]]:
        """Return the named functions; ``code`` is what ``source`` gives for these names, compiled."""
        if not names:
            return {}
        local: dict[str, Any] = {}
        exec(code or code_of(self.source(names)), GLOBALS, local)  # noqa: S102 - text of our own making
        return dict(zip(names, local["make"](*self.constants), strict=True))

    # Expressions

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
        if value is None or kind is bool or kind is str or kind is bytes:
            return repr(value)
        if kind is int or (kind is float and value - value == 0.0):
            return repr(value) if value >= 0 and str(value)[0] != "-" else f"({value!r})"
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
            return f"({word.join(map(self.value, part.items))})"
        if self._blocks >= _BLOCKS_MAX:
            return self._outlined(part)
        result, seen = self._temporary(), self._temporary()
        decides = part.operator == "||"
        self._write(f"{seen} = 0")
        with self._block("while True:", nests=True):
            for item in part.items:
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
            self._quantifier(part, head, result)
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

    # Functions

    def condition(self, name: str, part: Part) -> bool:
        """Write a condition's function: True, False, or None when it is missing; it raises only faults.

        Returns whether the function takes the evaluation's state.
        """
        self.uses_state = False

        def write() -> None:
            if isinstance(part, Logic) and not is_plain(part):
                self._write_logic(part)
                return
            with self._block("try:", nests=True):
                self._write(f"return {self.test(part)}")
            self._write("except:")
            self._write(" return ended(note(0))")

        self.function(name, None, write)
        return self.uses_state

    def _write_logic(self, part: Logic) -> None:
        decides = part.operator == "||"
        self._write("e = 0")
        for item in part.items:
            with self._block("try:", nests=True):
                test = self.test(item)
                self._write(f"if {test}: return True" if decides else f"if not {test}: return False")
            self._write("except:")
            self._write(" e = note(e)")
        self._write("if e: return ended(e)")
        self._write(f"return {not decides}")

    def table(self, name: str, table: PlannedTable) -> bool:
        """Write a function that returns the numbers of a table's rows that match, counted from 1, in order.

        Missing fails a cell. With ``first`` it stops at the first row, with ``unique`` at a second, which is a fault.
        """
        self.uses_state = True

        def write() -> None:
            self._write("m = []")
            self._hoist(table)
            for row in table.rows:
                self._write_row(table.hit, row)
            self._write("return m")

        outer = self._locals
        self.function(name, None, write)
        self._hoisted, self._locals = set(), outer
        return self.uses_state

    def _write_row(self, hit: str, row: PlannedRow) -> None:
        """Write a row's tests and what follows when all hold. A fault is settled by the interpreter."""
        with ExitStack() as blocks:
            blocks.enter_context(self._block("try:", nests=True))
            tests: list[str] = []
            for test in row.tests:
                tests += [
                    f"(not x{column} or ended(x{column}))" for column in sorted(self._lets_of(test) & self._hoisted)
                ]
                lines, text = self._captured(lambda t=test: self.test(t))  # type: ignore[misc]  # a default binds it now
                if lines:
                    if tests:
                        blocks.enter_context(self._block(f"if {' and '.join(tests)}:"))
                    lines, text = self._captured(lambda t=test: self.test(t))  # type: ignore[misc]  # a default binds it now
                    self._lines.extend(lines)
                    tests = []
                tests.append(text)
            blocks.enter_context(self._block(f"if {' and '.join(tests) or 'True'}:"))
            if hit == "unique":
                self._write(f"if m: not_unique(m[0], {row.number})")
            self._write(f"m.append({row.number})")
            if hit == "first":
                self._write("return m")
        self._write("except ABSENT: pass")

    def _hoist(self, table: PlannedTable) -> None:
        """Evaluate columns that several cells test before the rows; ``x`` tells whether one is missing or failed."""
        uses = Counter(number for row in table.rows for test in row.tests for number in self._lets_of(test))
        for number, count in sorted(uses.items()):
            if count < 2 or self.lets[number][0] != "|":
                continue
            self._write(f"c{number} = x{number} = 0")
            with self._block("try:", nests=True):
                self._write(f"c{number} = {self.value(self.lets[number][1])}")
            self._write(f"except: x{number} = note(0)")
            self._hoisted.add(number)
            self._locals = (*self._locals, f"c{number}")

    def _lets_of(self, part: Part) -> set[int]:
        """Return the lets that a part mentions."""
        found: set[int] = set()
        waiting = [part]
        while waiting:
            current = waiting.pop()
            if isinstance(current, Variable) and current.name.startswith("let:"):
                found.add(int(current.name[4:]))
            waiting.extend(children(current))
        return found

    def expression(self, name: str, part: Part) -> bool:
        """Write a function that returns an expression's value, or raises; returns whether it takes the state."""
        self.uses_state = False
        self.function(name, None, lambda: self._write(f"return {self.value(part)}"))
        return self.uses_state

    def actions(self, name: str, branch: PlannedBranch) -> bool:
        """Write a function that returns a branch's contributions and effects; whether it takes the state."""
        self.uses_state = False

        def write() -> None:
            contributions: list[str] = []
            effects: list[str] = []
            for action in branch.actions:
                value = self.value(action.value)
                if isinstance(action, PlannedEffect):
                    effects.append(f"({action.name!r}, effect_map({value}))")
                    continue
                if action.kind == "add":
                    if action.value.type.kind not in {"int", "uint", "decimal", "money"}:
                        value = f"term({value})"
                elif not _plain(action.value):
                    value = f"output({value})"
                contributions.append(f"({action.kind.upper()}, {self._constant(action.path)}, {value})")
            self._write(f"return [{', '.join(contributions)}], [{', '.join(effects)}]")

        self.function(name, None, write)
        return self.uses_state


def _plain(part: Part) -> bool:
    """Return whether a value has a form in JSON for certain: fact data, and what no calculation makes infinite."""
    kind = part.type.kind
    if isinstance(part, Const):
        return kind in {"null", "bool", "int", "uint", "double", "string", "bytes"}
    if kind in {"bool", "int", "uint", "string", "bytes", "timestamp", "duration", "decimal", "money", "email"}:
        return True
    return isinstance(part, Select) and kind == "json"


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
        if isinstance(part, Variable) and part.name.startswith("let:"):
            uses[int(part.name[4:])] += weight
            continue
        if isinstance(part, Loop):
            weight = 2
        waiting.extend((child, weight) for child in children(part))
