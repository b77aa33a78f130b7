"""JSON Schemas of fact types: paths and types are checked for rules on such a type, and only for them."""

import pytest

from domain.language import FactContext, InvalidRuleError, check_rule, compile_rule
from domain.language.schemas import type_of_schema

ORDER = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "customer": {
            "type": "object",
            "properties": {"tier": {"enum": ["VIP", "GOLD"]}, "since": {"type": ["string", "null"]}},
            "additionalProperties": False,
        },
        "order": {"$ref": "#/$defs/order"},
        "extra": {"type": "object"},
        "free": {},
    },
    "$defs": {
        "order": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "total": {"type": "number"},
                "count": {"type": "integer"},
                "paid": {"type": "boolean"},
                "items": {
                    "type": "array",
                    "items": {"properties": {"price": {"type": "number"}}, "additionalProperties": False},
                },
                "parent": {"$ref": "#/$defs/order"},
            },
        }
    },
}
SCHEMAS = {"order.placed": ORDER}


@pytest.mark.parametrize(
    ("condition", "code", "hint"),
    [
        ("custommer.tier == 'VIP'", "unknown-field", "did you mean `customer`?"),
        ("customer.teir == 'VIP'", "unknown-field", "did you mean `tier`?"),
        ("has(customer.teir)", "unknown-field", "did you mean `tier`?"),
        ("payload.order.totl > 1", "unknown-field", "did you mean `total`?"),
        ("order.items.exists(i, i.prize > 1)", "unknown-field", "did you mean `price`?"),
        ("order.items[0].prize > 1", "unknown-field", "did you mean `price`?"),
        ("order.parent.parent.totl > 1", "unknown-field", "did you mean `total`?"),
        ("let o = order when o.totl > 1", "unknown-field", "did you mean `total`?"),
        ("order.total > '100'", "no-overload", None),
        ("order.total.startsWith('1')", "no-overload", None),
        ("order.count", "not-a-bool", None),
        ("order.paid > 1", "no-overload", None),
        ("customer.tier + 1 == 2", "no-overload", "make a string of the number with `string(…)`"),
        ("customer > 1", "no-overload", None),
    ],
)
def test_what_a_schema_rules_out_is_refused(condition, code, hint):
    source = condition if condition.startswith("let") else f"when {condition}"
    (problem,) = check_rule(f"on order.placed {source}", SCHEMAS)
    assert (problem.code, problem.hint) == (code, hint)
    with pytest.raises(InvalidRuleError):
        compile_rule(f"on order.* {source}", SCHEMAS)
    # Without a schema, or on other facts, it may be right.
    assert check_rule(f"on order.placed {source}") == []
    assert check_rule(f"on refund.asked {source}", SCHEMAS) == []
    assert check_rule(source, SCHEMAS) == []


@pytest.mark.parametrize(
    "condition",
    [
        "customer.tier == 'VIP' && order.total > 100 && order.count % 2 == 0 && order.paid",
        "order.items.map(i, i.price * 2).sum() > 10.0",
        "customer.since.startsWith('2')",
        "extra.anything.at.all == 1 && free.x == 1 && free > 1",
        "has(customer.since) && has(extra.x)",
        "timestamp(customer.since) < fact.time",
    ],
)
def test_what_a_schema_allows_is_right(condition):
    assert check_rule(f"on order.placed when {condition}", SCHEMAS) == []


def test_a_fact_that_breaks_its_schema_is_no_danger():
    rule = compile_rule("on order.placed when order.total > 0 then set x = order.count + 1", SCHEMAS)
    assert rule.evaluate({"order": {"total": True}}, FactContext("1", "order.placed"), {}) is None
    assert rule.evaluate({"order": {"total": "1"}}, FactContext("1", "order.placed"), {}) is None


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        (True, "json"),
        ({}, "json"),
        ({"type": ["string", "integer"]}, "json"),
        ({"$ref": "http://elsewhere"}, "json"),
        ({"$ref": "#"}, "json"),
        ({"$ref": "#/x/y"}, "json"),
        ({"const": 1}, "int"),
        ({"enum": [1, None]}, "int"),
        ({"enum": [None]}, "null"),
        ({"enum": [1, "a"]}, "json"),
        ({"type": "array"}, "list"),
        ({"type": 5}, "json"),
        ({"properties": 5}, "map"),
        ({"anyOf": [{"type": "string"}]}, "json"),
    ],
)
def test_any_schema_is_some_type(schema, kind):
    assert type_of_schema(schema).kind == kind
