"""Runs the commands of docs/operations.md on the Docker engine at hand, in one shell, from the repository's root.

    make guide                        # everything, from a build to a restored backup; about ten minutes
    SHOW=1 make guide                 # and what each command says

It ends at the first command that fails or that says something else than the page shows.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

from tests.guide.reading import PAGE, Step, steps

ROOT = Path(__file__).parents[2]


def run(shell: subprocess.Popen[str], step: Step) -> tuple[int, list[str]]:
    """Run one command in the shell and return its exit code and what it said on both outputs."""
    end = secrets.token_hex(8)
    assert shell.stdin is not None
    assert shell.stdout is not None
    shell.stdin.write(f"{{ {step.command}\n}} < /dev/null\ncode=$?; echo; echo {end} $code\n")
    shell.stdin.flush()
    said: list[str] = []
    for line in shell.stdout:
        if line.startswith(end):
            return int(line.split()[1]), said
        said.append(line.rstrip("\n"))
    return -1, said


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Replay the page and return the exit code."""
    if (ROOT / "deploy/secrets").exists() and "ANYWAY" not in os.environ:
        _say("deploy/secrets is there: the guide begins with nothing, and removes volumes; ANYWAY=1 goes on")
        return 2
    shell = subprocess.Popen(
        ["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
    )
    for step in steps(PAGE.read_text(encoding="utf-8")):
        started = time.monotonic()
        code, said = run(shell, step)
        missing = step.missing(said)
        told = f"line {step.line}, {time.monotonic() - started:.1f} s: {step.command.splitlines()[0][:90]}"
        _say(("wrong " if code or missing else "ok    ") + told)
        if code or missing or "SHOW" in os.environ:
            _say("\n".join(f"      | {line}" for line in said))
        if code or missing:
            _say(f"exit code {code}; not said: {missing}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
