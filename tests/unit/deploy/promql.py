"""Which metrics and labels PromQL expressions use, and whether there are such ones."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import promql_parser
import yaml

from worker.telemetry.identity import VERSION
from worker.telemetry.instruments import instruments

DEPLOY: Final = Path(__file__).parents[3] / "deploy"
RULES: Final = DEPLOY / "prometheus" / "rulestream.rules.yml"
DASHBOARD: Final = DEPLOY / "grafana" / "dashboards" / "rulestream.json"

# By metric, its labels, and each one's values where these are a closed set.
Exposed = Mapping[str, Mapping[str, frozenset[str] | None]]

TARGET: Final = {"job": None, "instance": None, "namespace": None}  # what Prometheus itself adds
_OF_PROMETHEUS: Final[Exposed] = {
    "up": {},
    "ALERTS": {"alertname": None, "alertstate": frozenset({"pending", "firing"}), "severity": None},
}
_OF_THE_PROCESS: Final[Exposed] = {
    f"process_{name}": {}
    for name in ("cpu_seconds_total", "resident_memory_bytes", "open_fds", "max_fds", "start_time_seconds")
}
# What Grafana replaces before it asks.
_MACROS: Final = {"$__rate_interval": "5m", "$__range": "1h", "$job": ".*", "$instance": ".*"}


@cache
def rules() -> list[dict[str, Any]]:
    """Return every rule, recording and alerting."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """Return the dashboard's panels, without the rows between them."""
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def panel_queries() -> list[str]:
    """Return the dashboard's expressions, those of its annotations too, as Grafana would ask them."""
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    found = [target["expr"] for panel in panels() for target in panel["targets"]]
    found += [one["expr"] for one in board["annotations"]["list"] if "expr" in one]
    return [asked(expr) for expr in found]


def asked(expr: str) -> str:
    """Return an expression of the dashboard as Grafana asks it."""
    for macro, value in _MACROS.items():
        expr = expr.replace(macro, value)
    return expr


@cache
def described() -> Exposed:
    """Return every metric that a worker describes, with its labels and their values."""
    found: dict[str, dict[str, frozenset[str] | None]] = {}
    for one in instruments(VERSION):
        labels: dict[str, frozenset[str] | None] = {name: frozenset(values) for name, values in one.labels.items()}
        if one.name == "rulestream.build.info":
            labels = dict.fromkeys(one.labels)
        if one.kind == "histogram":
            bounds = frozenset([*(f"{bound:g}" for bound in one.buckets), "+Inf"])
            found[f"{one.prometheus_name}_bucket"] = {**labels, "le": bounds}
            found[f"{one.prometheus_name}_sum"] = found[f"{one.prometheus_name}_count"] = labels
        else:
            found[one.prometheus_name] = labels
    return found


def everything(exposed: Exposed) -> Exposed:
    """Return a worker's metrics with Prometheus's own and those that the rules record of them."""
    recorded = {rule["record"]: dict.fromkeys(_grouped(rule["expr"])) for rule in rules() if "record" in rule}
    return {**_OF_PROMETHEUS, **_OF_THE_PROCESS, **recorded, **exposed}


def problems(expr: str, exposed: Exposed) -> Iterator[str]:
    """Give what an expression uses and is not there; raises ValueError where it is no PromQL."""
    there: set[str] = set(TARGET)
    for name, matchers in selectors(expr):
        if name not in exposed:
            yield f"there is no metric {name}"
            continue
        labels = {**TARGET, **exposed[name]}
        there |= labels.keys()
        for label, wanted in matchers:
            if label not in labels:
                yield f"{name} has no label {label}"
            elif (values := labels[label]) is not None:
                yield from (f"{label} of {name} is never {value!r}" for value in wanted if value not in values)
    yield from (f"nothing has a label {label}" for label in _grouped(expr) if label not in there)


def selectors(expr: str) -> Iterator[tuple[str, list[tuple[str, list[str]]]]]:
    """Give the metrics that an expression names, each with what it wants of labels."""
    for node in _nodes(expr):
        if isinstance(node, promql_parser.VectorSelector):
            yield node.name, [(one.name, one.value.split("|")) for one in node.matchers.matchers]


def _grouped(expr: str) -> Iterable[str]:
    found: dict[str, None] = {}
    for node in _nodes(expr):
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            found |= dict.fromkeys(node.modifier.labels)
    return found


def _nodes(expr: str) -> list[Any]:
    found: list[Any] = []
    promql_parser.walk(promql_parser.parse(expr), lambda node: found.append(node) or True)
    return found
