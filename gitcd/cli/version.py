"""`gitcd version`: what to write on top of a report."""

from __future__ import annotations

import sys
from typing import Any

import click

from gitcd import __version__
from gitcd.cli import options, output
from gitcd.cli.terminal import Console


@click.command("version")
@options.output("table", "json", "yaml")
@options.verb
def command(console: Console, form: Any) -> None:
    """Print the versions of gitcd, and of the Python and git that it runs with."""
    from gitcd.cli.diagnostics import git_version

    versions = {"gitcd": __version__, "python": sys.version.split()[0], "git": git_version()}
    if form == "table":
        console.out.write("".join(f"{name} {version}\n" for name, version in versions.items()))
    else:
        output.write_document(console.out, output.document("Version", **versions), form)
