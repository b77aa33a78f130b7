"""Decision tables: rows that match and rows that nearly do, hit policies, and what is wrong with a table's text."""

import pytest

from domain.language import FactContext, MergeKind, RuleFault, check_rule, compile_rule

FACT = FactContext("f1", "order.placed")
DISCOUNTS = """
on order.placed
let tier = customer.tier
table {hit}
| tier            | order.total  | set discount.percent | set discount.reason | emit offer           |
| "VIP"           | >= 100.0     | 15                   | "vip"               | -                    |
| "VIP", "GOLD"   | 50.0..100.0  | 10                   | "good customer"     | {{"id": customer.id}}  | // a comment
| _.startsWith("B") | (_ < 10 || _ > 1000) | order.total / 2 | -               | -                    |

| -               | -            | 0                    | "none"              | -                    |
"""


def decide(hit, payload):
    return compile_rule(DISCOUNTS.format(hit=hit)).evaluate(payload, FACT, {})


def order(tier, total):
    return {"customer": {"tier": tier, "id": "c1"}, "order": {"total": total}}


@pytest.mark.parametrize(
    ("tier", "total", "row"),
    [
        ("VIP", 100.0, 1),
        ("VIP", 100, 1),
        ("VIP", 99.99, 2),
        ("GOLD", 50.0, 2),
        ("GOLD", 49.99, 4),
        ("GOLD", 100.0, 4),  # a range is half-open
        ("gold", 60.0, 4),
        ("BASIC", 9, 3),
        ("BASIC", 10, 4),
        ("BASIC", 1001, 3),
        (None, 70.0, 4),
        ("VIP", "100", 4),  # a string is no amount: missing fails the cell only
        ("VIP", True, 4),
    ],
)
def test_first_takes_the_first_row_that_matches(tier, total, row):
    assert decide("first", order(tier, total)).rows == [row]


def test_a_row_gives_its_outputs_and_effects():
    outcome = decide("first", order("GOLD", 60.0))
    assert outcome.branch == "then"
    assert outcome.contributions == [
        (MergeKind.SET, ("discount", "percent"), 10),
        (MergeKind.SET, ("discount", "reason"), "good customer"),
    ]
    assert outcome.effects == [("offer", {"id": "c1"})]
    assert decide("first", order("B", 5)).contributions == [(MergeKind.SET, ("discount", "percent"), 2)]


def test_missing_fails_a_cell_and_not_the_table():
    assert decide("first", {}).rows == [4]
    assert decide("first", {"customer": {"tier": "VIP"}}).rows == [4]


def test_collect_takes_every_row_in_order():
    rule = compile_rule('table collect\n| n | append "x" to_path |\n| 1 | 2 |'.replace('"x" to_path', "tags"))
    assert rule.evaluate({"n": 1}, FACT, {}).contributions == [(MergeKind.APPEND, ("tags",), 2)]
    rule = compile_rule(
        "table collect\n| n | append tags | add score |\n| > 1 | 'big' | 1 |\n| 5, 6 | 'few' | 2 |\n| < 0 | 'neg' | n |"
    )
    outcome = rule.evaluate({"n": 5}, FACT, {})
    assert outcome.rows == [1, 2]
    assert [value for _, _, value in outcome.contributions] == ["big", 1, "few", 2]
    assert rule.evaluate({"n": 0}, FACT, {}) is None
    assert rule.evaluate({"n": -1}, FACT, {}).contributions[-1] == (MergeKind.ADD, ("score",), -1)
    assert rule.writes[0].path == ("tags",)


def test_unique_faults_on_two():
    rule = compile_rule("table unique\n| n | set x |\n| > 1 | 1 |\n| > 2 | 2 |\n| 0 | 3 |")
    assert rule.evaluate({"n": 2}, FACT, {}).rows == [1]
    assert rule.evaluate({"n": 1}, FACT, {}) is None
    with pytest.raises(RuleFault) as caught:
        rule.evaluate({"n": 3}, FACT, {})
    assert (caught.value.code, caught.value.line) == ("table-not-unique", 4)


def test_another_error_is_a_fault_unless_another_cell_of_the_row_fails():
    rule = compile_rule("table first\n| 10 / n | m | set x |\n| 5 | 1 | 1 |\n| - | 2 | 2 |")
    assert rule.evaluate({"n": 2, "m": 1}, FACT, {}).rows == [1]
    assert rule.evaluate({"n": 0, "m": 2}, FACT, {}).rows == [2]
    with pytest.raises(RuleFault) as caught:
        rule.evaluate({"n": 0, "m": 1}, FACT, {})
    assert (caught.value.code, caught.value.line, caught.value.column) == ("division-by-zero", 2, 6)


