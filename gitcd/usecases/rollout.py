"""Take releases live, all at a time, those of one group together; and back again where that fails."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice

from gitcd.rollout.facts import Release
from gitcd.usecases.rollout_end import End, Rolled
from gitcd.usecases.rollout_means import TIP_EVERY, Means
from gitcd.usecases.rollout_run import Run
from gitcd.usecases.rollout_team import Team

_WORKERS = 8
_FORESEEN = 20  # releases: to look for a way back takes a plan for each
_FORESIGHT = 10.0  # seconds, after which no other one is looked for: the registry may be in trouble


def roll_out(releases: Iterable[Release], means: Means) -> list[Rolled]:
    """Take every release live that is not, and wait until it is found good, has failed, or the time is over.

    Raises:
        TransientError: the cluster is in trouble; what was begun is on record.
        RefusedError: the cluster does not let it be done.
    """
    groups: defaultdict[object, list[Run]] = defaultdict(list)
    ended: list[Rolled] = []
    runs = [Run(release, means) for release in releases]
    with ThreadPoolExecutor(_WORKERS) as pool:
        due = list(pool.map(Run.is_due, runs))
    for run, is_due in zip(runs, due, strict=True):
        if is_due:
            groups[run.release.company].append(run)
        else:
            ended.append(Rolled(run.release, End.IDLE))
    enough = time.monotonic() + _FORESIGHT
    for run in islice(chain.from_iterable(groups.values()), _FORESEEN):
        if time.monotonic() < enough:
            run.warn()
    teams = [Team(runs, means) for runs in groups.values()]
    _work(teams, means)
    return [*ended, *(each for team in teams for each in team.ended)]


def _work(teams: Sequence[Team], means: Means) -> None:
    looked = time.monotonic()
    while working := [team for team in teams if not team.ended]:
        if time.monotonic() >= looked + TIP_EVERY.total_seconds():
            looked = time.monotonic()
            superseded = means.superseded([release for team in working for release in team.releases])
            for team in working:
                team.give_way(superseded)
        with ThreadPoolExecutor(min(_WORKERS, len(working))) as pool:
            for _ in pool.map(Team.turn, working):
                pass
        left = means.until - time.monotonic()
        if left <= 0:
            for team in working:
                team.leave()
        elif any(not team.ended for team in working):
            means.sleep(min(means.poll.total_seconds(), left))
