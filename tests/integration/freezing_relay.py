"""A worker whose relay freezes itself (SIGSTOP) at its second event, before or after it is published; a script.

The argument says where: ``before``, when it has claimed the rule, or ``after``, when the stream has the event and the
database does not know.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from streams.control import ControlPlane
from worker.cli.app import app

where = sys.argv[1]
publish = ControlPlane.publish_event
count = 0


async def publish_and_freeze(*arguments: Any) -> int:
    global count  # noqa: PLW0603  # a script's only state
    count += 1
    if count == 2 and where == "before":
        os.kill(os.getpid(), signal.SIGSTOP)
    sequence = await publish(*arguments)
    if count == 2 and where == "after":
        os.kill(os.getpid(), signal.SIGSTOP)
    return sequence


ControlPlane.publish_event = publish_and_freeze  # type: ignore[method-assign]
app(["worker", "--roles", "relay"])
