from __future__ import annotations

import socket
from pathlib import Path

import pytest

from worker.embedded import ports
from worker.embedded.ports import HOST, free_port


def listening(port: int) -> socket.socket:
    listener = socket.create_server((HOST, port))
    assert listener.getsockname()[1] == port
    return listener


def test_a_free_port_can_be_listened_on() -> None:
    listening(free_port()).close()


def test_a_free_port_is_below_those_of_outgoing_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = tmp_path / "range"
    limits.write_text("25000\t60999\n")
    monkeypatch.setattr(ports, "_EPHEMERAL", limits)
    assert all(20_000 <= free_port() < 25_000 for _ in range(50))


@pytest.mark.parametrize("limits", ["1024\t65535\n", "20100\t60999\n", "", None])
def test_the_kernel_chooses_where_there_is_no_room_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: str | None
) -> None:
    file = tmp_path / "range"
    if limits is not None:
        file.write_text(limits)
    monkeypatch.setattr(ports, "_EPHEMERAL", file)
    listening(free_port()).close()


def test_a_taken_port_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = tmp_path / "range"
    limits.write_text("32768\t60999\n")
    monkeypatch.setattr(ports, "_EPHEMERAL", limits)
    taken = free_port()
    offers = iter([taken - 20_000, taken - 20_000, taken - 20_000 + 1])
    with listening(taken):
        monkeypatch.setattr(ports.secrets, "randbelow", lambda _bound: next(offers))
        assert free_port() != taken
