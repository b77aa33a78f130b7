"""What whole workers are measured with: a hundred rules of which five match, facts of 300 bytes, one effect in five."""

from __future__ import annotations

import statistics

import msgspec

from domain.decisions.decision import Decision
from domain.decisions.engine import decide
from domain.decisions.fact import Fact
from domain.decisions.ruleset import ActiveRule, BoundRule, Ruleset, bind
from domain.identifiers import RuleId
from domain.language import compile_rule
from domain.rules.content import Priority, RuleContent
from worker.bench import workload


def bound(number: int, text: str) -> BoundRule:
    name = f"rule {number:05}"
    content = RuleContent(name=name, dsl_content=text, priority=Priority.MEDIUM)
    rule = ActiveRule(RuleId.for_name(name), 1, content)
    return bind(rule, rule.digest, compile_rule(text))


def decisions(*, review: bool) -> list[Decision]:
    ruleset = Ruleset(1, [bound(number, text) for number, text in enumerate(workload.rules())])
    orders = [msgspec.json.decode(payload) for payload in workload.payloads(review=review)]
    return [decide(ruleset, Fact(bytes(16), "id", workload.FACT_TYPE, 1, 0, order)) for order in orders]


def test_five_of_a_hundred_rules_match_a_fact_without_faults() -> None:
    found = decisions(review=False)
    assert len(list(workload.rules())) == workload.RULES == 100
    assert abs(statistics.mean(len(one.matches) for one in found) - workload.MATCHES) < 0.25
    assert min(len(one.matches) for one in found) == 4
    assert not any(one.fault_count or one.effects for one in found)


def test_a_fact_that_asks_for_a_review_has_one_effect() -> None:
    found = decisions(review=True)
    assert [[effect.name for effect in one.effects] for one in found] == [[workload.EFFECT]] * len(found)


def test_each_rule_matches_some_fact_and_none_matches_most() -> None:
    found = decisions(review=True)
    names = [match.name for one in found for match in one.matches]
    shares = {name: names.count(name) / len(found) for name in sorted(set(names))}
    review = shares.pop("rule 00080")
    assert review == 1
    assert max(shares.values()) < 0.2
    assert len(shares) > 90


def test_a_fact_has_about_300_bytes() -> None:
    sizes = [len(payload) for payload in workload.payloads(review=False)]
    assert abs(statistics.mean(sizes) - 300) < 20


def test_rules_beyond_the_hundred_are_of_other_types_and_valid() -> None:
    found = list(workload.rules(250))
    assert found[:100] == list(workload.rules())
    assert {text.splitlines()[0] for text in found[100:]} == {"on order.kind1", "on order.kind2"}
    assert len({compile_rule(text).source for text in found}) == 250


def test_the_first_of_every_five_facts_has_an_effect_where_there_are_any() -> None:
    supply = workload.Facts("run")
    for count in (1, 5, 6, 11):
        wanted = [b'"review":true' in one.payload for one in supply.take(count, effects=True)]
        assert wanted == [place % 5 == 0 for place in range(count)]
        assert sum(wanted) == workload.effects_of(count)
    assert not any(b'"review":true' in one.payload for one in supply.take(11, effects=False))


def test_no_two_facts_share_an_id() -> None:
    supply, other = workload.Facts("run"), workload.Facts("other")
    heads = [one.head for source in (supply, supply, other) for one in source.take(1_200, effects=False)]
    assert len(set(heads)) == 3 * 1_200
