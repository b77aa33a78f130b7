"""The suite's own books: every publish that JetStream acknowledged, and every change of the rules that was answered.

Nothing of the project is imported. Each content is sent under one entry; its bytes tell it again when it is read back
from the stream, also where a publish was never acknowledged and its message is there all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.faults.rulebook import Active


@dataclass(slots=True)
class Entry:
    """One content that was published, once or again; ``dead`` is the reason of the dead letter that it must become.

    ``acknowledged`` are the stream's sequences, each with whether the server called the publish a duplicate.
    """

    subject: str
    headers: dict[str, str] | None
    data: bytes
    dead: str | None = None
    acknowledged: list[tuple[int, bool]] = field(default_factory=list)
    attempts: int = 0


class Ledger:
    """What was sent, and which rules decide at which revision."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._by_data: dict[bytes, Entry] = {}
        self.revisions: dict[int, Mapping[str, Active]] = {0: {}}

    def enter(self, subject: str, headers: dict[str, str] | None, data: bytes, dead: str | None = None) -> Entry:
        """Open an entry for a content that is about to be published; its bytes must be new."""
        assert data not in self._by_data, "each content has bytes of its own"
        entry = Entry(subject, headers, data, dead)
        self.entries.append(entry)
        self._by_data[data] = entry
        return entry

    def find(self, data: bytes) -> Entry | None:
        """Give the entry of a content."""
        return self._by_data.get(data)

    @property
    def acknowledged(self) -> int:
        """How many publishes were acknowledged, duplicates among them."""
        return sum(len(entry.acknowledged) for entry in self.entries)

    @property
    def active(self) -> Mapping[str, Active]:
        """The rules that decide now."""
        return self.revisions[max(self.revisions)]

    def changed(self, revision: int, active: Mapping[str, Active]) -> None:
        """Note which rules decide from a revision on."""
        assert revision == max(self.revisions) + 1, "each change of the active rules raises the revision by one"
        self.revisions[revision] = dict(active)
