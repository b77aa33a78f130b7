"""Deciding a file's facts under one ruleset, without a server, as fast as one process can."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

from domain.decisions.engine import decide
from domain.decisions.explain import explain_decision
from domain.decisions.fact import Fact
from domain.decisions.ruleset import Ruleset
from domain.rules.content import format_moment
from streams.messages.decisions import encode_decision
from streams.messages.explanations import encode_explanation, explanation_body
from worker.explanations import explanation_text
from worker.files.facts import FactProblem, FileFact, read_fact_batches
from worker.files.lines import shown_name

NO_JSON_FORM: Final = "NO_JSON_FORM"


@dataclass(frozen=True, slots=True)
class Explaining:
    """What to explain with each decision: some rules by their ids, or (None) every rule that meets the fact's type.

    As JSON the decision has the explanations as one more key; else they are lines of text, indented, after its line.
    """

    rule_ids: tuple[str, ...] | None = None
    as_json: bool = False


@dataclass(slots=True)
class Tally:
    """What came of the facts. ``refused`` are lines that are no fact, or whose decision has no JSON form."""

    rules: int
    facts: int = 0
    matched: int = 0
    faults: int = 0
    refused: int = 0
    seconds: float = 0.0

    @property
    def unmatched(self) -> int:
        return self.facts - self.matched

    @property
    def facts_per_second(self) -> float:
        return self.facts / self.seconds if self.seconds > 0 else 0.0

    def to_json(self) -> dict[str, int | float]:
        return {
            "facts": self.facts,
            "matched": self.matched,
            "unmatched": self.unmatched,
            "faults": self.faults,
            "refused": self.refused,
            "rules": self.rules,
            "seconds": round(self.seconds, 6),
            "factsPerSecond": round(self.facts_per_second, 1),
        }


def evaluate_facts(
    ruleset: Ruleset,
    path: Path,
    fact_type: str | None,
    output: IO[bytes],
    *,
    say: Callable[[str], None],
    update: Callable[[int], None],
    explaining: Explaining | None = None,
) -> Tally:
    """Write a decision a line for each fact of a file, as many lines a write as one read gave facts.

    ``explaining`` says whether, and how, the decisions are explained.

    ``say`` is told of lines that are no fact, and once that facts have no time; ``update`` hears the number of the
    last line that is done. Raises BrokenPipeError when nobody reads the output any more.
    """
    tally = Tally(len(ruleset.rules))
    file_name = shown_name(path)
    is_warned = False
    started = time.perf_counter()
    for batch in read_fact_batches(path, fact_type):
        decided_at = format_moment(datetime.now(UTC))
        lines: list[bytes] = []
        for found in batch:
            outcome = (
                found
                if isinstance(found, FactProblem)
                else _decided(tally, ruleset, found, file_name, decided_at, explaining)
            )
            if isinstance(outcome, FactProblem):
                tally.refused += 1
                say(f"{file_name}:{outcome.line}: {outcome.code}: {outcome.message}")
                continue
            lines.append(outcome)
            if not is_warned and isinstance(found, FileFact) and found.time_ns is None:
                is_warned = True
                say(
                    f"warning: {file_name}:{found.line}: a fact without a time: "
                    "for such facts fact.time is missing and effective dates are ignored"
                )
        if lines:
            lines.append(b"")
            output.write(b"\n".join(lines))
            output.flush()
        if batch:
            update(batch[-1].line)
    tally.seconds = time.perf_counter() - started
    return tally


def _decided(
    tally: Tally,
    ruleset: Ruleset,
    found: FileFact,
    file_name: str,
    decided_at: str,
    explaining: Explaining | None,
) -> bytes | FactProblem:
    fact = found.to_fact(file_name)
    decision = decide(ruleset, fact)
    try:
        body = encode_decision(decision, decided_at)
    except ValueError as error:
        return FactProblem(found.line, NO_JSON_FORM, f"the decision has no JSON form: {error}")
    tally.facts += 1
    tally.matched += decision.matched
    tally.faults += decision.fault_count
    return body if explaining is None else _explained(body, ruleset, fact, explaining)


def _explained(body: bytes, ruleset: Ruleset, fact: Fact, explaining: Explaining) -> bytes:
    """Add explanations to a decision's line."""
    found = explain_decision(ruleset, fact, explaining.rule_ids)
    if explaining.as_json:
        return b'%b,"explanations":[%b]}' % (body[:-1], b",".join(encode_explanation(one) for one in found))
    texts = [explanation_text(explanation_body(one), "  ") for one in found]
    return b"%b\n%b" % (body, "".join(f"{text}\n" for text in texts).encode())
