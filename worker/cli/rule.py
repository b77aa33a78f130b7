"""``rulestream rule``: commands and queries on rules, as an actor."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from domain.errors import ErrorCode
from worker.cli.arguments import checked_actor
from worker.cli.asking import ask

if TYPE_CHECKING:
    from rich.console import RenderableType

    from worker.client import Client

app = typer.Typer(help="Write, review and activate rules; look at them.", no_args_is_help=True)

ActorOption = Annotated[
    str, typer.Option("--actor", envvar="RULESTREAM_ACTOR", help="Who sends this.", callback=checked_actor)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
RuleArgument = Annotated[str, typer.Argument(metavar="RULE", help="A rule's id or its name.")]
VersionOption = Annotated[
    int | None, typer.Option("--expected-version", help="Refuse if the rule has another version.")
]
FileOption = Annotated[
    Path | None, typer.Option("--file", exists=True, dir_okay=False, readable=True, help="A rule file (NAME.rule).")
]
DslOption = Annotated[str | None, typer.Option("--dsl", help="The rule's text.")]
NameOption = Annotated[str | None, typer.Option("--name")]
DescriptionOption = Annotated[str | None, typer.Option("--description")]
PriorityOption = Annotated[str | None, typer.Option("--priority", help="LOW, MEDIUM, HIGH or CRITICAL.")]
TagsOption = Annotated[list[str] | None, typer.Option("--tag", help="May be given several times.")]
FromOption = Annotated[str | None, typer.Option("--effective-from", help="RFC 3339, with offset.")]
UntilOption = Annotated[str | None, typer.Option("--effective-until", help="RFC 3339, with offset.")]
PageSizeOption = Annotated[int, typer.Option("--page-size", min=1, max=500)]
PageOffsetOption = Annotated[int, typer.Option("--page-offset", min=0)]
AllOption = Annotated[bool, typer.Option("--all", help="Follow the pages to the end.")]

_CLEARED: Final = {
    "description": "description",
    "tags": "tags",
    "effective-from": "effectiveFrom",
    "effective-until": "effectiveUntil",
}


@app.command()
def create(
    actor: ActorOption,
    file: FileOption = None,
    name: NameOption = None,
    dsl: DslOption = None,
    priority: PriorityOption = None,
    description: DescriptionOption = None,
    tag: TagsOption = None,
    effective_from: FromOption = None,
    effective_until: UntilOption = None,
    json: JsonOption = False,
) -> None:
    """Create a rule in DRAFT, from a file, from options, or from a file changed by options."""
    payload = _content(file, name, dsl, priority, description, tag, effective_from, effective_until)
    if "name" not in payload or "dslContent" not in payload:
        raise typer.BadParameter("a rule needs --file, or --name and --dsl")
    _command(actor, "create", {"priority": "MEDIUM", **payload}, json=json)


@app.command()
def update(
    rule: RuleArgument,
    actor: ActorOption,
    expected_version: VersionOption = None,
    file: FileOption = None,
    name: NameOption = None,
    dsl: DslOption = None,
    priority: PriorityOption = None,
    description: DescriptionOption = None,
    tag: TagsOption = None,
    effective_from: FromOption = None,
    effective_until: UntilOption = None,
    clear: Annotated[
        list[str] | None,
        typer.Option("--clear", help=f"Empty a field ({', '.join(_CLEARED)}); several times for several."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write a new version in DRAFT; the version that is deciding goes on. What is not given keeps its value."""
    payload = _content(file, name, dsl, priority, description, tag, effective_from, effective_until)
    for field in clear or ():
        if field not in _CLEARED or _CLEARED[field] in payload:
            raise typer.BadParameter(f"one of {', '.join(_CLEARED)} that is not given", param_hint="--clear")
        payload[_CLEARED[field]] = None
    _command(actor, "update", payload, rule=rule, expected=expected_version, wants_version=True, json=json)


@app.command()
def submit(
    rule: RuleArgument, actor: ActorOption, expected_version: VersionOption = None, json: JsonOption = False
) -> None:
    """Ask for approval."""
    _command(actor, "submit", {}, rule=rule, expected=expected_version, json=json)


