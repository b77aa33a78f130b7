"""The rule language: a rule's text in, problems or a compiled rule out. ``docs/language.md`` describes it."""

from __future__ import annotations

from domain.language.problems import InvalidRuleError, Problem, render_problem
from domain.language.rule import (
    AdditionError,
    CompiledRule,
    FactContext,
    MergeKind,
    Outcome,
    Path,
    RuleFault,
    Write,
    add_values,
    check_rule,
    compile_rule,
)
from domain.language.values import Timestamp, parse_timestamp, timestamp_from_ns, timestamp_to_text, to_json

__all__ = [
    "AdditionError",
    "CompiledRule",
    "FactContext",
    "InvalidRuleError",
    "MergeKind",
    "Outcome",
    "Path",
    "Problem",
    "RuleFault",
    "Timestamp",
    "Write",
    "add_values",
    "check_rule",
    "compile_rule",
    "parse_timestamp",
    "render_problem",
    "timestamp_from_ns",
    "timestamp_to_text",
    "to_json",
]
