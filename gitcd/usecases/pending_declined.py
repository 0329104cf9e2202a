"""Rollbacks and switches that were closed without a merge: the cluster keeps something else than git says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from gitcd.cluster.objects import Objects
from gitcd.cluster.progress import read_progress, write_progress
from gitcd.git.mirror import Mirror
from gitcd.rollout import book
from gitcd.rollout.facts import Release
from gitcd.rollout.table import Trouble
from gitcd.usecases.pending import Drive, Pending
from gitcd.usecases.rollout_end import End, Rolled
from gitcd.usecases.rollout_releases import releases_at
from gitcd.usecases.switch_aims import recollected

Declined = tuple[Release, Pending]


def declined(mirror: Mirror, found: Drive, environment: str) -> list[Declined]:
    """The declarations of this environment whose rollback or switch was declined.

    Raises:
        ConfigError: the commit cannot be read.
        TransientError: the repository is in trouble.
    """
    branches = {
        identity: each for each in found.declined for identity in each.identities if identity.environment == environment
    }
    if not branches:
        return []
    commit = found.tree.commit
    releases = releases_at(found.tree, commit, branches, recollected(mirror, commit))
    return [(each, branches[identity]) for identity, each in releases.items() if isinstance(each, Release)]


def stalled(objects: Objects, declined: Sequence[Declined], now: datetime) -> list[Rolled]:
    """The same, told of in the cluster, too.

    Raises:
        DeclinedError: a status may not be read or written.
        TransientError: the cluster is in trouble.
    """
    return [_stalled(objects, release, branch, now) for release, branch in declined]


def _stalled(objects: Objects, release: Release, branch: Pending, now: datetime) -> Rolled:
    text = (
        f"{branch.url} was closed without a merge, so git says something else than {release.version}, which the "
        f"cluster keeps; merge it after all, or delete the branch {branch.branch} to have git's version tried again"
    )
    progress = read_progress(objects.api, release.identity.namespace, release.identity.name)
    if progress is not None:
        page = book.Page(progress.fields, progress.conditions)
        told = book.declined(page, text, now)
        if told != page:
            write_progress(objects.api, progress, told.fields, told.conditions)
    return Rolled(release, End.FAILED, trouble=Trouble(book.DECLINED, text, blames=False))
