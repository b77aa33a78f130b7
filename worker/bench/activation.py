"""Rules taken through their whole life by commands, as fast as a worker takes them, until it decides by them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Final

from worker.bench.stack import At, BenchError
from worker.client import Client
from worker.demo.run import readiness

_AUTHOR: Final = "bench-author"
_APPROVER: Final = "bench-approver"
_LANES: Final = 16
_TIMEOUT_S: Final = 60.0
_POLL_S: Final = 0.05


async def activate(at: At, texts: Iterable[str]) -> None:
    """Create, submit, approve and activate rules, and return when the worker decides by all of them.

    Raises RemoteError for a rule that is refused, BenchError when the worker does not take them over.
    """
    author, approver = Client(at.connection, _AUTHOR, _TIMEOUT_S), Client(at.connection, _APPROVER, _TIMEOUT_S)
    numbered = list(enumerate(texts))
    rules = iter(numbered)

    async def lane() -> None:
        for number, text in rules:
            content = {"name": f"bench rule {number:05}", "dslContent": text, "priority": "MEDIUM"}
            rule = await author.command("create", content)
            named = {"ruleId": rule["ruleId"]}
            await author.command("submit", named)
            await approver.command("approve", {**named, "expectedVersion": rule["version"]})
            await approver.command("activate", named)

    await asyncio.gather(*(lane() for _ in range(_LANES)))
    deadline = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline:
        if (await readiness(at.health)).get("ruleset", {}).get("rules") == len(numbered):
            return
        await asyncio.sleep(_POLL_S)
    raise BenchError(f"the worker did not take over {len(numbered)} rules")
