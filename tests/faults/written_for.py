"""A worker that takes itself for one that is written for another schema, which the environment names; a script.

It is this code all the same: what is tried is when it starts, when it ends, and what it does beside another one.
"""

from __future__ import annotations

import os

from worker.migrations import newest

newest.SCHEMA_VERSION = os.environ["RULESTREAM_TEST_SCHEMA"]  # type: ignore[misc]  # before anything reads it
newest.REQUIRED_VERSION = os.environ["RULESTREAM_TEST_REQUIRED"]  # type: ignore[misc]

from worker.cli.app import app  # noqa: E402  # only now

app(["worker"])
