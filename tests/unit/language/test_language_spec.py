"""CEL's specification, rule by rule: what each says of a value, written from its text and the extensions' own."""

import pytest

from domain.language import InvalidRuleError, RuleFault, compile_expression
from tests.conformance.encoding import encode, same

ERROR = "an error"


def outcome(source, *, check, names=(), bindings=None, container=""):
    """Return a value in the suite's encoding, or ERROR."""
    try:
        return encode(compile_expression(source, names, check=check, container=container)(bindings or {}))
    except (InvalidRuleError, RuleFault):
        return ERROR


def assert_is(source, expected, *, check=True, **scope):
    """Compare with what another expression gives, types included, or with ERROR."""
    found = outcome(source, check=check, **scope)
    if ERROR in (expected, found):
        assert found == expected, source
    else:
        assert same(found, outcome(expected, check=check)), (source, found)


def table(cases):
    """Run each line `source  ->  expected` with checks and without."""
    pairs = [tuple(part.strip() for part in line.split(" -> ")) for line in cases.strip().splitlines()]
    return pytest.mark.parametrize(
        ("source", "expected", "check"),
        [(source, expected, check) for source, expected in pairs for check in (True, False)],
    )


@table(r"""
    "%s".format([1e20])                         -> "100000000000000000000"
    "%s".format([1e-10])                        -> "0.0000000001"
    "%s".format([-0.0])                         -> "-0"
    "%s".format([[1.50, {"a": 1e20}]])          -> "[1.5, {a: 100000000000000000000}]"
    "%d".format([3.14])                         -> "3.14"
    "%d".format([1e20])                         -> "100000000000000000000"
    "%d".format([double("-Infinity")])          -> "-Infinity"
    "%d".format(["1"])                          -> an error
    "%s".format([b"\xff\xfeab\xff"])            -> "\ufffdab\ufffd"
    "%s".format([{true: 1, "a": {2: 3u}}])      -> "{a: {2: 3}, true: 1}"
    "%x, %X, %o, %b".format([-30, -30, -11, -5])  -> "-1e, -1E, -13, -101"
    "%.1e".format([-3.14])                      -> "-3.1e+00"
    "%.0f".format([2.5])                        -> "2"
""")
def test_format_writes_values_as_the_strings_extension_says(source, expected, check):
    """Doubles in base 10 without zeros that say nothing, %d too; bytes with U+FFFD for a run that is not UTF-8."""
    assert_is(source, expected, check=check)


@table(r"""
    {"a": 1, "a": 2}          -> an error
    {"a": 1, "b": 2, "a": 3}  -> an error
    {1: "a", 1u: "b"}         -> an error
    {true: 1, 1: 2}[true]     -> 1
    {1.0: 1}                  -> an error
    {null: 1}                 -> an error
""")
def test_a_map_literal_has_each_key_once_and_of_a_key_type(source, expected, check):
    """Duplicate keys are an error, with checks or without; a bool is no number."""
    assert_is(source, expected, check=check)


@table(r"""
    rb"a"           -> an error
    br"\x"          -> b"\\x"
    bR'''\n'''      -> b"\\n"
    b"\xff\377"     -> b"\377\xff"
    b"\u00ff"       -> an error
    "\xff\377"      -> "ÿÿ"
    "\400"          -> an error
    "\ud83d"        -> an error
    "\ude00"        -> an error
    "\ud83da"       -> an error
    "\ude00\ud83d"  -> an error
    "\ud83d\ude00"  -> "\U0001F600"
    "a\uD83D\uDE00\u00e9"  -> "a😀é"
    "\U0000d83d\ude00"  -> an error
    b"\ud83d\ude00" -> an error
    r"\"            -> "\\"
""")
def test_literals_are_read_by_the_lexis(source, expected, check):
    """A bytes literal is b before a string literal; octets in bytes are code points in strings."""
    assert_is(source, expected, check=check)


@table(r"""
    [1][?-1].hasValue()                    -> false
    [1][?1].hasValue()                     -> false
    [1][-1]                                -> an error
    optional.of([1])[?-1].hasValue()       -> false
    optional.of({"a": {"b": 1}}).a.b.value()  -> 1
    optional.none()["a"].hasValue()        -> false
    optional.of([[1]])[0][0].value()       -> 1
""")
def test_an_optional_index_beyond_a_list_is_none(source, expected, check):
    """A plain one is an error."""
    assert_is(source, expected, check=check)


@table(r"""
    timestamp(0).getHours(dyn(null))             -> an error
    timestamp(0).getMilliseconds(dyn(null))      -> an error
    timestamp(0).getDate(dyn(null))              -> an error
    duration("1s").getSeconds(dyn(null))         -> an error
    "abc".substring(0, dyn(null))                -> an error
    "abc".lastIndexOf("a", dyn(null))            -> an error
    ip.isCanonical(dyn(ip("1.1.1.1")))           -> an error
    string(money({"amount": "1", "currency": "EUR"}, dyn(null)))  -> an error
""")
def test_a_null_argument_is_not_one_that_is_left_out(source, expected, check):
    """No overload takes null there."""
    assert_is(source, expected, check=check)


