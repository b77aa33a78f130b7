"""Compiled and bound rules made by hand, with a plain Python function in place of a rule's text."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Literal

from domain.decisions.fact import Fact
from domain.decisions.ruleset import BoundRule
from domain.language import Assembled, CompiledRule, FactContext, MergeKind, Outcome, Path, Write
from domain.rules.content import Priority

Evaluate = Callable[[dict[str, Any], FactContext, Mapping[str, Any]], Outcome | None]


def path(text: str) -> Path:
    """Read ``a.b`` as a path; the empty text is the empty path."""
    return tuple(text.split(".")) if text else ()


def outcome(
    *contributions: tuple[str, str, Any],
    branch: Literal["then", "else"] = "then",
    effects: list[tuple[str, dict[str, Any]]] | None = None,
    stop: bool = False,
    rows: list[int] | None = None,
) -> Outcome:
    """Make an outcome of contributions such as ``("set", "a.b", 1)``."""
    found = [(MergeKind(kind), path(at), value) for kind, at, value in contributions]
    return Outcome(branch, found, effects or [], stop, rows)


def compiled(
    evaluate: Evaluate | Outcome | None = None,
    *,
    on: tuple[str, ...] = (),
    writes: tuple[tuple[str, str], ...] = (),
    reads: tuple[str, ...] = (),
    may_stop: bool = False,
) -> CompiledRule:
    """Make a compiled rule. An outcome given in place of a function is what every fact gets; None never applies."""

    def always(_payload: dict[str, Any], _fact: FactContext, _decision: Mapping[str, Any]) -> Outcome | None:
        return evaluate if isinstance(evaluate, Outcome) else None

    return CompiledRule(
        source="made by hand",
        fact_types=on,
        writes=tuple(Write(MergeKind(kind), path(at)) for kind, at in writes),
        decision_reads=tuple(path(read) for read in reads),
        may_stop=may_stop,
        emits=(),
        warnings=(),
        functions=lambda: Assembled(evaluate if callable(evaluate) else always, lambda *_: None),
    )


def bound(
    name: str,
    evaluate: Evaluate | Outcome | None = None,
    *,
    priority: Priority = Priority.MEDIUM,
    rule_id: str | None = None,
    version: int = 1,
    from_ns: int | None = None,
    until_ns: int | None = None,
    on: tuple[str, ...] = (),
    writes: tuple[tuple[str, str], ...] = (),
    reads: tuple[str, ...] = (),
    may_stop: bool = False,
) -> BoundRule:
    """Make a bound rule; its id is ``id-<name>`` unless given."""
    return BoundRule(
        rule_id=rule_id or f"id-{name}",
        name=name,
        version=version,
        priority=priority,
        compiled=compiled(evaluate, on=on, writes=writes, reads=reads, may_stop=may_stop),
        digest=hashlib.sha256(f"{rule_id}/{name}/{version}".encode("utf-8", "surrogatepass")).digest(),
        from_ns=from_ns,
        until_ns=until_ns,
    )


def fact(payload: dict[str, Any] | None = None, *, fact_type: str = "order.placed", time_ns: int | None = 0) -> Fact:
    """Make a fact whose key is sixteen times 0x0f."""
    return Fact(b"\x0f" * 16, "fact-1", fact_type, 1, time_ns, payload or {})
