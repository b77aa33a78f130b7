"""Explanations on the wire: the items of the query ``explain`` and of ``rulestream eval --explain --json``."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from domain.decisions.decision import Fault
from domain.decisions.engine import FAULTS_MAX
from domain.decisions.explain import Explanation
from domain.language import Explained
from streams.messages.decisions import FaultBody
from streams.messages.fields import (
    Count,
    ExplanationStatus,
    Number,
    PartStatus,
    Place,
    PriorityText,
    RuleName,
    TableRows,
    Uuid,
)

EXPLANATION_BYTES_MAX: Final = 512 * 1024
MESSAGE_LENGTH_MAX: Final = 500

_ENCODER: Final = msgspec.json.Encoder()


class PartBody(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A part of a condition and what it came to.

    ``text`` is its source, shortened, ``line`` and ``column`` where it stands. ``status`` is one of ``true``,
    ``false``, ``value``, ``missing``, ``error`` and ``not evaluated``. ``value`` is there where the status is
    ``value``; a large one is shortened, or replaced by its type and size. ``detail`` is an error's text. ``omitted``
    counts the parts directly below that were left out because the tree is too large.
    """

    text: str
    line: Place
    column: Place
    status: PartStatus
    value: Any = msgspec.UNSET
    detail: str | None = None
    children: tuple[PartBody, ...] = ()
    omitted: Count = 0


class ExplanationBody(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """How one rule stood to one fact.

    ``status`` is one of ``then``, ``else`` (the branch that the rule took), ``not applied`` (its condition is missing,
    or false without an ``else``), ``fault``, ``stopped`` (by a rule of a higher priority class), ``not effective`` (the
    fact's time is outside the rule's dates) and ``not concerned`` (its ``on`` does not take the fact's type).
    ``reason`` says why a rule did not apply, in words. ``rows`` are a table's that matched, counted from 1. ``tree`` is
    the condition with every part's value, there for every rule that was considered, and ``text`` is the same for
    people. A rule that the sender gave as text has no ``ruleId``, ``name``, ``version`` and ``priority``.
    """

    rule_id: Uuid | None = None
    name: RuleName | None = None
    version: Number | None = None
    priority: PriorityText | None = None
    status: ExplanationStatus
    reason: str | None = None
    rows: TableRows | None = None
    faults: tuple[FaultBody, ...] = ()
    tree: PartBody | None = None
    text: str | None = None


def encode_explanation(explanation: Explanation, bytes_max: int = EXPLANATION_BYTES_MAX) -> bytes:
    """Write an explanation within so many bytes: the innermost parts of a tree that is larger are left out."""
    tree = explanation.tree()
    parts_max = 2 if tree is None else tree.size
    while True:
        data = _ENCODER.encode(_body(explanation, tree))
        if len(data) <= bytes_max or tree is None or parts_max == 1:
            return data
        parts_max //= 2
        tree = tree.within(parts_max)


def explanation_body(explanation: Explanation) -> ExplanationBody:
    """Put an explanation into the form of the wire."""
    return _body(explanation, explanation.tree())


def _body(explanation: Explanation, tree: Explained | None) -> ExplanationBody:
    rule = explanation.rule
    is_known = bool(rule.rule_id)
    return ExplanationBody(
        status=explanation.status,
        rule_id=rule.rule_id if is_known else None,
        name=rule.name if is_known else None,
        version=rule.version if is_known else None,
        priority=rule.priority.value if is_known else None,
        reason=explanation.reason or _reason(explanation, tree),
        rows=explanation.rows,
        faults=tuple(_fault_body(fault) for fault in explanation.faults[:FAULTS_MAX]),
        tree=None if tree is None else _part_body(tree),
        text=None if tree is None else tree.render(),
    )


def _reason(explanation: Explanation, tree: Explained | None) -> str | None:
    """Say why a rule that was considered did not apply."""
    if explanation.status == "fault":
        fault = explanation.faults[0]
        return f"line {fault.line}, column {fault.column}: {_cut(fault.message)}"
    if explanation.status != "not applied" or tree is None:
        return None
    if tree.text.startswith("table "):
        return "no row matches"
    return f"missing: {_missing_part(tree).text}" if tree.status == "missing" else "the condition is false"


def _missing_part(tree: Explained) -> Explained:
    """Return where the first thing missing began."""
    part = tree
    while below := next((child for child in part.children if child.status == "missing"), None):
        part = below
    return part


def _part_body(part: Explained) -> PartBody:
    return PartBody(
        text=part.text,
        line=part.line,
        column=part.column,
        status=part.status,
        value=part.value if part.status == "value" else msgspec.UNSET,
        detail=part.detail,
        children=tuple(_part_body(child) for child in part.children),
        omitted=part.omitted,
    )


def _fault_body(fault: Fault) -> FaultBody:
    return FaultBody(fault.rule_id, fault.code, _cut(fault.message), fault.line, fault.column)


def _cut(message: str) -> str:
    return message if len(message) <= MESSAGE_LENGTH_MAX else message[: MESSAGE_LENGTH_MAX - 1] + "…"
