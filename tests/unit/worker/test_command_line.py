"""The command line as processes run it: whole, or with the command alone that starts a worker."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

import pytest

_RUN: Final = """
import sys
from worker.cli.{module} import main
sys.argv = ["rulestream", *{words!r}]
try:
    main()
finally:
    print("loaded:", *sys.modules)
"""


def run(module: str, *words: str) -> tuple[int, str, str, set[str]]:
    """Run a command line and return its status, what it wrote, and the modules that it loaded."""
    code = _RUN.format(module=module, words=words)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    told, _, loaded = done.stdout.partition("loaded:")
    return done.returncode, told, done.stderr, set(loaded.split())


@pytest.mark.parametrize(
    "words", [["worker", "--help"], ["worker", "--processes", "none"], ["worker", "--no-such"], ["--version"], ["-h"]]
)
def test_a_command_says_the_same_alone_as_among_all(words: list[str]) -> None:
    """Whichever way it is started."""
    assert run("__main__", *words)[:3] == run("app", *words)[:3]


def test_a_worker_is_started_without_the_other_commands() -> None:
    """They would be some of the time until it is ready."""
    loaded = run("__main__", "worker", "--help")[3]
    assert "worker.cli.work" in loaded
    assert not {"worker.cli.app", "worker.cli.apply", "worker.cli.rule"} & loaded
