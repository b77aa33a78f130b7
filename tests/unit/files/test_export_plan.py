"""Exports into folders: which files are written, which are kept, and how they are named."""

from __future__ import annotations

import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.identifiers import RuleId
from domain.rules.content import Priority, RuleContent
from worker.files.export import ExportedRule, ExportPlan, file_stem, plan_export
from worker.files.folder import UnwritableError, rule_files, write_files
from worker.files.front_matter import rule_text
from worker.files.rules import read_rules


def rule_id(number: int) -> RuleId:
    return RuleId(f"{number:08x}-0000-4000-8000-000000000000")


def rule(name: str, number: int = 1, dsl: str = "total > 1", age: int = 0) -> ExportedRule:
    created_at = f"2026-01-01T00:00:{59 - age:02d}Z"
    return ExportedRule(rule_id(number), created_at, RuleContent(name, dsl, Priority.LOW))


def text_of(one: ExportedRule, *, with_id: bool = True) -> str:
    return rule_text(one.content, one.rule_id if with_id else None)


GOLD = rule("gold")
CHANGED = rule("gold", dsl="total > 2")
BY_HAND = "+++\n# ours\npriority = 'LOW'\n+++\ntotal > 1\n"


class TestNames:
    @pytest.mark.parametrize(
        ("name", "stem"),
        [
            ("VIP over 100", "VIP-over-100"),
            ("../../etc/passwd", "etc-passwd"),
            ("C:\\rules\\a", "C-rules-a"),
            (".hidden", "hidden"),
            ("a//b??c", "a-b-c"),
            ("prix élevé 価格", "prix-élevé-価格"),
            ("e\u0301t\u00e9", "\u00e9t\u00e9"),
            ("???", "rule"),
            ("...", "rule"),
            ("v1.2_b", "v1.2_b"),
        ],
    )
    def test_a_stem_is_made_of_letters_digits_and_marks_that_no_file_system_minds(self, name: str, stem: str):
        assert file_stem(name) == stem

    def test_of_names_that_are_alike_the_oldest_rule_has_the_plain_file(self):
        names = ["gold rule", "Gold Rule", "gold/rule", "GOLD-RULE"]
        rules = [rule(name, number, age=number) for number, name in enumerate(names, start=1)]
        assert sorted(plan_export(rules, {}).writes) == [
            "GOLD-RULE.rule",
            "Gold-Rule-00000002.rule",
            "gold-rule-00000001.rule",
            "gold-rule-00000003.rule",
        ]

    def test_names_that_differ_in_the_form_of_an_accent_have_two_files(self):
        names = list(plan_export([rule("\u00e9t\u00e9", 1), rule("e\u0301te\u0301", 2)], {}).writes)
        assert len({unicodedata.normalize("NFC", name) for name in names}) == 2

    @pytest.mark.parametrize("name", ["con", "NUL", "aux.txt", "Lpt1"])
    def test_a_name_that_some_system_reserves_carries_the_id(self, name: str):
        assert list(plan_export([rule(name)], {}).writes) == [f"{name}-00000001.rule"]

    def test_a_very_long_name_is_cut_and_carries_the_id(self):
        (name,) = plan_export([rule("価" * 100)], {}).writes
        assert name == "価" * 66 + "-00000001.rule"

    def test_a_name_that_is_another_rules_fallback_is_no_clash(self):
        rules = [rule("gold", 1, age=3), rule("GOLD", 2, age=1), rule("gold-00000002", 3, age=2)]
        names = plan_export(rules, {}).writes
        assert sorted(names) == [f"GOLD-{rule_id(2)}.rule", "gold-00000002.rule", "gold.rule"]


