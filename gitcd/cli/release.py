"""`gitcd release`: let a held declaration move again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gitcd.cli import options, session
from gitcd.cli.hold import carry_out
from gitcd.cli.terminal import Console

if TYPE_CHECKING:
    from gitcd.model.tree import Tree
    from gitcd.usecases.context import Context
    from gitcd.usecases.holding import Held


@click.command("release")
@options.app
@options.held_repository
@options.environments
@options.because
@options.in_place
@options.either_source
@options.output("table", "json", "yaml", "name")
@options.verb
def command(console: Console, form: Any, **arguments: Any) -> int:
    """Let a held declaration move again.

    A hold file is removed; where a revert in git is what holds, a file says from now on that the reverted digest may
    come again. The change is committed and pushed; with --in-place it is written into a work tree instead.
    """
    from gitcd.usecases.holding import release

    app, environments, reason = arguments["app"], arguments["environment"], arguments["reason"]
    by = session.author(console, arguments["by"])

    def compute(tree: Tree, context: Context) -> Held:
        return release(
            tree,
            app,
            context.recall,
            by=by,
            reason=reason,
            now=context.now,
            source=context.source,
            environments=environments,
        )

    return carry_out(console, form, arguments, compute)
