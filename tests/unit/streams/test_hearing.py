"""Hearing messages as they come: the same ones as nats-py's own parser finds, however the bytes are cut."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.protocol.parser import Parser

from streams.hearing import HearingParser, read_headers

HEARD, UNHEARD = 7, 8
Message = tuple[int, bytes, bytes, bytes, bytes | None]


class FakeClient:
    """What a parser tells its client."""

    def __init__(self) -> None:
        self.stats = {"in_msgs": 0, "in_bytes": 0}
        self.messages: list[Message] = []
        self.pings = 0

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
        self.messages.append((sid, subject, reply, data, headers))

    async def _process_ping(self) -> None:
        self.pings += 1


def frame(sid: int, reply: bytes, head: bytes | None, data: bytes) -> bytes:
    words = [b"MSG" if head is None else b"HMSG", b"a.b", b"%d" % sid, *([reply] if reply else [])]
    sizes = [b"%d" % len(data)] if head is None else [b"%d" % len(head), b"%d" % (len(head) + len(data))]
    return b" ".join([*words, *sizes]) + b"\r\n" + (head or b"") + data + b"\r\n"


frames = st.builds(
    frame,
    st.sampled_from([HEARD, HEARD, UNHEARD]),
    st.sampled_from([b"", b"$JS.ACK.x"]),
    st.sampled_from([None, b"NATS/1.0\r\n\r\n", b"NATS/1.0 408 Request Timeout\r\n\r\n", b"NATS/1.0\r\nA: b\r\n\r\n"]),
    st.binary(max_size=40) | st.sampled_from([b"\r\nPING\r\n", b"MSG a 7 0\r\n\r\n", b"x" * 5000]),
)
others = st.sampled_from([b"PING\r\n", b"+OK\r\n"])


async def parsed(parser: Any, wire: bytes, cuts: list[int]) -> None:
    bounds = sorted({0, len(wire), *(cut % (len(wire) + 1) for cut in cuts)})
    for begin, end in pairwise(bounds):
        await parser.parse(wire[begin:end])


@given(st.lists(frames | others, max_size=12), st.lists(st.integers(min_value=0, max_value=100_000), max_size=20))
async def test_a_listener_hears_what_nats_py_would_have_found(parts: list[bytes], cuts: list[int]) -> None:
    wire = b"".join(parts)
    theirs = FakeClient()
    await parsed(Parser(theirs), wire, cuts)  # type: ignore[no-untyped-call]
    ours = FakeClient()
    parser = HearingParser(ours)  # type: ignore[arg-type]
    heard: list[Message] = []
    parser.listeners[b"%d" % HEARD] = lambda *message: heard.append((HEARD, *message))
    await parsed(parser, wire, cuts)
    # A message that came in parts may have gone nats-py's way, whose client hands it to the listener.
    assert [one for one in [*heard, *ours.messages] if one[0] == UNHEARD] == [
        one for one in theirs.messages if one[0] == UNHEARD
    ]
    assert sorted([*heard, *(one for one in ours.messages if one[0] == HEARD)], key=repr) == sorted(
        [one for one in theirs.messages if one[0] == HEARD], key=repr
    )
    assert ours.pings == theirs.pings
    assert ours.stats["in_msgs"] == len(heard)


async def test_a_message_far_larger_than_a_part_is_nats_pys_to_put_together() -> None:
    client = FakeClient()
    parser = HearingParser(client)  # type: ignore[arg-type]
    heard: list[bytes] = []
    parser.listeners[b"7"] = lambda _subject, _reply, data, _head: heard.append(data)
    large, small = b"x" * 1_000_000, b"small"
    wire = frame(HEARD, b"r", None, large) + frame(HEARD, b"r", None, small)
    for begin in range(0, len(wire), 300_000):
        await parser.parse(wire[begin : begin + 300_000])
    assert [message[3] for message in client.messages] == [large]
    assert heard == [small], "and what follows is heard again"


async def test_a_listener_that_raises_costs_its_message_alone() -> None:
    parser = HearingParser(FakeClient())  # type: ignore[arg-type]
    heard: list[bytes] = []

    def listener(_subject: bytes, _reply: bytes, data: bytes, _head: bytes | None) -> None:
        if data == b"bad":
            raise ValueError("a defect of ours")
        heard.append(data)

    parser.listeners[b"7"] = listener
    await parser.parse(b"".join(frame(HEARD, b"", None, data) for data in (b"one", b"bad", b"two")))
    assert heard == [b"one", b"two"]


async def test_what_a_lost_connection_began_is_forgotten() -> None:
    parser = HearingParser(FakeClient())  # type: ignore[arg-type]
    heard: list[bytes] = []
    parser.listeners[b"7"] = lambda _subject, _reply, data, _head: heard.append(data)
    await parser.parse(frame(HEARD, b"", None, b"one")[:-4])
    parser.reset()
    await parser.parse(frame(HEARD, b"", None, b"two"))
    assert heard == [b"two"]


@pytest.mark.parametrize(
    "line",
    [
        b"Nats-Msg-Id: a",
        b"Nats-Msg-Id:a",
        b"Nats-Msg-Id:  a ",
        b"Nats-Msg-Id:\ta b  c",
        b"Nats-Msg-Id: a:b: c",
        b"Nats-Msg-Id: \xc3\xa9",
        b"Nats-Msg-Id: \xff",
        b"Nats-Msg-Id: ",
        b"Nats-Msg-Id:",
        b"Na me: a",
        b"N\xc3\xa9: a",
        b"no colon",
        b": a",
        b"a: \x01b",
        b"a: b\r\nc: d",
        b"a: b\r\na: c",
    ],
)
def test_headers_are_read_as_nats_py_reads_them(line: bytes) -> None:
    assert read_headers(b"NATS/1.0\r\n" + line + b"\r\n\r\n") == Client._parse_header_lines(line + b"\r\n")


def test_a_status_is_read_with_what_comes_beside_it() -> None:
    block = b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 5\r\n\r\n"
    assert read_headers(block) == {"Status": "408", "Description": "Request Timeout", "Nats-Pending-Messages": "5"}
    assert read_headers(b"NATS/1.0 503\r\n\r\n") == {"Status": "503", "Description": ""}
