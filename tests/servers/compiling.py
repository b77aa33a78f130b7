"""The compiler's process, one for all workers that a session's tests run in the tests' own process.

Starting one for each worker would cost more than most tests do. It is the real one, behind its frames, and outlives its
first worker; that each worker starts and ends its own is for the tests of worker processes to show.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from domain.language import CompiledRule, Problem
from worker.compiler.process import CompilerProcess

T = TypeVar("T")


class CompilerForAll:
    """A compiler's process and the event loop that it is asked from, in a thread of its own."""

    def __init__(self) -> None:
        self._compiler = CompilerProcess()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="compiler-for-all")
        self._thread.start()

    def close(self) -> None:
        """End the process and the thread."""
        for work in (self._compiler.stop(), self._loop.shutdown_default_executor()):
            asyncio.run_coroutine_threadsafe(work, self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _ask(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def start(self) -> None:
        await self._ask(self._compiler.start())

    async def stop(self) -> None:
        """Do nothing: the next worker goes on with it."""

    async def check(self, source: str) -> None:
        await self._ask(self._compiler.check(source))

    async def problems(self, source: str) -> Sequence[Problem]:
        return await self._ask(self._compiler.problems(source))

    async def compile(self, sources: Sequence[str]) -> Sequence[CompiledRule]:
        return await self._ask(self._compiler.compile(sources))

    async def check_template(
        self, source: str, types: Mapping[str, str], defaults: Mapping[str, str] | None = None
    ) -> None:
        await self._ask(self._compiler.check_template(source, types, defaults))

    async def fill(self, source: str, rows: Sequence[Mapping[str, str]]) -> Sequence[str | Sequence[Problem]]:
        return await self._ask(self._compiler.fill(source, rows))
