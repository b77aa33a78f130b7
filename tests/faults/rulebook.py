"""The rules of the fault suite, each twice: as the product's DSL, and in plain Python from what it means.

Nothing of the project is imported. A rule has several variants, so that a ruleset can change under load; ``expected``
gives what a fact's decision must say under the variants that were active at a revision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Payload = Mapping[str, Any]
Action = tuple[str, str, Any]

PRIORITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW")


@dataclass(frozen=True, slots=True)
class Taken:
    """What a rule contributes: its branch, its actions as (what, where, value), and of a table the rows."""

    branch: str
    actions: tuple[Action, ...]
    rows: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """A rule that fails on a fact, and where in its text."""

    code: str
    line: int
    column: int


Verdict = Taken | Failed | None
Decide = Callable[[Payload, Mapping[str, Any]], Verdict]


@dataclass(frozen=True, slots=True)
class Variant:
    """One content of a rule, and what it means."""

    dsl: str
    decide: Decide


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule; one that ``reads`` builds on what the others decided."""

    name: str
    priority: str
    fact_types: frozenset[str]
    variants: tuple[Variant, ...]
    reads: bool = False


@dataclass(frozen=True, slots=True)
class Active:
    """A rule that decides: its id, its version and which variant that version is."""

    rule_id: str
    version: int
    variant: int


PLACED = "order.placed"
CANCELLED = "order.cancelled"


