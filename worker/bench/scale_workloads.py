"""The rules and facts that rulesets of any size are measured with: whatever the size, about five rules match a fact.

Each workload has five kinds of rules. Rule ``n`` is of kind ``n % 5`` and asks for thing number ``n // 5`` of its kind:
a customer, a band of totals, a word in a text. A fact for so many rules has, of each kind, a thing that is drawn among
those which the rules ask for; so a larger ruleset is the smaller one with more things in it. Rules and facts are the
same ones each time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Final

import msgspec

from worker.bench.scale_conditions import AnyItem, Both, Compared, Condition, Either, Has, Not, Operator, cel

FACT_TYPE: Final = "order.placed"
KINDS: Final = 5
SIZE_MIN: Final = 10
MATCHES_MIN: Final = 3.0  # on average; outside of these a workload is not what it says
MATCHES_MAX: Final = 8.0
FACTS: Final = 2_000

_SEED: Final = 6
_SYLLABLES: Final = [first + second for first in "bdfgklmnprstvz" for second in "aeiou"]
_WORDS: Final = len(_SYLLABLES) ** 4
_STRIDE: Final = 9_973_907  # has no factor in common with the number of words, so that no two are alike
_LIST: Final = 8
_KNOWN: Final = 0.85  # of the things in facts of lists, so that about five rules match
_BOXES_A_ROW: Final = 144
_WIDE: Final = 3
_WIDE_EVERY: Final = 8
_UNKNOWN: Final = 10**7  # things beyond it no rule asks for

_WAYS: Final = (str.title, str.upper, str.lower, str.swapcase)

Fill = Callable[[dict[str, Any], int, random.Random], None]
"""Puts thing so-and-so into a fact, in one of the ways that there are."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of rules: the condition that asks for a thing, and what gives it to a fact."""

    condition: Callable[[int], Condition]
    fill: Fill


