"""`gitcd migrate`: declarations for gitcd out of what other tools were told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from gitcd.cli import options, output
from gitcd.cli.terminal import Console
from gitcd.errors import ExitCode

if TYPE_CHECKING:
    from gitcd.usecases.migrate import Migrated


@click.command("migrate")
@click.argument("path", type=click.Path(exists=True, allow_dash=True), default=".",
                help="A file, a folder, or - for standard input; default: the current folder.")  # fmt: skip
@click.option("--tool", type=click.Choice(["argocd-image-updater", "flux"]),
              help="Read what this tool is told in the repository below PATH, instead of old documents.")  # fmt: skip
@click.option("--in-place", is_flag=True, help="Write old documents anew in their files; committing is left to you.")
@options.verb
def command(console: Console, path: str, tool: str | None, *, in_place: bool) -> int:
    """Turn what other tools were told into declarations for gitcd.

    Without --tool, documents of cvmanager and kcd (custom.k8s.io/v1) are printed in the form of today. The new
    documents mean what the old ones did, with the old defaults written out. Comments stay, and so does whatever else
    stands in a file. Fields that have no successor are named on stderr.

    With --tool, PATH is a folder of a config repository that another tool works on. Printed are a gitcd.yaml and
    declarations that follow the same images in the same places; what has no counterpart is named on stderr.
    """
    from gitcd.usecases.migrate import STDIN

    if in_place and (tool or path == STDIN):
        what = "what --tool prints is new" if tool else "standard input is no file"
        raise click.UsageError(f"--in-place writes old documents anew in their files, and {what}")
    return _from_tool(console, tool, path) if tool else _from_old(console, path, in_place=in_place)


def _from_tool(console: Console, tool: str, path: str) -> int:
    from gitcd.usecases.migrate_tools import migrate_from, render

    drafted = migrate_from(tool, path)
    for note in drafted.notes:
        console.warn(str(note))
    console.out.write_data(render(drafted))
    found = output.counted(len(drafted.drafts), "declaration")
    remarks = output.counted(len(drafted.notes), "remark")
    console.say(f"{found}, {remarks}" if drafted.drafts else f"there is nothing of {tool} below {path} to follow")
    return ExitCode.OK


def _from_old(console: Console, path: str, *, in_place: bool) -> int:
    from gitcd.usecases.migrate import migrate, write

    results = migrate(path)
    for problem in (problem for each in results for problem in each.problems):
        console.error(str(problem))
    for problem in (problem for each in results for problem in each.lost):
        console.warn(str(problem))
    if in_place:
        write(path, results)
    else:
        _print(console, results)
    summary = _summary(results, "wrote" if in_place else "migrated")
    console.say(summary or "there is nothing of cvmanager to migrate; for Argo CD Image Updater or Flux give --tool")
    return ExitCode.ITEMS_FAILED if any(each.problems for each in results) else ExitCode.OK


def _summary(results: Sequence[Migrated], verb: str) -> str:
    changed = [each for each in results if each.is_changed]
    count = output.counted(sum(each.documents for each in changed), "document")
    done = [f"{verb} {count} in {output.counted(len(changed), 'file')}"] if changed else []
    if left := sum(bool(each.problems) for each in results):
        done.append(f"left {output.counted(left, 'file')} alone")
    return ", ".join(done)


def _print(console: Console, results: Sequence[Migrated]) -> None:
    """One file as it is; several one after another, each below its path."""
    for each in (each for each in results if not each.problems):
        text = each.after
        if len(results) > 1:
            head = b"" if text.startswith(b"---") else b"---\n"
            text = b"# %s\n" % each.path.encode() + head + text + (b"" if text.endswith(b"\n") else b"\n")
        if console.out.write_bytes(text):
            console.warn(
                f"{each.path}: what looks like a secret was masked on stdout; --in-place writes the file as it is"
            )
