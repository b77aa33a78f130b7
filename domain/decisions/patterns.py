"""Fact types against the patterns of a rule's ``on``: NATS wildcards, ``*`` for one token and ``>`` for the rest."""

from __future__ import annotations

from collections.abc import Sequence


def matches(pattern: str, fact_type: str) -> bool:
    """Say whether a fact type falls under a pattern."""
    if pattern == fact_type:
        return True
    wanted = pattern.split(".")
    tokens = fact_type.split(".")
    for index, expected in enumerate(wanted):
        if expected == ">":
            return len(tokens) > index
        if index >= len(tokens) or expected not in ("*", tokens[index]):
            return False
    return len(wanted) == len(tokens)


def can_meet(left: Sequence[str], right: Sequence[str]) -> bool:
    """Say whether one fact can fall under both lists of patterns; an empty list takes every fact."""
    if not left or not right:
        return True
    return any(_overlap(one.split("."), other.split(".")) for one in left for other in right)


def _overlap(left: list[str], right: list[str]) -> bool:
    for index in range(max(len(left), len(right))):
        one = left[index] if index < len(left) else None
        other = right[index] if index < len(right) else None
        if one is None or other is None:
            return False
        if one == ">" or other == ">":
            return True
        if one not in (other, "*") and other != "*":
            return False
    return True
