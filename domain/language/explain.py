"""Why a rule applied to a fact, or did not: the condition's tree, with what each part came to.

The tree comes from the interpreter, whose meaning the compiled form shares (a property test holds them together). What
a macro goes over many times is shown as it was for the last element that it looked at, which is the one that decided.
What a ``let`` or a table's column is made of is shown where it is first used. A tree is bounded: values are shortened,
nesting and the number of parts are limited (``domain.language.limits``), and what is left out is counted.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, Literal

from domain.language.interpretation import Interpreter, Missing, PartFault
from domain.language.limits import EXPLAINED_DEPTH_MAX, EXPLAINED_PARTS_MAX
from domain.language.outcome import FactAttributes
from domain.language.plan import Const, Has, Part, PlannedRow, PlannedRule, PlannedTable, Select, Variable, children
from domain.language.planning import plan_rule
from domain.language.problems import InvalidRuleError
from domain.language.rule import CompiledRule
from domain.language.settlement import planned
from domain.language.tokens import Positions
from domain.language.tree import Span
from domain.language.values import KeyedMap, OptionalValue, to_json, type_name

Status = Literal["true", "false", "value", "missing", "error", "not evaluated"]
_TEXT_MAX: Final = 120
_VALUE_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Explained:
    """A part of a condition and what it came to.

    ``value`` is JSON data where ``status`` is ``value``; a large one is replaced by its type and size. ``detail`` is an
    error's text. ``omitted`` counts the parts directly below that are left out.
    """

    text: str
    line: int
    column: int
    status: Status
    value: Any = None
    detail: str | None = None
    children: tuple[Explained, ...] = ()
    omitted: int = 0

    @property
    def size(self) -> int:
        """The number of parts in the tree."""
        return 1 + sum(child.size for child in self.children)

    def within(self, parts_max: int) -> Explained:
        """Return the tree cut to so many parts (at least one), the outermost first."""
        if self.size <= parts_max:
            return self
        kept: dict[int, int] = {}
        left = parts_max - 1
        waiting = deque([self])
        while waiting:
            part = waiting.popleft()
            count = kept[id(part)] = max(0, min(len(part.children), left))
            left -= count
            waiting.extend(part.children[:count])
        return self._cut(kept)

    def _cut(self, kept: Mapping[int, int]) -> Explained:
        count = kept[id(self)]
        below = tuple(child._cut(kept) for child in self.children[:count])  # noqa: SLF001 - the same class
        return replace(self, children=below, omitted=self.omitted + len(self.children) - count)

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
        if self.omitted:
            data["omitted"] = self.omitted
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
        if self.omitted:
            yield f"{indent}  … {self.omitted} more {'part' if self.omitted == 1 else 'parts'}"


class _Recorder:
    """Remembers what each part came to last."""

    def __init__(self, source: str, plan: PlannedRule) -> None:
        self.source = source
        self.positions = Positions(source)
        self.plan = plan
        self.ends: dict[int, tuple[str, Any]] = {}
        self._shown_lets: set[int] = set()

    def seen(self, part: Part, end: str, value: Any) -> None:
        self.ends[id(part)] = (end, value)

    def explained(self, part: Part, depth: int = 0, *, is_repeated: bool = False) -> Explained:
        """Return a part's tree; of one that was shown before, its value alone."""
        inner = () if is_repeated else _shown(part)
        if isinstance(part, Variable) and part.name.startswith("let:"):
            number = int(part.name[4:])
            name, value_of_let = self.plan.lets[number]
            is_known = number in self._shown_lets
            self._shown_lets.add(number)
            if name == "|":  # a table's column stands for itself
                return self.explained(value_of_let, depth, is_repeated=is_known)
            inner = () if is_known else (value_of_let,)
        end, value = self.ends.get(id(part), ("not evaluated", None))
        line, column = self.positions.at(part.mark[0])
        status, data, detail = _end(end, value)
        text = self.text(part.span)
        if depth == EXPLAINED_DEPTH_MAX:
            return Explained(text, line, column, status, data, detail, omitted=len(inner))
        below = tuple(self.explained(child, depth + 1) for child in inner)
        return Explained(text, line, column, status, data, detail, below)

    def text(self, span: Span) -> str:
        """Return a part's source on one line, shortened."""
        return _cut_text(" ".join(self.source[span[0] : span[1]].split()), _TEXT_MAX)


