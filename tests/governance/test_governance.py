"""Random commands from several actors do on real servers what a model of the contract says.

``RULESTREAM_GOVERNANCE_SEQUENCES`` says how many sequences are played (``make governance``: 1,000) and
``RULESTREAM_GOVERNANCE_SEED`` which. A failing sequence is shrunk, and printed as it can be written here as an example.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, example, given, seed, settings

from tests.governance.conversation import Conversation, Tally
from tests.governance.stage import Stage
from tests.governance.steps import EVERY_DISRUPTION, Sequence, sequences
from worker.embedded import Addresses

SEQUENCES = int(os.environ.get("RULESTREAM_GOVERNANCE_SEQUENCES", "15"))
SEED = int(os.environ.get("RULESTREAM_GOVERNANCE_SEED", "1"))


def test_random_commands_do_on_real_servers_what_the_contract_says(
    nats_url: str, database: str, redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever sends what, whatever dies and comes again: answers, rules, histories and events are the model's."""
    tally = Tally()
    began = time.monotonic()
    with asyncio.Runner() as runner:
        stage = Stage(Addresses(nats_url, database, redis_url), tmp_path)
        runner.run(stage.open())

        async def play(sequence: Sequence) -> None:
            tally.sequences += 1
            revision = await stage.tidy()
            await Conversation(stage, revision, f"s{tally.sequences}t", tally).play(sequence.steps)

        @seed(SEED)
        @settings(
            max_examples=SEQUENCES,
            deadline=None,
            database=None,
            phases=(Phase.explicit, Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        @example(EVERY_DISRUPTION)
        @given(sequences())
        def played(sequence: Sequence) -> None:
            runner.run(play(sequence))

        try:
            played()
            events = runner.run(stage.published_is_history())
        finally:
            runner.run(stage.close())
    with capsys.disabled():
        if "RULESTREAM_GOVERNANCE_SEQUENCES" in os.environ:
            print(summary(tally, events, stage.starts, time.monotonic() - began))  # noqa: T201
    assert tally.sequences > SEQUENCES
    assert set(tally.disruptions) == {"stopped", "killed", "dying"}
    assert {"ok", "BUSINESS_ERROR", "FORBIDDEN"} <= set(tally.answers)


def summary(tally: Tally, events: int, starts: int, seconds: float) -> str:
    answers = ", ".join(f"{code} {count:,}" for code, count in sorted(tally.answers.items()))
    disruptions = ", ".join(f"{kind} {count}" for kind, count in sorted(tally.disruptions.items()))
    return (
        f"\nseed {SEED}: {tally.sequences:,} sequences, {tally.commands:,} commands ({answers}), "
        f"{tally.repeated:,} sent again, {events:,} events, {starts} workers ({disruptions}), "
        f"no difference from the model, {seconds:.0f} s"
    )
