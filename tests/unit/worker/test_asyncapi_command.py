"""`rulestream asyncapi`: what it prints, writes and compares."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from streams.asyncapi import document
from worker.cli.app import app


def run(*arguments: str) -> tuple[int, str, str]:
    found = CliRunner().invoke(app, ["asyncapi", *arguments])
    return found.exit_code, found.stdout, found.stderr


def test_it_prints_yaml_by_default_and_json_and_markdown_when_asked() -> None:
    code, text, _ = run()
    assert (code, yaml.safe_load(text)) == (0, document())
    for asked in (["--format", "json"], ["--json"], ["--json", "--format", "json"]):
        code, text, _ = run(*asked)
        assert (code, json.loads(text)) == (0, document())
    code, text, _ = run("--format", "markdown")
    assert code == 0
    assert text.startswith("# The API of rulestream")


@pytest.mark.parametrize("name", ["a.json", "a.yaml", "a.yml", "A.MD", "a.txt"])
def test_a_file_is_written_in_the_form_that_its_name_says_and_compares_as_equal(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    assert run("--out", str(path)) == (0, "", "")
    text = path.read_text(encoding="utf-8")
    assert text[0] == {".json": "{", ".md": "#"}.get(path.suffix.lower(), "a")
    assert run("--check", str(path)) == (0, "", "")


def test_the_form_that_is_asked_for_goes_before_the_files_name(tmp_path: Path) -> None:
    path = tmp_path / "api.txt"
    assert run("--format", "json", "--out", str(path))[0] == 0
    assert json.loads(path.read_text(encoding="utf-8")) == document()


def test_a_file_that_differs_is_told_with_the_difference_and_how_to_renew_it(tmp_path: Path) -> None:
    path = tmp_path / "api.yaml"
    run("--out", str(path))
    path.write_text(path.read_text(encoding="utf-8").replace("asyncapi: 3.0.0", "asyncapi: 2.0.0"), encoding="utf-8")
    code, text, problem = run("--check", str(path))
    assert (code, text) == (1, "")
    assert "-asyncapi: 2.0.0" in problem
    assert "+asyncapi: 3.0.0" in problem
    assert f"rulestream asyncapi --out {path}" in problem


def test_many_differences_are_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "api.yaml"
    path.write_text("nothing\n", encoding="utf-8")
    code, _, problem = run("--check", str(path))
    assert code == 1
    assert "lines more" in problem
    assert len(problem.splitlines()) < 60


def test_wrong_usage_and_files_that_cannot_be_written(tmp_path: Path) -> None:
    assert run("--out", str(tmp_path / "a.json"), "--check", __file__)[0] == 2
    assert run("--check", str(tmp_path / "none.json"))[0] == 2
    assert run("--format", "xml")[0] == 2
    assert run("--format", "yaml", "--json")[0] == 2
    code, _, problem = run("--out", str(tmp_path / "none" / "a.json"))
    assert code == 1
    assert "cannot be written" in problem
