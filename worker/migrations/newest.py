"""The version that this code's migrations lead to, told by their files: reading it takes no migration tool."""

from __future__ import annotations

import re
from importlib import resources
from typing import Final

_MODULE: Final = re.compile(r"m(\d{4})_\w+\.py")


def _newest() -> str:
    names = (entry.name for entry in resources.files("worker.migrations").joinpath("versions").iterdir())
    return max(found[1] for found in map(_MODULE.fullmatch, names) if found is not None)


SCHEMA_VERSION: Final = _newest()
