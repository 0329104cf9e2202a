"""`gitcd run`: reconcile as long as it lives, each declaration at its own interval; with the flags of cvmanager's."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from gitcd.cli import options, session
from gitcd.cli.apply import Follower
from gitcd.cli.reconcile import carry_out
from gitcd.cli.results import tell_published
from gitcd.cli.terminal import Console
from gitcd.errors import ConfigError, ExitCode, GitcdError, TransientError

if TYPE_CHECKING:
    from gitcd.cluster.api import Api
    from gitcd.model.declaration import ContainerVersion
    from gitcd.usecases.controller import Choose, Controller, Election, Health, Look
    from gitcd.usecases.controller_schedule import Schedule
    from gitcd.usecases.metrics import Meter

Command = Callable[..., Any]
_PATIENCE = 5.0  # seconds for one request about the Lease, or for somebody who waits for an answer
_SPARE = 300.0  # seconds that a look may need beyond the deadline of a run
# Flags of cvmanager that have nothing to steer here, by their parameters' names.
_UNUSED = {
    "configmap_key": "--configmap-key is not used: no syncer is started, so none has an image or a version",
    "cv_img_repo": "--cv-img-repo is not used: no syncer is started",
    "stats_provider": "--stats-provider is not used: --stats-host is sent DogStatsD, and /metrics is for Prometheus",
    "history": "--history is not used: git log is the history, and `gitcd history` shows it",
    "rollback": "--rollback is not used: each declaration says so in spec.rollback",
    "v": "--v is not used: say -v or -vv",
    "vmodule": "--vmodule is not used",
    "logtostderr": "--logtostderr is not used: all talk goes to stderr",
}


def _flag(name: str, variable: str, **how: Any) -> Callable[[Command], Command]:
    return click.option(name, envvar=variable, show_envvar=True, **how)


def _unused(command: Command) -> Command:
    for name in ("--configmap-key", "--cv-img-repo", "--stats-provider", "--v", "--vmodule"):
        command = click.option(name, name[2:].replace("-", "_"), hidden=True)(command)
    for name in ("--history", "--rollback", "--logtostderr"):
        truth = click.Choice(["true", "false"])
        command = click.option(name, is_flag=False, flag_value="true", type=truth, hidden=True)(command)
    return command


@click.command("run")
@click.argument("repo", required=False, metavar="[REPO]",
                help="A bare repository, or an address; never the current folder.  [env var: GITCD_REPO]")  # fmt: skip
@options.selection
@options.either_source
@click.option("--k8s-config", default="", metavar="FILE", help="The same as --kubeconfig, as cvmanager called it.")
@options.registry
@click.option("--journal", "journals", multiple=True, type=click.Path(dir_okay=False), hidden=True)
@_flag("--apply", "GITCD_RUN_APPLY", type=click.Choice(["images", "all"]), default=None,
       help="Then take it to the cluster, as `gitcd apply` does: what stands beside images, or all.")  # fmt: skip
@_flag("--apply-namespace", "GITCD_APPLY_NAMESPACE", default="gitcd", show_default=True, metavar="NAME",
       help="With --apply: where the record of what was applied is kept.")  # fmt: skip
@click.option("--once", is_flag=True, help="Look at everything once, serve nothing, and exit as reconcile does.")
@_flag("--port", "GITCD_HTTP_PORT", type=click.IntRange(0, 65535), default=8081, show_default=True, metavar="PORT",
       help="Where probes, metrics and the list of workloads are served; 0: a free port.")  # fmt: skip
@_flag("--address", "GITCD_HTTP_ADDRESS", default=None, metavar="IP",
       help="On which address; default: in a pod all, else 127.0.0.1.")  # fmt: skip
@_flag("--http-auth", "GITCD_HTTP_AUTH", is_flag=True,
       help="Ask the cluster who may read metrics and the list (TokenReview, SubjectAccessReview).")  # fmt: skip
@_flag("--leader-elect/--no-leader-elect", "GITCD_LEADER_ELECT", default=None,
       help="Whether a Lease decides which of several works; default: in a pod.")  # fmt: skip
@_flag("--lease", "GITCD_LEASE", default="gitcd", show_default=True, metavar="NAME", help="The name of that Lease.")
@_flag("--lease-namespace", "GITCD_LEASE_NAMESPACE", default="", metavar="NAME",
       help="Its namespace; default: that of the pod, or of the context.")  # fmt: skip
@_flag("--stats-host", "STATS_HOST", default="", metavar="HOST[:PORT]",
       help="Send metrics there as DogStatsD, over UDP; the port is 8125 if left out.")  # fmt: skip
@_unused
@options.output("table", "json", "yaml", "name")
@options.verb
def command(console: Console, form: Any, **arguments: Any) -> int:
    """Reconcile for as long as it lives: each declaration at its own spec.interval.

    Every look is a whole `gitcd reconcile` of what is due, with pull requests and statuses. With --from cluster, a
    ContainerVersion that changes is looked at within seconds. What goes wrong is told, and tried again after a pause
    that grows. SIGTERM and SIGINT end it, with nothing half done and the Lease released.
    """
    for name, notice in _UNUSED.items():
        if arguments[name] is not None:
            console.warn(notice)
    arguments["kubeconfig"] = arguments["kubeconfig"] or os.path.expanduser(arguments["k8s_config"])  # noqa: PTH111
    _check(arguments)
    runner = _Runner(console, form, arguments)
    return runner.once() if arguments["once"] else runner.keep()


def _check(arguments: dict[str, Any]) -> None:
    """What can be known to be wrong before anything is asked.

    Raises:
        ConfigError: no repository is named, or one that gitcd never commits in.
    """
    from gitcd.git.worktree import WorkTree
    from gitcd.usecases.workspace import locate

    settings = session.workspace(arguments).settings
    if isinstance(locate(settings.repo, local=False, allowed_hosts=settings.git.allowed_hosts), WorkTree):
        raise ConfigError(
            f"{settings.repo} is a work tree, and gitcd never commits in somebody's checkout",
            remedy="Name a bare repository or an address, as the last operand or in GITCD_REPO.",
        )


class _Runner:
    """Looks as the flags say. The settings are read anew for each look."""

    def __init__(self, console: Console, form: Any, arguments: dict[str, Any]) -> None:
        from gitcd.usecases.controller import News
        from gitcd.usecases.controller_schedule import Schedule
        from gitcd.usecases.metrics import Meter, StatsdSink

        self._console, self._form, self._arguments = console, form, arguments
        self._schedule: Schedule = Schedule()
        self._meter: Meter = Meter()
        self._sink = StatsdSink(arguments["stats_host"], self._meter) if arguments["stats_host"] else None
        self._news = News()
        self._unsent = ""
        self._declared: Sequence[ContainerVersion] = ()
        self._looked = False
        self._follower = Follower(console, arguments) if arguments["apply"] else None
        self._in_pod = bool(os.environ.get("KUBERNETES_SERVICE_HOST"))

    def once(self) -> int:
        """One look at everything; its exit code. What goes wrong is raised."""
        from gitcd.usecases.controller import VERB
        from gitcd.usecases.metrics import Done

        began = time.monotonic()
        look = self._look(self._schedule.begin(began))
        self._meter.note(Done(VERB, look.code, time.time(), time.monotonic() - began, look.requests, look.published))
        self._send()
        return look.code

    def keep(self) -> int:
        """Look until a signal ends it."""
        from gitcd.usecases.controller import Alone, Controller, Health

        run = session.workspace(self._arguments)
        health = Health(run.settings.deadlines.run.total_seconds() + _SPARE)
        with self._served(health), self._elected() as election, self._watched():
            controller: Controller = Controller(
                look=self._look,
                tell=self._tell,
                schedule=self._schedule,
                meter=self._meter,
                health=health,
                leader=election or Alone(),
                after=self._send,
                sleep=time.sleep,
            )
            controller.keep()
        raise AssertionError("only a signal ends it")

    def _look(self, choose: Choose) -> Look:
        from gitcd.model.plan import plan_exit_code
        from gitcd.usecases.controller import Look

        run = session.workspace(self._arguments)
        with run.open(local=False) as target:
            mirror = session.mirror(target, in_place=False)
            source = session.cluster(run, self._arguments) if self._from_cluster else None
            published = carry_out(run, mirror, self._arguments, source, choose)
            self._declared, self._looked = [each.declaration for each in published.work.inputs.declared], True
            if self._news.hear(published) or self._console.verbose:
                tell_published(self._console, self._form, mirror, published)
            code = ExitCode(plan_exit_code(published.work.plan))
            if self._follower:
                code = self._follower.follow(run, mirror, code, self._schedule)
        return Look(published, code, run.registry_calls)

    @property
    def _from_cluster(self) -> bool:
        return bool(self._arguments["declarations_from"] == "cluster")

    def _tell(self, error: GitcdError) -> None:
        self._console.error(error.message, error.remedy)

    def _send(self) -> None:
        """Numbers to whoever takes them; that nobody does is told once."""
        unsent = self._sink.send() if self._sink else ""
        if unsent and unsent != self._unsent:
            self._console.warn(unsent)
        self._unsent = unsent

    def _api(self) -> Api:
        from gitcd.cluster.access import find_access
        from gitcd.cluster.api import Api

        return Api(find_access(self._arguments["kubeconfig"], self._arguments["context"]), patience=_PATIENCE)

    @contextmanager
    def _served(self, health: Health) -> Iterator[None]:
        from gitcd.cluster.review import Reviewer
        from gitcd.usecases.controller_http import Server, Site

        reviewer = Reviewer(self._api()) if self._arguments["http_auth"] else None
        site = Site(health, self._meter, self._workloads(), reviewer)
        usual = "0.0.0.0" if self._in_pod else "127.0.0.1"  # noqa: S104 - probes come from outside of a pod
        server = Server(site, self._arguments["address"] or usual, self._arguments["port"])
        self._console.say(f"serving {server.url}")
        server.start()
        try:
            yield
        finally:
            server.stop()

    def _workloads(self) -> Callable[[], Any]:
        from functools import cache

        from gitcd.usecases.controller_workloads import Workloads

        return cache(lambda: Workloads(self._api(), self._find_declared))

    def _find_declared(self) -> Sequence[ContainerVersion]:
        """What the cluster declares now, or the repository at the last look."""
        if not self._from_cluster:
            if not self._looked:
                raise TransientError("this process has not looked at the repository yet")
            return self._declared
        from gitcd.cluster.containerversions import list_all

        return list_all(self._api(), self._mapped()).declarations

    def _mapped(self) -> list[str]:
        return [each.name for each in session.workspace(self._arguments).settings.namespaces]

    @contextmanager
    def _elected(self) -> Iterator[Election | None]:
        wanted = self._arguments["leader_elect"]
        if not (self._in_pod if wanted is None else wanted):
            yield None
            return
        from gitcd.cluster.api import DeclinedError
        from gitcd.cluster.lease import Lease, Place
        from gitcd.usecases.controller import Election, check_lease

        api = self._api()
        place = Place(self._arguments["lease_namespace"] or api.namespace, self._arguments["lease"])
        holder = f"{socket.gethostname()}_{secrets.token_hex(4)}"
        election = Election(Lease(api, place, holder))
        try:
            election.start()
        except DeclinedError as error:
            raise check_lease(error, election.lease) from error
        said = "leading" if election.leads else f"standing by: {election.lease.seen_holder or 'nobody'} leads"
        self._console.say(f"{said}, by the Lease {place.name} in namespace {place.namespace}")
        try:
            yield election
        finally:
            election.stop()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Hear of ContainerVersions that change, where they stand in a cluster."""
        if not self._from_cluster:
            yield
            return
        from gitcd.cluster.watch import Watch, places

        api = self._api()
        everywhere = self._arguments["all_namespaces"]
        watched = places(api, self._mapped()) if everywhere else [self._arguments["namespace"] or api.namespace]

        def hear(key: tuple[str, str] | None) -> None:
            self._schedule.hear(key, time.monotonic())

        watches = [Watch(api, namespace, hear, self._tell_of_watch) for namespace in watched]
        for watch in watches:
            watch.start()
        try:
            yield
        finally:
            for watch in watches:
                watch.stop()

    def _tell_of_watch(self, error: GitcdError) -> None:
        self._console.warn(
            f"ContainerVersions are not watched for now, and looked at by their intervals: {error.message}"
        )
