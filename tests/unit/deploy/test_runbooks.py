"""Every alert has its page, every page its alert, and what the pages tell people to run and to look for exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.unit.deploy.command_lines import usage_error
from worker.settings import Settings

ROOT: Final = Path(__file__).parents[3]
RUNBOOKS: Final = ROOT / "docs" / "runbooks"
RULES: Final = ROOT / "deploy" / "prometheus" / "rulestream.rules.yml"
DASHBOARD: Final = ROOT / "deploy" / "grafana" / "dashboards" / "rulestream.json"
PAGES: Final = sorted(path.stem for path in RUNBOOKS.glob("*.md") if path.stem != "README")
SEVERITIES: Final = {"critical", "warning"}
_HEADINGS: Final = ["What it means", "Look", "Do", "Escalate"]


def _alerts() -> dict[str, dict[str, dict[str, str]]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def _page(name: str) -> str:
    return (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")


def commands_in(page: str) -> list[list[str]]:
    """Return the arguments of each ``rulestream`` that a page tells people to run, in a block or within a line."""
    blocks = re.findall(r"^```\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines()]
    lines += [
        re.sub(r"\s+", " ", span) for span in re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", page, flags=re.DOTALL))
    ]
    own = [line for line in lines if line.startswith("rulestream ")]
    inside = [line.partition(" -- ")[2] for line in lines if " -- rulestream " in line]
    return [shlex.split(line, comments=True)[1:] for line in [*own, *inside]]


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    assert sorted(_alerts()) == PAGES


def test_every_alert_says_what_it_is_how_bad_and_where_to_read_on() -> None:
    for name, rule in _alerts().items():
        assert rule["labels"]["severity"] in SEVERITIES
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
        assert all(rule["annotations"].values())
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"


def test_the_list_of_pages_has_each_alert_with_its_severity_and_summary() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\((\w+)\.md\) \| (\w+) \| (.+) \|$", _page("README"), re.MULTILINE)

    assert rows == [
        (name, name, rule["labels"]["severity"], rule["annotations"]["summary"]) for name, rule in _alerts().items()
    ]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_its_four_parts_and_the_alerts_severity(name: str) -> None:
    page = _page(name)

    assert page.startswith(f"# {name}\n\n{_alerts()[name]['labels']['severity'].capitalize()}: ")
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == _HEADINGS
    assert all(part.strip() for part in re.split(r"^## .+$", page, flags=re.MULTILINE))


@pytest.mark.parametrize("name", [*PAGES, "README"])
def test_the_commands_of_a_page_are_ones_that_exist(name: str) -> None:
    for arguments in commands_in(_page(name)):
        plain = ["1" if one == "N" else one for one in arguments]
        if {"eval", "export", "simulate"}.isdisjoint(plain):  # named without the files that they are about
            assert usage_error(plain) is None, arguments


def test_a_command_that_does_not_exist_is_found() -> None:
    (arguments,) = commands_in("# X\n\n```\nrulestream dead list --kind facts   # all of them\n```\n")

    assert arguments == ["dead", "list", "--kind", "facts"]
    assert "--kind" in str(usage_error(arguments))
    assert usage_error(["dead", "lost"]) is not None


@pytest.mark.parametrize("name", PAGES)
def test_the_settings_alerts_and_panels_that_a_page_names_exist(name: str) -> None:
    page = _page(name)
    titles = set(re.findall(r'"title": "([^"]+)"', DASHBOARD.read_text(encoding="utf-8")))
    spans = {re.sub(r"\s+", " ", span) for span in re.findall(r"`([^`]+)`", page)}

    assert {one.lower() for one in re.findall(r"`RULESTREAM_([A-Z_]+)`", page)} <= set(Settings.model_fields)
    assert set(re.findall(r"\bRulestream[A-Z]\w+", page)) <= set(PAGES)
    panels = {span for span in spans if re.fullmatch(r"[A-Z][a-z]+ [a-z].*", span)}
    assert {panel for panel in panels if not any(title.startswith(panel) for title in titles)} == set()


@pytest.mark.parametrize("name", PAGES)
def test_the_log_events_that_a_page_names_are_written(name: str) -> None:
    written = _events()

    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", _page(name)))
    assert named <= written, named - written


def _events() -> set[str]:
    sources = [path for folder in ("worker", "streams") for path in (ROOT / folder).rglob("*.py")]
    pattern = re.compile(r'_log\.\w+\(\s*"([a-z_]+)"')
    return {name for path in sources for name in pattern.findall(path.read_text(encoding="utf-8"))}
