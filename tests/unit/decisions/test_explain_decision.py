"""Explaining a decision: how every rule stood, and that it never says other than the engine."""

from __future__ import annotations

import gzip
import itertools
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import pytest

from domain.decisions.engine import decide
from domain.decisions.explain import Explanation, Status, explain_decision
from domain.decisions.fact import Fact
from domain.decisions.ruleset import BoundRule, Ruleset
from domain.errors import NotFoundError
from domain.language import compile_rule
from domain.rules.content import Priority
from tests.fakes.handmade import bound, outcome
from worker.files.facts import FileFact, read_facts
from worker.files.rules import offline_ruleset, read_rules

ROOT = Path(__file__).parents[3]
EXAMPLES = int(os.environ.get("RULESTREAM_FUZZ_EXAMPLES", "100"))
SECOND_NS = 1_000_000_000


def rule(
    name: str, source: str, priority: Priority = Priority.MEDIUM, from_s: int | None = None, until_s: int | None = None
) -> BoundRule:
    dates = (None if moment is None else moment * SECOND_NS for moment in (from_s, until_s))
    return BoundRule(f"id of {name}", name, 1, priority, compile_rule(source), name.encode(), *dates)


def fact(payload: dict[str, Any], fact_type: str = "order.placed", time_s: int | None = 100) -> Fact:
    return Fact(b"\x0f" * 16, "fact-1", fact_type, 1, None if time_s is None else time_s * SECOND_NS, payload)


def explained(rules: list[BoundRule], payload: dict[str, Any], **more: Any) -> dict[str, Explanation]:
    """Explain a decision, hold it against the engine's, and give it by rule name."""
    found = fact(payload, **more)
    ruleset = Ruleset(7, rules)
    require_agreement(ruleset, found)
    return {one.rule.name: one for one in explain_decision(ruleset, found)}


def require_agreement(ruleset: Ruleset, found: Fact) -> None:
    """Fail where an explanation and the decision differ in matches, branches, rows, faults, or what a tree says."""
    decision = decide(ruleset, found)
    explanations = explain_decision(ruleset, found)
    taken = [one for one in explanations if one.status in {"then", "else"}]
    assert [(one.rule.rule_id, one.status, one.rows) for one in taken] == [
        (match.rule_id, match.branch, match.rows) for match in decision.matches
    ]
    faults = list(itertools.chain.from_iterable(one.faults for one in explanations))
    assert len(faults) == decision.fault_count
    assert sorted(faults)[:100] == sorted(decision.faults)[:100]
    assert {one.rule.rule_id for one in explanations} == {one.rule_id for one in ruleset.plan(found.type).rules}
    for one in explanations:
        tree = one.tree()
        allowed = {
            "then": {"true"},
            "else": {"false"},
            "not applied": {"false", "missing"},
            "fault": {"true", "false", "error"},  # an action can fail too
        }
        if one.status in allowed:
            assert tree is not None
            assert tree.status in allowed[one.status], (one.rule.name, one.status, tree.render())
            assert one.reason is None
        else:
            assert tree is None
            assert one.reason


def test_every_rule_that_meets_the_fact_has_a_status() -> None:
    rules = [
        rule("then", "when total > 1 then set a = 1"),
        rule("else", "when total > 9 then set b = 1 else set b = 0"),
        rule("false", "when total > 9 then set c = 1"),
        rule("missing", "when nothing.here > 1 then set d = 1 else set d = 0"),
        rule("fault", "when 1 / (total - 5) > 0 then set e = 1"),
        rule("failing action", "then set f = 1 / (total - 5)"),
        rule("not yet", "then set g = 1", from_s=101),
        rule("no more", "then set h = 1", until_s=100),
        rule("other", "on order.paid then set i = 1"),
    ]
    found = explained(rules, {"total": 5})
    assert {name: one.status for name, one in found.items()} == {
        "then": "then",
        "else": "else",
        "false": "not applied",
        "missing": "not applied",
        "fault": "fault",
        "failing action": "fault",
        "not yet": "not effective",
        "no more": "not effective",
    }
    assert found["not yet"].reason == "the rule decides from 1970-01-01T00:01:41Z on"
    assert found["no more"].reason == "the rule decided until 1970-01-01T00:01:40Z"
    (fault,) = found["fault"].faults
    assert (fault.code, fault.line, fault.column) == ("division-by-zero", 1, 8)


