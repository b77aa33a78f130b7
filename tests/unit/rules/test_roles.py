"""Who may send which verb: the whole table of roles and verbs, and what policies may look like."""

from __future__ import annotations

from typing import Any

import pytest

from domain.errors import ErrorCode, ForbiddenError, ValidationError
from domain.identifiers import Actor
from domain.roles import OPEN_VERBS, VERBS, Role, RolePolicy
from streams.messages import commands, queries

ANN = Actor("ann")
R = Role
EVERY_QUERY = [
    *("get", "list", "versions", "history", "template", "templates"),
    *("validate", "simulate", "explain", "decision", "decisions", "ruleset"),
]

# Every verb, and which of the roles may send it.
TABLE = [
    *((verb, {R.AUTHOR}) for verb in ("create", "update", "submit", "delete")),
    *((f"{act}-template", {R.AUTHOR}) for act in ("create", "update", "delete", "instantiate")),
    ("approve", {R.APPROVER}),
    ("reject", {R.APPROVER}),
    *((verb, {R.OPERATOR}) for verb in ("activate", "deactivate", "deprecate", "rollback")),
    *((verb, {R.VIEWER, R.AUTHOR, R.APPROVER, R.OPERATOR}) for verb in EVERY_QUERY),
    ("command", {R.VIEWER, R.AUTHOR, R.APPROVER, R.OPERATOR}),
    ("a-verb-of-a-later-release", set()),
]


def may(policy: RolePolicy, actor: Actor, verb: str) -> bool:
    try:
        policy.require(actor, verb)
    except ForbiddenError:
        return False
    return True


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(("verb", "allowed"), TABLE)
def test_each_role_may_send_its_verbs_and_no_other(verb: str, allowed: set[Role], role: Role) -> None:
    policy = RolePolicy.of({"ann": [role.value], "bob": ["viewer"]})
    assert may(policy, ANN, verb) is (role is Role.ADMIN or role in allowed)


def test_every_verb_that_the_worker_knows_has_its_roles() -> None:
    """A verb that was forgotten here would be the admins' alone."""
    known = frozenset().union(*VERBS.values()) | OPEN_VERBS
    assert set(commands.PAYLOADS) | set(queries.PAYLOADS) <= known
    assert {verb for verb, _ in TABLE[:-1]} == known


def test_an_actor_may_have_several_roles() -> None:
    policy = RolePolicy.of({"ann": ["author", "operator"]})
    assert [may(policy, ANN, verb) for verb in ("create", "approve", "activate")] == [True, False, True]


def test_what_everybody_has_comes_to_an_actors_own_roles() -> None:
    policy = RolePolicy.of({"ann": ["author"], "*": ["approver"]})
    assert [may(policy, ANN, verb) for verb in ("create", "approve", "get")] == [True] * 3
    assert [may(policy, Actor("bob"), verb) for verb in ("create", "approve", "get")] == [False, True, True]


def test_an_actor_that_no_policy_names_may_only_read_its_own_answers() -> None:
    policy = RolePolicy.of({"ann": ["admin"]})
    assert policy.roles_of(Actor("bob")) == frozenset()
    assert {verb for verb, _ in TABLE if may(policy, Actor("bob"), verb)} == {"command"}


def test_actors_differ_in_upper_and_lower_case() -> None:
    assert not may(RolePolicy.of({"ann": ["admin"]}), Actor("Ann"), "get")


def test_without_a_policy_everybody_may_send_everything() -> None:
    policy = RolePolicy()
    assert (policy.is_enforced, policy.digest) == (False, None)
    assert all(may(policy, ANN, verb) for verb, _ in TABLE)


def test_a_refusal_says_who_may_not_send_what_and_which_roles_may() -> None:
    with pytest.raises(ForbiddenError) as refused:
        RolePolicy.of({"ann": ["author"]}).require(ANN, "approve")
    assert refused.value.code is ErrorCode.FORBIDDEN
    assert refused.value.message == "ann may not send approve: that takes the role admin or approver"
    assert refused.value.details == {"actor": "ann", "verb": "approve", "neededRoles": ["admin", "approver"]}


@pytest.mark.parametrize(
    ("grants", "problems"),
    [
        ([], ["must be an object that gives each actor, or *, a list of roles"]),
        ("ann", ["must be an object that gives each actor, or *, a list of roles"]),
        (None, ["must be an object that gives each actor, or *, a list of roles"]),
        ({}, ["names no actor: nobody could do anything"]),
        (
            {"a.b": ["author"], "ann": ["king"], "": [], "*": ["viewer"], "x" * 65: ["viewer"]},
            [
                "'a.b' is no actor: 1 to 64 characters of A-Z a-z 0-9 _ -, or * for everybody",
                "'ann' must have a list of roles: viewer, author, approver, operator, admin",
                "'' is no actor: 1 to 64 characters of A-Z a-z 0-9 _ -, or * for everybody",
                "'' must have a list of roles: viewer, author, approver, operator, admin",
                f"'{'x' * 65}' is no actor: 1 to 64 characters of A-Z a-z 0-9 _ -, or * for everybody",
            ],
        ),
        *(
            ({"ann": roles}, ["'ann' must have a list of roles: viewer, author, approver, operator, admin"])
            for roles in ("author", [], ["Author"], [1], [["author"]], None, {"author": True})
        ),
    ],
)
def test_everything_wrong_with_a_policy_is_said_at_once(grants: Any, problems: list[str]) -> None:
    with pytest.raises(ValidationError) as refused:
        RolePolicy.of(grants)
    assert refused.value.details["problems"] == problems


def test_a_policys_digest_is_of_who_has_which_roles_in_whatever_order() -> None:
    one = RolePolicy.of({"ann": ["author", "operator"], "bob": ["approver"]})
    same = RolePolicy.of({"bob": ["approver", "approver"], "ann": ["operator", "author"]})
    other = RolePolicy.of({"ann": ["author", "operator"], "bob": ["approver", "viewer"]})
    assert one.digest == same.digest
    assert one.digest != other.digest
