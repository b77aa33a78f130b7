"""The comparison of conditions: what every engine gives is checked first, then all that gave it are timed in turn."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any, Final

import msgspec

from domain.language import FactContext, compile_rule
from worker.bench.cases import CASES, SAMPLE, Case, FactName, later_fact, near_miss_of, new_fact, read_fact
from worker.bench.peers import PEERS, Fact, Peer, Sweep, sweep_of, versions_of
from worker.bench.timing import best_of_new_us, best_us

LAMBDA_RATIO_MAX: Final = 4.0
FACTS_IN_TURN: Final = 16
NEW_FACTS_IN_TURN: Final = 64
OURS: Final = "ours"

_CONTEXT: Final = FactContext("order-1", "order.placed", None)


class CaseReport(msgspec.Struct, rename="camel", frozen=True):
    """One condition's times for one fact, in microseconds; a peer without one has its reason in ``notes``."""

    name: str
    fact: str
    ours_us: float
    peers_us: dict[str, float | None]
    ratio_to_fastest_peer: float | None
    floor: float
    holds: bool
    notes: list[str]


class LambdaReport(msgspec.Struct, rename="camel", frozen=True):
    """The sample for one fact beside a function written by hand, in microseconds."""

    ours_us: float
    lambda_us: float
    ratio: float


class EvaluationReport(msgspec.Struct, rename="camel", frozen=True):
    """The whole comparison; ``lambda_ratio`` is the greater of those in ``lambdas``, which are by fact."""

    cases: list[CaseReport]
    lambda_ratio: float
    lambda_ratio_max: float
    lambdas: dict[str, LambdaReport]
    floors_hold: bool
    fact_bytes: dict[str, int]
    python: str
    versions: dict[str, str]


def by_hand(fact: Fact) -> Any:
    """Decide the sample as a person would write it in Python."""
    return fact["customer"]["tier"] == "VIP" and fact["order"]["total"] > 100.0


def ours(condition: str) -> Sweep:
    """Return the sweep of a condition by what a worker calls to decide a rule's condition."""
    decide = compile_rule(condition).condition
    context = _CONTEXT

    def sweep(facts: Sequence[Fact]) -> Any:
        value = None
        for fact in facts:
            value = decide(fact, context, {})
        return value

    return sweep


def compare(
    seconds: float,
    cases: Sequence[Case] = CASES,
    peers: Sequence[Peer] = PEERS,
    update: Callable[[int], None] = lambda _done: None,
) -> EvaluationReport:
    """Compare ours with every peer on every case; ``seconds`` is the time for each engine and case.

    ``update`` is told how many cases are done. Raises MissingPeersError.
    """
    versions = versions_of(peers)
    reports: list[CaseReport] = []
    for case in cases:
        reports.append(compare_case(case, peers, seconds))
        update(len(reports))
    names = dict.fromkeys(case.fact for case in cases)
    lambdas: dict[str, LambdaReport] = {name: compare_by_hand(name, seconds) for name in names}
    worst = max(report.ratio for report in lambdas.values())
    return EvaluationReport(
        cases=reports,
        lambda_ratio=worst,
        lambda_ratio_max=LAMBDA_RATIO_MAX,
        lambdas=lambdas,
        floors_hold=all(report.holds for report in reports) and worst <= LAMBDA_RATIO_MAX,
        fact_bytes={name: len(read_fact(name)) for name in names},
        python=platform.python_version(),
        versions=versions,
    )


def compare_case(case: Case, peers: Sequence[Peer], seconds: float) -> CaseReport:
    """Compare ours with every peer that gives the same results."""
    mine = ours(case.condition)
    matching, missing = new_fact(case.fact), near_miss_of(case)
    assert (mine([matching]), mine([missing])) == (True, False), f"the case {case.name} is not what it says"
    sweeps: dict[tuple[str, str], Sweep] = {(OURS, ""): mine}
    notes: list[str] = []
    for peer in peers:
        agreeing, found = agreeing_sweeps(case, peer)
        notes += found
        sweeps |= {(peer.name, way): sweep for way, sweep in agreeing.items()}
    if case.times:
        numbers = count(1)
        best = best_of_new_us(sweeps, lambda: [later_fact(case, next(numbers)) for _ in range(NEW_FACTS_IN_TURN)])
    else:
        best = best_us(sweeps, [new_fact(case.fact) for _ in range(FACTS_IN_TURN)], seconds)
    peers_us = {
        peer.name: min((spent for (name, _), spent in best.items() if name == peer.name), default=None)
        for peer in peers
    }
    return report_of(case, best[OURS, ""], peers_us, notes)


def agreeing_sweeps(case: Case, peer: Peer) -> tuple[dict[str, Sweep], list[str]]:
    """Return the peer's sweeps that give True for the fact and False for its near miss, and notes on all others."""
    text = case.text_for(peer.name)
    if text is None:
        return {}, [f"{peer.name}: {case.inexpressible[peer.name]}"]
    matching, missing = new_fact(case.fact), near_miss_of(case)
    try:
        sweeps = peer.prepare(text, list(matching))
    except Exception as error:  # noqa: BLE001 - each engine has errors of its own
        return {}, [f"{peer.name}: cannot prepare the condition: {_first_line(error)}"]
    agreeing: dict[str, Sweep] = {}
    notes: list[str] = []
    for way, sweep in sweeps.items():
        try:
            given = sweep([matching]), sweep([missing])
        except Exception as error:  # noqa: BLE001 - as above
            notes.append(f"{peer.name}: fails, given {way}: {_first_line(error)}")
            continue
        if given == (True, False):
            agreeing[way] = sweep
        else:
            notes.append(f"{peer.name}: disagrees, given {way}: {given[0]!r} and {given[1]!r}")
    return agreeing, notes


def report_of(
    case: Case, ours_us: float, peers_us: Mapping[str, float | None], notes: Sequence[str] = ()
) -> CaseReport:
    """Set our time against the fastest peer's; without any there is no ratio, and the floor does not hold."""
    timed = [spent for spent in peers_us.values() if spent is not None]
    ratio = min(timed) / ours_us if timed else None
    return CaseReport(
        name=case.name,
        fact=case.fact,
        ours_us=round(ours_us, 4),
        peers_us={name: None if spent is None else round(spent, 4) for name, spent in peers_us.items()},
        ratio_to_fastest_peer=None if ratio is None else round(ratio, 2),
        floor=case.floor,
        holds=ratio is not None and ratio >= case.floor,
        notes=list(notes),
    )


def compare_by_hand(name: FactName, seconds: float) -> LambdaReport:
    """Time the sample in ours and by hand."""
    facts = [new_fact(name) for _ in range(FACTS_IN_TURN)]
    best = best_us({OURS: ours(SAMPLE), "by hand": sweep_of(by_hand)}, facts, seconds)
    mine, theirs = best[OURS], best["by hand"]
    return LambdaReport(round(mine, 4), round(theirs, 4), round(mine / theirs, 2))


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:200]
