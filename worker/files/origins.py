"""Where a rule stands in a file, and so where its problems are: in its fields, or in its DSL."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, Protocol

from domain.language import Problem
from worker.files.problems import FileProblem

_JSON_UNIT: Final = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|.", re.DOTALL
)


class Origin(Protocol):
    """Where a rule stands: knows the place of its fields and of its DSL."""

    @property
    def name(self) -> str: ...

    @property
    def dsl_line_offset(self) -> int: ...

    def field_problem(self, code: str, field: str | None, message: str, hint: str | None = None) -> FileProblem: ...

    def dsl_problem(self, problem: Problem) -> FileProblem: ...


@dataclass(frozen=True, slots=True)
class RuleFile:
    """A rule file's text, of which the first ``dsl_line_offset`` lines are front matter and its fences."""

    name: str
    text: str
    dsl_line_offset: int

    def at(self, code: str, line: int, column: int, message: str, hint: str | None = None) -> FileProblem:
        return FileProblem(self.name, line, column, Problem(code, message, line, column, hint), self.text)

    def field_problem(self, code: str, field: str | None, message: str, hint: str | None = None) -> FileProblem:
        if field is not None:
            name = re.escape(field)
            key = re.compile(rf"\s*({name}|\"{name}\"|'{name}')\s*=")
            for number, line in enumerate(self.text.split("\n")[: self.dsl_line_offset], start=1):
                if found := key.match(line):
                    start, end = found.start(1) + 1, found.end(1) + 1
                    problem = Problem(code, message, number, start, hint, end_column=end)
                    return FileProblem(self.name, number, start, problem, self.text)
        if field == "name" and hint is None:
            hint = "the rule is named after its file; `name` in front matter names it otherwise"
        place = self.dsl_line_offset + 1 if field == "dslContent" else 1
        return self.at(code, place, 1, message, hint)

    def dsl_problem(self, problem: Problem) -> FileProblem:
        line = problem.line + self.dsl_line_offset
        return FileProblem(self.name, line, problem.column, replace(problem, line=line), self.text)


@dataclass(frozen=True, slots=True)
class JsonLine:
    """A line of JSON that holds a rule; problems of the DSL in it are shown with the DSL's own lines."""

    file: str
    line: int
    text: str
    dsl: str | None = None
    dsl_line_offset: int = 0

    @property
    def name(self) -> str:
        return f"{self.file}:{self.line}"

    def at(self, code: str, column: int, message: str, hint: str | None = None) -> FileProblem:
        return FileProblem(self.file, self.line, column, Problem(code, message, self.line, column, hint))

    def field_problem(self, code: str, field: str | None, message: str, hint: str | None = None) -> FileProblem:
        found = None if field is None else self._key(field)
        return self.at(code, 1 if found is None else found.start() + 1, message, hint)

    def dsl_problem(self, problem: Problem) -> FileProblem:
        return FileProblem(self.file, self.line, self._dsl_column(problem), problem, self.dsl)

    def _dsl_column(self, problem: Problem) -> int:
        """Find where in the line a place of the DSL is, through the escapes of the JSON string that holds it."""
        start = self._key("dslContent", r"\"")
        if start is None or self.dsl is None:
            return 1
        lines = self.dsl.split("\n")
        index = sum(len(line) + 1 for line in lines[: problem.line - 1]) + problem.column - 1
        column = start.end() + 1
        for count, unit in enumerate(_JSON_UNIT.finditer(self.text, start.end())):
            column = unit.start() + 1
            if count == index:
                break
        return column

    def _key(self, field: str, then: str = "") -> re.Match[str] | None:
        return re.search(rf"(?<!\\)\"{re.escape(field)}\"\s*:\s*{then}", self.text)
