"""Template files and files of rows: read whole, and every problem at its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from worker.files.problems import InvalidRulesError
from worker.files.templates import read_rows, read_template, value_of

FILE = """+++
description = "For a tier."
[[parameters]]
name = "tier"
type = "string"
description = "Which customers."
[[parameters]]
name = "since"
type = "timestamp"
default = 2026-01-01T00:00:00Z
[[parameters]]
name = "days"
type = "list<int>"
default = [6, 7]
+++
when customer.tier == ${tier} && timestamp(customer.since) > ${since} && day in ${days}
then set discount = 10
"""
TYPES = {"tier": "string", "limit": "double", "days": "list<int>", "vip": "bool", "amount": "decimal"}


def written(tmp_path: Path, text: str | bytes, name: str = "tier-discount.template") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def problems(read: Any, *arguments: Any) -> list[tuple[str, int, int]]:
    with pytest.raises(InvalidRulesError) as refused:
        read(*arguments)
    return [(one.problem.code, one.line, one.column) for one in refused.value.problems if one.is_error]


def test_a_file_is_a_commands_payload(tmp_path: Path) -> None:
    assert read_template(written(tmp_path, FILE)) == {
        "description": "For a tier.",
        "dslTemplate": FILE.split("+++\n")[2],
        "parameters": [
            {"name": "tier", "type": "string", "description": "Which customers."},
            {"name": "since", "type": "timestamp", "default": "2026-01-01T00:00:00+00:00"},
            {"name": "days", "type": "list<int>", "default": [6, 7]},
        ],
    }


def test_front_matter_is_optional_and_line_ends_are_anyones(tmp_path: Path) -> None:
    found = read_template(written(tmp_path, b"\xef\xbb\xbfwhen a == 1\r\nthen set b = 2\r\n"))
    assert found == {"dslTemplate": "when a == 1\nthen set b = 2\n", "parameters": []}


def test_the_name_is_told_only_where_the_file_says_it(tmp_path: Path) -> None:
    assert read_template(written(tmp_path, '+++\nname = "other name"\n+++\nthen stop'))["name"] == "other name"
    assert "name" not in read_template(written(tmp_path, "then stop"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("+++\nname = 1\n", [("front-matter-open", 1, 1)]),
        ("+++\nname = \n+++\nthen stop", [("not-toml", 1, 1)]),
        ("+++\nname = 1\n+++\nthen stop", [("wrong-type", 2, 1)]),
        ("+++\ndescripton = 'x'\n+++\nthen stop", [("unknown-field", 2, 1)]),
        ("+++\nparameters = 'x'\n+++\nthen stop", [("wrong-type", 2, 1)]),
        ("+++\n[[parameters]]\nname = 'x'\n+++\nthen stop", [("wrong-type", 1, 1)]),
        ("+++\n[[parameters]]\nname = 'x'\ntype = 'int'\nleast = 1\n+++\nthen stop", [("unknown-field", 5, 1)]),
        ("+++\n[[parameters]]\nname = 'x'\ntype = 'text'\n+++\nthen stop", [("parameter-type", 1, 1)]),
        ("+++\nname = 'x'\n+++\nthen stop", [("name-too-short", 2, 1)]),
        ("+++\nname = 'long name'\n+++\nwhen a ==\n  ${b} then stop", [("unknown-parameter", 5, 3)]),
        ("  \n", [("dsl-empty", 1, 1)]),
        (b"when a == '\xff'", [("not-utf8", 1, 1)]),
        (b"x" * (1024 * 1024 + 1), [("too-large", 1, 1)]),
    ],
)
def test_what_is_wrong_is_told_at_its_place(
    tmp_path: Path, text: str | bytes, found: list[tuple[str, int, int]]
) -> None:
    assert problems(read_template, written(tmp_path, text)) == found


def test_the_documented_files_are_a_template_and_its_rows(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "templates.md").read_text(encoding="utf-8")
    template, rows = page.split("```\n")[1:4:2]
    payload = read_template(written(tmp_path, template))
    types = {one["name"]: one["type"] for one in payload["parameters"]}
    assert read_rows(written(tmp_path, rows, "rows.csv"), types) == [
        {"tier": "VIP", "percent": 15},
        {"tier": "GOLD", "total": 150, "percent": 10},
        {"tier": 'NEW, "trial"', "total": 500, "percent": 5},
    ]


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert problems(read_template, tmp_path / "nobody.template") == [("unreadable", 1, 1)]


class TestRows:
    def test_lines_of_json_are_rows(self, tmp_path: Path) -> None:
        path = written(tmp_path, '{"tier": "VIP", "limit": 1}\n\n{"tier": null}\n', "rows.ndjson")
        assert read_rows(path, TYPES) == [{"tier": "VIP", "limit": 1}, {"tier": None}]

    def test_cells_of_csv_are_values_by_type_and_an_empty_one_is_none(self, tmp_path: Path) -> None:
        text = 'tier,limit,days,vip,amount,other\r\nVIP,1.5,"[6, 7]",true,1.10,x\r\n\r\n"a ""b"", 5",,,,,\r\n'
        assert read_rows(written(tmp_path, text, "rows.csv"), TYPES) == [
            {"tier": "VIP", "limit": 1.5, "days": [6, 7], "vip": True, "amount": "1.10", "other": "x"},
            {"tier": 'a "b", 5'},
        ]

    @pytest.mark.parametrize(
        ("text", "name", "found"),
        [
            ("", "rows.ndjson", [("no-rows", 1, 1)]),
            ("tier\n", "rows.csv", [("no-rows", 1, 1)]),
            ('{"tier": "VIP"}\n[]\n{', "rows.ndjson", [("not-an-object", 2, 1), ("not-an-object", 3, 1)]),
            ("tier,limit\nVIP\nVIP,1\nVIP,x\n", "rows.csv", [("wrong-length", 2, 1), ("not-a-value", 4, 1)]),
            ("tier,tier,limit\nA,B,3\n", "rows.csv", [("duplicate-column", 1, 1)]),
            ('tier\n"VIP"x\n', "rows.csv", [("not-csv", 2, 1)]),
            (b"tier\n\xff\n", "rows.csv", [("not-utf8", 2, 1)]),
        ],
    )
    def test_what_is_wrong_is_told_at_its_line(
        self, tmp_path: Path, text: str | bytes, name: str, found: list[tuple[str, int, int]]
    ) -> None:
        assert problems(read_rows, written(tmp_path, text, name), TYPES) == found


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("string", '"x"', '"x"'),
        ("string", "15", "15"),
        ("timestamp", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("decimal", "1.10", "1.10"),
        ("int", "15", 15),
        ("bool", "true", True),
        ("list<string>", '["a"]', ["a"]),
        (None, "[1]", "[1]"),
    ],
)
def test_a_value_is_written_as_its_type_asks(kind: str | None, text: str, value: Any) -> None:
    assert value_of(kind, text) == value


@pytest.mark.parametrize(("kind", "text"), [("int", "fifteen"), ("bool", "yes"), ("list<int>", "1,2"), ("int", "")])
def test_a_value_that_is_no_json_is_refused(kind: str, text: str) -> None:
    with pytest.raises(ValueError, match="is written as JSON, such as"):
        value_of(kind, text)
