"""The other engines: how each prepares a condition, and the quickest ways that it offers to decide a dict by it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import msgspec

from domain.errors import RulestreamError
from worker.bench.cases import CEL_CPP, CEL_PYTHON, CEL_RUST, RULE_ENGINE, ZEN

Fact = dict[str, Any]
Sweep = Callable[[Sequence[Fact]], Any]
"""Decides every fact of a sequence, from the dict on, and returns the last result."""


class MissingPeersError(RulestreamError):
    """Engines to compare with are not installed; ``missing`` names them."""

    def __init__(self, missing: Sequence[str]) -> None:
        super().__init__(
            f"not installed: {', '.join(missing)}; the extra `bench` has them: pip install 'rulestream[bench]'",
            missing=list(missing),
        )
        self.missing = list(missing)


@dataclass(frozen=True, slots=True)
class Peer:
    """An engine by its name on PyPI.

    ``prepare`` takes a condition and the fact's top-level fields and returns one sweep for each way to give the engine
    a dict: which is the quickest depends on the dict. Everything that does not depend on the fact is done once.
    """

    name: str
    prepare: Callable[[str, Sequence[str]], Mapping[str, Sweep]]


def sweep_of(decide: Callable[[Fact], Any]) -> Sweep:
    """Return the sweep of a function that takes the fact and nothing else."""

    def sweep(facts: Sequence[Fact]) -> Any:
        value = None
        for fact in facts:
            value = decide(fact)
        return value

    return sweep


def _zen(text: str, _fields: Sequence[str]) -> Mapping[str, Sweep]:
    import zen

    evaluate = zen.compile_expression(text).evaluate
    encode = msgspec.json.Encoder().encode

    def encoded(facts: Sequence[Fact]) -> Any:
        value = None
        for fact in facts:
            value = evaluate(encode(fact))
        return value

    return {"dict": sweep_of(evaluate), "bytes": encoded}


def _cel_cpp(text: str, fields: Sequence[str]) -> Mapping[str, Sweep]:
    from cel_expr_python import cel

    kind = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    evaluate = cel.NewEnv(variables=dict.fromkeys(fields, kind)).compile(text).eval

    def sweep(facts: Sequence[Fact]) -> Any:
        value = None
        for fact in facts:
            value = evaluate(data=fact).value()
        return value

    return {"dict": sweep}


def _cel_rust(text: str, _fields: Sequence[str]) -> Mapping[str, Sweep]:
    import cel

    execute = cel.compile(text).execute

    def resolved(facts: Sequence[Fact]) -> Any:
        value = None
        for fact in facts:
            context = cel.Context()
            context.set_variable_resolver(fact.get)
            value = execute(context)
        return value

    return {"dict": sweep_of(execute), "resolver": resolved}


def _cel_python(text: str, _fields: Sequence[str]) -> Mapping[str, Sweep]:
    import celpy
    from celpy.adapter import json_to_cel

    limit = sys.getrecursionlimit()
    try:
        environment = celpy.Environment(runner_class=celpy.CompiledRunner)
        evaluate = environment.program(environment.compile(text)).evaluate
    finally:
        sys.setrecursionlimit(limit)  # an environment raises it for the whole process
    convert: Callable[[Fact], Any] = json_to_cel

    def sweep(facts: Sequence[Fact]) -> Any:
        value = None
        for fact in facts:
            value = evaluate(convert(fact))
        return value

    return {"dict": sweep}


def _rule_engine(text: str, _fields: Sequence[str]) -> Mapping[str, Sweep]:
    import rule_engine

    context = rule_engine.Context(resolver=rule_engine.resolve_item)
    return {"dict": sweep_of(rule_engine.Rule(text, context=context).matches)}


PEERS: Final[tuple[Peer, ...]] = (
    Peer(ZEN, _zen),
    Peer(CEL_CPP, _cel_cpp),
    Peer(CEL_RUST, _cel_rust),
    Peer(CEL_PYTHON, _cel_python),
    Peer(RULE_ENGINE, _rule_engine),
)


def versions_of(peers: Sequence[Peer]) -> dict[str, str]:
    """Return the installed versions by name; raises MissingPeersError."""
    found: dict[str, str] = {}
    missing: list[str] = []
    for peer in peers:
        try:
            found[peer.name] = version(peer.name)
        except PackageNotFoundError:
            missing.append(peer.name)
    if missing:
        raise MissingPeersError(missing)
    return found
