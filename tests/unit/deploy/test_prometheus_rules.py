"""The alerts ask for metrics that there are, fire on what they are about, and are the same for the operator."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.unit.deploy.promql import DEPLOY, RULES, described, everything, problems, rules, selectors
from worker.telemetry import instruments as names

PROMETHEUS: Final = DEPLOY / "prometheus"
CASES: Final = PROMETHEUS / "tests" / "rulestream.rules.test.yml"
OPERATOR: Final = DEPLOY / "kubernetes" / "components" / "prometheus-operator" / "prometheusrule.yaml"
MIB: Final = 1024 * 1024

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed: Debian's package prometheus has it"
)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_asks_for_metrics_and_labels_that_there_are(rule: dict[str, str]) -> None:
    assert list(problems(rule["expr"], everything(described()))) == []


@pytest.mark.parametrize(
    ("expr", "problem"),
    [
        ("rulestream_facts_done_total", "there is no metric rulestream_facts_done_total"),
        ("rulestream:nothing:sum", "there is no metric rulestream:nothing:sum"),
        ('rulestream_faults_total{rule="x"}', "rulestream_faults_total has no label rule"),
        ('rulestream_breaker_state{state="ajar"}', "state of rulestream_breaker_state is never 'ajar'"),
        ('rulestream_dependency_up{service=~"nats|kafka"}', "service of rulestream_dependency_up is never 'kafka'"),
        (
            'rulestream_decision_latency_seconds_bucket{le="0.4"}',
            "le of rulestream_decision_latency_seconds_bucket is never '0.4'",
        ),
        ("sum by (queue) (rulestream_facts_decided_total)", "nothing has a label queue"),
    ],
)
def test_what_a_rule_asks_for_in_vain_is_found(expr: str, problem: str) -> None:
    assert list(problems(expr, everything(described()))) == [problem]


def test_what_rules_count_is_there_before_the_first_of_it() -> None:
    """A counter that appears with a 1 has not risen for Prometheus: the first defect or outage would be missed."""
    counters = {one.prometheus_name: one for one in names.instruments("1") if one.kind == "counter"}
    counted = [
        (name, label, value)
        for rule in rules()
        for name, matchers in selectors(rule["expr"])
        if name in counters
        for label, values in matchers
        for value in values
    ]

    assert len(counted) >= 5
    for name, label, value in counted:
        at = list(counters[name].labels).index(label)
        assert value in {zero[at] for zero in counters[name].zeros()}, f"{name}: {value}"


def test_what_is_no_promql_is_found() -> None:
    with pytest.raises(ValueError, match=r"unclosed|unexpected|invalid"):
        list(problems("sum(rate(up[5m])", everything(described())))


def test_every_alert_has_cases_that_fire_and_cases_that_do_not() -> None:
    """The first case has workers in good health, and asks for every alert."""
    healthy, *others = yaml.safe_load(CASES.read_text(encoding="utf-8"))["tests"]
    fires = {
        name
        for case in others
        for asked in case["promql_expr_test"]
        if asked["exp_samples"]
        for name in re.findall(r'alertname="(\w+)"', asked["expr"])
    }

    assert healthy["promql_expr_test"] == [{"expr": "ALERTS", "eval_time": "90m", "exp_samples": []}]
    assert fires == {rule["alert"] for rule in rules() if "alert" in rule}
    assert all(case["promql_expr_test"] for case in others)


@needs_promtool
def test_promtool_takes_rules_and_configuration_and_the_cases_hold() -> None:
    for arguments in (
        ["check", "rules", str(RULES)],
        ["check", "config", str(PROMETHEUS / "prometheus.yml")],
        ["test", "rules", str(CASES)],
    ):
        done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_promtool_finds_an_alert_that_fires_on_nothing(tmp_path: Path) -> None:
    broken = RULES.read_text(encoding="utf-8").replace('up{job="rulestream"} == 0', 'up{job="rulestream"} == 2')
    (tmp_path / RULES.name).write_text(broken, encoding="utf-8")
    (tmp_path / "tests").mkdir()
    cases = yaml.safe_load(CASES.read_text(encoding="utf-8"))
    cases["tests"] = [case for case in cases["tests"] if case["name"] == "a worker is gone"]
    path = tmp_path / "tests" / CASES.name
    path.write_text(yaml.safe_dump(cases), encoding="utf-8")

    done = subprocess.run(["promtool", "test", "rules", str(path)], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "RulestreamWorkerDown" in done.stdout + done.stderr


def test_the_operators_rules_are_the_same() -> None:
    head, _, _ = OPERATOR.read_text(encoding="utf-8").partition("  groups:")
    _, mark, groups = RULES.read_text(encoding="utf-8").partition("groups:")
    wanted = head + "".join(f"  {line}" if line.strip() else line for line in (mark + groups).splitlines(keepends=True))
    if os.environ.get("RENEW"):
        OPERATOR.write_text(wanted, encoding="utf-8")

    assert OPERATOR.read_text(encoding="utf-8") == wanted
    assert yaml.safe_load(wanted)["spec"] == yaml.safe_load(RULES.read_text(encoding="utf-8"))


def test_prometheus_looks_for_the_workers_of_the_compose_file_under_the_rules_job() -> None:
    said = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]
    (worker,) = [one for one in said["scrape_configs"] if one["job_name"] == "rulestream"]
    (found,) = worker["dns_sd_configs"]

    assert set(found["names"]) <= services.keys()
    assert found["port"] == 8080
    assert [PROMETHEUS / name for name in said["rule_files"]] == [RULES]


def test_the_objective_is_a_bound_that_the_histogram_has() -> None:
    assert 0.5 in names.DECISION_LATENCY.buckets


def test_the_alert_on_memory_comes_before_the_production_overlays_limit() -> None:
    (alert,) = [rule for rule in rules() if rule.get("alert") == "RulestreamMemoryHigh"]
    bytes_ = int(re.findall(r"> (\d+) \* 1024 \* 1024", alert["expr"])[0]) * MIB
    patch = yaml.safe_load((DEPLOY / "kubernetes" / "overlays" / "production" / "worker.yaml").read_text("utf-8"))
    limit = patch["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"]

    assert limit == "1Gi"
    assert 0.5 * 1024 * MIB < bytes_ < 0.9 * 1024 * MIB
