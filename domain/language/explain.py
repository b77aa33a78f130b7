"""Why a rule applied to a fact, or did not: the condition's tree, with what each part came to.

The tree comes from the interpreter, whose meaning the compiled form shares (a property test holds them together). What
a macro goes over many times is shown as it was for the last element that it looked at, which is the one that decided.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from domain.language.interpretation import Interpreter, Missing, PartFault
from domain.language.outcome import FactContext
from domain.language.plan import Const, Has, Part, PlannedRow, PlannedRule, PlannedTable, Select, Variable, children
from domain.language.settlement import planned
from domain.language.tokens import Positions
from domain.language.tree import Span
from domain.language.values import to_json, type_name

Status = Literal["true", "false", "value", "missing", "error", "not evaluated"]
_TEXT_MAX: Final = 120
_VALUE_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Explained:
    """A part of a condition and what it came to.

    ``value`` is JSON data where ``status`` is ``value``; a large one is replaced by its type and size. ``detail`` is an
    error's text.
    """

    text: str
    line: int
    column: int
    status: Status
    value: Any = None
    detail: str | None = None
    children: tuple[Explained, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the tree as JSON data."""
        data: dict[str, Any] = {
            "text": self.text,
            "line": self.line,
            "column": self.column,
            "status": self.status,
        }
        if self.status == "value":
            data["value"] = self.value
        if self.detail is not None:
            data["detail"] = self.detail
        if self.children:
            data["children"] = [child.to_json() for child in self.children]
        return data

    def render(self) -> str:
        """Return the tree as text, each part on a line, indented below the part that it belongs to."""
        return "\n".join(self._lines(""))

    def _lines(self, indent: str) -> Iterator[str]:
        shown = json.dumps(self.value, ensure_ascii=False) if self.status == "value" else self.status
        detail = "" if self.detail is None else f" ({self.detail})"
        yield f"{indent}{self.text}: {shown}{detail}"
        for child in self.children:
            yield from child._lines(indent + "  ")  # noqa: SLF001 - the same class


class _Recorder:
    """Remembers what each part came to last."""

    def __init__(self, source: str, plan: PlannedRule) -> None:
        self.source = source
        self.positions = Positions(source)
        self.plan = plan
        self.ends: dict[int, tuple[str, Any]] = {}

    def seen(self, part: Part, end: str, value: Any) -> None:
        self.ends[id(part)] = (end, value)

    def explained(self, part: Part, shown_lets: frozenset[int] = frozenset()) -> Explained:
        """Return a part's tree."""
        end, value = self.ends.get(id(part), ("not evaluated", None))
        line, column = self.positions.at(part.mark[0])
        below = tuple(self.explained(child, shown_lets) for child in _shown(part))
        if isinstance(part, Variable) and part.name.startswith("let:"):
            number = int(part.name[4:])
            if self.plan.lets[number][0] == "|":  # a table's column stands for itself
                return self.explained(self.plan.lets[number][1], shown_lets)
            if number not in shown_lets:
                below = (self.explained(self.plan.lets[number][1], shown_lets | {number}),)
        status, data, detail = _end(end, value)
        return Explained(self.text(part.span), line, column, status, data, detail, below)

    def text(self, span: Span) -> str:
        """Return a part's source on one line, shortened."""
        text = " ".join(self.source[span[0] : span[1]].split())
        return text if len(text) <= _TEXT_MAX else text[: _TEXT_MAX - 1] + "…"


def _end(end: str, value: Any) -> tuple[Status, Any, str | None]:
    if end == "missing":
        return "missing", None, None
    if end == "error":
        return "error", None, value.message
    if end == "not evaluated":
        return "not evaluated", None, None
    if value is True or value is False:
        return ("true" if value else "false"), None, None
    return "value", _shortened(value), None


def _shortened(value: Any) -> Any:
    """Return a value as JSON data, or what it is when it is large or has no such form."""
    if type(value) in {list, dict} and len(value) > _VALUE_MAX:
        return f"{type_name(value)} of {len(value)}"
    try:
        data = to_json(value)
        text = json.dumps(data, ensure_ascii=False)
    except (ValueError, RecursionError):
        return f"{type_name(value)}" if type(value) is not float else str(value)
    if len(text) <= _VALUE_MAX:
        return data
    if type(value) is str:
        return value[:_VALUE_MAX] + "…"
    return f"{type_name(value)} of {len(value)}" if hasattr(value, "__len__") else type_name(value)


def _shown(part: Part) -> tuple[Part, ...]:
    """Return the parts to show below a part: no constants, and no steps of a path."""
    if isinstance(part, (Select, Has)):
        root: Part = part
        while isinstance(root, (Select, Has)):
            root = root.operand
        return () if isinstance(root, Variable) and not root.name.startswith("let:") else (root,)
    return tuple(child for child in children(part) if not isinstance(child, Const))


def explain_rule(
    source: str, payload: dict[str, Any], fact: FactContext, decision: Mapping[str, Any] | None = None
) -> Explained:
    """Explain a rule that checks, for a fact: the condition's tree, or a table's rows."""
    plan = planned(source)
    recorder = _Recorder(source, plan)
    interpreter = Interpreter(plan.lets, payload, fact, decision or {}, recorder.seen)
    if plan.table is not None:
        return _table(recorder, interpreter, plan.table)
    if plan.condition is None:
        return Explained("then", 1, 1, "true")
    try:
        status: Status = "true" if interpreter.test(plan.condition) else "false"
        detail = None
    except Missing:
        status, detail = "missing", None
    except PartFault as fault:
        status, detail = "error", fault.message
    except (RecursionError, MemoryError) as error:
        status, detail = "error", f"the fact is too much for this rule ({type(error).__name__})"
    tree = recorder.explained(plan.condition)
    return Explained(tree.text, tree.line, tree.column, status, None, detail, tree.children)


def _table(recorder: _Recorder, interpreter: Interpreter, table: PlannedTable) -> Explained:
    rows: list[Explained] = []
    matched: list[int] = []
    failed: str | None = None
    for row in table.rows:
        if failed is not None or (matched and table.hit == "first"):
            rows.append(_row(recorder, row, "not evaluated"))
            continue
        status: Status = "true"
        for test in row.tests:
            try:
                if not interpreter.test(test):
                    status = "false"
            except Missing:
                status = "false"
            except PartFault as fault:
                status, failed = "error", fault.message
            if status == "false":
                failed = None
                break
        if status == "true":
            matched.append(row.number)
        rows.append(_row(recorder, row, status))
    if table.hit == "unique" and len(matched) > 1:
        failed = f"rows {matched[0]} and {matched[1]} both match"
    line, column = recorder.positions.at(table.mark[0])
    end: Status = "error" if failed is not None else "true" if matched else "false"
    return Explained(f"table {table.hit}", line, column, end, None, failed, tuple(rows))


def _row(recorder: _Recorder, row: PlannedRow, status: Status) -> Explained:
    line, column = recorder.positions.at(row.span[0])
    below = tuple(recorder.explained(test) for test in row.tests) if status != "not evaluated" else ()
    return Explained(f"row {row.number}: {recorder.text(row.span)}", line, column, status, None, None, below)