def test_what_decided_comes_first_then_the_others_by_priority_and_name() -> None:
    rules = [
        rule("b", "true"),
        rule("a", "true"),
        rule("z", "1 / zero == 1", Priority.HIGH),
        rule("c", "false", Priority.CRITICAL),
        rule("d", "false"),
    ]
    assert list(explained(rules, {"zero": 0})) == ["z", "a", "b", "c", "d"]


def test_a_rule_that_is_asked_for_is_explained_whatever_its_on() -> None:
    rules = [rule("one", "true"), rule("other", "on order.paid then set a = 1"), rule("two", "true")]
    found = explain_decision(Ruleset(7, rules), fact({}), ["id of other", "id of two"])
    assert [(one.rule.name, one.status, one.reason) for one in found] == [
        ("two", "then", None),
        ("other", "not concerned", "the rule is for order.paid"),
    ]
    assert found[1].tree() is None


def test_a_rule_that_the_ruleset_does_not_have_is_said() -> None:
    with pytest.raises(NotFoundError, match="no such rule in the ruleset"):
        explain_decision(Ruleset(7, [rule("one", "true")]), fact({}), ["id of one", "id of two"])


def test_a_rule_that_was_stopped_tells_by_which() -> None:
    rules = [
        rule("blocked", "when account.blocked then set refused = true stop", Priority.HIGH),
        rule("neighbour", "then set a = 1", Priority.HIGH),
        rule("below", "then set b = 1", Priority.MEDIUM),
    ]
    found = explained(rules, {"account": {"blocked": True}})
    assert {name: one.status for name, one in found.items()} == {
        "blocked": "then",
        "neighbour": "then",
        "below": "stopped",
    }
    assert found["below"].reason == "the rule 'blocked' stopped the rules of a lower priority"


def test_a_rule_is_explained_with_the_decision_that_it_saw() -> None:
    rules = [
        rule("score", "then add amount to risk.score"),
        rule("more", "when amount > 10 then add 5 to risk.score", Priority.LOW),
        rule("review", "when decision.risk.score >= 20 then set review = true", Priority.CRITICAL),
        rule("calm", "when decision.review then set calm = false", Priority.CRITICAL),
    ]
    found = explained(rules, {"amount": 15})
    tree = found["review"].tree()
    assert tree is not None
    assert tree.render() == "decision.risk.score >= 20: true\n  decision.risk.score: 20"
    assert found["calm"].status == "then"


def test_what_a_rule_saw_is_merged_by_priority_not_in_the_order_of_considering() -> None:
    """The low rules come first, for the high one reads what one of them writes; its own write goes before theirs."""
    rules = [
        rule("low writer", "then set seen = true", Priority.LOW),
        rule("low rival", "then set place = 'low'", Priority.LOW),
        rule("high", "when decision.seen then set place = 'high'", Priority.HIGH),
        rule("reader", "when decision.place == 'high' then set done = true", Priority.LOW),
    ]
    found = explained(rules, {})
    tree = found["reader"].tree()
    assert tree is not None
    assert (found["reader"].status, tree.children[0].value) == ("then", "high")


def test_rules_on_a_cycle_see_what_was_set_before_them_and_no_more() -> None:
    rules = [
        rule("a", "when has(decision.b) then set a = 1 else set a = 0"),
        rule("b", "when has(decision.a) then set b = 1 else set b = 0"),
    ]
    found = explained(rules, {})
    assert {name: one.status for name, one in found.items()} == {"a": "else", "b": "then"}


def test_a_decision_that_is_given_stands_for_what_the_other_rules_set() -> None:
    review = rule("review", "when decision.risk.score >= 20 then set review = true")
    (seen,) = explain_decision(Ruleset(0, [review]), fact({}), decision={"risk": {"score": 30}})
    tree = seen.tree()
    assert tree is not None
    assert (seen.status, tree.children[0].value) == ("then", 30)
    (nothing,) = explain_decision(Ruleset(0, [review]), fact({}))
    assert nothing.status == "not applied"


def test_a_term_that_is_left_out_of_a_sum_is_a_fault_of_a_rule_that_took_its_branch() -> None:
    rules = [rule("a", "then add 1 to total"), rule("b", 'then add money("1", "EUR") to total')]
    found = explained(rules, {})
    assert found["b"].status == "then"
    assert [fault.code for fault in found["b"].faults]
    assert found["a"].faults == ()


