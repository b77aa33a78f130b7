"""The conditions that are compared, each in the language of every engine, and the facts that they are decided for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any, Final, Literal

import msgspec

Path = tuple[str | int, ...]
FactName = Literal["order", "small_order"]

ZEN: Final = "zen-engine"
CEL_CPP: Final = "cel-expr-python"
CEL_RUST: Final = "common-expression-language"
CEL_PYTHON: Final = "cel-python"
RULE_ENGINE: Final = "rule-engine"
_CEL: Final = (CEL_CPP, CEL_RUST, CEL_PYTHON)

SAMPLE: Final = 'customer.tier == "VIP" && order.total > 100.0'
_SAMPLE_ZEN: Final = 'customer.tier == "VIP" and order.total > 100.0'
_SAMPLE_RULE_ENGINE: Final = 'customer["tier"] == "VIP" and order["total"] > 100.0'

_NO_SUM: Final = "standard CEL has no sum of a list"

_DURATION: Final = 'timestamp(order.promisedAt) - timestamp(order.placedAt) < duration("72h")'
_DURATION_MISS: Final[Mapping[Path, Any]] = {("order", "promisedAt"): "2024-05-20T09:31:07Z"}
_DURATION_TEXTS: Final = {
    ZEN: 'date(order.promisedAt) - date(order.placedAt) < duration("72h")',
    RULE_ENGINE: '$parse_datetime(order["promisedAt"]) - $parse_datetime(order["placedAt"]) < t"PT72H"',
}


@dataclass(frozen=True, slots=True)
class Case:
    """A condition that holds for the fact, and fails once the values of ``near_miss`` are put at their paths.

    ``texts`` has the condition as a peer writes it, where that is not as we do; ``inexpressible`` says of a peer why
    it cannot. ``floor`` is how many times as fast as the fastest peer we have to be.

    Facts decided in turn are equal, but for the times at the paths in ``times``: there each fact has its own, as facts
    do in life, so that what an engine remembers of the last ones is of no use.
    """

    name: str
    fact: FactName
    condition: str
    near_miss: Mapping[Path, Any]
    texts: Mapping[str, str]
    floor: float
    inexpressible: Mapping[str, str] = field(default_factory=dict)
    times: tuple[Path, ...] = ()

    def text_for(self, peer: str) -> str | None:
        """Return the condition as the peer writes it; None where it cannot."""
        return None if peer in self.inexpressible else self.texts.get(peer, self.condition)


def read_fact(name: FactName) -> bytes:
    """Return a fact's JSON."""
    return files("worker.bench").joinpath(f"{name}.json").read_bytes()


def new_fact(name: FactName) -> dict[str, Any]:
    """Return a fact as a new dict, decoded as a worker does."""
    fact: dict[str, Any] = msgspec.json.decode(read_fact(name))
    return fact


def near_miss_of(case: Case) -> dict[str, Any]:
    """Return a new fact for which the case's condition just fails."""
    fact = new_fact(case.fact)
    for path, value in case.near_miss.items():
        _holder_of(fact, path)[path[-1]] = value
    return fact


def later_fact(case: Case, seconds: int) -> dict[str, Any]:
    """Return a new fact whose ``times`` are so much later."""
    fact = new_fact(case.fact)
    for path in case.times:
        holder = _holder_of(fact, path)
        moved = datetime.fromisoformat(holder[path[-1]]) + timedelta(seconds=seconds)
        holder[path[-1]] = moved.strftime("%Y-%m-%dT%H:%M:%SZ")
    return fact


def _holder_of(fact: dict[str, Any], path: Path) -> Any:
    holder: Any = fact
    for step in path[:-1]:
        holder = holder[step]
    return holder


