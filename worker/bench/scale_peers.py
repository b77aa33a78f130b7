"""The other engines with the same rules: each gets their conditions in its own form, and says which match a fact.

They do less than we do: nothing is merged, ordered or made of a match. Each is asked with as many rules as it takes
until it gives up: one size takes too long to load or to decide, or it cannot express a rule.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import msgspec

from worker.bench.scale_conditions import PARTS, AnyItem, Both, Compared, Condition, Either, Has, Not, cel, literal
from worker.bench.scale_timing import Course, decided
from worker.bench.scale_workloads import Workload

LOAD_SECONDS_MAX: Final = 60.0
PER_SECOND_MIN: Final = 20.0  # facts, below which an engine is taken to have given up
SECONDS: Final = 2.0

_CHECKED: Final = 20
_LOT: Final = 20
_ROUNDS: Final = 5
_DECODER: Final = msgspec.json.Decoder()

Matches = Callable[[bytes], Iterable[int]]
"""Gives the numbers of the rules that match a fact, from its JSON."""


class InexpressibleError(Exception):
    """An engine has no form of a condition."""


@dataclass(frozen=True, slots=True)
class ScalePeer:
    """An engine by its name on PyPI; ``prepare`` makes what finds the rules that match, of rules in their order."""

    name: str
    prepare: Callable[[Iterable[Condition]], Matches]


class PeerReport(msgspec.Struct, rename="camel", frozen=True):
    """One engine's facts a second by the number of rules, as far as it went, and why no further."""

    name: str
    facts_per_second: dict[int, float]
    load_seconds: dict[int, float]
    note: str | None


def tried_each(write: Callable[[Condition], Any]) -> Callable[[Iterable[Condition]], Matches]:
    """Make the form of an engine that has one condition at a time; ``write`` gives what decides a fact by it."""

    def prepare(conditions: Iterable[Condition]) -> Matches:
        rules = [write(condition) for condition in conditions]

        def matches(data: bytes) -> list[int]:
            fact = _DECODER.decode(data)
            return [number for number, decide in enumerate(rules) if decide(fact) is True]

        return matches

    return prepare


# zen-engine: a decision table whose hit policy is to collect, each row with a whole condition


def _zen_literal(value: Any) -> str:
    return literal(value).replace("\\\\", "\\")  # a backslash in its texts is one


def _zen_text(condition: Condition) -> str:
    match condition:
        case Compared(path, operator, value, folded):
            read = f"lower({path})" if folded else path
            return (
                f"{operator}({read}, {_zen_literal(value)})"
                if operator in PARTS
                else f"{read} {operator} {_zen_literal(value)}"
            )
        case Has(path):
            return f"{path} != null"
        case AnyItem(path, field, value):
            return f"some({path}, #.{field} == {_zen_literal(value)})"
        case Both(items):
            return " and ".join(f"({_zen_text(item)})" for item in items)
        case Either(items):
            return " or ".join(f"({_zen_text(item)})" for item in items)
        case Not(item):
            return f"not ({_zen_text(item)})"


def _zen(conditions: Iterable[Condition]) -> Matches:
    import zen

    rows = [
        {"_id": str(number), "when": _zen_text(condition), "then": str(number)}
        for number, condition in enumerate(conditions)
    ]
    table = {
        "hitPolicy": "collect",
        "inputs": [{"id": "when", "name": "when"}],
        "outputs": [{"id": "then", "name": "then", "field": "rule"}],
        "rules": rows,
    }
    nodes = [
        {"id": "in", "name": "in", "type": "inputNode", "position": _ORIGIN},
        {"id": "table", "name": "table", "type": "decisionTableNode", "position": _ORIGIN, "content": table},
        {"id": "out", "name": "out", "type": "outputNode", "position": _ORIGIN},
    ]
    edges = [
        {"id": "first", "sourceId": "in", "targetId": "table", "type": "edge"},
        {"id": "last", "sourceId": "table", "targetId": "out", "type": "edge"},
    ]
    evaluate = zen.ZenEngine().create_decision(literal({"nodes": nodes, "edges": edges})).evaluate

    def matches(data: bytes) -> list[int]:
        return [row["rule"] for row in evaluate(_DECODER.decode(data))["result"]]

    return matches


_ORIGIN: Final = {"x": 0, "y": 0}


# rule-engine


