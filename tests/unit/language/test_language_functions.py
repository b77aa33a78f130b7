"""Every function with values of every type: an answer of the type that checking expects, or one of three errors."""

import itertools
import random
from decimal import Decimal

import pytest

from domain.language import AdditionError, add_values, compile_expression, parse_timestamp
from domain.language.check import resolve
from domain.language.faults import Fault, NoOverload
from domain.language.library.catalogue import FUNCTIONS, INTERNAL
from domain.language.library.network import CIDR, IP, to_cidr, to_ip
from domain.language.types import DYN, JSON_KINDS, Type, accepts, list_of, map_of
from domain.language.values import (
    NONE,
    TRUE_KEY,
    Duration,
    Email,
    KeyedMap,
    Money,
    OptionalValue,
    Timestamp,
    TypeValue,
    Uint,
    type_name,
)

VALUES = (
    None, True, False, 0, 1, -1, 7, 2**63 - 1, -(2**63), 2**63, Uint(0), Uint(3), 0.0, 1.5, -2.5, 1e300, float("nan"),
    float("inf"), "", "a", "abc", "12", "1.5", "true", "UTC", "EUR", "1h", "%s %d", "2024-01-01T00:00:00Z", "10.0.0.1",
    "10.0.0.0/8", "::1", "a@b.org", "(", "\ud800", b"", b"abc", b"\xff", [], [1, 2], [2, 1.5], ["b", "a"], [[1], [2]],
    [None], [Decimal(1), Decimal(2)], [Money(Decimal(1), "EUR"), Money(Decimal(2), "USD")], [True, False], [Uint(1)],
    [Duration(1)], [OptionalValue(True, 1), NONE], {}, {"k": 1}, {"amount": "1.50", "currency": "EUR"},
    KeyedMap({1: "a", TRUE_KEY: "b"}), Timestamp(0), parse_timestamp("9999-12-31T23:59:59Z"), Duration(0),
    Duration(-1_500_000_000), Duration(2**63 - 1), TypeValue("int"), NONE, OptionalValue(True, 1), Decimal(0),
    Decimal("1.50"), Decimal("9" * 34), Decimal("1e6000"), Money(Decimal("1.50"), "EUR"), Money(Decimal(1), "USD"),
    Email("a", "b.org"), to_ip("10.0.0.1"), to_ip("::1"), to_cidr("10.0.0.0/8"),
)  # fmt: skip
KINDS = {
    type(None): "null", bool: "bool", Uint: "uint", float: "double", str: "string", bytes: "bytes",
    Timestamp: "timestamp", Duration: "duration", TypeValue: "type", Decimal: "decimal", Money: "money",
    Email: "email", IP: "ip", CIDR: "cidr",
}  # fmt: skip


def static_type(value):
    """The static type that a literal of a value would have."""
    if type(value) is list:
        items = {static_type(item) for item in value}
        return list_of(items.pop() if len(items) == 1 else DYN)
    if isinstance(value, dict):
        return map_of(DYN, DYN)
    if type(value) is OptionalValue:
        return Type("optional", (DYN,))
    if type(value) is int:
        return Type("uint" if value > 2**63 - 1 else "int")
    return Type(KINDS[type(value)])


def forms(name):
    return sorted({(signature.method, len(signature.parameters)) for signature in FUNCTIONS[name].signatures})


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - INTERNAL | {"negative"}))
def test_a_function_answers_as_checking_expects_or_fails_as_the_language_does(name):
    chance = random.Random(name)
    for method, arity in forms(name):
        combinations = list(itertools.product(VALUES, repeat=min(arity, 2)))
        if arity > 2:
            combinations = [(*pair, *chance.choices(VALUES, k=arity - 2)) for pair in combinations]
        for values in chance.sample(combinations, min(len(combinations), 1500)):
            known, expected = resolve(name, method, tuple(map(static_type, values)))
            assert known
            try:
                result = FUNCTIONS[name].call(*values)
            except (NoOverload, KeyError, Fault):
                continue
            if expected is None:
                # What checking refuses may still have an answer, but for equality that is never so.
                assert name not in {"==", "!=", "in"}
                continue
            made = static_type(result)
            assert accepts(expected, made) or (expected.kind == "json" and made.kind in JSON_KINDS), (values, expected)
            assert type_name(result) != "dyn"


