"""What the command line says to an actor without the role."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Line


@pytest.fixture
def a_policy(at_servers: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the worker that starts next enforce roles."""
    del at_servers
    monkeypatch.setenv("RULESTREAM_ROLE_POLICY", '{"ann": ["author"], "bob": ["approver"]}')


@pytest.mark.usefixtures("a_policy", "a_worker")
def test_who_lacks_the_role_is_told_which_and_the_command_ends_with_1(line: Line) -> None:
    rule = ("rule", "create", "--name", "gold discount", "--dsl", "then set discount = 10")
    refused = line.run(*rule, "--actor", "bob", code=1)
    assert refused.stdout == ""
    assert refused.stderr == "error[FORBIDDEN]: bob may not send create: that takes the role admin or author\n"
    assert line.json(*rule, "--actor", "ann")["status"] == "DRAFT"
    assert "error[FORBIDDEN]: viewer may not send list" in line.run("rule", "list", code=1).stderr
    assert line.json("rule", "list", "--actor", "bob")["total"] == 1