def _rule_engine_text(condition: Condition) -> str:
    match condition:
        case Compared(path, operator, value, folded):
            read = _indexed(path) + (".as_lower" if folded else "")
            text = literal(value)
            if operator in PARTS:
                return {
                    "contains": f"{text} in {read}",
                    "startsWith": f"{read}.starts_with({text})",
                    "endsWith": f"{read}.ends_with({text})",
                }[operator]
            return f"{read} {operator} {text}"
        case Has(path):
            above, _, last = path.rpartition(".")
            return f"{literal(last)} in {_indexed(above)}"
        case AnyItem(path, field, value):
            return f"$any([i[{literal(field)}] == {literal(value)} for i in {_indexed(path)}])"
        case Both(items):
            return " and ".join(f"({_rule_engine_text(item)})" for item in items)
        case Either(items):
            return " or ".join(f"({_rule_engine_text(item)})" for item in items)
        case Not(item):
            return f"not ({_rule_engine_text(item)})"


def _indexed(path: str) -> str:
    first, *rest = path.split(".")
    return first + "".join(f"[{literal(name)}]" for name in rest)


def _rule_engine(condition: Condition) -> Any:
    import rule_engine

    context = rule_engine.Context(resolver=rule_engine.resolve_item)
    return rule_engine.Rule(_rule_engine_text(condition), context=context).matches


# common-expression-language


def _cel_rust(condition: Condition) -> Any:
    import cel as runtime

    for part in _parts(condition):
        if isinstance(part, Compared) and part.folded:
            raise InexpressibleError("it has no function that makes a text lower case")
    return runtime.compile(cel(condition)).execute


def _parts(condition: Condition) -> Iterator[Condition]:
    yield condition
    if isinstance(condition, (Both, Either)):
        for item in condition.items:
            yield from _parts(item)
    elif isinstance(condition, Not):
        yield from _parts(condition.item)


# datalogic-py: JSONLogic, each fact taken over once for all rules


def _json_logic(condition: Condition) -> Any:
    match condition:
        case Compared(path, operator, value, folded):
            read: Any = {"var": path}
            if folded:
                read = {"lower": [read]}
            if operator == "contains":
                return {"in": [value, read]}
            return {{"startsWith": "starts_with", "endsWith": "ends_with"}.get(operator, operator): [read, value]}
        case Has(path):
            return {"!": [{"missing": [path]}]}
        case AnyItem(path, field, value):
            return {"some": [{"var": path}, {"==": [{"var": field}, value]}]}
        case Both(items):
            return {"and": [_json_logic(item) for item in items]}
        case Either(items):
            return {"or": [_json_logic(item) for item in items]}
        case Not(item):
            return {"!": [_json_logic(item)]}


def _datalogic(conditions: Iterable[Condition]) -> Matches:
    import datalogic_py

    engine = datalogic_py.Engine()
    rules = [engine.compile(_json_logic(condition)) for condition in conditions]
    session = engine.session()
    decide = session.evaluate_truthy

    def matches(data: bytes) -> list[int]:
        fact = datalogic_py.DataHandle(data.decode())
        return [number for number, rule in enumerate(rules) if decide(rule, fact)]

    return matches


# mokaccino: an index of queries, as search engines have for alerts; its values are texts, its numbers whole


def _query(condition: Condition) -> Any:
    from mokaccino import Query

    match condition:
        case Compared(path, operator, value, folded):
            if folded:
                raise InexpressibleError("it does not ignore case")
            if operator == "in":
                return Query.from_or([_query(Compared(path, "==", one)) for one in value])
            if operator == "!=":
                return ~_query(Compared(path, "==", value))
            if operator == "startsWith":
                return Query.from_kprefix(path, value)
            if operator in PARTS:
                raise InexpressibleError("it has prefixes alone of the parts of a text")
            if isinstance(value, str) and operator == "==":
                return Query.from_kv(path, value)
            if not isinstance(value, int):
                raise InexpressibleError("its numbers are whole")
            names = {"==": "from_keq", "<": "from_klt", "<=": "from_kle", ">": "from_kgt", ">=": "from_kge"}
            return getattr(Query, names[operator])(path, value)
        case Both(items):
            return Query.from_and([_query(item) for item in items])
        case Either(items):
            return Query.from_or([_query(item) for item in items])
        case Not(item):
            return ~_query(item)
    raise InexpressibleError("its documents are flat")


