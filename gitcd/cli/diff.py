"""`gitcd diff`: what a reconcile would change, as a patch, and nothing else happens."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from gitcd.cli import options, session
from gitcd.cli.results import show
from gitcd.cli.terminal import Console
from gitcd.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from gitcd.model.plan import Plan
    from gitcd.usecases.ci import Job
    from gitcd.usecases.workspace import Workspace


@click.command(
    "diff",
    epilog=options.examples(
        "diff",
        "diff -e prod --app tiles .",
        "diff REPO",
    ),
)
@options.repository
@options.selection
@options.either_source
@options.registry
@click.option(
    "--ci", is_flag=True, help="For a job on a pull request: show at its commit what gitcd would do; no exit code 1."
)
@options.output("table", "json", "yaml", "name")
@options.verb
def command(console: Console, form: Any, ci: bool, **arguments: Any) -> int:
    """Show what a reconcile would change.

    The files of a work tree are read as they lie, committed or not. The patch on stdout is one that `git apply` takes;
    a summary goes to stderr. Exit code 1 says that there are differences.
    """
    from gitcd.model.plan import plan_exit_code

    run = session.workspace(arguments)
    job = _job() if ci else None
    with run.open() as target:
        plan = session.plan(run, target, arguments).plan
    code = plan_exit_code(plan, differences=job is None)
    show(console, plan, form, code)
    if job:
        _announce(console, run, job, plan, code)
    return code


def _job() -> Job:
    from gitcd.usecases.ci import job_of

    return job_of(os.environ)


def _announce(console: Console, run: Workspace, job: Job, plan: Plan, code: ExitCode) -> None:
    """The job has its own result, so a status that cannot be shown is no more than a warning."""
    from gitcd.cli.report import closing_line
    from gitcd.usecases.ci import announce

    try:
        failure = announce(run, job, code, closing_line(plan), os.environ)
    except ConfigError as error:
        console.warn(f"no status is shown at {job.commit[:12]}: {error.message}")
        return
    if failure:
        console.warn(f"no status is shown at {job.commit[:12]}: {failure.message}")
