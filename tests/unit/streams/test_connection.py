"""Connecting to NATS: what is said of an address, and of one where nobody answers."""

from __future__ import annotations

import pytest

from domain.errors import UnavailableError
from streams.connection import LenientClient, address_of, connect


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


@pytest.mark.parametrize("first", [b"NATS/1.0 \xff\xff\xff", b"NATS/1.0 100 \xff\xff\xff"])
async def test_headers_outside_utf_8_end_no_connection(first: bytes) -> None:
    """What a reading loop raises ends the connection: one query a second would keep a worker from all others."""
    found = await LenientClient()._process_headers(first + b"\r\nA: b\r\n\r\n")
    assert found is not None
    assert found["A"] == "b"
    assert await LenientClient()._process_headers(b"") is None


@pytest.mark.parametrize(("reply", "status"), [(b"$JS.ACK.S.c.1.2.3.4.5", None), (b"_INBOX.x", "404"), (b"", "404")])
def test_a_stored_message_is_no_status_whatever_its_sender_wrote(reply: bytes, status: str | None) -> None:
    """Nats-py leaves out what looks like a status: a command that does would come again and again, never decided."""
    message = LenientClient()._build_message(1, b"rules.command.ann.create", reply, b"{}", {"Status": "404", "A": "b"})
    assert message.headers is not None
    assert message.headers.get("Status") == status
    assert message.headers["A"] == "b"
