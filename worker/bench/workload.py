"""The rules and facts that whole workers are measured with: a hundred rules of which five match a fact.

The rules come in twenties. Of four twenties exactly one rule matches each fact: bands of totals, a channel with a tier,
a country, a payment method with a band of risk. Of the fifth some do, one on average. One rule has an effect, for the
facts that ask for a review.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from streams import headers, subjects
from streams.wire import Publication, header_block

RULES: Final = 100
MATCHES: Final = 5  # of these rules for a fact, on average
EFFECT_EVERY: Final = 5  # one fact in so many, where there are effects
FACT_TYPE: Final = "order.placed"
EFFECT: Final = "review.requested"

_SEED: Final = 5
_BANDS: Final = 20
_BAND: Final = 25
_CHANNELS: Final = ("web", "app", "store", "phone")
_TIERS: Final = ("NEW", "BASIC", "SILVER", "GOLD", "VIP")
_COUNTRIES: Final = (
    *("AT", "BE", "CH", "CZ", "DE", "DK", "ES", "FI", "FR", "GB"),
    *("GR", "HU", "IE", "IT", "NL", "NO", "PL", "PT", "RO", "SE"),
)
_METHODS: Final = ("card", "invoice", "transfer", "voucher")
_SKUS: Final = 40
_DISTINCT: Final = 1_000  # so many different orders, which come round again under other ids


def rules(count: int = RULES) -> Iterator[str]:
    """Give so many rules; from the hundred and first on they are for facts of another type."""
    kinds = (_of_total, _of_channel, _of_country, _of_payment, _of_order)
    for number in range(count):
        round_, place = divmod(number, RULES)
        kind, n = divmod(place, RULES // len(kinds))
        fact_type = FACT_TYPE if round_ == 0 else f"order.kind{round_}"
        yield f"on {fact_type}\n{kinds[kind](n)}\n"


def _of_total(n: int) -> str:
    low, high = n * _BAND, (n + 1) * _BAND
    return f"when order.total >= {low}.0 && order.total < {high}.0\nthen set discount.percent = {n}"


def _of_channel(n: int) -> str:
    channel, tier = _CHANNELS[n % 4], _TIERS[n // 4]
    return f'when order.channel == "{channel}" && customer.tier == "{tier}"\nthen set care.level = {n % 7}'


def _of_country(n: int) -> str:
    rate = 17 + n % 9
    return f'when customer.country == "{_COUNTRIES[n]}" && order.total > 0.0\nthen set tax.percent = {rate}'


def _of_payment(n: int) -> str:
    low, high = n // 4 * 20, (n // 4 + 1) * 20
    condition = f'payment.method == "{_METHODS[n % 4]}" && payment.risk >= {low} && payment.risk < {high}'
    return f"when {condition}\nthen add {n} to risk.score"


def _of_order(n: int) -> str:
    if n == 0:
        values = '{"order": order.id, "customer": customer.id, "total": order.total}'
        return f"when order.review == true\nthen emit {EFFECT} {values}"
    if n < 4:
        return f'when order.items.exists(i, i.sku == "sku-{n:02}" && i.qty > 1)\nthen append "bulk {n}" to reasons'
    if n < 12:
        some = '", "'.join(_COUNTRIES[n : n + 3])
        condition = f'customer.country in ["{some}"] && customer.orders >= {n * 20} && order.total > {n * 30}.0'
        return f'when {condition}\nthen append "area {n}" to reasons'
    return f'when order.currency != "EUR" && customer.orders > {n * 25}\nthen set credit.limit = {n * 100}'


class Facts:
    """Facts of about 300 bytes, the same ones each time; ids begin with ``run``, so that no two runs share any."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._number = 0
        self._payloads = {wanted: payloads(review=wanted) for wanted in (False, True)}

    def take(self, count: int, *, effects: bool) -> list[Publication]:
        """Make messages of new facts; with ``effects`` the first of every five has one."""
        subject = subjects.fact(FACT_TYPE)
        made = []
        for place in range(count):
            self._number += 1
            payload = self._payloads[effects and place % EFFECT_EVERY == 0][self._number % _DISTINCT]
            head = header_block({headers.MESSAGE_ID: f"{self._run}-{self._number:08}"})
            made.append(Publication(subject, head, payload))
        return made


def effects_of(facts: int) -> int:
    """Return how many of so many facts have an effect, where there are effects."""
    return -(-facts // EFFECT_EVERY)


def order(number: int, *, review: bool = False) -> dict[str, Any]:
    """Make up an order, the same one for a number each time."""
    chance = random.Random(_SEED * 1_000_003 + number)  # noqa: S311  # made-up orders, not secrets
    items = [
        {
            "sku": f"sku-{chance.randrange(_SKUS):02}",
            "qty": chance.randint(1, 3),
            "price": chance.randint(100, 9_999) / 100,
        }
        for _ in range(2)
    ]
    return {
        "order": {
            "id": f"o-{number:08}",
            "total": chance.randint(1, _BANDS * _BAND * 100 - 1) / 100,
            "currency": chance.choices(("EUR", "SEK", "CHF"), (8, 1, 1))[0],
            "channel": chance.choice(_CHANNELS),
            "review": review,
            "items": items,
        },
        "customer": {
            "id": f"c-{chance.randrange(10**6):06}",
            "tier": chance.choice(_TIERS),
            "country": chance.choice(_COUNTRIES),
            "orders": chance.randrange(500),
        },
        "payment": {"method": chance.choice(_METHODS), "risk": chance.randrange(100)},
    }


def payloads(*, review: bool) -> list[bytes]:
    """Give the distinct orders as JSON."""
    return [msgspec.json.encode(order(number, review=review)) for number in range(_DISTINCT)]
