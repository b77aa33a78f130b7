"""Problems of rule files, each at its true place in its file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from domain.errors import ValidationError
from domain.language import Problem, render_problem


@dataclass(frozen=True, slots=True)
class FileProblem:
    """One finding in one file. Line and column are the file's, counted from 1, columns in code points.

    ``problem`` is the finding as it stands in ``source``, the text that is shown around it: the file, or the DSL that
    a line of JSON holds. Without a source nothing is shown.
    """

    file: str
    line: int
    column: int
    problem: Problem
    source: str | None = None

    @property
    def is_error(self) -> bool:
        return self.problem.severity == "error"

    def render(self) -> str:
        """Print the problem as a compiler does, under the file's name, line and column."""
        found = self.problem
        header = f"{found.severity}[{found.code}]: {found.message}"
        place = f"{self.file}:{self.line}:{self.column} {header}"
        if self.source is None:
            return place if found.hint is None else f"{place}\n  {found.hint}"
        shown = render_problem(found, self.source, "")
        return place + shown.removeprefix(f":{found.line}:{found.column} {header}")

    def to_json(self) -> dict[str, Any]:
        data = {**self.problem.to_json(), "file": self.file, "line": self.line, "column": self.column}
        if (found := self.problem).end_column is not None:
            data["endColumn"] = self.column + found.end_column - found.column
        return data


class InvalidRulesError(ValidationError):
    """A set of rules that cannot be used; ``problems`` holds every problem found, errors and warnings."""

    def __init__(self, problems: Iterable[FileProblem]) -> None:
        self.problems = tuple(problems)
        errors = [problem for problem in self.problems if problem.is_error]
        files = len({problem.file for problem in errors})
        found = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        super().__init__(
            f"{found} in {'1 file' if files == 1 else f'{files} files'}",
            problems=[problem.to_json() for problem in self.problems],
        )
