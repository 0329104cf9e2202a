"""`gitcd reconcile`: the main job, for real, rehearsed, or as it was reviewed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gitcd.cli import options, session
from gitcd.cli.results import rehearsed, tell_published
from gitcd.cli.terminal import Console

if TYPE_CHECKING:
    from gitcd.git.mirror import Mirror
    from gitcd.git.worktree import WorkTree
    from gitcd.model.plan import Plan
    from gitcd.usecases.cluster_source import ClusterSource
    from gitcd.usecases.context import Planned, Share
    from gitcd.usecases.publish import Published
    from gitcd.usecases.workspace import Workspace

_FILE = click.Path(dir_okay=False)


@click.command(
    "reconcile",
    epilog=options.examples(
        "reconcile --in-place .",
        "reconcile --dry-run REPO",
        "reconcile -e prod --out plan.json REPO",
        "reconcile --plan plan.json REPO",
    ),
)
@options.repository
@options.selection
@options.either_source
@options.registry
@click.option("--dry-run", is_flag=True, help="Show what would be committed, and write nothing.")
@click.option("--check", is_flag=True, help="As --dry-run, and exit with 1 where something would change.")
@click.option(
    "--out", type=_FILE, metavar="FILE", help="As --dry-run, and write the plan to a file, for review and for --plan."
)
@click.option(
    "--plan",
    "plan_file",
    type=_FILE,
    metavar="FILE",
    help="Commit and propose this plan exactly, or fail where what it stands on has changed.",
)
@click.option(
    "--journal",
    "journals",
    type=click.Path(exists=True, dir_okay=False, readable=True),
    multiple=True,
    metavar="FILE",
    help="A journal of `gitcd ecr-tags`: pull requests tell from it who moved a tag; repeatable.",
)
@options.in_place
@options.shards
@click.option("--metrics-file", type=_FILE, metavar="FILE",
              help="Leave numbers for Prometheus's textfile collector here, also where the run fails.")  # fmt: skip
@options.output("table", "json", "yaml", "name")
@options.verb
def command(console: Console, form: Any, **arguments: Any) -> int:
    """Commit and push what the declarations and the registry say.

    In a work tree nothing is committed: --in-place writes into its files and leaves the rest to you. A run with nothing
    new makes no commit.

    What is delivered by pull request is proposed on a branch of its own, and the pull request is opened, updated or
    closed on the forge.
    """
    if arguments["out"] and not arguments["in_place"]:
        arguments["dry_run"] = True  # who asks for a plan wants to see it before it is carried out
    _refuse_contradictions(arguments)
    run = session.workspace(arguments)
    with _measured(console, arguments, run) as note, run.open() as target:
        if arguments["dry_run"] or arguments["check"]:
            return _rehearsed(console, form, arguments, session.plan(run, target, arguments).plan)
        if arguments["in_place"]:
            return _rehearsed(console, form, arguments, _written(run, session.work_tree(target), arguments))
        mirror = session.mirror(target)
        published = _published(run, mirror, arguments)
        note(published)
        return tell_published(console, form, mirror, published)


def _refuse_contradictions(arguments: dict[str, Any]) -> None:
    modes = [name for name in ("dry_run", "check", "plan_file", "in_place") if arguments[name]]
    if len(modes) > 1 and set(modes) != {"dry_run", "check"}:
        raise click.UsageError("--dry-run, --check or --out, --plan and --in-place exclude each other")
    if arguments["plan_file"] and (arguments["app"] or arguments["environment"]):
        raise click.UsageError("--plan commits what the plan says: it goes with neither --app nor --environment")
    if arguments["plan_file"] and (arguments["shard"] or arguments["shards"]):
        raise click.UsageError("--plan commits what the plan says: it is not divided into shards")
    if arguments["metrics_file"] and set(modes) - {"plan_file"}:
        raise click.UsageError("--metrics-file is about what is done: it goes with no rehearsal, nor with --in-place")


def _measured(
    console: Console, arguments: dict[str, Any], run: Workspace
) -> AbstractContextManager[Callable[[Published[Planned]], None]]:
    """Where numbers are asked for, leave them; what is called with what was published hears of it."""
    if not arguments["metrics_file"]:
        return nullcontext(lambda _: None)
    from gitcd.usecases.metrics import measured

    return measured(Path(arguments["metrics_file"]), "reconcile", lambda: run.registry_calls, console.warn)


def _written(run: Workspace, tree: WorkTree, arguments: dict[str, Any]) -> Plan:
    from gitcd.usecases.reconcile import write_in_place

    plan = session.plan(run, tree, arguments).plan
    write_in_place(tree, plan)
    return plan


def _published(run: Workspace, mirror: Mirror, arguments: dict[str, Any]) -> Published[Planned]:
    source = session.cluster(run, arguments)
    if not arguments["plan_file"]:
        return carry_out(run, mirror, arguments, source)
    from gitcd.usecases.deliver_desk import open_desk
    from gitcd.usecases.reviewed import replay

    desk = open_desk(run, mirror, arguments["journals"])
    context = session.context(run, mirror, arguments, source)
    published = replay(mirror, context, run.author, session.read_plan(arguments["plan_file"]), desk)
    return _told(run, source, published)


def carry_out(
    run: Workspace,
    mirror: Mirror,
    arguments: dict[str, Any],
    source: ClusterSource | None,
    share: Share | None = None,
) -> Published[Planned]:
    """Bring the branch, pull requests and statuses to what is declared, or to what `share` chooses of it."""
    from gitcd.usecases.deliver_desk import open_desk
    from gitcd.usecases.reconcile import reconcile

    desk = open_desk(run, mirror, arguments["journals"])
    context = session.context(run, mirror, arguments, source)
    context = replace(context, share=share or context.share)
    published = reconcile(mirror, context, run.author, templates=run.templates, run=run.run, desk=desk)
    return _told(run, source, published)


def _told(run: Workspace, source: ClusterSource | None, published: Published[Planned]) -> Published[Planned]:
    """The same, after the cluster that declared it has been told."""
    if source is None:
        return published
    from gitcd.usecases.cluster_status import with_statuses

    return with_statuses(published, source, run.now, run.run, run.deadline)


def _rehearsed(console: Console, form: Any, arguments: dict[str, Any], plan: Plan) -> int:
    """Show a plan that is not committed here, as `gitcd diff` does."""
    if arguments["out"]:
        session.write_plan(arguments["out"], plan)
    return rehearsed(console, form, plan, check=arguments["check"])
