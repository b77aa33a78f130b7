"""Plans: what files change of the worker's rules, without asking anyone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.identifiers import RuleId
from domain.language import compile_rule
from domain.rules.content import Priority, RuleContent
from domain.rules.status import RuleStatus
from streams.messages.queries import RuleSummary
from worker.files.plan import Action, KnownRules, Plan, StoredRule, plan_changes
from worker.files.rules import RuleSource

DSL = "when total > 1\nthen set a = 1\n"
GOLD = RuleContent("gold", DSL, Priority.HIGH, "For gold.", ("shop",), datetime(2026, 1, 1, tzinfo=UTC))
ID, OTHER_ID = RuleId("00000000-0000-4000-8000-000000000001"), RuleId("00000000-0000-4000-8000-000000000002")
COMPILED = compile_rule("total > 1")


def source(content: RuleContent = GOLD, rule_id: RuleId | None = None, origin: str | None = None) -> RuleSource:
    return RuleSource(origin or f"rules/{content.name}.rule", rule_id, content, COMPILED)


def stored(
    content: RuleContent = GOLD,
    rule_id: RuleId = ID,
    status: RuleStatus = RuleStatus.DRAFT,
    version: int = 3,
    active: int | None = None,
) -> StoredRule:
    return StoredRule(rule_id, version, active, status, content)


def known(*rules: StoredRule, listed: tuple[RuleSummary, ...] = (), **holders: RuleId) -> KnownRules:
    names = {rule.content.name: rule.rule_id for rule in rules}
    return KnownRules({rule.rule_id: rule for rule in rules}, names | holders, listed)


def summary(rule_id: RuleId, name: str) -> RuleSummary:
    return RuleSummary(
        rule_id=rule_id.value,
        name=name,
        description="",
        priority="LOW",
        tags=[],
        status="ACTIVE",
        version=1,
        active_version=1,
        created_by="ann",
        created_at="2026-01-01T00:00:00Z",
        updated_by="ann",
        updated_at="2026-01-01T00:00:00Z",
        approved_by=None,
        effective_from=None,
        effective_until=None,
    )


def content(name: str = "gold", dsl: str = DSL, **fields) -> RuleContent:
    return RuleContent(name, dsl, fields.pop("priority", Priority.HIGH), **fields)


def only(plan: Plan):
    (planned,) = plan.rules
    return planned


def test_a_rule_that_the_worker_does_not_have_is_created_with_all_that_its_file_says():
    planned = only(plan_changes([source()], known()))
    assert planned.action is Action.CREATE
    assert planned.payload == {
        "name": "gold",
        "dslContent": DSL,
        "priority": "HIGH",
        "description": "For gold.",
        "tags": ["shop"],
        "effectiveFrom": "2026-01-01T00:00:00Z",
    }


@pytest.mark.parametrize("rule_id", [None, ID])
def test_a_rule_that_is_as_its_file_says_stays(rule_id: RuleId | None):
    planned = only(plan_changes([source(rule_id=rule_id)], known(stored())))
    assert (planned.action, planned.changes) == (Action.NOTHING, {})


def test_line_ends_are_no_change():
    there = stored(content(dsl="when total > 1\r\nthen set a = 1"))
    assert only(plan_changes([source(content())], known(there))).action is Action.NOTHING


def test_an_update_carries_the_changed_fields_over_the_version_that_was_compared():
    after = content(dsl="when total > 2\nthen set a = 1\n", description="For gold.", tags=("shop",))
    planned = only(plan_changes([source(after)], known(stored())))
    assert planned.action is Action.UPDATE
    assert planned.payload == {
        "ruleId": ID.value,
        "expectedVersion": 3,
        "dslContent": after.dsl_content,
        "effectiveFrom": None,
    }


def test_a_field_that_a_file_leaves_out_is_cleared():
    planned = only(plan_changes([source(RuleContent("gold", DSL, Priority.MEDIUM))], known(stored())))
    assert planned.changes == {
        "description": ("For gold.", None),
        "priority": ("HIGH", "MEDIUM"),
        "tags": (["shop"], []),
        "effectiveFrom": ("2026-01-01T00:00:00Z", None),
    }
    assert planned.payload["tags"] == []


def test_a_file_with_an_id_renames_its_rule():
    planned = only(plan_changes([source(content("silver"), ID)], known(stored(content()))))
    assert (planned.action, planned.changes) == (Action.UPDATE, {"name": ("gold", "silver")})


def test_a_file_is_for_the_rule_whose_deciding_version_holds_its_name():
    """Its latest version may have another name: the file says what the latest is to be."""
    there = stored(content("silver"), active=2)
    planned = only(plan_changes([source(content())], known(there, gold=ID)))
    assert (planned.action, planned.changes) == (Action.UPDATE, {"name": ("silver", "gold")})


def problem_of(plan: Plan, at: int = -1) -> str:
    assert plan.rules[at].action is Action.PROBLEM
    assert plan.problems == [plan.rules[at]]
    return plan.rules[at].problem or ""


def test_an_id_that_the_worker_does_not_have_is_a_problem_even_where_the_name_exists():
    found = plan_changes([source(rule_id=OTHER_ID)], known(stored()))
    assert problem_of(found) == f"the worker has no rule {OTHER_ID}; a file without ruleId goes by its name"


def test_two_files_for_one_rule_are_a_problem():
    """One by its id, the other by its name: the reader of files cannot know."""
    found = plan_changes([source(content("silver"), ID), source(content())], known(stored()))
    assert found.rules[0].action is Action.UPDATE
    assert problem_of(found) == f"rules/silver.rule is for the same rule, {ID}"


def test_a_name_that_another_rule_holds_is_a_problem():
    there = known(stored(), stored(content("silver"), OTHER_ID))
    found = plan_changes([source(content("silver"), ID)], there)
    assert problem_of(found) == f"rule name already exists: rule {OTHER_ID} holds it"


def test_a_deprecated_rule_that_is_to_change_is_a_problem_and_else_is_none():
    there = known(stored(status=RuleStatus.DEPRECATED))
    assert only(plan_changes([source()], there)).action is Action.NOTHING
    found = plan_changes([source(content())], there)
    assert problem_of(found) == "a rule in status DEPRECATED cannot be updated"
    assert found.rules[0].changes


@pytest.mark.parametrize(
    ("status", "active", "said"),
    [
        (RuleStatus.DRAFT, None, "version 4 in DRAFT"),
        (RuleStatus.DRAFT, 2, "version 4 in DRAFT; version 2 goes on deciding"),
        (RuleStatus.UNDER_REVIEW, None, "version 4 in DRAFT; version 3 leaves review"),
        (
            RuleStatus.APPROVED,
            1,
            "version 4 in DRAFT; version 3, approved, is not activated; version 1 goes on deciding",
        ),
        (RuleStatus.ACTIVE, 3, "version 4 in DRAFT; version 3 goes on deciding"),
        (RuleStatus.INACTIVE, None, "version 4 in DRAFT"),
    ],
)
def test_an_update_says_what_becomes_of_the_versions_there_are(status: RuleStatus, active: int | None, said: str):
    there = known(stored(status=status, active=active))
    planned = only(plan_changes([source(content())], there))
    assert (planned.action, planned.consequence) == (Action.UPDATE, said)


def test_rules_of_no_file_are_told_by_name():
    listed = (summary(OTHER_ID, "silver"), summary(ID, "gold"), summary(RuleId("x"), "bronze"))
    found = plan_changes([source()], known(stored(), listed=listed))
    assert [rule.name for rule in found.not_in_folder] == ["bronze", "silver"]


def test_a_diff_shows_the_lines_that_change():
    planned = only(plan_changes([source(content(dsl="when total > 2\nthen set a = 1\n"))], known(stored())))
    assert planned.dsl_diff() == [
        "--- gold version 3",
        "+++ rules/gold.rule",
        "@@ -1,2 +1,2 @@",
        "-when total > 1",
        "+when total > 2",
        " then set a = 1",
    ]
    assert only(plan_changes([source()], known(stored()))).dsl_diff() == []


_contents = st.builds(
    RuleContent,
    st.sampled_from(["gold", "silver", "bronze"]),
    st.sampled_from([DSL, DSL + "\n", "total > 2", DSL.replace("\n", "\r\n")]),
    st.sampled_from(Priority),
    st.sampled_from(["", "some"]),
    st.sampled_from([(), ("a",), ("b", "a")]),
    st.sampled_from([None, datetime(2026, 1, 1, tzinfo=UTC)]),
)


@given(st.lists(_contents, unique_by=lambda one: one.name), st.lists(_contents, unique_by=lambda one: one.name))
def test_what_a_plan_sends_makes_the_next_plan_empty(files: list[RuleContent], there: list[RuleContent]):
    """And every rule of the worker is either a file's or told as of none."""
    ids = {
        name: RuleId(f"00000000-0000-4000-8000-00000000000{at}") for at, name in enumerate(("gold", "silver", "bronze"))
    }
    rules = [stored(one, ids[one.name]) for one in there]
    listed = tuple(summary(rule.rule_id, rule.content.name) for rule in rules)
    plan = plan_changes([source(one) for one in files], known(*rules, listed=listed))
    after = {rule.content.name: rule for rule in rules}
    for planned in plan.changes:
        fields = {} if planned.stored is None else {**_fields(planned.stored.content)}
        fields |= {key: value for key, value in planned.payload.items() if key not in {"ruleId", "expectedVersion"}}
        made = _made(fields)
        after[made.name] = stored(made, ids[made.name], version=4)

    assert plan_changes([source(one) for one in files], known(*after.values())).changes == []
    named = {one.name for one in files}
    assert {rule.name for rule in plan.not_in_folder} == {one.name for one in there} - named
    assert sum(plan.counts().values()) == len(files)


def _fields(content: RuleContent) -> dict:
    start = None if content.effective_from is None else content.effective_from.isoformat()
    return {
        "name": content.name,
        "dslContent": content.dsl_content,
        "priority": content.priority.value,
        "description": content.description,
        "tags": content.tags,
        "effectiveFrom": start,
    }


def _made(fields: dict) -> RuleContent:
    """Make content of a payload as the worker does."""
    return RuleContent.checked(
        name=fields["name"],
        dsl_content=fields["dslContent"],
        priority=fields["priority"],
        description=fields.get("description"),
        tags=fields.get("tags"),
        effective_from=fields.get("effectiveFrom"),
    )
