"""`gitcd rollout`: let a rollout go on, stop it, or end it; and what became of former ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from gitcd.cli import options, output, session
from gitcd.cli.terminal import Console

if TYPE_CHECKING:
    from gitcd.cluster.api import Api
    from gitcd.usecases.rollout_orders import Verb, Wish

_HEADER = ("VERSION", "DIGEST", "RESULT", "STARTED", "FINISHED", "COMMIT", "WHY")

_app = click.argument("app", help="The ContainerVersion, as name or namespace/name.")
_namespace = click.option("--namespace", "-n", envvar="GITCD_NAMESPACE", show_envvar=True, default="", metavar="NAME",
                          help="Its namespace; default: that of the context.")  # fmt: skip
_digest = click.option("--digest", metavar="DIGEST", default="",
                       help="Only if the rollout is that of this digest; default: whichever is under way.")  # fmt: skip
_order = options.together(
    _app,
    options.kubernetes,
    _namespace,
    _digest,
    options.given_because("Why; it is kept with the order.", "Who says so; default: what CI or the login say."),
)


@click.group("rollout")
def command() -> None:
    """Let a rollout go on, stop it, or end it.

    What is said is an annotation of the ContainerVersion in the cluster, about one digest; the run of `gitcd apply`
    that carries out the rollout heeds it within seconds, else the next one does.
    """


@command.command("approve", short_help="Let a rollout that waits for approval go on.")
@_order
@options.verb
def approve(console: Console, **arguments: Any) -> None:
    """Let the step at which APP's rollout waits go on, once: it counts for this digest and this step alone."""
    _give(console, "approve", arguments)


@command.command("abort", short_help="End a rollout and take it back.")
@_order
@options.verb
def abort(console: Console, **arguments: Any) -> None:
    """End APP's rollout. It is taken back as one that failed: by a revert with a hold, and in the cluster."""
    _give(console, "abort", arguments)


@command.command("retry", short_help="Let a digest that failed try again.")
@_order
@options.verb
def retry(console: Console, **arguments: Any) -> None:
    """Let what failed, and was not taken back, try again. What was taken back is let in again by `gitcd release`."""
    _give(console, "retry", arguments)


@command.command("pause", short_help="Stop a rollout where it is, or let it go on.")
@_order
@click.option("--resume", is_flag=True, help="Take the pause back.")
@options.verb
def pause(console: Console, *, resume: bool, **arguments: Any) -> None:
    """Stop APP's rollout where it is. No time counts until --resume takes that back."""
    from gitcd.usecases.rollout_orders import take_back

    if not resume:
        _give(console, "pause", arguments)
        return
    api, wish = _asked("pause", arguments)
    console.say(take_back(api, wish))


@command.command("history", short_help="Show the rollouts of a ContainerVersion.")
@_app
@options.kubernetes
@_namespace
@options.output("table", "json", "yaml")
@options.verb
def history(console: Console, form: Any, **arguments: Any) -> None:
    """Show the rollouts that the cluster remembers of APP, the latest first; `gitcd history` knows all commits."""
    from gitcd.usecases.rollout_orders import history as past

    found = past(*_named(arguments))
    if form == "table":
        console.out.write(output.table(_HEADER, map(_row, found)))
    else:
        value = output.document("RolloutHistory", items=[dict(each) for each in found])
        output.write_document(console.out, value, form)


def _give(console: Console, verb: Verb, arguments: dict[str, Any]) -> None:
    from datetime import UTC, datetime

    from gitcd.usecases.rollout_orders import give

    api, wish = _asked(verb, arguments, by=session.author(console, arguments["by"]))
    console.say(give(api, wish, datetime.now(UTC)))


def _asked(verb: Verb, arguments: dict[str, Any], *, by: str = "") -> tuple[Api, Wish]:
    from gitcd.usecases.rollout_orders import Wish

    api, namespace, name = _named(arguments)
    return api, Wish(verb, namespace, name, arguments["digest"], by, arguments["reason"])


def _named(arguments: dict[str, Any]) -> tuple[Api, str, str]:
    """The cluster, and namespace and name of the ContainerVersion; an environment in front of them is no matter."""
    from gitcd.cluster.access import find_access
    from gitcd.cluster.api import Api

    api = Api(find_access(arguments["kubeconfig"], arguments["context"]))
    namespace, _, name = arguments["app"].rpartition("/")
    return api, namespace.rpartition("/")[2] or arguments["namespace"] or api.namespace, name


def _row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    from gitcd.model.reference import short

    keys = ("version", "digest", "result", "startedAt", "finishedAt", "commit", "message")
    told = {key: " ".join(str(entry.get(key, "")).split()) for key in keys}
    told |= {"digest": short(told["digest"]), "commit": told["commit"][:12]}
    return tuple(told[key] or "-" for key in keys)
