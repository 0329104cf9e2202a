"""Rollbacks and switches that wait to be merged: until then the cluster is driven by what they propose."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from gitcd.cluster.objects import Objects
from gitcd.cluster.progress import read_progress, write_progress
from gitcd.forge.protocol import Forge
from gitcd.git.branch import Branch, read_branches, replaced
from gitcd.git.commit import Author, NewCommit, write_commits
from gitcd.git.mirror import Mirror
from gitcd.git.tree import CommitTree
from gitcd.model.declaration import Identity
from gitcd.model.plan import FileChange
from gitcd.model.pull import PullRequest, PullState
from gitcd.model.registry import Failure
from gitcd.model.tree import Mode
from gitcd.planning.holds import rejection
from gitcd.planning.inputs import Inputs
from gitcd.planning.intake import read_inputs
from gitcd.planning.pulls import is_way_back, is_way_over
from gitcd.rollout import book
from gitcd.rollout.facts import Release
from gitcd.rollout.table import Trouble
from gitcd.usecases.rollout_releases import releases_at
from gitcd.usecases.rollout_team import End, Rolled
from gitcd.usecases.switch_aims import recollected
from gitcd.usecases.ways_age import outdated
from gitcd.usecases.ways_proof import is_proper

_Files = Mapping[str, tuple[Mode, bytes]]
_log = logging.getLogger(__name__)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # the same commit in every run


@dataclass(frozen=True, slots=True)
class WayBack:
    """A branch that takes declarations back, or over to the other slot. `declined`: it was closed without a merge."""

    branch: str
    identities: tuple[Identity, ...]
    url: str = ""
    declined: bool = False


Declined = tuple[Release, WayBack]


@dataclass(frozen=True, slots=True)
class Drive:
    """What the cluster is driven by: the tip, or what it becomes once what waits has been merged.

    `outdated` are declarations whose proposed switch counts no more.
    """

    tree: CommitTree
    ways: tuple[WayBack, ...] = ()
    outdated: tuple[Identity, ...] = ()

    @property
    def declined(self) -> tuple[WayBack, ...]:
        return tuple(each for each in self.ways if each.declined)


def drive(
    mirror: Mirror, tree: CommitTree, author: Author, forge: Callable[[], Forge | Failure], now: datetime
) -> Drive:
    """The tip with the ways back that wait for it. One whose files have changed since is overtaken, and counts no more.

    Nor does a switch to what a hold keeps out, be it one that waits to be merged itself, or to a slot that git has
    changed since it was verified; nor a branch that holds other things than gitcd would have written.

    The branch of a pull request that was closed still holds the cluster where it is: what git says failed there.

    Raises:
        ConfigError: no permission.
        TransientError: the remote cannot be reached.
    """
    line, tip = mirror.line(), tree
    mine = {name: each for name, each in read_branches(mirror).items() if each.is_by(author)}
    back = [each for name, each in mine.items() if is_way_back(name, line)]
    over = [each for name, each in mine.items() if is_way_over(name, line)]
    ways: list[WayBack] = []
    gone: list[Identity] = []
    for branch in (*back, *over):
        if branch in over and outdated(mirror, branch, read_inputs(tip, mirror.memory)):
            gone += branch.carried
            continue
        files = _files(mirror, branch, tree)
        if not files:
            continue
        inputs = read_inputs(tree, mirror.memory)
        if branch in over and _is_held_off(inputs, branch, now):
            continue
        if not is_proper(tree, inputs, branch, files, recollected(mirror, tree.commit)):
            _log.warning("%s is not followed: it holds other things than gitcd would have written", branch.name)
            continue
        tree = _merged(mirror, tree, branch, files, author)
        ways.append(_way(mirror, branch, forge()))
    return Drive(tree, tuple(ways), tuple(gone))


def _is_held_off(inputs: Inputs, branch: Branch, now: datetime) -> bool:
    """Whether the tree holds off what the branch brings."""
    return any(rejection(inputs.holds.get(identity), digest, now) for identity, digest in branch.digests.items())


def _merged(
    mirror: Mirror, tree: CommitTree, branch: Branch, files: Sequence[FileChange], author: Author
) -> CommitTree:
    """The files of the branch on top of the tree; a commit that stays here, unless it is the branch's own."""
    if branch.parents == (tree.commit,):
        return CommitTree(mirror.git, branch.tip)
    commit, unsigned = NewCommit(branch.message, files), replace(author, key=None)
    (oid,) = write_commits(mirror.git, tree.commit, [commit], author=unsigned, when=_EPOCH)
    return CommitTree(mirror.git, oid)


def _files(mirror: Mirror, branch: Branch, tip: CommitTree) -> list[FileChange]:
    """What the branch changes; nothing where the tip has other files there than the branch was made on."""
    changed = replaced(mirror, branch.parents[0], branch.tip)
    if not changed:
        return []
    before, after = (tree.excerpt(changed.keys()) for tree in (tip, CommitTree(mirror.git, branch.tip)))
    now = {entry.path: entry.oid for entry in before.entries()}
    if any(now.get(path, "") != old for path, (old, _) in changed.items()):
        return []
    olds, news = _read(before), _read(after)
    return [
        FileChange(path, (news.get(path) or olds[path])[0], _bytes(olds, path), _bytes(news, path))
        for path in sorted(changed)
    ]


def _read(tree: CommitTree) -> _Files:
    return {entry.path: (entry.mode, data) for entry, data in tree.read(tree.entries())}


def _bytes(files: _Files, path: str) -> bytes | None:
    return files[path][1] if path in files else None


def _way(mirror: Mirror, branch: Branch, forge: Forge | Failure) -> WayBack:
    """How it stands with the pull request. Where nobody can say, it is taken for open."""
    way = WayBack(branch.name, branch.carried)
    if isinstance(forge, Failure):
        return way
    found = forge.find_open(branch.name, mirror.branch)
    if found is None:
        found = forge.find_closed(branch.name, mirror.branch)
    if not isinstance(found, PullRequest):
        return way
    return WayBack(branch.name, branch.carried, found.url, found.state is PullState.CLOSED)


def declined(mirror: Mirror, found: Drive, environment: str) -> list[Declined]:
    """The declarations of this environment whose way back was declined.

    Raises:
        ConfigError: the commit cannot be read.
        TransientError: the repository is in trouble.
    """
    ways = {
        identity: way for way in found.declined for identity in way.identities if identity.environment == environment
    }
    if not ways:
        return []
    commit = found.tree.commit
    releases = releases_at(found.tree, commit, ways, recollected(mirror, commit))
    return [(each, ways[identity]) for identity, each in releases.items() if isinstance(each, Release)]


def stalled(objects: Objects, declined: Sequence[Declined], now: datetime) -> list[Rolled]:
    """The same, told of in the cluster, too.

    Raises:
        DeclinedError: a status may not be read or written.
        TransientError: the cluster is in trouble.
    """
    return [_stalled(objects, release, way, now) for release, way in declined]


def _stalled(objects: Objects, release: Release, way: WayBack, now: datetime) -> Rolled:
    text = (
        f"{way.url} was closed without a merge, so git says something else than {release.version}, which the cluster "
        f"keeps; merge it after all, or delete the branch {way.branch} to have git's version tried again"
    )
    progress = read_progress(objects.api, release.identity.namespace, release.identity.name)
    if progress is not None:
        page = book.Page(progress.fields, progress.conditions)
        told = book.declined(page, text, now)
        if told != page:
            write_progress(objects.api, progress, told.fields, told.conditions)
    return Rolled(release, End.FAILED, trouble=Trouble(book.DECLINED, text, blames=False))
