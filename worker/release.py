"""What this code is: which state of the rule language, and which release decides."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.metadata import version
from importlib.resources.abc import Traversable
from typing import Final

from domain.language import STORED_VERSION

# What decides beside our own code: regular expressions, JSON, and the rules of time zones. Python has case and numbers.
_LIBRARIES: Final = ("google-re2", "msgspec", "tzdata")


@dataclass(frozen=True, slots=True)
class Release:
    """What a decision depends on beside the fact and the ruleset: a release, its code, and what it stands on.

    ``code`` is the SHA-256 of the code that reads facts, decides and encodes, in hexadecimal: it tells one state of a
    version from another.
    """

    version: str
    code: str
    libraries: str

    def __str__(self) -> str:
        return f"rulestream {self.version} (code {self.code[:16]}, {self.libraries})"


@cache
def this_release() -> Release:
    """Return what is running."""
    python = f"Python {platform.python_version()}"
    libraries = ", ".join([python, *(f"{name} {version(name)}" for name in _LIBRARIES)])
    return Release(version("rulestream"), _code_digest("domain", "streams").hex(), libraries)


@cache
def language_digest() -> bytes:
    """Return the SHA-256 of the language's own code and grammar, with the version of stored plans.

    Plans that another state of it made are not taken for its own.
    """
    return _code_digest("domain.language", head=str(STORED_VERSION).encode())


def _code_digest(*packages: str, head: bytes = b"") -> bytes:
    state = hashlib.sha256(head)
    for package in packages:
        for name, data in sorted(_files(resources.files(package), "")):
            state.update(f"{name} {len(data)} ".encode() + data)
    return state.digest()


def _files(folder: Traversable, path: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in folder.iterdir():
        name = f"{path}/{entry.name}"
        if entry.is_dir() and entry.name != "__pycache__":
            found += _files(entry, name)
        elif entry.name.endswith((".py", ".lark")):
            found.append((name, entry.read_bytes()))
    return found
