"""The rules and facts that rulesets of any size are measured with: whatever the size, about five rules match a fact.

Each workload has five kinds of rules. Rule ``n`` is of kind ``n % 5`` and asks for thing number ``n // 5`` of its kind:
a customer, a band of totals, a word in a text. A fact for so many rules has, of each kind, a thing that is drawn among
those which the rules ask for; so a larger ruleset is the smaller one with more things in it. Rules and facts are the
same ones each time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

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
_WIDE: Final = 3
_WIDE_EVERY: Final = 8
_UNKNOWN: Final = 10**7  # things beyond it no rule asks for

Fill = Callable[[dict[str, Any], int, random.Random], None]
"""Puts thing so-and-so into a fact, in one of the ways that there are."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of rules: the condition that asks for a thing, and what gives it to a fact."""

    condition: Callable[[int], str]
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
            yield f"on {FACT_TYPE}\nwhen {self.kinds[kind].condition(thing)}\nthen\n{_outputs(n)}"

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
    number, letters = n * _STRIDE % _WORDS, ""
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


def _kind(path: str, condition: str, value: Callable[[int], Any]) -> Kind:
    """Make a kind of one value at a path; the condition has ``{path}``, ``{value}`` and ``{n}``."""

    def written(thing: int) -> str:
        return condition.format(path=path, value=msgspec.json.encode(value(thing)).decode(), n=thing)

    return Kind(written, lambda fact, thing, _: _put(fact, path, value(thing)))


# Equality

EQUALITY: Final = Workload(
    "equality",
    (
        _kind("customer.id", "{path} == {value}", lambda n: f"c-{n:06}"),
        _kind("order.sku", '{path} == {value} && order.currency == "EUR"', lambda n: f"{word(n)}-{n % 100:02}"),
        _kind("payment.account", "{path} == {value}", lambda n: 700_000_000 + 7 * n),
        _kind("device.id", "{path} == {value} && order.total > 0.0", lambda n: f"{n * _STRIDE % 2**32:08x}"),
        _kind("merchant.name", "{path} == {value}", word),
    ),
    ratio_min=0.8,
    per_second_min=50_000.0,
)


# Membership: a list has eight things of its own, and one that it shares with others


