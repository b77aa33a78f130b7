"""Problems: what checking a rule finds, with a position, a stable code and a hint, and how they are printed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from domain.errors import ValidationError

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding. Lines and columns count from 1, columns in code points; ``end_column`` is exclusive."""

    code: str
    message: str
    line: int
    column: int
    hint: str | None = None
    severity: Severity = "error"
    end_column: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the problem as JSON data; keys without a value are left out."""
        data: dict[str, Any] = {
            "severity": self.severity,
            "code": self.code,
            "message": self.message,
            "line": self.line,
            "column": self.column,
        }
        if self.end_column is not None:
            data["endColumn"] = self.end_column
        if self.hint is not None:
            data["hint"] = self.hint
        return data


class InvalidRuleError(ValidationError):
    """A rule that does not check; ``problems`` holds every problem found, errors and warnings, by position."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        first = next((problem for problem in self.problems if problem.severity == "error"), self.problems[0])
        message = first.message
        if first.code != "empty":
            message = f"line {first.line}, column {first.column}: {first.message}"
            more = sum(problem.severity == "error" for problem in self.problems) - 1
            if more > 0:
                message += f" (and {more} more)"
        super().__init__(message, problems=[problem.to_json() for problem in self.problems])


SOURCE_WINDOW = 160  # code points of a source line that are shown around a problem


def render_problem(problem: Problem, source: str, name: str = "rule") -> str:
    """Print a problem as a compiler does: a header, the source line, and a caret with the hint below it."""
    header = f"{name}:{problem.line}:{problem.column} {problem.severity}[{problem.code}]: {problem.message}"
    lines = source.split("\n")
    if not 0 < problem.line <= len(lines):
        return header if problem.hint is None else f"{header}\n  {problem.hint}"
    text = lines[problem.line - 1].rstrip("\r")
    column = min(problem.column, len(text) + 1)
    end = column + 1 if problem.end_column is None else max(problem.end_column, column + 1)
    start = max(0, column - 1 - SOURCE_WINDOW // 2) if len(text) > SOURCE_WINDOW else 0
    shown = text[start : start + SOURCE_WINDOW]
    width = max(1, min(end - column, start + len(shown) - column + 1))
    # A tab stays a tab below, so that the caret stands under its character whatever the tab stops are.
    before = "".join(c if c == "\t" else " " for c in text[start : column - 1])
    margin = f"  {problem.line} | "
    caret = " " * (len(margin) - 2) + "| " + before + "^" * width
    if problem.hint is not None:
        caret += f" {problem.hint}"
    printable = "".join(c if c == "\t" or c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in shown)
    return f"{header}\n{margin}{printable}\n{caret}"