def _mokaccino(conditions: Iterable[Condition]) -> Matches:
    from mokaccino import Document, Percolator

    percolator = Percolator()
    for number, condition in enumerate(conditions):
        percolator.add_query_id(_query(condition), number)
    find = percolator.percolate_list

    def matches(data: bytes) -> list[int]:
        document = Document()
        _add_fields(document.add_value, "", _DECODER.decode(data))
        return find(document)

    return matches


def _add_fields(add: Callable[[str, str], Any], above: str, fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if isinstance(value, dict):
            _add_fields(add, f"{above}{name}.", value)
        else:
            add(f"{above}{name}", value if isinstance(value, str) else str(value))


PEERS: Final[tuple[ScalePeer, ...]] = (
    ScalePeer("zen-engine", _zen),
    ScalePeer("rule-engine", tried_each(_rule_engine)),
    ScalePeer("common-expression-language", tried_each(_cel_rust)),
    ScalePeer("datalogic-py", _datalogic),
    ScalePeer("mokaccino", _mokaccino),
)


def peer_versions(peers: Sequence[ScalePeer] = PEERS) -> dict[str, str | None]:
    """Return the installed versions by name, None for an engine that is not installed."""
    found: dict[str, str | None] = {}
    for peer in peers:
        try:
            found[peer.name] = version(peer.name)
        except PackageNotFoundError:
            found[peer.name] = None
    return found


def compare_peers(
    workload: Workload, courses: Mapping[int, Course], peers: Sequence[ScalePeer] = PEERS
) -> list[PeerReport]:
    """Ask each engine with more and more rules until it gives up; what it finds is held against our matches first."""
    versions = peer_versions(peers)
    return [
        PeerReport(peer.name, {}, {}, "not installed")
        if versions[peer.name] is None
        else _compare_peer(peer, workload, courses)
        for peer in peers
    ]


def _compare_peer(peer: ScalePeer, workload: Workload, courses: Mapping[int, Course]) -> PeerReport:
    found: dict[int, float] = {}
    loads: dict[int, float] = {}
    note: str | None = None
    for size, course in sorted(courses.items()):
        note = _expected_note(size, found, loads)
        if note is not None:
            break
        started = time.perf_counter()
        limit = sys.getrecursionlimit()
        try:
            matches = peer.prepare(workload.conditions(size))
            loads[size] = round(time.perf_counter() - started, 3)
            note = _disagreement(matches, course)
        except InexpressibleError as error:
            note = str(error)
        except Exception as error:  # noqa: BLE001 - each engine has errors of its own
            note = f"fails with {size:,} rules: {(str(error).splitlines() or [type(error).__name__])[0][:200]}"
        finally:
            sys.setrecursionlimit(limit)
        if note is not None:
            break
        found[size] = _per_second(matches, course)
    return PeerReport(peer.name, found, loads, note)


def _expected_note(size: int, found: Mapping[int, float], loads: Mapping[int, float]) -> str | None:
    """Return why an engine is not asked with so many rules, going by how it took fewer; None to ask it."""
    if not found:
        return None
    last = max(found)
    if loads[last] * size / last > LOAD_SECONDS_MAX:
        return f"{size:,} rules would take more than {LOAD_SECONDS_MAX:g} s to load"
    if found[last] < PER_SECOND_MIN:
        return f"less than {PER_SECOND_MIN:g} facts a second with {last:,} rules"
    return None


def _disagreement(matches: Matches, course: Course) -> str | None:
    """Return what an engine finds that we do not, or the other way round, for some facts; None when nothing."""
    for delivery in course.deliveries[:_CHECKED]:
        mine = {int(match.name.rpartition(" ")[2]) for match in decided(course.ruleset, delivery).matches}
        theirs = set(matches(delivery.data))
        if mine != theirs:
            return f"disagrees: finds {sorted(theirs - mine)[:5]} too, and not {sorted(mine - theirs)[:5]}"
    return None


def _per_second(matches: Matches, course: Course) -> float:
    """Return the facts a second: the best of several rounds over as many facts as there is time for."""
    best, left = math.inf, SECONDS
    for number in range(len(course.deliveries) // _LOT * _ROUNDS):
        start = number * _LOT % (len(course.deliveries) // _LOT * _LOT)
        lot = [one.data for one in course.deliveries[start : start + _LOT]]
        started = time.perf_counter()
        for data in lot:
            matches(data)
        spent = time.perf_counter() - started
        best, left = min(best, spent / len(lot)), left - spent
        if left < 0:
            break
    return round(1 / best, 1)
