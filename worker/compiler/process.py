"""The worker's side of the compiler's process: started on first use, replaced when it dies, stopped with the worker."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec
import structlog

from domain.errors import UnavailableError
from domain.language import CompiledRule, InvalidRuleError, Problem, RuleImage, load_image
from worker.compiler.child import too_costly
from worker.compiler.frames import (
    LENGTH_BYTES,
    Answer,
    Check,
    CheckTemplate,
    Compile,
    Fill,
    Reply,
    Request,
    decode_reply,
    encode,
)

# What a rule within the language's limits takes is a tenth of this, on a machine with nothing else to do.
TIMEOUT_S: Final = 10.0
TEXTS_MAX: Final = 100
CODE_POINTS_MAX: Final = 200_000
_STOP_TIMEOUT_S: Final = 2.0

_log = structlog.get_logger(__name__)
_Item = TypeVar("_Item")


class CompilerDiedError(Exception):
    """The compiler did not answer: it died, or it was late and was stopped."""

    def __init__(self, reason: str, *, is_late: bool) -> None:
        super().__init__(reason)
        self.is_late = is_late


@dataclass(frozen=True, slots=True, eq=False)
class _Text:
    """A text that waits to be checked, and what comes of it."""

    source: str
    answer: asyncio.Future[Answer]


class CompilerProcess:
    """DslCompiler in a process of its own, one text after the other; texts to check that wait go to it together.

    A text that takes more than ``timeout_s``, or that kills the process twice, is refused as ``too-costly``. What
    remains to be done here is to load what was compiled, on a thread.
    """

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._turn = asyncio.Lock()
        self._waiting: list[_Text] = []
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The process's id while there is one."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start the process, if it does not run, so that the first text need not wait for it."""
        async with self._turn:
            await self._started()

    async def stop(self) -> None:
        """End the process."""
        async with self._turn:
            process, self._process = self._process, None
            if process is None:
                return
            assert process.stdin is not None
            process.stdin.close()
            try:
                async with asyncio.timeout(_STOP_TIMEOUT_S):
                    await process.wait()
            except TimeoutError:
                await _kill(process)

    async def check(self, source: str) -> None:
        """Return for a text that is a rule; raises InvalidRuleError with every problem otherwise."""
        problems = await self.problems(source)
        if any(problem.severity == "error" for problem in problems):
            raise InvalidRuleError(problems)

    async def problems(self, source: str) -> Sequence[Problem]:
        """Return every problem of a text, errors and warnings, by position."""
        mine = _Text(source, asyncio.get_running_loop().create_future())
        self._waiting.append(mine)
        try:
            async with self._turn:
                if not mine.answer.done():
                    await self._check_with_others(mine)
        finally:
            if mine in self._waiting:
                self._waiting.remove(mine)
        found = mine.answer.result()
        return found if isinstance(found, list) else []

    async def _check_with_others(self, mine: _Text) -> None:
        """Check a text and those that wait behind it by one request, as many as one may hold.

        Where that fails, the others are still to be checked, when their turns come.
        """
        self._waiting.remove(mine)
        batch, size = [mine], len(mine.source)
        while self._waiting and len(batch) < TEXTS_MAX:
            size += len(self._waiting[0].source)
            if size > CODE_POINTS_MAX:
                break
            batch.append(self._waiting.pop(0))
        try:
            answers = await self._answers_in_turn(Check([text.source for text in batch]))
        except BaseException:
            self._waiting[:0] = batch
            raise
        for text, answer in zip(batch, answers, strict=True):
            text.answer.set_result(answer)

    async def compile(self, sources: Sequence[str]) -> Sequence[CompiledRule]:
        """Return the rules of texts, in order; raises InvalidRuleError for the first that is none."""
        rules: list[CompiledRule] = []
        for chunk in _chunks(sources, len):
            images = await self._answers(Compile(chunk))
            rules += await asyncio.to_thread(_load_all, chunk, images)
        return rules

    async def check_template(
        self, source: str, types: Mapping[str, str], defaults: Mapping[str, str] | None = None
    ) -> None:
        """Return for a text that is a template; raises InvalidRuleError with every problem otherwise."""
        request = CheckTemplate(source, dict(types), None if defaults is None else dict(defaults))
        (found,) = await self._answers(request)
        if isinstance(found, list) and any(problem.severity == "error" for problem in found):
            raise InvalidRuleError(found)

    async def fill(self, source: str, rows: Sequence[Mapping[str, str]]) -> Sequence[str | Sequence[Problem]]:
        """Return the rule that a template becomes with each row's literals, or the problems of one that is no rule."""
        found: list[str | Sequence[Problem]] = []
        for chunk in _chunks(rows, lambda row: len(source) + sum(map(len, row.values()))):
            for answer in await self._answers(Fill(source, [dict(row) for row in chunk])):
                assert not isinstance(answer, RuleImage)
                found.append(answer)
        return found

    async def _answers(self, request: Request) -> Reply:
        async with self._turn:
            return await self._answers_in_turn(request)

    async def _answers_in_turn(self, request: Request) -> Reply:
        try:
            return await self._ask(request)
        except CompilerDiedError as error:
            alone = request.alone()
            if len(alone) > 1:  # one of them is to blame: each is tried alone
                return [await self._alone(one) for one in alone]
            if error.is_late:
                return [_refused(error, request)]
            return [await self._alone(request)]

    async def _alone(self, request: Request) -> Answer:
        try:
            return (await self._ask(request))[0]
        except CompilerDiedError as error:
            return _refused(error, request)

    async def _ask(self, request: Request) -> Reply:
        process = await self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            async with asyncio.timeout(self._timeout_s):
                process.stdin.write(encode(request))
                await process.stdin.drain()
                length = int.from_bytes(await process.stdout.readexactly(LENGTH_BYTES), "big")
                reply = decode_reply(await process.stdout.readexactly(length))
        except (TimeoutError, asyncio.IncompleteReadError, OSError, msgspec.MsgspecError) as error:
            await self._drop()
            is_late = isinstance(error, TimeoutError)
            raise CompilerDiedError(f"{type(error).__name__}: {error}", is_late=is_late) from error
        except BaseException:
            # Cancelled in mid-answer: what is still to come would be taken for the next one's.
            await self._drop()
            raise
        return reply

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "worker.compiler.child",
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                )
            except OSError as error:
                raise UnavailableError("compiler", f"no process can be started: {error}") from error
        return self._process

    async def _drop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await asyncio.shield(_kill(process))


def _refused(error: CompilerDiedError, request: Request) -> list[Problem]:
    _log.warning("compiler_died", reason=str(error), code_points=request.code_points)
    return [too_costly()]


async def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def _chunks(items: Sequence[_Item], code_points: Callable[[_Item], int]) -> list[list[_Item]]:
    """Split what is to be done so that one request takes no longer than its time-out allows for."""
    chunks: list[list[_Item]] = []
    size = 0
    for item in items:
        length = code_points(item)
        if not chunks or size + length > CODE_POINTS_MAX or len(chunks[-1]) >= TEXTS_MAX:
            chunks.append([])
            size = 0
        chunks[-1].append(item)
        size += length
    return chunks


def _load_all(sources: Sequence[str], images: Reply) -> list[CompiledRule]:
    rules: list[CompiledRule] = []
    for source, image in zip(sources, images, strict=True):
        if isinstance(image, list):
            raise InvalidRuleError(image)
        assert isinstance(image, RuleImage)
        rules.append(load_image(source, image))
    return rules
