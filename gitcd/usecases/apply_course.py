"""What all environments of one run of apply have in common."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from gitcd.cluster.access import find_access
from gitcd.cluster.api import Api
from gitcd.cluster.objects import Objects
from gitcd.git.mirror import Mirror
from gitcd.usecases.apply_glance import state_of
from gitcd.usecases.apply_start import revision
from gitcd.usecases.apply_wish import Bounds, DryRun, Wish
from gitcd.usecases.aside import begin
from gitcd.usecases.pending import Drive, drive
from gitcd.usecases.workspace import Workspace

if TYPE_CHECKING:
    from gitcd.forge.protocol import Forge
    from gitcd.model.registry import Failure
    from gitcd.planning.inputs import Inputs


@dataclass(frozen=True)
class Course:
    """Where a run begins.

    `tip` is what the branch named then, `until` the moment of `time.monotonic()` at which all waiting ends.
    """

    run: Workspace
    mirror: Mirror
    tip: str
    driven: Drive
    objects: Objects
    bounds: Bounds
    wish: Wish
    until: float

    @property
    def commit(self) -> str:
        return self.driven.tree.commit

    @property
    def state(self) -> str:
        return state_of(self.commit, self.bounds, everything=self.wish.everything)

    @cached_property
    def inputs(self) -> Inputs:
        """What the commit declares, read when somebody asks, while the copy of the repository is this run's.

        Raises:
            ConfigError: gitcd.yaml is not valid.
        """
        from gitcd.planning.intake import read_inputs

        return read_inputs(self.driven.tree, self.mirror.memory)


def set_out(run: Workspace, mirror: Mirror, wish: Wish) -> Course:
    """Find out where to begin.

    Raises:
        ConfigError: there is no such commit, no such cluster, or nothing that the selection meets.
        TransientError: the remote is in trouble.
    """
    access = begin(lambda: find_access(wish.kubeconfig, wish.context))  # takes about as long as a fetch
    tree = revision(mirror, wish.revision)
    driven = Drive(tree) if wish.revision else drive(mirror, tree, run.author, lambda: _forge(run, mirror), run.now)
    if driven.outdated and wish.dry_run is DryRun.NONE:
        _withdraw(run, mirror, driven)
    api = Api(access.result(), deadline=run.deadline)
    bounds = Bounds(frozenset(run.settings.allow.kinds), run.limits)
    course = Course(run, mirror, mirror.tip, driven, Objects(api), bounds, wish, _ending(run, wish))
    if wish.selection.apps:
        from gitcd.usecases.planner import check_selection

        check_selection(wish.selection, course.inputs)
    return course


def _withdraw(run: Workspace, mirror: Mirror, driven: Drive) -> None:
    from gitcd.usecases.deliver_desk import open_desk
    from gitcd.usecases.pending_outdated import withdraw

    withdraw(mirror, driven.outdated, run.context(mirror), open_desk(run, mirror))


def _ending(run: Workspace, wish: Wish) -> float:
    """When nothing is waited for any longer."""
    if not wish.wait:
        return time.monotonic()
    return run.deadline if wish.budget is None else min(run.deadline, time.monotonic() + wish.budget.total_seconds())


def _forge(run: Workspace, mirror: Mirror) -> Forge | Failure:
    """Where pull requests are, once somebody asks."""
    from gitcd.usecases.deliver_desk import open_desk

    return open_desk(run, mirror).forge
