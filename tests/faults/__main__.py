"""``make faults``: every scenario in its long form, and the table.

ONLY names a scenario (all by default), SEED the seed (drawn and printed by default), TIMES how often its fault is
brought about. With RENEW the table of docs/reliability.md is renewed, when it has every row. Ends with 1 when anything
was found; the table in build/faults is then without the rows that failed. What this machine does not allow is named at
the end.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from tests.faults.catalogue import SCENARIOS
from tests.faults.results import Result, markdown, renew, write
from tests.faults.scenario import FaultFoundError, NotPlayableError
from tests.faults.stage import site

BUILD = Path("build/faults")
PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
RENEW = bool(os.environ.get("RENEW"))
say = partial(print, flush=True)


async def play_all(only: str, seed: int, times: int) -> int:
    """Play and print; give the exit status."""
    chosen = [one for name, one in SCENARIOS.items() if only in {"", name}]
    if not chosen:
        names = ", ".join(SCENARIOS)
        say(f"no such scenario: {only}; there are: {names}", file=sys.stderr)
        return 2
    results: list[Result] = []
    failures: list[str] = []
    unplayed: list[str] = []
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="rulestream-faults-"))
    say(f"seed {seed}; logs in {folder}")
    async with site(folder) as servers:
        for perform, scenario in chosen:
            try:
                result = await perform(servers, scenario, seed, times or scenario.times)
            except FaultFoundError as error:
                failures.append(str(error))
                say(f"FOUND  {error}")
                continue
            except NotPlayableError as error:
                unplayed.append(f"{scenario.title}: {error}")
                continue
            except Exception as error:  # noqa: BLE001  # servers that do not start: the other faults are still played
                failures.append(f"{scenario.title} could not be played: {error!r}")
                say(failures[-1])
                continue
            results.append(result)
            write(results, BUILD)
            say(result)
    say(f"\n{markdown(results)}{time.monotonic() - began:.0f} s")
    if RENEW and len(results) == len(SCENARIOS):
        renew(PAGE, results)
    for text in unplayed:
        say(f"not played here: {text}")
    if failures:
        say(f"\n{len(failures)} scenarios found something:\n" + "\n\n".join(failures), file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    drawn = int(os.environ.get("SEED") or random.randrange(1, 100_000))
    sys.exit(asyncio.run(play_all(os.environ.get("ONLY", ""), drawn, int(os.environ.get("TIMES") or "0"))))
