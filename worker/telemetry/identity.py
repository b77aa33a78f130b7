"""Who speaks, in logs, metrics and traces: the service, its release, and this one process."""

from __future__ import annotations

import uuid
from importlib.metadata import version
from typing import Final

SERVICE: Final = "rulestream"
VERSION: Final = version("rulestream")
INSTANCE: Final = str(uuid.uuid4())  # another one for each process: workers are started as commands, not forked
