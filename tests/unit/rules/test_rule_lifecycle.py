"""The Rule aggregate: the whole status machine as a table, four eyes, versions, names and events."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from domain.errors import BusinessError, ConflictError, NotFoundError
from domain.identifiers import Actor, RuleId
from domain.rules.content import Priority, RuleContent
from domain.rules.events import EventName, RuleEvent
from domain.rules.rule import Rule
from domain.rules.status import RuleStatus, Transition

ALICE = Actor("alice")
BOB = Actor("bob")
CAROL = Actor("carol")
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
RULE_ID = RuleId.for_name("some rule")


def content(name: str = "some rule", dsl: str = "a == 1") -> RuleContent:
    return RuleContent(name, dsl, Priority.MEDIUM)


def draft() -> Rule:
    return Rule.create(RULE_ID, content(), ALICE, NOW)


def under_review() -> Rule:
    rule = draft()
    rule.submit(None, ALICE, NOW)
    return rule


def approved() -> Rule:
    rule = under_review()
    rule.approve(1, None, BOB, NOW)
    return rule


def active() -> Rule:
    rule = approved()
    rule.activate(CAROL, NOW)
    return rule


def inactive() -> Rule:
    rule = active()
    rule.deactivate(CAROL, NOW)
    return rule


def deprecated() -> Rule:
    rule = active()
    rule.deprecate(CAROL, NOW)
    return rule


def draft_over_active() -> Rule:
    rule = active()
    rule.update(content("new name", "a == 2"), 1, ALICE, NOW)
    return rule


IN_STATUS: dict[RuleStatus, Callable[[], Rule]] = {
    RuleStatus.DRAFT: draft,
    RuleStatus.UNDER_REVIEW: under_review,
    RuleStatus.APPROVED: approved,
    RuleStatus.ACTIVE: active,
    RuleStatus.INACTIVE: inactive,
    RuleStatus.DEPRECATED: deprecated,
}

DO: dict[Transition, Callable[[Rule], None]] = {
    Transition.UPDATE: lambda rule: rule.update(content(dsl="a == 2"), rule.version, ALICE, LATER),
    Transition.SUBMIT: lambda rule: rule.submit(rule.version, ALICE, LATER),
    Transition.APPROVE: lambda rule: rule.approve(rule.version, None, BOB, LATER),
    Transition.REJECT: lambda rule: rule.reject("not yet", BOB, LATER),
    Transition.ACTIVATE: lambda rule: rule.activate(CAROL, LATER),
    Transition.DEACTIVATE: lambda rule: rule.deactivate(CAROL, LATER),
    Transition.DEPRECATE: lambda rule: rule.deprecate(CAROL, LATER),
    Transition.ROLL_BACK: lambda rule: rule.roll_back(active().latest, CAROL, LATER),
    Transition.DELETE: lambda rule: rule.delete(ALICE, LATER),
}

# Every status and transition of the plain life of one version: the status after it, or None where it is refused.
# DRAFT here was never submitted; ROLL_BACK finds no earlier version in a rule that has only one (tested apart).
S = RuleStatus
TABLE: list[tuple[RuleStatus, dict[Transition, RuleStatus]]] = [
    (S.DRAFT, {Transition.UPDATE: S.DRAFT, Transition.SUBMIT: S.UNDER_REVIEW, Transition.DELETE: S.DRAFT}),
    (
        S.UNDER_REVIEW,
        {
            Transition.UPDATE: S.DRAFT,
            Transition.APPROVE: S.APPROVED,
            Transition.REJECT: S.DRAFT,
            Transition.DEPRECATE: S.DEPRECATED,
        },
    ),
    (
        S.APPROVED,
        {Transition.UPDATE: S.DRAFT, Transition.ACTIVATE: S.ACTIVE, Transition.DEPRECATE: S.DEPRECATED},
    ),
    (
        S.ACTIVE,
        {Transition.UPDATE: S.DRAFT, Transition.DEACTIVATE: S.INACTIVE, Transition.DEPRECATE: S.DEPRECATED},
    ),
    (
        S.INACTIVE,
        {Transition.UPDATE: S.DRAFT, Transition.ACTIVATE: S.ACTIVE, Transition.DEPRECATE: S.DEPRECATED},
    ),
    (S.DEPRECATED, {}),
]
CELLS = [
    pytest.param(status, transition, allowed.get(transition), id=f"{status.value}-{transition.name}")
    for status, allowed in TABLE
    for transition in Transition
    if transition is not Transition.ROLL_BACK
]


def event_of(rule: Rule) -> RuleEvent:
    """Return the newest event."""
    return rule.pull_events()[-1]


def state_of(rule: Rule) -> tuple[object, ...]:
    return (rule.status, rule.latest, rule.active, rule.updated_by, rule.updated_at, rule.names)


@pytest.mark.parametrize(("status", "transition", "after"), CELLS)
def test_each_status_allows_its_transitions_and_refuses_all_others_leaving_the_rule_as_it_was(
    status: RuleStatus, transition: Transition, after: RuleStatus | None
) -> None:
    rule = IN_STATUS[status]()
    assert rule.status is status
    rule.pull_events()
    before = state_of(rule)
    if after is None:
        with pytest.raises(BusinessError) as refused:
            DO[transition](rule)
        assert refused.value.details["status"] == status.value
        assert state_of(rule) == before
        assert rule.pull_events() == ()
    else:
        DO[transition](rule)
        assert rule.status is after
        assert (rule.updated_at, rule.updated_by) == (LATER, event_of(rule).actor)


@pytest.mark.parametrize("status", [status for status in RuleStatus if status is not S.DEPRECATED])
def test_a_living_rule_in_any_status_can_be_rolled_back_to_an_approved_version(status: RuleStatus) -> None:
    first = active().latest
    rule = draft_over_active()
    for transition in {
        S.DRAFT: [],
        S.UNDER_REVIEW: [Transition.SUBMIT],
        S.APPROVED: [Transition.SUBMIT, Transition.APPROVE],
        S.ACTIVE: [Transition.SUBMIT, Transition.APPROVE, Transition.ACTIVATE],
        S.INACTIVE: [Transition.SUBMIT, Transition.APPROVE, Transition.ACTIVATE, Transition.DEACTIVATE],
    }[status]:
        DO[transition](rule)
    assert rule.status is status
    rule.roll_back(first, CAROL, LATER)
    assert (rule.status, rule.version, rule.active_version) == (S.ACTIVE, 3, 3)


def test_a_deprecated_rule_cannot_be_rolled_back() -> None:
    rule = draft_over_active()
    rule.deprecate(CAROL, NOW)
    with pytest.raises(BusinessError, match="DEPRECATED"):
        rule.roll_back(active().latest, CAROL, LATER)


def test_a_refusal_says_from_which_statuses_the_transition_may_start() -> None:
    with pytest.raises(BusinessError) as refused:
        draft().activate(CAROL, NOW)
    assert refused.value.message == "a rule in status DRAFT cannot be activated"
    assert refused.value.details == {"status": "DRAFT", "allowed": ["APPROVED", "INACTIVE"]}


def test_a_draft_that_was_submitted_once_can_be_deprecated() -> None:
    rule = under_review()
    rule.reject("not yet", BOB, NOW)
    rule.deprecate(CAROL, LATER)
    assert rule.status is S.DEPRECATED


def test_a_draft_that_was_never_submitted_cannot_be_deprecated() -> None:
    with pytest.raises(BusinessError, match="never submitted"):
        draft().deprecate(CAROL, NOW)


def test_a_draft_of_a_rule_that_was_active_cannot_be_deleted() -> None:
    rule = inactive()
    rule.update(content(), 1, ALICE, NOW)
    assert rule.status is S.DRAFT
    with pytest.raises(BusinessError, match="deprecate it"):
        rule.delete(ALICE, LATER)


def test_a_draft_that_was_approved_but_never_active_can_be_deleted() -> None:
    rule = approved()
    rule.update(content(), 1, ALICE, NOW)
    rule.delete(ALICE, LATER)
    assert event_of(rule).name is EventName.DELETED


class TestFourEyes:
    def test_the_author_cannot_approve(self) -> None:
        rule = under_review()
        with pytest.raises(BusinessError, match="cannot approve") as refused:
            rule.approve(1, None, ALICE, NOW)
        assert refused.value.details == {"actor": "alice", "version": 1}
        assert (rule.status, rule.latest.is_approved) == (S.UNDER_REVIEW, False)

    def test_whoever_last_changed_the_version_cannot_approve_though_another_created_the_rule(self) -> None:
        rule = draft()
        rule.update(content(dsl="a == 2"), 1, BOB, NOW)
        rule.submit(2, ALICE, NOW)
        with pytest.raises(BusinessError, match="cannot approve"):
            rule.approve(2, None, BOB, NOW)
        rule.approve(2, None, ALICE, NOW)
        assert rule.status is S.APPROVED

    def test_submitting_does_not_make_an_author(self) -> None:
        rule = draft()
        rule.submit(1, BOB, NOW)
        rule.approve(1, None, BOB, NOW)
        assert rule.latest.approved_by == BOB

    def test_an_approval_is_of_one_version_and_a_change_needs_another(self) -> None:
        rule = approved()
        rule.update(content(dsl="a == 2"), 1, ALICE, NOW)
        assert not rule.latest.is_approved
        with pytest.raises(BusinessError):
            rule.activate(CAROL, NOW)


class TestVersions:
    def test_a_new_rule_is_a_draft_at_version_1_of_its_author(self) -> None:
        rule = draft()
        assert (rule.status, rule.version, rule.active_version, rule.revision) == (S.DRAFT, 1, None, 0)
        assert (rule.created_by, rule.latest.author, rule.created_at) == (ALICE, ALICE, NOW)

    def test_an_update_begins_the_next_version_and_what_decides_goes_on(self) -> None:
        rule = draft_over_active()
        assert (rule.status, rule.version, rule.active_version) == (S.DRAFT, 2, 1)
        assert rule.active is not None
        assert rule.active.content.dsl_content == "a == 1"
        assert rule.content.dsl_content == "a == 2"

    def test_activating_the_new_version_replaces_the_old_one(self) -> None:
        rule = draft_over_active()
        rule.submit(2, ALICE, NOW)
        rule.approve(2, None, BOB, NOW)
        rule.activate(CAROL, LATER)
        assert (rule.status, rule.active_version) == (S.ACTIVE, 2)

    @pytest.mark.parametrize("make", [draft_over_active, lambda: submitted(draft_over_active())])
    def test_deactivating_under_a_newer_draft_stops_the_old_version_and_leaves_the_draft_its_status(
        self, make: Callable[[], Rule]
    ) -> None:
        rule = make()
        status = rule.status
        rule.deactivate(CAROL, LATER)
        assert (rule.status, rule.active_version, rule.version) == (status, None, 2)
        assert event_of(rule).data == {"deactivatedVersion": 1}

    def test_deactivating_a_rule_of_which_nothing_decides_is_refused(self) -> None:
        with pytest.raises(BusinessError, match="no active version"):
            inactive().deactivate(CAROL, NOW)

    def test_deprecating_under_a_newer_draft_stops_the_old_version_too(self) -> None:
        rule = draft_over_active()
        rule.deprecate(CAROL, LATER)
        assert (rule.status, rule.active) == (S.DEPRECATED, None)

    @pytest.mark.parametrize("expected", [0, 2, -1, 99])
    @pytest.mark.parametrize(
        ("make", "act"),
        [
            (draft, lambda rule, version: rule.update(content(), version, ALICE, LATER)),
            (draft, lambda rule, version: rule.submit(version, ALICE, LATER)),
            (under_review, lambda rule, version: rule.approve(version, None, BOB, LATER)),
        ],
        ids=["update", "submit", "approve"],
    )
    def test_another_version_than_expected_is_a_conflict_that_names_both_and_changes_nothing(
        self, make: Callable[[], Rule], act: Callable[[Rule, int], None], expected: int
    ) -> None:
        rule = make()
        before = state_of(rule)
        with pytest.raises(ConflictError) as conflict:
            act(rule, expected)
        assert conflict.value.details == {"currentVersion": 1, "expectedVersion": expected}
        assert state_of(rule) == before

    def test_submitting_without_an_expected_version_takes_the_latest(self) -> None:
        rule = draft()
        rule.submit(None, ALICE, NOW)
        assert rule.status is S.UNDER_REVIEW


class TestRollBack:
    def test_an_earlier_approved_content_decides_again_as_a_new_version(self) -> None:
        rule = draft_over_active()
        first = rule.active
        assert first is not None
        rule.roll_back(first, CAROL, LATER)
        assert (rule.status, rule.version, rule.active_version) == (S.ACTIVE, 3, 3)
        assert rule.content == first.content
        latest = rule.latest
        assert (latest.author, latest.created_at, latest.restored_from) == (CAROL, LATER, 1)
        assert (latest.approved_by, latest.approved_at) == (BOB, NOW)

    def test_a_version_that_was_never_approved_is_refused(self) -> None:
        rule = draft()
        first = rule.latest
        rule.update(content(dsl="a == 2"), 1, ALICE, NOW)
        with pytest.raises(BusinessError, match="approved"):
            rule.roll_back(first, CAROL, LATER)
        assert rule.version == 2

    def test_the_latest_version_is_no_earlier_one(self) -> None:
        rule = active()
        with pytest.raises(NotFoundError):
            rule.roll_back(rule.latest, CAROL, LATER)


class TestNames:
    def test_a_rule_holds_the_name_of_its_latest_version(self) -> None:
        assert draft().names == {"some rule"}

    def test_and_the_deciding_versions_while_that_differs(self) -> None:
        rule = draft_over_active()
        assert rule.names == {"some rule", "new name"}
        rule.deactivate(CAROL, LATER)
        assert rule.names == {"new name"}


# What each change records: event, status in the event, whether the ruleset changes, and the event's data.
EVENTS = [
    pytest.param(draft, None, EventName.CREATED, S.DRAFT, False, {}, id="created"),
    pytest.param(draft, Transition.UPDATE, EventName.UPDATED, S.DRAFT, False, {"previousVersion": 1}, id="updated"),
    pytest.param(draft, Transition.SUBMIT, EventName.SUBMITTED, S.UNDER_REVIEW, False, {}, id="submitted"),
    pytest.param(under_review, Transition.APPROVE, EventName.APPROVED, S.APPROVED, False, {}, id="approved"),
    pytest.param(
        under_review, Transition.REJECT, EventName.REJECTED, S.DRAFT, False, {"reason": "not yet"}, id="rejected"
    ),
    pytest.param(approved, Transition.ACTIVATE, EventName.ACTIVATED, S.ACTIVE, True, {}, id="activated"),
    pytest.param(
        active, Transition.DEACTIVATE, EventName.DEACTIVATED, S.INACTIVE, True, {"deactivatedVersion": 1}, id="stopped"
    ),
    pytest.param(active, Transition.DEPRECATE, EventName.DEPRECATED, S.DEPRECATED, True, {}, id="deprecated"),
    pytest.param(
        inactive, Transition.DEPRECATE, EventName.DEPRECATED, S.DEPRECATED, False, {}, id="deprecated-when-inactive"
    ),
    pytest.param(
        draft_over_active,
        Transition.ROLL_BACK,
        EventName.ROLLED_BACK,
        S.ACTIVE,
        True,
        {"restoredVersion": 1, "previousActiveVersion": 1},
        id="rolled-back",
    ),
    pytest.param(draft, Transition.DELETE, EventName.DELETED, S.DRAFT, False, {}, id="deleted"),
]


@pytest.mark.parametrize(("make", "transition", "name", "status", "changes_ruleset", "data"), EVENTS)
def test_each_change_records_one_event_with_the_state_after_it(
    make: Callable[[], Rule],
    transition: Transition | None,
    name: EventName,
    status: RuleStatus,
    changes_ruleset: bool,
    data: dict[str, object],
) -> None:
    rule = make()
    before = None
    if transition is not None:
        rule.pull_events()
        before = rule.content.digest(RULE_ID, rule.version)
        DO[transition](rule)
    events = rule.pull_events()
    assert [event.name for event in events] == [name]
    event = events[0]
    assert (event.status, event.changes_ruleset, event.data) == (status, changes_ruleset, data)
    assert (event.rule_id, event.rule_name, event.version) == (RULE_ID, rule.content.name, rule.version)
    assert (event.actor, event.occurred_at) == (rule.updated_by, rule.updated_at)
    assert event.content_digest == rule.content.digest(RULE_ID, rule.version)
    assert event.before_digest == before
    makes_a_version = name in {EventName.CREATED, EventName.UPDATED, EventName.ROLLED_BACK}
    assert (event.content_digest != before) is makes_a_version


def test_an_approvals_comment_is_in_its_event() -> None:
    rule = under_review()
    rule.approve(1, "checked twice", BOB, NOW)
    assert event_of(rule).data == {"comment": "checked twice"}


def test_an_activation_over_an_earlier_version_names_it() -> None:
    rule = draft_over_active()
    rule.submit(2, ALICE, NOW)
    rule.approve(2, None, BOB, NOW)
    rule.activate(CAROL, LATER)
    assert event_of(rule).data == {"previousActiveVersion": 1}


def test_events_are_handed_out_once_and_oldest_first() -> None:
    rule = approved()
    assert [event.name for event in rule.pull_events()] == [EventName.CREATED, EventName.SUBMITTED, EventName.APPROVED]
    assert rule.pull_events() == ()


def submitted(rule: Rule) -> Rule:
    rule.submit(None, ALICE, NOW)
    return rule
