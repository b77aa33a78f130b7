"""Fuzzing rules' texts: ``python -m tests.fuzz.sources [RUNS] [libFuzzer options]``.

Any exception but those that the language promises stops the run and leaves the input in a file.
"""

import json
import sys

import atheris

with atheris.instrument_imports(include=["domain.language"]):
    from domain.language import (
        FactContext,
        InvalidRuleError,
        RuleFault,
        check_rule,
        compile_rule,
        explain_rule,
        image_of,
        load_image,
        render_problem,
        restore_rule,
        to_json,
    )

from tests.unit.language.expressions import ARITHMETIC, COMPARISONS, FIELDS, FUNCTIONS, LITERALS, METHODS

FACT = FactContext("f1", "order.placed")
STATEMENTS = (
    "on a.b, c.*", "let x =", "when", "then", "else", "set a.b =", "add", "to b", "append", "emit e", "stop",
    "table first", "table unique", "table collect", "\n|", "|", "-", "..", "_", "&&", "||", "!", "?", ":", "(", ")",
    "[", "]", "{", "}", ",", ".", "${p}", "//", "\n", ".map(v,", ".all(v,", ".exists(v, w,", "cel.bind(v,", "has(",
)  # fmt: skip
OPERATORS = (*ARITHMETIC, *COMPARISONS)
WORDS = (*STATEMENTS, *OPERATORS, *FIELDS, *FUNCTIONS, *LITERALS, *(f".{method}" for method in METHODS))
FACTS = (
    {},
    {"a": 1, "b": 0, "c": {"d": "a", "e": 2.5, "xs": [1, 2]}, "xs": [1, "a", None], "s": "abc", "m": {"k": True}},
    {"a": True, "b": None, "c": [], "xs": {"k": 1}, "s": 2**63, "m": "k", "nothing": {"at": {"all": 1}}},
)


def came_of(rule, fact):
    """What a rule gives for a fact, or its fault."""
    try:
        return rule.evaluate(fact, FACT, {}), None
    except RuleFault as fault:
        return None, (fault.code, fault.message, fault.line, fault.column)


def one_input(data):
    """Compile one source and, where that goes, decide and explain facts."""
    provider = atheris.FuzzedDataProvider(data)
    if provider.ConsumeBool():
        source = provider.ConsumeUnicode(200)
    else:
        count = provider.ConsumeIntInRange(1, 24)
        source = " ".join(WORDS[provider.ConsumeIntInRange(0, len(WORDS) - 1)] for _ in range(count))
    try:
        rule = compile_rule(source)
    except InvalidRuleError as error:
        for problem in error.problems:
            render_problem(problem, source)
        return
    assert not any(problem.severity == "error" for problem in check_rule(source))
    restored, loaded = restore_rule(source, rule.stored), load_image(source, image_of(source))
    for fact in FACTS:
        status = explain_rule(source, fact, FACT).status
        came = came_of(rule, fact)
        assert repr(came) == repr(came_of(restored, fact)) == repr(came_of(loaded, fact)), (source, fact)
        outcome, fault = came
        if fault is not None:
            continue
        if outcome is None:
            assert status in {"false", "missing"}, (source, fact, status)
        else:
            json.dumps([to_json(value) for _, _, value in outcome.contributions], allow_nan=False)


if __name__ == "__main__":
    runs = sys.argv[1] if len(sys.argv) > 1 else "100000"
    # Inputs of any length from the first one on: short ones make no rule and no fact.
    lengths = ("-len_control=0", "-max_len=1024")
    atheris.Setup([sys.argv[0], f"-atheris_runs={runs}", *lengths, *sys.argv[2:]], one_input)
    atheris.Fuzz()
