"""`gitcd doctor`: everything that a run needs, tried."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from gitcd.cli import options, output, session
from gitcd.cli.terminal import Console
from gitcd.errors import ExitCode, as_sentence

if TYPE_CHECKING:
    from gitcd.usecases.doctor import Check

_STYLES = {"ok": "green", "warning": "yellow", "failed": "red"}


@click.command("doctor")
@options.repository
@options.selection
@options.source
@options.registry
@options.output("table", "json", "yaml")
@options.verb
def command(console: Console, form: Any, **arguments: Any) -> int:
    """Check git, credentials, the registry and permissions, each with a remedy.

    Nothing is written, neither here nor there. With --environment or --app only that is asked for which these need.
    """
    from gitcd.model.plan import exit_code
    from gitcd.usecases.doctor import Verdict, examine

    checks = []
    for check in examine(session.workspace(arguments), session.selection(arguments)):
        checks.append(check)
        if form == "table":
            _show(console, check)
    if form != "table":
        output.write_document(console.out, output.document("Examination", checks=list(map(_item, checks))), form)
    failed = [check for check in checks if check.verdict is Verdict.FAILED]
    return exit_code(ExitCode.TRANSIENT if check.transient else ExitCode.ITEMS_FAILED for check in failed)


def _item(check: Check) -> dict[str, Any]:
    return asdict(check) | {"verdict": check.verdict.value}


def _show(console: Console, check: Check) -> None:
    """One check, as soon as it is done."""
    remedy = textwrap.indent(f"{as_sentence(check.remedy)}\n", " " * 9) if check.remedy else ""
    clean = console.out.clean
    console.out.write_styled(
        [(f"{check.verdict:7}", _STYLES[check.verdict]), (clean(f"  {check.name}: {check.message}\n{remedy}"), "")]
    )
