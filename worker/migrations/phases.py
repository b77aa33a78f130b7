"""What the migrations' files say of themselves, and which workers run on what: read without the migration tool.

A migration of phase ``pre`` only adds: it is applied while workers of the release before run, which go on. One of phase
``post`` removes or alters what they use: it is applied when none of them runs any more. Migrations are in one line, so
that a release's ``post`` is followed by the next release's ``pre``.

The database tells two versions: that of the newest migration applied, and the lowest one that a worker must be written
for (its newest file's) to run on it. Only a ``post`` migration raises the latter: to its own version, or to the earlier
one that its file names as ``lowest``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

# The last version before there were phases: each worker until then runs on exactly the version that it was written for.
BASELINE: Final = "0010"

_MODULE: Final = re.compile(r"m(\d{4})_\w+\.py")
_PHASE: Final = re.compile(r'^phase = "(\w+)"$', re.MULTILINE)
_LOWEST: Final = re.compile(r'^lowest = "(\d{4})"$', re.MULTILINE)
_TITLE: Final = re.compile(r'\A"""(.*?)(?:"""|$)', re.MULTILINE)


class Phase(StrEnum):
    """When a migration may be applied: while older workers run, or when none does."""

    PRE = "pre"
    POST = "post"


@dataclass(frozen=True, slots=True)
class Migration:
    """A migration's version, phase and title, and the lowest version whose workers run on what it leaves."""

    version: str
    phase: Phase
    lowest: str
    title: str

    def __str__(self) -> str:
        return f"{self.version} {self.title}"


def migrations(folder: Traversable | None = None) -> tuple[Migration, ...]:
    """Read the migrations of a folder (default: ours), the oldest first; a file without a phase is a defect."""
    found = resources.files("worker.migrations").joinpath("versions") if folder is None else folder
    read: list[Migration] = []
    for entry in found.iterdir():
        named = _MODULE.fullmatch(entry.name)
        if named is None:
            continue
        text = entry.read_text(encoding="utf-8")
        phase, lowest, title = _PHASE.search(text), _LOWEST.search(text), _TITLE.match(text)
        assert phase is not None, f"{entry.name} does not say its phase"
        assert title is not None, f"{entry.name} has no title"
        version = named[1]
        read.append(Migration(version, Phase(phase[1]), version if lowest is None else lowest[1], title[1]))
    return tuple(sorted(read, key=lambda one: one.version))


def newest(known: tuple[Migration, ...]) -> str:
    """Return the version that migrations lead to: what a worker that comes with them is written for."""
    return known[-1].version


def required(known: tuple[Migration, ...]) -> str:
    """Return the version that a database must have at least for the worker that comes with these migrations."""
    return max(one.version for one in known if one.phase is Phase.PRE)


def lowest_worker(applied: str | None, known: tuple[Migration, ...]) -> str | None:
    """Return the lowest version that a worker must be written for on a database at a version; None for an empty one."""
    if applied is None or applied <= BASELINE:
        return applied
    raised = (one.lowest for one in known if one.phase is Phase.POST and BASELINE < one.version <= applied)
    return max([BASELINE, *raised])
