"""``rulestream``: the one executable. Exit codes: 0 done, 1 the operation failed, 2 wrong usage."""

from __future__ import annotations

from worker.cli import (
    apply,
    asyncapi,
    bench,
    command,
    dead,
    decision,
    demo,
    dev,
    doctor,
    evaluate,
    export,
    fact,
    lint,
    migrate,
    nats_config,
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
from worker.cli.root import command_line

app = command_line()
app.command("dev")(dev.dev)
app.command("demo")(demo.demo)
app.command("worker")(work.work)
app.add_typer(migrate.app, name="migrate")
app.add_typer(topology.app, name="topology")
app.command("doctor")(doctor.doctor)
app.add_typer(nats_config.app, name="nats-config")
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
app.command("asyncapi")(asyncapi.asyncapi)
app.add_typer(bench.app, name="bench")


def main() -> None:
    """Run the command line."""
    app()
