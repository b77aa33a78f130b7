"""In which order rules are considered, and which cannot stand together."""

from __future__ import annotations

import random
from typing import Any

import pytest

from domain.decisions.order import evaluation_order, require_no_conflict, rules_read, touches
from domain.decisions.ruleset import BoundRule
from domain.errors import BusinessError
from domain.rules.content import Priority
from tests.fakes.handmade import bound, path

LOW, MEDIUM, HIGH = Priority.LOW, Priority.MEDIUM, Priority.HIGH


def order(*rules: BoundRule) -> list[str]:
    """Return the names in order, having tried every way the rules might come."""
    found = [rule.name for rule in evaluation_order(rules)]
    shuffled = list(rules)
    shuffler = random.Random(1)
    for _ in range(10):
        shuffler.shuffle(shuffled)
        assert [rule.name for rule in evaluation_order(shuffled)] == found
    return found


@pytest.mark.parametrize(
    ("left", "right", "meet"),
    [
        ("a", "a", True),
        ("a", "a.b", True),
        ("a.b.c", "a", True),
        ("", "a.b", True),
        ("a.b", "a.c", False),
        ("a", "ab", False),
        ("a.b", "b", False),
    ],
)
def test_paths_touch_when_equal_or_one_is_a_prefix_of_the_other(left: str, right: str, meet: bool) -> None:
    assert touches(path(left), path(right)) is meet


def test_what_is_free_to_go_goes_by_priority_then_name() -> None:
    rules = [bound("b"), bound("a", priority=LOW), bound("c", priority=HIGH), bound("a2")]
    assert order(*rules) == ["c", "a2", "b", "a"]


@pytest.mark.parametrize(
    ("read", "write", "waits"),
    [
        ("a", "a", True),
        ("a", "a.b", True),
        ("a.b", "a", True),
        ("", "x.y", True),
        ("a.b", "a.c", False),
    ],
)
def test_a_reader_comes_after_every_writer_of_a_path_that_touches(read: str, write: str, waits: bool) -> None:
    reader = bound("reader", priority=HIGH, reads=(read,))
    writer = bound("writer", priority=LOW, writes=(("set", write),))
    assert order(reader, writer) == (["writer", "reader"] if waits else ["reader", "writer"])


@pytest.mark.parametrize(
    ("read", "found"),
    [
        ("a.b", ["writes a", "writes a.c"]),
        ("x", ["writes x.y"]),
        ("z", []),
        ("", ["writes a", "writes a.c", "writes x.y"]),
    ],
)
def test_the_rules_read_are_those_that_write_below_a_name_that_is_read(read: str, found: list[str]) -> None:
    rules = [bound(f"writes {each}", writes=(("set", each),)) for each in ("a", "a.c", "x.y")]
    assert [rule.name for rule in rules_read([*rules, bound("reader", reads=(read,)), bound("idle")])] == found


def test_nothing_is_read_where_no_rule_reads() -> None:
    assert rules_read([bound("writer", writes=(("set", "a"),))]) == []


def test_a_reader_need_not_wait_for_a_writer_that_it_never_meets() -> None:
    reader = bound("reader", priority=HIGH, reads=("a",), on=("order.*",))
    writer = bound("writer", priority=LOW, writes=(("set", "a"),), on=("flight.>",))
    assert order(reader, writer) == ["reader", "writer"]


def test_a_rule_that_may_stop_comes_before_every_rule_of_a_lower_class_even_when_it_waits_itself() -> None:
    rules = [
        bound("stop", priority=MEDIUM, may_stop=True, reads=("x",)),
        bound("writer", priority=MEDIUM, writes=(("set", "x"),)),
        bound("low", priority=LOW),
        bound("high", priority=HIGH, reads=("x",)),
    ]
    assert order(*rules) == ["writer", "high", "stop", "low"]


def test_rules_on_a_cycle_go_last_by_priority_and_name() -> None:
    rules = [
        bound("one", priority=HIGH, reads=("b",), writes=(("set", "a"),)),
        bound("two", priority=HIGH, reads=("a",), writes=(("set", "b"),)),
        bound("free", priority=LOW),
    ]
    assert order(*rules) == ["free", "one", "two"]


SET_A = (("set", "a"),)
# the newcomer's writes, the other's writes, and the reason why they do not go together (None: they do)
CONFLICTS: list[tuple[Any, Any, str | None]] = [
    (SET_A, SET_A, None),
    ((("add", "a"),), (("add", "a"),), None),
    ((("append", "a"),), (("append", "a"),), None),
    (SET_A, (("add", "a"),), "mix set and add"),
    ((("append", "a"),), SET_A, "mix append and set"),
    ((("append", "a"),), (("add", "a"),), "mix append and add"),
    (SET_A, (("set", "a.b"),), "write a path and one below it"),
    ((("set", "a.b"),), (("append", "a"),), "write a path and one below it"),
    (SET_A, (("set", "ab"),), None),
    ((("set", "a.b"),), (("add", "a.c"),), None),
    ((), SET_A, None),
]


