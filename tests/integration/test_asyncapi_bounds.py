"""A real worker and the API document's schemas: of payloads at their bounds, neither refuses what the other accepts.

The same payloads meet the use cases on fakes, each of them (tests/unit/worker/test_asyncapi_agrees.py).
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from streams.messages import commands, queries
from tests.asyncapi.agreement import CREATE, QUERIES, SCHEMAS, TEMPLATE, changed, compare, encoded, filled
from tests.behaviour.bus import Bus, connected
from worker.service import running_worker
from worker.settings import load_settings

# One in so many of the payloads: a prime, so that each field has its turn.
STRIDE = 13
BYTES_MAX = 900_000
ALL = {"expectedVersion": 1, "toVersion": 1, "reason": "no", "comment": "fine"}
ROW = {"tier": "VIP", "percent": 2}


@pytest.fixture
async def bus(nats_url: str, database: str, redis_url: str) -> AsyncIterator[Bus]:
    settings = load_settings(nats_url=nats_url, postgres_dsn=database, redis_url=redis_url, http_port=0)
    async with running_worker(settings), connected(nats_url) as found:
        yield found


@pytest.fixture
async def ids(bus: Bus) -> dict[str, str]:
    """Give the ids of what there is to ask for and to change."""
    rule = await bus.tell("ann", "create", {**CREATE, "name": "held"})
    template = await bus.tell("ann", "create-template", TEMPLATE)
    return {"RULE": rule["ruleId"], "TEMPLATE": template["templateId"], "KEY": "0" * 32}


def told(answer: dict[str, Any]) -> None:
    """Check that no payload made a defect of ours."""
    assert answer["error"] is None or answer["error"]["code"] not in {"INTERNAL_ERROR", "UNAVAILABLE"}, answer


async def test_queries_at_their_bounds(bus: Bus, ids: dict[str, str]) -> None:
    asked = 0
    for verb, payload_type in queries.PAYLOADS.items():
        name = payload_type.__name__
        for base in QUERIES[verb]:
            for payload in itertools.islice(changed(filled(base, ids), SCHEMAS[name]), asked % STRIDE, None, STRIDE):
                data = encoded(payload)
                if len(data) < BYTES_MAX:
                    answer = await bus.query("ann", verb, data)
                    told(answer)
                    compare(name, payload, answer)
                    asked += 1
    assert asked > len(queries.PAYLOADS)


async def test_commands_at_their_bounds(bus: Bus, ids: dict[str, str]) -> None:
    sent = 0
    for verb, payload_type in commands.PAYLOADS.items():
        name = payload_type.__name__
        fields = {**ALL, **(TEMPLATE if "template" in verb else CREATE)}
        fields |= {"ruleId": ids["RULE"], "templateId": ids["TEMPLATE"]}
        if verb == "instantiate-template":
            fields |= {"name": "of ${tier}", "priority": "LOW", "rows": [ROW]}
            del fields["parameters"]
        base = {key: value for key, value in fields.items() if key in SCHEMAS[name]["properties"]}
        for payload in itertools.islice(changed(base, SCHEMAS[name]), sent % STRIDE, None, STRIDE):
            data = encoded(payload)
            if len(data) < BYTES_MAX:
                answer = await bus.command("ann", verb, data)
                told(answer)
                compare(name, payload, answer)
                sent += 1
    assert sent > len(commands.PAYLOADS)


async def test_an_empty_text_is_no_rule_to_be_explained_by(bus: Bus) -> None:
    answer = await bus.query("ann", "explain", {"dslContent": "", "fact": {}})
    assert answer["error"]["code"] == "VALIDATION_ERROR"
