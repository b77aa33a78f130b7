"""The compiler, in this very process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from domain.errors import UnavailableError
from domain.language import (
    CompiledRule,
    InvalidRuleError,
    Problem,
    check_filled,
    check_rule,
    check_template,
    compile_rule,
)


class FakeDslCompiler:
    """DslCompiler at once. ``is_away`` is for tests to set; ``compiled`` tells what was compiled."""

    def __init__(self) -> None:
        self.is_away = False
        self.compiled: list[str] = []

    async def check(self, source: str) -> None:
        problems = await self.problems(source)
        if _has_errors(problems):
            raise InvalidRuleError(problems)

    async def problems(self, source: str) -> Sequence[Problem]:
        self._require()
        return check_rule(source)

    async def compile(self, sources: Sequence[str]) -> Sequence[CompiledRule]:
        self._require()
        rules = [compile_rule(source) for source in sources]
        self.compiled += sources
        return rules

    async def check_template(
        self, source: str, types: Mapping[str, str], defaults: Mapping[str, str] | None = None
    ) -> None:
        self._require()
        problems = check_template(source, types)
        if not _has_errors(problems) and defaults is not None:
            problems = check_filled(source, defaults)[1]
        if _has_errors(problems):
            raise InvalidRuleError(problems)

    async def fill(self, source: str, rows: Sequence[Mapping[str, str]]) -> Sequence[str | Sequence[Problem]]:
        self._require()
        filled = [check_filled(source, row) for row in rows]
        return [problems if _has_errors(problems) else text for text, problems in filled]

    def _require(self) -> None:
        if self.is_away:
            raise UnavailableError("compiler", "the compiler is away")


def _has_errors(problems: Sequence[Problem]) -> bool:
    return any(problem.severity == "error" for problem in problems)
