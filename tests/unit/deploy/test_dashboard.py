"""The dashboard can be read: nothing lies over anything else, everything is described, and asks for what there is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any, Final

import pytest
import yaml

from tests.unit.deploy.promql import DASHBOARD, DEPLOY, asked, described, everything, panels, problems

BOARD: Final = json.loads(DASHBOARD.read_text(encoding="utf-8"))
COLUMNS: Final = 24
GRAFANA: Final = DEPLOY / "grafana"
RUNBOOKS: Final = DEPLOY.parent / "docs" / "runbooks"
_BUILT_IN: Final = {"__rate_interval", "__range", "__all"}


def overlaps(found: list[dict[str, Any]]) -> Iterator[str]:
    """Give the pairs of panels that share some room, and the panels that leave the grid."""
    for one in found:
        at = one["gridPos"]
        if at["x"] < 0 or at["w"] < 1 or at["h"] < 1 or at["x"] + at["w"] > COLUMNS:
            yield f"{one['title']} leaves the grid"
    for one, other in combinations(found, 2):
        a, b = one["gridPos"], other["gridPos"]
        if (
            a["x"] < b["x"] + b["w"] and b["x"] < a["x"] + a["w"]
            and a["y"] < b["y"] + b["h"] and b["y"] < a["y"] + a["h"]
        ):  # fmt: skip
            yield f"{one['title']} lies over {other['title']}"


def test_no_panel_lies_over_another_or_leaves_the_grid() -> None:
    assert list(overlaps(BOARD["panels"])) == []


def test_a_panel_that_lies_over_another_is_found() -> None:
    one = {"title": "one", "gridPos": {"x": 0, "y": 0, "w": 12, "h": 8}}
    beside = {"title": "beside", "gridPos": {"x": 12, "y": 0, "w": 12, "h": 8}}
    over = {"title": "over", "gridPos": {"x": 11, "y": 7, "w": 2, "h": 2}}
    outside = {"title": "outside", "gridPos": {"x": 20, "y": 20, "w": 5, "h": 2}}

    assert list(overlaps([one, beside])) == []
    assert list(overlaps([one, over])) == ["one lies over over"]
    assert list(overlaps([outside])) == ["outside leaves the grid"]


def test_each_panel_has_an_id_and_a_title_of_its_own() -> None:
    for key in ("id", "title"):
        found = [panel[key] for panel in BOARD["panels"]]
        assert len(found) == len(set(found))


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_a_panel_says_what_it_shows_in_a_unit_and_asks_for_what_there_is(panel: dict[str, Any]) -> None:
    there = everything(described())

    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["targets"]
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    for target in panel["targets"]:
        assert target["legendFormat"], "a line without a name"
        assert target["datasource"] == panel["datasource"]
        assert list(problems(asked(target["expr"]), there)) == []
        if "ALERTS" not in target["expr"]:
            assert target["expr"].count('job=~"$job", instance=~"$instance"') >= 1, "does not follow the variables"


def test_a_colour_of_its_own_is_given_to_a_line_that_the_panel_has() -> None:
    for panel in panels():
        lines = {target["legendFormat"] for target in panel["targets"]}
        for override in panel["fieldConfig"]["overrides"]:
            name = override["matcher"]["options"]
            assert name in lines or any("{{" in line for line in lines), f"{panel['title']}: {name}"


def test_the_links_of_panels_lead_to_pages_that_there_are() -> None:
    links = [link for panel in panels() for link in panel["links"]]

    assert len(links) > 20
    for link in links:
        (name,) = re.findall(r"^\$\{runbooks\}/(\w+)\.md$", link["url"])
        assert (RUNBOOKS / f"{name}.md").is_file()
        assert link["title"] == f"Runbook: {name}"


def test_every_variable_that_is_used_is_there() -> None:
    known = {one["name"] for one in BOARD["templating"]["list"]} | _BUILT_IN
    used = set(re.findall(r"\$\{?(\w+)\}?", json.dumps(BOARD)))

    assert used == known


def test_the_variables_ask_for_labels_of_a_metric_that_every_worker_has() -> None:
    queries = {one["name"]: one["definition"] for one in BOARD["templating"]["list"] if one["type"] == "query"}

    assert queries.keys() == {"job", "instance"}
    for name, query in queries.items():
        expr, label = re.findall(r"label_values\((.+), (\w+)\)$", query)[0]
        assert label == name
        assert list(problems(asked(expr), everything(described()))) == []


def test_grafana_finds_the_dashboard_and_the_data_where_compose_puts_them() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yaml").read_text("utf-8"))["datasources"]
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/rulestream.yaml").read_text("utf-8"))["providers"]
    mounts = [str(volume) for volume in services["grafana"]["volumes"]]

    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in services
    assert any(provider["options"]["path"] in mount and "dashboards" in mount for mount in mounts)
    assert any("/etc/grafana/provisioning" in mount for mount in mounts)
