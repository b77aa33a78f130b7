"""Examples as the tests read them: rule folders, facts and the oracle, without the worker's own readers."""

from __future__ import annotations

import gzip
import importlib.util
import json
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from domain.decisions.engine import decide
from domain.decisions.fact import Fact
from domain.decisions.ruleset import BoundRule, Ruleset
from domain.language import compile_rule, parse_timestamp
from domain.rules.content import RuleContent

ROOT = Path(__file__).parents[3]


class Example:
    """One folder of examples: its rule files, its facts, and the decisions that the engine makes on them."""

    def __init__(self, folder: Path, facts_file: str) -> None:
        self.folder = folder
        raw = (folder / facts_file).read_bytes()
        self.lines = gzip.decompress(raw) if facts_file.endswith(".gz") else raw
        self.facts: list[dict[str, Any]] = [json.loads(line) for line in self.lines.splitlines()]
        self.rules = [read_rule(path) for path in sorted((folder / "rules").glob("*.rule"))]

    def ruleset(self) -> Ruleset:
        return Ruleset(1, [bind(rule) for rule in self.rules])

    def decisions(self) -> list[dict[str, Any]]:
        """Decide every fact, in order, in the shape of the oracle's expectation and with the count of faults."""
        ruleset = self.ruleset()
        return [decided(ruleset, fact) for fact in self.facts]


def read_rule(path: Path) -> RuleContent:
    """Read a rule file: TOML between ``+++`` lines, then DSL; the file's stem and MEDIUM where it says nothing."""
    text = path.read_text(encoding="utf-8")
    front, dsl = "", text
    if text.startswith("+++\n"):
        _, front, dsl = text.split("+++\n", 2)
    fields = {"name": path.stem, "priority": "MEDIUM", **tomllib.loads(front)}
    return RuleContent.checked(dsl_content=dsl, **fields)


def bind(rule: RuleContent) -> BoundRule:
    """Give a rule the place in a ruleset that an activation would give it."""
    return BoundRule(
        rule_id=rule.name,
        name=rule.name,
        version=1,
        priority=rule.priority,
        compiled=compile_rule(rule.dsl_content),
        digest=rule.name.encode(),
        from_ns=None,
        until_ns=None,
    )


def decided(ruleset: Ruleset, fact: dict[str, Any]) -> dict[str, Any]:
    """Decide one envelope; what comes back are plain JSON values."""
    decision = decide(
        ruleset, Fact(bytes(16), fact["id"], fact["type"], 1, parse_timestamp(fact["time"]).ns, fact["data"])
    )
    return {
        "outcome": "matched" if decision.matched else "unmatched",
        "output": decision.output,
        "matches": [
            {
                "name": match.name,
                "priority": str(match.priority),
                "branch": match.branch,
                "output": match.output,
                **({} if match.rows is None else {"rows": match.rows}),
            }
            for match in decision.matches
        ],
        "effects": [{"name": effect.name, "payload": effect.payload} for effect in decision.effects],
        "faults": [f"{fault.rule_id}: {fault.message}" for fault in decision.faults],
    }


@pytest.fixture(scope="session")
def flights() -> Example:
    return Example(ROOT / "examples" / "flights", "facts.ndjson.gz")


@pytest.fixture(scope="session")
def orders() -> Example:
    return Example(ROOT / "examples" / "orders", "facts.ndjson")


@pytest.fixture(scope="session")
def oracle() -> ModuleType:
    """The plain-Python witness, loaded by its path: it belongs to no package."""
    spec = importlib.util.spec_from_file_location("oracle_flights", ROOT / "tests" / "oracle" / "flights.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look their module up
    spec.loader.exec_module(module)
    return module
