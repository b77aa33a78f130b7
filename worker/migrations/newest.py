"""The versions that this code is written for, told by its migrations' files: reading them takes no migration tool."""

from __future__ import annotations

from typing import Final

from worker.migrations import phases

_KNOWN: Final = phases.migrations()
# What this code is written for, and what a database must have at least: the removals may be still to come.
SCHEMA_VERSION: Final = phases.newest(_KNOWN)
REQUIRED_VERSION: Final = phases.required(_KNOWN)