@dataclass(frozen=True, slots=True)
class Workload:
    """Rules and facts under a name, and what is asked of them.

    ``ratio_min`` is the least that facts a second with 100,000 rules may be of those with 100, ``per_second_min`` the
    least that they may be with 100,000; None where nothing is asked.
    """

    name: str
    kinds: tuple[Kind, Kind, Kind, Kind, Kind]
    ratio_min: float | None = 0.5
    per_second_min: float | None = 10_000.0

    def rules(self, count: int, first: int = 0) -> Iterator[str]:
        """Give the texts of so many rules, from number ``first`` on."""
        for n in range(first, first + count):
            thing, kind = divmod(n, KINDS)
            yield f"on {FACT_TYPE}\nwhen {cel(self.kinds[kind].condition(thing))}\nthen\n{_outputs(n)}"

    def conditions(self, count: int) -> Iterator[Condition]:
        """Give the conditions of the first ``count`` rules, for other engines to write."""
        for n in range(count):
            thing, kind = divmod(n, KINDS)
            yield self.kinds[kind].condition(thing)

    def fact(self, rules: int, number: int) -> dict[str, Any]:
        """Make up a fact for the first ``rules`` rules, the same one for a number each time."""
        chance = random.Random(f"{_SEED} {self.name} {rules} {number}")  # noqa: S311  # made-up orders, not secrets
        fact = _order(number, chance)
        for kind in self.kinds:
            kind.fill(fact, chance.randrange(max(1, rules // KINDS)), chance)
        return fact

    def payloads(self, rules: int, count: int = FACTS) -> list[bytes]:
        """Give so many different facts as JSON."""
        return [msgspec.json.encode(self.fact(rules, number)) for number in range(count)]


def word(n: int) -> str:
    """Return the word of a number: eight letters that can be said; no two numbers below 24 million share one."""
    number, letters = (n + 1) * _STRIDE % _WORDS, ""
    for _ in range(4):
        number, syllable = divmod(number, len(_SYLLABLES))
        letters += _SYLLABLES[syllable]
    return letters


def _order(number: int, chance: random.Random) -> dict[str, Any]:
    return {
        "order": {
            "id": f"o-{number:08}",
            "total": chance.randint(100, 99_999) / 100,
            "currency": chance.choices(("EUR", "SEK"), (19, 1))[0],
            "channel": chance.choice(("web", "app", "store", "phone")),
            "country": chance.choice(("AT", "DE", "FR", "IT", "SE")),
        },
        "customer": {"tier": chance.choice(("NEW", "BASIC", "GOLD", "VIP")), "orders": chance.randrange(500)},
    }


def _outputs(n: int) -> str:
    """Return what a rule gives: one or two of what rules give in life, of which one in five reads the fact."""
    match (n + n // KINDS) % 5:
        case 0:
            return f"  set discount.percent = {n % 40}\n"
        case 1:
            return f"  add {n % 50} to risk.score\n"
        case 2:
            return f'  append "rule {n}" to reasons\n'
        case 3:
            return f"  set care.level = {n % 7}\n  add {n % 9} to loyalty.points\n"
        case _:
            return f'  set fee.amount = order.total * 0.0{n % 9 + 1}\n  append "fee {n}" to reasons\n'


def _put(fact: dict[str, Any], path: str, value: Any) -> None:
    *above, last = path.split(".")
    for name in above:
        fact = fact.setdefault(name, {})
    fact[last] = value


_IN_EUROS: Final = Compared("order.currency", "==", "EUR")
_ORDERED: Final = Compared("customer.orders", ">=", 0)
_NOT_IN_SHOPS: Final = Compared("order.channel", "!=", "store")
_ABROAD: Final = Compared("order.country", "!=", "SE")


def _with(test: Condition, more: Sequence[Condition]) -> Condition:
    return Both((test, *more)) if more else test


# Equality


def _same(path: str, value: Callable[[int], Any], *more: Condition) -> Kind:
    return Kind(
        lambda thing: _with(Compared(path, "==", value(thing)), more),
        lambda fact, thing, _: _put(fact, path, value(thing)),
    )


EQUALITY: Final = Workload(
    "equality",
    (
        _same("customer.id", lambda n: f"c-{n:06}"),
        _same("order.sku", lambda n: f"{word(n)}-{n % 100:02}", _IN_EUROS),
        _same("payment.account", lambda n: 700_000_000 + 7 * n),
        _same("device.id", lambda n: f"{n * _STRIDE % 2**32:08x}", _ORDERED),
        _same("merchant.name", word),
    ),
    ratio_min=0.8,
    per_second_min=50_000.0,
)


# Membership: a list has eight things of its own, and one that it shares with others


def _members(path: str, value: Callable[[int], Any], *more: Condition) -> Kind:
    def condition(thing: int) -> Condition:
        things = [*range(thing * _LIST, (thing + 1) * _LIST), thing // 2 * _LIST]
        return _with(Compared(path, "in", [value(one) for one in dict.fromkeys(things)]), more)

    def fill(fact: dict[str, Any], thing: int, chance: random.Random) -> None:
        one = thing * _LIST + chance.randrange(_LIST)
        _put(fact, path, value(one if chance.random() < _KNOWN else _UNKNOWN + one))

    return Kind(condition, fill)


MEMBERSHIP: Final = Workload(
    "membership",
    (
        _members("customer.id", lambda n: f"c-{n:07}"),
        _members("order.sku", word, _IN_EUROS),
        _members("payment.bin", lambda n: 400_000 + n),
        _members("shipping.postcode", lambda n: f"{n % 1_000:03} {n // 1_000:02}"),
        _members("merchant.id", lambda n: f"m{n:07x}", _ORDERED),
    ),
)


# Numeric ranges: bands side by side, every eighth three times as wide


def _band(
    path: str, start: float, step: float, *more: Condition, low_is: Operator = ">=", high_is: Operator = "<"
) -> Kind:
    """Make a kind of bands of one number, whole ones where ``step`` is whole."""
    kind = int if isinstance(step, int) else float

    def bound(thing: int) -> float:
        return kind(round(start + thing * step, 4))

    def condition(thing: int) -> Condition:
        wide = _WIDE if thing % _WIDE_EVERY == _WIDE_EVERY - 1 else 1
        low = thing - wide // 2
        return Both((Compared(path, low_is, bound(low)), Compared(path, high_is, bound(low + wide)), *more))

    def fill(fact: dict[str, Any], thing: int, chance: random.Random) -> None:
        _put(fact, path, kind(round(bound(thing) + chance.random() * step, 4)))

    return Kind(condition, fill)


RANGES: Final = Workload(
    "ranges",
    (
        _band("order.net", 0.0, 1.25, _NOT_IN_SHOPS),
        _band("customer.points", -1, 40, low_is=">", high_is="<="),
        _band("order.weight", 0.0, 0.3, _ABROAD),
        _band("payment.risk", 0.0, 0.07, Compared("customer.orders", "<", 450), low_is=">"),
        _band("delivery.minutes", 5, 15, Compared("order.total", ">", 100.0), high_is="<="),
    ),
)


# Parts of strings


def _text(
    path: str, operator: Operator, shown: str, asked: str = "{word}", *more: Condition, folded: bool = False
) -> Kind:
    """Make a kind of a word in a text: ``asked`` is what a rule asks for and ``shown`` the text that has it.

    Where rules look at it ``folded``, the text is written in one of several ways.
    """

    def condition(thing: int) -> Condition:
        return _with(Compared(path, operator, asked.format(word=word(thing)), folded), more)

    def fill(fact: dict[str, Any], thing: int, chance: random.Random) -> None:
        text = shown.format(word=word(thing), other=word(_UNKNOWN + chance.randrange(10**6)))
        ways: Sequence[Callable[[str], str]] = _WAYS if folded else (str,)
        _put(fact, path, chance.choice(ways)(text))

    return Kind(condition, fill)


_AGENT: Final = "Mozilla/5.0 ({other}) {word}/17.2"
_NOTE: Final = "please leave the {word} with {other}"
PARTS: Final = Workload(
    "parts",
    (
        _text("request.path", "startsWith", "/shop/{word}/{other}", "/shop/{word}/"),
        _text("customer.email", "endsWith", "{other}@{word}.com", "@{word}.com"),
        _text("request.agent", "contains", _AGENT),
        _text("order.note", "contains", _NOTE, " {word} "),
        _text("document.name", "endsWith", "{other}-{word}.pdf", "{word}.pdf", _ORDERED),
    ),
)


# Case folded: what a fact holds is written in many ways

FOLDED: Final = Workload(
    "case-folded",
    (
        _text("customer.email", "==", "{word}@{word}.com", "{word}@{word}.com", folded=True),
        _text("request.agent", "contains", _AGENT, folded=True),
        _text("process.image", "endsWith", "C:\\Program Files\\{other}\\{word}.exe", "\\{word}.exe", folded=True),
        _text("request.host", "startsWith", "{word}.{other}.example", "{word}.", folded=True),
        _text("order.note", "contains", _NOTE, " {word} ", folded=True),
    ),
)


# A mix with || and negation


def _either_id(thing: int) -> Condition:
    mine = Either((Compared("customer.id", "==", f"c-{thing:06}"), Compared("device.id", "==", f"d-{thing:06}")))
    return Both((mine, Not(Compared("order.channel", "==", "store"))))


def _fill_id(fact: dict[str, Any], thing: int, chance: random.Random) -> None:
    known, other = (thing, _UNKNOWN + thing) if chance.random() < 0.5 else (_UNKNOWN + thing, thing)
    _put(fact, "customer.id", f"c-{known:06}")
    _put(fact, "device.id", f"d-{other:06}")


def _either_text(thing: int) -> Condition:
    path = Compared("request.path", "startsWith", f"/shop/{word(thing)}/")
    return Both((Either((path, Compared("request.agent", "contains", word(thing), folded=True))), Has("order.total")))


def _fill_text(fact: dict[str, Any], thing: int, chance: random.Random) -> None:
    known, other = word(thing), word(_UNKNOWN + chance.randrange(10**6))
    if chance.random() < 0.5:
        known, other = other, known
    _put(fact, "request.path", f"/shop/{known}/")
    _put(fact, "request.agent", f"Mozilla/5.0 {other.title()}/17.2")


def _fill_items(fact: dict[str, Any], thing: int, chance: random.Random) -> None:
    skus = [word(thing), word(_UNKNOWN + chance.randrange(10**6))]
    chance.shuffle(skus)
    _put(fact, "order.items", [{"sku": sku, "qty": chance.randint(1, 3)} for sku in skus])


MIX: Final = Workload(
    "mix",
    (
        Kind(_either_id, _fill_id),
        _members("order.sku", lambda n: f"s-{n:07}", _ABROAD),
        Kind(_either_text, _fill_text),
        _band("order.net", 0.0, 1.25, Not(Compared("order.channel", "==", "phone"))),
        Kind(lambda thing: AnyItem("order.items", "sku", word(thing)), _fill_items),
    ),
)


# Boxes: two ranges, of which neither says much alone. Nothing is asked of them.


def _box(path: str) -> Kind:
    def condition(thing: int) -> Condition:
        row, column = divmod(thing, _BOXES_A_ROW)
        return Both(
            (
                Compared(f"{path}.x", ">=", float(column)),
                Compared(f"{path}.x", "<", float(column + 1)),
                Compared(f"{path}.y", ">=", float(row)),
                Compared(f"{path}.y", "<", float(row + 1)),
            )
        )

    def fill(fact: dict[str, Any], thing: int, chance: random.Random) -> None:
        row, column = divmod(thing, _BOXES_A_ROW)
        _put(fact, f"{path}.x", round(column + chance.random(), 4))
        _put(fact, f"{path}.y", round(row + chance.random(), 4))

    return Kind(condition, fill)


BOXES: Final = Workload(
    "boxes",
    (_box("store"), _box("depot"), _box("driver"), _box("parcel"), _box("home")),
    ratio_min=None,
    per_second_min=None,
)

WORKLOADS: Final = {one.name: one for one in (EQUALITY, MEMBERSHIP, RANGES, PARTS, FOLDED, MIX, BOXES)}


FLOORED: Final = tuple(one for one in WORKLOADS.values() if one.ratio_min is not None)


def assorted_rules(count: int) -> Iterator[str]:
    """Give rules of all workloads that something is asked of, in turn."""
    texts = [one.rules(-(-count // len(FLOORED))) for one in FLOORED]
    return islice(chain.from_iterable(zip(*texts, strict=True)), count)


def assorted_payloads(rules: int, count: int = FACTS) -> list[bytes]:
    """Give different facts for so many assorted rules as JSON, of each workload in turn."""
    each = max(SIZE_MIN, rules // len(FLOORED))
    return [msgspec.json.encode(FLOORED[number % len(FLOORED)].fact(each, number)) for number in range(count)]
