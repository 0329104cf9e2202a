"""`gitcd hold`: keep a declaration from moving, by a file in the config repository."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from gitcd.cli import completing, options, output, session
from gitcd.cli.terminal import Console, write_diff
from gitcd.errors import ConfigError, ExitCode, RefusedError, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gitcd.git.mirror import Mirror
    from gitcd.git.worktree import WorkTree
    from gitcd.model.tree import Tree
    from gitcd.usecases.context import Context
    from gitcd.usecases.holding import Held
    from gitcd.usecases.holding_list import Listed
    from gitcd.usecases.publish import Published
    from gitcd.usecases.workspace import Target, Workspace

    Compute = Callable[[Tree, Context], Held]

_HEADER = ("APP", "HOLD", "SINCE", "UNTIL", "BY", "REASON", "STATE")
_SAYING = ("reject", "version", "until", "reason", "by", "in_place")


@click.command(
    "hold",
    epilog=options.examples(
        "hold prod/tiles/tiles --reason 'zoom 14 is empty' --until 2027-01-02 REPO",
        "hold prod/tiles/tiles --reject DIGEST --version 1.5.0 REPO",
        "hold --list REPO",
    ),
)
@click.argument("app", required=False, help=options.APP_HELP, shell_complete=completing.apps)
@options.held_repository
@options.environments
@click.option("--list", "lists", is_flag=True, help="List all that is held in REPO, or was, and change nothing.")
@click.option("--reject", metavar="DIGEST", default="", help="Refuse this digest only; without it every move stops.")
@click.option("--version", "version", metavar="VERSION", default="", help="What people call the rejected digest.")
@options.hold_field("--until", metavar="TIME", help="End of the hold: a date, or a time with its zone.")
@options.because
@options.in_place
@options.either_source
@options.output("table", "json", "yaml", "name")
@options.verb
def command(console: Console, form: Any, **arguments: Any) -> int:
    """Keep a declaration from moving until it is released, or list what is held: `gitcd hold --list [REPO]`.

    The hold is a file in the config repository, which every run honours. It is committed and pushed; with --in-place it
    is written into a work tree instead.
    """
    from gitcd.usecases.holding import HoldRequest, hold

    if arguments["lists"]:
        return _list(console, form, arguments)
    if not arguments["app"] or options.is_place(arguments["app"]):
        missing = "say what to hold: APP is missing; a whole environment is stopped by its freeze in gitcd.yaml"
        raise click.UsageError(missing, click.get_current_context())
    details = {name: arguments[name] for name in ("app", "reject", "version", "reason", "until")}
    details |= {"by": session.author(console, arguments["by"]), "environments": arguments["environment"]}
    return carry_out(
        console,
        form,
        arguments,
        lambda tree, context: hold(tree, HoldRequest(**details), context.now, context.source),
    )


def _list(console: Console, form: Any, arguments: dict[str, Any]) -> int:
    from gitcd.usecases.holding_list import list_holds

    operands = [each for each in (arguments["app"], arguments["repo"]) if each]
    if len(operands) > 1 or any(arguments[name] for name in _SAYING):
        raise click.UsageError("--list takes REPO and nothing that is to be held", click.get_current_context())
    run = session.workspace(arguments | {"repo": operands[0] if operands else None})
    with run.open() as target:
        rows = list_holds(session.tree(target), run.now, arguments["environment"])
    if form == "table":
        console.out.write(output.table(_HEADER, map(_row, rows)))
    elif form == "name":
        output.write_names(console.out, dict.fromkeys(row.subject for row in rows))
    else:
        output.write_document(console.out, output.document("HoldList", items=list(map(_item, rows))), form)
    console.say(output.counted(len(rows), "hold") if rows else "nothing is held")
    return ExitCode.OK


def _row(row: Listed) -> tuple[str, ...]:
    held = row.held
    cells = (
        row.subject,
        held.what,
        held.since,
        held.until,
        held.by,
        held.reason,
        "; ".join(filter(None, (held.state, row.note))),
    )
    return tuple(cell or "-" for cell in cells)


def _item(row: Listed) -> dict[str, Any]:
    return {
        "subject": row.subject,
        "file": row.file,
        "note": row.note,
        **asdict(row.held),
        "state": row.held.state.value,
    }


def carry_out(console: Console, form: Any, arguments: dict[str, Any], compute: Compute) -> int:
    """Write the hold file that is computed into the work tree, or commit it to the branch; say what was done."""
    from gitcd.usecases.publish import Published

    in_place = arguments["in_place"]
    run = session.workspace(arguments)
    if not (in_place or run.settings.repo):
        raise ConfigError(
            "no config repository is named",
            remedy="Give a bare repository or an address as the last operand, or set GITCD_REPO; or write into the "
            "files of a work tree, by default the current folder, with --in-place.",
        )
    source = session.cluster(run, arguments)
    with run.open(local=in_place) as target:
        context = session.sourced(run.context(target), source)
        if in_place:
            published = Published(_written(session.work_tree(target), compute, context))
        else:
            published = _committed(run, session.mirror(target), compute, context)
        where = "" if published.failure else _where(target, published)
    if failure := published.failure:
        raise (TransientError if failure.transient else RefusedError)(failure.message, remedy=failure.remedy)
    _show(console, form, published.work, published.commits)
    if note := published.work.note:
        console.warn(note)
    if where:
        console.say(where)
    return ExitCode.OK


def _where(target: Target, published: Published[Held]) -> str:
    """What was done where, for people; empty where nothing was."""
    from gitcd.git.worktree import WorkTree

    change = published.work.change
    if change is None:
        return ""
    if isinstance(target, WorkTree):
        done = "removed" if change.after is None else "wrote"
        return f"{done} {target.root / change.path}; committing it is left to you"
    return f"committed {published.commits[-1][:12]} and pushed it to {target.branch} of {target.remote}"


def _written(tree: WorkTree, compute: Compute, context: Context) -> Held:
    from gitcd.usecases import holding

    held = compute(tree, context)
    holding.write(tree, held)
    return held


def _committed(run: Workspace, mirror: Mirror, compute: Compute, context: Context) -> Published[Held]:
    from gitcd.usecases import holding

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
