"""The container images that tests run on where a Docker engine answers: the one place that names them.

NATS's must hold a shell (the alpine one does), for its configuration is written into the container.
"""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Image:
    """An image, and the environment variable that names another one in its place."""

    variable: str
    default: str

    @property
    def name(self) -> str:
        return os.environ.get(self.variable) or self.default


NATS = Image("RULESTREAM_TEST_NATS_IMAGE", "nats:2-alpine")
POSTGRES = Image("RULESTREAM_TEST_POSTGRES_IMAGE", "postgres:18-alpine")
VALKEY = Image("RULESTREAM_TEST_VALKEY_IMAGE", "valkey/valkey:9-alpine")
