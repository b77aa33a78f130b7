"""The compiler, in this very process."""

from __future__ import annotations

from collections.abc import Sequence

from domain.errors import UnavailableError
from domain.language import CompiledRule, InvalidRuleError, Problem, check_rule, compile_rule


class FakeDslCompiler:
    """DslCompiler at once. ``is_away`` is for tests to set; ``compiled`` tells what was compiled."""

    def __init__(self) -> None:
        self.is_away = False
        self.compiled: list[str] = []

    async def check(self, source: str) -> None:
        problems = await self.problems(source)
        if any(problem.severity == "error" for problem in problems):
            raise InvalidRuleError(problems)

    async def problems(self, source: str) -> Sequence[Problem]:
        self._require()
        return check_rule(source)

    async def compile(self, sources: Sequence[str]) -> Sequence[CompiledRule]:
        self._require()
        rules = [compile_rule(source) for source in sources]
        self.compiled += sources
        return rules

    def _require(self) -> None:
        if self.is_away:
            raise UnavailableError("compiler", "the compiler is away")
