"""`gitcd hold`: keep a declaration from moving, by a file in the config repository."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gitcd.cli import options, output, session
from gitcd.cli.terminal import Console, write_diff
from gitcd.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from gitcd.model.tree import Tree
    from gitcd.usecases.holding import Held
    from gitcd.usecases.planner import Context
    from gitcd.usecases.publish import Published
    from gitcd.usecases.workspace import Target, Workspace

    Compute = Callable[[Tree, Context], Held]


@click.command("hold")
@options.app
@options.repository
@click.option("--reject", metavar="DIGEST", default="", help="Refuse this digest only; without it every move stops.")
@click.option("--version", "version", metavar="VERSION", default="", help="What people call the rejected digest.")
@options.hold_field("--until", metavar="TIME", help="End of the hold: a date, or a time with its zone.")
@options.because
@options.in_place
@options.source
@options.output("table", "json", "yaml", "name")
@options.verb
def command(console: Console, form: Any, **arguments: Any) -> int:
    """Keep a declaration from moving until it is released.

    The hold is a file in the config repository, in a commit of its own; every run honours it.
    """
    from gitcd.usecases.holding import HoldRequest, hold

    details = {name: arguments[name] for name in ("app", "reject", "version", "reason", "by", "until")}
    return carry_out(console, form, arguments, lambda tree, context: hold(tree, HoldRequest(**details), context.now))


def carry_out(console: Console, form: Any, arguments: dict[str, Any], compute: Compute) -> int:
    """Write the hold file that is computed into the work tree, or commit it to the branch; say what was done."""
    from gitcd.usecases.publish import Published

    in_place = arguments["in_place"]
    run = session.workspace(arguments)
    with run.open(local=in_place) as target:
        published = Published(_written(run, target, compute)) if in_place else _committed(run, target, compute)
    if failure := published.failure:
        console.error(failure.message, failure.remedy)
        return ExitCode.TRANSIENT if failure.transient else ExitCode.ITEMS_FAILED
    _show(console, form, published.work, published.commits)
    return ExitCode.OK


def _written(run: Workspace, target: Target, compute: Compute) -> Held:
    from gitcd.usecases import holding

    tree = session.work_tree(target)
    held = compute(tree, run.context(tree))
    holding.write(tree, held)
    return held


def _committed(run: Workspace, target: Target, compute: Compute) -> Published[Held]:
    from gitcd.usecases import holding

    mirror = session.mirror(target)
    context = run.context(mirror)
    return holding.commit(mirror, lambda tree, _tip: compute(tree, context), run.author, run.now)


def _show(console: Console, form: Any, held: Held, commits: tuple[str, ...]) -> None:
    from gitcd.rendering.diff import unified

    changes = [held.change] if held.change else []
    if form == "table":
        write_diff(console.out, unified(changes))
    elif form == "name":
        output.write_names(console.out, [str(held.identity)] if changes else [])
    else:
        files = [change.path for change in changes]
        fields = {"app": str(held.identity), "message": held.said, "files": files, "commits": list(commits)}
        output.write_document(console.out, output.document("HoldChange", **fields), form)
    console.say(held.said)