@table(r"""
    isIP("::ffff:192.168.0.1")               -> false
    ip("::ffff:192.168.0.1")                 -> an error
    ip("::ffff:c0a8:1") == ip("192.168.0.1") -> true
    isCIDR("::ffff:192.168.0.0/120")         -> false
    isIP("fe80::1%en0")                      -> false
    isIP("192.168.0.01")                     -> false
    isCIDR("192.168.0.0/024")                -> false
""")
def test_addresses_are_read_strictly(source, expected, check):
    """No zone, no leading zeros, and no IPv4 in dots inside IPv6."""
    assert_is(source, expected, check=check)


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("source", "container", "expected"),
    [
        ("a.b.c", "", "'dotted'"),
        ("(a.b).c", "", "'field'"),
        ("a.b['c']", "", "'field'"),
        ("(a.b.c)", "", "'dotted'"),
        ("y", "com.example", "42"),
        ("y", "com.example.sub", "42"),
        (".y", "com.example", "7"),
        ("[0].exists(y, y == 0 && .y == 7 && .com.example.y == 42)", "com.example", "true"),
        ("cel.bind(y, 1, y + .y)", "com.example", "8"),
        ("Timestamp == type(timestamp(0))", "google.protobuf", "true"),
        (".int", "com.example", "int"),
        ("greatest(1, 2) + math.least(3, 4)", "math", "5"),
        ("[1, 2].size() + size([1])", "lists", "3"),
        ("[1].map(fact, fact)[0] + cel.bind(payload, 1, payload)", "", "2"),
    ],
)
def test_names_are_resolved_by_container_and_longest_prefix(source, container, expected, check):
    """Parentheses choose the field, a leading dot the root, and a macro's variable hides both."""
    bindings = {"a.b": {"c": "field"}, "a.b.c": "dotted", "com.example.y": 42, "y": 7}
    assert_is(source, expected, check=check, names=tuple(bindings), bindings=bindings, container=container)


@table(r"""
    cel.block([1, cel.index(0) + 1, cel.index(1) * 2], cel.index(2) + cel.index(0))  -> 5
    cel.block([1, 1 / 0], cel.index(0))                                              -> 1
    cel.block([1 / 0 == 1], cel.index(0) || true)                                    -> true
    cel.block([1 / 0 == 1], cel.index(0) && true)                                    -> an error
    cel.block([[1, 2]], cel.index(0).map(cel.iterVar(0, 0), cel.iterVar(0, 0) * 2))  -> [2, 4]
    cel.block([2], [1].map(x, x + cel.index(0)))                                     -> [3]
    cel.block([cel.block([2], cel.index(0) + 1)], cel.index(0) * 2)                  -> 6
    cel.block([1], cel.index(1))                                                     -> an error
    cel.block([cel.index(1) == 1, 1], cel.index(0))                                  -> an error
    cel.index(0)                                                                     -> an error
    [1].map(x, cel.block([x], cel.index(0)))                                         -> an error
    [1].map(cel.index(0), 1)                                                         -> [1]
""")
def test_a_block_names_elements_by_their_numbers(source, expected, check):
    """Each is evaluated where it is needed, once, and sees those before it."""
    assert_is(source, expected, check=check)


@pytest.mark.parametrize(("count", "expected"), [(200, "200"), (201, ERROR)])
def test_a_block_has_a_bounded_number_of_elements(count, expected):
    """As a rule has of its lets; each may need the one before it."""
    elements = ["1", *(f"cel.index({n}) - cel.index({n}) + {n + 2}" for n in range(count - 1))]
    assert_is(f"cel.block([{', '.join(elements)}], cel.index({count - 1}))", expected)


@pytest.mark.parametrize("source", ["has({'a': 1}.a)", "[true].exists(x, x)", "cel.bind(x, 1, x)"])
def test_without_macros_a_macro_is_a_call_of_no_function(source):
    """Their names are then functions that do not exist."""
    with pytest.raises(InvalidRuleError):
        compile_expression(source, ("x",), macros=False)


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    "source",
    ["[1].map(as, 1)", "[1].exists(i, for, true)", "cel.bind(package, 1, 2)", "optional.of(1).optMap(let, 1)", "while"],
)
def test_a_reserved_word_is_no_name(source, check):
    """As a field's name it may stand after a dot."""
    assert outcome(source, check=check) == ERROR


@pytest.mark.parametrize("source", ["int == 1", "'a' == string", "[1] == list"])
def test_a_type_is_no_value_of_itself(source):
    """Values of two types are unequal; the checker says it before it runs."""
    assert outcome(source, check=False) == {"bool": False}
    assert outcome(source, check=True) == ERROR


_COUNTED = ", ".join(map(str, range(32)))
_KEYED = ", ".join(f"{n}: {n}" for n in range(32))


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (" || ".join(["false"] * 32), "false"),
        (" && ".join(["true"] * 32), "true"),
        (" == ".join(["true"] * 33), "true"),
        (" - ".join(["1"] * 33), "-31"),
        (" * ".join(["1"] * 33), "1"),
        ("!" * 32 + "true", "true"),
        ("-" * 32 + "5", "5"),
        ("(" * 32 + "7" + ")" * 32, "7"),
        ("[" * 32 + "7" + "]" * 32 + "[0]" * 32, "7"),
        ("{'a': " * 32 + "7" + "}" * 32 + ".a" * 32, "7"),
        ("int(uint(" * 16 + "7" + "))" * 16, "7"),
        ("true ? 1 : " * 32 + "2", "1"),
        ("false ? 1 : " * 32 + "2", "2"),
        ("[1]" + ".map(x, x)" * 32, "[1]"),
        (f"math.greatest({_COUNTED})", "31"),
        (f"[{_COUNTED}][31]", "31"),
        (f"{{{_KEYED}}}[31]", "31"),
    ],
)
def test_expressions_of_the_required_size_are_taken(source, expected, check):
    """The specification asks for 32 levels, and for 32 repetitions of each operator, argument and element."""
    assert_is(source, expected, check=check)
