"""Secrets stay secret: whatever a command prints, logs or fails with, and what the probes tell."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer.main
from click.testing import CliRunner
from structlog.testing import capture_logs

from worker.cli.app import app
from worker.nkey_files import make_key
from worker.service import Worker
from worker.settings import load_settings

CANARY: Final = "c4n4ry-pa55word"
# Commands that start servers of their own, and need none of the settings.
OWN_SERVERS: Final = ("dev", "demo", "bench")
WRONG_USAGE: Final = 2
# What a command wants of several things one of.
CHOICES: Final = {
    ("dead", "redrive"): ["--all"],
    ("redecide",): ["0" * 32],
    ("rule", "create"): ["--name", "Some rule", "--dsl", "x == 1"],
    ("rule", "validate"): ["--dsl", "x == 1"],
    ("simulate",): ["--rule", "some-thing"],
    ("template", "instantiate"): ["--set", "x=1"],
    ("template", "update"): ["--description", "some-thing"],
}
RULE: Final = "on order.placed when order.total > 1 then set x = 1"


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Give every command's words."""
    yield path
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


ROOT: Final = typer.main.get_command(app)
ALL: Final = sorted(set(commands(ROOT)))
RUN: Final = [words for words in ALL if words and words[0] not in OWN_SERVERS]


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Set every setting that may hold a secret, at servers that are not there; gives the secrets."""
    key = tmp_path / "key.nk"
    make_key(key)
    dsn = tmp_path / "dsn"
    dsn.write_text(f"postgresql://user:{CANARY}@127.0.0.1:1/db\n")
    settings = {
        "NATS_URL": f"nats://user:{CANARY}@127.0.0.1:1",
        "CONTROL_NATS_URL": f"nats://user:{CANARY}@127.0.0.1:1",
        "POSTGRES_DSN_FILE": str(dsn),
        "REDIS_URL": f"redis://user:{CANARY}@127.0.0.1:1/0",
        "NATS_NKEY_FILE": str(key),
        "CONTROL_NATS_NKEY_FILE": str(key),
        "HTTP_PORT": "0",
        "LOG_LEVEL": "debug",
        "ACTOR": "alice",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"RULESTREAM_{name}", value)
    return [CANARY, key.read_text().strip()]


def _command(words: tuple[str, ...]) -> Any:
    command: Any = ROOT
    for word in words:
        command = command.commands[word]
    return command


def arguments(words: tuple[str, ...], folder: Path) -> list[str]:
    """Give what a command cannot do without: a file or a folder for what is named so, a number, else a word."""
    rule, facts = folder / "a.rule", folder / "facts.ndjson"
    rule.write_text(RULE)
    facts.write_text('{"order": {"total": 2}}\n')
    values = dict.fromkeys(("rules", "file", "identities"), str(rule)) | dict.fromkeys(
        ("directory", "out"), str(folder)
    )
    values |= {"facts": str(facts), "to_version": "1", "sequence": "1"}
    if words == ("fact", "send"):
        values["file"] = str(facts)
    given: list[str] = list(CHOICES.get(words, []))
    for parameter in _command(words).params:
        if parameter.required:
            value = values.get(parameter.name, "some-thing")
            given += [value] if parameter.param_type_name == "argument" else [parameter.opts[0], value]
    return given


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_no_help_shows_a_secret(words: tuple[str, ...], secrets: list[str]) -> None:
    shown = CliRunner().invoke(ROOT, [*words, "--help"])
    assert shown.exit_code == 0
    assert not [one for one in secrets if one in shown.output]


@pytest.mark.parametrize("words", RUN, ids=" ".join)
def test_no_command_prints_a_secret_when_its_servers_are_away(
    words: tuple[str, ...], secrets: list[str], tmp_path: Path
) -> None:
    with capture_logs() as logs:
        done = CliRunner().invoke(ROOT, [*words, *arguments(words, tmp_path)], input="")
    is_group = getattr(_command(words), "commands", None)
    assert is_group or done.exit_code != WRONG_USAGE, done.output
    told = done.output + repr(done.exception) + json.dumps(logs, default=repr)
    assert not [one for one in secrets if one in told]


@pytest.mark.parametrize(
    "form", [repr, str, lambda found: str(found.model_dump()), lambda found: found.model_dump_json()]
)
def test_settings_never_show_a_secret(form, secrets: list[str]) -> None:
    settings = load_settings()
    shown = form(settings) + repr(settings.data_endpoint) + repr(settings.control_endpoint)
    assert CANARY in settings.data_endpoint.url
    assert CANARY in settings.postgres_dsn.get_secret_value()
    assert not [one for one in secrets if one in shown]


def test_what_the_probe_tells_has_no_secret(secrets: list[str]) -> None:
    async def look() -> str:
        worker = Worker(load_settings())
        return json.dumps(await worker.readiness(), default=repr)

    told = asyncio.run(look())
    assert "nats" in told
    assert not [one for one in secrets if one in told]


@pytest.mark.parametrize("setting", ["NATS_NKEY_FILE", "NATS_CA_FILE", "POSTGRES_DSN_FILE", "NATS_CREDS_FILE"])
def test_a_secret_in_the_place_of_its_files_name_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, secrets: list[str], setting: str
) -> None:
    """The slip that is most likely."""
    for secret in (secrets[1], f"postgresql://user:{CANARY}@127.0.0.1/db"):
        monkeypatch.setenv(f"RULESTREAM_{setting}", secret)
        done = CliRunner().invoke(ROOT, ["topology", "diff"])
        assert done.exit_code == 1
        assert "RULESTREAM_" in done.output
        assert not [one for one in secrets if one in done.output]
