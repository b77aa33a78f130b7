"""Protocol frames: what goes over the wire, and what must never."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.headers import harmless, lowered, original
from streams.wire import SUBJECT_BYTES_MAX, Publication, header_block, publish_frame


def test_headers_are_written_as_the_protocol_wants_them() -> None:
    assert header_block({"A": "1", "b-c": "é"}) == "NATS/1.0\r\nA: 1\r\nb-c: é\r\n\r\n".encode()
    assert header_block({}) == b"NATS/1.0\r\n\r\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("A", "1\r\nB: 2"),
        ("A", "1\r"),
        ("A", "1\n"),
        ("A", "\x00"),
        ("A\r\nB", "1"),
        ("A\n", "1"),
        ("A\x00", "1"),
        ("A: 1", "2"),
    ],
)
def test_a_header_that_would_break_the_frame_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="header"):
        header_block({name: value})


@given(st.dictionaries(st.text(), st.text(), max_size=3))
def test_what_a_dead_letter_copies_never_breaks_its_frame(found: dict[str, str]) -> None:
    copied = original({name.replace(":", ""): value for name, value in found.items()})
    block = header_block(copied)
    assert block.count(b"\r\n") == len(copied) + 2
    assert b"\x00" not in block


def test_text_without_line_breaks_is_harmless_already() -> None:
    assert harmless("a: b\té") == "a: b\té"


@pytest.mark.parametrize("headers", [None, {}])
def test_no_headers_are_no_headers(headers: dict[str, str] | None) -> None:
    assert lowered(headers) == {}
    assert original(headers) == {}


def test_header_names_are_compared_in_lower_case_and_the_last_spelling_stands() -> None:
    assert lowered({"Nats-Msg-Id": "1", "NATS-MSG-ID": "2", "X": "Y"}) == {"nats-msg-id": "2", "x": "Y"}


def test_a_frame_says_its_sizes() -> None:
    head = header_block({"A": "1"})
    frame = publish_frame(Publication("decisions.matched.a", head, b"{}"), "_INBOX.x.1")
    assert frame == b"HPUB decisions.matched.a _INBOX.x.1 %d %d\r\n%b{}\r\n" % (len(head), len(head) + 2, head)


@pytest.mark.parametrize(
    "subject",
    ["", " ", "a b", "a\r\nPUB x 0\r\n", "a\n", "a\t", "é", "a\u00a0b", "x" * (SUBJECT_BYTES_MAX + 1), " a", "a "],
)
def test_a_subject_that_would_break_the_frame_is_refused(subject: str) -> None:
    with pytest.raises(ValueError, match="subject"):
        publish_frame(Publication(subject, header_block({}), b""), "reply")


def test_the_longest_subject_is_written() -> None:
    assert publish_frame(Publication("x" * SUBJECT_BYTES_MAX, header_block({}), b""), "reply")
