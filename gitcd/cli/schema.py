"""`gitcd schema`: the JSON Schemas of all documents, input and output."""

from __future__ import annotations

import json
from importlib import import_module

import click

from gitcd.cli import options
from gitcd.cli.terminal import Console

SOURCES = {
    "ContainerVersion": ("declaration", "Document"),
    "ConfigRepository": ("layout", "ConfigRepository"),
    "Hold": ("hold", "Hold"),
    "Settings": ("settings", "Settings"),
}
KINDS = (*SOURCES, "Plan", "Report")


@click.command("schema")
@click.argument("kind", type=click.Choice(KINDS, case_sensitive=False), default=KINDS[0])
@options.verb
def command(console: Console, kind: str) -> None:
    """Print the JSON Schema of a kind of document, for editors and other checkers.

    KIND is ContainerVersion where none is given.
    """
    console.out.write_data(json.dumps(_schema(kind), indent=2) + "\n")


def _schema(kind: str) -> object:
    from gitcd.model import document
    from gitcd.model.schema import json_schema

    if kind in document.SCHEMAS:
        return document.SCHEMAS[kind]()
    module, name = SOURCES[kind]
    return json_schema(getattr(import_module(f"gitcd.model.{module}"), name), title=kind)
