"""How a ruleset's rules are found: under what each is filed, where many are filed alike, and which are always tried.

All of it is told by the rules alone: what facts come, and so how often a rule is tried, only a stream knows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from domain.decisions import patterns
from domain.decisions.index import RULES_MIN, Filing, FilingKind
from domain.decisions.index.filing import PLACES_MAX, cover_of, spreads_of
from domain.decisions.ruleset import BoundRule, Ruleset
from domain.language import EACH, Demand, PartKind, TextParts, View, is_wide, why_tried
from domain.language.ranges import EVERYTHING, Values
from domain.language.tokens import Positions

TYPES_MAX: Final = 256  # kinds of facts that are told apart, those that most rules are for
ANY_TYPE: Final = ">"  # stands for the types that no rule names
_PAIRED_MAX: Final = 16  # values of a path that a rule found by two is counted at
_PLACEHOLDER: Final = "_"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a rule is tried on every fact: where in its text, counted from 1, and what to write instead.

    What is about the rule as a whole, or about the rules beside it, has no place.
    """

    message: str
    hint: str | None = None
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True, slots=True)
class RuleStatistics:
    """How one rule is found: by its ``filings``, of which facts must meet one.

    ``tried_for`` are the types, or patterns of them, all of whose facts it is tried on, and ``reasons`` why; they are
    told too of a rule that is looked up by no more than fields being there. ``is_own`` says that they are about what
    the rule says, not about the rules beside it.
    """

    rule: BoundRule
    filings: tuple[Filing, ...] = ()
    tried_for: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()
    is_own: bool = False


@dataclass(frozen=True, slots=True)
class TypeStatistics:
    """The rules that facts of some types meet: how many, how many of them are tried on each such fact.

    ``expected`` is about how many are tried on a fact, as far as the rules themselves tell what facts hold.
    """

    fact_types: tuple[str, ...]
    rules: int
    tried: int
    expected: float


@dataclass(frozen=True, slots=True)
class Place:
    """A path, or two, that facts are looked up by, in which structures, and how many rules are filed there."""

    paths: tuple[str, ...]
    kinds: tuple[FilingKind, ...]
    rules: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """What a fact may hold, such as ``order.country == "US"``, and the rules that are tried on facts that do."""

    asks: str
    rules: int


@dataclass(frozen=True, slots=True)
class RulesetStatistics:
    """How a ruleset's rules are found; rules in order of evaluation, places and buckets by how many rules they have."""

    rules: tuple[RuleStatistics, ...]
    types: tuple[TypeStatistics, ...]
    types_left_out: int
    places: tuple[Place, ...]
    buckets: tuple[Bucket, ...]

    @property
    def tried(self) -> tuple[RuleStatistics, ...]:
        """The rules that are tried on every fact of some type."""
        return tuple(one for one in self.rules if one.tried_for)

    @property
    def wide(self) -> tuple[RuleStatistics, ...]:
        """The rules that are looked up, and yet tried on nearly every fact that has their fields."""
        return tuple(one for one in self.rules if one.reasons and not one.tried_for)


def ruleset_statistics(ruleset: Ruleset) -> RulesetStatistics:
    """Tell how the rules of a ruleset are found. It takes about as long as making its indexes does."""
    kinds, left_out = _kinds_of_facts(ruleset.rules)
    filings: dict[str, tuple[Filing, ...]] = {}
    tried_for: dict[str, list[str]] = defaultdict(list)
    beside: dict[str, Reason] = {}
    types: list[TypeStatistics] = []
    for shown, example in kinds:
        found = ruleset.filings(example)
        tried = [rule for rule, some in found if not some]
        for rule, some in found:
            if some:
                filings.setdefault(rule.rule_id, some)
        for rule, reason in _reasons_beside(tried, [rule for rule, _ in found]):
            beside.setdefault(rule.rule_id, reason)
            tried_for[rule.rule_id] += shown
        shares = sum(min(1.0, sum(filing.share for filing in some)) for _, some in found)
        types.append(TypeStatistics(shown, len(found), len(tried), len(tried) + shares))
    rules = tuple(
        _told(rule, filings.get(rule.rule_id, ()), tuple(tried_for.get(rule.rule_id, ())), beside.get(rule.rule_id))
        for rule in ruleset.rules
    )
    return RulesetStatistics(rules, tuple(types), left_out, _places(rules), _buckets(rules))


# The kinds of facts


def _kinds_of_facts(rules: Sequence[BoundRule]) -> tuple[list[tuple[tuple[str, ...], str]], int]:
    """Return types and patterns by the rules that their facts meet, with a type each, and how many are left out.

    Facts of a pattern are those that no rule names: types that meet the same rules are one kind.
    """
    counts = Counter(rule.compiled.fact_types for rule in rules)
    named = dict.fromkeys(pattern for types in counts for pattern in types)
    by_met: dict[tuple[tuple[str, ...], ...], list[str]] = defaultdict(list)
    for pattern in (*named, *((ANY_TYPE,) if () in counts else ())):
        example = _example(pattern)
        met = tuple(types for types in counts if not types or any(patterns.matches(one, example) for one in types))
        if pattern not in by_met[met]:
            by_met[met].append(pattern)
    ordered = sorted(by_met.items(), key=lambda item: (-sum(counts[types] for types in item[0]), item[1]))
    told: list[tuple[tuple[str, ...], str]] = []
    covered: set[tuple[str, ...]] = set()
    for met, shown in ordered:
        if len(told) < TYPES_MAX or not covered.issuperset(met):
            covered.update(met)
            told.append((tuple(shown), _example(shown[0])))
    return told, len(ordered) - len(told)


