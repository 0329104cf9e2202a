"""`gitcd apply`, from settings and flags to a report for each environment of this cluster."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from gitcd.cluster.access import find_access
from gitcd.cluster.api import Api
from gitcd.cluster.objects import Objects
from gitcd.cluster.which import cluster_uid
from gitcd.errors import ConfigError, TransientError
from gitcd.forge.protocol import Forge
from gitcd.git.history import MissingHistory, ensure_history
from gitcd.git.mirror import Mirror
from gitcd.git.tree import CommitTree
from gitcd.model.applied import Applied
from gitcd.model.registry import Failure
from gitcd.model.settings import Settings
from gitcd.planning.inputs import Inputs, read_inputs
from gitcd.planning.scopes import DEFAULT_ENVIRONMENT
from gitcd.rollout.facts import Release
from gitcd.usecases.apply import How, apply_environment
from gitcd.usecases.apply_glance import is_as_it_was, state_of
from gitcd.usecases.apply_release import Say, absent, ending, means
from gitcd.usecases.apply_report import Report
from gitcd.usecases.apply_want import Bounds, Want, read_want
from gitcd.usecases.apply_write import DryRun, Writer
from gitcd.usecases.planner import Selection, check_selection
from gitcd.usecases.rollout_team import End, Rolled
from gitcd.usecases.switch_aims import recollected
from gitcd.usecases.ways_back import Drive, drive, stalled
from gitcd.usecases.workspace import Workspace

_COMMIT = re.compile(r"[0-9a-f]{7,64}")

Note = Callable[[Applied], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """The flags of the verb. `namespace` is where record and Lease are kept; `budget` how long waiting may last."""

    selection: Selection
    kubeconfig: str = ""
    context: str = ""
    namespace: str = ""
    revision: str = ""
    everything: bool = False
    dry_run: DryRun = DryRun.NONE
    wait: bool = True
    budget: timedelta | None = None
    prune: bool = False
    prune_many: bool = False


def apply(run: Workspace, mirror: Mirror, wish: Wish, note: Note, say: Say) -> Iterator[Report]:
    """Take the commit to every environment of this cluster that was asked for, one after another.

    Where a newer commit puts an end to a rollout, that commit follows, in what is left of the time.

    Raises:
        ConfigError: the cluster is not that of the environment, or something that was given is wrong.
        TransientError: cluster or remote are in trouble.
    """
    began, superseded = time.monotonic(), False
    tree = revision(mirror, wish.revision)
    tip = tree.commit
    driven = Drive(tree) if wish.revision else drive(mirror, tree, run.author, lambda: _forge(run, mirror))
    tree = driven.tree
    inputs = read_inputs(tree, mirror.memory)
    if wish.selection.apps:
        check_selection(wish.selection, inputs)
    api = Api(find_access(wish.kubeconfig, wish.context), deadline=run.deadline)
    objects = Objects(api)
    bounds = Bounds(frozenset(run.settings.allow.kinds), run.limits)
    asked = _Asked(run, mirror, tree, objects, bounds, wish)
    for environment in choose(inputs, wish.selection.environments, run.settings, api):
        report = asked.glance(environment) or asked.apply(environment, note, say)
        if wish.dry_run is DryRun.NONE:
            declined = stalled(objects, mirror, driven, environment, datetime.now(UTC))
            report = replace(report, rolled=(*report.rolled, *declined))
        superseded |= any(each.end is End.SUPERSEDED for each in report.rolled)
        yield report
    if superseded and mirror.tip != tip and time.monotonic() < run.deadline:
        yield from apply(run, mirror, replace(wish, budget=_left(wish.budget, began)), note, say)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What all environments of one run have in common."""

    run: Workspace
    mirror: Mirror
    tree: CommitTree
    objects: Objects
    bounds: Bounds
    wish: Wish

    @property
    def state(self) -> str:
        return state_of(self.tree.commit, self.bounds, everything=self.wish.everything)

    def glance(self, environment: str) -> Report | None:
        """The report where a run before left nothing to do; None: one has to look closer."""
        if self.wish.selection.apps or self.wish.dry_run is not DryRun.NONE:
            return None
        there = is_as_it_was(self.objects, self.wish.namespace, environment, self.state)
        if there is None:
            return None
        return Report(environment, self.tree.commit, Want((), (), ()), unchanged=len(there.entries))

    def apply(self, environment: str, note: Note, say: Say) -> Report:
        wish, run, mirror = self.wish, self.run, self.mirror
        want = read_want(
            self.tree,
            environment,
            self.objects,
            self.bounds,
            selection=wish.selection,
            everything=wish.everything,
            memory=mirror.memory,
            recollect=recollected(mirror, self.tree.commit),
        )
        how = How(
            wish.namespace,
            run.run,
            _rolling(run, mirror, self.objects, wish, say),
            ending(run, wish.budget, wait=wish.wait),
            partial(absent, run.ask),
            wish.dry_run,
            wait=wish.wait,
            prune=wish.prune,
            prune_many=wish.prune_many,
            narrowed=bool(wish.selection.apps),
            state=self.state,
            kinds=self.bounds.kinds,
            note=note,
        )
        return apply_environment(self.objects, environment, self.tree.commit, want, how)