def test_without_a_time_dates_are_ignored() -> None:
    assert explained([rule("later", "true", from_s=10**6)], {}, time_s=None)["later"].status == "then"


def test_a_value_that_has_no_json_form_is_a_fault_as_it_is_in_the_decision() -> None:
    ruleset = Ruleset(7, [bound("not a number", outcome(("set", "x", float("nan"))))])
    (one,) = explain_decision(ruleset, fact({}))
    assert (one.status, one.faults) == ("fault", decide(ruleset, fact({})).faults)
    assert [fault.code for fault in one.faults] == ["not-json"]


def test_a_table_tells_which_rows_matched() -> None:
    source = "table collect\n| total | set x |\n| > 1 | 1 |\n| > 9 | 2 |\n| > 2 | 3 |"
    found = explained([rule("table", source), rule("none", source.replace(">", "< -"))], {"total": 5})
    assert (found["table"].status, found["table"].rows) == ("then", [1, 3])
    assert (found["none"].status, found["none"].rows) == ("not applied", None)


@pytest.mark.parametrize("name", ["orders", "flights"])
def test_the_examples_are_explained_as_they_are_decided(name: str) -> None:
    """Every fact of the orders, and every hundredth of the flights."""
    folder = ROOT / "examples" / name
    path = next(folder.glob("facts.ndjson*"))
    assert path.suffix != ".gz" or gzip.decompress(path.read_bytes())
    ruleset = offline_ruleset(read_rules(folder / "rules"))
    step = 1 if name == "orders" else 100
    facts = [one for one in itertools.islice(read_facts(path), 0, None, step) if isinstance(one, FileFact)]
    assert facts
    for one in facts:
        require_agreement(ruleset, one.to_fact(path.name))


SOURCES = [
    "when a > 1 then set p.x = a stop",
    "when a > 2 then set p.y = a else set p.y = 0",
    "then set p.x = 'plain'",
    "then set p.x = b",
    "when decision.p.x == 'plain' then set t = 1 else set t = 2",
    "when decision.p.x != b then add a to q else add 1 to q",
    "when decision.q > 3 then append a to r stop",
    "when decision.p.y == 0 then add 1 / a to q",
    "when has(decision.r) then set p.x = 5 else set p.y = 7",
    "when a / b > 0 then append b to r",
    "then add b to q",
    "on order.* when !b then set s = decision.r.size()",
    "on order.paid then set t = 1",
    "table collect\n| a | decision.p.x | add q |\n| > 1 | - | 1 |\n| - | 'plain' | 2 |\n| 1 | - | a / b |",
    "table unique\n| a | set u |\n| > 1 | 1 |\n| > 2 | 2 |",
    "then emit ping {'a': a}",
]
COMPILED = [compile_rule(source) for source in SOURCES]
VALUES = [0, 1, 2, 3, 3, 2.5, None, True, "x"]


def some_ruleset(seeded: random.Random) -> Ruleset:
    """Make a ruleset of up to twelve rules that chain, stop, fail, have dates, or wait for each other."""
    return Ruleset(
        7,
        [
            BoundRule(
                f"id {number}",
                f"rule {number}",
                1,
                seeded.choice([Priority.HIGH, Priority.MEDIUM, Priority.LOW]),
                seeded.choice(COMPILED),
                bytes([number]),
                seeded.choice([None, None, None, 50 * SECOND_NS, 150 * SECOND_NS]),
                seeded.choice([None, None, None, 90 * SECOND_NS, 200 * SECOND_NS]),
            )
            for number in range(seeded.randint(1, 12))
        ],
    )


@pytest.mark.parametrize("seed", range(10))
def test_explanations_agree_with_the_engine_over_made_up_rulesets(seed: int) -> None:
    seeded = random.Random(seed)
    seen: Counter[str] = Counter()
    for _ in range(5 * EXAMPLES):
        ruleset = some_ruleset(seeded)
        payload = {name: seeded.choice(VALUES) for name in "ab" if seeded.random() < 0.9}
        found = fact(payload, seeded.choice(["order.placed", "order.paid", "other"]), seeded.choice([None, 100, 100]))
        require_agreement(ruleset, found)
        seen.update(one.status for one in explain_decision(ruleset, found))
    assert set(get_args(Status)) - seen.keys() == {"not concerned"}, "every end of a rule was among them"