def _example(pattern: str) -> str:
    """Return a fact type that falls under a pattern and, as no type is likely to be called so, under few others."""
    return ".".join(_PLACEHOLDER if token in {"*", ">"} else token for token in pattern.split("."))


# Why rules are always tried


def _told(
    rule: BoundRule, filings: tuple[Filing, ...], tried_for: tuple[str, ...], beside: Reason | None
) -> RuleStatistics:
    demand, origin = rule.compiled.demand, rule.compiled.origin
    own: tuple[Reason, ...] = ()
    if origin is not None and (demand is None or is_wide(demand)):
        positions = Positions(rule.compiled.source)
        own = tuple(
            Reason(one.reason, one.hint, *((None, None) if one.span is None else positions.at(one.span[0])))
            for one in why_tried(origin.plan())
        )
    return RuleStatistics(rule, filings, tried_for, own or (() if beside is None else (beside,)), bool(own))


def _reasons_beside(tried: Sequence[BoundRule], together: Sequence[BoundRule]) -> Iterator[tuple[BoundRule, Reason]]:
    """Tell why the index has no place for rules beside others, taken that what they say is not in the way."""
    spreads = spreads_of(rule.compiled.demand for rule in together) if tried else {}
    is_indexed = len(tried) < len(together)
    for rule in tried:
        cover = cover_of(rule.compiled.demand, spreads)
        if cover is None:
            yield rule, _BROAD
        elif not is_indexed:
            yield rule, _FEW
        else:
            is_sparse = len(spreads) > PLACES_MAX and any(demand.absent for demand in cover.demands)
            yield rule, _SPARSE if is_sparse else _ALONE


_FEW: Final = Reason(
    f"fewer than {RULES_MIN} rules for its facts can be looked up: to try them all is as fast",
    "nothing is to be gained while the rules are so few",
)
_ALONE: Final = Reason(
    "too few rules ask for the same fields: to try them is as fast as to look",
    "nothing is to be gained unless more rules ask for them",
)
_BROAD: Final = Reason(
    "most facts meet what it asks for, as far as the rules tell",
    "join it by `&&` with a comparison that few facts meet",
)
_SPARSE: Final = Reason(
    f"it is for facts without a field too, and the rules ask for more than {PLACES_MAX} fields",
    "join it by `&&` with a comparison of a field that its facts have",
)


# What rules are filed under


def _places(rules: Sequence[RuleStatistics]) -> tuple[Place, ...]:
    """Count the rules by the paths that they are filed under, each rule once for a place."""
    counts: Counter[tuple[tuple[str, ...], tuple[FilingKind, ...]]] = Counter()
    for one in rules:
        counts.update(
            {(tuple(shown_path(demand) for demand in filing.demands), filing.kinds) for filing in one.filings}
        )
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Place(paths, kinds, count) for (paths, kinds), count in ordered)


def _buckets(rules: Sequence[RuleStatistics]) -> tuple[Bucket, ...]:
    """Count the rules by what a fact must hold to lead to them, each rule once for a value."""
    counts: Counter[str] = Counter()
    for one in rules:
        counts.update({asked for filing in one.filings for asked in _asked(filing)})
    return tuple(Bucket(asks, count) for asks, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _asked(filing: Filing) -> Iterator[str]:
    if len(filing.demands) == 1:
        yield from _values(filing.demands[0])
        return
    several = [[*_values(demand)][:_PAIRED_MAX] for demand in filing.demands]
    for together in product(*several):
        yield " && ".join(together)


def _values(demand: Demand) -> Iterator[str]:
    """Return what a demand asks for, value by value, as it could be written."""
    path, test = shown_path(demand), demand.test
    if isinstance(test, TextParts):
        for text in test.texts:
            yield f"{path}.{_PARTS[test.kind]}({_shown_text(text)})"
        return
    if demand.absent:
        yield f"!has({path})"
    yield from (f"{path} {one}" for one in _shown_values(test))


def _shown_values(values: Values) -> Iterator[str]:
    if values == EVERYTHING:
        yield "is there"
        return
    for low, low_in, high, high_in in values.numbers:
        yield f"== {low:g}" if low == high else Values(((low, low_in, high, high_in),)).describe()
    if values.all_texts_but:
        yield f"!= {_shown_text(min(values.texts))}" if len(values.texts) == 1 else "is a string"
    else:
        yield from (f"== {_shown_text(text)}" for text in values.texts)
    if values.bools:
        yield "is a bool" if len(values.bools) == 2 else f"== {str(True in values.bools).lower()}"
    if values.null:
        yield "== null"
    if values.others:
        yield "is a list or an object"


def shown_path(demand: Demand) -> str:
    """Return a demand's path as it could be written, with ``[]`` for each element."""
    path = "".join("[]" if step is EACH else f".{step}" for step in demand.path).removeprefix(".")
    return path if demand.view is View.AS_IS else f"{path}.{demand.view.value}Ascii()"


def _shown_text(text: str) -> str:
    cut = text if len(text) <= 40 else f"{text[:39]}…"
    return '"' + cut.replace("\\", "\\\\").replace('"', '\\"') + '"'


_PARTS: Final = {PartKind.CONTAINS: "contains", PartKind.STARTS: "startsWith", PartKind.ENDS: "endsWith"}
