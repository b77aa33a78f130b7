"""``rulestream ruleset stats``: how rules are found, which are tried on every fact, why, and what to write instead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from worker.cli.rule import ActorOption, JsonOption

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from domain.decisions.ruleset import ActiveRule, Ruleset
    from domain.decisions.statistics import Reason, RulesetStatistics, RuleStatistics
    from worker.client import Client
    from worker.files.rules import RuleSource

SHOWN_MAX: Final = 20  # lines of a table, but for --all

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class _Told:
    """What was found of a ruleset; ``sources`` are the files of its rules by id, where they are from files."""

    ruleset: Ruleset
    found: RulesetStatistics
    sources: dict[str, RuleSource] = field(default_factory=dict)


def stats(
    rules: Annotated[
        Path | None,
        typer.Argument(
            metavar="[RULES]",
            exists=True,
            readable=True,
            help="A folder of rule files, one rule file, or NDJSON; without it, the rules that decide now.",
        ),
    ] = None,
    actor: ActorOption = "viewer",
    every: Annotated[
        bool, typer.Option("--all", help="Show every rule, not only those that are always tried.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Show how rules are found: by which fields and how many each, which are tried on every fact, and why.

    Offline with RULES; else of the rules that decide now, which are read one by one. All is told by the rules: how
    often facts lead to a rule, only they tell. Exit code 1 when the rules are not valid or can't be read.
    """
    from domain.errors import RulestreamError
    from worker.cli.output import exit_with, print_json, stdout

    try:
        told = _of_the_worker(actor) if rules is None else _of_files(rules)
    except RulestreamError as error:
        exit_with(error, as_json=json)
    if json:
        print_json(_to_json(told))
    else:
        stdout().print(_tables(told, every=every))


def _of_files(path: Path) -> _Told:
    from domain.decisions.statistics import ruleset_statistics
    from worker.files.rules import offline_ruleset, read_rules

    sources = read_rules(path)
    ruleset = offline_ruleset(sources)
    return _Told(ruleset, ruleset_statistics(ruleset), {source.identity.value: source for source in sources})


def _of_the_worker(actor: str) -> _Told:
    from domain.decisions.ruleset import Ruleset
    from domain.decisions.statistics import ruleset_statistics
    from worker.cli.asking import answer
    from worker.cli.output import progress
    from worker.cli.ruleset import read_ruleset
    from worker.files.compiling import RuleCompiler

    async def work(client: Client) -> tuple[int, list[ActiveRule]]:
        page = await read_ruleset(client, 500, 0, every=True)
        with progress("reading rules", len(page["items"])) as update:
            return page["revision"], await _read_rules(client, page["items"], update)

    revision, rules = answer(actor, work)
    compiler = RuleCompiler()
    compiler.compile_ahead(rule.content.dsl_content for rule in rules)
    ruleset = Ruleset.of(revision, rules, compiler.compile)
    return _Told(ruleset, ruleset_statistics(ruleset))


async def _read_rules(client: Client, items: list[dict[str, Any]], update: Callable[[int], None]) -> list[ActiveRule]:
    """Ask for the contents of the versions that decide."""
    import msgspec

    from domain.decisions.ruleset import ActiveRule
    from domain.identifiers import RuleId
    from streams.messages.queries import RuleView, VersionView
    from worker.applying import QUERIES_AT_ONCE, content_of, version_of

    places = asyncio.Semaphore(QUERIES_AT_ONCE)
    done = 0

    async def read(item: dict[str, Any]) -> ActiveRule:
        nonlocal done
        rule_id, version = item["ruleId"], item["version"]
        async with places:
            found: RuleView | VersionView = msgspec.convert(await client.query("get", {"ruleId": rule_id}), RuleView)
            if found.version != version:
                found = await version_of(client, rule_id, version)
        done += 1
        update(done)
        return ActiveRule(RuleId(rule_id), version, content_of(found))

    return await asyncio.gather(*map(read, items))


# For people


def _tables(told: _Told, *, every: bool) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    found = told.found
    own = sum(one.is_own for one in found.tried)
    summary = f"{len(found.rules)} rules: {_looked_up(found)} looked up, {len(found.tried)} tried on every fact"
    if found.tried:
        summary += f", {own} of them for what they say"
    if found.wide:
        summary += f"; {len(found.wide)} looked up by no more than fields being there"
    if told.ruleset.revision:
        summary = f"ruleset {told.ruleset.revision}, {summary}"
    parts: list[RenderableType] = [Text(summary, style="bold"), _types_table(found, every=every)]
    if found.places:
        parts.append(_places_table(found, every=every))
    if any(bucket.rules > 1 for bucket in found.buckets):
        parts.append(_buckets_table(found))
    if found.tried:
        parts.append(_reasons_table("tried on every fact", told, found.tried, every=every))
    if found.wide:
        parts.append(_reasons_table("tried on nearly every fact with its fields", told, found.wide, every=every))
    if every and _looked_up(found):
        parts.append(_found_table(found))
    return Group(*parts)


def _types_table(found: RulesetStatistics, *, every: bool) -> RenderableType:
    table = _table("facts", "rules", "looked up", "always tried", "tried on a fact, about", right=4)
    for one in _some(found.types, every=every):
        counts = (one.rules, one.rules - one.tried, one.tried)
        table.add_row(_shown_types(one.fact_types), *(f"{count:,}" for count in counts), f"{one.expected:,.1f}")
    return _with_rest(table, len(found.types), every=every)


