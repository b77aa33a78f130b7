"""docs/operations.md as far as it can be tried without an engine: what it names is there, and the replay reads it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml
from typer.main import get_command

from tests.guide.reading import PAGE, Step, steps
from worker.cli.app import app
from worker.settings import Settings

ROOT = Path(__file__).parents[3]
TEXT = PAGE.read_text(encoding="utf-8")
STEPS = list(steps(TEXT))
COMPOSE = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text(encoding="utf-8"))


def _rulestream_commands() -> list[list[str]]:
    """Give the words of each rulestream command of the page: as an identity, in a worker, as a one-off container."""
    found = []
    for step in STEPS:
        for match in re.finditer(
            r"(?:as\.sh \w+|exec -T worker rulestream|run --rm -T migrate(?= \w)) ([^|>&<;]+)", step.command
        ):
            words = shlex.split(match[1].split("--dsl")[0])
            found.append([word for word in words if not word.startswith("-")])
    return found


def test_the_guide_goes_all_the_way() -> None:
    commands = "\n".join(step.command for step in STEPS)

    assert len(STEPS) > 50
    for milestone in ("make image", "prepare.sh", "scale worker=3", "--phase post", "backup.sh", "restore.sh"):
        assert milestone in commands


@pytest.mark.parametrize("words", _rulestream_commands(), ids=" ".join)
def test_every_rulestream_command_exists(words: list[str]) -> None:
    command = get_command(app)
    for word in words:
        if not isinstance(command, typer.core.TyperGroup):
            break
        assert word in command.commands, f"there is no {word!r} in {' '.join(words)}"
        command = command.commands[word]

    assert not isinstance(command, typer.core.TyperGroup)


def test_every_file_of_the_repository_that_a_command_runs_exists() -> None:
    named = {word for step in STEPS for word in re.findall(r"\bdeploy/[\w./-]+", step.command)}

    assert named >= {"deploy/compose.yaml", "deploy/compose/as.sh"}
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_make_target_exists() -> None:
    targets = {word for step in STEPS for word in re.findall(r"^make ([a-z-]+)", step.command)} | {"guide"}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


def test_every_service_exists() -> None:
    verbs = r"(?:exec -T|stop|restart|run --rm -T|rm --force --stop|kill --signal HUP|--no-deps(?: --[a-z-]+)*)"
    named = {word for step in STEPS for word in re.findall(rf"docker compose .*?{verbs} ([a-z]+)", step.command)}

    assert {"worker", "postgres", "nats", "migrate"} <= named
    assert named <= set(COMPOSE["services"])


def test_every_setting_exists() -> None:
    named = set(re.findall(r"RULESTREAM_([A-Z_]+)", TEXT))

    assert len(named) >= 5
    assert named <= {name.upper() for name in Settings.model_fields}


def test_every_link_leads_somewhere() -> None:
    links = set(re.findall(r"\]\(([^)#]+)[^)]*\)", TEXT))

    assert [link for link in links if not (PAGE.parent / link).exists()] == []


def test_a_command_is_read_with_what_goes_on_and_what_it_said() -> None:
    page = "text\n\n```console\n$ one \\\n> two\nsaid\n\nagain\n$ three\n```\n\n```\n$ not this\n```\n"

    assert list(steps(page)) == [Step(4, "one \\\ntwo", ("said", "again")), Step(9, "three", ())]


@pytest.mark.parametrize(
    ("shown", "said", "missing"),
    [
        (("a 1 b",), ["x", "a 1 b"], []),
        (("a 1 b",), ["a 22 b"], ["a 1 b"]),
        (("1 stored in 0.5 s (31 a second)",), ["1 stored in 12.0 s (4,923 a second)"], []),
        (("real    0m4.506s", "7.05%  96.49MiB / 1GiB"), ["real\t0m12.1s", "10.49%  106.2MiB / 1GiB"], []),
        (('"at": "2026-11-23T08:36:22.118952Z",',), ['"at": "2026-11-23T09:36:22Z",'], []),
        (("first", "second"), ["second", "first"], ["second"]),
        (("up …", "…", "down"), ["up 5 s ago", "whatever", "down"], []),
        (("up …",), ["going up"], ["up …"]),
        (("worker  Up 5 seconds (healthy)",), ["worker     Up About a minute (healthy)"], []),
        (("VIP 90677938-bf5d-52d3-82ae-b5072e13b379",), ["VIP 0d1c556f-7faa-5a71-a860-a6d65095745c"], []),
        (("0 errors",), ["1 errors"], ["0 errors"]),
        (("the same",), [], ["the same"]),
    ],
)
def test_a_run_says_what_the_page_shows_but_for_what_varies(
    shown: tuple[str, ...], said: list[str], missing: list[str]
) -> None:
    assert Step(1, "command", shown).missing(said) == missing
