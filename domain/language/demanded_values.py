"""The values that a test of a path with a constant asks for, as a demand can tell them."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from math import inf
from typing import Any, Final

from domain.language.joining import ANY_TEXT, few
from domain.language.native import COMPARISONS, is_safe_number
from domain.language.ranges import BOOLS, EVERYTHING, NUMBERS, Values, compared_with, equal_to, union

CONTAINERS: Final = Values(others=True)
_EDGE: Final = 2**61  # beyond it the language's types do not agree on numbers: ranges are told to there


def is_scalar(value: Any) -> bool:
    """Return whether a constant is one that JSON has, but a list or an object."""
    return value is None or isinstance(value, (bool, int, float, str))


@lru_cache(maxsize=8192, typed=True)
def _scalar_values(operator: str, value: Any, want: bool, strict: bool) -> Values | None:
    """Return the values for which ``x OPERATOR value`` is ``want``; with ``strict`` also where it is missing."""
    found = compared_with(operator, value)
    if operator in COMPARISONS:
        kinds = NUMBERS
        if found is None:
            kinds = found = ANY_TEXT if type(value) is str else BOOLS if type(value) is bool else EVERYTHING
        elif not want:
            found = kinds - found
        return _widened(found | kinds.complement() if strict else found)
    if found is None:  # not finite
        return NUMBERS if (operator == "==") == want else EVERYTHING
    return _widened(found if want else found.complement())


def compared_values(operator: str, value: Any, want: bool, strict: bool) -> Values | None:
    """Return the values for which ``x OPERATOR value`` may be ``want`` or fail; None when that is not known.

    With ``strict`` also those for which it is missing.
    """
    if is_scalar(value):
        return _scalar_values(operator, value, want, strict)
    if operator in COMPARISONS or strict:
        return None
    if isinstance(value, (list, dict)):
        return CONTAINERS if (operator == "==") == want else EVERYTHING
    if isinstance(value, Decimal):  # it is equal to numbers alone, and fails on doubles
        return NUMBERS if (operator == "==") == want else EVERYTHING
    return None


def members_of(items: Iterable[Any], want: bool) -> Values | None:
    """Return the values that are, or are not, among some constants; None when that is not known."""
    found: list[Values] = []
    for item in items:
        values = equal_to(item)
        if values is None:
            return None
        found.append(values)
    values = union(found)
    return few(_widened(values if want else values.complement()))


def _widened(values: Values) -> Values:
    """Return values whose numbers end where all types agree on them, or nowhere."""
    if all(
        (low == -inf or is_safe_number(low)) and (high == inf or is_safe_number(high))
        for low, _, high, _ in values.numbers
    ):
        return values
    numbers: list[tuple[float, bool, float, bool]] = []
    for low, low_in, high, high_in in values.numbers:
        if low != -inf and not is_safe_number(low):
            low, low_in = (-inf, True) if low < 0 else (_EDGE, True)  # noqa: PLW2901
        if high != inf and not is_safe_number(high):
            high, high_in = (inf, True) if high > 0 else (-_EDGE, True)  # noqa: PLW2901
        numbers.append((low, low_in, high, high_in))
    return union(
        [
            Values((), values.texts, values.all_texts_but, values.bools, values.null, values.others),
            *(Values((one,)) for one in numbers),
        ]
    )
