"""What can go wrong while a rule runs: *missing*, or a fault.

Compiled code works on fact data with Python's own operations, so there KeyError, IndexError and TypeError mean
*missing*: an absent field, or data of a type that no overload takes. Where no fact data is involved the functions are
wrapped by ``strict``, and the same mistake is a fault.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache, wraps
from typing import Any, Final, NoReturn


class Absent(KeyError):  # noqa: N818 - the language's own word
    """An absent field, key or index."""


class NoOverload(TypeError):  # noqa: N818 - the specification's word
    """No overload of a function takes these values."""


class Fault(Exception):  # noqa: N818 - the language's own word
    """An error that is not *missing*, with a stable code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Exhausted(Fault):
    """A limit of the evaluation is reached; nothing absorbs it."""

    def __init__(self, message: str) -> None:
        super().__init__("limit", message)


MISSING_ERRORS: Final = (KeyError, IndexError, TypeError)
FAILED: Final = 1  # some part failed with a fault
MISSED: Final = 2  # some part is missing, which wins over any fault


def note(seen: int) -> int:
    """Return what the error being handled adds to those seen: MISSED wins over FAILED. Limits are not absorbed."""
    error = sys.exc_info()[1]
    if isinstance(error, MISSING_ERRORS):
        return MISSED
    if isinstance(error, Fault) and not isinstance(error, Exhausted):
        return seen or FAILED
    assert error is not None
    raise error


def fail(seen: int) -> NoReturn:
    """Raise what absorbing operands have left over."""
    if seen == MISSED:
        raise Absent
    raise Fault("error", "an operand failed")


def ended(seen: int) -> None:
    """Return None, a condition's *missing*, or raise the fault that is left over."""
    if seen != MISSED:
        raise Fault("error", "an operand failed")


@cache
def strict(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function for operands without fact data: no overload is then a fault."""

    @wraps(function)
    def strictly(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except NoOverload as error:
            raise Fault("no-overload", str(error)) from None

    return strictly
