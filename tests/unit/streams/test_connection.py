"""Connecting to NATS: what is said of an address, and of one where nobody answers."""

from __future__ import annotations

import pytest

from domain.errors import UnavailableError
from streams.connection import address_of, connect


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("nats://host:4223", "host:4223"),
        ("nats://host", "host:4222"),
        ("host:1", "host:1"),
        ("tls://user:secret@host:4222", "host:4222"),
        ("nats://token@one:1,nats://u:p@two:2", "one:1,two:2"),
    ],
)
def test_an_address_is_told_without_its_password(url: str, address: str) -> None:
    assert address_of(url) == address


async def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(UnavailableError, match=r"127.0.0.1:1\b") as away:
        await connect("nats://u:secret@127.0.0.1:1", "test", timeout_s=1, is_patient=False)
    assert away.value.service == "nats"
    assert "secret" not in away.value.message
