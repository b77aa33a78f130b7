"""The shop's rules against decisions worked out by hand."""

from __future__ import annotations

import json

import pytest

from domain.language import check_rule


@pytest.fixture(scope="module")
def expected(orders) -> list[dict]:
    return [json.loads(line) for line in (orders.folder / "expected.ndjson").read_text(encoding="utf-8").splitlines()]


def test_there_is_one_expectation_for_each_order_in_order(orders, expected):
    assert [fact["id"] for fact in orders.facts] == [each["factId"] for each in expected]
    assert len(orders.facts) == 12


def test_every_rule_compiles(orders):
    assert len(orders.rules) == 8
    assert {rule.name: check_rule(rule.dsl_content) for rule in orders.rules} == {
        rule.name: [] for rule in orders.rules
    }


def test_a_bare_expression_is_a_whole_rule(orders):
    [bare] = [rule for rule in orders.rules if rule.name == "vip-customer"]

    assert bare.dsl_content == 'customer.tier == "VIP"\n'


def test_every_decision_is_the_one_worked_out_by_hand(orders, expected):
    for decision, wanted in zip(orders.decisions(), expected, strict=True):
        seen = {
            "factId": wanted["factId"],
            "outcome": decision["outcome"],
            "output": decision["output"],
            "matches": [
                {key: match[key] for key in match if key in {"name", "branch", "rows"}} for match in decision["matches"]
            ],
            "effects": decision["effects"],
        }
        assert json.dumps(seen, sort_keys=True) == json.dumps(wanted, sort_keys=True)


def test_no_order_makes_a_rule_fail(orders):
    assert [fault for decision in orders.decisions() for fault in decision["faults"]] == []
