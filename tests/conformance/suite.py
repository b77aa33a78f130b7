"""Runs cases of the CEL conformance suite, in its JSON encoding, through the compiler."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from domain.language import InvalidRuleError, RuleFault, compile_expression
from tests.conformance.encoding import decode, decode_function, decode_type, encode, encode_type, same


@dataclass(frozen=True, slots=True)
class Result:
    """How a case went; ``problem`` is None when it passed."""

    id: str
    problem: str | None


def cases(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield every case of a folder's files, by file name."""
    for path in sorted(folder.glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        yield from document.get("tests", [])


def run(case: dict[str, Any]) -> Result:
    """Run one case."""
    try:
        problem = _problem(case)
    except Exception as error:  # noqa: BLE001 - whatever is raised is this case's failure, not the run's
        problem = f"{type(error).__name__}: {error}"
    return Result(case["id"], problem)


def _problem(case: dict[str, Any]) -> str | None:
    expect = case["expect"]
    bindings = {name: decode(value) for name, value in case.get("bindings", {}).items()}
    names = dict.fromkeys(bindings, decode_type("dyn"))
    for declared in case.get("type_env", []):
        if "ident" in declared:
            names[declared["ident"]] = decode_type(declared["type"])
    functions = {
        declared["function"]: decode_function(declared)
        for declared in case.get("type_env", [])
        if "function" in declared
    }
    try:
        expression = compile_expression(
            case["expr"],
            names,
            container=case.get("container", ""),
            check=not case.get("disable_check", False),
            functions=functions,
            macros=not case.get("disable_macros", False),
        )
        if "type" in expect and encode_type(expression.type) != expect["type"]:
            return f"type {encode_type(expression.type)}, not {expect['type']}"
        if case.get("check_only"):
            return "checked, not an error" if "error" in expect else None
        value = expression(bindings)
    except (InvalidRuleError, RuleFault) as error:
        return None if "error" in expect else f"error: {error}"
    if "error" in expect:
        return f"{encode(value)}, not an error"
    if "value" in expect and not same(encode(value), expect["value"]):
        return f"{encode(value)}, not {expect['value']}"
    return None
