"""Rollbacks and switches that wait to be merged: until then the cluster is driven by what they propose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from gitcd.git.branch import read_branches
from gitcd.git.commit import Author
from gitcd.git.mirror import Mirror
from gitcd.git.tree import CommitTree
from gitcd.model.declaration import Identity
from gitcd.planning.pulls import is_rollback_branch, is_switch_branch

if TYPE_CHECKING:
    from gitcd.forge.protocol import Forge
    from gitcd.model.registry import Failure


@dataclass(frozen=True, slots=True)
class Pending:
    """A branch that takes declarations back, or over to the other slot. `declined`: it was closed without a merge."""

    branch: str
    identities: tuple[Identity, ...]
    url: str = ""
    declined: bool = False


@dataclass(frozen=True, slots=True)
class Drive:
    """What the cluster is driven by: the tip, or what it becomes once what waits has been merged.

    `outdated` are declarations whose proposed switch counts no more.
    """

    tree: CommitTree
    pending: tuple[Pending, ...] = ()
    outdated: tuple[Identity, ...] = ()

    @property
    def declined(self) -> tuple[Pending, ...]:
        return tuple(each for each in self.pending if each.declined)


def drive(
    mirror: Mirror, tree: CommitTree, author: Author, forge: Callable[[], Forge | Failure], now: datetime
) -> Drive:
    """The tip with the branches that wait for it. One whose files have changed since is overtaken, and does not count.

    Nor does a switch to what a hold keeps out, be it one that waits to be merged itself, or to a slot that git has
    changed since it was verified; nor a branch that holds other things than gitcd would have written.

    The branch of a pull request that was closed still holds the cluster where it is: what git says failed there.

    Raises:
        ConfigError: no permission.
        TransientError: the remote cannot be reached.
    """
    line = mirror.line()
    mine = {name: each for name, each in read_branches(mirror).items() if each.is_by(author)}
    rollbacks = [each for name, each in mine.items() if is_rollback_branch(name, line)]
    switches = [each for name, each in mine.items() if is_switch_branch(name, line)]
    if not (rollbacks or switches):
        return Drive(tree)
    from gitcd.usecases.pending_follow import follow

    return follow(mirror, tree, rollbacks, switches, author=author, forge=forge, now=now)
