"""The flags that verbs share.

A flag that is also an operator setting reads no variable here: settings have their own order (flag, environment, file,
default), and `config show --origin` tells which one it was. Its help names the variable all the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from gitcd.cli import completing
from gitcd.cli.terminal import Console

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]


class _Names(click.ParamType[str]):
    """Names that a flag takes one by one, and a variable with commas between them."""

    name = "name"
    envvar_list_splitter = ","

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = value.strip()
        if not text or any(char.isspace() or char == "," for char in text):
            self.fail(f"{value!r} is no name; repeat the flag, or divide the variable by commas", param, ctx)
        return text


def _setting(*names: str, variable: str, help: str, **more: Any) -> Decorator:  # noqa: A002 - as click names it
    return click.option(*names, help=f"{help}  [env var: {variable}]", **more)


def _option(*names: str, variable: str, help: str, **more: Any) -> Decorator:  # noqa: A002 - as click names it
    return click.option(*names, help=help, envvar=variable, show_envvar=True, **more)


def examples(*lines: str) -> str:
    """An epilog of command lines, each on its own line."""
    return "\n".join(["\b", "Examples:", *(f"  gitcd {line}" for line in lines)])


def together(*decorators: Decorator) -> Decorator:
    """Several decorators as one; the first one's flag stands first in the help."""

    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


config_file = _setting(
    "--config",
    variable="GITCD_CONFIG",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="The operator's settings file; default: ~/.config/gitcd/config.yaml, else /etc/gitcd/config.yaml.",
)

repository = click.argument(
    "repo", required=False, metavar="[REPO]", shell_complete=completing.folders,
    help="A work tree, a bare repository, or an address; default: the current folder.  [env var: GITCD_REPO]",
)  # fmt: skip

bare_repository = click.argument(
    "repo", required=False, metavar="[REPO]", help="A bare repository or an address.  [env var: GITCD_REPO]"
)
held_repository = click.argument(
    "repo", required=False, metavar="[REPO]", shell_complete=completing.folders,
    help="A bare repository or an address; with --in-place a work tree, by default the current folder."
    "  [env var: GITCD_REPO]",
)  # fmt: skip

APP_HELP = "A declaration's name, namespace/name or environment/namespace/name."


def is_place(operand: str) -> bool:
    """Whether an operand is a repository: no declaration is called like that."""
    return ":" in operand or operand.startswith((".", "/", "~")) or operand.endswith(".git")


def _named(context: click.Context, _: click.Parameter, value: str) -> str:
    if is_place(value):
        raise click.UsageError("say which declaration: APP is missing, and a repository stands in its place", context)
    return value


app = click.argument("app", help=APP_HELP, shell_complete=completing.apps, callback=_named)

environments = _option(
    "--environment", "-e", variable="GITCD_ENVIRONMENT", multiple=True, type=_Names(), metavar="NAME",
    shell_complete=completing.environments,
    help="Only this environment; repeatable (in the variable, divided by commas).",
)  # fmt: skip

apps = _option(
    "--app", variable="GITCD_APP", multiple=True, type=_Names(), metavar="APP",
    shell_complete=completing.apps,
    help="Only this declaration, as name, namespace/name or environment/namespace/name; repeatable (in the variable, "
    "divided by commas).",
)  # fmt: skip

selection = together(environments, apps)


