"""Exact amounts: decimals of 34 digits (IEEE 754 decimal128), money of one currency, and e-mail addresses."""

from __future__ import annotations

import decimal
import re
from decimal import Decimal
from typing import Any, Final, NoReturn

from domain.language.faults import Absent, Fault
from domain.language.library.function import Function, function
from domain.language.library.operators import no_currency, no_overload
from domain.language.limits import DECIMAL_DIGITS, DECIMAL_EXPONENT_MAX, DECIMAL_EXPONENT_MIN
from domain.language.values import INT_MAX, INT_MIN, Email, Money, Uint, decimal_to_text

_TRAPS: Final = [decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow, decimal.Underflow]
_RANGE: Final[dict[str, Any]] = {
    "prec": DECIMAL_DIGITS,
    "Emin": DECIMAL_EXPONENT_MIN,
    "Emax": DECIMAL_EXPONENT_MAX,
    "clamp": 1,
    "rounding": decimal.ROUND_HALF_EVEN,
}
EXACT: Final = decimal.Context(traps=[*_TRAPS, decimal.Inexact], **_RANGE)
ROUNDED: Final = decimal.Context(traps=_TRAPS, **_RANGE)
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,5})?", re.ASCII)
_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_EMAIL: Final = re.compile(
    r"(?P<local>[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*)"
    r"@(?P<domain>[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+)",
    re.ASCII,
)
_WHOLE: Final = frozenset({int, Uint})


def calculate(operation: str, a: Any, b: Any) -> Any:
    """Calculate with decimals (and ints) or money; ``+ - *`` are exact or a fault, ``/`` rounds half-even."""
    kind, other = type(a), type(b)
    if kind is Money or other is Money:
        return _money(operation, a, b)
    if float in {kind, other}:
        raise Fault("no-overload", "a decimal is not mixed with a double; convert one of them")
    if not {kind, other} <= {Decimal, int, Uint}:
        no_overload(operation, a, b)
    return _decimal(operation, Decimal(a), Decimal(b))


def _decimal(operation: str, a: Decimal, b: Decimal) -> Decimal:
    try:
        match operation:
            case "+":
                return EXACT.add(a, b)
            case "-":
                return EXACT.subtract(a, b)
            case "*":
                return EXACT.multiply(a, b)
            case _:
                return _divide(a, b)
    except decimal.Overflow:
        raise Fault("overflow", f"`{operation}` overflows a decimal") from None
    except (decimal.Inexact, decimal.Underflow):
        raise Fault("inexact", f"`{operation}` does not fit {DECIMAL_DIGITS} digits exactly") from None


def _divide(a: Decimal, b: Decimal) -> Decimal:
    if not b:
        raise Fault("division-by-zero", "division by zero")
    try:
        return ROUNDED.divide(a, b)
    except decimal.Underflow:
        raise Fault("inexact", "`/` is too small for a decimal") from None


def _money(operation: str, a: Any, b: Any) -> Any:
    if type(a) is Money and type(b) is Money:
        if a.currency != b.currency:
            no_currency(operation, a, b)
        if operation in {"+", "-"}:
            return Money(_decimal(operation, a.amount, b.amount), a.currency)
        if operation == "/":
            return _decimal("/", a.amount, b.amount)
    elif operation in {"*", "/"} and type(a) is Money:
        factor = _factor(operation, a, b)
        return Money(_decimal(operation, a.amount, factor), a.currency)
    elif operation == "*" and type(b) is Money:
        return Money(_decimal(operation, _factor(operation, a, b), b.amount), b.currency)
    no_overload(operation, a, b)


def _factor(operation: str, a: Any, b: Any) -> Decimal:
    number = b if type(a) is Money else a
    if type(number) is float:
        raise Fault("no-overload", "money is not mixed with a double; use decimal(…)")
    if type(number) is Decimal or type(number) in _WHOLE:
        return Decimal(number)
    no_overload(operation, a, b)


def _unreadable(value: str, what: str) -> NoReturn:
    shown = value if len(value) <= 40 else value[:40] + "…"
    raise Fault("conversion", f"{shown!r} is not {what}")


