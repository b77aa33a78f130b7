"""How dead letters, and what became of them, look to people and to programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from rich.console import RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from streams.dead_letters import DeadLetter, obstacle
from streams.facts.intake import DeadReason
from streams.messages.decisions import time_text
from worker.cli.output import visible, visible_lines
from worker.redriving import Redrive, Status

# How much of a payload people are shown; --json has all of it.
SHOWN_BYTES_MAX: Final = 16 * 1024
_HEX_LINE_BYTES: Final = 16

_SENDER: Final = "its sender must send it again, as it should be"
HELP: Final = {
    DeadReason.INVALID_SUBJECT: f"the subject is no fact type; {_SENDER}",
    DeadReason.INVALID_FACT_ID: f"the id is empty, too long or has control characters; {_SENDER}",
    DeadReason.INVALID_TIME: f"ce-time is no time of RFC 3339 with an offset; {_SENDER}",
    DeadReason.INVALID_ORIGIN: "only a redrive sends the header Rulestream-Origin: send the fact without it",
    DeadReason.INVALID_CLOUD_EVENT: f"a CloudEvent needs an id and a source; {_SENDER}",
    DeadReason.STORE_REFUSED: "Postgres cannot hold something in the decision: change the rule, or report it",
    DeadReason.NOT_JSON: f"the bytes are not JSON; {_SENDER}",
    DeadReason.NOT_AN_OBJECT: f"a fact is a JSON object; {_SENDER}",
    DeadReason.NUMBER_OUT_OF_RANGE: f"a number lies outside a double's range; {_SENDER}",
    DeadReason.FACT_TOO_LARGE: "raise RULESTREAM_FACT_BYTES_MAX, then redrive; or have a smaller one sent",
    DeadReason.FACT_TOO_DEEP: f"it is nested deeper than facts may be; {_SENDER}",
    DeadReason.DECISION_TOO_LARGE: "change the rules behind it, or raise the server's max_payload, then redrive",
    DeadReason.KILLED_WORKER: "workers died while they decided it alone: mend that cause, then redrive",
    DeadReason.COMMAND_WITHOUT_ID: "its actor must send it again, with an id",
    DeadReason.COMMAND_FORGED: "somebody had the server publish it: look who could",
    DeadReason.INVALID_ACTOR: "the subject names no actor and verb; its sender must send it again",
}

_DID: Final[dict[Status, str]] = {
    "redriven": "sent again",
    "possible": "would be sent again",
    "duplicate": "not sent again",
    "refused": "not sent again",
    "missing": "not sent again",
}


class Tally:
    """How many letters came to what."""

    def __init__(self) -> None:
        self._counts: Counter[Status] = Counter()

    def add(self, redrive: Redrive) -> None:
        """Count one letter."""
        self._counts[redrive.status] += 1

    @property
    def letters(self) -> int:
        """How many there were."""
        return self._counts.total()

    @property
    def is_bad(self) -> bool:
        """Whether some letter was not redriven."""
        return any(self._counts[status] for status in ("duplicate", "refused", "missing"))

    def row(self) -> dict[str, int]:
        """Return the counts for programs."""
        return {"letters": self.letters, **{status: self._counts[status] for status in _DID}}

    def text(self) -> str:
        """Return the counts for people."""
        found = [f"{count} {status}" for status in _DID if (count := self._counts[status])]
        text = f"{self.letters} {'letter' if self.letters == 1 else 'letters'}"
        return f"{text}: {', '.join(found)}" if found else text


def letter_row(letter: DeadLetter) -> dict[str, Any]:
    """Return a letter for programs, without its headers and its bytes."""
    row: dict[str, Any] = {
        "sequence": letter.sequence,
        "buriedAt": time_text(letter.buried_at_ns),
        "kind": letter.kind,
        "reason": letter.reason,
        "message": letter.message,
        "subject": letter.subject,
        "bytes": letter.size,
    }
    if letter.place is not None:
        stored_at = time_text(letter.place.stored_at_ns)
        row |= {"factStream": letter.place.stream, "factSeq": letter.place.sequence, "factStoredAt": stored_at}
    if letter.truncated:
        row["truncated"] = letter.truncated
    return row


def whole_letter(letter: DeadLetter) -> dict[str, Any]:
    """Return a letter for programs, whole: its bytes as JSON where they are, else as text, else in hexadecimal."""
    row = letter_row(letter) | {"headers": dict(letter.headers)}
    why_not = obstacle(letter)
    if why_not is not None:
        row["notRedrivable"] = why_not
    data = letter.data or b""
    if _is_json(data):
        return row | {"payload": msgspec.Raw(msgspec.json.format(data, indent=-1))}  # on one line
    try:
        return row | {"payloadText": data.decode()}
    except UnicodeDecodeError:
        return row | {"payloadHex": data.hex()}


def redrive_row(redrive: Redrive) -> dict[str, Any]:
    """Return what became of a letter, for programs."""
    row: dict[str, Any] = {"sequence": redrive.sequence, "status": redrive.status}
    if redrive.letter is not None:
        row |= {"reason": redrive.letter.reason, "subject": redrive.letter.subject}
    if redrive.fact_sequence is not None:
        row["factSeq"] = redrive.fact_sequence
    return row | ({"note": redrive.note} if redrive.note else {})


def redrive_line(redrive: Redrive) -> str:
    """One line that says what became of a letter."""
    line = f"letter {redrive.sequence}: {_DID[redrive.status]}"
    if redrive.letter is not None and redrive.is_well:
        line += f" on {redrive.letter.subject}"
    if redrive.fact_sequence is not None:
        line += f" (sequence {redrive.fact_sequence})"
    return visible(f"{line}; {redrive.note}" if redrive.note else line)


def letters_table(letters: Sequence[DeadLetter]) -> RenderableType:
    """Some letters."""
    table = Table("letter", "buried", "subject", "reason", "bytes", "message")
    for letter in letters:
        table.add_row(
            str(letter.sequence),
            time_text(letter.buried_at_ns)[:19] + "Z",
            Text(visible(letter.subject or letter.letter_subject)),
            Text(visible(letter.reason)),
            str(letter.size),
            Text(visible(letter.message)),
        )
    return table


def letter_panel(letter: DeadLetter) -> RenderableType:
    """A letter, but for its bytes."""
    why_not = obstacle(letter)
    lines = [
        ("subject", letter.subject),
        ("buried", time_text(letter.buried_at_ns)),
        ("reason", letter.reason),
        ("message", letter.message),
        ("what helps", HELP.get(letter.reason, "")),  # type: ignore[call-overload]  # any text may be a reason
        ("redrive", f"not possible: {why_not}" if why_not else f"rulestream dead redrive {letter.sequence}"),
        ("bytes", f"{letter.size}{' (cut short)' if letter.truncated == 'data' else ''}"),
    ]
    if letter.place is not None:
        place = letter.place
        lines.insert(1, ("stored", f"{place.stream} {place.sequence} at {time_text(place.stored_at_ns)}"))
    lines.extend((f"header {name}", value) for name, value in letter.headers.items())
    table = Table.grid(padding=(0, 2))
    for label, text in lines:
        if text:
            table.add_row(Text(visible(label), style="dim"), Text(visible(text)))
    title = Text(f"dead letter {letter.sequence} ({letter.kind})", style="bold")
    return Panel(table, title=title, title_align="left")


def payload_text(data: bytes) -> str:
    """Write bytes for people: JSON on several lines, else text, else hexadecimal; the end of many is left out.

    What a terminal would obey is escaped.
    """
    try:
        text = (msgspec.json.format(data) if _is_json(data) else data).decode()
    except UnicodeDecodeError:
        shown = data[:SHOWN_BYTES_MAX]
        lines = (shown[at : at + _HEX_LINE_BYTES] for at in range(0, len(shown), _HEX_LINE_BYTES))
        text = "\n".join(f"{at * _HEX_LINE_BYTES:06x}  {line.hex(' ')}" for at, line in enumerate(lines))
        left = len(data) - len(shown)
    else:
        left = max(len(text) - SHOWN_BYTES_MAX, 0)
        text = text[:SHOWN_BYTES_MAX]
    return visible_lines(f"{text}\n… and {left} more; --json shows all" if left else text)


def _is_json(data: bytes) -> bool:
    try:
        msgspec.json.decode(data)
        data.decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True