def test_a_wrong_type_is_told_by_its_name():
    with pytest.raises(NoOverload, match="`size` does not take int"):
        FUNCTIONS["size"].call(1)
    with pytest.raises(NoOverload, match="`\\+` does not take uint and int"):
        FUNCTIONS["+"].call(2**63, 1)


@pytest.mark.parametrize(
    ("total", "term", "expected"),
    [
        (1, 2, 3),
        (1, 2.5, 3.5),
        (Uint(1), Uint(2), 3),
        (Decimal("0.10"), Decimal("0.20"), Decimal("0.30")),
        (Money(Decimal("1.10"), "EUR"), Money(Decimal("2.20"), "EUR"), Money(Decimal("3.30"), "EUR")),
    ],
)
def test_what_add_sums(total, term, expected):
    result = add_values(total, term)
    assert result == expected
    assert type(result) is type(expected) or isinstance(result, Uint)


@pytest.mark.parametrize(
    ("total", "term", "code"),
    [
        (1, "x", "add-kind"),
        (1, True, "add-kind"),
        (True, True, "add-kind"),
        (1, Decimal(1), "add-kind"),
        (1, Money(Decimal(1), "EUR"), "add-kind"),
        (Decimal(1), 1, "add-kind"),
        (1, Uint(1), "add-kind"),
        (None, 1, "add-kind"),
        (Money(Decimal(1), "EUR"), Money(Decimal(1), "USD"), "add-currency"),
        (2**63 - 1, 1, "add-overflow"),
        (1e308, 1e308, "add-overflow"),
        (Decimal("9" * 34), Decimal("0.1"), "add-overflow"),
    ],
)
def test_what_add_leaves_out(total, term, code):
    with pytest.raises(AdditionError) as caught:
        add_values(total, term)
    assert caught.value.code == code
    assert caught.value.message


def test_values_print_themselves():
    assert repr(Timestamp(0)) == "timestamp('1970-01-01T00:00:00Z')"
    assert repr(Duration(-1_500_000_000)) == "duration('-1.5s')"
    assert hash(Timestamp(5)) == hash(Timestamp(5)) != hash(Duration(5))
    assert Timestamp(1) <= Timestamp(1) < Timestamp(2) != Duration(2)
    assert Duration(1) <= Duration(1) < Duration(2) != Timestamp(2)
    with pytest.raises(TypeError):
        _ = Timestamp(1) < Duration(2)
    with pytest.raises(TypeError):
        _ = Duration(1) <= Timestamp(2)


@pytest.mark.parametrize(
    "source",
    [
        "{'a': 1}.transformMap(k, v, v > 0, v + 1) == {'a': 2}",
        "{'a': 'b'}.transformMapEntry(k, v, {v: k}) == {'b': 'a'}",
        "[1, 2].transformList(i, v, i > 0, v) == [2]",
        "[1, 2].existsOne(i, v, v == 2) && [1, 2].exists_one(x, x == 1)",
        "optional.of(1).optFlatMap(x, optional.of(x + 1)).value() == 2",
        "optional.none().optMap(x, x + 1) == optional.none()",
        "cel.bind(x, [1, 2], x.map(y, y + x[0])) == [2, 3]",
        "[?optional.of(1), 2] == [1, 2] && {?'a': optional.of(1), ?'b': optional.none()} == {'a': 1}",
        "has({'a': 1}.a) && !has({'a': 1}.b)",
        "(true ? 1 : 2) == 1 && (false ? 1 : true ? 2 : 3) == 2",
    ],
)
def test_each_form_is_interpreted_as_it_is_compiled(source):
    from domain.language import FactContext, explain_rule

    assert compile_expression(source)() is True
    # The same with fact data in it, so that nothing is known before.
    tainted = source.replace("1", "one").replace("'a'", "a").replace("{a:", "{'a':").replace("?a:", "?'a':")
    fact = {"one": 1, "a": "a"}
    assert explain_rule(tainted, fact, FactContext("f", "t")).status == "true"