def _members(path: str, value: Callable[[int], Any], known: float = 0.85, test: str = "") -> Kind:
    def condition(thing: int) -> str:
        things = [*range(thing * _LIST, (thing + 1) * _LIST), thing // 2 * _LIST]
        listed = msgspec.json.encode([value(one) for one in dict.fromkeys(things)]).decode()
        return f"{path} in {listed}{test}"

    def fill(fact: dict[str, Any], thing: int, chance: random.Random) -> None:
        one = thing * _LIST + chance.randrange(_LIST)
        _put(fact, path, value(one if chance.random() < known else _UNKNOWN + one))

    return Kind(condition, fill)


MEMBERSHIP: Final = Workload(
    "membership",
    (
        _members("customer.id", lambda n: f"c-{n:07}"),
        _members("order.sku", word, test=' && order.currency == "EUR"'),
        _members("payment.bin", lambda n: 400_000 + n),
        _members("shipping.postcode", lambda n: f"{n % 1_000:03} {n // 1_000:02}"),
        _members("merchant.id", lambda n: f"m{n:07x}", test=" && order.total > 0.0"),
    ),
)


# Numeric ranges: bands side by side, bands that overlap, and every eighth three times as wide


def _band(path: str, condition: str, low: Callable[[int], float], step: float, *, whole: bool = False) -> Kind:
    """Make a kind of bands of one number; the condition has ``{path}``, ``{low}``, ``{high}`` and ``{n}``."""

    def bounds(thing: int) -> tuple[float, float]:
        wide = _WIDE if thing % _WIDE_EVERY == _WIDE_EVERY - 1 else 1
        return low(thing - wide // 2), low(thing - wide // 2 + wide)

    def written(thing: int) -> str:
        below, above = bounds(thing)
        shown = (int(below), int(above)) if whole else (float(below), float(above))
        return condition.format(path=path, low=shown[0], high=shown[1], n=thing)

    def fill(fact: dict[str, Any], thing: int, chance: random.Random) -> None:
        value = low(thing) + chance.random() * step
        _put(fact, path, int(value) if whole else round(value, 4))

    return Kind(written, fill)


def _evenly(start: float, step: float) -> Callable[[int], float]:
    return lambda n: round(start + n * step, 4)


_HALF_OPEN: Final = "{path} >= {low} && {path} < {high}"
RANGES: Final = Workload(
    "ranges",
    (
        _band("order.net", _HALF_OPEN + ' && order.channel != "store"', _evenly(0, 1.25), 1.25),
        _band("customer.points", "{path} > {low} && {path} <= {high}", _evenly(-1, 40), 40, whole=True),
        _band("order.weight", _HALF_OPEN + ' && order.country != "SE"', _evenly(0, 0.3), 0.3),
        _band("payment.risk", "{low} < {path} && {path} < {high} && customer.orders < 450", _evenly(0, 0.07), 0.07),
        _band("delivery.minutes", "{path} >= {low} && {path} <= {high} && order.total > 100.0", _evenly(5, 15), 15),
    ),
)


# Parts of strings


def _text(path: str, condition: str, shown: str, asked: str = "{word}") -> Kind:
    """Make a kind of a word in a text: ``asked`` is what a rule asks for and ``shown`` the text that has it."""

    def written(thing: int) -> str:
        return condition.format(path=path, part=msgspec.json.encode(asked.format(word=word(thing))).decode())

    def fill(fact: dict[str, Any], thing: int, chance: random.Random) -> None:
        other = word(_UNKNOWN + chance.randrange(10**6))
        _put(fact, path, shown.format(word=word(thing), other=other))

    return Kind(written, fill)


PARTS: Final = Workload(
    "parts",
    (
        _text("request.path", "{path}.startsWith({part})", "/shop/{word}/{other}", "/shop/{word}/"),
        _text("customer.email", "{path}.endsWith({part})", "{other}@{word}.com", "@{word}.com"),
        _text("request.agent", "{path}.contains({part})", "Mozilla/5.0 ({other}) {word}/17.2"),
        _text("order.note", "{path}.contains({part})", "please leave the {word} with {other}", " {word} "),
        _text("document.name", "{path}.endsWith({part}) && order.total > 0.0", "{other}-{word}.pdf", "{word}.pdf"),
    ),
)


# Case folded: what a fact holds is written in many ways


def _folded(path: str, condition: str, shown: str, asked: str = "{word}") -> Kind:
    kind = _text(path, condition.replace("{path}", "{path}.lowerAscii()"), shown, asked)

    def fill(fact: dict[str, Any], thing: int, chance: random.Random) -> None:
        other = word(_UNKNOWN + chance.randrange(10**6))
        text = shown.format(word=word(thing), other=other)
        way = chance.choice((str.title, str.upper, str.lower, str.swapcase))
        _put(fact, path, way(text))

    return Kind(kind.condition, fill)


FOLDED: Final = Workload(
    "case-folded",
    (
        _folded("customer.email", "{path} == {part}", "{word}@{word}.com", "{word}@{word}.com"),
        _folded("request.agent", "{path}.contains({part})", "Mozilla/5.0 ({other}) {word}/17.2"),
        _folded("process.image", "{path}.endsWith({part})", "C:\\Program Files\\{other}\\{word}.exe", "\\{word}.exe"),
        _folded("request.host", "{path}.startsWith({part})", "{word}.{other}.example", "{word}."),
        _folded("order.note", "{path}.contains({part})", "please leave the {word} with {other}", " {word} "),
    ),
)


# A mix with || and negation


def _fill_either(fact: dict[str, Any], thing: int, chance: random.Random) -> None:
    known, other = (thing, _UNKNOWN + thing) if chance.random() < 0.5 else (_UNKNOWN + thing, thing)
    _put(fact, "customer.id", f"c-{known:06}")
    _put(fact, "device.id", f"d-{other:06}")


def _fill_request(fact: dict[str, Any], thing: int, chance: random.Random) -> None:
    known, other = word(thing), word(_UNKNOWN + chance.randrange(10**6))
    if chance.random() < 0.5:
        known, other = other, known
    _put(fact, "request.path", f"/shop/{known}/")
    _put(fact, "request.agent", f"Mozilla/5.0 {other.title()}/17.2")


def _fill_items(fact: dict[str, Any], thing: int, chance: random.Random) -> None:
    skus = [word(thing), word(_UNKNOWN + chance.randrange(10**6))]
    chance.shuffle(skus)
    _put(fact, "order.items", [{"sku": sku, "qty": chance.randint(1, 3)} for sku in skus])


_LISTED: Final = _members("order.sku", lambda n: f"s-{n:07}", test=' && order.country != "SE"')
MIX: Final = Workload(
    "mix",
    (
        Kind(
            lambda n: f'(customer.id == "c-{n:06}" || device.id == "d-{n:06}") && !(order.channel == "store")',
            _fill_either,
        ),
        _LISTED,
        Kind(
            lambda n: (
                f'(request.path.startsWith("/shop/{word(n)}/") || '
                f'request.agent.lowerAscii().contains("{word(n)}")) && has(order.total)'
            ),
            _fill_request,
        ),
        _band("order.net", _HALF_OPEN + ' && !(order.channel == "phone")', _evenly(0, 1.25), 1.25),
        Kind(lambda n: f'order.items.exists(i, i.sku == "{word(n)}")', _fill_items),
    ),
)


# Boxes: two ranges, of which neither says much alone. Nothing is asked of them; they show where an index by one
# demand of each rule ends.

_BOXES_A_ROW: Final = 144


def _box(path: str) -> Kind:
    def condition(thing: int) -> str:
        row, column = divmod(thing, _BOXES_A_ROW)
        across = f"{path}.x >= {column}.0 && {path}.x < {column + 1}.0"
        return f"{across} && {path}.y >= {row}.0 && {path}.y < {row + 1}.0"

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
