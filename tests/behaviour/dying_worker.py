"""A worker that dies, as by a power cut, after a command is committed and before its answer leaves; a script."""

from __future__ import annotations

import os
import signal
from typing import NoReturn

from streams import subjects
from worker.cli.app import app


def die(*_: object) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


subjects.reply = die  # the address of an answer is only asked for once the answer is durable
app(["worker"])
