"""Rules of files compiled ahead, in other processes: the same rules and problems, whatever becomes of the processes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import msgspec
import pytest

from domain.language import FactContext, InvalidRuleError, check_rule, compile_rule
from worker.files import compiling
from worker.files.compiling import RuleCompiler, texts_of_files, texts_of_lines

GOOD = [f"on a.b\nwhen a == {n} && 'x' == 'x'\nthen set b = {n}" for n in range(30)]
LARGE = " || ".join(f"x{n} == {n}" for n in range(900))
WRONG = "when x = 1\nthen set"
TEXTS = [*GOOD, LARGE, WRONG]
FACT = FactContext("f1", "a.b")


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> RuleCompiler:
    """Give a compiler for which a little is a lot."""
    monkeypatch.setattr(compiling, "AHEAD_MIN", 1)
    monkeypatch.setattr(compiling, "_BATCH_CODE_POINTS", 100)
    return RuleCompiler(processes=2)


def same_as_here(compiler: RuleCompiler) -> None:
    for text in [*GOOD, LARGE]:
        found, wanted = compiler.compile(text), compile_rule(text)
        assert (found.source, found.stored, found.warnings) == (text, wanted.stored, wanted.warnings)
        assert found.evaluate({"a": 3}, FACT, {}) == wanted.evaluate({"a": 3}, FACT, {})
    with pytest.raises(InvalidRuleError) as refused:
        compiler.compile(WRONG)
    assert list(refused.value.problems) == check_rule(WRONG)


def test_what_was_compiled_ahead_is_what_is_compiled_here(ahead: RuleCompiler, monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings and problems too; and nothing is parsed again."""
    ahead.compile_ahead(TEXTS * 2)
    same_as_here(ahead)
    monkeypatch.setattr("domain.language.rule.plan_rule", None)
    assert [ahead.compile(text).source for text in GOOD] == GOOD


@pytest.mark.parametrize(("processes", "least"), [(1, 1), (2, 1_000_000)], ids=["one core", "few texts"])
def test_a_little_is_compiled_here(monkeypatch: pytest.MonkeyPatch, processes: int, least: int) -> None:
    """Starting a process takes longer."""
    monkeypatch.setattr(compiling, "AHEAD_MIN", least)
    monkeypatch.setattr(compiling, "ProcessPoolExecutor", None)
    compiler = RuleCompiler(processes)
    compiler.compile_ahead(TEXTS)
    same_as_here(compiler)


class DyingPool(Executor):
    """Does the first thing and dies of the second."""

    def __init__(self, *_: object, **_by_name: object) -> None:
        self._is_alive = True

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **_: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        if self._is_alive:
            future.set_result(work(*arguments))
        else:
            future.set_exception(BrokenProcessPool())
        self._is_alive = False
        return future


def test_what_a_process_that_died_left_is_compiled_here(ahead: RuleCompiler, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the system is out of memory."""
    monkeypatch.setattr(compiling, "ProcessPoolExecutor", DyingPool)
    ahead.compile_ahead(TEXTS)
    same_as_here(ahead)


def test_the_texts_of_rule_files_that_can_be_read(tmp_path: Path) -> None:
    """What is no rule file is for reading it as one to tell."""
    texts = {"a": "a == 1\n", "b": '+++\nname = "x"\n+++\nb == 1\n', "c": "+++\nnever closed", "d": b"\xff", "e": None}
    files = [tmp_path / f"{name}.rule" for name in texts]
    for file, text in zip(files, texts.values(), strict=True):
        if text is not None:
            file.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert list(texts_of_files(files, 1_000)) == ["a == 1\n", "b == 1\n"]


def test_the_texts_of_lines_that_can_be_read(tmp_path: Path) -> None:
    """Likewise, and without taking from standard input, which is read but once."""
    lines = [
        msgspec.json.encode({"name": "one", "dslContent": "a == 1"}),
        b"",
        b"not JSON",
        b'{"name": "two"}',
        b'{"dslContent": 5}',
        b"[" * 100_000,
        msgspec.json.encode({"dslContent": "b == 1", "other": 1}),
    ]
    file = tmp_path / "rules.ndjson"
    file.write_bytes(b"\n".join(lines))
    assert list(texts_of_lines(file, 1_000_000)) == ["a == 1", "b == 1"]
    assert list(texts_of_lines(Path("-"), 1_000)) == []
    assert list(texts_of_lines(tmp_path / "nowhere", 1_000)) == []
