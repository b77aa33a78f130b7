"""All that compiled code can reach beside its arguments: the language's functions and a few types of Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from domain.language import evaluation, faults
from domain.language.faults import strict
from domain.language.library import operators, times
from domain.language.library.catalogue import FUNCTIONS
from domain.language.outcome import MergeKind
from domain.language.values import NONE, OptionalValue


def _globals() -> tuple[dict[str, Any], dict[Callable[..., Any], str]]:
    """Return all that compiled code can reach beside its arguments, and the names of the functions there."""
    table: dict[str, Any] = {
        "__builtins__": {},
        "type": type, "len": len, "list": list, "str": str, "float": float, "int": int, "dict": dict,
        "note": faults.note, "fail": faults.fail, "ended": faults.ended, "ABSENT": faults.MISSING_ERRORS,
        "OptionalValue": OptionalValue, "NONE": NONE, "SET": MergeKind.SET, "ADD": MergeKind.ADD,
        "APPEND": MergeKind.APPEND, "PLAIN": frozenset({str, int, float}),
        "between_ns": times.between_ns,
    }  # fmt: skip
    for name in evaluation.__all__:
        table[name] = getattr(evaluation, name)
    for name in ("elements", "pairs", "opened", "unfolded", "unfolded_entry", "flat_entries"):
        table[f"{name}_strictly"] = strict(table[name])
    names: dict[Callable[..., Any], str] = {}
    calls = [function.call for function in FUNCTIONS.values()]
    calls += [operators.select, operators.optional_select, operators.optional_index, times.timestamp_ns]
    for number, call in enumerate(dict.fromkeys(calls)):
        word = "".join(sign if sign.isalnum() else "_" for sign in call.__name__)
        for prefix, item in (("f", call), ("g", strict(call))):
            names[item] = f"{prefix}{number}_{word}"
            table[names[item]] = item
    return table, names


_TABLES: Final = _globals()
GLOBALS: Final = _TABLES[0]
NAMES: Final = _TABLES[1]
