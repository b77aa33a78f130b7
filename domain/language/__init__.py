"""The rule language: a rule's text in, problems or a compiled rule out. ``docs/language.md`` describes it."""

from __future__ import annotations

from domain.language.addition import add_values
from domain.language.assembly import Assembled, Condition, Evaluate, Given
from domain.language.demands import (
    EACH,
    EACH_MAX,
    EACH_TEXT_MAX,
    AllOf,
    AnyOf,
    Asked,
    Demand,
    PartKind,
    Step,
    TextParts,
    View,
    met_by,
)
from domain.language.explain import Explained, explain_compiled, explain_rule
from domain.language.expression import CompiledExpression, compile_expression
from domain.language.lints import TRIED_LINTED_FROM, SetLint, lint_rules, tried_lint
from domain.language.obstacles import Obstacle, is_wide, why_tried
from domain.language.outcome import (
    AdditionError,
    Contribution,
    FactAttributes,
    FactContext,
    MergeKind,
    Outcome,
    Path,
    RuleFault,
    Write,
)
from domain.language.problems import InvalidRuleError, Problem, render_problem
from domain.language.record import StoredPlan
from domain.language.rule import (
    CompiledRule,
    RuleImage,
    check_rule,
    compile_rule,
    image_of,
    load_image,
    restore_rule,
)
from domain.language.shared_tests import shared_test, unmet_items
from domain.language.stored import STORED_VERSION, StoredPlanError
from domain.language.templates import (
    PARAMETER_TYPES,
    ParameterError,
    check_filled,
    check_template,
    fill_template,
    is_parameter_name,
    literal_text,
    value_text,
)
from domain.language.values import Timestamp, ns_to_text, parse_timestamp, timestamp_from_ns, timestamp_to_text, to_json

__all__ = [
    "EACH",
    "EACH_MAX",
    "EACH_TEXT_MAX",
    "PARAMETER_TYPES",
    "STORED_VERSION",
    "TRIED_LINTED_FROM",
    "AdditionError",
    "AllOf",
    "AnyOf",
    "Asked",
    "Assembled",
    "CompiledExpression",
    "CompiledRule",
    "Condition",
    "Contribution",
    "Demand",
    "Evaluate",
    "Explained",
    "FactAttributes",
    "FactContext",
    "Given",
    "InvalidRuleError",
    "MergeKind",
    "Obstacle",
    "Outcome",
    "ParameterError",
    "PartKind",
    "Path",
    "Problem",
    "RuleFault",
    "RuleImage",
    "SetLint",
    "Step",
    "StoredPlan",
    "StoredPlanError",
    "TextParts",
    "Timestamp",
    "View",
    "Write",
    "add_values",
    "check_filled",
    "check_rule",
    "check_template",
    "compile_expression",
    "compile_rule",
    "explain_compiled",
    "explain_rule",
    "fill_template",
    "image_of",
    "is_parameter_name",
    "is_wide",
    "lint_rules",
    "literal_text",
    "load_image",
    "met_by",
    "ns_to_text",
    "parse_timestamp",
    "render_problem",
    "restore_rule",
    "shared_test",
    "timestamp_from_ns",
    "timestamp_to_text",
    "to_json",
    "tried_lint",
    "unmet_items",
    "value_text",
    "why_tried",
]
