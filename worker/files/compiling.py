"""Compiling the rules of files: a large set ahead of being read, by as many processes as there are cores."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import msgspec

from domain.language import CompiledRule, InvalidRuleError, Problem, RuleImage, compile_rule, image_of, load_image
from worker.files.front_matter import plain_text, split_rule_text
from worker.files.lines import UnreadableError, line_batches

# Code points of all texts, below which they are compiled sooner than other processes have started.
AHEAD_MIN: Final = 800_000
_BATCH_CODE_POINTS: Final = 50_000

Found = CompiledRule | RuleImage | Sequence[Problem]


class RuleCompiler:
    """Compiles rules one by one; those that were compiled ahead are only loaded."""

    def __init__(self, processes: int | None = None) -> None:
        self._processes = os.cpu_count() or 1 if processes is None else processes
        self._ahead: dict[str, Found] = {}

    def compile_ahead(self, texts: Iterable[str]) -> None:
        """Compile texts here and in other processes, if that is sooner.

        Should one of those die, what is left is compiled when it is read.
        """
        waiting = list(dict.fromkeys(texts))
        if self._processes < 2 or sum(map(len, waiting)) < AHEAD_MIN:
            return
        pool = ProcessPoolExecutor(self._processes - 1, get_context("spawn"), initializer=_ignore_interrupts)
        try:
            batches = [(batch, pool.submit(_compile_all, batch)) for batch in _batches(waiting)]
            for batch, future in reversed(batches):  # the others begin at the other end
                found = [_compile_here(text) for text in batch] if future.cancel() else future.result()
                self._ahead.update(zip(batch, found, strict=True))
        except BrokenProcessPool:
            pass
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def compile(self, text: str) -> CompiledRule:
        """Return the rule of a text; raises InvalidRuleError with every problem found."""
        found = self._ahead.get(text)
        if found is None:
            return compile_rule(text)
        if isinstance(found, RuleImage):
            return load_image(text, found)
        if isinstance(found, CompiledRule):
            return found
        raise InvalidRuleError(found)


def texts_of_files(files: Iterable[Path], bytes_max: int) -> Iterator[str]:
    """Yield the DSL of rule files; nothing of those that cannot be read, which reading them as rules tells of."""
    for file in files:
        try:
            with file.open("rb") as stream:
                parts = split_rule_text(plain_text(stream.read(bytes_max + 1).decode()))
        except (OSError, UnicodeDecodeError):
            continue
        if parts is not None:
            yield parts.dsl


class _Line(msgspec.Struct):
    dslContent: str  # noqa: N815 - the field's name


def texts_of_lines(path: Path, bytes_max: int) -> Iterator[str]:
    """Yield the DSL of a file's lines; nothing of those that are no rules, nor of a file that can be read but once."""
    decoder = msgspec.json.Decoder(_Line)
    if not path.is_file():
        return
    try:
        for batch in line_batches(path, bytes_max):
            for _, data in batch:
                try:
                    yield decoder.decode(data or b"").dslContent
                except (msgspec.DecodeError, RecursionError):
                    continue
    except UnreadableError:
        return


def _batches(texts: Sequence[str]) -> list[list[str]]:
    batches: list[list[str]] = [[]]
    size = 0
    for text in texts:
        if size > _BATCH_CODE_POINTS:
            batches.append([])
            size = 0
        batches[-1].append(text)
        size += len(text)
    return batches


def _compile_all(texts: Sequence[str]) -> list[RuleImage | Sequence[Problem]]:
    return [_compile(text) for text in texts]


def _compile(text: str) -> RuleImage | Sequence[Problem]:
    try:
        return image_of(text)
    except InvalidRuleError as error:
        return error.problems


def _compile_here(text: str) -> CompiledRule | Sequence[Problem]:
    try:
        return compile_rule(text)
    except InvalidRuleError as error:
        return error.problems


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group: the parent decides when to end
