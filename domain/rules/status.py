"""The status machine of a rule's latest version, as data."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Final


class RuleStatus(StrEnum):
    """Where the latest version of a rule stands."""

    DRAFT = "DRAFT"
    UNDER_REVIEW = "UNDER_REVIEW"
    APPROVED = "APPROVED"
    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    DEPRECATED = "DEPRECATED"


class Transition(Enum):
    """What can happen to a rule that exists."""

    UPDATE = "updated"
    SUBMIT = "submitted"
    APPROVE = "approved"
    REJECT = "rejected"
    ACTIVATE = "activated"
    DEACTIVATE = "deactivated"
    DEPRECATE = "deprecated"
    ROLL_BACK = "rolled back"
    DELETE = "deleted"


_S = RuleStatus
_LIVING: Final = frozenset(_S) - {_S.DEPRECATED}

# From which statuses each transition may start. Beyond the status, DEACTIVATE wants an active version, DEPRECATE a
# rule that was ever submitted, ROLL_BACK an approved earlier version and DELETE a rule that never was active.
ALLOWED: Final[dict[Transition, frozenset[RuleStatus]]] = {
    Transition.UPDATE: _LIVING,
    Transition.SUBMIT: frozenset({_S.DRAFT}),
    Transition.APPROVE: frozenset({_S.UNDER_REVIEW}),
    Transition.REJECT: frozenset({_S.UNDER_REVIEW}),
    Transition.ACTIVATE: frozenset({_S.APPROVED, _S.INACTIVE}),
    Transition.DEACTIVATE: _LIVING,
    Transition.DEPRECATE: _LIVING,
    Transition.ROLL_BACK: _LIVING,
    Transition.DELETE: frozenset({_S.DRAFT}),
}