def _big_order(threshold: int, percent: int) -> Variant:
    def decide(order: Payload, _: Mapping[str, Any]) -> Verdict:
        if order["total"] < threshold:
            return None
        return Taken(
            "then",
            (
                ("set", "discount.percent", percent),
                ("add", "risk.score", 5),
                ("append", "reasons", "big"),
                ("emit", "loyalty.points", {"order": order["number"], "points": order["total"] // 10}),
            ),
        )

    return Variant(
        f"""on {PLACED}
when total >= {threshold}
then
  set discount.percent = {percent}
  add 5 to risk.score
  append "big" to reasons
  emit loyalty.points {{"order": number, "points": total / 10}}
""",
        decide,
    )


def _vip(percent: int) -> Variant:
    def decide(order: Payload, _: Mapping[str, Any]) -> Verdict:
        if order["customer"]["tier"] == "VIP":
            return Taken("then", (("set", "discount.percent", percent), ("append", "reasons", "vip")))
        return Taken("else", (("add", "risk.score", 1),))

    return Variant(
        f"""on {PLACED}
when customer.tier == "VIP"
then
  set discount.percent = {percent}
  append "vip" to reasons
else
  add 1 to risk.score
""",
        decide,
    )


def _unit_price(limit: int) -> Variant:
    def decide(order: Payload, _: Mapping[str, Any]) -> Verdict:
        if "parts" not in order:
            return None  # missing
        if order["parts"] == 0:
            return Failed("division-by-zero", 2, 12)
        if order["total"] // order["parts"] <= limit:
            return None
        return Taken("then", (("add", "risk.score", 2), ("append", "reasons", "dear")))

    return Variant(
        f"""on order.*
when total / parts > {limit}
then
  add 2 to risk.score
  append "dear" to reasons
""",
        decide,
    )


def _region(total: int) -> Variant:
    def decide(order: Payload, _: Mapping[str, Any]) -> Verdict:
        if order["region"] == "EU" and order["total"] >= total:
            return Taken("then", (("add", "risk.score", 3), ("append", "reasons", "eu")), rows=(1,))
        if order["total"] < 100:
            return Taken("then", (("add", "risk.score", -1),), rows=(2,))
        return None

    return Variant(
        f"""on {PLACED}
table first
| region | total    | add risk.score | append reasons |
| "EU"   | >= {total} | 3              | "eu"           |
| -      | < 100    | -1             | -              |
""",
        decide,
    )


def _closing(order: Payload) -> Verdict:
    return Taken("then", (("set", "status", "closed"), ("emit", "orders.closed", {"order": order["number"]})))


def _review(percent: int) -> Variant:
    def decide(order: Payload, so_far: Mapping[str, Any]) -> Verdict:
        found = so_far.get("discount", {}).get("percent")
        if found is None or found < percent:
            return None
        return Taken("then", (("set", "review.needed", True), ("emit", "review.asked", {"order": order["number"]})))

    return Variant(
        f"""on {PLACED}
when decision.discount.percent >= {percent}
then
  set review.needed = true
  emit review.asked {{"order": number}}
""",
        decide,
    )


RULES = (
    Rule("big-order", "HIGH", frozenset({PLACED}), (_big_order(500, 10), _big_order(400, 16), _big_order(700, 8))),
    Rule("vip", "MEDIUM", frozenset({PLACED}), (_vip(20), _vip(12))),
    Rule("unit-price", "LOW", frozenset({PLACED, CANCELLED}), (_unit_price(150), _unit_price(90))),
    Rule("region", "LOW", frozenset({PLACED}), (_region(300), _region(800))),
    Rule(
        "closing",
        "MEDIUM",
        frozenset({CANCELLED}),
        (
            Variant(
                f'on {CANCELLED}\nthen\n  set status = "closed"\n  emit orders.closed {{"order": number}}\n',
                lambda order, _: _closing(order),
            ),
        ),
    ),
    Rule("review", "CRITICAL", frozenset({PLACED}), (_review(15), _review(9)), reads=True),
)
BY_NAME = {rule.name: rule for rule in RULES}


def expected(fact_type: str, payload: Payload, active: Mapping[str, Active]) -> dict[str, Any]:
    """Work out what a fact's decision says under the active rules; effects have no ids, faults no message."""
    met = [BY_NAME[name] for name in active if fact_type in BY_NAME[name].fact_types]
    met.sort(key=lambda rule: (PRIORITIES.index(rule.priority), rule.name))
    verdicts: dict[str, Verdict] = {}
    for rule in sorted(met, key=lambda rule: rule.reads):  # readers after those that they read
        so_far = merged([taken for name in _names(met) if isinstance(taken := verdicts.get(name), Taken)])
        verdicts[rule.name] = rule.variants[active[rule.name].variant].decide(payload, so_far)
    taken = [(rule, found) for rule in met if isinstance(found := verdicts[rule.name], Taken)]
    failed = [(rule, found) for rule in met if isinstance(found := verdicts[rule.name], Failed)]
    return {
        "outcome": "matched" if any(found.branch == "then" for _, found in taken) else "unmatched",
        "output": merged([found for _, found in taken]),
        "matches": [
            {
                "ruleId": active[rule.name].rule_id,
                "name": rule.name,
                "version": active[rule.name].version,
                "priority": rule.priority,
                "branch": found.branch,
                "output": merged([found]),
                **({"rows": list(found.rows)} if found.rows else {}),
            }
            for rule, found in taken
        ],
        "effects": [
            {"name": name, "payload": value}
            for _, found in taken
            for what, name, value in found.actions
            if what == "emit"
        ],
        "faults": [
            {"ruleId": active[rule.name].rule_id, "code": found.code, "line": found.line, "column": found.column}
            for rule, found in failed
        ],
        "faultCount": len(failed),
    }


def _names(rules: list[Rule]) -> list[str]:
    return [rule.name for rule in rules]


def merged(contributions: list[Taken]) -> dict[str, Any]:
    """Merge, in order: of ``set`` the first stands, ``add`` sums, ``append`` collects."""
    flat: dict[str, Any] = {}
    for taken in contributions:
        for what, path, value in taken.actions:
            if what == "set":
                flat.setdefault(path, value)
            elif what == "add":
                flat[path] = flat.get(path, 0) + value
            elif what == "append":
                flat.setdefault(path, []).append(value)
    nested: dict[str, Any] = {}
    for path, value in flat.items():
        *folders, last = path.split(".")
        place = nested
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = value
    return nested
