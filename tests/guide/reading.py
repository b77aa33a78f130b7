"""Reads a page's console blocks: each command, and what the page shows that it said, to compare with another run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/operations.md"
LEFT_OUT = "…"
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# What differs from one run to the next; counts and versions do not.
_VARYING = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{12,64}\b"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "TIME"),
    (re.compile(r"\b(?:About an?|\d+) (?:second|minute|hour)s?(?: ago)?\b"), "AGE"),
    (re.compile(r"\b\d[\d.,]* ?(?:[kKMGT]?i?B|[kMGT]\b|bytes|%|m?s\b|a second)|\b\d+m[\d.]+s\b"), "AMOUNT"),
    (re.compile(r"\s+"), " "),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One command, where it stands, and the lines that the page shows below it."""

    line: int
    command: str
    shown: tuple[str, ...]

    def missing(self, output: Sequence[str]) -> list[str]:
        """Return the lines shown that the output does not have, in their order; a line with … may go on in any way."""
        rest = iter([_form(line) for line in output])
        return [line for line in self.shown if line != LEFT_OUT and not any(_is_like(line, said) for said in rest)]


def steps(page: str) -> Iterator[Step]:
    """Give the commands of a page, in order: lines that begin with ``$``, and with ``>`` where they go on."""
    for block in _BLOCK.finditer(page):
        first = page.count("\n", 0, block.start(1)) + 1
        command: list[str] = []
        shown: list[str] = []
        at = first
        for number, line in enumerate(block[1].splitlines(), first):
            if line.startswith("$ "):
                if command:
                    yield Step(at, "\n".join(command), tuple(shown))
                command, shown, at = [line[2:]], [], number
            elif line.startswith("> ") and not shown:
                command.append(line[2:])
            elif line.strip():
                shown.append(line)
        if command:
            yield Step(at, "\n".join(command), tuple(shown))


def _form(line: str) -> str:
    for pattern, name in _VARYING:
        line = pattern.sub(name, line)
    return line.strip()


def _is_like(shown: str, said: str) -> bool:
    parts = [re.escape(_form(part)) for part in shown.split(LEFT_OUT)]
    return re.fullmatch(r"\s*.*\s*".join(parts) if len(parts) > 1 else parts[0], said) is not None
