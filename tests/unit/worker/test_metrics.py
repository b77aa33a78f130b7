"""Metrics: labels of closed sets only, counters from the start, and nothing at all where telemetry is off."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from domain.decisions.fault_codes import FAULT_CODES
from domain.errors import ErrorCode
from streams.facts.intake import DeadReason
from streams.facts.observing import BatchReport, RuleFaults, StageTimes
from streams.messages import commands, queries
from worker.telemetry import instruments as names
from worker.telemetry.instruments import Instrument
from worker.telemetry.metrics import Metrics

PROJECT = Path(__file__).parents[3]
TIMES = StageTimes(started=10.0, begun=10.5, decided=11.0, stored=13.0, published=17.0)
REPORT = BatchReport(
    facts=5,
    matched=3,
    effects=2,
    repeated=1,
    redelivered=4,
    dead={DeadReason.NOT_JSON: 2},
    faults={("rule-1", "overflow"): RuleFaults("00", 3), ("rule-2", "overflow"): RuleFaults("01", 1)},
    times=TIMES,
    settled=18.0,
    published_ns=1_700_000_000_000_000_000,
    deliveries=7,
    traced=(),
    latencies_s=[0.25, 0.5],
)


def shown(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return every sample of the exposition by its name and labels, without those of the library's scope."""
    found = {}
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for sample in family.samples:
            labels = sorted((name, value) for name, value in sample.labels.items() if not name.startswith("otel_"))
            found[sample.name, tuple(labels)] = sample.value
    return found


def test_a_batch_is_told_in_counters_and_histograms() -> None:
    metrics = Metrics()
    metrics.batch_settled(REPORT)
    found = shown(metrics)
    expected = {
        ("rulestream_facts_decided_total", ()): 5,
        ("rulestream_facts_matched_total", ()): 3,
        ("rulestream_effects_published_total", ()): 2,
        ("rulestream_facts_repeated_total", ()): 1,
        ("rulestream_facts_redelivered_total", ()): 4,
        ("rulestream_facts_dead_total", (("reason", "NOT_JSON"),)): 2,
        ("rulestream_facts_dead_total", (("reason", "FACT_TOO_DEEP"),)): 0,
        ("rulestream_faults_total", (("code", "overflow"),)): 4,
        ("rulestream_batch_duration_seconds_sum", ()): 8.0,
        ("rulestream_batch_facts_sum", ()): 5,
        ("rulestream_batch_facts_count", ()): 1,
        ("rulestream_batch_stage_duration_seconds_sum", (("stage", "decide"),)): 0.5,
        ("rulestream_batch_stage_duration_seconds_sum", (("stage", "store"),)): 2.0,
        ("rulestream_batch_stage_duration_seconds_sum", (("stage", "publish"),)): 4.0,
        ("rulestream_decision_latency_seconds_sum", ()): 0.75,
        ("rulestream_decision_latency_seconds_count", ()): 2,
    }
    assert {key: found[key] for key in expected} == expected


def test_every_counter_is_there_from_the_start() -> None:
    """So that the first of something is an increase to whoever looks at rates."""
    found = {name for name, _ in shown(Metrics())}
    assert {one.prometheus_name for one in names.instruments("1") if one.kind == "counter"} <= found


def test_of_answers_the_good_ones_and_the_errors_that_are_ours_are_there_from_the_start() -> None:
    found = shown(Metrics())
    results = {dict(labels)["result"] for name, labels in found if name == "rulestream_queries_answered_total"}
    assert results == {"ok", "INTERNAL_ERROR", "UNAVAILABLE"}


@pytest.mark.parametrize(
    ("counter", "values", "kept"),
    [
        (names.COMMANDS_DECIDED, ("create", "ok"), ("create", "ok")),
        (names.COMMANDS_DECIDED, ("make-coffee", "ok"), ("other", "ok")),
        (names.COMMANDS_DECIDED, ("create", "TEAPOT"), ("create", "other")),
        (names.QUERIES_ANSWERED, ("a.b{c}", "NOT_FOUND"), ("other", "NOT_FOUND")),
        (names.FAULTS, ("no-such-code",), ("other",)),
        (names.DEPENDENCY_WAITS, ("mysql",), ("other",)),
        (names.CACHE_READS, ("rules", "hit"), ("rules", "hit")),
    ],
)
def test_what_is_not_in_a_labels_closed_set_is_other(
    counter: Instrument, values: tuple[str, ...], kept: tuple[str, ...]
) -> None:
    metrics = Metrics()
    metrics.count(counter, *values)
    assert metrics.counted(counter, *kept) == 1
    labels = tuple(sorted(zip(counter.labels, kept, strict=True)))
    assert shown(metrics)[counter.prometheus_name, labels] == 1


def test_a_label_shows_values_of_its_set_only() -> None:
    metrics = Metrics()
    for number in range(50):
        metrics.command_answered(f"verb-{number}", f"CODE_{number}", 0.1)
        metrics.query_answered(f"verb-{number}", "ok", 0.1)
        metrics.batch_settled(REPORT)
    known = {one.prometheus_name: one for one in names.instruments("1")}
    for name, labels in shown(metrics):
        one = known.get(name)
        if one is not None and one.name != names.BUILD_INFO_NAME:
            assert all(value in {*one.labels[label], names.OTHER} for label, value in labels), (name, labels)


def test_the_closed_sets_are_those_of_the_contract() -> None:
    assert set(names.COMMANDS_DECIDED.labels["verb"]) == set(commands.PAYLOADS)
    assert set(names.QUERIES_ANSWERED.labels["verb"]) == set(queries.PAYLOADS)
    assert set(names.COMMANDS_DECIDED.labels["result"]) == {"ok", *ErrorCode}
    assert {*names.FACTS_DEAD.labels["reason"], *names.COMMANDS_DEAD.labels["reason"]} == {*DeadReason}
    assert set(names.FAULTS.labels["code"]) == FAULT_CODES


def raised_codes() -> Iterator[str]:
    """Give every code that the domain's source names where it makes a fault."""
    for path in (PROJECT / "domain").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            place = {"Fault": 0, "RuleFault": 0, "AdditionError": 0, "PartFault": 1, "fail": 1}.get(called)
            if place is None or len(node.args) <= place:
                continue
            code = node.args[place]
            if isinstance(code, ast.Constant) and isinstance(code.value, str):
                yield code.value


def test_every_code_that_a_fault_is_made_with_is_in_the_closed_set() -> None:
    found = set(raised_codes())
    assert {"division-by-zero", "add-currency", "not-json", "table-not-unique"} <= found
    assert found <= FAULT_CODES


def test_switched_off_nothing_is_counted_and_the_process_is_still_told_of() -> None:
    metrics = Metrics(is_on=False)
    metrics.batch_settled(REPORT)
    metrics.command_answered("create", "ok", 0.1)
    found = {name for name, _ in shown(metrics)}
    assert "process_resident_memory_bytes" in found
    assert not [name for name in found if name.startswith("rulestream_")]
    metrics.shutdown(1.0)


def test_names_do_not_repeat_and_every_one_is_described() -> None:
    every = names.instruments("1")
    assert len({one.name for one in every}) == len(every)
    assert all(one.description.endswith(".") for one in every)
    assert all(one.buckets for one in every if one.kind == "histogram")
