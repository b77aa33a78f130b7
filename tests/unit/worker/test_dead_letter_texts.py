"""How dead letters look: help for every reason, bytes of any kind, and nothing that a terminal would obey."""

from __future__ import annotations

import msgspec
import pytest
from rich.console import Console

from streams.dead_letters import read_letter
from streams.facts.intake import DeadReason
from worker.cli.dead_letters import HELP, SHOWN_BYTES_MAX, Tally, letter_panel, payload_text, redrive_line, whole_letter
from worker.redriving import Redrive


def test_there_is_help_for_every_reason() -> None:
    assert HELP.keys() == set(DeadReason)
    assert all(HELP.values())


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'{"b":1,"a":[1.0,1e2]}', '{\n  "b": 1,\n  "a": [\n    1.0,\n    1e2\n  ]\n}'),
        (b"", ""),
        (b"plain text\n\tof two lines", "plain text\n\tof two lines"),
        ("{\x1b]0;title\x07 \u202e".encode(), "{\\u001b]0;title\\u0007 \\u202e"),
        ('{"a":"\u202e"}'.encode(), '{\n  "a": "\\u202e"\n}'),
        (b"\xff" + b"\x00" * 16, "000000  ff" + " 00" * 15 + "\n000010  00"),
        (b'{"a":\xff}', "000000  7b 22 61 22 3a ff 7d"),
        (
            b"[" * 100_000 + b"]" * 100_000,
            "[" * SHOWN_BYTES_MAX + f"\n… and {200_000 - SHOWN_BYTES_MAX} more; --json shows all",
        ),
    ],
    ids=["JSON", "nothing", "text", "controls", "directions in JSON", "bytes", "nearly JSON", "too deep to be read"],
)
def test_bytes_are_shown_as_what_they_are(data: bytes, text: str) -> None:
    assert payload_text(data) == text


def test_many_bytes_are_cut() -> None:
    shown = payload_text(b"\xff" * (SHOWN_BYTES_MAX + 5))
    assert shown.endswith("\n… and 5 more; --json shows all")
    assert shown.count(" ff") == SHOWN_BYTES_MAX


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b'{ "a":\n 1.0 }', b'"payload":{"a":1.0}'),
        (b"{", b'"payloadText":"{"'),
        (b"\xff", b'"payloadHex":"ff"'),
        (b"[" * 100_000, b'"payloadText":"[['),
    ],
)
def test_programs_get_them_whole_on_one_line(data: bytes, part: bytes) -> None:
    line = msgspec.json.encode(whole_letter(read_letter(1, 2, "dead.facts.a", {}, data, len(data))))
    assert part in line
    assert b"\n" not in line


def test_what_a_letter_says_is_shown_with_controls_escaped() -> None:
    found = {"Rulestream-Message": "\x1b[2J", "Original-x\x1b": "\u202e", "Rulestream-Reason": "\x07"}
    console = Console(width=160)
    with console.capture() as capture:
        console.print(letter_panel(read_letter(1, 2, "dead.facts.a", found, b"", 0)))
    shown = capture.get()
    for text in ("\\u001b[2J", "header x\\u001b", "\\u202e", "\\u0007"):
        assert text in shown
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)
    assert "\x1b" not in redrive_line(Redrive(1, "refused", note="\x1b[2J"))


def test_a_tally_is_bad_where_a_letter_was_not_redriven() -> None:
    tally = Tally()
    assert (tally.text(), tally.is_bad) == ("0 letters", False)
    tally.add(Redrive(1, "redriven"))
    tally.add(Redrive(2, "possible"))
    assert (tally.text(), tally.is_bad) == ("2 letters: 1 redriven, 1 possible", False)
    tally.add(Redrive(3, "missing"))
    assert tally.is_bad
