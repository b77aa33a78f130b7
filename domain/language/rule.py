"""A rule, compiled: what it is for, what it reads and writes, and the functions that decide it for a fact.

Most of a large ruleset's rules meet no fact for a long time. So a rule's functions are made when a fact first leads to
it, of its plan, which is kept as bytes; what a ruleset and its index ask of a rule is there from the start.
"""

from __future__ import annotations

import hashlib
import marshal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType
from typing import Any, Final

from domain.language.assembly import Condition, Evaluate, Functions, Plain, Written, assemble, write
from domain.language.demanding import demand_of
from domain.language.demands import Asked
from domain.language.exactness import is_exact
from domain.language.outcome import MergeKind, Path, Write
from domain.language.plan import PlannedAction, PlannedEffect, PlannedRule
from domain.language.planning import plan_rule
from domain.language.problems import InvalidRuleError, Problem
from domain.language.record import (
    RuleRecord,
    StoredPlan,
    load_demand,
    pack_plan,
    pack_record,
    store_demand,
    unpack_plan,
    unpack_record,
)
from domain.language.schemas import type_of_schema
from domain.language.settlement import Origin
from domain.language.stored import STORED_VERSION, StoredPlanError
from domain.language.text import TooCostlyError, code_of

# Bytes of a packed plan above which a rule's functions are made at once: what a first fact waits for stays short.
LATER_BYTES_MAX: Final = 8_192


