"""`gitcd config show`: the operator's settings as this run would use them."""

from __future__ import annotations

import json
import os
from typing import Any

import click

from gitcd.cli import options, output, session
from gitcd.cli.terminal import Console


@click.group("config")
def command() -> None:
    """Show the settings in force, and where each comes from."""


@command.command("show")
@options.repository
@options.source
@options.registry
@click.option("--origin", is_flag=True, help="Say where each value comes from: a flag, a variable, a file, a default.")
@options.output("table", "json", "yaml")
@options.verb
def show(console: Console, form: Any, origin: bool, **arguments: Any) -> None:
    """Show every setting with its value; secrets are masked."""
    from gitcd.usecases.settings import load

    rows = load(session.settings_flags(arguments), os.environ).rows()
    if form == "table":
        header = ["SETTING", "VALUE", *(["ORIGIN"] if origin else [])]
        cells = [[row.key, _shown(row.value), *([row.origin] if origin else [])] for row in rows]
        console.out.write(output.table(header, cells))
    else:
        items = [{"key": row.key, "value": row.value, **({"origin": row.origin} if origin else {})} for row in rows]
        output.write_document(console.out, output.document("SettingsInForce", settings=items), form)


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