def _places_table(found: RulesetStatistics, *, every: bool) -> RenderableType:
    table = _table("looked up by", "as", "rules", right=1)
    for place in _some(found.places, every=every):
        table.add_row(_text(" and ".join(place.paths)), ", ".join(place.kinds), f"{place.rules:,}")
    return _with_rest(table, len(found.places), every=every)


def _buckets_table(found: RulesetStatistics) -> RenderableType:
    table = _table("most rules for facts with", "rules", right=1)
    for bucket in found.buckets[:SHOWN_MAX]:
        if bucket.rules > 1:
            table.add_row(_text(bucket.asks), f"{bucket.rules:,}")
    return table


def _reasons_table(title: str, told: _Told, rules: Sequence[RuleStatistics], *, every: bool) -> RenderableType:
    """Show rules with why they are tried, those first whose own text is the reason."""
    table = _table(title, "of", "where", "why", "instead")
    ordered = sorted(rules, key=lambda one: not one.is_own)
    for one in _some(ordered, every=every):
        for number, reason in enumerate(one.reasons):
            table.add_row(
                _text("" if number else one.rule.name),
                "" if number else _shown_types(one.tried_for or one.rule.compiled.fact_types),
                _text(_where(told, one, reason)),
                reason.message,
                reason.hint or "",
            )
    return _with_rest(table, len(ordered), every=every)


def _found_table(found: RulesetStatistics) -> RenderableType:
    from domain.decisions.statistics import shown_path

    table = _table("looked up", "by", "as", "of facts, about", right=1)
    for one in found.rules:
        for number, filing in enumerate(one.filings):
            table.add_row(
                _text("" if number else one.rule.name),
                _text(" and ".join(map(shown_path, filing.demands))),
                ", ".join(filing.kinds),
                f"{filing.share:.2%}",
            )
    return table


def _table(*columns: str, right: int = 0) -> Table:
    from rich.table import Table

    table = Table()
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number >= len(columns) - right else "left", overflow="fold")
    return table


def _some(items: Sequence[_Item], *, every: bool) -> Sequence[_Item]:
    return items if every else items[:SHOWN_MAX]


def _with_rest(table: RenderableType, count: int, *, every: bool) -> RenderableType:
    from rich.console import Group

    return table if every or count <= SHOWN_MAX else Group(table, f"and {count - SHOWN_MAX:,} more with --all")


def _text(text: str) -> Text:
    from rich.text import Text

    from worker.cli.output import visible

    return Text(visible(text))


def _shown_types(types: tuple[str, ...]) -> str:
    """Return fact types, a few of them; a pattern stands for those that no rule names."""
    from domain.decisions.statistics import ANY_TYPE

    shown = ["all others" if one == ANY_TYPE else f"other {one}" if {"*", ">"} & {*one} else one for one in types[:3]]
    return ", ".join(shown) + (f" and {len(types) - 3} more" if len(types) > 3 else "")


def _looked_up(found: RulesetStatistics) -> int:
    return len(found.rules) - len(found.tried)


# For programs


def _to_json(told: _Told) -> dict[str, Any]:
    found = told.found
    document: dict[str, Any] = {
        "counts": {
            "rules": len(found.rules),
            "lookedUp": _looked_up(found),
            "tried": len(found.tried),
            "wide": len(found.wide),
        },
        "types": [
            {
                "factTypes": list(one.fact_types),
                "rules": one.rules,
                "lookedUp": one.rules - one.tried,
                "tried": one.tried,
                "expected": round(one.expected, 3),
            }
            for one in found.types
        ],
        "typesLeftOut": found.types_left_out,
        "places": [
            {"paths": list(place.paths), "kinds": list(place.kinds), "rules": place.rules} for place in found.places
        ],
        "largest": [{"asks": bucket.asks, "rules": bucket.rules} for bucket in found.buckets[:SHOWN_MAX]],
        "rules": [_rule_json(told, one) for one in found.rules],
    }
    if told.ruleset.revision:
        document["ruleset"] = {"revision": told.ruleset.revision, "digest": told.ruleset.digest.hex()}
    return document


def _rule_json(told: _Told, one: RuleStatistics) -> dict[str, Any]:
    from domain.decisions.statistics import shown_path

    source = told.sources.get(one.rule.rule_id)
    return {
        "name": one.rule.name,
        "ruleId": one.rule.rule_id,
        **({} if source is None else {"file": source.origin}),
        "triedFor": list(one.tried_for),
        "filings": [
            {
                "paths": list(map(shown_path, filing.demands)),
                "kinds": list(filing.kinds),
                "share": round(filing.share, 6),
                "rules": filing.company,
            }
            for filing in one.filings
        ],
        "reasons": [_reason_json(told, one, reason) for reason in one.reasons],
    }


def _reason_json(told: _Told, one: RuleStatistics, reason: Reason) -> dict[str, Any]:
    line = _line(told, one, reason)
    return {
        "message": reason.message,
        **({} if reason.hint is None else {"hint": reason.hint}),
        **({} if line is None else {"line": line, "column": reason.column}),
    }


def _where(told: _Told, one: RuleStatistics, reason: Reason) -> str:
    """Return the place of a reason as compilers print places; in the rule's text where it is from no file.

    Of a rule in NDJSON it is the file's line and then the place in the rule's text.
    """
    source, line = told.sources.get(one.rule.rule_id), _line(told, one, reason)
    at = [] if line is None else [f"{line}:{reason.column}"]
    return ":".join(at if source is None else [Path(source.origin).name, *at])


def _line(told: _Told, one: RuleStatistics, reason: Reason) -> int | None:
    source = told.sources.get(one.rule.rule_id)
    return reason.line if reason.line is None or source is None else reason.line + source.dsl_line_offset
