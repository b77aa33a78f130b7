"""Explanations on the wire: their form, their words, and that they fit whatever room there is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from domain.decisions.explain import Explanation, explain_decision
from domain.decisions.fact import Fact
from domain.decisions.ruleset import BoundRule, Ruleset
from domain.language import compile_rule
from domain.language.limits import EXPLAINED_PARTS_MAX
from domain.rules.content import Priority
from streams.messages.explanations import (
    EXPLANATION_BYTES_MAX,
    MESSAGE_LENGTH_MAX,
    encode_explanation,
    explanation_body,
)
from worker.explanations import explanation_text
from worker.usecases.paging import PAGE_BYTES_MAX


def explanation(source: str, payload: dict[str, Any], rule_id: str = "r-1") -> Explanation:
    rule = BoundRule(rule_id, "some rule", 3, Priority.HIGH, compile_rule(source), b"", None, None)
    (found,) = explain_decision(Ruleset(1, [rule]), Fact(b"", "f", "t", 1, None, payload))
    return found


def body(source: str, payload: dict[str, Any], **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(encode_explanation(explanation(source, payload), **more))
    return found


def parts(tree: dict[str, Any]) -> int:
    return 1 + sum(parts(child) for child in tree.get("children", ()))


def test_an_explanation_has_the_rule_its_status_and_the_tree_twice() -> None:
    assert body("when a > 1 then set x = 1", {"a": None}) == {
        "ruleId": "r-1",
        "name": "some rule",
        "version": 3,
        "priority": "HIGH",
        "status": "not applied",
        "reason": "missing: a > 1",
        "tree": {
            "text": "a > 1",
            "line": 1,
            "column": 8,
            "status": "missing",
            "children": [{"text": "a", "line": 1, "column": 6, "status": "value", "value": None}],
        },
        "text": "a > 1: missing\n  a: null",
    }


def test_a_rule_that_was_given_as_text_has_no_name() -> None:
    found = json.loads(encode_explanation(explanation("a == 1", {"a": 1}, rule_id="")))
    assert sorted(found) == ["status", "text", "tree"]


@pytest.mark.parametrize(
    ("source", "payload", "status", "reason"),
    [
        ("when a then set x = 1", {"a": True}, "then", None),
        ("when a then set x = 1 else set x = 2", {"a": False}, "else", None),
        ("when a then set x = 1", {"a": False}, "not applied", "the condition is false"),
        ("when b && a.b.c == 1 then set x = 1", {"a": {}, "b": True}, "not applied", "missing: a.b.c"),
        ("when a == 1 || b then set x = 1", {"a": 2}, "not applied", "missing: b"),
        ("table first\n| a | set x |\n| 1 | 1 |", {"a": 2}, "not applied", "no row matches"),
        ("when 1 / a > 1 then set x = 1", {"a": 0}, "fault", "line 1, column 8: division by zero"),
    ],
)
def test_the_reason_is_told_in_words(source: str, payload: dict[str, Any], status: str, reason: str | None) -> None:
    found = body(source, payload)
    assert (found["status"], found.get("reason")) == (status, reason)


def test_a_fault_is_told_as_in_the_decision() -> None:
    found = body("then set x = 1 / a", {"a": 0})
    fault = {"ruleId": "r-1", "code": "division-by-zero", "message": "division by zero", "line": 1, "column": 16}
    assert (found["status"], found["faults"]) == ("fault", [fault])


def test_the_largest_rule_on_the_largest_fact_fits_a_page() -> None:
    """Two thousand parts, each with a value as long as is shown, of characters that JSON needs six bytes for."""
    source = " && ".join(f"text.contains('{'x' * 90}{n}') == false" for n in range(1_000))
    found = explanation(source, {"text": "\x01" * 5_000})
    data = encode_explanation(found)
    assert len(data) <= EXPLANATION_BYTES_MAX <= PAGE_BYTES_MAX
    tree = json.loads(data)["tree"]
    assert tree["status"] == "true"
    assert 1 < parts(tree) < EXPLAINED_PARTS_MAX


@pytest.mark.parametrize("bytes_max", [50_000, 5_000, 1_000])
def test_what_does_not_fit_is_left_out_from_the_inside_and_counted(bytes_max: int) -> None:
    found = explanation(" && ".join(f"a > {n}" for n in range(500)), {"a": 1_000})
    whole = json.loads(encode_explanation(found))
    data = encode_explanation(found, bytes_max)
    cut = json.loads(data)
    assert len(data) <= bytes_max
    assert (parts(whole["tree"]), "omitted" in whole["text"]) == (1_001, False)
    assert cut["tree"]["omitted"] + len(cut["tree"].get("children", ())) == 500
    assert cut["text"].endswith(f"… {cut['tree']['omitted']} more parts")
    assert cut["status"] == whole["status"]


def test_a_long_message_of_a_fault_is_shortened() -> None:
    key = "k" * 2_000
    found = body(f"then set x = dyn({{'a': 1}})['{key}']", {})
    assert found["status"] == "fault"
    assert all(len(fault["message"]) <= MESSAGE_LENGTH_MAX for fault in found["faults"])


def test_the_text_for_people_has_no_control_characters() -> None:
    rule = explanation("when name != 'x' then set a = 1", {"name": "a\x1b[31m\x9b"})
    text = explanation_text(explanation_body(rule), "  ")
    assert all(character.isprintable() or character == "\n" for character in text)
    assert text.startswith("  some rule (version 3, HIGH): then\n    name != 'x': true\n      name: ")


@pytest.mark.parametrize(
    ("source", "payload", "head"),
    [
        (
            "table collect\n| a | set x |\n| 1 | 1 |\n| > 0 | 2 |",
            {"a": 1},
            "some rule (version 3, HIGH): then, rows 1, 2",
        ),
        ("table first\n| a | set x |\n| 1 | 1 |", {"a": 1}, "some rule (version 3, HIGH): then, row 1"),
        ("false", {}, "some rule (version 3, HIGH): not applied (the condition is false)"),
        ("on other then set x = 1", {}, "some rule (version 3, HIGH): not concerned (the rule is for other)"),
    ],
)
def test_the_first_line_tells_the_rule_and_how_it_stood(source: str, payload: dict[str, Any], head: str) -> None:
    rule = BoundRule("r-1", "some rule", 3, Priority.HIGH, compile_rule(source), b"", None, None)
    (found,) = explain_decision(Ruleset(1, [rule]), Fact(b"", "f", "t", 1, None, payload), ["r-1"])
    assert explanation_text(explanation_body(found)).split("\n")[0] == head


def test_a_fault_beside_a_branch_is_told_on_a_line_of_its_own() -> None:
    rules = [
        BoundRule(name, name, 1, Priority.HIGH, compile_rule(f"then add {term} to total"), b"", None, None)
        for name, term in (("a", "1"), ("b", 'money("1", "EUR")'))
    ]
    found = explain_decision(Ruleset(1, rules), Fact(b"", "f", "t", 1, None, {}))
    lines = explanation_text(explanation_body(found[1])).split("\n")
    assert lines[0] == "b (version 1, HIGH): then"
    assert lines[1].startswith("  fault: ")
