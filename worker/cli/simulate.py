"""``rulestream simulate``: what rules would decide, asked of a worker; nothing is published and nothing stored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from worker.cli.arguments import checked_actor, checked_type
from worker.cli.output import EXIT_FAILED, exit_with, file_or_stdin, print_json, say

if TYPE_CHECKING:
    from worker.client import Client

# What one question holds: the worker's own bounds, with room for the rule's text beside the facts.
FACTS_MAX: Final = 100
FACT_BYTES_MAX: Final = 384 * 1024


def simulate(
    *,
    facts: Annotated[
        Path,
        typer.Option(callback=file_or_stdin, help="NDJSON with a fact a line (.gz allowed), or - for standard input."),
    ],
    rule: Annotated[
        list[str] | None, typer.Option("--rule", metavar="NAME-OR-ID", help="A rule's latest version; may be repeated.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", exists=True, dir_okay=False, readable=True, help="A rule file (NAME.rule).")
    ] = None,
    dsl: Annotated[str | None, typer.Option("--dsl", help="A rule's text.")] = None,
    fact_type: Annotated[
        str | None,
        typer.Option("--type", callback=checked_type, help="The type of facts that do not name their own."),
    ] = None,
    with_active: Annotated[
        bool, typer.Option("--with-active", help="Decide together with the rules that decide now, in their place.")
    ] = False,
    actor: Annotated[str, typer.Option("--actor", envvar="RULESTREAM_ACTOR", callback=checked_actor)] = "viewer",
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each fact.")] = False,
) -> None:
    """Try rules on facts before they are activated: each fact's decision, and why each rule applied or did not."""
    from domain.errors import RulestreamError
    from worker.cli.running import run, settings_or_exit
    from worker.client import connected

    if sum(option is not None for option in (rule or None, file, dsl)) != 1:
        raise typer.BadParameter("name rules by --rule, or give one by --file or --dsl")
    try:
        text = {"dslContent": dsl} if file is None else _of_file(file)
    except RulestreamError as error:
        exit_with(error, as_json=as_json)
    settings = settings_or_exit()
    refused: list[str] = []
    questions = _questions(facts, fact_type, refused)

    async def work() -> None:
        async with connected(settings.control_endpoint, actor) as client:
            payload: dict[str, Any] = dict(text)
            if rule:
                payload = {"ruleIds": [await _rule_id(client, name) for name in rule]}
            if with_active:
                payload["withActive"] = True
            for question in questions:
                async for item in _answers(client, payload | {"facts": question}):
                    _show(item, as_json=as_json)

    run(work())
    for line in refused:
        say(line)
    if refused:
        raise typer.Exit(EXIT_FAILED)


def _of_file(file: Path) -> dict[str, Any]:
    """Return the rule of a file as the query's payload gives it."""
    from worker.files.rules import read_rules

    (found,) = read_rules(file)
    content = found.content
    return {"dslContent": content.dsl_content, "name": content.name, "priority": content.priority.value}


async def _rule_id(client: Client, rule: str) -> str:
    from domain.errors import ValidationError
    from domain.identifiers import RuleId

    try:
        return RuleId.parse(rule).value
    except ValidationError:
        found: str = (await client.query("get", {"name": rule}))["ruleId"]
        return found


def _questions(path: Path, fact_type: str | None, refused: list[str]) -> Iterator[list[dict[str, Any]]]:
    """Yield a file's facts, as many at a time as one question may hold; ``refused`` hears of lines that are none."""
    from domain.language import timestamp_from_ns, timestamp_to_text
    from worker.files.facts import FileFact, read_facts
    from worker.files.lines import shown_name

    held: list[dict[str, Any]] = []
    size = 0
    for found in read_facts(path, fact_type):
        if not isinstance(found, FileFact):
            refused.append(f"{shown_name(path)}:{found.line}: {found.code}: {found.message}")
            continue
        if held and (len(held) == FACTS_MAX or size + len(found.data) > FACT_BYTES_MAX):
            yield held
            held, size = [], 0
        fact: dict[str, Any] = {"id": found.id or f"{shown_name(path)}:{found.line}", "type": found.type}
        if found.time_ns is not None:
            fact["time"] = timestamp_to_text(timestamp_from_ns(found.time_ns))
        held.append({**fact, "data": found.payload})
        size += len(found.data)
    if held:
        yield held


async def _answers(client: Client, payload: dict[str, Any]) -> Any:
    """Yield what became of each fact, page by page."""
    offset: int | None = 0
    while offset is not None:
        page = await client.query("simulate", payload | {"pageOffset": offset})
        for item in page["items"]:
            yield item
        offset = page.get("nextOffset")


def _show(item: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(item)
        return
    import msgspec

    from streams.messages.explanations import ExplanationBody
    from worker.cli.output import stdout
    from worker.cli.tables import decision_line
    from worker.explanations import explanation_text

    if item["decision"] is None:
        typer.echo(f"{item['factId']}: {item['problem']}")
    else:
        stdout().print(decision_line(item["decision"]), soft_wrap=True)
        typer.echo(f"  {msgspec.json.encode(item['decision']['output']).decode()}")
    for body in msgspec.convert(item["trace"], list[ExplanationBody]):
        typer.echo(explanation_text(body, "  "))
    if item.get("traceOmitted"):
        typer.echo(f"  … {item['traceOmitted']} more rules")
