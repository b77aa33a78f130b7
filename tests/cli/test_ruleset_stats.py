"""``ruleset stats``: how rules are found, of files and of the rules that a worker decides by."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from domain.decisions.index import RULES_MIN
from tests.cli.conftest import Line
from tests.cli.test_rule_queries import activate

COUNTRIES = 2 * RULES_MIN
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give rules for one type: by country, one that compares two fields or asks for another type, one with `else`."""
    for number in range(COUNTRIES):
        text = f"on order.placed\nwhen country == 'C{number}'\nthen set c{number} = 1\n"
        (tmp_path / f"country-{number:02}.rule").write_text(text, encoding="utf-8")
    (tmp_path / "paid.rule").write_text(
        '+++\nname = "paid late"\n+++\non order.placed\nwhen paid < due || decision.late\nthen set d = 1\n',
        encoding="utf-8",
    )
    (tmp_path / "both.rule").write_text("on order.*\nwhen a == 1\nthen set e = 1\nelse set e = 2\n", encoding="utf-8")
    return tmp_path


class TestFiles:
    def test_it_tells_how_many_rules_are_found_by_what(self, line: Line, folder: Path) -> None:
        shown = line.run("ruleset", "stats", str(folder)).stdout
        total = COUNTRIES + 2
        assert shown.startswith(
            f"{total} rules: {COUNTRIES} looked up, 2 tried on every fact, 2 of them for what they say\n"
        )
        rows = [[cell.strip() for cell in row.split("│")[1:-1]] for row in shown.splitlines() if row.startswith("│")]
        assert rows[0][:4] == ["order.placed", f"{total}", f"{COUNTRIES}", "2"]
        assert rows[1] == ["other order.*", "1", "0", "1", "1.0"]
        assert rows[2] == ["country", "equality", f"{COUNTRIES}"]
        assert not any(row[0] == "country-00" for row in rows)

    def test_it_tells_which_rules_are_always_tried_where_why_and_what_to_write(self, line: Line, folder: Path) -> None:
        shown = line.run("ruleset", "stats", str(folder)).stdout
        rows = [[cell.strip() for cell in row.split("│")[1:-1]] for row in shown.splitlines() if row.startswith("│")]
        (row,) = (row for row in rows if row[0] == "paid late")
        assert row[1:3] == ["order.placed", "paid.rule:5:6"]
        assert row[3].startswith("it compares two values")
        assert row[4].startswith("compare one of them")
        (row,) = (row for row in rows if row[0] == "both")
        assert row[2] == "both.rule"
        assert "`else`" in row[3]

    def test_all_shows_every_rule(self, line: Line, folder: Path) -> None:
        shown = line.run("ruleset", "stats", str(folder), "--all").stdout
        rows = [[cell.strip() for cell in row.split("│")[1:-1]] for row in shown.splitlines() if row.startswith("│")]
        assert sum(row[0].startswith("country-") for row in rows) == COUNTRIES
        assert ["country-00", "country", "equality"] in [row[:3] for row in rows]

    def test_long_tables_are_cut_unless_all_is_asked_for(self, line: Line, tmp_path: Path) -> None:
        rules = "".join(
            f'{{"name": "rule {number}", "dslContent": "on t{number}\\nwhen a == b"}}\n' for number in range(30)
        )
        file = tmp_path / "rules.ndjson"
        file.write_text(rules, encoding="utf-8")
        assert "and 10 more with --all" in line.run("ruleset", "stats", str(file)).stdout
        every = line.run("ruleset", "stats", str(file), "--all").stdout
        assert "more with --all" not in every
        assert "rule 29" in every

    def test_for_programs_it_is_one_object_with_every_rule(self, line: Line, folder: Path) -> None:
        found = line.json("ruleset", "stats", str(folder))
        assert found["counts"] == {"rules": COUNTRIES + 2, "lookedUp": COUNTRIES, "tried": 2, "wide": 0}
        assert found["types"][1] == {
            "factTypes": ["order.*"],
            "rules": 1,
            "lookedUp": 0,
            "tried": 1,
            "expected": 1.0,
        }
        assert found["places"] == [{"paths": ["country"], "kinds": ["equality"], "rules": COUNTRIES}]
        assert {"asks": 'country == "C0"', "rules": 1} in found["largest"]
        by_name = {rule["name"]: rule for rule in found["rules"]}
        assert len(by_name) == COUNTRIES + 2
        assert by_name["country-00"]["triedFor"] == by_name["country-00"]["reasons"] == []
        (filing,) = by_name["country-00"]["filings"]
        assert (filing["paths"], filing["kinds"], filing["rules"]) == (["country"], ["equality"], COUNTRIES)
        assert by_name["both"]["triedFor"] == ["order.placed", "order.*"]
        first, second = by_name["paid late"]["reasons"]
        assert (first["line"], first["column"], second["column"]) == (5, 6, 20)
        assert by_name["paid late"]["file"] == str(folder / "paid.rule")
        assert "ruleset" not in found

    def test_nothing_of_a_rule_steers_the_terminal_of_who_looks_at_it(self, line: Line, tmp_path: Path) -> None:
        for number in range(COUNTRIES):
            text = f'when payload["a\u202eb"] == "[red]\u202e{number}"\nthen set a{number} = 1\n'
            (tmp_path / f"rule-{number}.rule").write_text(text, encoding="utf-8")
        shown = line.run("ruleset", "stats", str(tmp_path), "--all").stdout
        assert f"│ a\\u202eb     │ equality │    {COUNTRIES} │" in shown
        assert shown.count("all others") == 1
        assert not {"\x1b", "\u202e"} & set(shown)

    def test_one_rule_alone_is_told_of_too(self, line: Line, folder: Path) -> None:
        shown = line.run("ruleset", "stats", str(folder / "country-00.rule")).stdout
        assert shown.startswith("1 rules: 0 looked up, 1 tried on every fact, 0 of them for what they say\n")
        assert "as fast" in shown

    def test_rules_that_are_not_valid_are_refused_as_others_refuse_them(self, line: Line, folder: Path) -> None:
        (folder / "bad.rule").write_text("a ==", encoding="utf-8")
        result = line.run("ruleset", "stats", str(folder), code=1)
        assert result.stdout == ""
        assert "error[VALIDATION_ERROR]: 1 error in 1 file" in result.stderr
        assert json.loads(line.run("ruleset", "stats", str(folder), "--json", code=1).stderr)["error"]
        line.run("ruleset", "stats", str(folder / "none"), code=2)

    @pytest.mark.parametrize("name", ["flights", "orders"])
    def test_of_the_examples_everything_can_be_told_and_nothing_is_warned_of(self, line: Line, name: str) -> None:
        rules = str(EXAMPLES / name / "rules")
        for rule in line.json("ruleset", "stats", rules)["rules"]:
            assert bool(rule["filings"] or rule["triedFor"])
            assert bool(rule["reasons"]) >= bool(rule["triedFor"])
        codes = {problem["code"] for problem in line.json("lint", rules)["problems"]}
        assert "tried-always" not in codes