def to_decimal(value: Any) -> Decimal:
    """``decimal(x)``: of a string exactly, of a double by its shortest decimal form."""
    kind = type(value)
    if kind is Decimal:
        return value  # type: ignore[no-any-return]
    if kind in _WHOLE:
        return Decimal(int(value))
    if kind is float:
        if value - value != 0.0:
            raise Fault("conversion", "NaN and infinities are not decimals")
        return _exact_text(repr(value))
    if kind is str:
        if _DECIMAL.fullmatch(value) is None:
            _unreadable(value, "a decimal")
        return _exact_text(value)
    if kind is Money:
        return value.amount  # type: ignore[no-any-return]
    no_overload("decimal", value)


def _exact_text(text: str) -> Decimal:
    try:
        return EXACT.create_decimal(text)
    except decimal.Overflow:
        raise Fault("overflow", f"a decimal's exponent is at most {DECIMAL_EXPONENT_MAX}") from None
    except (decimal.Inexact, decimal.Underflow):
        raise Fault("inexact", f"a decimal has at most {DECIMAL_DIGITS} digits") from None


def round_decimal(value: Any, digits: Any = 0) -> Any:
    """``round(d, n)``: to n digits after the point, half away from zero."""
    if type(value) is Money:
        return Money(round_decimal(value.amount, digits), value.currency)
    if type(value) is not Decimal or type(digits) is not int:
        no_overload("round", value, digits)
    if not -DECIMAL_EXPONENT_MAX <= digits <= DECIMAL_EXPONENT_MAX:
        raise Fault("range", "round: the number of digits is out of range")
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and -exponent <= digits:
        return value
    try:
        rounded = value.quantize(Decimal((0, (1,), -digits)), rounding=decimal.ROUND_HALF_UP, context=ROUNDED)
    except (decimal.InvalidOperation, decimal.Overflow):
        raise Fault("overflow", "round: the result does not fit a decimal") from None
    # 1.2E+2 is how quantize leaves 123 rounded to tens; plain digits are what people expect.
    return EXACT.create_decimal(decimal_to_text(rounded)) if digits < 0 else rounded


_UNWRITTEN: Final = object()  # where no currency is written; a null is none


def to_money(value: Any, currency: Any = _UNWRITTEN) -> Money:
    """``money(amount, currency)``, or ``money(m)`` of a map with both."""
    if currency is _UNWRITTEN:
        if type(value) is Money:
            return value
        if type(value) is not dict:
            no_overload("money", value)
        if "amount" not in value or "currency" not in value:
            raise Absent("amount")
        return to_money(value["amount"], value["currency"])
    if type(currency) is not str or type(value) is bool:
        no_overload("money", value, currency)
    if _CURRENCY.fullmatch(currency) is None:
        _unreadable(currency, "a currency's code of three capital letters")
    return Money(to_decimal(value), currency)


def to_email(value: Any) -> Email:
    """``email(s)``."""
    if type(value) is Email:
        return value
    if type(value) is not str:
        no_overload("email", value)
    match = _EMAIL.fullmatch(value) if len(value) <= 254 else None
    if match is None or len(match["local"]) > 64:
        _unreadable(value, "an e-mail address")
    return Email(match["local"], match["domain"].lower())


def decimal_to_int(value: Decimal) -> int:
    """``int(d)``: truncated toward zero."""
    # An adjusted exponent beyond 20 can't fit; deciding so first keeps huge exponents cheap.
    if value and value.adjusted() > 20:
        raise Fault("range", "the decimal is beyond a 64-bit int")
    result = int(value)
    if not INT_MIN <= result <= INT_MAX:
        raise Fault("range", "the decimal is beyond a 64-bit int")
    return result


FUNCTIONS: Final[tuple[Function, ...]] = (
    function(
        "decimal",
        to_decimal,
        "decimal(decimal) decimal",
        "decimal(string) decimal",
        "decimal(int) decimal",
        "decimal(uint) decimal",
        "decimal(double) decimal",
        "decimal(money) decimal",
    ),
    function(
        "round",
        round_decimal,
        "round(decimal) decimal",
        "round(decimal, int) decimal",
        "round(money) money",
        "round(money, int) money",
    ),
    function(
        "money",
        to_money,
        "money(money) money",
        "money(map<string, A>) money",
        "money(string, string) money",
        "money(int, string) money",
        "money(uint, string) money",
        "money(double, string) money",
        "money(decimal, string) money",
    ),
    function("email", to_email, "email(email) email", "email(string) email"),
)
