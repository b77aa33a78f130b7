"""``rulestream template``: commands and queries on templates, as an actor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.asking import Answer, ask
from worker.cli.output import exit_with, file_or_stdin
from worker.cli.rule import ActorOption, AllOption, JsonOption, PageOffsetOption, PageSizeOption

if TYPE_CHECKING:
    from worker.client import Client

app = typer.Typer(help="Write templates, and make rules of them.", no_args_is_help=True)

TemplateArgument = Annotated[str, typer.Argument(metavar="TEMPLATE", help="A template's id or its name.")]
FileOption = Annotated[
    Path, typer.Option("--file", exists=True, dir_okay=False, readable=True, help="A template file (NAME.template).")
]
NameOption = Annotated[str | None, typer.Option("--name", help="The template's name; goes before the file's.")]
DescriptionOption = Annotated[str | None, typer.Option("--description")]
VersionOption = Annotated[
    int | None, typer.Option("--expected-version", help="Refuse if the template has another version.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A parameter's value: JSON, or text for strings and times."),
]
RowsOption = Annotated[
    Path | None,
    typer.Option("--rows", metavar="FILE", help="A rule for each row: a .csv file, or lines of JSON (- is stdin)."),
]


@app.command()
def create(
    actor: ActorOption,
    file: FileOption,
    name: NameOption = None,
    description: DescriptionOption = None,
    json: JsonOption = False,
) -> None:
    """Create a template from a file."""
    from worker.cli.template_tables import template_line

    payload = {"name": file.stem, **_content(file, name, description)}

    async def work(client: Client) -> Answer:
        return await client.command("create-template", payload)

    ask(actor, work, lambda view: template_line("create", view), json=json)


@app.command()
def update(
    template: TemplateArgument,
    actor: ActorOption,
    file: Annotated[
        Path | None, typer.Option("--file", exists=True, dir_okay=False, readable=True, help="A template file.")
    ] = None,
    name: NameOption = None,
    description: DescriptionOption = None,
    expected_version: VersionOption = None,
    json: JsonOption = False,
) -> None:
    """Write a new version, and tell the rules that lag behind it. A file's name renames only where it says one."""
    from worker.cli.template_tables import updated_text

    payload = _content(file, name, description)
    if not payload:
        raise typer.BadParameter("an update needs --file, --name or --description")

    async def work(client: Client) -> Answer:
        return await client.command("update-template", {**await _target(client, template, expected_version), **payload})

    ask(actor, work, updated_text, json=json)


@app.command()
def delete(
    template: TemplateArgument, actor: ActorOption, expected_version: VersionOption = None, json: JsonOption = False
) -> None:
    """Delete a template; rules that were made of it stay."""
    from worker.cli.template_tables import template_line

    async def work(client: Client) -> Answer:
        return await client.command("delete-template", await _target(client, template, expected_version))

    ask(actor, work, lambda view: template_line("delete", view), json=json)


@app.command()
def get(template: TemplateArgument, actor: ActorOption = "viewer", json: JsonOption = False) -> None:
    """Show a template, and how many rules lag behind it."""
    from worker.cli.template_tables import template_panel

    async def work(client: Client) -> Answer:
        return await client.query("template", _named(template))

    ask(actor, work, template_panel, json=json)


@app.command("list")
def list_templates(
    actor: ActorOption = "viewer",
    created_by: Annotated[str | None, typer.Option("--created-by")] = None,
    name_contains: Annotated[str | None, typer.Option("--name-contains")] = None,
    page_size: PageSizeOption = 50,
    page_offset: PageOffsetOption = 0,
    sort_by: Annotated[str, typer.Option("--sort-by", help="name, createdAt or updatedAt.")] = "name",
    sort_order: Annotated[str, typer.Option("--sort-order", help="asc or desc.")] = "asc",
    every: AllOption = False,
    json: JsonOption = False,
) -> None:
    """List templates, a page at a time."""
    from worker.cli.template_tables import templates_table

    criteria = {
        "createdBy": created_by,
        "nameContains": name_contains,
        "pageSize": page_size,
        "pageOffset": page_offset,
        "sortBy": sort_by,
        "sortOrder": sort_order,
    }
    payload = {key: value for key, value in criteria.items() if value is not None}

    async def work(client: Client) -> Answer:
        return await (client.query_all if every else client.query)("templates", payload)

    ask(actor, work, templates_table, json=json)


@app.command()
def instantiate(
    template: TemplateArgument,
    actor: ActorOption,
    name: Annotated[str, typer.Option("--name", help="The rules' name; ${parameter} is a value's text.")],
    priority: Annotated[str, typer.Option("--priority", help="LOW, MEDIUM, HIGH or CRITICAL.")] = "MEDIUM",
    values: SetOption = None,
    rows: RowsOption = None,
    json: JsonOption = False,
) -> None:
    """Make rules in DRAFT of a template: one with --set, or one of each row with --rows; all of them or none."""
    from worker.cli.template_tables import made_rules
    from worker.files.templates import read_rows

    if (rows is None) == (values is None):
        raise typer.BadParameter("give --set for one rule, or --rows for many")
    given = None if values is None else _split(values)
    if rows is not None:
        file_or_stdin(rows)

    async def work(client: Client) -> Answer:
        view = await client.query("template", _named(template))
        types = {one["name"]: one["type"] for one in view["parameters"]}
        payload: dict[str, Any] = {"templateId": view["templateId"], "name": name, "priority": priority}
        if rows is None:
            payload["parameters"] = _values(given or {}, types)
        else:
            payload["rows"] = read_rows(rows, types)
        return await client.command("instantiate-template", payload)

    ask(actor, work, made_rules, json=json)


def _content(file: Path | None, name: str | None, description: str | None) -> dict[str, Any]:
    from domain.errors import RulestreamError
    from worker.files.templates import read_template

    payload: dict[str, Any] = {}
    if file is not None:
        try:
            payload = read_template(file)
        except RulestreamError as error:
            exit_with(error)
    given = {"name": name, "description": description}
    return {**payload, **{key: value for key, value in given.items() if value is not None}}


async def _target(client: Client, template: str, expected_version: int | None) -> dict[str, Any]:
    view = await client.query("template", _named(template))
    version = {} if expected_version is None else {"expectedVersion": expected_version}
    return {"templateId": view["templateId"], **version}


def _named(template: str) -> dict[str, Any]:
    from domain.errors import ValidationError
    from domain.identifiers import TemplateId

    try:
        return {"templateId": TemplateId.parse(template).value}
    except ValidationError:
        return {"name": template}


def _split(values: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in values:
        name, sign, text = one.partition("=")
        if not sign or not name:
            raise typer.BadParameter(f"--set takes NAME=VALUE, not {one!r}")
        if name in found:
            raise typer.BadParameter(f"--set gives `{name}` twice")
        found[name] = text
    return found


def _values(given: Mapping[str, str], types: Mapping[str, str]) -> dict[str, Any]:
    from domain.errors import ValidationError
    from worker.files.templates import value_of

    found: dict[str, Any] = {}
    for name, text in given.items():
        try:
            found[name] = value_of(types.get(name), text)
        except ValueError as error:
            raise ValidationError(f"parameter `{name}`: {error}", parameter=name) from None
    return found
