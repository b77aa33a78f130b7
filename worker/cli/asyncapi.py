"""``rulestream asyncapi``: the AsyncAPI 3.0 document of everything that is published, asked and subscribed to."""

from __future__ import annotations

import difflib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

DIFFERENCES_SHOWN_MAX: Final = 40


class DocumentFormat(StrEnum):
    """How the document is written."""

    YAML = "yaml"
    JSON = "json"
    MARKDOWN = "markdown"


_FORMATS: Final = {
    ".yaml": DocumentFormat.YAML,
    ".yml": DocumentFormat.YAML,
    ".json": DocumentFormat.JSON,
    ".md": DocumentFormat.MARKDOWN,
}


def asyncapi(
    form: Annotated[
        DocumentFormat | None,
        typer.Option("--format", help="How to write it; by default as the file's name says, else YAML."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Write it to a file, in place of what is there.")
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            readable=True,
            help="Compare a file with it: exit code 1 when they differ.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Print the AsyncAPI 3.0 document of this release: channels, messages, schemas, examples, errors. Asks no server.

    Markdown is the same for people.
    """
    from worker.cli.output import EXIT_FAILED, say

    if out is not None and check is not None:
        raise typer.BadParameter("--out writes a file and --check reads one: give one of them.")
    if json and form not in {None, DocumentFormat.JSON}:
        raise typer.BadParameter(f"--json and --format {form} are two forms: give one of them.")
    asked = DocumentFormat.JSON if json else form
    named = out or check
    text = written(asked or (_FORMATS.get(named.suffix.lower()) if named is not None else None) or DocumentFormat.YAML)
    if out is not None:
        try:
            out.write_text(text, encoding="utf-8")
        except OSError as error:
            say(f"error: {out} cannot be written: {error.strerror}")
            raise typer.Exit(EXIT_FAILED) from None
    elif check is not None:
        found = check.read_text(encoding="utf-8", errors="replace")
        if found != text:
            _show_differences(found, text, check)
            raise typer.Exit(EXIT_FAILED)
    else:
        typer.echo(text, nl=False)


def written(form: DocumentFormat) -> str:
    """Write the document in a form."""
    from streams.asyncapi import document
    from streams.asyncapi.markdown import to_markdown
    from streams.asyncapi.writing import to_json, to_yaml

    writers = {
        DocumentFormat.YAML: to_yaml,
        DocumentFormat.JSON: to_json,
        DocumentFormat.MARKDOWN: to_markdown,
    }
    return writers[form](document())


def _show_differences(found: str, wanted: str, path: Path) -> None:
    from worker.cli.output import say

    lines = list(
        difflib.unified_diff(found.splitlines(), wanted.splitlines(), str(path), "this release", n=1, lineterm="")
    )
    for line in lines[:DIFFERENCES_SHOWN_MAX]:
        say(line)
    if len(lines) > DIFFERENCES_SHOWN_MAX:
        say(f"… and {len(lines) - DIFFERENCES_SHOWN_MAX} lines more")
    say(f"{path} is not this release's document: write it with `rulestream asyncapi --out {path}`")
