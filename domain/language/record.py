"""What is kept of a compiled rule, as bytes: all that a ruleset asks of it before a fact meets it, and its plan.

The plan is bytes within the bytes, which stay as they are until a fact leads to the rule. All of it is for readers of
the same release, as ``STORED_VERSION`` tells, who know that it was kept of the very text that they have.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Final

import msgspec

from domain.language.demands import AllOf, AnyOf, Asked, Demand, PartKind, Step, TextParts, View
from domain.language.outcome import MergeKind, Path
from domain.language.plan import PlannedRule
from domain.language.ranges import Values
from domain.language.stored import STORED_VERSION, StoredPlanError, load_plan, store_plan

StoredPlan = bytes

_ESCAPED: Final = b"\xc1"  # msgpack never begins so: what follows is JSON
_ALL: Final = 0
_ANY: Final = 1
_VALUES: Final = 2
_PARTS: Final = 3
_VIEWS: Final = tuple(View)
_PART_KINDS: Final = tuple(PartKind)
_BOOLS: Final = (frozenset[bool](), frozenset({True}), frozenset({False}), frozenset({True, False}))
_SHARED_MAX: Final = 20_000
_shared_paths: dict[tuple[Step, ...], tuple[Step, ...]] = {}


class RuleRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A compiled rule but for its functions; ``plan`` is what ``unpack_plan`` reads."""

    version: int
    fact_types: tuple[str, ...]
    writes: tuple[tuple[MergeKind, Path], ...]
    decision_reads: tuple[Path, ...]
    may_stop: bool
    emits: tuple[str, ...]
    demand: list[Any] | None
    is_exact: bool
    plan: bytes


_ENCODER: Final = msgspec.msgpack.Encoder()
_PLANS: Final = msgspec.msgpack.Decoder(list)
_RECORDS: Final = msgspec.msgpack.Decoder(RuleRecord)


def pack_plan(plan: PlannedRule) -> bytes:
    """Return a plan as bytes."""
    return _packed(store_plan(plan))


def unpack_plan(data: bytes) -> PlannedRule:
    """Return the plan that ``pack_plan`` was given; raises StoredPlanError for anything else."""
    return load_plan(_unpacked(data, _PLANS))


def pack_record(record: RuleRecord) -> StoredPlan:
    """Return a record as bytes."""
    return _packed(record)


def unpack_record(data: bytes) -> RuleRecord:
    """Return the record that ``pack_record`` was given; raises StoredPlanError for anything else."""
    record: RuleRecord = _unpacked(data, _RECORDS)
    if record.version != STORED_VERSION:
        raise StoredPlanError(f"a record of version {record.version}")
    return record


def _packed(data: Any) -> bytes:
    try:
        return _ENCODER.encode(data)
    except UnicodeEncodeError:  # a text with half of a surrogate pair, for which there is no UTF-8
        plain = msgspec.to_builtins(data, builtin_types=(bytes,))
        return _ESCAPED + json.dumps(plain, default=lambda value: {"hex": value.hex()}).encode()


def _unpacked(data: bytes, decoder: msgspec.msgpack.Decoder[Any]) -> Any:
    try:
        if data[:1] != _ESCAPED:
            return decoder.decode(data)
        plain = json.loads(data[1:], object_hook=lambda value: bytes.fromhex(value["hex"]))
        return msgspec.convert(plain, decoder.type)
    except (KeyError, TypeError, ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors too
        raise StoredPlanError(f"not what is stored of a rule: {error}") from error


def store_demand(asked: Asked | None) -> list[Any] | None:
    """Return what a rule demands as plain data, alike for alike demands."""
    if asked is None:
        return None
    if not isinstance(asked, Demand):
        return [_ALL if isinstance(asked, AllOf) else _ANY, [store_demand(item) for item in asked.items]]
    test = asked.test
    flags = asked.absent | _VIEWS.index(asked.view) << 1
    if isinstance(test, TextParts):
        return [_PARTS, asked.path, flags, _PART_KINDS.index(test.kind), sorted(test.texts)]
    flags |= test.all_texts_but << 3 | test.null << 4 | test.others << 5 | _BOOLS.index(test.bools) << 6
    return [_VALUES, asked.path, flags, test.numbers, sorted(test.texts)]


def load_demand(data: list[Any] | None) -> Asked | None:
    """Return the demand that ``store_demand`` was given; raises StoredPlanError for anything else."""
    try:
        return None if data is None else _load(data)
    except (IndexError, TypeError, ValueError) as error:
        raise StoredPlanError(f"not a demand: {error}") from error


def _load(data: list[Any]) -> Asked:
    if len(data) == 2:
        kind, items = data
        return (AnyOf if kind else AllOf)(tuple([_load(item) for item in items]))
    kind, steps, flags, test, texts = data
    path = _path(steps)
    absent, view = bool(flags & 1), _VIEWS[flags >> 1 & 3]
    if kind == _PARTS:
        return Demand(path, TextParts(_PART_KINDS[test], frozenset(texts)), absent, view)
    values = Values(
        tuple([(low, low_in, high, high_in) for low, low_in, high, high_in in test]),
        frozenset(texts),
        bool(flags & 8),
        _BOOLS[flags >> 6 & 3],
        bool(flags & 16),
        bool(flags & 32),
    )
    return Demand(path, values, absent, view)


def _path(steps: list[Step]) -> tuple[Step, ...]:
    """Return a path, one and the same for all rules that ask for it."""
    path = tuple(steps)
    shared = _shared_paths.get(path)
    if shared is None:
        if len(_shared_paths) >= _SHARED_MAX:
            _shared_paths.clear()
        shared = tuple([None if step is None else sys.intern(step) for step in steps])
        _shared_paths[shared] = shared
    return shared