@app.command()
def approve(
    rule: RuleArgument,
    actor: ActorOption,
    expected_version: VersionOption = None,
    comment: Annotated[str | None, typer.Option("--comment")] = None,
    json: JsonOption = False,
) -> None:
    """Approve the latest version; its author cannot."""
    payload = {"comment": comment} if comment else {}
    _command(actor, "approve", payload, rule=rule, expected=expected_version, wants_version=True, json=json)


@app.command()
def reject(
    rule: RuleArgument, actor: ActorOption, reason: Annotated[str, typer.Option("--reason")], json: JsonOption = False
) -> None:
    """Send the latest version back to DRAFT."""
    _command(actor, "reject", {"reason": reason}, rule=rule, json=json)


@app.command()
def activate(rule: RuleArgument, actor: ActorOption, json: JsonOption = False) -> None:
    """Let the approved version decide."""
    _command(actor, "activate", {}, rule=rule, json=json)


@app.command()
def deactivate(rule: RuleArgument, actor: ActorOption, json: JsonOption = False) -> None:
    """The emergency stop: the rule decides no more, at once."""
    _command(actor, "deactivate", {}, rule=rule, json=json)


@app.command()
def deprecate(rule: RuleArgument, actor: ActorOption, json: JsonOption = False) -> None:
    """Retire a rule for good."""
    _command(actor, "deprecate", {}, rule=rule, json=json)


@app.command()
def rollback(
    rule: RuleArgument,
    actor: ActorOption,
    to_version: Annotated[int, typer.Option("--to-version", min=1)],
    json: JsonOption = False,
) -> None:
    """Let an earlier approved version decide again, at once."""
    _command(actor, "rollback", {"toVersion": to_version}, rule=rule, json=json)


@app.command()
def delete(rule: RuleArgument, actor: ActorOption, json: JsonOption = False) -> None:
    """Delete a draft that never was active."""
    _command(actor, "delete", {}, rule=rule, json=json)


@app.command()
def get(
    rule: RuleArgument,
    actor: ActorOption = "viewer",
    version: Annotated[int | None, typer.Option("--version", min=1, help="Show this version's content.")] = None,
    json: JsonOption = False,
) -> None:
    """Show a rule: its latest version, or another."""
    from worker.cli.tables import rule_panel, version_panel

    if version is None:
        _query(actor, "get", _named(rule), rule_panel, json=json)
    else:
        ask(actor, partial(_version, rule=rule, number=version), version_panel, json=json)


@app.command("list")
def list_rules(
    actor: ActorOption = "viewer",
    status: Annotated[str | None, typer.Option("--status")] = None,
    priority: PriorityOption = None,
    created_by: Annotated[str | None, typer.Option("--created-by")] = None,
    name_contains: Annotated[str | None, typer.Option("--name-contains")] = None,
    tag: Annotated[str | None, typer.Option("--tag")] = None,
    page_size: PageSizeOption = 50,
    page_offset: PageOffsetOption = 0,
    every: AllOption = False,
    sort_by: Annotated[str, typer.Option("--sort-by", help="name, createdAt, updatedAt, priority or status.")] = "name",
    sort_order: Annotated[str, typer.Option("--sort-order", help="asc or desc.")] = "asc",
    json: JsonOption = False,
) -> None:
    """List rules, a page at a time or all."""
    from worker.cli.tables import rules_table

    criteria = {
        "status": status,
        "priority": priority,
        "createdBy": created_by,
        "nameContains": name_contains,
        "tag": tag,
        "pageSize": page_size,
        "pageOffset": page_offset,
        "sortBy": sort_by,
        "sortOrder": sort_order,
    }
    payload = {key: value for key, value in criteria.items() if value is not None}
    _query(actor, "list", payload, rules_table, every=every, json=json)


@app.command()
def versions(
    rule: RuleArgument,
    actor: ActorOption = "viewer",
    page_size: PageSizeOption = 50,
    page_offset: PageOffsetOption = 0,
    every: AllOption = False,
    json: JsonOption = False,
) -> None:
    """Show a rule's versions, the newest first, a page at a time or all."""
    from worker.cli.tables import versions_table

    page = {"pageSize": page_size, "pageOffset": page_offset}
    _query(actor, "versions", page, versions_table, rule=rule, every=every, json=json)