@pytest.mark.parametrize(("mine", "theirs", "reason"), CONFLICTS)
def test_writes_that_do_not_go_together_are_refused_with_rules_path_and_reason(
    mine: Any, theirs: Any, reason: str | None
) -> None:
    newcomer, other = bound("new", writes=mine), bound("old", writes=theirs)
    if reason is None:
        require_no_conflict(newcomer, [other])
        return
    with pytest.raises(BusinessError, match="path-conflict") as refused:
        require_no_conflict(newcomer, [other])
    (conflict,) = refused.value.details["conflicts"]
    assert conflict == {"rule": "new", "other": "old", "path": mine[0][1], "reason": reason}


@pytest.mark.parametrize(
    ("mine", "theirs", "meet"),
    [(("a.*",), ("a.b",), True), (("a.*",), ("b.>",), False), ((), ("b",), True), (("a", "b"), ("c", "b"), True)],
)
def test_writes_conflict_only_between_rules_that_can_meet(
    mine: tuple[str, ...], theirs: tuple[str, ...], meet: bool
) -> None:
    newcomer, other = bound("new", writes=SET_A, on=mine), bound("old", writes=(("add", "a"),), on=theirs)
    if not meet:
        require_no_conflict(newcomer, [other])
        return
    with pytest.raises(BusinessError, match="path-conflict"):
        require_no_conflict(newcomer, [other])


def test_a_rule_that_conflicts_with_itself_is_refused() -> None:
    with pytest.raises(BusinessError, match="'new' and 'new' mix set and add at a"):
        require_no_conflict(bound("new", writes=(("set", "a"), ("add", "a"))), [])


def test_setting_a_path_in_both_branches_is_no_conflict() -> None:
    require_no_conflict(bound("new", writes=(("set", "a"), ("set", "a"))), [])


def test_an_earlier_version_of_the_rule_itself_is_no_company() -> None:
    old = bound("old name", writes=(("add", "a"),), rule_id="1")
    require_no_conflict(bound("new name", writes=SET_A, rule_id="1"), [old])


def test_at_most_twenty_conflicts_are_told() -> None:
    others = [bound(f"old {number}", writes=(("add", "a"),)) for number in range(30)]
    with pytest.raises(BusinessError) as refused:
        require_no_conflict(bound("new", writes=SET_A), others)
    assert len(refused.value.details["conflicts"]) == 20


def test_reading_what_one_writes_is_a_cycle() -> None:
    with pytest.raises(BusinessError, match="cycle: new") as refused:
        require_no_conflict(bound("new", reads=("a.b",), writes=SET_A), [])
    assert refused.value.details["rules"] == ["new"]


def test_a_cycle_over_several_rules_is_refused_and_the_rules_on_it_are_named_and_no_others() -> None:
    company = [
        bound("two", reads=("a",), writes=(("set", "b"),)),
        bound("three", reads=("b",), writes=(("set", "c"),)),
        bound("downstream", reads=("b",), writes=(("set", "d"),)),
        bound("upstream", writes=(("set", "c.x"),), on=("other",)),
        bound("aside", writes=(("set", "e"),)),
    ]
    with pytest.raises(BusinessError, match="cycle") as refused:
        require_no_conflict(bound("one", reads=("c",), writes=SET_A, on=("order.placed",)), company)
    assert sorted(refused.value.details["rules"]) == ["one", "three", "two"]


def test_a_chain_that_does_not_close_is_allowed() -> None:
    company = [bound("two", reads=("a",), writes=(("set", "b"),)), bound("three", reads=("b",))]
    require_no_conflict(bound("one", writes=SET_A), company)


def test_a_circle_of_rules_that_never_meet_is_no_cycle() -> None:
    other = bound("two", reads=("a",), writes=(("set", "b"),), on=("flight.>",))
    require_no_conflict(bound("one", reads=("b",), writes=SET_A, on=("order.>",)), [other])


def test_a_stop_that_waits_for_a_lower_class_is_a_cycle() -> None:
    low = bound("low", priority=LOW, writes=SET_A)
    with pytest.raises(BusinessError, match="cycle"):
        require_no_conflict(bound("stop", priority=HIGH, reads=("a",), may_stop=True), [low])
