"""The page about the language: every example on it is true, and every function is on it."""

import inspect
import json
import re
from pathlib import Path
from typing import get_args

import pytest

from domain.decisions.explain import Status, explain_decision
from domain.decisions.fact import Fact
from domain.decisions.ruleset import BoundRule, Ruleset
from domain.language import (
    FactContext,
    check_rule,
    check_template,
    compile_expression,
    compile_rule,
    explain_rule,
    fill_template,
    limits,
    render_problem,
    to_json,
)
from domain.language.library.catalogue import FUNCTIONS, INTERNAL, MACROS, OPERATORS
from domain.language.tokens import KEYWORDS
from domain.rules.content import Priority
from streams.messages.explanations import explanation_body
from worker.explanations import explanation_text

PAGE = Path(__file__).parents[3] / "docs" / "language.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = [
    (kind, body, TEXT.count("\n", 0, match.start()) + 1)
    for match in re.finditer(r"^```(\w+)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    for kind, body in [match.groups()]
]
FACT = FactContext("f1", "order.placed")


def stories():
    """Each rule with each fact after it and what is said to come of it."""
    rule, fact, decision = "", {}, {}
    for kind, body, line in BLOCKS:
        match kind:
            case "rule":
                rule, decision = body, {}
            case "fact":
                fact = json.loads(body)
            case "decision":
                decision = json.loads(body)
            case "outcome" | "explanation":
                yield pytest.param(kind, rule, fact, decision, body, id=f"line {line}")


@pytest.mark.parametrize(("kind", "rule", "fact", "decision", "told"), list(stories()))
def test_a_rule_decides_what_the_page_tells(kind, rule, fact, decision, told):
    if kind == "explanation":
        assert explain_rule(rule, fact, FACT, decision).render() == told.rstrip("\n")
        return
    compiled = compile_rule(rule)
    assert compiled.warnings == ()
    outcome = compiled.evaluate(fact, FACT, decision)
    expected = json.loads(told)
    if outcome is None:
        assert expected is None
        return
    made = {
        "branch": outcome.branch,
        "output": [[str(kind), ".".join(path), to_json(value)] for kind, path, value in outcome.contributions],
    }
    if outcome.effects:
        made["effects"] = [[name, to_json(payload)] for name, payload in outcome.effects]
    if outcome.stop:
        made["stop"] = True
    if outcome.rows is not None:
        made["rows"] = outcome.rows
    assert made == expected


def decisions():
    """Each set of rules with the fact after it and what is told of the decision."""
    for index, (kind, body, line) in enumerate(BLOCKS):
        if kind == "rules":
            (fact_kind, fact, _), (told_kind, told, _) = BLOCKS[index + 1 : index + 3]
            assert (fact_kind, told_kind) == ("fact", "explained")
            yield pytest.param(body, json.loads(fact), told, id=f"line {line}")


@pytest.mark.parametrize(("rules", "payload", "told"), list(decisions()))
def test_a_decision_is_explained_as_the_page_tells(rules, payload, told):
    bound = []
    for name, source in (line.split(": ", 1) for line in rules.splitlines()):
        bound.append(BoundRule(name, name, 1, Priority.MEDIUM, compile_rule(source), name.encode(), None, None))
    fact = Fact(b"\x00" * 16, FACT.id, FACT.type, 1, None, payload)
    texts = [explanation_text(explanation_body(one)) for one in explain_decision(Ruleset(1, bound), fact)]
    assert "\n".join(texts) == told.rstrip("\n")


def test_every_status_and_the_bound_of_an_explanation_are_on_the_page():
    for status in get_args(Status):
        assert f"`{status}`" in TEXT
    assert f"the outermost {limits.EXPLAINED_PARTS_MAX:,} parts" in TEXT


def test_problems_are_printed_as_the_page_tells():
    shown = [body for kind, body, _ in BLOCKS if kind in {"wrong", "problems"}]
    assert len(shown) >= 4
    for source, told in zip(shown[::2], shown[1::2], strict=True):
        printed = "\n".join(render_problem(problem, source) for problem in check_rule(source))
        assert printed == told.rstrip("\n")


def test_a_template_is_filled_as_the_page_tells():
    (template, parameters, filled) = (body for kind, body, _ in BLOCKS if kind in {"template", "parameters", "filled"})
    types = {name: kind for name, (kind, _) in json.loads(parameters).items()}
    values = {name: value for name, (_, value) in json.loads(parameters).items()}
    assert check_template(template, types) == []
    assert fill_template(template, types, values) == filled


def expressions():
    for kind, body, start in BLOCKS:
        if kind == "cel":
            for number, line in enumerate(body.splitlines(), start + 1):
                source, _, told = line.rpartition(" // ")
                yield pytest.param(source, told, id=f"line {number}")


@pytest.mark.parametrize(("source", "told"), list(expressions()))
def test_an_expression_has_the_value_that_the_page_tells(source, told):
    value = to_json(compile_expression(source)())
    assert json.dumps(value) == json.dumps(json.loads(told))


def test_every_function_macro_and_statement_is_on_the_page():
    operators = {function.name for function in OPERATORS}
    for name in (set(FUNCTIONS) - operators - INTERNAL) | MACROS | KEYWORDS:
        assert re.search(rf"[`.\s]{re.escape(name)}[`(\s]", TEXT), name


def test_the_limits_on_the_page_are_the_limits():
    for limit in (
        limits.SOURCE_CODE_POINTS_MAX,
        limits.TOKENS_MAX,
        limits.NESTING_MAX,
        limits.MACRO_NESTING_MAX,
        limits.TABLE_ROWS_MAX,
        limits.STEPS_MAX,
        limits.STRING_CODE_POINTS_MAX,
        limits.LIST_ITEMS_MAX,
    ):
        assert re.search(rf"(?<![\d,]){limit:,}(?![\d,])", TEXT.partition("## Limits")[2])


def test_every_fault_and_warning_code_is_on_the_page():
    package = Path(inspect.getfile(limits)).parent
    text = "\n".join(path.read_text(encoding="utf-8") for path in package.rglob("*.py"))
    codes = set(re.findall(r"[^P]Fault\(\s*\"([a-z-]+)\"", text)) - {"error", "unbound"}
    codes |= set(re.findall(r"positions\.warning\(\s*\"([a-z-]+)\"", text))
    assert len(codes) > 15
    told = TEXT.partition("## Codes")[2]
    assert [code for code in sorted(codes) if f"`{code}`" not in told] == []
