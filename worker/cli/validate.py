"""``rulestream rule validate``: a rule's text, checked by the worker."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.asking import Answer, answer
from worker.cli.output import file_or_stdin
from worker.cli.rule import ActorOption, DslOption, JsonOption

if TYPE_CHECKING:
    from domain.language import Problem
    from worker.client import Client
    from worker.files.origins import RuleFile


def validate(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE|-",
            callback=lambda path: None if path is None else file_or_stdin(path),
            help="A rule file, or - for standard input.",
        ),
    ] = None,
    dsl: DslOption = None,
    actor: ActorOption = "viewer",
    json: JsonOption = False,
) -> None:
    """Have the worker check a rule's text, by the language that it decides with; nothing is stored.

    Problems are printed as lint prints them. Exit code 1 when the rule cannot be used, 0 for warnings alone.
    """
    from worker.cli.output import EXIT_FAILED, print_json

    if (file is None) == (dsl is None):
        raise typer.BadParameter("either FILE or --dsl is needed")
    origin, text = _text(file, json=json) if file is not None else _given(dsl or "")

    async def work(client: Client) -> Answer:
        return await client.query("validate", {"dslContent": text})

    found = [origin.dsl_problem(_problem(data)) for data in answer(actor, work)["problems"]]
    errors = sum(problem.is_error for problem in found)
    if json:
        print_json({"problems": [problem.to_json() for problem in found]})
    else:
        for problem in found:
            typer.echo(problem.render())
        typer.echo(f"{errors} errors, {len(found) - errors} warnings")
    if errors:
        raise typer.Exit(EXIT_FAILED)


def _given(dsl: str) -> tuple[RuleFile, str]:
    from worker.files.origins import RuleFile

    return RuleFile("--dsl", dsl, 0), dsl


def _text(file: Path, *, json: bool) -> tuple[RuleFile, str]:
    """Read a rule file, and give its DSL with where that stands; what cannot be read ends the command."""
    from worker.cli.output import exit_with
    from worker.files.front_matter import FENCE, plain_text, split_rule_text
    from worker.files.lines import STDIN, UnreadableError
    from worker.files.origins import RuleFile
    from worker.files.problems import InvalidRulesError
    from worker.files.rules import RULE_BYTES_MAX

    name = "stdin" if file == STDIN else str(file)
    try:
        with file.open("rb") if file != STDIN else nullcontext(sys.stdin.buffer) as stream:
            data = stream.read(RULE_BYTES_MAX + 1)
        if len(data) > RULE_BYTES_MAX:
            exit_with(UnreadableError(f"a rule is at most {RULE_BYTES_MAX} bytes", file=name), as_json=json)
        text = plain_text(data.decode())
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "the text is not UTF-8"
        exit_with(UnreadableError(f"{name} cannot be read: {reason}", file=name), as_json=json)
    parts = split_rule_text(text)
    if parts is None:
        problem = RuleFile(name, text, 0).at("front-matter-open", 1, 1, f"the front matter has no closing {FENCE} line")
        exit_with(InvalidRulesError([problem]), as_json=json)
    return RuleFile(name, text, parts.dsl_line_offset), parts.dsl


def _problem(data: dict[str, Any]) -> Problem:
    from domain.language import Problem

    return Problem(
        data["code"],
        data["message"],
        data["line"],
        data["column"],
        data.get("hint"),
        data["severity"],
        data.get("endColumn"),
    )