def _check_source(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if value == "cluster":
        raise click.BadParameter(
            "this verb looks at what stands in the repository; diff, reconcile, explain, hold and release read clusters"
        )
    return value


branch = _setting(
    "--branch", "-b", variable="GITCD_BRANCH", metavar="BRANCH",
    help="The branch to work on; default: the repository's own.",
)  # fmt: skip

_cache_dir = _setting(
    "--cache-dir", variable="GITCD_CACHE_DIR", type=click.Path(file_okay=False), metavar="DIR",
    help="Where mirrors of repositories are kept between runs; default: ~/.cache/gitcd.",
)  # fmt: skip

access = together(branch, _cache_dir, config_file)


def _from(callback: Callable[..., str] | None = None) -> Decorator:
    return _option(
        "--from", "declarations_from", variable="GITCD_FROM", type=click.Choice(["repo", "cluster"]),
        default="repo", show_default=True, callback=callback, help="Where declarations are read.",
    )  # fmt: skip


source = together(branch, _from(_check_source), _cache_dir, config_file)

kubernetes = together(
    _option("--kubeconfig", variable="GITCD_KUBECONFIG", type=click.Path(dir_okay=False), default="", metavar="FILE",
            help="The way to the cluster; default: KUBECONFIG, ~/.kube/config, or the pod's service account."),
    _option("--context", variable="GITCD_CONTEXT", default="", metavar="NAME", help="The kubeconfig's context."),
)  # fmt: skip

# The flags of those who read declarations of a cluster just as well.
either_source = together(
    branch,
    _from(),
    kubernetes,
    _option("--namespace", "-n", variable="GITCD_NAMESPACE", default="", metavar="NAME",
            help="With --from cluster, the namespace; default: that of the context."),
    _option("--all-namespaces", "-A", variable="GITCD_ALL_NAMESPACES", is_flag=True,
            help="With --from cluster, all namespaces."),
    _option("--selector", "-l", variable="GITCD_SELECTOR", default="", metavar="LABELS",
            help="With --from cluster, only ContainerVersions with these labels."),
    _cache_dir,
    config_file,
)  # fmt: skip


class _Shard(click.ParamType[tuple[int, int]]):
    """`0/4`: the first of four."""

    name = "i/n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        number, _, count = str(value).partition("/")
        if not (number.isdecimal() and count.isdecimal() and 0 <= int(number) < int(count)):
            self.fail(f"{value!r} is no shard: of 4 they are 0/4, 1/4, 2/4 and 3/4", param, ctx)
        return int(number), int(count)


shards = together(
    click.option("--shard", type=_Shard(), metavar="I/N",
                 help="Only this part of the declarations: 0/4 is the first of four. No group is parted."),
    click.option("--shards", type=click.IntRange(1), metavar="N",
                 help="Of so many parts, the one that JOB_COMPLETION_INDEX names, as an Indexed Job sets it."),
)  # fmt: skip

in_place = click.option(
    "--in-place", is_flag=True, help="Write into the files of the work tree REPO; committing is left to you."
)


def _check_hold(_context: click.Context, parameter: click.Parameter, value: str) -> str:
    """A hold file takes this text in the field of that name."""
    from gitcd.model import schema
    from gitcd.model.hold import Hold

    for problem in schema.validate(Hold, {parameter.name: value}) if value else ():
        raise click.BadParameter(problem.message)
    return value


def hold_field(flag: str, **more: Any) -> Decorator:
    """A flag whose text goes into a field of a hold file."""
    return click.option(flag, default="", callback=_check_hold, **more)


def given_because(why: str, who: str) -> Decorator:
    """Why, and who says so; each with its help."""
    return together(
        hold_field("--reason", metavar="TEXT", help=why),
        hold_field("--by", metavar="NAME", help=who),
    )


because = given_because(
    "Why; it stands in the file and in the commit.",
    "Who says so; it stands in the file; default: what CI or the login say.",
)

registry = _setting(
    "--ecr-endpoint-url",
    variable="GITCD_ECR_ENDPOINT_URL",
    metavar="URL",
    help="Ask this address instead of Amazon ECR, for a local stand-in.",
)


def output(*forms: str) -> Decorator:
    """`--output`, with the first form as default."""
    return _option(
        "--output", "-o", "form", variable="GITCD_OUTPUT", type=click.Choice(forms), default=forms[0],
        show_default=True, help="The form of what is printed on stdout.",
    )  # fmt: skip


_talk = together(
    _option("--verbose", "-v", variable="GITCD_VERBOSE", count=True, help="Say more; twice: libraries too."),
    _option("--quiet", "-q", variable="GITCD_QUIET", is_flag=True, help="Say nothing but errors."),
    _option("--color", variable="GITCD_COLOR", type=click.Choice(["auto", "always", "never"]), default="auto",
            show_default=True, help="Colours; auto heeds NO_COLOR, FORCE_COLOR and the terminal."),
    _option("--log-format", variable="GITCD_LOG_FORMAT", type=click.Choice(["text", "json"]), default="text",
            show_default=True, help="The form of log lines on stderr."),
)  # fmt: skip


def verb(command: Command) -> Command:
    """Give the command its console as first argument, and the flags that say how much it talks, and how."""

    @wraps(command)
    def wrapper(*, verbose: int, quiet: bool, color: Any, log_format: Any, **arguments: Any) -> Any:
        from gitcd.cli import logs

        console = click.get_current_context().ensure_object(Console)
        console.quiet, console.verbose, console.structured = quiet, verbose > 0, log_format == "json"
        console.set_color(color, os.environ)
        logs.set_up(console.err, verbosity=verbose, quiet=quiet, log_format=log_format)
        return command(console, **arguments)

    return _talk(wrapper)
