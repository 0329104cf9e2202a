"""`gitcd ecr-sync`: one Deployment follows one tag, with the flags that cvmanager's command of that name has."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from gitcd.cli import options, output, session
from gitcd.cli.results import show, tell_published
from gitcd.cli.terminal import Console
from gitcd.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from gitcd.model.declaration import ContainerVersion
    from gitcd.model.reference import Repository
    from gitcd.usecases.ecr_sync import Poll, Sync
    from gitcd.usecases.ecr_sync_direct import Direct, Synced
    from gitcd.usecases.workspace import Workspace

Command = Callable[..., Any]
_PINS = ("VersionAndDigest", "Digest", "Version", "TagAndDigest")
# Flags of cvmanager that have nothing to steer here, by their parameters' names.
_UNUSED = {
    "stats_provider": "--stats-provider is not used: nothing is sent to a metrics service",
    "stats_host": "--stats-host is not used: nothing is sent to a metrics service",
    "v": "--v is not used: say -v or -vv",
    "vmodule": "--vmodule is not used",
    "logtostderr": "--logtostderr is not used: all talk goes to stderr",
}


def _flag(name: str, *more: str, **how: Any) -> Callable[[Command], Command]:
    """A flag that a variable may give too: `--tag` is GITCD_ECR_SYNC_TAG."""
    variable = f"GITCD_ECR_SYNC_{name.removeprefix('--').replace('-', '_').upper()}"
    return click.option(name, *more, envvar=variable, show_envvar=True, **how)


def _unused(command: Command) -> Command:
    for decorate in (
        click.option("--stats-provider", hidden=True),
        click.option("--stats-host", hidden=True),
        click.option("--v", "v", hidden=True),
        click.option("--vmodule", hidden=True),
        click.option(
            "--logtostderr", is_flag=False, flag_value="true", type=click.Choice(["true", "false"]), hidden=True
        ),
    ):
        command = decorate(command)
    return command


@click.command("ecr-sync")
@click.argument("repo", required=False, metavar="[REPO]",
                help="A bare repository, or an address; never the current folder.  [env var: GITCD_REPO]")  # fmt: skip
@_flag("--tag", required=True, metavar="TAG", help="The tag to follow.")
@_flag("--ecr", "ecr", required=True, metavar="REPO",
       help="The image's repository: team/app in the account and region of the AWS environment, or with its registry's "
            "host.")  # fmt: skip
@_flag("--deployment", required=True, metavar="NAME", help="The Deployment to keep up to date.")
@_flag("--container", default="", metavar="NAME", help="Its container; default: every one that runs the repository.")
@_flag("--namespace", "-n", default="default", show_default=True, metavar="NAME", help="Its namespace.")
@_flag("--config-key", "--configKey", default="", metavar="NAME/KEY", help="A ConfigMap's key that gets the version.")
@_flag("--version-syntax", metavar="REGEX",
       help="Which tag on the image is the version, by a match of the whole tag; default: one with a git hash in it.",
       )  # fmt: skip
@_flag("--pin", type=click.Choice(_PINS), help="How the image is written; default: VersionAndDigest.")
@options.environments
@_flag("--path", "paths", multiple=True, metavar="PATH", help="Only in this folder or glob; repeatable.")
@_flag("--sync", type=click.FloatRange(min=0, min_open=True), default=5, show_default=True, metavar="MINUTES",
       help="How long to wait between two polls.")  # fmt: skip
@click.option("--once", is_flag=True, help="Poll once, and exit.")
@click.option("--dry-run", is_flag=True, help="Show what would be changed, once, and write nothing.")
@click.option("--k8s-config", metavar="PATH", help="The kubeconfig, where no config repository is named; otherwise no "
              "cluster is asked.")  # fmt: skip
@_unused
@options.access
@options.registry
@options.output("table", "json", "yaml", "name")
@options.verb
def command(console: Console, form: Any, **arguments: Any) -> int:
    """Let a Deployment follow a tag of an ECR repository, by commits to a config repository.

    It is as if a ContainerVersion for this Deployment stood in the repository; nothing has to be declared there. Every
    poll is a whole `gitcd reconcile` of it: holds, freezes, gates and what people took back count. Where a poll fails,
    that is told, and the next one comes. SIGTERM and SIGINT end it, with nothing half done.

    Without a repository the Deployment is changed in the cluster itself: its image and nothing else, and back to the
    one before where the new one does not become healthy. Nothing is recorded in git then, and there are no holds and
    no gates.
    """
    for name, notice in _UNUSED.items():
        if arguments[name] is not None:
            console.warn(notice)
    poller = _Poller(console, form, arguments)
    if arguments["dry_run"]:
        return poller.rehearse()
    if arguments["once"]:
        return poller.poll()
    from gitcd.usecases.ecr_sync import keep

    interval = timedelta(minutes=arguments["sync"])
    return keep(poller.poll, lambda error: console.error(error.message, error.remedy), interval, time.sleep)


class _Poller:
    """Polls as the flags say. The settings are read anew for each, the name of the registry is asked for once."""

    def __init__(self, console: Console, form: Any, arguments: dict[str, Any]) -> None:
        self._console, self._form, self._arguments = console, form, arguments
        self._sync = _sync(arguments)
        self._sync.declaration()
        self._repository: Repository | None = None
        self._is_told = False

    def poll(self) -> int:
        run = session.workspace(self._arguments)
        if not run.settings.repo:
            return self._told(self._direct(run).poll())
        poll = self._begin(run)
        with poll.run.open(local=False) as target:
            mirror = session.mirror(target, in_place=False)
            return tell_published(self._console, self._form, mirror, poll.commit(mirror))

    def rehearse(self) -> int:
        from gitcd.model.plan import plan_exit_code

        run = session.workspace(self._arguments)
        if not run.settings.repo:
            return self._told(self._direct(run).look())
        poll = self._begin(run)
        with poll.run.open(local=False) as target:
            plan = poll.preview(target).plan
        code = plan_exit_code(plan)
        show(self._console, plan, self._form, code)
        return code

    def _begin(self, run: Workspace) -> Poll:
        from gitcd.usecases.ecr_sync import Poll

        if self._arguments["k8s_config"] is not None and not self._is_told:
            self._console.warn(
                "--k8s-config is not used: gitcd commits, and whatever applies the repository rolls it out"
            )
        self._is_told = True
        return Poll(self._declaration(run), tuple(self._arguments["environment"]), run)

    def _direct(self, run: Workspace) -> Direct:
        """The Deployment in the cluster, where no repository is named."""
        from gitcd.cluster.access import find_access
        from gitcd.cluster.api import Api
        from gitcd.cluster.objects import Objects
        from gitcd.usecases.ecr_sync_direct import NOTICE, Direct

        if self._arguments["environment"] or self._arguments["paths"]:
            raise ConfigError(
                "--environment and --path choose a place in a config repository, and none is named",
                remedy="Name it as the last operand, or in GITCD_REPO.",
            )
        if not self._is_told:
            self._console.warn(NOTICE)
        self._is_told = True
        kubeconfig = os.path.expanduser(self._arguments["k8s_config"] or "")  # noqa: PTH111 - as the shell has it
        objects = Objects(Api(find_access(kubeconfig)))
        return Direct(self._declaration(run), objects, run.ask, self._tell_begun)

    def _declaration(self, run: Workspace) -> ContainerVersion:
        from gitcd.usecases.ecr_sync import full_name

        self._repository = self._repository or full_name(self._sync, run.settings)
        return self._sync.declaration(self._repository)

    def _tell_begun(self, synced: Synced) -> None:
        self._console.say(f"{synced.ref}: waiting until {synced.resolved.version or synced.resolved.digest} is healthy")

    def _told(self, synced: Synced) -> int:
        """Print what was, or would be, changed in the cluster."""
        ref, resolved = synced.ref, synced.resolved
        if self._form in {"json", "yaml"}:
            changes = [{"container": each.container, "old": each.old, "new": each.new} for each in synced.changes]
            said = output.document(
                "DirectSync",
                namespace=ref.namespace,
                deployment=ref.name,
                tag=resolved.tag,
                version=resolved.version,
                digest=resolved.digest,
                held=synced.held,
                changes=changes,
            )
            output.write_document(self._console.out, said, self._form)
        elif self._form == "name":
            output.write_names(self._console.out, [f"{ref.namespace}/{ref.name}"] if synced.changes else [])
        else:
            lines = (f"{ref}: {each.container} {each.old} -> {each.new}\n" for each in synced.changes)
            self._console.out.write("".join(lines))
        if synced.held:
            self._console.warn(f"{ref}: {synced.held}")
        elif not synced.changes:
            self._console.say("nothing to do")
        return ExitCode.OK


def _sync(arguments: dict[str, Any]) -> Sync:
    from gitcd.usecases.ecr_sync import Sync

    return Sync(
        tag=arguments["tag"],
        ecr=arguments["ecr"],
        deployment=arguments["deployment"],
        container=arguments["container"],
        namespace=arguments["namespace"],
        config=arguments["config_key"],
        version_syntax=arguments["version_syntax"] or "",
        pin=arguments["pin"] or "",
        paths=arguments["paths"],
    )
