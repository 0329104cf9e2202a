"""The console entry: the root group, and the one funnel that turns what happened into an exit code."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from types import FrameType
from typing import NamedTuple, NoReturn

import click

from gitcd import __version__
from gitcd.cli.failing import fail
from gitcd.cli.terminal import Console
from gitcd.errors import ExitCode, GitcdError

# A run makes a million values that live to its end, and next to no cycles: looking for those as often as Python does by
# itself takes a quarter of its time.
_RARELY = 500_000
_SOON = 0.05  # seconds


class Verb(NamedTuple):
    """Where a command lives, and its line in the overview; the module is imported when the command is asked for."""

    module: str
    summary: str


VERBS = {
    "diff": Verb("diff", "Show what a reconcile would change."),
    "reconcile": Verb("reconcile", "Commit and push what the declarations and the registry say."),
    "apply": Verb("apply", "Take what the branch says to the cluster."),
    "promote": Verb("promote", "Move what one environment deploys into the next."),
    "rollout": Verb("rollout", "Let a rollout go on, stop it, or end it."),
    "rollback": Verb("rollback", "Take a declaration back to what git held before."),
    "explain": Verb("explain", "Say why an image did, or did not, move."),
    "status": Verb("status", "Show what every environment deploys, and since when."),
    "history": Verb("history", "Show who moved what, when, and from where to where."),
    "hold": Verb("hold", "Keep a declaration from moving."),
    "release": Verb("release", "Let a held declaration move again."),
    "validate": Verb("validate", "Check declarations, gitcd.yaml and hold files."),
    "migrate": Verb("migrate", "Turn what other tools were told into declarations for gitcd."),
    "schema": Verb("schema", "Print the JSON Schema of a kind of document, or the CRD."),
    "config": Verb("config", "Show the settings in force, and where each comes from."),
    "doctor": Verb("doctor", "Check git, credentials, the registry and permissions."),
    "ecr-tags": Verb("ecr_tags", "Read and move the tags of images in Amazon ECR."),
    "ecr-sync": Verb("ecr_sync", "Let one Deployment follow a tag, as flags say."),
    "run": Verb("run", "Reconcile as long as it lives, and serve how things stand."),
    "install": Verb("install", "Print the manifests that run gitcd in a cluster."),
    "demo": Verb("demo", "Try everything on this machine, without an account."),
    "completion": Verb("completion", "Print what makes bash, zsh or fish complete names."),
    "version": Verb("version", "Print the versions of gitcd, Python and git."),
}

# Commands of cvmanager and of its successor, and what does their work here.
_SUCCESSORS = {
    "cr": "`cr sync` is `gitcd ecr-sync` now, and `cr tags` is `gitcd ecr-tags`",
    "registry": "`registry sync` is `gitcd ecr-sync` now, and `registry tags` is `gitcd ecr-tags`",
    "cv": "`cv get` is `gitcd diff -o json` now",
    "rd": "`rd get` is `gitcd diff -o json` now",
}


class Root(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's interface
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the same
        verb = VERBS.get(cmd_name)
        if verb is None:
            return None
        command = import_module(f"gitcd.cli.{verb.module}").command
        assert isinstance(command, click.Command)  # noqa: S101 - every module of the table holds one
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, but with suggestions and successors from the tables above."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            if successor := _SUCCESSORS.get(error.command_name):
                raise click.UsageError(successor, ctx) from None
            raise click.exceptions.NoSuchCommand(error.command_name, possibilities=VERBS, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - the same
        """The overview, from the table above: no command is imported for it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.summary) for name, verb in VERBS.items()])


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message=f"gitcd %(version)s (Python {sys.version.split()[0]})")
def root() -> None:
    """Move container images to what their tags name, by commits that change nothing else.

    Exit codes: 0 done or nothing to do, 1 differences (diff, --check), 2 usage or configuration, 3 try again, 4 a
    rollout failed, 5 some items failed, 70 a bug in gitcd, 130/143 interrupted.
    """


class Terminated(BaseException):
    """SIGTERM arrived, or the terminal went. Not an Exception, so that nothing but clean-up code stands in its way."""


def _nothing() -> None:
    """What there is to do where nobody asks for anything."""


def main(ready: Callable[[], object] = _nothing) -> NoReturn:
    """Run the command line of this process. `ready` is called once an interrupt is told of here."""
    _end_by(_terminate)
    sys.unraisablehook = _say_what_was_dropped
    gc.set_threshold(_RARELY, 20, 20)
    code = run(sys.argv[1:], ready)
    gc.freeze()  # or Python would look through all of them for cycles once more, when the process ends anyway
    sys.exit(code)


def run(arguments: Sequence[str], ready: Callable[[], object] = _nothing) -> int:
    """Run one command line and answer its exit code; whatever goes wrong is told on stderr."""
    console = Console()
    console.set_color("auto", os.environ)
    failed = partial(fail, console, arguments)
    try:
        ready()
        return invoke(arguments, console)
    except click.exceptions.NoArgsIsHelpError as error:
        console.err.write(f"{error.format_message()}\n")
        return ExitCode.USAGE
    except click.ClickException as error:
        return failed(ExitCode.USAGE, error.format_message(), _usage_remedy(error))
    except GitcdError as error:
        return failed(error.exit_code, error.message, error.remedy)
    except (KeyboardInterrupt, click.Abort):
        return failed(ExitCode.INTERRUPTED, "interrupted; nothing is half done")
    except Terminated:
        return failed(ExitCode.TERMINATED, "terminated; nothing is half done")
    except Exception as error:  # noqa: BLE001 - the one funnel: whatever was not foreseen is a bug, and said so
        from gitcd.cli.diagnostics import report

        block = report(error, arguments)
        return failed(
            ExitCode.BUG, "this is a bug in gitcd", "Please report it with all of the following.", report=block
        )
    finally:
        console.err.clear_status()


def invoke(arguments: Sequence[str], console: Console) -> int:
    """Run one command line; whatever goes wrong is raised."""
    if "_GITCD_COMPLETE" in os.environ:
        root.main(prog_name="gitcd")
    try:
        with root.make_context("gitcd", list(arguments), obj=console) as context:
            result = root.invoke(context)
    except click.exceptions.Exit as done:
        result = done.exit_code
    except BrokenPipeError:
        if not console.out.has_lost_its_reader:
            raise
        result = ExitCode.OK
    console.out.flush()
    return result if isinstance(result, int) else ExitCode.OK


def _usage_remedy(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"See `{context.command_path} --help`." if context else ""


def _end_by(handler: Callable[[int, FrameType | None], object]) -> None:
    """Have that handle what ends a process from outside; a hang-up only where nobody (nohup) said to ignore it."""
    signal.signal(signal.SIGTERM, handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, handler)


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    """Raise once; a second signal must not break the clean-up that the first one began."""
    _end_by(lambda *_: None)
    raise Terminated


def _say_what_was_dropped(dropped: sys.UnraisableHookArgs) -> None:
    """Python drops what is raised in a finaliser, and says so. A signal that arrived there has to come again."""
    match dropped.exc_value:
        case Terminated():
            _end_by(_terminate)
            _send_again(signal.SIGTERM)
        case KeyboardInterrupt():
            _send_again(signal.SIGINT)
        case _:
            sys.__unraisablehook__(dropped)


def _send_again(number: signal.Signals) -> None:
    """Send a signal to this process once the finaliser is over; at the end of Python there is nothing left to end."""
    if not sys.is_finalizing():
        timer = threading.Timer(_SOON, os.kill, (os.getpid(), number))
        timer.daemon = True
        timer.start()
