"""Rules to compile: many small ones that differ as a department's do, and the largest that are within the limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from domain.language.limits import TOKENS_MAX

_TYPES: Final = ("order.placed", "order.amended", "order.returned", "payment.received", "shipment.delayed")
_TEXTS: Final = (
    "customer.tier",
    "customer.country",
    "order.channel",
    "order.currency",
    "payment.method",
    "shipping.carrier",
    "shipping.address.city",
)
_NUMBERS: Final = (
    "order.total",
    "order.weight",
    "customer.orders",
    "payment.risk.score",
    "shipping.cost",
    "customer.balance",
    "order.discount.amount",
    "basket.size",
    "shipping.delay.hours",
    "customer.age",
    "order.margin",
)
_WORDS: Final = (
    "VIP",
    "GOLD",
    "SILVER",
    "web",
    "store",
    "EUR",
    "SEK",
    "card",
    "invoice",
    "express",
    "Stockholm",
    "Lyon",
    "Porto",
)
_OUTPUTS: Final = (
    "discount.percent",
    "risk.score",
    "delivery.days",
    "credit.limit",
    "review.level",
    "care.level",
    "loyalty.points",
)
_CONDITIONS: Final = (
    '{text} == "{word}{n}" && {number} > {amount}',
    '{text} in ["{word}", "{other}{n}"] && {number} <= {amount}',
    '{text}.startsWith("{word}{n}") || {number} >= {amount}',
    'has({text}) && {number} * 1.25 < {amount} && {text} != "{word}{n}"',
    'order.items.exists(i, i.sku == "{word}-{n}" && i.price > {amount})',
    '({text} == "{word}" || {text} == "{other}{n}") && {number} + {second} >= {amount}',
)

LARGE_CODE_POINTS: Final = 100_000
LARGE_OPERATORS: Final = 1_000
ROW_TOKENS: Final = 10
TABLE_ROWS: Final = min(1_900, TOKENS_MAX // ROW_TOKENS - 2)
NESTING: Final = 90


def small_rules(count: int, first: int = 0) -> Iterator[str]:
    """Give distinct rules of three lines, the same ones each time; ``first`` is the number of the first."""
    for n in range(first, first + count):
        condition = _CONDITIONS[n % len(_CONDITIONS)].format(
            n=n,
            text=_TEXTS[n % len(_TEXTS)],
            number=_NUMBERS[n % len(_NUMBERS)],
            second=_NUMBERS[(n + 3) % len(_NUMBERS)],
            word=_WORDS[n % len(_WORDS)],
            other=_WORDS[(n + 5) % len(_WORDS)],
            amount=n + 0.5,
        )
        yield f"on {_TYPES[n % len(_TYPES)]}\nwhen {condition}\nthen set {_OUTPUTS[n % len(_OUTPUTS)]} = {n % 100}\n"


def long_condition() -> str:
    """Return a generated condition of a thousand operators and a hundred thousand code points."""
    clauses = (LARGE_OPERATORS + 1) // 2
    width = LARGE_CODE_POINTS // clauses - len(' || order.fields.f0000 == ""')
    condition = " || ".join(f'order.fields.f{n:04} == "{n:0{width}}"' for n in range(clauses))
    return f"when {condition}\nthen set found = true\n".ljust(LARGE_CODE_POINTS)


def long_table() -> str:
    """Return a table of two conditions and one output, with almost as many rows as the limits allow."""
    rows = "".join(f'| "zone {n}" | {n}.0..{n + 500}.0 | {n % 100} |\n' for n in range(TABLE_ROWS))
    return f"table first\n| shipping.zone | order.total | set shipping.cost |\n{rows}"


def deep_nesting() -> str:
    """Return a condition of brackets inside brackets, almost as deep as they may be."""
    opened = "".join(f"(order.total > {n}.0 {'&&' if n % 2 else '||'} " for n in range(NESTING))
    return f"when {opened}order.rush{')' * NESTING}\nthen set found = true\n"


LARGE: Final[dict[str, Callable[[], str]]] = {
    "long-condition": long_condition,
    "long-table": long_table,
    "deep-nesting": deep_nesting,
}
