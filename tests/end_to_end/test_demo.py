"""``rulestream demo``: its last line is what the witness counts over the same facts."""

from __future__ import annotations

import json
import subprocess

from tests.end_to_end.stage import PROJECT, RULESTREAM, flight_facts, witness

FACTS = 2_000


def test_the_demo_decides_every_fact_as_the_witness_does() -> None:
    done = subprocess.run(
        [RULESTREAM, "demo", "--facts", str(FACTS), "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=PROJECT,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1, "only the last line, with --json"
    result = json.loads(done.stdout)

    oracle = witness()
    facts = flight_facts(FACTS)
    assert sorted(result) == ["decisions", "facts", "factsPerSecond", "matched", "rules", "seconds"]
    assert result["facts"] == result["decisions"] == FACTS
    assert result["matched"] == sum(oracle.expected(fact)["outcome"] == "matched" for fact in facts)
    assert result["rules"] == oracle.counts(facts)
    assert result["seconds"] > 0
    assert result["factsPerSecond"] > 0
