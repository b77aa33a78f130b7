"""From the plan to Python: the functions that a rule becomes, for its condition, its actions and its table."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack

from domain.language.emission import ExpressionWriter
from domain.language.lets import let_number
from domain.language.outcome import shared_path
from domain.language.plan import (
    Const,
    Logic,
    Part,
    PlannedBranch,
    PlannedEffect,
    PlannedRow,
    PlannedTable,
    Select,
    children,
)
from domain.language.searches import gathered, is_one_test


class FunctionWriter(ExpressionWriter):
    """Writes the functions of one rule."""

    def condition(self, name: str, part: Part) -> bool:
        """Write a condition's function: True, False, or None when it is missing; it raises only faults.

        Returns whether the function takes the evaluation's state.
        """
        self.uses_state = False

        def write() -> None:
            if isinstance(part, Logic) and not is_one_test(part):
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
        for item in gathered(part):
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
            number = let_number(current)
            if number is not None:
                found.add(number)
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
                contributions.append(f"({action.kind.upper()}, {self._constant(shared_path(action.path))}, {value})")
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