CASES: Final[tuple[Case, ...]] = (
    Case(
        "sample",
        "order",
        SAMPLE,
        {("order", "total"): 100.0},
        {ZEN: _SAMPLE_ZEN, RULE_ENGINE: _SAMPLE_RULE_ENGINE},
        floor=10,
    ),
    Case(
        "equality",
        "order",
        'order.currency == "EUR"',
        {("order", "currency"): "SEK"},
        {RULE_ENGINE: 'order["currency"] == "EUR"'},
        floor=5,
    ),
    Case(
        "membership",
        "order",
        'customer.address.country in ["SE", "NO", "DK", "FI", "IS"]',
        {("customer", "address", "country"): "DE"},
        {RULE_ENGINE: 'customer["address"]["country"] in ["SE", "NO", "DK", "FI", "IS"]'},
        floor=5,
    ),
    Case(
        "arithmetic",
        "order",
        "order.total + order.shipping.cost * 1.25 - payment.risk.score > 250.0",
        {("payment", "risk", "score"): 60.0},
        {RULE_ENGINE: 'order["total"] + order["shipping"]["cost"] * 1.25 - payment["risk"]["score"] > 250.0'},
        floor=5,
    ),
    Case(
        "strings",
        "order",
        'order.id.startsWith("ord-2024") && customer.email.endsWith("@example.com") && order.note.contains("gift")',
        {("order", "note"): "leave it at the door"},
        {
            ZEN: (
                'startsWith(order.id, "ord-2024") and endsWith(customer.email, "@example.com")'
                ' and contains(order.note, "gift")'
            ),
            RULE_ENGINE: (
                'order["id"].starts_with("ord-2024") and customer["email"].ends_with("@example.com")'
                ' and "gift" in order["note"]'
            ),
        },
        floor=5,
    ),
    Case(
        "regex",
        "order",
        'customer.email.matches("^[a-z]+[.][a-z]+@[a-z.]+[.](com|org)$")',
        {("customer", "email"): "maria.lindqvist@example.net"},
        {
            ZEN: 'matches(customer.email, "^[a-z]+[.][a-z]+@[a-z.]+[.](com|org)$")',
            RULE_ENGINE: 'customer["email"] =~ "^[a-z]+[.][a-z]+@[a-z.]+[.](com|org)$"',
        },
        floor=2,
    ),
    Case(
        "exists",
        "order",
        'order.items.exists(i, i.category == "jackets" && i.price > 80.0)',
        {("order", "items", 2, "price"): 79.0},
        {
            ZEN: 'some(order.items, #.category == "jackets" and #.price > 80.0)',
            RULE_ENGINE: '$any([i["category"] == "jackets" and i["price"] > 80.0 for i in order["items"]])',
        },
        floor=5,
    ),
    Case(
        "all",
        "order",
        "order.items.all(i, i.qty >= 1 && i.price > 10.0)",
        {("order", "items", 3, "price"): 9.5},
        {
            ZEN: "all(order.items, #.qty >= 1 and #.price > 10.0)",
            RULE_ENGINE: '$all([i["qty"] >= 1 and i["price"] > 10.0 for i in order["items"]])',
        },
        floor=5,
    ),
    Case(
        "filter-map-size",
        "order",
        "order.items.filter(i, i.price >= 14.0).map(i, i.category).size() == 3",
        {("order", "items", 1, "price"): 13.5},
        {
            ZEN: "len(map(filter(order.items, #.price >= 14.0), #.category)) == 3",
            RULE_ENGINE: '[i["category"] for i in order["items"] if i["price"] >= 14.0].length == 3',
        },
        floor=5,
    ),
    Case(
        "sum",
        "order",
        "order.items.map(i, i.price * i.qty).sum() > 250.0",
        {("order", "items", 0, "qty"): 0},
        {
            ZEN: "sum(map(order.items, #.price * #.qty)) > 250.0",
            RULE_ENGINE: '$sum([i["price"] * i["qty"] for i in order["items"]]) > 250.0',
        },
        floor=5,
        inexpressible=dict.fromkeys(_CEL, _NO_SUM),
    ),
    Case(
        "nested-macros",
        "order",
        "order.items.exists(i, order.items.exists(j, i.sku != j.sku && i.price + j.price > 200.0))",
        {("order", "items", 2, "price"): 79.0},
        {
            ZEN: "some(order.items as i, some(order.items as j, i.sku != j.sku and i.price + j.price > 200.0))",
            RULE_ENGINE: (
                '$any([$any([i["sku"] != j["sku"] and i["price"] + j["price"] > 200.0 for j in order["items"]])'
                ' for i in order["items"]])'
            ),
        },
        floor=5,
    ),
    Case("duration", "order", _DURATION, _DURATION_MISS, _DURATION_TEXTS, floor=5),
    Case(
        "new-times",
        "order",
        _DURATION,
        _DURATION_MISS,
        _DURATION_TEXTS,
        floor=5,
        times=(("order", "promisedAt"), ("order", "placedAt")),
    ),
    Case(
        "time-zone",
        "order",
        'timestamp(order.placedAt).getHours("Europe/Stockholm") < 12',
        {("order", "placedAt"): "2024-05-17T10:00:00Z"},
        {ZEN: 'd(order.placedAt, "Europe/Stockholm").hour() < 12'},
        floor=5,
        inexpressible={CEL_RUST: "its getHours takes no time zone", RULE_ENGINE: "it has no time zones of places"},
    ),
    Case(
        "timestamp",
        "order",
        'timestamp(customer.since) < timestamp("2020-01-01T00:00:00Z")',
        {("customer", "since"): "2020-01-01T00:00:00Z"},
        {
            ZEN: 'date(customer.since) < date("2020-01-01T00:00:00Z")',
            RULE_ENGINE: '$parse_datetime(customer["since"]) < d"2020-01-01T00:00:00+00:00"',
        },
        floor=5,
    ),
    Case(
        "presence",
        "order",
        "has(order.coupon) && !has(payment.dispute) && (customer.orders >= 50 || order.coupon.percent >= 10)",
        {("payment", "dispute"): {"open": True}},
        {
            ZEN: (
                "order.coupon != null and payment.dispute == null"
                " and (customer.orders >= 50 or order.coupon.percent >= 10)"
            ),
            # Its compiled programs cannot negate what has() gives.
            CEL_PYTHON: (
                "has(order.coupon) && has(payment.dispute) == false"
                " && (customer.orders >= 50 || order.coupon.percent >= 10)"
            ),
            RULE_ENGINE: (
                '"coupon" in order and "dispute" not in payment'
                ' and (customer["orders"] >= 50 or order["coupon"]["percent"] >= 10)'
            ),
        },
        floor=5,
    ),
    Case(
        "small-sample",
        "small_order",
        SAMPLE,
        {("customer", "tier"): "GOLD"},
        {ZEN: _SAMPLE_ZEN, RULE_ENGINE: _SAMPLE_RULE_ENGINE},
        floor=2,
    ),
    Case(
        "small-membership",
        "small_order",
        'customer.country in ["SE", "NO", "DK", "FI", "IS"]',
        {("customer", "country"): "DE"},
        {RULE_ENGINE: 'customer["country"] in ["SE", "NO", "DK", "FI", "IS"]'},
        floor=2,
    ),
    Case(
        "small-strings",
        "small_order",
        'order.id.startsWith("ord-2024") && order.items >= 3',
        {("order", "items"): 2},
        {
            ZEN: 'startsWith(order.id, "ord-2024") and order.items >= 3',
            RULE_ENGINE: 'order["id"].starts_with("ord-2024") and order["items"] >= 3',
        },
        floor=2,
    ),
)