def _cut_text(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _end(end: str, value: Any) -> tuple[Status, Any, str | None]:
    if end == "missing":
        return "missing", None, None
    if end == "error":
        return "error", None, _cut_text(value.message, _VALUE_MAX)
    if end == "not evaluated":
        return "not evaluated", None, None
    if value is True or value is False:
        return ("true" if value else "false"), None, None
    return "value", _shortened(value), None


def _shortened(value: Any) -> Any:
    """Return a value as JSON data, or what it is when it is large or has no such form."""
    if type(value) is str:
        return value if len(value) <= _VALUE_MAX else value[:_VALUE_MAX] + "…"
    if not _is_large(value):
        try:
            data = to_json(value)
            if len(json.dumps(data, ensure_ascii=False)) <= _VALUE_MAX:
                return data
        except (ValueError, RecursionError):
            return type_name(value) if type(value) is not float else str(value)
    return f"{type_name(value)} of {len(value)}" if hasattr(value, "__len__") else type_name(value)


def _is_large(value: Any) -> bool:
    """Say whether a value's text is surely longer than is shown; looks at no more of it than that takes."""
    left = _VALUE_MAX
    waiting = [value]
    while waiting:
        item = waiting.pop()
        left -= len(item) if hasattr(item, "__len__") else 1
        if left < 0:
            return True
        if type(item) is list:
            waiting.extend(item)
        elif type(item) is dict or type(item) is KeyedMap:
            waiting.extend(item)
            waiting.extend(item.values())
        elif type(item) is OptionalValue and item.present:
            waiting.append(item.value)
    return False


def _shown(part: Part) -> tuple[Part, ...]:
    """Return the parts to show below a part: no constants, and no steps of a path."""
    if isinstance(part, (Select, Has)):
        root: Part = part
        while isinstance(root, (Select, Has)):
            root = root.operand
        return () if isinstance(root, Variable) and not root.name.startswith("let:") else (root,)
    return tuple(child for child in children(part) if not isinstance(child, Const))


@lru_cache(maxsize=256)
def _planned(source: str) -> PlannedRule:
    plan, problems = plan_rule(source)
    if plan is None:
        raise InvalidRuleError(problems)
    return plan


def explain_rule(
    source: str, payload: dict[str, Any], fact: FactAttributes, decision: Mapping[str, Any] | None = None
) -> Explained:
    """Explain a rule for a fact: the condition's tree, or a table's rows; raises InvalidRuleError."""
    return _explained(source, _planned(source), payload, fact, decision or {})


def explain_compiled(
    rule: CompiledRule, payload: dict[str, Any], fact: FactAttributes, decision: Mapping[str, Any] | None = None
) -> Explained:
    """Explain a rule as ``explain_rule`` does, without parsing its text again."""
    plan = _planned(rule.source) if rule.origin is None else planned(rule.origin)
    return _explained(rule.source, plan, payload, fact, decision or {})


def _explained(
    source: str, plan: PlannedRule, payload: dict[str, Any], fact: FactAttributes, decision: Mapping[str, Any]
) -> Explained:
    recorder = _Recorder(source, plan)
    interpreter = Interpreter(plan.lets, payload, fact, decision, recorder.seen)
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
        status, detail = "error", _cut_text(fault.message, _VALUE_MAX)
    except (RecursionError, MemoryError) as error:
        status, detail = "error", f"the fact is too much for this rule ({type(error).__name__})"
    tree = recorder.explained(plan.condition).within(EXPLAINED_PARTS_MAX)
    return replace(tree, status=status, value=None, detail=detail)


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
                status, failed = "error", _cut_text(fault.message, _VALUE_MAX)
            except (RecursionError, MemoryError) as error:
                status, failed = "error", f"the fact is too much for this rule ({type(error).__name__})"
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
    tree = Explained(f"table {table.hit}", line, column, end, None, failed, tuple(rows))
    return tree.within(EXPLAINED_PARTS_MAX)


def _row(recorder: _Recorder, row: PlannedRow, status: Status) -> Explained:
    line, column = recorder.positions.at(row.span[0])
    below = tuple(recorder.explained(test, 1) for test in row.tests) if status != "not evaluated" else ()
    return Explained(f"row {row.number}: {recorder.text(row.span)}", line, column, status, None, None, below)
