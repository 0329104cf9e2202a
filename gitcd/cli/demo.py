"""`gitcd demo`: the main job on this machine, with nothing but what it brings along."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from textwrap import indent
from typing import TYPE_CHECKING

import click

from gitcd.cli import options
from gitcd.cli.terminal import Console
from gitcd.errors import ExitCode

if TYPE_CHECKING:
    from gitcd.usecases.demo import Stage

_FOREIGN = ("GITCD_", "AWS_ENDPOINT_URL")


@click.command("demo")
@options.verb
def command(console: Console) -> int:
    """Try everything on this machine, without an account.

    Starts a local stand-in for Amazon ECR, makes a bare remote of the example repository, and takes it through a diff,
    a reconcile, a moved tag and a human's revert, by the commands that you would type. Nothing is left behind.
    """
    from gitcd.usecases.demo import stage

    console.say("Setting up a local ECR and a bare remote …")
    with stage(console.err.show_status) as scene, _environment(scene) as remote:
        console.err.clear_status()
        return _Play(console, scene, remote).run()


class _Play:
    """The steps, each told in a line, with the commands that it takes."""

    def __init__(self, console: Console, stage: Stage, remote: str) -> None:
        self._console = console
        self._stage = stage
        self._remote = remote
        self._number = 0
        self._surprises: list[str] = []

    def run(self) -> int:
        self._tell("What would change? Every image that its tag names anew, and nothing else.")
        self._gitcd("diff", expect=ExitCode.DIFFERENCES)
        self._tell("Commit and push it: one commit for each environment, pins apart from new content.")
        self._gitcd("reconcile", expect=ExitCode.OK)
        self._tell("A second run has nothing to do, and makes no commit.")
        self._gitcd("reconcile", expect=ExitCode.OK)
        self._tell("Somebody moves the tag env-prod of atlas/tiles to 1.5.0; the next run brings it to git.")
        self._stage.promote("atlas/tiles", "1.5.0", "env-prod")
        self._gitcd("reconcile", "--app", "prod/tiles/tiles", expect=ExitCode.OK)
        self._tell("This is what its commit says; the last lines are for programs.")
        self._console.out.write(indent(self._stage.last_message().rstrip() + "\n", "    "))
        self._tell("A person reverts that commit. The next run respects it, and says so.")
        self._stage.take_back()
        self._gitcd("reconcile", expect=ExitCode.OK)
        self._tell("Why did it not move?")
        self._gitcd("explain", "prod/tiles/tiles", expect=ExitCode.OK)
        return self._close()

    def _tell(self, text: str) -> None:
        self._number += 1
        self._console.out.write_styled([(f"\n{self._number}. {text}\n", "bold")])

    def _gitcd(self, verb: str, *arguments: str, expect: ExitCode) -> None:
        """Run one command line as a user would, in this process."""
        from gitcd.cli import main

        shown = " ".join(["gitcd", verb, *arguments, "file:///…/config.git"])
        self._console.out.write_styled([(f"$ {shown}\n", "cyan")])
        color = ["--color", "always"] if self._console.out.color else []
        code = main.invoke([verb, *arguments, *color, self._remote], Console())
        self._console.out.write(f"(exit code {int(code)})\n")
        if code != expect:
            self._surprises.append(f"`{shown}` ended with {int(code)} and not with {int(expect)}")

    def _close(self) -> int:
        for surprise in self._surprises:
            self._console.error(surprise)
        if self._surprises:
            return ExitCode.ITEMS_FAILED
        self._console.out.write(
            "\nThat was all of it. Nothing is left behind. To try it on your own repository,\n"
            "add a ContainerVersion beside your manifests (examples/config-repo shows many)\n"
            "and run `gitcd diff .`\n"
        )
        return ExitCode.OK


@contextmanager
def _environment(stage: Stage) -> Iterator[str]:
    """The commands of the demo talk to its own registry and keep their mirror in its own folder."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="gitcd-demo-") as cache:
        try:
            _replace(
                _without(os.environ, _FOREIGN)
                | {
                    "GITCD_CACHE_DIR": cache,
                    "GITCD_CONFIG": os.devnull,
                    "GITCD_ECR_ENDPOINT_URL": stage.ecr.url,
                }
            )
            yield stage.remote
        finally:
            _replace(before)


def _without(environ: Mapping[str, str], prefixes: Sequence[str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if not name.startswith(tuple(prefixes))}


def _replace(environ: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environ)
