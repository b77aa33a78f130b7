"""``rulestream``: the one executable. Exit codes: 0 done, 1 the operation failed, 2 wrong usage."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from worker.cli import (
    apply,
    bench,
    command,
    dead,
    decision,
    demo,
    dev,
    evaluate,
    export,
    fact,
    lint,
    migrate,
    redecide,
    rule,
    ruleset,
    ruleset_stats,
    simulate,
    template,
    topology,
    validate,
    work,
)

app = typer.Typer(
    name="rulestream",
    help="A rules worker on event streams: publish facts, subscribe to decisions, scale by adding workers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("dev")(dev.dev)
app.command("demo")(demo.demo)
app.command("worker")(work.work)
app.add_typer(migrate.app, name="migrate")
app.add_typer(topology.app, name="topology")
rule.app.command("validate")(validate.validate)
app.add_typer(rule.app, name="rule")
app.add_typer(template.app, name="template")
ruleset.app.command("stats")(ruleset_stats.stats)
app.add_typer(ruleset.app, name="ruleset")
app.add_typer(command.app, name="command")
app.command("apply")(apply.apply)
app.command("export")(export.export)
app.add_typer(fact.app, name="fact")
app.add_typer(decision.app, name="decision")
app.add_typer(dead.app, name="dead")
app.command("redecide")(redecide.redecide)
app.command("simulate")(simulate.simulate)
app.command("eval")(evaluate.evaluate)
app.command("lint")(lint.lint)
app.add_typer(bench.app, name="bench")


def _show_version(wanted: bool) -> None:  # typer's callback signature
    if wanted:
        typer.echo(f"rulestream {version('rulestream')}")
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Decide facts by rules, exactly once, with proof."""


def main() -> None:
    """Run the command line."""
    app()
