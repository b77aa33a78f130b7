"""Free ports on the loopback address."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

HOST = "127.0.0.1"
_LOWEST = 20_000
_SPAN_MIN = 1_000
_TRIES = 50
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """Give a TCP port that nothing listens on at the moment, below the range of outgoing connections.

    A port of that range would be at risk while its server is down for a restart: any outgoing connection may take it,
    and a client that retries on loopback can even connect to itself there. Where the range leaves no room below, the
    kernel chooses. Another process may still take the port before the server does: callers try again with another.
    """
    first_ephemeral = _first_ephemeral_port()
    if first_ephemeral - _LOWEST >= _SPAN_MIN:
        for _ in range(_TRIES):
            port = _LOWEST + secrets.randbelow(first_ephemeral - _LOWEST)
            if _bound(port):
                return port
    port = _bound(0)
    assert port
    return port


def _first_ephemeral_port() -> int:
    try:
        return int(_EPHEMERAL.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def _bound(port: int) -> int:
    """Give the port that could be bound for a moment, 0 where it could not."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return 0
        bound: int = probe.getsockname()[1]
        return bound
