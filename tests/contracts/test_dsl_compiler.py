"""DslCompiler: rules and problems, whatever a text makes of the compiler."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.errors import UnavailableError
from domain.language import (
    FactContext,
    InvalidRuleError,
    Problem,
    check_filled,
    check_rule,
    check_template,
    compile_rule,
)
from domain.ports import DslCompiler
from tests.fakes.compiler import FakeDslCompiler
from worker.compiler import process as process_module
from worker.compiler.child import ADDRESS_SPACE_BYTES_MAX, answer
from worker.compiler.frames import Check, CheckTemplate, Compile, Fill, Reply
from worker.compiler.process import CODE_POINTS_MAX, TEXTS_MAX, CompilerProcess

FACT = FactContext("f1", "order.placed")
GOOD = "when a == 1\nthen set b = 2"
WARNED = 'when "a" == "a"\nthen set b = 2'
WRONG = "when x = 1\nthen set"


@pytest.fixture
async def process() -> AsyncIterator[CompilerProcess]:
    made = CompilerProcess()
    yield made
    await made.stop()


@pytest.fixture(params=["fake", "process"])
def compiler(request: pytest.FixtureRequest, process: CompilerProcess) -> DslCompiler:
    """Give the fake, then the real thing."""
    return FakeDslCompiler() if request.param == "fake" else process


async def test_a_text_that_is_a_rule_passes(compiler: DslCompiler) -> None:
    await compiler.check(GOOD)
    assert await compiler.problems(GOOD) == []


async def test_a_text_that_is_no_rule_is_refused_with_every_problem(compiler: DslCompiler) -> None:
    assert await compiler.problems(WRONG) == check_rule(WRONG)
    with pytest.raises(InvalidRuleError) as refused:
        await compiler.check(WRONG)
    assert list(refused.value.problems) == check_rule(WRONG)


async def test_nothing_is_no_rule(compiler: DslCompiler) -> None:
    with pytest.raises(InvalidRuleError) as refused:
        await compiler.compile([""])
    assert list(refused.value.problems) == check_rule("")


async def test_a_warning_is_a_problem_and_refuses_nothing(compiler: DslCompiler) -> None:
    (warning,) = await compiler.problems(WARNED)
    assert warning == check_rule(WARNED)[0]
    assert warning.severity == "warning"
    await compiler.check(WARNED)


async def test_texts_become_rules_in_their_order(compiler: DslCompiler) -> None:
    sources = [f"when a == {number}\nthen set b = {number}" for number in range(2 * TEXTS_MAX + 1)]
    rules = await compiler.compile(sources)
    assert [rule.source for rule in rules] == sources
    for number, rule in enumerate(rules):
        assert rule.evaluate({"a": number}, FACT, {}) == compile_rule(sources[number]).evaluate({"a": number}, FACT, {})


async def test_no_texts_become_no_rules(compiler: DslCompiler) -> None:
    assert await compiler.compile([]) == []


async def test_the_first_text_that_is_no_rule_is_told(compiler: DslCompiler) -> None:
    with pytest.raises(InvalidRuleError) as refused:
        await compiler.compile([GOOD, WRONG, "when y = 2"])
    assert list(refused.value.problems) == check_rule(WRONG)


async def test_several_who_ask_at_once_each_get_their_own_answer(compiler: DslCompiler) -> None:
    texts = [f"when a{number} = 1" for number in range(20)]
    found = await asyncio.gather(*(compiler.problems(text) for text in texts))
    assert found == [check_rule(text) for text in texts]


TEMPLATE = "when a == ${p}\nthen set b = ${q}"
TYPES = {"p": "string", "q": "int"}


class TestTemplates:
    async def test_a_text_that_is_a_template_passes(self, compiler: DslCompiler) -> None:
        await compiler.check_template(TEMPLATE, TYPES)
        await compiler.check_template(TEMPLATE, TYPES, {"p": '"x"', "q": "1"})
        await compiler.check_template(TEMPLATE, {**TYPES, "unused": "int"})

    async def test_a_text_that_is_no_template_is_refused_with_every_problem(self, compiler: DslCompiler) -> None:
        wrong = 'when a == "${p}" && ${other}\nthen set b = nope(${q})'
        with pytest.raises(InvalidRuleError) as refused:
            await compiler.check_template(wrong, TYPES, {"p": '"x"', "q": "1"})
        assert list(refused.value.problems) == check_template(wrong, TYPES)
        found = {problem.code for problem in refused.value.problems}
        assert found == {"quoted-parameter", "unknown-parameter", "unknown-function"}

    async def test_a_template_that_is_no_rule_with_its_defaults_is_refused(self, compiler: DslCompiler) -> None:
        source = "when a.matches(${p}) then set b = 1"
        await compiler.check_template(source, {"p": "string"})
        with pytest.raises(InvalidRuleError) as refused:
            await compiler.check_template(source, {"p": "string"}, {"p": '"("'})
        assert list(refused.value.problems) == check_filled(source, {"p": '"("'})[1]

    async def test_each_row_becomes_a_rule_or_its_problems(self, compiler: DslCompiler) -> None:
        source = "when a.matches(${p}) then set b = 1"
        rows = [{"p": f'"{number}"'} for number in range(TEXTS_MAX + 5)]
        rows[2] = {"p": '"("'}
        found = await compiler.fill(source, rows)
        assert found[2] == check_filled(source, rows[2])[1]
        good = [number for number in range(len(rows)) if number != 2]
        assert [found[number] for number in good] == [f'when a.matches("{number}") then set b = 1' for number in good]
        assert await compiler.fill(source, []) == []


async def test_a_fake_that_is_away_says_so() -> None:
    fake = FakeDslCompiler()
    fake.is_away = True
    with pytest.raises(UnavailableError):
        await fake.check(GOOD)


# What only a process can meet


async def test_another_process_compiles(process: CompilerProcess) -> None:
    assert process.pid is None
    await process.start()
    assert process.pid not in {None, os.getpid()}
    before = process.pid
    await process.check(GOOD)
    assert process.pid == before


def limit_of(pid: int | None, what: str) -> list[str]:
    """Return a process's soft and hard limit, or nothing when there is no such process."""
    limits = Path(f"/proc/{pid}/limits")
    if not limits.exists():
        return []
    return next(line for line in limits.read_text().splitlines() if line.startswith(what)).split()[3:5]