class _Functions:
    """Makes a rule's functions when they are first asked for, and keeps them.

    Threads that ask at the same time may each make them; all are alike.
    """

    __slots__ = ("_made", "_origin")

    def __init__(self, origin: Origin, made: Functions | None) -> None:
        self._origin = origin
        self._made = made

    def __call__(self) -> Functions:
        made = self._made
        if made is None:
            plan = self._origin.plan()
            made = self._made = assemble(self._origin, plan, write(plan))
        return made


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule ready to decide facts.

    ``demand`` is what a fact must meet for ``evaluate`` to give anything but None, or to fail: an index may leave the
    rule out for any fact that does not meet it; None: the rule may give something for any fact. ``is_exact``: the
    condition is true for every fact that meets it.

    ``fact_types`` are the patterns of ``on`` (none: every fact). ``decision_reads`` holds the paths read from the
    decision; the empty path stands for the whole or for a computed key. ``functions`` gives the functions that decide;
    the first call makes them, which takes a fraction of a millisecond, so that nothing should call it, or read what it
    gives by its own name, for a rule that no fact has led to. Its failing would be a defect of the language.
    """

    source: str
    fact_types: tuple[str, ...]
    writes: tuple[Write, ...]
    decision_reads: tuple[Path, ...]
    may_stop: bool
    emits: tuple[str, ...]
    warnings: tuple[Problem, ...]
    functions: Callable[[], Functions]
    demand: Asked | None = None
    is_exact: bool = False
    origin: Origin | None = None

    @property
    def evaluate(self) -> Evaluate:
        """Takes the fact, its context and the merged decision so far; raises nothing but RuleFault.

        It returns None when the rule does not apply.
        """
        return self.functions().evaluate

    @property
    def condition(self) -> Condition:
        """Takes the same and returns True, False, or None for missing; its faults have no position.

        Of a table it tells whether a row matches.
        """
        return self.functions().condition

    @property
    def plain(self) -> Plain | None:
        """The rule taken apart; None for one of which only ``evaluate`` tells it all."""
        return self.functions().plain

    @property
    def stored(self) -> StoredPlan | None:
        """The rule as bytes, of which ``restore_rule`` makes it again without parsing or checking its text.

        None for a rule that was not compiled from text.
        """
        if self.origin is None:
            return None
        writes = tuple([(write.kind, write.path) for write in self.writes])
        return pack_record(
            RuleRecord(
                STORED_VERSION,
                self.fact_types,
                writes,
                self.decision_reads,
                self.may_stop,
                self.emits,
                store_demand(self.demand),
                self.is_exact,
                self.origin.packed,
            )
        )


@dataclass(frozen=True, slots=True)
class RuleImage:
    """A rule that another process compiled: what is stored of it, its warnings, and the code of its functions.

    The code goes only between processes of one worker, of one release and one Python; it is nothing to be stored. It
    is empty for a rule whose functions are made later.
    """

    plan: StoredPlan
    warnings: tuple[Problem, ...]
    text_digest: bytes
    code: bytes


def compile_rule(source: str, schemas: Mapping[str, Any] | None = None) -> CompiledRule:
    """Parse, check and compile a rule; raises InvalidRuleError with every problem found.

    ``schemas`` are JSON Schemas by fact type: paths are then checked for rules ``on`` such a type.
    """
    plan, written, problems = _written(source, schemas)
    if plan is None or written is None:
        raise InvalidRuleError(problems)
    return _compiled(source, plan, written, tuple(problems))


def restore_rule(source: str, stored: StoredPlan) -> CompiledRule:
    """Make a rule of its text and what was stored of it, without parsing or checking the text again.

    The two must belong together, which the caller vouches for. Its warnings are not stored. Raises StoredPlanError for
    bytes that are not what is stored of a rule, or that are so of another version.
    """
    record = unpack_record(stored)
    made: Functions | None = None
    origin = Origin(source, record.plan)
    if len(record.plan) > LATER_BYTES_MAX:
        try:
            plan = unpack_plan(record.plan)
            made = assemble(origin, plan, write(plan))
        except (TooCostlyError, AttributeError, KeyError, TypeError, ValueError, SyntaxError, AssertionError) as error:
            raise StoredPlanError(f"not a rule's plan: {type(error).__name__}") from error
    return _restored(origin, record, (), made)


def image_of(source: str, schemas: Mapping[str, Any] | None = None) -> RuleImage:
    """Parse, check and compile a rule for another process; raises InvalidRuleError with every problem found."""
    plan, written, problems = _written(source, schemas)
    if plan is None or written is None:
        raise InvalidRuleError(problems)
    record = _record_of(plan)
    if len(record.plan) <= LATER_BYTES_MAX:
        return RuleImage(pack_record(record), tuple(problems), b"", b"")
    text = written.text
    return RuleImage(pack_record(record), tuple(problems), _digest(text), marshal.dumps(code_of(text)))


def load_image(source: str, image: RuleImage) -> CompiledRule:
    """Make the compiled rule of an image of it; what is left to do is a small part of compiling it here."""
    record = unpack_record(image.plan)
    origin = Origin(source, record.plan)
    made: Functions | None = None
    if image.code:
        plan = unpack_plan(record.plan)
        written = write(plan)
        code: CodeType | None = None
        if _digest(written.text) == image.text_digest:
            code = marshal.loads(image.code)  # noqa: S302  # nosec B302  # made by this release's own code, in this worker's own process
        made = assemble(origin, plan, written, code)
    return _restored(origin, record, image.warnings, made)


def _compiled(source: str, plan: PlannedRule, written: Written, warnings: tuple[Problem, ...]) -> CompiledRule:
    record = _record_of(plan)
    origin = Origin(source, record.plan)
    made = assemble(origin, plan, written) if len(origin.packed) > LATER_BYTES_MAX else None
    return _restored(origin, record, warnings, made)


def _record_of(plan: PlannedRule) -> RuleRecord:
    demand = demand_of(plan)
    actions = [action for branch in plan.branches for action in branch.actions]
    writes = [(MergeKind(action.kind), action.path) for action in actions if isinstance(action, PlannedAction)]
    return RuleRecord(
        STORED_VERSION,
        plan.fact_types,
        tuple(dict.fromkeys(writes)),
        plan.decision_reads,
        any(branch.stop for branch in plan.branches),
        tuple(dict.fromkeys(action.name for action in actions if isinstance(action, PlannedEffect))),
        store_demand(demand),
        is_exact(plan, demand),
        pack_plan(plan),
    )


def _restored(
    origin: Origin, record: RuleRecord, warnings: tuple[Problem, ...], made: Functions | None
) -> CompiledRule:
    return CompiledRule(
        source=origin.source,
        fact_types=record.fact_types,
        writes=tuple([_shared_write(kind, path) for kind, path in record.writes]),
        decision_reads=record.decision_reads,
        may_stop=record.may_stop,
        emits=record.emits,
        warnings=warnings,
        functions=_Functions(origin, made),
        demand=load_demand(record.demand),
        is_exact=record.is_exact,
        origin=origin,
    )


_shared_write: Final = lru_cache(maxsize=4_096)(Write)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def check_rule(source: str, schemas: Mapping[str, Any] | None = None) -> list[Problem]:
    """Return every problem of a rule, by position; raises nothing, whatever the text."""
    return _written(source, schemas)[2]


def _written(
    source: str, schemas: Mapping[str, Any] | None
) -> tuple[PlannedRule | None, Written | None, list[Problem]]:
    types = {name: type_of_schema(schema) for name, schema in (schemas or {}).items()}
    plan, problems = plan_rule(source, schemas=types)
    if plan is None:
        return None, None, problems
    try:
        return plan, write(plan), problems
    except TooCostlyError:
        hint = "split it into several rules"
        return None, None, [Problem("too-costly", "the rule is too large to be compiled", 1, 1, hint)]
