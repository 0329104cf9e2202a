"""`gitcd apply`, from settings and flags to a report for each environment of this cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from gitcd.cluster.access import find_access
from gitcd.cluster.api import Api
from gitcd.cluster.objects import Objects
from gitcd.errors import GitcdError
from gitcd.forge.protocol import Forge
from gitcd.git.mirror import Mirror
from gitcd.git.runner import CorruptError
from gitcd.model.applied import Applied
from gitcd.model.registry import Failure
from gitcd.planning.inputs import Inputs
from gitcd.planning.intake import read_inputs
from gitcd.rollout.facts import Release
from gitcd.usecases.apply import How, Keep, Roll, apply_environment
from gitcd.usecases.apply_glance import is_as_it_was, state_of
from gitcd.usecases.apply_newer import Newer
from gitcd.usecases.apply_reading import Asked, Reading, read
from gitcd.usecases.apply_release import Say, absent, ending, means
from gitcd.usecases.apply_report import Report
from gitcd.usecases.apply_start import choose, revision
from gitcd.usecases.apply_want import NOTHING, Bounds, want_of
from gitcd.usecases.apply_write import DryRun, Writer
from gitcd.usecases.context import Selection
from gitcd.usecases.planner import check_selection
from gitcd.usecases.rollout_team import End, Rolled
from gitcd.usecases.switch_aims import recollected
from gitcd.usecases.ways_back import Declined, Drive, declined, drive, stalled
from gitcd.usecases.workspace import Workspace

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

    What goes wrong with one is in its report, and the others go on. All that is asked of the repository is asked first;
    then others may have the copy of it, while the cluster is waited for. Where a newer commit puts an end to a rollout,
    or to waiting for what it changes, that commit follows, in what is left of the time.

    Raises:
        ConfigError: the cluster is not that of an environment, or something that was given is wrong.
        TransientError: cluster or remote are in trouble before anything is begun.
    """
    began, superseded = time.monotonic(), False
    with mirror.claimed():
        course = _course(run, mirror, wish)
        turns = [course.turn(each) for each in _environments(course)]
    mirror.give_back()
    for turn in turns:
        report = course.report(turn, note, say)
        superseded |= bool(report.overtaken) or any(each.end is End.SUPERSEDED for each in report.rolled)
        yield report
    if superseded and mirror.tip != course.tip and time.monotonic() < run.deadline:
        yield from apply(run, mirror, replace(wish, budget=_left(wish.budget, began)), note, say)


def _course(run: Workspace, mirror: Mirror, wish: Wish) -> _Course:
    tree = revision(mirror, wish.revision)
    driven = Drive(tree) if wish.revision else drive(mirror, tree, run.author, lambda: _forge(run, mirror), run.now)
    if driven.outdated and wish.dry_run is DryRun.NONE:
        _withdraw(run, mirror, driven)
    inputs = read_inputs(driven.tree, mirror.memory)
    if wish.selection.apps:
        check_selection(wish.selection, inputs)
    api = Api(find_access(wish.kubeconfig, wish.context), deadline=run.deadline)
    bounds = Bounds(frozenset(run.settings.allow.kinds), run.limits)
    until = ending(run, wish.budget, wait=wish.wait)
    return _Course(run, mirror, mirror.tip, driven, inputs, Objects(api), bounds, wish, until)


def _withdraw(run: Workspace, mirror: Mirror, driven: Drive) -> None:
    from gitcd.usecases.deliver_desk import open_desk
    from gitcd.usecases.ways_age import withdraw

    withdraw(mirror, driven.outdated, run.context(mirror), open_desk(run, mirror))


def _environments(course: _Course) -> list[str]:
    return choose(course.inputs, course.wish.selection.environments, course.run.settings, course.objects.api)


@dataclass(frozen=True, slots=True)
class _Turn:
    """One environment: what git says of it, or its report, where nothing is left to do there, or nothing can be done.

    `declined` are ways back of its declarations that nobody wants.
    """

    known: Reading | Report
    declined: Sequence[Declined] = ()


