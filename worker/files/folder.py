"""A folder of rule files on disk: what is in it, and files written so that none is ever seen half."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from domain.errors import InvalidRequestError
from worker.files.rules import RULE_BYTES_MAX, RULE_SUFFIX

_UNFINISHED: Final = ".rulestream-export.tmp"


class UnwritableError(InvalidRequestError):
    """A file or folder that cannot be written."""


def rule_files(folder: Path) -> dict[str, str | None]:
    """Return the texts of a folder's rule files by name; None for what cannot be read as text.

    A folder that is not there has none.
    """
    return {path.name: _text(path) for path in sorted(folder.glob(f"*{RULE_SUFFIX}"))}


def write_files(folder: Path, texts: Mapping[str, str]) -> None:
    """Write files into a folder, made where it is not there, each whole or not at all; raises UnwritableError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            unfinished = folder / _UNFINISHED
            unfinished.write_bytes(text.encode())
            unfinished.replace(folder / name)
    except OSError as error:
        with suppress(OSError):
            (folder / _UNFINISHED).unlink()
        raise UnwritableError(f"cannot be written: {error.strerror or error}", file=str(folder)) from error


def _text(path: Path) -> str | None:
    try:
        if path.stat().st_size > RULE_BYTES_MAX:
            return None
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        return None
