"""Every limit of the language, at its edge and one past it."""

import pytest

from domain.language import (
    FactContext,
    ParameterError,
    RuleFault,
    check_rule,
    compile_rule,
    explain_rule,
    fill_template,
    is_parameter_name,
    limits,
)
from domain.language.assembly import write
from domain.language.limits import (
    CODE_CHARACTERS_MAX,
    COMPARED_ITEMS_MAX,
    DECIMAL_DIGITS,
    DECIMAL_EXPONENT_MAX,
    DECIMAL_EXPONENT_MIN,
    EXPLAINED_DEPTH_MAX,
    EXPLAINED_PARTS_MAX,
    LETS_MAX,
    LIST_ITEMS_MAX,
    LITERAL_DIGITS_MAX,
    MACRO_NESTING_MAX,
    NESTING_MAX,
    OPERATORS_MAX,
    OUTPUT_ITEMS_MAX,
    PARAMETER_LIST_ITEMS_MAX,
    PARAMETER_NAME_LENGTH_MAX,
    PATTERN_CODE_POINTS_MAX,
    PATTERNS_MAX,
    PROBLEMS_MAX,
    SOURCE_CODE_POINTS_MAX,
    STATEMENTS_MAX,
    STEPS_MAX,
    STRING_CODE_POINTS_MAX,
    TABLE_COLUMNS_MAX,
    TABLE_ROWS_MAX,
    TOKENS_MAX,
    UNMETERED_SEARCHES_MAX,
)
from domain.language.planning import plan_rule

FACT = FactContext("f1", "order.placed")


def _list_of_tokens(count):
    """A condition of so many words and signs: ``a in [`` and ``]`` are four, each element with its comma two."""
    elements = (count - 4 + 1) // 2
    spare = (count - 4 + 1) % 2  # a last comma
    return "a in [" + ",".join(["1"] * elements) + "," * spare + "]"


def _regexes(count):
    return "size([" + ",".join(f"a.matches('x{n}+')" for n in range(count)) + "]) == 1"


def _macros(depth):
    return "".join(f"a.exists(v{n}, " for n in range(depth)) + "true" + ")" * depth


def _statements(count):
    return "then " + " ".join(f"set a{n} = 1" for n in range(count - 1))


def _pattern(size):
    return f"a.matches('[ab]{'x' * (size - 4)}')"


def _table(columns, rows):
    head = "|" + "a |" * (columns - 1) + " set x |"
    return "\n".join(["table first", head, *["|" + "- |" * (columns - 1) + " 1 |"] * rows])


# For each limit of what is written: a rule's text at a size, the code of the problem past it.
WRITTEN = {
    "SOURCE_CODE_POINTS_MAX": (SOURCE_CODE_POINTS_MAX, lambda size: "a == '" + "x" * (size - 7) + "'", "too-long"),
    "TOKENS_MAX": (TOKENS_MAX, _list_of_tokens, "too-long"),
    "OPERATORS_MAX": (OPERATORS_MAX, lambda size: "[" + ",".join(["a + 1"] * size) + "] == b", "too-costly"),
    "NESTING_MAX": (NESTING_MAX, lambda size: "[" * (size - 1) + "a" + "]" * (size - 1) + " == b", "too-deep"),
    "STATEMENTS_MAX": (STATEMENTS_MAX, _statements, "too-long"),
    "LETS_MAX": (LETS_MAX, lambda size: " ".join(f"let x{n} = a" for n in range(size)) + " when x0", "too-long"),
    "TABLE_ROWS_MAX": (TABLE_ROWS_MAX, lambda size: _table(2, size), "too-long"),
    "TABLE_COLUMNS_MAX": (TABLE_COLUMNS_MAX, lambda size: _table(size, 1), "too-long"),
    "LITERAL_DIGITS_MAX": (LITERAL_DIGITS_MAX, lambda size: "a > 0." + "1" * (size - 2), "syntax"),
    "MACRO_NESTING_MAX": (MACRO_NESTING_MAX, _macros, "too-deep"),
    "PATTERN_CODE_POINTS_MAX": (PATTERN_CODE_POINTS_MAX, _pattern, "bad-constant"),
    "PATTERNS_MAX": (PATTERNS_MAX, _regexes, "too-costly"),
}  # fmt: skip


# For each limit of an evaluation: a rule, and its fact at a size.
RUNNING = {
    "STEPS_MAX": (STEPS_MAX - 1, "when a.all(x, true)", lambda size: {"a": [1] * size}),
    "STRING_CODE_POINTS_MAX": (STRING_CODE_POINTS_MAX, "when size(a + 'x') > 0", lambda size: {"a": "x" * (size - 1)}),
    "LIST_ITEMS_MAX": (LIST_ITEMS_MAX, "when size(a + [1]) > 0", lambda size: {"a": [1] * (size - 1)}),
    "COMPARED_ITEMS_MAX": (COMPARED_ITEMS_MAX, "when a == b", lambda size: {"a": [1.5] * size, "b": [1.5] * size}),
    "OUTPUT_ITEMS_MAX": (OUTPUT_ITEMS_MAX, "then set x = [a]", lambda size: {"a": [1] * (size - 1)}),
}
TESTED_BELOW = {
    "CODE_CHARACTERS_MAX", "PROBLEMS_MAX", "PARAMETER_LIST_ITEMS_MAX", "PARAMETER_NAME_LENGTH_MAX",
    "EXPLAINED_PARTS_MAX", "EXPLAINED_DEPTH_MAX", "REGEX_MEMORY_BYTES_MAX", "DECIMAL_DIGITS", "DECIMAL_EXPONENT_MAX",
    "DECIMAL_EXPONENT_MIN", "UNMETERED_SEARCHES_MAX",
}  # fmt: skip


