"""Who may send which verb: the roles, what each of them may do, and who has them.

Roles are beside the aggregate's own laws, never instead of them: four eyes bind whoever has whatever role.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from domain.errors import ForbiddenError, InvalidRequestError, ValidationError
from domain.identifiers import Actor

EVERYBODY: Final = "*"
_SHOWN: Final = 80


class Role(StrEnum):
    """What an actor may be. Whoever has a role is a viewer too."""

    VIEWER = "viewer"
    AUTHOR = "author"
    APPROVER = "approver"
    OPERATOR = "operator"
    ADMIN = "admin"


# What each role may send. An admin may send every verb, those that stand nowhere here as well.
VERBS: Final[Mapping[Role, frozenset[str]]] = {
    Role.VIEWER: frozenset(
        {
            "get",
            "list",
            "versions",
            "history",
            "template",
            "templates",
            "validate",
            "simulate",
            "explain",
            "decision",
            "decisions",
            "ruleset",
        }
    ),
    Role.AUTHOR: frozenset(
        {
            "create",
            "update",
            "submit",
            "delete",
            "create-template",
            "update-template",
            "delete-template",
            "instantiate-template",
        }
    ),
    Role.APPROVER: frozenset({"approve", "reject"}),
    Role.OPERATOR: frozenset({"activate", "deactivate", "deprecate", "rollback"}),
}

# An actor may always read what its own commands were answered: it gives nothing that the actor was not told.
OPEN_VERBS: Final = frozenset({"command"})


@dataclass(frozen=True, slots=True)
class RolePolicy:
    """Which actors have which roles; what ``*`` has, everybody has, beside their own.

    Without ``grants`` nothing is enforced: everybody may send everything, which is for development.
    """

    grants: Mapping[str, frozenset[Role]] | None = None

    @classmethod
    def of(cls, grants: Any) -> RolePolicy:
        """Make a policy of data such as ``{"alice": ["author"], "*": ["viewer"]}``.

        Raises ValidationError with every problem (``details.problems``). A policy names at least one actor, and each of
        them has at least one role: an empty list would look like a ban, and ban nobody from what ``*`` has.
        """
        if not isinstance(grants, Mapping):
            raise _wrong(["must be an object that gives each actor, or *, a list of roles"])
        if not grants:
            raise _wrong(["names no actor: nobody could do anything"])
        problems = [problem for actor, roles in grants.items() for problem in _problems(actor, roles)]
        if problems:
            raise _wrong(problems)
        return cls({actor: frozenset(Role(role) for role in roles) for actor, roles in grants.items()})

    @property
    def is_enforced(self) -> bool:
        return self.grants is not None

    @property
    def digest(self) -> str | None:
        """The SHA-256, in hexadecimal, of who has which roles: the same wherever the policy is. None without grants."""
        if self.grants is None:
            return None
        canonical = {actor: sorted(roles) for actor, roles in self.grants.items()}
        return hashlib.sha256(json.dumps(canonical, sort_keys=True).encode()).hexdigest()

    def roles_of(self, actor: Actor) -> frozenset[Role]:
        """Return an actor's roles, with the viewer that every role implies; all of them where nothing is enforced."""
        if self.grants is None:
            return frozenset(Role)
        held = self.grants.get(actor.name, frozenset()) | self.grants.get(EVERYBODY, frozenset())
        return held | {Role.VIEWER} if held else held

    def require(self, actor: Actor, verb: str) -> None:
        """Return where an actor may send a command or a query; raises ForbiddenError otherwise."""
        if self.grants is None or verb in OPEN_VERBS:
            return
        needed = roles_for(verb)
        if self.roles_of(actor).isdisjoint(needed):
            named = sorted(role.value for role in needed)
            raise ForbiddenError(
                f"{actor} may not send {verb}: that takes the role {' or '.join(named)}",
                actor=actor.name,
                verb=verb,
                neededRoles=named,
            )


def roles_for(verb: str) -> frozenset[Role]:
    """Return the roles of which one is enough to send a verb; those that imply a viewer are not listed beside it."""
    return frozenset({Role.ADMIN, *(role for role, verbs in VERBS.items() if verb in verbs)})


def _problems(actor: Any, roles: Any) -> list[str]:
    problems = []
    named = f"{actor!r}"[:_SHOWN]
    if not _is_actor(actor):
        problems.append(f"{named} is no actor: 1 to 64 characters of A-Z a-z 0-9 _ -, or * for everybody")
    if not isinstance(roles, list) or not roles or not all(role in list(Role) for role in roles):
        problems.append(f"{named} must have a list of roles: {', '.join(Role)}")
    return problems


def _is_actor(name: Any) -> bool:
    if name == EVERYBODY:
        return True
    try:
        Actor(name)
    except (InvalidRequestError, TypeError):
        return False
    return True


def _wrong(problems: list[str]) -> ValidationError:
    return ValidationError("wrong role policy: " + "; ".join(problems), problems=problems)