@pytest.mark.usefixtures("a_worker")
class TestTheWorkersRules:
    def test_without_files_it_is_about_the_versions_that_decide(self, line: Line) -> None:
        for name, dsl in (("gold", "total == paid\nthen set a = 1"), ("tin", "total > 1\nthen set b = 1")):
            line.run("rule", "create", "--actor", "ann", "--name", name, "--dsl", f"when {dsl}\n")
        activate(line, "gold")
        line.run("rule", "update", "gold", "--actor", "ann", "--dsl", "when total == 1\nthen set a = 1\n")
        found = line.json("ruleset", "stats")
        assert found["counts"] == {"rules": 1, "lookedUp": 0, "tried": 1, "wide": 0}
        assert found["ruleset"]["digest"] == line.json("ruleset", "show")["digest"]
        (rule,) = found["rules"]
        assert rule["name"] == "gold"
        assert rule["reasons"][0]["message"] == "it compares two values of the fact"
        assert rule["reasons"][0]["line"] == 1
        shown = line.run("ruleset", "stats").stdout
        assert shown.startswith("ruleset 1, 1 rules: 0 looked up, 1 tried on every fact, 1 of them for what they say\n")
        assert "1:6" in shown

    def test_no_rules_are_told_as_none(self, line: Line) -> None:
        assert line.run("ruleset", "stats").stdout.startswith("0 rules: 0 looked up, 0 tried on every fact\n")


def test_without_a_worker_it_says_so(line: Line, at_servers: dict[str, str]) -> None:
    assert "error[UNAVAILABLE]" in line.run("ruleset", "stats", code=1).stderr