def test_every_limit_is_tested():
    """A limit that is added to the module has to be tested here."""
    named = {name for name in vars(limits) if name.isupper()}
    assert named == set(WRITTEN) | set(RUNNING) | TESTED_BELOW


@pytest.mark.parametrize("name", WRITTEN)
def test_a_rule_at_a_limit_is_right(name):
    size, source, _ = WRITTEN[name]
    assert not [problem for problem in check_rule(source(size)) if problem.severity == "error"]


@pytest.mark.parametrize("name", WRITTEN)
def test_a_rule_past_a_limit_is_refused(name):
    size, source, code = WRITTEN[name]
    problems = [problem for problem in check_rule(source(size + 1)) if problem.severity == "error"]
    assert [problem.code for problem in problems] == [code]


def test_searches_in_macros_over_constants_take_steps_from_a_limit_on():
    """Each of 500 texts is looked for in a long string so often that one more time is a fault."""
    texts = ", ".join(f"'text{number}'" for number in range(500))
    times = UNMETERED_SEARCHES_MAX // (500 * 4)
    assert times * 500 * 4 == UNMETERED_SEARCHES_MAX
    for count, fails in ((times, False), (times + 1, True)):
        tests = " || ".join(f"f{number % 2}.contains(x)" for number in range(count))
        rule = compile_rule(f"let texts = [{texts}]\nwhen texts.exists(x, {tests})")
        fact = {"f0": "a" * 60_000, "f1": "b" * 60_000}
        if fails:
            with pytest.raises(RuleFault, match=str(STEPS_MAX)):
                rule.evaluate(fact, FACT, {})
        else:
            assert rule.evaluate(fact, FACT, {}) is None


@pytest.mark.parametrize("name", RUNNING)
def test_an_evaluation_at_a_limit_comes_to_an_end(name):
    size, source, fact = RUNNING[name]
    assert compile_rule(source).evaluate(fact(size), FACT, {}) is not None


@pytest.mark.parametrize("name", RUNNING)
def test_an_evaluation_past_a_limit_is_a_fault(name):
    size, source, fact = RUNNING[name]
    with pytest.raises(RuleFault) as caught:
        compile_rule(source).evaluate(fact(size + 1), FACT, {})
    assert caught.value.code in {"limit", "no-json-form"}


def test_a_rule_may_become_so_much_code_and_no_more(monkeypatch):
    source = "when a.exists(x, x > 1 && y)"
    plan, _ = plan_rule(source)
    emitter = write(plan).emitter
    monkeypatch.setattr("domain.language.text.CODE_CHARACTERS_MAX", emitter.written)
    assert check_rule(source) == []
    monkeypatch.setattr("domain.language.text.CODE_CHARACTERS_MAX", emitter.written - 1)
    (problem,) = check_rule(source)
    assert (problem.code, problem.hint) == ("too-costly", "split it into several rules")
    assert CODE_CHARACTERS_MAX > 1_000_000


def test_the_first_problems_are_told_and_no_more():
    for mistakes in (PROBLEMS_MAX, PROBLEMS_MAX + 1):
        problems = check_rule("[" + ",".join(f"f{n}(a)" for n in range(mistakes)) + "] == a")
        assert len(problems) == PROBLEMS_MAX


def test_a_templates_list_may_be_so_long_and_no_longer():
    template, types = "a in ${p}", {"p": "list<int>"}
    assert fill_template(template, types, {"p": [1] * PARAMETER_LIST_ITEMS_MAX})
    with pytest.raises(ParameterError):
        fill_template(template, types, {"p": [1] * (PARAMETER_LIST_ITEMS_MAX + 1)})


def test_a_parameters_name_may_be_so_long_and_no_longer():
    assert is_parameter_name("p" * PARAMETER_NAME_LENGTH_MAX)
    assert not is_parameter_name("p" * (PARAMETER_NAME_LENGTH_MAX + 1))


def test_an_explanation_shows_so_many_parts_and_so_many_levels():
    for count in (EXPLAINED_PARTS_MAX // 2 - 1, EXPLAINED_PARTS_MAX):
        tree = explain_rule(" || ".join(f"a{n} == {n}" for n in range(count)), {}, FACT)
        assert tree.size <= EXPLAINED_PARTS_MAX
    assert EXPLAINED_DEPTH_MAX >= NESTING_MAX


def test_a_pattern_may_take_so_much_memory_and_no_more():
    assert check_rule("a.matches('(x{0,20}){0,20}')") == []
    (problem,) = check_rule("a.matches('((x{0,30}){0,30}){0,30}')")
    assert problem.code == "bad-constant"


@pytest.mark.parametrize(
    ("good", "bad", "code"),
    [
        ("decimal('" + "1" * DECIMAL_DIGITS + "')", "decimal('" + "1" * (DECIMAL_DIGITS + 1) + "')", "inexact"),
        (f"decimal('1e{DECIMAL_EXPONENT_MAX}')", f"decimal('1e{DECIMAL_EXPONENT_MAX + 1}')", "overflow"),
        (
            f"decimal('1e{DECIMAL_EXPONENT_MIN - DECIMAL_DIGITS + 1}')",
            f"decimal('1e{DECIMAL_EXPONENT_MIN - DECIMAL_DIGITS}')",
            "inexact",
        ),
    ],
)
def test_a_decimal_is_a_decimal128(good, bad, code):
    assert compile_rule(f"then set x = {good}").evaluate({}, FACT, {}) is not None
    with pytest.raises(RuleFault) as caught:
        compile_rule(f"then set x = {bad}").evaluate({}, FACT, {})
    assert caught.value.code == code
