"""Type deduction by CEL's gradual checker: what it knows of literals, macros, optionals and declared functions."""

import pytest

from tests.conformance.suite import run

INTS = {"list": "int"}


def optional(inner):
    return {"abstract": "optional_type", "params": [inner]}


def opaque(*inner):
    return {"abstract": "tuple", "params": list(inner)}


def declared(name, result, *parameters):
    overload = {"id": name, "params": list(parameters), "result": result, "instance": False}
    return {"function": name, "overloads": [overload]}


T, U = {"type_param": "T"}, {"type_param": "U"}
FUNCTIONS = [
    declared("pair", opaque(T, U), T, U),
    declared("twin", opaque(T), T, T),
    declared("same", opaque(T, T), opaque(T, T)),
    {"ident": "x", "type": {"type": "int"}},
]


@pytest.mark.parametrize(
    ("source", "type_"),
    [
        # literals: one type, or dyn for what differs; an empty one takes its type from beside it
        ("[1, 'a']", {"list": "dyn"}),
        ("[1, 1u]", {"list": "dyn"}),
        ("[dyn(1), 1]", {"list": "dyn"}),
        ("[[1], [1u]]", {"list": "dyn"}),
        ("[[1], [dyn(1)]]", {"list": {"list": "dyn"}}),
        ("[]", {"list": "dyn"}),
        ("[[], [1]]", {"list": INTS}),
        ("[[], [[]], [[[]]]]", {"list": {"list": {"list": {"list": "dyn"}}}}),
        ("[{}, {'a': 1}]", {"list": {"map": ["string", "int"]}}),
        ("{'a': 1, 2: 'c'}", {"map": ["dyn", "dyn"]}),
        ("true ? [] : [1]", INTS),
        ("true ? 1 : dyn(2)", "dyn"),
        # null beside a timestamp, a duration or an abstract type, and not beside others
        ("[duration('1s'), null]", {"list": "duration"}),
        ("[null, timestamp(0)][1]", "timestamp"),
        ("[null, optional.of(1)][0]", optional("int")),
        ("[null, null, duration('1s'), duration('2s')][0]", "duration"),
        ("[null, timestamp(0), duration('1s')]", {"list": "dyn"}),
        ("[null, 'a']", {"list": "dyn"}),
        ("true ? null : timestamp(0)", "timestamp"),
        # optionals
        ("[optional.none(), optional.of(1)]", {"list": optional("int")}),
        ("[optional.of(1), optional.of(dyn(1))]", {"list": optional("dyn")}),
        ("optional.of({'a': {'b': 1}}).a.b", optional("int")),
        ("{'a': {'b': 1}}.?a.b", optional("int")),
        ("optional.of([1])[0]", optional("int")),
        ("optional.of([1])[?0]", optional("int")),
        ("{'a': 1}[?'a']", optional("int")),
        ("optional.of(1).optFlatMap(v, optional.of([v]))", optional(INTS)),
        # macros
        ("[1].map(v, 'a')", {"list": "string"}),
        ("{'a': 1}.map(k, k)", {"list": "string"}),
        ("{'a': 1}.transformMap(k, v, [v])", {"map": ["string", INTS]}),
        ("{'a': 1}.transformMapEntry(k, v, {v: k})", {"map": ["int", "string"]}),
        # types, and declared functions
        ("x", {"type": "int"}),
        ("type(type(1))", {"type": {"type": "int"}}),
        ("pair(1, [])", opaque("int", {"list": "dyn"})),
        ("[pair(1, 2u), pair(dyn(1), 2u)]", {"list": opaque("dyn", "uint")}),
        ("[pair(1, 2), pair(1, 'a')]", {"list": "dyn"}),
        ("same(pair(dyn(1), 1))", opaque("dyn", "dyn")),
        ("twin([], [1])", opaque(INTS)),
        ("twin(null, duration('1s'))", opaque("duration")),
    ],
)
def test_types_are_deduced_as_by_the_specification(source, type_):
    case = {"id": source, "expr": source, "type_env": FUNCTIONS, "check_only": True, "expect": {"type": type_}}
    assert run(case).problem is None


@pytest.mark.parametrize("source", ["[timestamp(0), null][1] < timestamp(1)", "[null, duration('1s')][0].getHours()"])
def test_what_may_be_null_by_its_type_is_an_error_where_it_is_null(source):
    """Such a type is not taken for granted when the expression runs."""
    case = {"id": source, "expr": source, "expect": {"error": "no such overload"}}
    assert run(case).problem is None
