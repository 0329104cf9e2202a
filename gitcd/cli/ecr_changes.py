"""Changes of tags, carried out with a journal and reported: what the writing commands of `gitcd ecr-tags` share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from gitcd.cli.terminal import Console
from gitcd.errors import ExitCode

if TYPE_CHECKING:
    from gitcd.model.reference import Repository
    from gitcd.model.registry import Failure
    from gitcd.registry.tags import EcrTags
    from gitcd.usecases.journal import Append, Journal
    from gitcd.usecases.tagging import Record, TagChange

Order = Callable[["Record"], "Sequence[TagChange]"]


def check_outputs(arguments: Mapping[str, Any], form: str) -> None:
    """A journal on stdout leaves no room for data there."""
    if arguments["journal"] == "-" and form != "table":
        raise click.UsageError("--journal - takes stdout for itself, so --output has to be table, on stderr")


def carry_out(
    console: Console,
    form: Any,
    arguments: Mapping[str, Any],
    registry: EcrTags,
    orders: Mapping[Repository, Order],
    *,
    problems: Sequence[Failure] = (),
) -> int:
    """Carry out what is ordered for each repository and report it, with what kept more from being ordered."""
    from gitcd.cli import ecr_report
    from gitcd.usecases.tagging import every, exit_code

    check_outputs(arguments, form)
    with _journal(console, registry, next(iter(orders), None), arguments) as journal:
        changes = every(list(orders), lambda repository: orders[repository](journal.record))
    details = {"run": journal.run, "dryRun": arguments["dry_run"]}
    stream = console.err if arguments["journal"] == "-" else console.out
    ecr_report.show_changes(console, stream, form, changes, details, problems=problems)
    for line, reason in journal.lost:
        console.error(f"the journal could not be written: {reason}", f"The line was: {line}")
    return ExitCode.ITEMS_FAILED if journal.lost else exit_code(changes, problems)


@contextmanager
def _journal(
    console: Console, registry: EcrTags, repository: Repository | None, arguments: Mapping[str, Any]
) -> Iterator[Journal]:
    """The journal as the flags ask for it; opened before anything is moved."""
    from gitcd.usecases.journal import Journal, actor, appending, new_run
    from gitcd.usecases.tagging import caller

    arn = caller(registry, repository) if repository and arguments["caller_identity"] else ""
    by, run = map(console.err.clean, (arguments["by"] or actor(os.environ), arguments["run"] or new_run()))
    path = arguments["journal"]
    if path and path != "-" and not arguments["dry_run"]:
        with appending(path) as append:
            yield Journal(append, by, run, arn)
    else:
        yield Journal(_to_stdout(console) if path == "-" else _nowhere, by, run, arn)


def _to_stdout(console: Console) -> Append:
    return lambda line: console.out.write_data(line.decode())


def _nowhere(_line: bytes) -> None:
    """No journal was asked for."""
