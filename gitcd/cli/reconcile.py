"""`gitcd reconcile`: the main job, for real, rehearsed, or as it was reviewed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gitcd.cli import options, session
from gitcd.cli.diff import show
from gitcd.cli.terminal import Console

if TYPE_CHECKING:
    from gitcd.git.mirror import Mirror
    from gitcd.git.worktree import WorkTree
    from gitcd.usecases.planner import Planned
    from gitcd.usecases.publish import Published
    from gitcd.usecases.workspace import Workspace

_FILE = click.Path(dir_okay=False)


@click.command("reconcile")
@options.repository
@options.selection
@options.source
@options.registry
@click.option("--dry-run", is_flag=True, help="Show what would be committed, and write nothing.")
@click.option("--check", is_flag=True, help="As --dry-run, and exit with 1 where something would change.")
@click.option("--out", type=_FILE, metavar="FILE", help="Write the plan to a file, for review and for --plan.")
@click.option(
    "--plan",
    "plan_file",
    type=_FILE,
    metavar="FILE",
    help="Commit this plan exactly, or fail where what it stands on has changed.",
)
@options.in_place
@options.output("table", "json", "yaml", "name")
@options.verb
def command(console: Console, form: Any, **arguments: Any) -> int:
    """Commit and push what the declarations and the registry say.

    REPO is a bare repository or an address; of a work tree only with --in-place, which leaves committing to you. A run
    with nothing new makes no commit.
    """
    _refuse_contradictions(arguments)
    run = session.workspace(arguments)
    with run.open() as target:
        if arguments["dry_run"] or arguments["check"]:
            planned = session.plan(run, target, arguments)
            return _finish(console, form, arguments, planned)
        if arguments["in_place"]:
            return _finish(console, form, arguments, _written(run, session.work_tree(target), arguments))
        published = _published(run, session.mirror(target), arguments)
        code = _finish(console, form, arguments, published.work, published.commits)
        _tell_landed(console, target, published)
    return code


def _refuse_contradictions(arguments: dict[str, Any]) -> None:
    modes = [name for name in ("dry_run", "check", "plan_file", "in_place") if arguments[name]]
    if len(modes) > 1 and set(modes) != {"dry_run", "check"}:
        raise click.UsageError("--dry-run or --check, --plan and --in-place exclude each other")
    if arguments["plan_file"] and (arguments["app"] or arguments["environment"]):
        raise click.UsageError("--plan commits what the plan says: it goes with neither --app nor --environment")


def _written(run: Workspace, tree: WorkTree, arguments: dict[str, Any]) -> Planned:
    from gitcd.usecases.reconcile import write_in_place

    planned = session.plan(run, tree, arguments)
    write_in_place(tree, planned.plan)
    return planned


def _published(run: Workspace, mirror: Mirror, arguments: dict[str, Any]) -> Published[Planned]:
    from gitcd.usecases.reconcile import reconcile, replay

    if arguments["plan_file"]:
        reviewed = session.read_plan(arguments["plan_file"])
        return replay(mirror, run.context(mirror), run.author, reviewed)
    context = run.context(mirror, session.selection(arguments))
    return reconcile(mirror, context, run.author, templates=run.templates, run=run.run)


def _finish(
    console: Console, form: Any, arguments: dict[str, Any], planned: Planned, commits: tuple[str, ...] = ()
) -> int:
    """Print what was decided, and answer the exit code."""
    from gitcd.model.plan import plan_exit_code

    if arguments["out"]:
        session.write_plan(arguments["out"], planned.plan)
    code = plan_exit_code(planned.plan, differences=arguments["check"])
    show(console, planned.plan, form, code, commits)
    return code


def _tell_landed(console: Console, target: Any, published: Published[Planned]) -> None:
    if published.commits:
        count = len(published.commits)
        commits = "1 commit" if count == 1 else f"{count} commits"
        console.say(f"pushed {commits} to {target.branch} of {target.remote}: {published.commits[-1][:10]}")
    elif published.failure is None:
        console.say("nothing to do")
