"""Subjects against patterns, and what a worker lacks of what it needs."""

from __future__ import annotations

import pytest

from streams.denials import Denial
from streams.permissions import Granted, Permissions, Sides, covers, missing, overlap, requirements
from streams.topology import TopologySettings


@pytest.mark.parametrize(
    ("pattern", "subject", "is_covered"),
    [
        ("a.b", "a.b", True),
        ("a.*", "a.b", True),
        ("a.>", "a.b.c", True),
        (">", "a", True),
        ("a.>", "a.>", True),
        ("a.>", "a.*.c", True),
        ("a.*", "a.*", True),
        ("a.>", "a", False),
        ("a.*", "a.>", False),
        ("a.*", "a.b.c", False),
        ("a.b", "a.*", False),
        ("a.b.c", "a.b", False),
        ("a", "b", False),
    ],
)
def test_a_pattern_covers_what_it_stands_for(pattern: str, subject: str, *, is_covered: bool) -> None:
    assert covers(pattern, subject) is is_covered


@pytest.mark.parametrize(
    ("one", "other", "do_overlap"),
    [("a.>", "a.b", True), ("a.*", "*.b", True), ("a.b", "a.c", False), ("a", "a.b", False), (">", "x.y", True)],
)
def test_patterns_overlap_where_a_subject_is_of_both(one: str, other: str, *, do_overlap: bool) -> None:
    assert overlap(one, other) is do_overlap
    assert overlap(other, one) is do_overlap


def test_what_is_denied_is_not_granted_and_without_a_list_everything_is() -> None:
    assert Granted().covers("decisions.>")
    assert Granted(denied=("decisions.matched.>",)).covers("effects.>")
    assert not Granted(denied=("decisions.matched.>",)).covers("decisions.>")
    needed = Permissions(("decisions.>", "effects.>"), ("_INBOX.>",))
    assert missing(needed, Granted(("effects.>",)), Granted(("x",))) == [
        "publish to decisions.>",
        "subscribe to _INBOX.>",
    ]


def test_a_worker_needs_no_more_than_its_sides_do() -> None:
    settings = TopologySettings()
    only_facts = Sides(facts=True, commands=False, queries=False, relay=False)
    control = requirements("control", settings, sides=only_facts)
    assert "rules.query.*.*" not in control.subscribe
    assert not [one for one in control.publish if one.startswith("rules.")]
    assert "decisions.>" in requirements("data", settings, sides=only_facts).publish
    neither = Sides(facts=False, commands=True, queries=False, relay=False)
    assert "decisions.>" not in requirements("data", settings, sides=neither).publish


@pytest.mark.parametrize(
    ("said", "denial"),
    [
        ("'Permissions Violation for Publish to \"a.B\"'", Denial("publish", "a.B")),
        ("'Permissions Violation for Publish with Reply of \"_R_.x\"'", Denial("publish", "_R_.x")),
        ('\'Permissions Violation for Subscription to "a.>" using queue "q"\'', Denial("subscribe", "a.>")),
        ("'Stale Connection'", None),
    ],
)
def test_what_a_server_refuses_is_read_with_its_subject(said: str, denial: Denial | None) -> None:
    assert Denial.read(said) == denial
