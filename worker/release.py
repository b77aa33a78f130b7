"""What this code's rule language is: plans that another state of it made are not taken for its own."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from domain.language import STORED_VERSION


@cache
def language_digest() -> bytes:
    """Return the SHA-256 of the language's own code and grammar, with the version of stored plans."""
    state = hashlib.sha256(str(STORED_VERSION).encode())
    for name, data in sorted(_files(resources.files("domain.language"), "")):
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
