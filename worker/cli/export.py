"""``rulestream export``: the worker's rules as files that ``rulestream apply`` reads back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from worker.cli.asking import answer
from worker.cli.rule import ActorOption

if TYPE_CHECKING:
    from worker.client import Client
    from worker.files.export import ExportedRule, ExportPlan

STDOUT: Final = Path("-")
_LINE_SUFFIXES: Final = {".ndjson", ".jsonl"}


def export(
    target: Annotated[
        Path,
        typer.Argument(metavar="FOLDER|FILE.ndjson|-", help="A folder for rule files, a file for NDJSON, or stdout."),
    ] = STDOUT,
    actor: ActorOption = "viewer",
    status: Annotated[str | None, typer.Option("--status", help="Only rules of this status.")] = None,
    tag: Annotated[str | None, typer.Option("--tag", help="Only rules with this tag.")] = None,
    active_version: Annotated[
        bool,
        typer.Option(
            "--active-version/--latest", help="The version that decides, of rules that have one; else the latest."
        ),
    ] = False,
    ids: Annotated[
        bool, typer.Option("--ids/--no-ids", help="Write each ruleId; without, files fit another worker's rules too.")
    ] = True,
    form: Annotated[
        str | None, typer.Option("--format", help="rule or ndjson; by default what the target's name says.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over files that no export wrote so.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Write rules as files that apply reads back, with nothing to do.

    What is written depends on nothing but the rules, so that version control shows what changed. In a folder a rule
    keeps the file that it has; what a person wrote or changed is not overwritten without --force, and nothing is
    deleted. DEPRECATED rules are exported only when --status says so: nobody can change them any more.
    """
    from worker.cli.output import say

    is_lines = _is_lines(target, form)
    rules, left_out = _rules(actor, status, tag, active=active_version)
    if left_out:
        say(f"DEPRECATED, not exported without --status DEPRECATED: {left_out}")
    if target == STDOUT:
        typer.echo(_lines(rules, ids=ids), nl=False)
        return
    planned = _line_plan if is_lines else _file_plan
    plan, folder = planned(rules, target, ids=ids, force=force)
    _carry_out(plan, folder, target, len(rules), json=json)


def _is_lines(target: Path, form: str | None) -> bool:
    if form not in (None, "rule", "ndjson"):
        raise typer.BadParameter("rule or ndjson", param_hint="--format")
    is_lines = form == "ndjson" or (form is None and (target == STDOUT or target.suffix in _LINE_SUFFIXES))
    if target == STDOUT and not is_lines:
        raise typer.BadParameter("rule files want a folder", param_hint="--format")
    if target.exists() and target.is_dir() == is_lines:
        raise typer.BadParameter(f"'{target}' is {'a' if is_lines else 'no'} folder.")
    return is_lines


def _rules(actor: str, status: str | None, tag: str | None, *, active: bool) -> tuple[list[ExportedRule], int]:
    from worker.applying import read_rules_to_export

    criteria = {key: value for key, value in {"status": status, "tag": tag}.items() if value is not None}

    async def work(client: Client) -> tuple[list[ExportedRule], int]:
        return await read_rules_to_export(client, criteria, active=active)

    return answer(actor, work)


def _lines(rules: list[ExportedRule], *, ids: bool) -> str:
    from worker.files.front_matter import rule_line

    return "".join(rule_line(rule.content, rule.rule_id if ids else None) for rule in rules)


def _file_plan(rules: list[ExportedRule], folder: Path, *, ids: bool, force: bool) -> tuple[ExportPlan, Path]:
    from worker.files.export import plan_export
    from worker.files.folder import rule_files

    return plan_export(rules, rule_files(folder), with_ids=ids, force=force), folder


def _line_plan(rules: list[ExportedRule], target: Path, *, ids: bool, force: bool) -> tuple[ExportPlan, Path]:
    from worker.files.export import ExportPlan

    plan = ExportPlan()
    text = _lines(rules, ids=ids)
    if not target.exists() or force:
        plan.writes[target.name] = text
    elif target.read_bytes() == text.encode():
        plan.unchanged.append(target.name)
    else:
        plan.refused[target.name] = "it says something else"
    return plan, target.parent


def _carry_out(plan: ExportPlan, folder: Path, target: Path, count: int, *, json: bool) -> None:
    from domain.errors import RulestreamError
    from worker.cli.output import EXIT_FAILED, exit_with, print_json, say

    if not plan.refused:
        from worker.files.folder import write_files

        try:
            write_files(folder, plan.writes)
        except RulestreamError as error:
            exit_with(error, as_json=json)
    written = sorted(plan.writes) if not plan.refused else []
    if json:
        document: dict[str, Any] = {
            "target": str(target),
            "rules": count,
            "written": written,
            "unchanged": sorted(plan.unchanged),
            "refused": plan.refused,
            "others": plan.others,
        }
        print_json(document)
    else:
        for name, reason in plan.refused.items():
            say(f"{folder / name} is kept: {reason}")
        if plan.others:
            say(f"of no exported rule, left as they are: {', '.join(plan.others)}")
        typer.echo(f"{count} rules: {len(written)} files written, {len(plan.unchanged)} unchanged")
    if plan.refused:
        say("nothing was written: --force writes over files that no export wrote so")
        raise typer.Exit(EXIT_FAILED)
