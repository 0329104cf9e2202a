"""`gitcd status`: what every environment deploys, from git alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from gitcd.cli import options, output, session
from gitcd.cli.terminal import Console
from gitcd.errors import ExitCode

if TYPE_CHECKING:
    from datetime import datetime

    from gitcd.model.overview import Item, Overview
    from gitcd.usecases.workspace import Target, Workspace

_HEADER = ("APP", "ENVIRONMENT", "VERSION", "DIGEST", "AGE", "STATE")
_RUNNING = ("RUNS", "PODS")  # before the last column


@click.command(
    "status",
    epilog=options.examples(
        "status .",
        "status -e prod --tags --live REPO",
        "status -o html REPO > status.html",
    ),
)
@options.repository
@options.selection
@click.option(
    "--tags", is_flag=True, help="Ask the registry too what the followed tags name, and tell where that differs."
)
@click.option("--live", is_flag=True, help="Look into the cluster too: what runs there, and how its rollouts stand.")
@options.kubernetes
@options.access
@options.registry
@options.output("table", "json", "yaml", "name", "html")
@options.verb
def command(console: Console, form: Any, **arguments: Any) -> int:
    """Show what every environment deploys, since when, and what keeps it there.

    All of it is read from git; the registry is asked with --tags alone, the cluster with --live. -o html is a page in
    one file, to be sent or served as it is.
    """
    from gitcd.git.mirror import Mirror
    from gitcd.usecases.keeping import source_of
    from gitcd.usecases.pulls import proposals
    from gitcd.usecases.status import BROKEN, UNCLEAR, Beside, overview

    run = session.workspace(arguments)
    with run.open() as target:
        source = source_of(run, target)
        waiting = proposals(target) if isinstance(target, Mirror) else ()
        beside = Beside(waiting, run.ask if arguments["tags"] else None)
        found = overview(source, session.selection(arguments), run.now, base=_tip(target), beside=beside)
        title = _title(target)
    if arguments["live"]:
        found = _looked_into(found, run, arguments)
    _show(console, form, found, title, run)
    for warning in found.warnings:
        console.warn(warning)
    console.say(_closing_line(found))
    return ExitCode.ITEMS_FAILED if any(item.has(BROKEN, UNCLEAR) for item in found.items) else ExitCode.OK


def _looked_into(found: Overview, run: Workspace, arguments: dict[str, Any]) -> Overview:
    from gitcd.cluster.access import find_access
    from gitcd.cluster.api import Api
    from gitcd.usecases.status_live import with_running

    api = Api(find_access(arguments["kubeconfig"], arguments["context"]), deadline=run.deadline)
    return with_running(found, api, run.settings)


def _tip(target: Target) -> str:
    from gitcd.git.mirror import Mirror

    return target.tip if isinstance(target, Mirror) else ""


def _title(target: Target) -> str:
    """What people call the repository."""
    from gitcd.git.mirror import Mirror

    where = str(target.remote) if isinstance(target, Mirror) else str(target.root)
    return os.path.basename(where.rstrip("/")).removesuffix(".git") or where  # noqa: PTH119 - it may be an address


def _show(console: Console, form: Any, found: Overview, title: str, run: Workspace) -> None:
    if form == "html":
        from gitcd.rendering.status_page import page

        console.out.write_data(page(found, title=title, now=run.now, folder=run.templates))
    elif form == "table":
        for environment in found.environments:
            if environment.frozen:
                console.warn(f"environment {environment.name} is {environment.frozen}")
        looked = any(item.running for item in found.items)
        header = (*_HEADER[:-1], *_RUNNING, _HEADER[-1]) if looked else _HEADER
        console.out.write(output.table(header, (_row(item, run.now, looked=looked) for item in found.items)))
    elif form == "name":
        output.write_names(console.out, (str(item.identity) for item in found.items))
    else:
        output.write_document(console.out, _document(found), form)


def _row(item: Item, now: datetime, *, looked: bool) -> tuple[str, ...]:
    from gitcd.model.reference import brief, short
    from gitcd.rendering.status_page import age

    since = age(now - item.since.when) if item.since else "-"
    states = "; ".join(f"{state.kind}: {state.text}" for state in item.states)
    identity = item.identity
    return (
        identity.app.strip("/") or "-", identity.environment or "-", brief(item.version) or "-",
        short(item.digest) or "-", since, *(_running(item) if looked else ()), states or "-",
    )  # fmt: skip


def _running(item: Item) -> tuple[str, str]:
    from gitcd.model.reference import brief

    if item.running is None:
        return "-", "-"
    return " + ".join(map(brief, item.running.names)) or "-", str(item.running.pods)


def _closing_line(found: Overview) -> str:

    environments = output.counted(len(found.environments), "environment")
    parts = [f"{output.counted(len(found.items), 'declaration')} in {environments}"]
    parts += [f"{number} {output.worded(kind)}" for kind, number in found.counts().items()]
    parts += [f"{output.counted(len(apps), 'app')} not the same everywhere"] if (apps := found.differing()) else []
    return ", ".join(parts) if found.items else "no ContainerVersion found; `gitcd schema` shows what one may say"


def _document(found: Overview) -> dict[str, Any]:

    environments = [
        {"name": each.name, "promoteFrom": each.promote_from, "frozen": each.frozen} for each in found.environments
    ]
    items = list(map(_item, found.items))
    return output.document(
        "Status",
        base=found.base,
        environments=environments,
        items=items,
        differing=found.differing(),
        warnings=list(found.warnings),
    )


def _item(item: Item) -> dict[str, Any]:
    identity, since = item.identity, item.since
    return {
        "identity": {"environment": identity.environment, "namespace": identity.namespace, "name": identity.name},
        "repository": item.repository,
        "tag": item.tag,
        "version": item.version,
        "digest": item.digest,
        "since": dict(_since(item)) if since else None,
        "states": [{"kind": state.kind, "text": state.text} for state in item.states],
        "places": list(item.where),
        **({"running": asdict(item.running)} if item.running else {}),
    }


def _since(item: Item) -> Iterator[tuple[str, str]]:
    if since := item.since:
        yield from (("time", since.when.isoformat()), ("commit", since.commit), ("by", since.by), ("act", since.act))
