"""`gitcd diff`: what a reconcile would change, as a patch, and nothing else happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gitcd.cli import options, output, session
from gitcd.cli.terminal import Console, write_diff

if TYPE_CHECKING:
    from gitcd.model.plan import Plan


@click.command("diff")
@options.repository
@options.selection
@options.either_source
@options.registry
@options.output("table", "json", "yaml", "name")
@options.verb
def command(console: Console, form: Any, **arguments: Any) -> int:
    """Show what a reconcile would change.

    The files of a work tree are read as they lie, committed or not. The patch on stdout is one that `git apply` takes;
    a summary goes to stderr. Exit code 1 says that there are differences.
    """
    from gitcd.model.plan import plan_exit_code

    run = session.workspace(arguments)
    with run.open() as target:
        plan = session.plan(run, target, arguments).plan
    code = plan_exit_code(plan, differences=True)
    show(console, plan, form, code)
    return code


def show(console: Console, plan: Plan, form: Any, code: int) -> None:
    """Print a plan: as a patch, as the report that programs read, or as the names of what changes."""
    from gitcd.cli import report
    from gitcd.model import document
    from gitcd.rendering.diff import unified

    if form in {"json", "yaml"}:
        output.write_document(console.out, document.report(plan, exit_code=code), form)
    elif form == "name":
        output.write_names(console.out, report.changed_names(plan))
    elif write_diff(console.out, unified(plan.files)):
        console.warn("something that looks like a secret is masked in this patch, so it does not apply")
    report.tell(console, plan)
    report.tell_pulls(console, plan.rehearsed)
