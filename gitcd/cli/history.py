"""`gitcd history`: who moved what, when, and from where to where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gitcd.cli import completing, options, output, session
from gitcd.cli.terminal import Console
from gitcd.errors import ExitCode

if TYPE_CHECKING:
    from gitcd.usecases.status_history import Event

_HEADER = ("TIME", "APP", "ENVIRONMENT", "WHAT", "CHANGE", "DIGEST", "BY", "COMMIT")


@click.command("history")
@click.argument("app", required=False, help=f"{options.APP_HELP} Without it, of all.", shell_complete=completing.apps)
@options.repository
@options.environments
@click.option("--limit", metavar="N", type=click.IntRange(min=0), default=30, show_default=True,
              help="At most so many; 0: all.")  # fmt: skip
@options.access
@options.output("table", "json", "yaml")
@options.verb
def command(console: Console, form: Any, **arguments: Any) -> int:
    """Show who moved APP, when, and from where to where, newest first.

    Read from the history of the branch: what it came to deploy counts, whether gitcd wrote it or a person. What a side
    branch brought is told of as its merge. An operand with a colon, or that begins with a dot or a slash, is REPO.
    """
    from gitcd.usecases.context import Selection
    from gitcd.usecases.keeping import source_of
    from gitcd.usecases.status_history import events

    if not arguments["repo"] and options.is_place(arguments["app"] or ""):
        arguments |= {"app": "", "repo": arguments["app"]}
    apps = frozenset({arguments["app"]} if arguments["app"] else ())
    run = session.workspace(arguments)
    with run.open() as target:
        selection = Selection(frozenset(arguments["environment"]), apps)
        most = arguments["limit"]
        seen = events(source_of(run, target), selection, most and most + 1)  # one more tells whether these are all
    found = seen[:most] if most else seen
    if form == "table":
        console.out.write(output.table(_HEADER, map(_row, found)))
    else:
        output.write_document(console.out, output.document("History", items=list(map(_item, found))), form)
    more = "; there are more, --limit 0 shows all" if len(seen) > len(found) else ""
    console.say(f"{output.counted(len(found), 'change')}{more}")
    return ExitCode.OK


def _row(event: Event) -> tuple[str, ...]:
    from gitcd.model.reference import brief, short

    change = brief(event.new) or "-"
    if event.old and event.old != event.new:
        change = f"{brief(event.old)} -> {change}"
    return (
        f"{event.when:%Y-%m-%d %H:%M}", event.identity.app, event.identity.environment, event.act, change,
        short(event.new_digest) or "-", event.by, event.commit[:10],
    )  # fmt: skip


def _item(event: Event) -> dict[str, Any]:
    identity = event.identity
    return {
        "identity": {"environment": identity.environment, "namespace": identity.namespace, "name": identity.name},
        "time": event.when.isoformat(),
        "commit": event.commit,
        "by": event.by,
        "act": event.act,
        "subject": event.subject,
        "old": {"version": event.old, "digest": event.old_digest},
        "new": {"version": event.new, "digest": event.new_digest},
    }
