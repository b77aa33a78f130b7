"""``rulestream worker --processes``: each process has a port of its own for probes and metrics."""

from __future__ import annotations

import pytest
import typer

from worker.cli.work import PORT_MAX, probe_ports


@pytest.mark.parametrize(
    ("first", "processes", "ports"),
    [
        (8080, 3, [8080, 8081, 8082]),
        (0, 2, [0, 0]),
        (PORT_MAX - 1, 2, [PORT_MAX - 1, PORT_MAX]),
    ],
)
def test_the_ports_are_those_from_the_first_on(first: int, processes: int, ports: list[int]) -> None:
    assert probe_ports(first, processes) == ports


def test_ports_that_there_are_not_are_wrong_usage() -> None:
    with pytest.raises(typer.BadParameter, match="RULESTREAM_HTTP_PORT 65535"):
        probe_ports(PORT_MAX, 2)
