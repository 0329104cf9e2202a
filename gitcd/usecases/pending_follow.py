"""Branches that take declarations back, or over to the other slot, put on top of the tip that they wait for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from gitcd.forge.protocol import Forge
from gitcd.git.branch import Branch, replaced
from gitcd.git.commit import Author, NewCommit, write_commits
from gitcd.git.mirror import Mirror
from gitcd.git.tree import CommitTree
from gitcd.model.plan import FileChange
from gitcd.model.pull import PullRequest, PullState
from gitcd.model.registry import Failure
from gitcd.model.tree import Mode
from gitcd.planning.holds import rejection
from gitcd.planning.inputs import Inputs
from gitcd.planning.intake import read_inputs
from gitcd.usecases.pending import Drive, Pending
from gitcd.usecases.pending_outdated import outdated
from gitcd.usecases.pending_proof import is_proper
from gitcd.usecases.switch_aims import recollected

_Files = Mapping[str, tuple[Mode, bytes]]
_log = logging.getLogger(__name__)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # the same commit in every run


def follow(
    mirror: Mirror,
    tree: CommitTree,
    rollbacks: Sequence[Branch],
    switches: Sequence[Branch],
    *,
    author: Author,
    forge: Callable[[], Forge | Failure],
    now: datetime,
) -> Drive:
    """The tree with what of these branches counts. Raises as `drive` does."""
    pending: list[Pending] = []
    gone = _outdated(mirror, tree, switches)
    for branch in (*rollbacks, *(each for each in switches if each not in gone)):
        files = _files(mirror, branch, tree)
        if not files:
            continue
        inputs = read_inputs(tree, mirror.memory)
        if branch in switches and _is_held_off(inputs, branch, now):
            continue
        if not is_proper(tree, inputs, branch, files, recollected(mirror, tree.commit)):
            _log.warning("%s is not followed: it holds other things than gitcd would have written", branch.name)
            continue
        tree = _merged(mirror, tree, branch, files, author)
        pending.append(_pending(mirror, branch, forge()))
    return Drive(tree, tuple(pending), tuple(identity for each in gone for identity in each.carried))


def _outdated(mirror: Mirror, tip: CommitTree, switches: Sequence[Branch]) -> list[Branch]:
    """Those of the switches that lead to a slot which git has changed since it was verified."""
    if not switches:
        return []
    inputs = read_inputs(tip, mirror.memory)
    passed = ((each, replaced(mirror, each.parents[0], mirror.tip)) for each in switches)
    return [each for each, since in passed if outdated(mirror, each, inputs, since)]


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


def _pending(mirror: Mirror, branch: Branch, forge: Forge | Failure) -> Pending:
    """How it stands with the pull request. Where nobody can say, it is taken for open."""
    unasked = Pending(branch.name, branch.carried)
    if isinstance(forge, Failure):
        return unasked
    found = forge.find_open(branch.name, mirror.branch)
    if found is None:
        found = forge.find_closed(branch.name, mirror.branch)
    if not isinstance(found, PullRequest):
        return unasked
    return Pending(branch.name, branch.carried, found.url, found.state is PullState.CLOSED)