def _left(budget: timedelta | None, began: float) -> timedelta | None:
    """What is left of the time for waiting."""
    if budget is None:
        return None
    return max(timedelta(), budget - timedelta(seconds=time.monotonic() - began))


def revision(mirror: Mirror, name: str) -> CommitTree:
    """The files of a commit of the branch; without a name, of its tip.

    Raises:
        ConfigError: the branch has no such commit.
        TransientError: its history cannot be had.
    """
    tip = mirror.fetch()
    if not name or tip.startswith(name):
        return CommitTree(mirror.git, tip)
    if not _COMMIT.fullmatch(name):
        raise ConfigError(f"--revision {name} is no commit", remedy="Give its id, or the first seven digits at least.")
    history = ensure_history(mirror, tip)
    if isinstance(history, MissingHistory):
        raise (ConfigError if history.lasting else TransientError)(history.reason, remedy=history.remedy)
    if tree := history.tree_of(name):
        return tree
    raise ConfigError(
        f"{mirror.branch} of {mirror.remote} has no commit {name}", remedy="`git log` shows those it has."
    )


def choose(inputs: Inputs, asked: frozenset[str], settings: Settings, api: Api) -> list[str]:
    """The environments that are applied: those asked for, else all that are said to be this cluster.

    Raises:
        ConfigError: one that was asked for is another cluster, or nobody says which it is.
    """
    known = sorted(inputs.scopes.environments) or [DEFAULT_ENVIRONMENT]
    if strange := sorted(asked - set(known)):
        raise ConfigError(f"gitcd.yaml has no environment {strange[0]}", remedy=f"It has: {', '.join(known)}.")
    uid = cluster_uid(api)
    said = {each.name: each.cluster for each in settings.environments}
    chosen = [name for name in known if name in asked] if asked else [n for n in known if said.get(n) == uid]
    for name in chosen or known[:1]:
        if said.get(name) is None:
            raise ConfigError(
                f"nobody says which cluster {name} is, so it is applied to none",
                remedy=f"If it is {api.server}, write into the settings file:\n"
                f"    environments:\n      - {{name: {name}, cluster: {uid}}}",
            )
        if said[name] != uid:
            raise ConfigError(
                f"{api.server} is not the cluster of {name}: its kube-system has the UID {uid}, not {said[name]}",
                remedy="Choose another --context, or correct the setting environments.",
            )
    return chosen


def _forge(run: Workspace, mirror: Mirror) -> Forge | Failure:
    """Where pull requests are, once somebody asks."""
    from gitcd.usecases.deliver_desk import open_desk

    return open_desk(run, mirror).forge


def _rolling(
    run: Workspace, mirror: Mirror, objects: Objects, wish: Wish, say: Say
) -> Callable[[Sequence[Release], Writer], list[Rolled]]:
    """How releases are taken live; what is asked is only looked up once there are any."""

    def roll(releases: Sequence[Release], writer: Writer) -> list[Rolled]:
        from gitcd.usecases.rollout import roll_out

        until = ending(run, wish.budget, wait=wish.wait)
        at_tip = not wish.revision
        return roll_out(releases, means(run, mirror, objects, writer, say, until=until, at_tip=at_tip))

    return roll