@dataclass(frozen=True, slots=True)
class _Course:
    """What all environments of one run have in common.

    `tip` is what the branch named when it began, `until` the moment of `time.monotonic()` at which all waiting ends.
    """

    run: Workspace
    mirror: Mirror
    tip: str
    driven: Drive
    inputs: Inputs
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

    def turn(self, environment: str) -> _Turn:
        """Ask the repository all that there is to ask about an environment."""
        try:
            known = self._glance(environment) or self._read(environment)
            is_real = self.wish.dry_run is DryRun.NONE
            return _Turn(known, declined(self.mirror, self.driven, environment) if is_real else ())
        except CorruptError:  # not the environment is at fault, but the copy of the repository, which goes
            raise
        except GitcdError as error:
            return _Turn(Report(environment, self.commit, NOTHING, error=error))

    def report(self, turn: _Turn, note: Note, say: Say) -> Report:
        """Take the environment there."""
        report = turn.known if isinstance(turn.known, Report) else self._report(turn.known, note, say)
        try:
            told = stalled(self.objects, turn.declined, datetime.now(UTC))
        except GitcdError as error:
            return replace(report, error=report.error or error)
        return replace(report, rolled=(*report.rolled, *told))

    def _glance(self, environment: str) -> Report | None:
        """The report where a run before left nothing to do; None: one has to look closer."""
        if self.wish.selection.apps or self.wish.dry_run is not DryRun.NONE:
            return None
        there = is_as_it_was(self.objects, self.wish.namespace, environment, self.state)
        if there is None:
            return None
        return Report(environment, self.commit, NOTHING, unchanged=len(there.entries))

    def _read(self, environment: str) -> Reading:
        run, mirror = self.run, self.mirror
        recollect = recollected(mirror, self.commit)
        asked = Asked(self.wish.selection, run.now, run.limits, mirror.memory, recollect)
        return read(self.driven.tree, self.inputs, environment, asked)

    def _report(self, reading: Reading, note: Note, say: Say) -> Report:
        try:
            want = want_of(reading, self.objects, self.bounds, everything=self.wish.everything)
            return apply_environment(self.objects, reading.environment, self.commit, want, self._how(note, say))
        except CorruptError:
            raise
        except GitcdError as error:
            return Report(reading.environment, self.commit, NOTHING, error=error)

    def _how(self, note: Note, say: Say) -> How:
        wish, run = self.wish, self.run
        return How(
            wish.namespace,
            run.run,
            self._rolling(say),
            self.until,
            partial(absent, run.ask),
            wish.dry_run,
            wait=wish.wait,
            prune=wish.prune,
            prune_many=wish.prune_many,
            narrowed=bool(wish.selection.apps),
            state=self.state,
            kinds=self.bounds.kinds,
            note=note,
            is_changing=(lambda _: False) if wish.revision else Newer(self.mirror, self.tip).changes,
        )

    def _rolling(self, say: Say) -> Roll:
        """How releases are taken live; what is asked is only looked up once there are any."""

        def roll(releases: Sequence[Release], writer: Writer, keep: Keep) -> list[Rolled]:
            from gitcd.usecases.rollout import roll_out

            def sleep(seconds: float) -> None:
                keep()
                time.sleep(seconds)

            tip = "" if self.wish.revision else self.tip
            made = means(self.run, self.mirror, self.objects, writer, say, until=self.until, tip=tip)
            return roll_out(releases, replace(made, sleep=sleep))

        return roll


def _left(budget: timedelta | None, began: float) -> timedelta | None:
    """What is left of the time for waiting."""
    if budget is None:
        return None
    return max(timedelta(), budget - timedelta(seconds=time.monotonic() - began))


def _forge(run: Workspace, mirror: Mirror) -> Forge | Failure:
    """Where pull requests are, once somebody asks."""
    from gitcd.usecases.deliver_desk import open_desk

    return open_desk(run, mirror).forge