@app.command()
def history(rule: RuleArgument, actor: ActorOption = "viewer", json: JsonOption = False) -> None:
    """Show what happened to a rule: who did what when, why, and what each version changed. Deleted rules by id."""
    from worker.cli.history import history_text
    from worker.cli.output import print_json, stdout
    from worker.cli.running import run, settings_or_exit
    from worker.client import RemoteError, connected

    settings = settings_or_exit()

    async def work() -> tuple[dict[str, Any], list[dict[str, Any]]]:
        async with connected(settings.control_endpoint, actor) as client:
            named = _named(rule)
            if "ruleId" not in named:
                named = {"ruleId": (await client.query("get", named))["ruleId"]}
            entries = await client.query_all("history", named)
            if json:
                return entries, []
            try:
                return entries, (await client.query_all("versions", named))["items"]
            except RemoteError as error:
                if error.code != ErrorCode.NOT_FOUND:
                    raise
                return entries, []  # the rule was deleted, and its versions with it

    found, versions_found = run(work())
    if json:
        print_json(found)
    else:
        stdout().print(history_text(found["items"], versions_found), end="", soft_wrap=True)


def _content(
    file: Path | None,
    name: str | None,
    dsl: str | None,
    priority: str | None,
    description: str | None,
    tags: list[str] | None,
    effective_from: str | None,
    effective_until: str | None,
) -> dict[str, Any]:
    payload = _file_content(file) if file is not None else {}
    given = {
        "name": name,
        "dslContent": dsl,
        "priority": priority,
        "description": description,
        "tags": tags or None,
        "effectiveFrom": effective_from,
        "effectiveUntil": effective_until,
    }
    payload.update({key: value for key, value in given.items() if value is not None})
    return payload


def _file_content(file: Path) -> dict[str, Any]:
    from domain.errors import RulestreamError
    from worker.cli.output import exit_with
    from worker.files.content import create_payload
    from worker.files.rules import read_rules

    try:
        return create_payload(read_rules(file)[0].content)
    except RulestreamError as error:
        exit_with(error)


def _named(rule: str) -> dict[str, Any]:
    from domain.errors import ValidationError
    from domain.identifiers import RuleId

    try:
        return {"ruleId": RuleId.parse(rule).value}
    except ValidationError:
        return {"name": rule}


def _command(
    actor: str,
    verb: str,
    payload: dict[str, Any],
    *,
    rule: str | None = None,
    expected: int | None = None,
    wants_version: bool = False,
    json: bool,
) -> None:
    from worker.cli.output import print_json, stdout
    from worker.cli.running import run, settings_or_exit
    from worker.cli.tables import rule_line
    from worker.client import connected

    settings = settings_or_exit()

    async def work() -> dict[str, Any]:
        async with connected(settings.control_endpoint, actor) as client:
            target: dict[str, Any] = {}
            if rule is not None:
                view = await client.query("get", _named(rule))
                target = {"ruleId": view["ruleId"]}
                if wants_version or expected is not None:
                    target["expectedVersion"] = view["version"] if expected is None else expected
            return await client.command(verb, {**target, **payload})

    found = run(work())
    if json:
        print_json(found)
    else:
        stdout().print(rule_line(verb, found))


def _query(
    actor: str,
    verb: str,
    payload: dict[str, Any],
    show: Callable[[dict[str, Any]], RenderableType],
    *,
    rule: str | None = None,
    every: bool = False,
    json: bool,
) -> None:
    async def work(client: Client) -> dict[str, Any]:
        target: dict[str, Any] = {}
        if rule is not None:
            target = {"ruleId": (await client.query("get", _named(rule)))["ruleId"]}
        return await (client.query_all if every else client.query)(verb, {**target, **payload})

    ask(actor, work, show, json=json)


async def _version(client: Client, *, rule: str, number: int) -> dict[str, Any]:
    import msgspec

    from worker.applying import version_of

    found = await version_of(client, (await client.query("get", _named(rule)))["ruleId"], number)
    shown: dict[str, Any] = msgspec.to_builtins(found)
    return shown
