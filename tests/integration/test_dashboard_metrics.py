"""What the dashboard and the alerts ask for is what a running worker tells, by the names and labels that they use."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from prometheus_client.parser import text_string_to_metric_families

from tests.behaviour.bus import connected, eventually
from tests.unit.deploy.promql import Exposed, everything, panel_queries, problems, rules
from worker.service import Worker, running_worker
from worker.settings import load_settings


async def _scraped(worker: Worker) -> Exposed:
    """Ask a worker for its metrics as Prometheus does, and return their names and labels."""
    reader, writer = await asyncio.open_connection("127.0.0.1", worker.health_port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: worker\r\n\r\n")
    body = (await reader.read()).partition(b"\r\n\r\n")[2]
    writer.close()
    found: dict[str, dict[str, frozenset[str] | None]] = defaultdict(dict)
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            found[sample.name].update(dict.fromkeys(sample.labels))
    return dict(found)


async def test_every_query_asks_for_metrics_and_labels_that_a_running_worker_has(
    nats_url: str, database: str, redis_url: str
) -> None:
    settings = load_settings(nats_url=nats_url, postgres_dsn=database, redis_url=redis_url, http_port=0)
    async with running_worker(settings) as worker, connected(nats_url) as bus:
        await bus.activate_new("big order", "when total > 100.0 then emit alert({'total': total})")
        await bus.query("viewer", "list", {})
        await bus.send_command("ann", "create", {}, None)
        await bus.publish_fact("order.placed", {"total": 200.0})

        def is_told(found: Exposed) -> bool:
            """The last to come are what is polled and what was counted of the fact."""
            return {"rulestream_consumer_pending", "rulestream_outbox_pending"} <= found.keys() and bool(
                found.get("rulestream_batch_stage_duration_seconds_count")
            )

        scraped = await eventually(lambda: _scraped(worker), is_told)

    assert "process_resident_memory_bytes" in scraped
    ours = {name: labels for name, labels in everything({}).items() if not name.startswith("process_")}
    for expr in [*(rule["expr"] for rule in rules()), *panel_queries()]:
        assert list(problems(expr, {**ours, **scraped})) == [], expr


async def test_a_query_that_a_running_worker_cannot_answer_is_found(
    nats_url: str, database: str, redis_url: str
) -> None:
    settings = load_settings(nats_url=nats_url, postgres_dsn=database, redis_url=redis_url, http_port=0)
    async with running_worker(settings) as worker:
        scraped = await _scraped(worker)

    asked = 'sum by (rule) (rulestream_faults_total{rule="x"}) + rulestream_rules_total'
    assert list(problems(asked, scraped)) == [
        "rulestream_faults_total has no label rule",
        "there is no metric rulestream_rules_total",
        "nothing has a label rule",
    ]