def test_a_column_is_evaluated_only_when_a_cell_needs_it():
    rule = compile_rule("table first\n| m | 10 / n | set x |\n| 1 | - | 1 |\n| 2 | 5 | 2 |")
    assert rule.evaluate({"n": 0, "m": 1}, FACT, {}).rows == [1]


def test_an_output_that_fails_is_a_fault():
    rule = compile_rule("table first\n| m | set x |\n| 1 | 1 / n |\n| 2 | nothing |")
    with pytest.raises(RuleFault) as caught:
        rule.evaluate({"m": 1, "n": 0}, FACT, {})
    assert (caught.value.code, caught.value.line, caught.value.column) == ("division-by-zero", 3, 9)
    with pytest.raises(RuleFault) as caught:
        rule.evaluate({"m": 2}, FACT, {})
    assert (caught.value.code, caught.value.line) == ("missing-value", 4)


def test_null_and_negative_cells():
    rule = compile_rule("table first\n| m | set x |\n| null | 1 |\n| -1 | 2 |\n| -5..-2 | 3 |\n| != null | 4 |")
    rows = [rule.evaluate({"m": m}, FACT, {}).rows[0] for m in (None, -1, -5, -4.5, -2, "x")]
    assert rows == [1, 2, 3, 3, 4, 4]
    assert rule.evaluate({}, FACT, {}) is None  # not even `!= null` holds for what is missing


@pytest.mark.parametrize(
    ("source", "message", "line"),
    [
        ("table", "the hit policy is missing", 1),
        ("table any\n| a | set b |\n| 1 | 2 |", "`any` is no hit policy", 1),
        ("table first", "the table has no columns", 1),
        ("table first\n| a | set b |", "the table has no rows", 1),
        ("table first\n| a | set b |\n| | 2 |", "the cell is empty", 3),
        ("table first\n| a | set b |\n| a || b | 2 |", "the cell is empty", 3),
        ("table first\n| a | set b |\n| 1 | 2 | 3 |", "the row has 3 cells, the table 2 columns", 3),
        ("table first\n| a | set b |\n| 1 | 2", "the row is not closed", 3),
        ("table first\n| a | set b |\n| (1 | 2 |", "the row is not closed", 3),
        ("table first\n| a | set b |\n1 | 2 |", "unexpected `1` after the table's rows", 3),
        ("table first\n| set b | a |\n| 1 | 2 |", "conditions come before outputs", 2),
        ("table first\n| a |\n| 1 |", "the table has no output column", 2),
        ("table first\n| a | set b | set b |\n| 1 | 2 | 3 |", "`b` is set already", 2),
        ("table first\n| a | set b |\n| 1 + | 2 |", "unexpected end of the statement", 3),
        ("table first\n| a | set b |\n| > | 2 |", "unexpected end of the statement", 3),
        ("table first\n| size(a) | set b |\n| 'x' > 1 | 2 |", "`>` does not take string and int", 3),
        ("table first\n| size(a) | set b |\n| > 'x' | 2 |", "`>` does not take int and string", 3),
        ("table first\n| a | emit b |\n| 1 | 2 |", "`emit` publishes a map, not int", 3),
        ("when x\ntable first\n| a | set b |\n| 1 | 2 |", "a table stands in place of `when` and `then`", 2),
        ("table first\n| a | set b |\n| 1 | 2 |\nthen set c = 1", "nothing comes after a table", 4),
    ],
)
def test_a_wrong_table_is_told_at_its_line(source, message, line):
    (problem,) = check_rule(source)
    assert (problem.message, problem.line) == (message, line)


def test_each_wrong_row_is_told():
    problems = check_rule(
        "table first\n| a | set b |\n| 1 | |\n| 2 | 3 |\n| 1 1 | 2 |\n| _ + 'x' | 2 |\n| _ > | sizeof(x) |"
    )
    assert [problem.line for problem in problems] == [3, 5, 6, 7]


def test_a_large_table_compiles():
    rows = "\n".join(f"| {n}..{n + 1} | {n} |" for n in range(2000))
    rule = compile_rule(f"table first\n| n | set x |\n{rows}")
    assert rule.evaluate({"n": 1999.5}, FACT, {}).rows == [2000]
    (problem,) = check_rule(f"table first\n| n | set x |\n{rows}\n| 1 | 2 |")
    assert problem.code == "too-long"
