"""Changes of tags, carried out with a journal and reported: what the writing commands of `gitcd ecr-tags` share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from gitcd.cli.terminal import Console
from gitcd.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from gitcd.model.reference import Repository
    from gitcd.model.registry import Failure
    from gitcd.registry.tags import EcrTags
    from gitcd.usecases.journal import Journal
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
    with _journal(console, registry, next(iter(orders), None), arguments) as journal, _telling(console, journal):
        changes = every(registry, list(orders), lambda repository: orders[repository](journal.record))
    details = {"run": journal.run, "dryRun": arguments["dry_run"]}
    stream = console.err if arguments["journal"] == "-" else console.out
    ecr_report.show_changes(console, stream, form, changes, details, problems=problems)
    _tell_lost(console, journal)
    return ExitCode.ITEMS_FAILED if journal.lost else exit_code(changes, problems)


@contextmanager
def _journal(
    console: Console, registry: EcrTags, repository: Repository | None, arguments: Mapping[str, Any]
) -> Iterator[Journal]:
    """The journal as the flags ask for it; opened before anything is moved."""
    from gitcd.usecases.journal import Journal, actor, appending, appending_to, new_run
    from gitcd.usecases.tagging import caller

    arn = caller(registry, repository) if repository and arguments["caller_identity"] else ""
    by, run = map(console.err.clean, (arguments["by"] or actor(os.environ), arguments["run"] or new_run()))
    path = arguments["journal"]
    if not path or arguments["dry_run"]:
        yield Journal(_nowhere, by, run, arn)
    elif path == "-":
        yield Journal(appending_to(_stdout()), by, run, arn)
    else:
        with appending(path) as append:
            yield Journal(append, by, run, arn)


@contextmanager
def _telling(console: Console, journal: Journal) -> Iterator[None]:
    """Say what was done so far where the rest never came to be: a signal, or a set-up that is wrong."""
    from gitcd.cli import ecr_report

    try:
        yield
    except BaseException:
        if journal.made:
            console.err.write(ecr_report.changes_table(journal.made))
        _tell_lost(console, journal)
        raise


def _tell_lost(console: Console, journal: Journal) -> None:
    for line, reason in journal.lost:
        console.error(f"the journal could not be written: {reason}", f"The line was: {line}")


def _stdout() -> int:
    """The number of the process's stdout; closed, its number may stand for any other file by now."""
    if sys.stdout is None:
        raise ConfigError("the journal cannot be written: stdout is closed")
    return sys.stdout.fileno()


def _nowhere(_line: bytes) -> None:
    """No journal was asked for."""