class TestFiles:
    def test_a_file_that_is_written_already_stays(self):
        assert plan_export([GOLD], {"gold.rule": text_of(GOLD)}) == ExportPlan(unchanged=["gold.rule"])
        assert plan_export([GOLD], {"gold.rule": text_of(GOLD).replace("\n", "\r\n")}).unchanged == ["gold.rule"]

    def test_a_file_that_an_export_wrote_is_written_anew_under_the_name_it_has(self):
        found = {"moved.rule": text_of(GOLD)}
        assert plan_export([CHANGED], found) == ExportPlan(writes={"moved.rule": text_of(CHANGED)})

    def test_a_rule_that_was_renamed_keeps_its_file(self):
        silver = rule("silver")
        assert plan_export([silver], {"gold.rule": text_of(GOLD)}).writes == {"gold.rule": text_of(silver)}

    def test_a_file_that_a_person_wrote_is_kept_when_it_says_the_same(self):
        assert plan_export([GOLD], {"gold.rule": BY_HAND}) == ExportPlan(unchanged=["gold.rule"])

    @pytest.mark.parametrize("text", [BY_HAND, text_of(GOLD).replace("total > 1", "total > 3")])
    def test_a_file_that_a_person_wrote_or_changed_is_refused_when_it_says_something_else(self, text: str):
        plan = plan_export([CHANGED], {"gold.rule": text})
        assert plan == ExportPlan(refused={"gold.rule": "it says something else, and not in an export's words"})
        assert plan_export([CHANGED], {"gold.rule": text}, force=True).writes == {"gold.rule": text_of(CHANGED)}

    @pytest.mark.parametrize("text", [None, "+++\n", ""])
    def test_a_file_that_is_no_rule_is_refused_where_the_rules_file_would_be(self, text: str | None):
        found = {"GOLD.rule": text}
        assert plan_export([GOLD], found).refused == {"GOLD.rule": "it is no rule file that can be read"}
        assert plan_export([GOLD], found, force=True).writes == {"GOLD.rule": text_of(GOLD)}

    def test_another_rules_file_is_passed_by_and_told(self):
        """A draft that was never applied may have any file's name."""
        found = {"gold.rule": "+++\nname = 'new'\n+++\nx\n"}
        plan = plan_export([GOLD], found)
        assert plan == ExportPlan(writes={"gold-00000001.rule": text_of(GOLD)}, others=["gold.rule"])
        assert plan_export([GOLD], found, force=True) == plan

    def test_without_ids_a_file_is_found_by_its_name_and_an_older_one_with_an_id_is_written_anew(self):
        text = text_of(GOLD, with_id=False)
        assert plan_export([GOLD], {"moved.rule": text}, with_ids=False).unchanged == ["moved.rule"]
        assert plan_export([GOLD], {"gold.rule": text_of(GOLD)}, with_ids=False).writes == {"gold.rule": text}

    def test_the_order_of_rules_and_files_does_not_matter(self):
        rules = [rule(name, number) for number, name in enumerate(["Gold", "gold", "silver"], start=1)]
        found = {"b.rule": text_of(rules[0]), "a.rule": text_of(rules[2])}
        plan = plan_export(rules, found)
        assert plan_export(rules[::-1], dict(sorted(found.items()))) == plan


_printable = st.characters(exclude_categories=["Cs", "Cc", "Cf", "Zl", "Zp"])
_names = st.text(_printable | st.sampled_from("aAéÉß/.\\-: "), min_size=3, max_size=100).filter(
    lambda name: name == name.strip()
)


@given(st.lists(_names, min_size=1, max_size=8, unique=True))
def test_any_rules_are_read_back_from_the_folder_they_were_exported_to(names: list[str]):
    """Each from a file of its own on any file system, and a second export finds nothing to write."""
    rules = [rule(name, number, f"total > {number}") for number, name in enumerate(names, start=1)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "rules"
        write_files(folder, plan_export(rules, rule_files(folder)).writes)
        read = {one.rule_id: one.content.name for one in read_rules(folder)}
        again = plan_export(rules, rule_files(folder))
        files = [path.name for path in folder.iterdir()]

    assert read == {one.rule_id: one.content.name for one in rules}
    assert (again.writes, again.refused, again.others) == ({}, {}, [])
    assert len({unicodedata.normalize("NFC", file).casefold() for file in files}) == len(rules)
    assert all(len(file.encode()) <= 255 for file in files)


def test_what_cannot_be_written_is_said_and_nothing_half_is_left(tmp_path: Path):
    (tmp_path / "gold.rule").mkdir()
    with pytest.raises(UnwritableError):
        write_files(tmp_path, {"gold.rule": "x"})
    (tmp_path / "file").touch()
    with pytest.raises(UnwritableError):
        write_files(tmp_path / "file" / "folder", {"gold.rule": "x"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "gold.rule"]


def test_what_is_no_text_is_found_all_the_same(tmp_path: Path):
    (tmp_path / "a.rule").write_bytes(b"\xff")
    (tmp_path / "b.rule").mkdir()
    (tmp_path / "c.rule").write_text("x")
    (tmp_path / "d.txt").write_text("x")
    assert rule_files(tmp_path) == {"a.rule": None, "b.rule": None, "c.rule": "x"}
    assert rule_files(tmp_path / "absent") == {}
