"""Coverage-guided fuzzing: ``python tests/unit/language/fuzz_language.py [RUNS] [libFuzzer options]``.

Needs atheris (not among the locked dependencies, as it has wheels for some versions of Python only). Any exception but
those that the language promises stops the run and leaves the input in a file.
"""

import json
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["domain.language"]):
    from domain.language import (
        FactContext,
        InvalidRuleError,
        RuleFault,
        check_rule,
        compile_rule,
        explain_rule,
        render_problem,
        to_json,
    )

sys.path.insert(0, str(Path(__file__).parent))
from expressions import ARITHMETIC, COMPARISONS, FIELDS, FUNCTIONS, LITERALS, METHODS

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
    for fact in FACTS:
        status = explain_rule(source, fact, FACT).status
        try:
            outcome = rule.evaluate(fact, FACT, {})
        except RuleFault:
            continue
        if outcome is None:
            assert status in {"false", "missing"}, (source, fact, status)
        else:
            json.dumps([to_json(value) for _, _, value in outcome.contributions], allow_nan=False)


if __name__ == "__main__":
    runs = sys.argv[1] if len(sys.argv) > 1 else "100000"
    atheris.Setup([sys.argv[0], f"-atheris_runs={runs}", *sys.argv[2:]], one_input)
    atheris.Fuzz()
