"""`gitcd promote`: move what one environment deploys into the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import click

from gitcd.cli import completing, ecr_changes, options, session
from gitcd.cli import ecr_options as flags
from gitcd.cli.results import rehearsed, tell_published
from gitcd.cli.terminal import Console

if TYPE_CHECKING:
    from gitcd.git.mirror import Mirror
    from gitcd.usecases.promote import Promotion
    from gitcd.usecases.workspace import Workspace


@click.command(
    "promote",
    epilog=options.examples(
        "promote dev prod --dry-run REPO",
        "promote dev prod --app tiles --pr REPO",
        "promote dev prod --settle --journal moves.jsonl REPO",
    ),
)
@click.argument(
    "source",
    metavar="FROM",
    shell_complete=completing.environments,
    help="The environment whose images are taken, as git has them now.",
)
@click.argument(
    "target",
    metavar="TO",
    shell_complete=completing.environments,
    help="The environment that gets them; its promoteFrom names FROM.",
)
@options.bare_repository
@options.apps
@click.option("--commit", "by_commit", is_flag=True, help="Commit all of it; refused where TO asks for pull requests.")
@click.option("--pr", "by_pull", is_flag=True, help="Propose all of it by pull request; by default as TO says.")
@click.option("--dry-run", is_flag=True, help="Show what would be committed, proposed or moved, and write nothing.")
@click.option("--check", is_flag=True, help="As --dry-run, and exit with 1 where something would change.")
@click.option("--out", type=click.Path(dir_okay=False), metavar="FILE",
              help="As --dry-run, and write the plan to a file, for review and for --plan.")  # fmt: skip
@click.option("--plan", "plan_file", type=click.Path(dir_okay=False), metavar="FILE",
              help="Commit and propose this plan exactly, or fail where what it stands on has changed.")  # fmt: skip
@click.option("--settle", is_flag=True, help="Commit nothing; let the tags that TO names in the registry name what git "
              "deploys there.")  # fmt: skip
@flags.journal
@options.access
@options.registry
@options.output("table", "json", "yaml", "name")
@options.verb
def command(console: Console, form: Any, **arguments: Any) -> int:
    """Move what FROM deploys now into the places of TO.

    Declarations are matched by namespace and name; in a namespace the environment's own name may differ, as in pay-dev
    and pay-prod. Each digest must be in TO's own repository; gates, holds and freezes of TO apply, and its soak time is
    counted from git's history. What moves is committed and pushed, or proposed in a pull request, as TO says. Tags take
    no part: --settle moves them afterwards, for those who look at them, and the journal is one of those moves.
    """
    if arguments["out"]:
        arguments["dry_run"] = True  # who asks for a plan wants to see it before it is carried out
    _refuse_contradictions(arguments)
    run = session.workspace(arguments)
    if arguments["settle"]:
        return _settled(console, form, run, arguments)
    with run.open(local=False) as target:
        return _promoted(console, form, run, session.mirror(target, in_place=False), arguments)


def _request(arguments: dict[str, Any]) -> Promotion:
    from gitcd.usecases.promote import Promotion

    by: Literal["", "pull", "commit"] = "pull" if arguments["by_pull"] else "commit" if arguments["by_commit"] else ""
    return Promotion(arguments["source"], arguments["target"], frozenset(arguments["app"]), by)


def _refuse_contradictions(arguments: dict[str, Any]) -> None:
    if arguments["by_pull"] and arguments["by_commit"]:
        raise click.UsageError("--commit and --pr exclude each other")
    if arguments["settle"] and (arguments["check"] or arguments["out"] or arguments["plan_file"]):
        raise click.UsageError("--settle moves tags and makes no plan: it goes with none of --check, --out and --plan")
    if arguments["plan_file"] and (arguments["dry_run"] or arguments["check"] or arguments["app"]):
        raise click.UsageError(
            "--plan carries out what the plan says: it goes with none of --dry-run, --check and --app"
        )
    if not arguments["settle"] and arguments["journal"]:
        raise click.UsageError("--journal is for --settle: commits are journal enough")


def _promoted(console: Console, form: Any, run: Workspace, mirror: Mirror, arguments: dict[str, Any]) -> int:
    from gitcd.usecases.deliver_desk import open_desk
    from gitcd.usecases.promote import Pen, preview_promotion, promote, replay_promotion

    request, context = _request(arguments), run.context(mirror)
    pen = Pen(run.author, run.templates, open_desk(run, mirror), run.run)
    if arguments["dry_run"] or arguments["check"]:
        plan = preview_promotion(mirror, context, request, lambda: run.history(mirror), pen).plan
        if arguments["out"]:
            session.write_plan(arguments["out"], plan)
        return rehearsed(console, form, plan, check=arguments["check"])
    if arguments["plan_file"]:
        reviewed = session.read_plan(arguments["plan_file"])
        published = replay_promotion(mirror, context, request, lambda: run.history(mirror), pen, reviewed=reviewed)
    else:
        published = promote(mirror, context, request, lambda: run.history(mirror), pen)
    return tell_published(console, form, mirror, published)


def _settled(console: Console, form: Any, run: Workspace, arguments: dict[str, Any]) -> int:
    from gitcd.registry.any_tags import AnyTags
    from gitcd.usecases.keeping import source_of
    from gitcd.usecases.registry_access import registry_settings
    from gitcd.usecases.settle_tags import settle

    ecr_changes.check_outputs(arguments, form)
    with run.open() as target:
        duties = settle(source_of(run, target), _request(arguments))
    for warning in duties.warnings:
        console.warn(warning)
    registry = AnyTags(registry_settings(run.settings))
    orders = duties.orders(registry, dry_run=arguments["dry_run"])
    return ecr_changes.carry_out(console, form, arguments, registry, orders, problems=duties.problems)
