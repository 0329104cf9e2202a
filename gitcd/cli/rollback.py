"""`gitcd rollback`: take a declaration back to what git held before."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from gitcd.cli import options, session
from gitcd.cli.results import rehearsed, tell_published
from gitcd.cli.terminal import Console

if TYPE_CHECKING:
    from gitcd.git.mirror import Mirror
    from gitcd.model.declaration import Identity
    from gitcd.usecases.rollback import RollbackRequest, Sources
    from gitcd.usecases.workspace import Workspace


@click.command(
    "rollback",
    epilog=options.examples(
        "rollback prod/tiles/tiles --dry-run REPO",
        "rollback prod/tiles/tiles --to 1.4.2 --reason 'zoom 14 is empty' REPO",
    ),
)
@options.app
@options.bare_repository
@options.environments
@click.option("--to", metavar="VERSION", default="",
              help="A version that git held there, or the beginning of its digest.")  # fmt: skip
@click.option("--last-good", is_flag=True,
              help="What the cluster found healthy last; where it knows of none, what git held before.")  # fmt: skip
@options.hold_field("--until", metavar="TIME", help="End of the hold: a date, or a time with its zone.")
@options.because
@click.option("--any-platform", is_flag=True,
              help="Go back even where the image may not fit the nodes that the present one runs on.")  # fmt: skip
@click.option("--pr", "by_pull", is_flag=True, help="Propose it by pull request; by default as the environment says.")
@click.option("--dry-run", is_flag=True, help="Show what would be committed or proposed, and write nothing.")
@options.kubernetes
@options.access
@options.registry
@options.output("table", "json", "yaml", "name")
@options.verb
def command(console: Console, form: Any, **arguments: Any) -> int:
    """Take APP back to what git held before, and hold off what it leaves.

    One commit writes the former image into every place and a hold file that rejects the present one, and what the tag
    names, so that no run brings it back before it is released, its time is over, or the tag moves on. Asked again it
    stays: --to names a step further back. The declarations of a group go back together. Gates and frozen environments
    do not stand in the way; holds do. An environment that is delivered by pull request gets one for this alone.
    """
    if arguments["to"] and arguments["last_good"]:
        raise click.UsageError("--to and --last-good exclude each other")
    run = session.workspace(arguments)
    with run.open(local=False) as target:
        return _rolled_back(console, form, run, session.mirror(target, in_place=False), arguments)


def _rolled_back(console: Console, form: Any, run: Workspace, mirror: Mirror, arguments: dict[str, Any]) -> int:
    from gitcd.usecases.deliver_desk import open_desk
    from gitcd.usecases.promote import Pen
    from gitcd.usecases.rollback import preview_rollback, rollback

    pen, context = Pen(run.author, run.templates, open_desk(run, mirror), run.run), run.context(mirror)
    request, sources = _request(console, arguments), _sources(run, mirror, arguments)
    if arguments["dry_run"]:
        plan = preview_rollback(mirror, context, request, sources, pen).plan
        return rehearsed(console, form, plan, check=False)
    published = rollback(mirror, context, request, sources, pen)
    return tell_published(console, form, mirror, published)


def _request(console: Console, arguments: dict[str, Any]) -> RollbackRequest:
    from gitcd.usecases.rollback import RollbackRequest

    by = session.author(console, arguments["by"])
    names = ("app", "to", "reason", "until", "any_platform", "by_pull")
    return RollbackRequest(by=by, environments=arguments["environment"], **{name: arguments[name] for name in names})


def _sources(run: Workspace, mirror: Mirror, arguments: dict[str, Any]) -> Sources:
    from gitcd.registry.any_tags import AnyTags
    from gitcd.usecases.registry_access import registry_settings
    from gitcd.usecases.rollback import Sources

    def good(identity: Identity) -> str:
        from gitcd.cluster.access import find_access
        from gitcd.cluster.api import Api
        from gitcd.usecases.rollout_orders import last_good

        access = (arguments["kubeconfig"], arguments["context"])
        return last_good(lambda: Api(find_access(*access), deadline=run.deadline), identity, run.settings)

    sources = Sources(lambda: run.history(mirror), AnyTags(registry_settings(run.settings)).manifests)
    return replace(sources, good=good) if arguments["last_good"] else sources
