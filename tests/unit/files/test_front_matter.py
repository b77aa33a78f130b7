"""Rules written as files and lines: what is written is read back as the same rule, whatever it holds."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.identifiers import RuleId
from domain.rules.content import Priority, RuleContent
from worker.files.content import content_changes, same_dsl
from worker.files.front_matter import is_as_written, read_written, rule_line, rule_text
from worker.files.rules import inspect_rules

RULE_ID = RuleId("6f1c55a5-0a3c-5c0c-9e49-5d6b7c6d3f10")
CONTENT = RuleContent(
    name="VIP desk / EU",
    dsl_content='when customer.tier == "VIP"\nthen set desk = true',
    priority=Priority.HIGH,
    description='Says "call", then\nwaits.',
    tags=("a", "ü"),
    effective_from=datetime(2026, 1, 1, tzinfo=UTC),
    effective_until=datetime(2027, 1, 1, 0, 0, 0, 5, tzinfo=UTC),
)
WRITTEN = """\
+++
# written by rulestream export, digest 6302ee49c2dfb3e3
name = "VIP desk / EU"
ruleId = "6f1c55a5-0a3c-5c0c-9e49-5d6b7c6d3f10"
priority = "HIGH"
description = "Says \\"call\\", then\\nwaits."
tags = ["a", "ü"]
effectiveFrom = 2026-01-01T00:00:00Z
effectiveUntil = 2027-01-01T00:00:00.000005Z
+++
when customer.tier == "VIP"
then set desk = true
"""

# What a rule's fields may hold (``RuleContent.checked``).
_characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
_printable = st.characters(exclude_categories=["Cs", "Cc", "Cf", "Zl", "Zp"])
_names = st.text(_printable, min_size=3, max_size=100).filter(lambda name: name == name.strip() and len(name) > 2)
_texts = st.text(_characters | st.sampled_from('\r\n\t"\\+#=\x7f\ufeff'), max_size=500)
_moments = st.none() | st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@st.composite
def contents(draw: st.DrawFn, dsl: st.SearchStrategy[str]) -> RuleContent:
    """Draw content that a worker could have accepted, but for the DSL."""
    start, end = draw(_moments), draw(_moments)
    if start is not None and end is not None and start >= end:
        end = None
    tags = draw(st.lists(st.text(_printable, min_size=1, max_size=50), max_size=20, unique=True))
    priority = draw(st.sampled_from(Priority))
    return RuleContent(draw(_names), draw(dsl), priority, draw(_texts), tuple(tags), start, end)


_any_dsl = _texts.filter(lambda text: text.strip() != "")
_right_dsl = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "\n", "\r\n", "\t", "// +++\n", "\r\n// ++\r\n"]),
    st.sampled_from(["total > 1", "when a\nthen set b = 1", "when a\r\nthen\r\n  set b = 'x'"]),
    st.builds("\n//{}".format, st.text(_printable, max_size=20)) | st.just(""),
    st.sampled_from(["", "\n", "\r\n", "\n\n", "\n\r\n"]),
)


def test_a_rule_is_written_in_one_form():
    assert rule_text(CONTENT, RULE_ID) == WRITTEN
    assert rule_text(RuleContent("abc", "x\n\n", Priority.MEDIUM), None).endswith(
        '\nname = "abc"\npriority = "MEDIUM"\n+++\nx\n'
    )


def test_a_line_has_the_fields_that_the_rule_has():
    assert json.loads(rule_line(RuleContent("abc", "x\r\n", Priority.LOW), None)) == {
        "name": "abc",
        "dslContent": "x\r\n",
        "priority": "LOW",
    }
    whole = json.loads(rule_line(CONTENT, RULE_ID))
    assert (whole["ruleId"], whole["tags"], whole["effectiveFrom"]) == (
        RULE_ID.value,
        ["a", "ü"],
        "2026-01-01T00:00:00Z",
    )


@given(contents(_any_dsl))
def test_any_rule_is_read_back_from_its_file(content: RuleContent):
    """Whatever its fields and DSL hold, and though version control may change line ends."""
    text = rule_text(content, RULE_ID)
    written = read_written(text, "another-name")

    assert written is not None
    assert written.rule_id == RULE_ID
    assert content_changes(content, written.content) == {}
    assert is_as_written(text)
    assert rule_text(written.content, RULE_ID) == text


@given(contents(_right_dsl), st.booleans(), st.sampled_from(["rule.rule", "rules.ndjson"]))
def test_any_rule_with_right_dsl_is_read_back_by_the_reader_of_rules(content: RuleContent, has_id: bool, name: str):
    """By what ``apply``, ``lint`` and ``eval`` read files with, from a rule file and from a line."""
    rule_id = RULE_ID if has_id else None
    text = (rule_text if name.endswith(".rule") else rule_line)(content, rule_id)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(text.encode())
        found = inspect_rules(path)

    assert not found.has_errors, found.problems
    (source,) = found.sources
    assert source.rule_id == rule_id
    assert content_changes(content, source.content) == {}


@given(_texts)
def test_the_compared_form_of_dsl_is_its_own(text: str):
    assert same_dsl(same_dsl(text)) == same_dsl(text)
    assert same_dsl(text.replace("\n", "\r\n")) == same_dsl(text)
    assert same_dsl(text + "\n") == same_dsl(text)


def test_dsl_that_differs_by_more_than_line_ends_differs():
    other = RuleContent("abc", "a  > 1", Priority.LOW)
    assert content_changes(RuleContent("abc", "a > 1\r\n", Priority.LOW), other) == {
        "dslContent": ("a > 1\r\n", "a  > 1")
    }


@pytest.mark.parametrize(
    ("text", "is_ours"),
    [
        (WRITTEN, True),
        (WRITTEN.replace("\n", "\r\n"), True),
        (WRITTEN.replace("HIGH", "LOW"), False),
        (WRITTEN + "\n", False),
        (WRITTEN.replace("digest 6", "digest x"), False),
        ("+++\n" + WRITTEN.partition("\n")[2].partition("\n")[2], False),
        ("", False),
        ("total > 1\n", False),
    ],
)
def test_a_text_that_nobody_changed_is_known_by_its_digest(text: str, is_ours: bool):
    assert is_as_written(text) is is_ours


@pytest.mark.parametrize(
    "text",
    [
        "+++\nname = 'abc'\n",
        "+++\nname = \n+++\nx\n",
        "+++\nname = 3\n+++\nx\n",
        "+++\nruleId = 'x'\n+++\nx\n",
        "+++\nruleId = 3\n+++\nx\n",
        "+++\ntags = [[1]]\n+++\nx\n",
        "+++\npriority = 'URGENT'\n+++\nx\n",
        "",
    ],
)
def test_what_is_no_rule_is_none(text: str):
    assert read_written(text, "abc") is None


def test_a_file_without_front_matter_is_named_after_itself():
    written = read_written("\ufefftotal > 1\r\n", "abc")
    assert written is not None
    assert written.rule_id is None
    assert written.content == RuleContent("abc", "total > 1\n", Priority.MEDIUM)
