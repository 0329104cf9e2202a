"""`gitcd validate`: every fault in what people wrote down, without asking anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gitcd.cli import options, output, session
from gitcd.cli.terminal import Console
from gitcd.errors import ExitCode

if TYPE_CHECKING:
    from gitcd.model.problem import Problem
    from gitcd.usecases.validate import Report


@click.command("validate")
@options.repository
@options.source
@options.output("table", "json", "yaml")
@options.verb
def command(console: Console, form: Any, **arguments: Any) -> int:
    """Check declarations, gitcd.yaml and hold files.

    No registry is asked. Exit code 2 says that something is wrong; a warning tells what is not supported yet, or most
    likely not meant.
    """
    from gitcd.usecases.validate import validate

    run = session.workspace(arguments)
    with run.open() as target:
        report = validate(session.tree(target), [each.host for each in run.settings.registries if each.endpoint_url])
    if form == "table":
        lines = [*map(str, report.problems), *(f"warning: {each}" for each in report.warnings)]
        console.out.write("".join(f"{line}\n" for line in lines))
    else:
        output.write_document(console.out, _document(report), form)
    console.say(_summary(report))
    return ExitCode.OK if report.ok else ExitCode.USAGE


def _summary(report: Report) -> str:
    counts = {"declaration": report.declarations, "environment": report.environments, "hold": report.holds}
    read = ", ".join(output.counted(count, noun) for noun, count in counts.items())
    found = output.counted(len(report.problems), "problem") if report.problems else "no problems"
    more = f", {output.counted(len(report.warnings), 'warning')}" if report.warnings else ""
    return f"{read}: {found}{more}"


def _document(report: Report) -> dict[str, Any]:
    return output.document(
        "Validation",
        declarations=report.declarations,
        environments=report.environments,
        holds=report.holds,
        problems=list(map(_item, report.problems)),
        warnings=list(map(_item, report.warnings)),
    )


def _item(problem: Problem) -> dict[str, Any]:
    return {
        "path": problem.path,
        "line": problem.line,
        "column": problem.column,
        "subject": problem.subject,
        "field": problem.pointer,
        "message": problem.message,
        "remedy": problem.remedy,
    }
