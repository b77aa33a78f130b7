"""Rulesets of a workload in every size: the rules compiled once, in as many processes as there are cores."""

from __future__ import annotations

import gc
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Final

from domain.decisions.ruleset import ActiveRule, BoundRule, Plan, Ruleset, bind
from domain.identifiers import RuleId
from domain.language import CompiledRule, RuleImage, compile_rule, image_of, load_image
from domain.rules.content import Priority, RuleContent
from worker.cli.work import calm_collector

_CHUNK: Final = 500
_ALONE_MAX: Final = 2_000  # rules that are compiled here sooner than other processes are started
_PRIORITIES: Final = (Priority.MEDIUM, Priority.LOW, Priority.MEDIUM, Priority.HIGH, Priority.MEDIUM, Priority.CRITICAL)


class EveryRule(Ruleset):
    """A ruleset whose plans have no index: every rule is tried on every fact."""

    def plan(self, fact_type: str) -> Plan:
        plan = self._plans.get(fact_type)
        if plan is None:
            plan = self._plans[fact_type] = super().plan(fact_type).without_index()
        return plan


def active_rules(name: str, texts: Iterable[str]) -> list[ActiveRule]:
    """Give rules of these texts as they are when they decide; their names begin with ``name``."""
    return [
        ActiveRule(
            RuleId(str(uuid.UUID(int=n + 1, version=4))),
            1,
            RuleContent(f"{name} rule {n:06}", text, _PRIORITIES[n % len(_PRIORITIES)]),
        )
        for n, text in enumerate(texts)
    ]


def bound_rules(rules: Sequence[ActiveRule], update: Callable[[int], None] = lambda _done: None) -> list[BoundRule]:
    """Compile and bind rules; ``update`` is told how many are done."""
    bound: list[BoundRule] = []
    for rule, compiled in zip(rules, _compiled([rule.content.dsl_content for rule in rules]), strict=True):
        bound.append(bind(rule, rule.digest, compiled))
        if len(bound) % _CHUNK == 0:
            update(len(bound))
    return bound


def _compiled(sources: Sequence[str]) -> Iterator[CompiledRule]:
    if len(sources) <= _ALONE_MAX:
        yield from map(compile_rule, sources)
        return
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        chunks = [sources[start : start + _CHUNK] for start in range(0, len(sources), _CHUNK)]
        for chunk, images in zip(chunks, pool.map(images_of, chunks), strict=True):
            yield from map(load_image, chunk, images)


def images_of(sources: Sequence[str]) -> list[RuleImage]:
    """Compile rules for another process."""
    return [image_of(source) for source in sources]


@contextmanager
def collector_as_in_a_worker() -> Iterator[None]:
    """Have the garbage collector as a worker has it, and as it was before afterwards."""
    thresholds = gc.get_threshold()
    calm_collector()
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
