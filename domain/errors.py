"""The project's errors: one root, a stable code on each, data as attributes.

The codes are the contract's (section 2). Adapters translate their drivers' errors into these at the boundary; an
expected outcome of handling a message is a value (see ``streams.settling``), not an exception.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any


class ErrorCode(StrEnum):
    """The error codes a user of the worker can meet."""

    INVALID_REQUEST = "INVALID_REQUEST"
    MISSING_PARAMETER = "MISSING_PARAMETER"
    VALIDATION_ERROR = "VALIDATION_ERROR"
    NOT_FOUND = "NOT_FOUND"
    BUSINESS_ERROR = "BUSINESS_ERROR"
    CONFLICT = "CONFLICT"
    FORBIDDEN = "FORBIDDEN"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL_ERROR = "INTERNAL_ERROR"

    # Of deciding a stored decision again: no command and no query is answered with these.
    FACT_EXPIRED = "FACT_EXPIRED"
    RULESET_LOST = "RULESET_LOST"
    RECORD_BROKEN = "RECORD_BROKEN"


class RulestreamError(Exception):
    """The root of every error of this project; ``details`` is JSON data for the sender."""

    code: ErrorCode = ErrorCode.INTERNAL_ERROR

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class InvalidRequestError(RulestreamError):
    """The payload is not JSON, not an object, too large or too deep, or has an unknown field."""

    code = ErrorCode.INVALID_REQUEST


class MissingParameterError(RulestreamError):
    """A required field is absent."""

    code = ErrorCode.MISSING_PARAMETER


class ValidationError(RulestreamError):
    """A field or the DSL is not valid."""

    code = ErrorCode.VALIDATION_ERROR


class NotFoundError(RulestreamError):
    """No such rule, template, version, decision or verb."""

    code = ErrorCode.NOT_FOUND


class BusinessError(RulestreamError):
    """The rule's state, a taken name, four eyes, or a conflict with active rules forbids it."""

    code = ErrorCode.BUSINESS_ERROR


class ConflictError(RulestreamError):
    """The expected version is not the current one, or a command id was used for something else."""

    code = ErrorCode.CONFLICT


class ForbiddenError(RulestreamError):
    """The actor lacks the role."""

    code = ErrorCode.FORBIDDEN


class UnavailableError(RulestreamError):
    """A backing service is away; ``service`` names it. Commands wait, queries are answered with this."""

    code = ErrorCode.UNAVAILABLE

    def __init__(self, service: str, message: str, **details: Any) -> None:
        super().__init__(message, **details)
        self.service = service


class FactExpiredError(RulestreamError):
    """A decision's fact is no longer in its stream, and was not stored with the decision."""

    code = ErrorCode.FACT_EXPIRED


class RulesetLostError(RulestreamError):
    """The ruleset that a decision names cannot be made again: something of it is gone, or is not what decided."""

    code = ErrorCode.RULESET_LOST


class RecordBrokenError(RulestreamError):
    """What is stored as a decision is none, or the fact that is stored with it is not its own."""

    code = ErrorCode.RECORD_BROKEN
