"""The sum that ``add`` merges to."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from domain.language.faults import Fault, NoOverload
from domain.language.library.operators import add
from domain.language.outcome import AdditionError
from domain.language.values import Money, Uint, type_name

_KINDS: Final[dict[type, str]] = {int: "number", float: "number", Uint: "number", Decimal: "decimal", Money: "money"}


def add_values(total: Any, term: Any) -> Any:
    """Return the sum of two terms: numbers (int with double gives double), decimals, or money of one currency.

    Raises AdditionError with the code ``add-kind``, ``add-currency`` or ``add-overflow``; the total is then unchanged.
    """
    kinds = _KINDS.get(type(total)), _KINDS.get(type(term))
    if None in kinds or kinds[0] != kinds[1]:
        raise AdditionError("add-kind", f"{type_name(term)} is not added to {type_name(total)}")
    if kinds[0] == "money" and total.currency != term.currency:
        raise AdditionError("add-currency", f"{term.currency} is not added to {total.currency}")
    try:
        result = add(total, term)
    except NoOverload as error:
        raise AdditionError("add-kind", str(error)) from None
    except Fault as fault:
        raise AdditionError("add-overflow", fault.message) from None
    if type(result) is float and result - result != 0.0:
        raise AdditionError("add-overflow", "the sum is beyond a double")
    return result
