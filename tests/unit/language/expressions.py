"""Random expressions and facts, for the properties that hold for all of them."""

from hypothesis import strategies as st

FIELDS = ("a", "b", "c.d", "c.e", "xs", "xs[0]", "c.xs", "s", "m['k']", "nothing", "c.nothing.deep", "decision.n")
LITERALS = (
    "1", "0", "-1", "2.0", "0.5", "1u", "true", "false", "null", "'a'", "'1'", "''", "[1, 2]", "['a']", "[]",
    "{'k': 1}", "{}", "9223372036854775807", "duration('1h')", "timestamp(0)", "b'x'", "decimal('1.5')", "{1: 'a'}",
    "[a, b]", "{'k': a}",
)  # fmt: skip
ARITHMETIC = ("+", "-", "*", "/", "%")
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=", "in")
METHODS = (
    "size()", "contains('a')", "startsWith('')", "sum()", "first()", "min()", "distinct()", "upperAscii()",
    "hasValue()",     "matches('^a')", "value()", "reverse()", "d", "k", "?k",
)  # fmt: skip
FUNCTIONS = ("size", "int", "double", "string", "uint", "dyn", "type", "bool", "-", "!", "optional.of", "timestamp")
MACROS = ("all", "exists", "exists_one", "map", "filter")

json_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([2**63 - 1, -(2**63), 2**63, 2**64 - 1]),
    st.sampled_from([0.0, 1.0, 0.5, -2.5, 1e300]),
    st.sampled_from(["", "a", "1", "abc", "1970-01-01T00:00:00Z"]),
)
json_values = st.recursive(
    json_scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["k", "d", "e", "deep", "xs"]), inner, max_size=3)
    ),
    max_leaves=6,
)
facts = st.dictionaries(st.sampled_from(["a", "b", "c", "xs", "s", "m", "nothing"]), json_values, max_size=7)
operands = st.one_of(st.sampled_from(FIELDS), st.sampled_from(LITERALS), st.sampled_from(("v", "w", "let1", "let2")))


def _extend(inner):
    return st.one_of(
        st.tuples(inner, st.sampled_from(ARITHMETIC + COMPARISONS), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(inner, st.sampled_from(COMPARISONS), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(inner, st.sampled_from(("&&", "||")), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} ? {t[1]} : {t[2]})"),
        st.tuples(inner, st.sampled_from(METHODS)).map(lambda t: f"{t[0]}.{t[1]}"),
        st.tuples(st.sampled_from(FUNCTIONS), inner).map(lambda t: f"{t[0]}({t[1]})"),
        st.tuples(inner, st.sampled_from(MACROS), st.sampled_from("vw"), inner).map(
            lambda t: f"{t[0]}.{t[1]}({t[2]}, {t[3]})"
        ),
        st.tuples(inner, inner).map(lambda t: f"{t[0]}[{t[1]}]"),
        st.tuples(inner, st.sampled_from("vw"), inner).map(lambda t: f"cel.bind({t[1]}, {t[0]}, {t[2]})"),
        st.tuples(inner, st.sampled_from("vw"), inner).map(lambda t: f"optional.of({t[0]}).optMap({t[1]}, {t[2]})"),
        inner.map(lambda t: f"has(dyn({t}).k)"),
        st.tuples(inner, inner).map(lambda t: f"[{t[0]}, {t[1]}]"),
        inner.map(lambda t: f"{{'k': {t}}}"),
    )


expressions = st.recursive(operands, _extend, max_leaves=8)
conditions = st.one_of(
    expressions,
    st.tuples(expressions, st.sampled_from(("&&", "||")), expressions).map(lambda t: f"{t[0]} {t[1]} {t[2]}"),
    st.tuples(expressions, st.sampled_from(COMPARISONS), expressions).map(lambda t: f"{t[0]} {t[1]} {t[2]}"),
)
