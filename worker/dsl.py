"""Checking rule texts away from the event loop."""

from __future__ import annotations

import asyncio

from domain.language import compile_rule


class ThreadedDslCompiler:
    """DslCompiler on a thread, so that a long text does not hold up the loop."""

    async def check(self, source: str) -> None:
        await asyncio.to_thread(compile_rule, source)
