"""A rule's content: its bounds at the edge and past it, its digest, and how its times are read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.errors import ErrorCode, ValidationError
from domain.identifiers import RuleId
from domain.rules.content import Priority, RuleContent, format_moment, parse_moment

FIELDS: dict[str, Any] = {"name": "some rule", "dsl_content": "a == 1", "priority": "HIGH"}
RULE_ID = RuleId.for_name("some rule")


def problems(**fields: Any) -> list[dict[str, Any]]:
    """Return the problems of content with these fields changed."""
    with pytest.raises(ValidationError) as refused:
        RuleContent.checked(**{**FIELDS, **fields})
    assert refused.value.code is ErrorCode.VALIDATION_ERROR
    found: list[dict[str, Any]] = refused.value.details["problems"]
    assert refused.value.message == found[0]["message"]
    return found


# field, code, the exact message, and values that meet it
REFUSED = [
    ("name", "name-empty", "rule name cannot be empty", ["", " ", "\t\n", "\u00a0\u2003"]),
    ("name", "name-too-long", "rule name cannot exceed 100 characters", ["x" * 101, "é" * 101, "𒀀" * 101]),
    ("name", "name-too-short", "rule name must have at least 3 characters", ["x", "ab", "𒀀é"]),
    (
        "name",
        "name-not-printable",
        "rule name cannot hold control or invisible characters, nor begin or end with white space",
        [" abc", "abc ", "a\nb", "a\x00b", "a\x7fb", "a\u2028b", "ab\ud800", "ab\u200bc", "ab\u202ecd"],
    ),
    ("dsl_content", "dsl-empty", "DSL content cannot be empty", ["", " ", "\n\t "]),
    (
        "priority",
        "priority-unknown",
        "priority must be one of LOW, MEDIUM, HIGH, CRITICAL",
        ["", "high", "URGENT", "HIGH "],
    ),
    ("description", "description-too-long", "rule description cannot exceed 500 characters", ["x" * 501, "𒀀" * 501]),
    ("tags", "too-many-tags", "a rule cannot have more than 20 tags", [[str(number) for number in range(21)]]),
    ("tags", "tag-invalid", "a tag is 1 to 50 printable characters", [[""], ["x" * 51], ["ok", "a\x00"]]),
    (
        "effective_from",
        "not-a-time",
        "effectiveFrom must be an RFC 3339 time with an offset, like 2026-01-31T00:00:00Z",
        ["", "now", "2026-01-31", "2026-01-31T00:00:00", "2026-01-31 00:00:00Z", "2026-01-31T00:00:00Z\n"],
    ),
    ("effective_until", "not-a-time", "effectiveUntil is not a time that exists", ["2026-02-30T00:00:00Z"]),
]
ACCEPTED = [
    ("name", ["abc", "x" * 100, "𒀀" * 100, "Ünï 規則", "a  b"]),
    ("dsl_content", ["x", " a == 1\n"]),
    ("priority", ["LOW", "MEDIUM", "HIGH", "CRITICAL"]),
    ("description", [None, "", "x" * 500, "𒀀" * 500, "two\nlines\tand a tab"]),
    ("tags", [None, [], ["x"], ["x" * 50], [str(number) for number in range(20)], ["same"] * 21]),
    ("effective_from", [None, "2026-01-31T00:00:00Z", "2026-01-31T00:00:00.123456+05:30"]),
]


@pytest.mark.parametrize(
    ("field", "code", "message", "value"),
    [
        pytest.param(field, code, message, value, id=f"{code}-{number}")
        for field, code, message, values in REFUSED
        for number, value in enumerate(values)
    ],
)
def test_a_field_past_its_bounds_is_refused_with_the_contracts_message(
    field: str, code: str, message: str, value: Any
) -> None:
    found = problems(**{field: value})
    assert [(one["code"], one["message"]) for one in found] == [(code, message)]


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in ACCEPTED for value in values])
def test_a_field_at_its_bounds_is_accepted(field: str, value: Any) -> None:
    RuleContent.checked(**{**FIELDS, field: value})


def test_every_fields_problem_is_reported_at_once() -> None:
    found = problems(name="", dsl_content=" ", priority="?", tags=[""], effective_from="?", effective_until="?")
    assert [one["field"] for one in found] == [
        "name",
        "dslContent",
        "priority",
        "tags",
        "effectiveFrom",
        "effectiveUntil",
    ]


def test_a_description_cannot_hold_what_the_database_cannot() -> None:
    assert [one["code"] for one in problems(description="a\x00b")] == ["description-not-text"]
    assert [one["code"] for one in problems(description="a\ud800b")] == ["description-not-text"]


def test_dsl_content_cannot_hold_what_the_database_cannot() -> None:
    assert [one["code"] for one in problems(dsl_content='a == "\x00"')] == ["dsl-not-text"]
    assert [one["code"] for one in problems(dsl_content='a == "\ud800"')] == ["dsl-not-text"]


@pytest.mark.parametrize("until", ["2026-01-31T00:00:00Z", "2026-01-31T01:00:00+01:00", "2026-01-30T23:59:59Z"])
def test_a_period_that_ends_before_it_begins_or_is_empty_is_refused(until: str) -> None:
    found = problems(effective_from="2026-01-31T00:00:00Z", effective_until=until)
    assert [(one["field"], one["code"]) for one in found] == [("effectiveUntil", "empty-period")]


def test_a_period_of_a_microsecond_is_accepted() -> None:
    made = RuleContent.checked(
        **FIELDS, effective_from="2026-01-31T00:00:00Z", effective_until="2026-01-31T00:00:00.000001Z"
    )
    assert made.effective_from is not None
    assert made.effective_until == made.effective_from + timedelta(microseconds=1)


def test_repeated_tags_are_kept_once_in_their_order() -> None:
    assert RuleContent.checked(**FIELDS, tags=["b", "a", "b"]).tags == ("b", "a")


def test_priorities_rank_from_the_most_important_on() -> None:
    assert sorted(Priority, key=lambda one: one.rank) == ["CRITICAL", "HIGH", "MEDIUM", "LOW"]


MOMENTS = [
    ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
    ("2026-01-31t12:00:00z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
    ("2026-01-31T12:00:00+05:30", datetime(2026, 1, 31, 6, 30, tzinfo=UTC)),
    ("2026-01-31T12:00:00-08:00", datetime(2026, 1, 31, 20, tzinfo=UTC)),
    ("2026-01-31T12:00:00.5Z", datetime(2026, 1, 31, 12, 0, 0, 500_000, tzinfo=UTC)),
    ("2026-01-31T12:00:00.000001Z", datetime(2026, 1, 31, 12, 0, 0, 1, tzinfo=UTC)),
    ("2024-02-29T00:00:00Z", datetime(2024, 2, 29, tzinfo=UTC)),
]
NOT_MOMENTS = [
    ("2026-01-31T12:00:00.0000001Z", "cannot be finer than a microsecond"),
    ("2025-02-29T00:00:00Z", "is not a time that exists"),
    ("2026-13-01T00:00:00Z", "is not a time that exists"),
    ("2026-01-31T24:00:01Z", "is not a time that exists"),
    ("2026-01-31T23:59:60Z", "is not a time that exists"),
    ("0001-01-01T00:00:00+01:00", "is not a time that exists"),
    ("9999-12-31T23:59:59-01:00", "is not a time that exists"),
    ("2026-01-31T12:00:00+0530", "must be an RFC 3339 time"),
    ("2026-01-31T12:00Z", "must be an RFC 3339 time"),
    ("20260131T120000Z", "must be an RFC 3339 time"),
    ("٢٠٢٦-01-31T12:00:00Z", "must be an RFC 3339 time"),
]


@pytest.mark.parametrize(("text", "moment"), MOMENTS)
def test_a_time_is_read_as_utc(text: str, moment: datetime) -> None:
    assert parse_moment(text) == moment
    assert parse_moment(text).tzinfo is UTC


@pytest.mark.parametrize(("text", "reason"), NOT_MOMENTS)
def test_what_is_no_time_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_moment(text)


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)), st.integers(-840, 840))  # noqa: DTZ001
def test_a_time_that_was_written_reads_as_the_same_moment(moment: datetime, offset_minutes: int) -> None:
    local = moment.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))
    assert parse_moment(format_moment(local)) == local


TEXT = st.text(max_size=12)
MOMENT = st.none() | st.datetimes(timezones=st.just(UTC))
CONTENT = st.builds(
    RuleContent,
    name=TEXT,
    dsl_content=TEXT,
    priority=st.sampled_from(Priority),
    description=TEXT,
    tags=st.lists(TEXT, max_size=3).map(tuple),
    effective_from=MOMENT,
    effective_until=MOMENT,
)
CHANGES: list[dict[str, Any]] = [
    {"name": "other rule"},
    {"dsl_content": "a == 2"},
    {"priority": Priority.LOW},
    {"description": "other"},
    {"tags": ("b", "a")},
    {"tags": ("ab",)},
    {"tags": ()},
    {"effective_from": None},
    {"effective_from": datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC)},
    {"effective_until": None},
]
FULL = RuleContent(
    "some rule",
    "a == 1",
    Priority.HIGH,
    "text",
    ("a", "b"),
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2027, 1, 1, tzinfo=UTC),
)


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_any_field_that_changes_changes_the_digest(change: dict[str, Any]) -> None:
    assert replace(FULL, **change).digest(RULE_ID, 1) != FULL.digest(RULE_ID, 1)


def test_the_digest_is_of_one_version_of_one_rule() -> None:
    digests = {
        FULL.digest(RULE_ID, 1),
        FULL.digest(RULE_ID, 2),
        FULL.digest(RuleId.for_name("another"), 1),
    }
    assert len(digests) == 3


def test_the_digest_does_not_depend_on_how_a_moment_is_spelled() -> None:
    spelled = replace(FULL, effective_from=datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))))
    assert spelled.digest(RULE_ID, 1) == FULL.digest(RULE_ID, 1)


def test_the_digest_is_pinned_since_stored_rulesets_depend_on_it() -> None:
    # Computed by hand: SHA-256 over the tag "rulestream.rule.1" and, for each text, its length and its UTF-8 bytes.
    assert FULL.digest(RuleId("00000000-0000-0000-0000-000000000001"), 7).hex() == PINNED_DIGEST


@given(CONTENT, CONTENT)
def test_two_contents_share_a_digest_only_when_they_are_equal(one: RuleContent, other: RuleContent) -> None:
    assume(one != other)
    assert one.digest(RULE_ID, 1) != other.digest(RULE_ID, 1)


@given(st.lists(TEXT, max_size=4), st.lists(TEXT, max_size=4))
def test_where_one_text_ends_and_the_next_begins_matters(left: list[str], right: list[str]) -> None:
    assume(left != right)
    one, other = replace(FULL, tags=tuple(left)), replace(FULL, tags=tuple(right))
    assert one.digest(RULE_ID, 1) != other.digest(RULE_ID, 1)


PINNED_DIGEST = "5a57f1acf28852d95c7f59b3c04e96b8ba431940150bc03f2318759c649a917a"
