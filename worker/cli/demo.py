"""``rulestream demo``: the main job on real facts, from start to end, on an embedded stack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    facts: Annotated[int | None, typer.Option("--facts", min=1, help="Only so many of the facts.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print only the last line, as JSON.")] = False,
) -> None:
    """Decide real flights out of New York by rules that go through their whole life, on real servers."""
    from worker.cli.running import run
    from worker.demo.run import run_demo

    run(run_demo(facts, quiet=json))


def flights_folder() -> Path:
    """Return where the flights are: beside the packages in a clone, inside them in a wheel."""
    import worker

    packaged = Path(worker.__file__).parent / "demo" / "flights"
    return packaged if packaged.is_dir() else Path(worker.__file__).parents[1] / "examples" / "flights"
