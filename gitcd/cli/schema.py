"""`gitcd schema`: the JSON Schemas of all documents, input and output, and the definition for clusters."""

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
DEFINITION = "CRD"


@click.command("schema")
@click.argument("kind", type=click.Choice([*KINDS, DEFINITION], case_sensitive=False), default=KINDS[0],
                metavar="[KIND]",
                help=f"{', '.join(KINDS)} or {DEFINITION}, in any case; default: {KINDS[0]}.")  # fmt: skip
@options.verb
def command(console: Console, kind: str) -> None:
    """Print the JSON Schema of a kind of document, for editors and other checkers.

    CRD prints the CustomResourceDefinition of ContainerVersion, for `gitcd schema crd | kubectl apply --server-side
    -f -`.
    """
    console.out.write_data(_definition() if kind == DEFINITION else json.dumps(_schema(kind), indent=2) + "\n")


def _definition() -> str:
    from gitcd.manifests.dump import to_yaml
    from gitcd.model.crd import custom_resource_definition

    return to_yaml(custom_resource_definition())


def _schema(kind: str) -> object:
    from gitcd.model import document
    from gitcd.model.schema import json_schema

    if kind in document.SCHEMAS:
        return document.SCHEMAS[kind]()
    module, name = SOURCES[kind]
    return json_schema(getattr(import_module(f"gitcd.model.{module}"), name), title=kind)