async def test_the_process_ends_with_its_worker(process: CompilerProcess) -> None:
    await process.check(GOOD)
    pid = process.pid
    await process.stop()
    assert process.pid is None
    assert limit_of(pid, "Max address space") == []
    await process.stop()  # once is enough, and twice does no harm


async def test_a_process_that_died_is_replaced_and_nothing_is_lost(process: CompilerProcess) -> None:
    await process.check(GOOD)
    first = process.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert await process.problems(WRONG) == check_rule(WRONG)
    assert process.pid != first


async def test_a_text_that_takes_too_long_is_refused_and_the_next_one_is_not() -> None:
    late = CompilerProcess(timeout_s=0.0)
    with pytest.raises(InvalidRuleError) as refused:
        await late.check(GOOD)
    assert refused.value.problems[0].code == "too-costly"
    assert late.pid is None
    late._timeout_s = 30.0
    await late.check(GOOD)
    await late.stop()


async def test_a_text_that_kills_the_process_is_refused_and_those_beside_it_are_not(
    process: CompilerProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The process stands for one that a text makes die: it ends itself when it sees that text."""
    deadly = tmp_path / "deadly.py"
    deadly.write_text(
        "import os\n"
        "from worker.compiler import child\n"
        "image = child.image_of\n"
        "child.image_of = lambda source: os._exit(9) if 'deadly' in source else image(source)\n"
        "child.main()\n"
    )
    run_script(monkeypatch, deadly)
    rules = await process.compile([GOOD, "a == 1"])
    assert len(rules) == 2
    with pytest.raises(InvalidRuleError) as refused:
        await process.compile([GOOD, "deadly == 1", "a == 1"])
    assert refused.value.problems[0].code == "too-costly"
    assert len(await process.compile([GOOD, "a == 1"])) == 2


async def test_a_row_that_kills_the_process_is_refused_and_those_beside_it_are_not(
    process: CompilerProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deadly = tmp_path / "deadly.py"
    deadly.write_text(
        "import os\n"
        "from worker.compiler import child\n"
        "fill = child.check_filled\n"
        "child.check_filled = lambda source, row: os._exit(9) if 'deadly' in row['p'] else fill(source, row)\n"
        "child.main()\n"
    )
    run_script(monkeypatch, deadly)
    found = await process.fill("when a == ${p}", [{"p": '"x"'}, {"p": '"deadly"'}, {"p": '"y"'}])
    assert (found[0], found[2]) == ('when a == "x"', 'when a == "y"')
    (problem,) = found[1]
    assert isinstance(problem, Problem)
    assert problem.code == "too-costly"


def run_script(monkeypatch: pytest.MonkeyPatch, script: Path) -> None:
    """Have a script started in place of the compiler."""
    real = asyncio.create_subprocess_exec

    async def start(program: str, *_: str, **streams: int) -> asyncio.subprocess.Process:
        return await real(program, str(script), env={**os.environ, "PYTHONPATH": os.getcwd()}, **streams)  # noqa: PTH109

    monkeypatch.setattr(process_module.asyncio, "create_subprocess_exec", start)


async def test_a_cancelled_question_leaves_no_answer_for_the_next(process: CompilerProcess) -> None:
    await process.start()
    asking = asyncio.create_task(process.problems(" || ".join(f"a{n} == {n}" for n in range(5000))))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert await process.problems(WRONG) == check_rule(WRONG)


async def test_texts_that_wait_are_checked_together_and_each_has_its_own_answer(
    process: CompilerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first does not wait for others; those that come meanwhile go to the process by one request."""
    asked: list[int] = []
    ask = process._ask

    async def counted(request: Check) -> Reply:
        asked.append(len(request.sources))
        return await ask(request)

    monkeypatch.setattr(process, "_ask", counted)
    texts = [f"when unknown{number}(a) then set b = 1" for number in range(TEXTS_MAX + 10)]
    found = await asyncio.gather(*(process.problems(text) for text in texts))
    assert [[problem.message for problem in one] for one in found] == [
        [problem.message for problem in check_rule(text)] for text in texts
    ]
    assert asked == [1, TEXTS_MAX, 9]


async def test_who_waits_for_anothers_request_is_answered_though_that_is_cancelled(
    process: CompilerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    ask, is_stuck = process._ask, asyncio.Event()

    async def stuck_once(request: Check) -> Reply:
        asked.append(request.sources)
        if len(asked) == 2:
            is_stuck.set()
            await asyncio.Event().wait()
        return await ask(request)

    monkeypatch.setattr(process, "_ask", stuck_once)
    texts = ["true", "false", "when unknown(a)", "1 == 1"]
    tasks = [asyncio.create_task(process.problems(text)) for text in texts]
    await is_stuck.wait()
    tasks[1].cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(found[1], asyncio.CancelledError)
    assert [found[index] for index in (0, 2, 3)] == [list(check_rule(texts[index])) for index in (0, 2, 3)]
    assert asked == [texts[:1], texts[1:], texts[2:]]


async def test_where_no_process_can_be_started_the_compiler_is_away(
    process: CompilerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module.sys, "executable", "/nowhere/python")
    with pytest.raises(UnavailableError):
        await process.check(GOOD)


async def test_the_process_has_a_bound_on_its_memory(process: CompilerProcess) -> None:
    await process.start()
    await process.check(GOOD)
    assert limit_of(process.pid, "Max address space") == [str(ADDRESS_SPACE_BYTES_MAX)] * 2


def test_memory_that_runs_out_is_a_problem_of_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    def starved(*_: object) -> list[Problem]:
        raise MemoryError

    monkeypatch.setattr("worker.compiler.child.check_rule", starved)
    monkeypatch.setattr("worker.compiler.child.image_of", starved)
    monkeypatch.setattr("worker.compiler.child.check_template", starved)
    monkeypatch.setattr("worker.compiler.child.check_filled", starved)
    for request in (Check([GOOD]), Compile([GOOD]), CheckTemplate(GOOD, {}, None), Fill(GOOD, [{}])):
        ((problem,),) = answer(request)  # type: ignore[misc]  # one list of one problem
        assert problem.code == "too-costly"


def test_requests_are_bounded_by_number_and_by_length() -> None:
    chunks = process_module._chunks(["a" * (CODE_POINTS_MAX // 2)] * 3 + ["b"] * (TEXTS_MAX + 1), len)
    assert [len(chunk) for chunk in chunks] == [2, TEXTS_MAX, 2]
    assert [source for chunk in chunks for source in chunk] == ["a" * (CODE_POINTS_MAX // 2)] * 3 + ["b"] * (
        TEXTS_MAX + 1
    )
