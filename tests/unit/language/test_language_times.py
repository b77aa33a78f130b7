"""Quick ways to read times and their parts come to what the slow and general ones do."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.language import FactContext, compile_expression, compile_rule, parse_timestamp, timestamp_from_ns
from domain.language.values import TIMESTAMP_MAX_NS, TIMESTAMP_MIN_NS

FACT = FactContext("f1", "order.placed")
ACCESSORS = (
    "getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getHours", "getMinutes",
    "getSeconds", "getMilliseconds",
)  # fmt: skip
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "-08:00", "+05:45")
moments = st.one_of(
    st.integers(TIMESTAMP_MIN_NS, TIMESTAMP_MAX_NS),
    st.integers(-(10**18), 2 * 10**18),
    st.sampled_from([TIMESTAMP_MIN_NS, TIMESTAMP_MAX_NS, 0, -1, 1_711_846_799_999_999_999, 1_711_846_800_000_000_000]),
)
almost_times = st.one_of(
    st.text("0123456789-T:Z +", min_size=20, max_size=20),
    st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", fullmatch=True),
    st.from_regex(r"20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]Z", fullmatch=True),
)


def read(text):
    try:
        return parse_timestamp(text)
    except ValueError:
        return None


@given(text=almost_times)
@example(text="2024-02-29T23:59:59Z")
@example(text="2023-02-29T23:59:59Z")
@example(text="2024-01-01T24:00:00Z")
@example(text="2024-01-01T23:59:60Z")
@example(text="0000-01-01T00:00:00Z")
@example(text="0001-01-01T00:00:00Z")
@example(text="9999-12-31T23:59:59Z")
@example(text="\uff12024-01-01T00:00:00Z")
@example(text="2024-W1-1T00:00:00.0Z"[:20])
@example(text="+024-01-01T00:00:00Z")
def test_the_commonest_form_is_read_as_every_other_one(text):
    """With a fraction of zero, text takes the general way."""
    assert read(text) == read(text[:-1] + ".0Z" if text.endswith("Z") else text + " ")


@given(ns=moments, accessor=st.sampled_from(ACCESSORS), zone=st.sampled_from(ZONES))
@example(ns=TIMESTAMP_MAX_NS, accessor="getHours", zone="+05:45")
@example(ns=TIMESTAMP_MIN_NS, accessor="getFullYear", zone="-08:00")
def test_a_part_in_a_known_time_zone_is_the_part_in_a_zone_that_comes_with_the_fact(ns, accessor, zone):
    bindings = {"at": timestamp_from_ns(ns), "zone": zone}
    known = compile_expression(f"at.{accessor}('{zone}')", ["at"])
    general = compile_expression(f"at.{accessor}(zone)", ["at", "zone"])
    assert known({"at": bindings["at"]}) == general(bindings)


@given(one=moments, other=moments, operator=st.sampled_from(("==", "!=", "<", "<=", ">", ">=")))
def test_times_compare_in_nanoseconds_whether_read_or_held(one, other, operator):
    first, second = (str(timestamp_from_ns(ns)).partition("'")[2].partition("'")[0] for ns in (one, other))
    read_twice = compile_rule(f"timestamp(a) {operator} timestamp(b)")
    held = compile_rule(f"let x = timestamp(a) let y = timestamp(b) when x {operator} y && y == timestamp(b) && x == x")
    fact = {"a": first, "b": second}
    wanted = {"==": one == other, "!=": one != other, "<": one < other, "<=": one <= other, ">": one > other}
    assert (read_twice.evaluate(fact, FACT, {}) is not None) is wanted.get(operator, one >= other)
    assert (held.evaluate(fact, FACT, {}) is not None) is wanted.get(operator, one >= other)


@pytest.mark.parametrize("fact", [{}, {"a": 5, "b": None}, {"a": "2024-01-01T00:00:00Z"}, {"a": [], "b": {}}])
def test_a_time_that_is_not_there_is_missing(fact):
    rule = compile_rule("when timestamp(a) - timestamp(b) < duration('1h') then set x = 1 else set x = 2")
    assert rule.evaluate(fact, FACT, {}) is None


def test_a_span_beyond_64_bits_is_a_fault_when_it_is_compared_too():
    rule = compile_rule("timestamp(a) - timestamp(b) < duration('1h')")
    with pytest.raises(Exception, match="64 bits"):
        rule.evaluate({"a": "9999-01-01T00:00:00Z", "b": "0001-01-01T00:00:00Z"}, FACT, {})


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("x", "x", True), ("x", "y", False), (1, 1, True), (1, 1.0, True), (1.5, 1.5, True), (True, 1, False),
        (True, True, True), (None, None, True), (None, 0, False), ([1], [1.0], True), ({"k": 1}, {"k": 1.0}, True),
        (2**63, 2**63, True), ("1", 1, False), ("x" * 300, "x" * 300, True), ("x" * 300, "x" * 299 + "y", False),
    ],
)  # fmt: skip
def test_two_values_of_a_fact_are_compared_by_value(a, b, same):
    for source in ("a == b", "[1].all(i, a == b)", "!(a != b)", "![1].exists(i, a != b)"):
        assert (compile_rule(source).evaluate({"a": a, "b": b}, FACT, {}) is not None) is same, source
