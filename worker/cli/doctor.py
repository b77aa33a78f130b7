"""``rulestream doctor``: what is wrong with a deployment, and what to do about it."""

from __future__ import annotations

from typing import Annotated

import typer


def doctor(
    strict: Annotated[bool, typer.Option("--strict", help="End with 1 for warnings too.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
) -> None:
    """Check the servers, the database, the streams and the workers; alters nothing.

    Run it with the settings of a worker, where a worker would run. Ends with 1 when it finds an error.
    """
    from worker.cli.output import print_json, visible
    from worker.cli.running import run, settings_or_exit
    from worker.doctor.examine import examine, exit_code, lines
    from worker.doctor.findings import Severity

    report = run(examine(settings_or_exit()))
    if json:
        print_json(
            {
                "errors": report.count(Severity.ERROR),
                "warnings": report.count(Severity.WARNING),
                "notes": report.count(Severity.NOTE),
                "lookedAt": dict(report.looked_at),
                "findings": [
                    {
                        "code": one.code,
                        "severity": one.severity,
                        "found": one.found,
                        "why": one.why,
                        "advice": one.advice,
                    }
                    for one in report.findings
                ],
            }
        )
    else:
        for line in lines(report):
            typer.echo(visible(line))
    raise typer.Exit(exit_code(report, is_strict=strict))
