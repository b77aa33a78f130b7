"""The flight rules against the oracle: each fact's whole decision, as two witnesses see it."""

from __future__ import annotations

import ast
import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from domain.decisions.order import require_no_conflict
from domain.language import check_rule, compile_rule, lint_rules

ROOT = Path(__file__).parents[3]
RULE_FILES = sorted((ROOT / "examples" / "flights" / "rules").glob("*.rule"))
DIFFERENCES_SHOWN = 5


def canonical(value) -> str:
    """JSON text in which 1, 1.0 and true differ, and the order of keys does not matter."""
    return json.dumps(value, sort_keys=True)


def dsl_of(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    return text.split("+++\n", 2)[2] if text.startswith("+++\n") else text


@pytest.fixture(scope="module")
def decisions(flights):
    return flights.decisions()


@pytest.fixture(scope="module")
def expectations(flights, oracle):
    return [oracle.expected(fact) for fact in flights.facts]


def test_there_are_at_least_15_rules(flights):
    assert len(flights.rules) >= 15


@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.stem)
def test_a_rule_file_compiles_without_a_warning(path):
    assert check_rule(dsl_of(path)) == []
    assert compile_rule(dsl_of(path)).warnings == ()


def test_no_two_rules_share_a_name(flights):
    assert Counter(rule.name for rule in flights.rules).most_common(1)[0][1] == 1


def test_the_rules_can_all_be_active_together(flights):
    active = []
    for rule in flights.ruleset().rules:
        require_no_conflict(rule, active)
        active.append(rule)


def test_side_by_side_the_rules_give_one_warning_of_the_tie_that_the_readme_tells_of(flights):
    named = [(rule.name, rule.priority.rank, rule.dsl_content) for rule in flights.rules]
    found = [
        (lint.code, {lint.rule, lint.other}) for lint in lint_rules(named, [fact["data"] for fact in flights.facts])
    ]

    assert found == [("conflicting-set", {"early-arrival", "status-arrival"})]


def test_the_oracle_knows_the_same_rules_at_the_same_priorities(flights, oracle):
    assert {rule.name: str(rule.priority) for rule in flights.rules} == {
        each.name: each.priority for each in oracle.RULES
    }


def test_the_oracle_imports_nothing_of_the_project():
    tree = ast.parse((ROOT / "tests" / "oracle" / "flights.py").read_text(encoding="utf-8"))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }

    assert imported <= sys.stdlib_module_names


def test_every_decision_is_what_the_oracle_expects(flights, decisions, expectations):
    differences = [
        f"{fact['id']}:\n  decided  {canonical(seen)}\n  expected {canonical(wanted)}"
        for fact, decision, wanted in zip(flights.facts, decisions, expectations, strict=True)
        if canonical(seen := {key: decision[key] for key in wanted}) != canonical(wanted)
    ]

    assert not differences, f"{len(differences)} differ\n" + "\n".join(differences[:DIFFERENCES_SHOWN])


def test_no_fact_makes_a_rule_fail(decisions):
    assert [fault for decision in decisions for fault in decision["faults"]] == []


def test_every_rule_matches_some_facts_and_not_others_of_its_types(flights, oracle):
    """A rule that matched all or nothing would compare nothing; only those without a condition always match."""
    types = Counter(fact["type"] for fact in flights.facts)
    counted = oracle.counts(flights.facts)
    always = set()
    for rule in oracle.RULES:
        assert counted[rule.name] > 0, rule.name
        if counted[rule.name] == sum(types[each] for each in rule.fact_types):
            always.add(rule.name)

    assert always == {
        "cancellation-care",
        "cancellation-rebooking",
        "carrier-score-cancelled",
        "compensation-cancellation",
    }


def test_every_row_of_every_table_is_taken_by_some_flight(flights, expectations):
    taken = {}
    for match in (match for each in expectations for match in each["matches"] if "rows" in match):
        taken.setdefault(match["name"], set()).update(match["rows"])
    tables = {rule.name: rule.dsl_content for rule in flights.rules if "\ntable " in rule.dsl_content}

    assert len(tables) == 3
    assert taken == {
        name: set(range(1, sum(line.startswith("|") for line in dsl.splitlines()))) for name, dsl in tables.items()
    }


def test_a_table_that_collects_takes_several_rows_of_one_flight(decisions):
    rows = [match.get("rows") for each in decisions for match in each["matches"] if match["name"] == "weather-hazards"]

    assert [1, 3] in rows
    assert [2] in rows


def test_a_stop_leaves_out_rules_that_would_match(decisions, flights, oracle):
    """Some diverted flights left hours late: the meal and the VIP desk are not considered for them."""
    stopped = [
        (fact, decision) for fact, decision in zip(flights.facts, decisions, strict=True) if "diverted" in fact["data"]
    ]
    would_match = [
        rule.name
        for fact, _ in stopped
        for rule in oracle.RULES
        if not rule.is_reader and rule.priority != "CRITICAL" and oracle.applied(rule, fact)
    ]

    assert all([match["name"] for match in decision["matches"]] == ["diverted-flight"] for _, decision in stopped)
    assert {"meal-voucher", "VIP desk"} <= set(would_match)


def test_a_rule_that_reads_sees_the_sum_of_several_rules(decisions):
    """No rule alone adds as many points as risk-watch asks for."""
    watched = [each for each in decisions if each["output"].get("risk", {}).get("watch")]
    alone = max(
        match["output"]["risk"]["points"]
        for each in watched
        for match in each["matches"]
        if "points" in match["output"].get("risk", {})
    )

    assert watched
    assert alone < 4 <= min(each["output"]["risk"]["points"] for each in watched)


def test_a_fact_typically_matches_two_to_four_rules_and_seldom_has_an_effect(expectations):
    sizes = Counter(len(each["matches"]) for each in expectations)
    with_effects = sum(bool(each["effects"]) for each in expectations)

    assert sizes[2] + sizes[3] + sizes[4] > 0.7 * len(expectations)
    assert 0.03 < with_effects / len(expectations) < 0.08


def test_both_outcomes_occur(expectations):
    assert min(Counter(each["outcome"] for each in expectations).values()) > 1_000


def test_of_two_rules_of_one_priority_the_lower_name_sets_the_path(decisions):
    both = [
        decision
        for decision in decisions
        if {"early-arrival", "status-arrival"} <= {match["name"] for match in decision["matches"]}
    ]

    assert len(both) > 1_000
    assert all(decision["output"]["status"]["label"] == "early" for decision in both)


def test_the_readme_tells_the_rules_and_their_counts_as_they_are(flights, oracle):
    readme = (flights.folder / "README.md").read_text(encoding="utf-8")
    counted = oracle.counts(flights.facts)
    descriptions = {rule.name: rule.description for rule in flights.rules}
    rows = [
        f"| {rule.priority} | {rule.name} | {counted[rule.name]:,} | {descriptions[rule.name]}" for rule in oracle.RULES
    ]

    places = [readme.find(row) for row in rows]
    assert -1 not in places
    assert places == sorted(places)
    assert f"{len(flights.facts):,} real flights" in readme
