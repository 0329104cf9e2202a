"""`gitcd apply`, from settings and flags to a report for each environment of this cluster.

A run that finds everything as it was is the usual one: what work needs is loaded when there is some.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from gitcd.errors import GitcdError
from gitcd.git.mirror import Mirror
from gitcd.git.runner import CorruptError
from gitcd.usecases.apply_course import Course, set_out
from gitcd.usecases.apply_glance import Glance, glance
from gitcd.usecases.apply_report import Report
from gitcd.usecases.apply_start import choose, environments
from gitcd.usecases.apply_wanted import NOTHING
from gitcd.usecases.apply_wish import DryRun, Note, Wish
from gitcd.usecases.rollout_end import End
from gitcd.usecases.workspace import Workspace

if TYPE_CHECKING:
    from gitcd.usecases.apply_live import Ahead
    from gitcd.usecases.apply_reading import Reading
    from gitcd.usecases.apply_release import Say
    from gitcd.usecases.pending_declined import Declined


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
        course = set_out(run, mirror, wish)
        turns = [_turn(course, each) for each in _environments(course)]
    mirror.give_back()
    for turn in turns:
        report = _report(course, turn, note, say)
        superseded |= bool(report.overtaken) or any(each.end is End.SUPERSEDED for each in report.rolled)
        yield report
    if superseded and mirror.tip != course.tip and time.monotonic() < run.deadline:
        yield from apply(run, mirror, replace(wish, budget=_left(wish.budget, began)), note, say)


def _environments(course: Course) -> list[str]:
    wish = course.wish
    known = environments(course.driven.tree, course.mirror.memory, lambda: course.inputs.scopes)
    return choose(known, wish.selection.environments, course.run.settings, course.objects.api)


@dataclass(frozen=True, slots=True)
class _Turn:
    """One environment: what git says of it, or its report, where nothing is left to do there, or nothing can be done.

    `declined` are rollbacks and switches of its declarations that nobody wants. `ahead` is a look at what was written
    before.
    """

    known: Reading | Report
    declined: Sequence[Declined] = ()
    ahead: Ahead | None = None


def _turn(course: Course, environment: str) -> _Turn:
    """Ask the repository all that there is to ask about an environment."""
    try:
        seen = _glance(course, environment)
        if seen and seen.is_same:
            known: Reading | Report = Report(environment, course.commit, NOTHING, unchanged=len(seen.entries))
        else:
            known = _read(course, environment)
        return _Turn(known, _declined(course, environment), seen.ahead if seen else None)
    except CorruptError:  # not the environment is at fault, but the copy of the repository, which goes
        raise
    except GitcdError as error:
        return _Turn(Report(environment, course.commit, NOTHING, error=error))


def _glance(course: Course, environment: str) -> Glance | None:
    """A first look at all that was written before, where a whole environment is applied."""
    wish = course.wish
    if wish.selection.apps or wish.dry_run is not DryRun.NONE:
        return None
    return glance(course.objects, wish.namespace, environment, course.state)


def _read(course: Course, environment: str) -> Reading:
    from gitcd.usecases.apply_work import reading_of

    return reading_of(course, environment)


def _declined(course: Course, environment: str) -> Sequence[Declined]:
    if course.wish.dry_run is not DryRun.NONE or not course.driven.declined:
        return ()
    from gitcd.usecases.pending_declined import declined

    return declined(course.mirror, course.driven, environment)


def _report(course: Course, turn: _Turn, note: Note, say: Say) -> Report:
    """Take the environment there."""
    if isinstance(turn.known, Report):
        report = turn.known
    else:
        from gitcd.usecases.apply_work import report_of

        report = report_of(course, turn.known, turn.ahead, note, say)
    if not turn.declined:
        return report
    from gitcd.usecases.pending_declined import stalled

    try:
        told = stalled(course.objects, turn.declined, datetime.now(UTC))
    except GitcdError as error:
        return replace(report, error=report.error or error)
    return replace(report, rolled=(*report.rolled, *told))


def _left(budget: timedelta | None, began: float) -> timedelta | None:
    """What is left of the time for waiting."""
    if budget is None:
        return None
    return max(timedelta(), budget - timedelta(seconds=time.monotonic() - began))
