"""Help and wrong usage: every command has the one and says the other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Line

RULESTREAM = Path(sys.executable).with_name("rulestream")
COMMANDS = [
    "",
    "dev",
    "demo",
    "worker",
    "eval",
    "lint",
    "apply",
    "export",
    "migrate",
    "migrate up",
    "migrate down",
    "migrate status",
    "topology",
    "topology apply",
    "topology diff",
    "topology show",
    "rule",
    "rule create",
    "rule update",
    "rule submit",
    "rule approve",
    "rule reject",
    "rule activate",
    "rule deactivate",
    "rule deprecate",
    "rule rollback",
    "rule delete",
    "rule get",
    "rule list",
    "rule versions",
    "rule history",
    "rule validate",
    "ruleset",
    "ruleset show",
    "ruleset stats",
    "command",
    "command get",
    "fact",
    "fact send",
    "decision",
    "decision tail",
    "decision get",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(line: Line, command: str) -> None:
    result = line.run(*command.split(), "--help")
    assert "Usage:" in result.stdout
    assert command in result.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("sing",),
        ("rule", "sing"),
        ("rule", "create", "--actor", "ann"),
        ("rule", "create", "--name", "gold", "--dsl", "then set a = 1"),
        ("rule", "create", "--actor", "ann", "--file", "absent.rule"),
        ("rule", "submit", "--actor", "ann"),
        ("rule", "reject", "gold", "--actor", "ann"),
        ("rule", "rollback", "gold", "--actor", "ann", "--to-version", "0"),
        ("rule", "list", "--page-size", "501"),
        ("worker", "--roles", "cooking"),
        ("worker", "--processes", "0"),
        ("fact", "send"),
        ("fact", "send", "absent.ndjson"),
        ("decision", "tail", "--only", "some"),
        ("decision", "tail", "--count", "0"),
        ("decision", "get"),
        ("demo", "--facts", "0"),
        ("eval",),
        ("migrate", "sideways"),
        ("topology", "show", "--jsn"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_how(line: Line, words: tuple[str, ...]) -> None:
    result = line.run(*words, code=2)
    assert result.stdout == ""
    assert "Usage:" in result.stderr


def test_the_version_is_told(line: Line) -> None:
    assert line.run("--version").stdout.startswith("rulestream 0.")


def test_the_installed_executable_keeps_the_exit_codes() -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([RULESTREAM, *words], capture_output=True, text=True, timeout=60, check=False)

    assert run("--help").returncode == 0
    assert run("rule", "sing").returncode == 2
    assert run("eval", "--rules", ".", "--facts", "-").returncode == 1, "a folder without rules"


def test_several_worker_processes_are_started_and_stopped_together(at_servers: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("w") as target:
        process = subprocess.Popen([RULESTREAM, "worker", "--processes", "2"], stderr=target, env=os.environ.copy())
    try:
        wait_for(lambda: log.read_text().count("worker_started") == 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)
    assert log.read_text().count("worker_stopped") == 2


def wait_for(condition, within_s: float = 60.0) -> None:
    """Poll a condition of the outside world."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
