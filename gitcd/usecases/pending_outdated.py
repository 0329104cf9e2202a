"""Whether a switch that waits to be merged still leads to what was verified; where not, it is withdrawn."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import replace

from gitcd.errors import ConfigError, TransientError
from gitcd.git.branch import Branch, Replaced
from gitcd.git.mirror import Mirror
from gitcd.git.tree import CommitTree
from gitcd.model.declaration import Identity
from gitcd.model.hold import hold_path
from gitcd.model.live import Ref
from gitcd.model.plan import FileChange, Plan
from gitcd.model.registry import Answers, Failure
from gitcd.model.tree import Entry, Mode, Tree
from gitcd.planning.inputs import Inputs
from gitcd.planning.intake import read_inputs
from gitcd.planning.overlay import Overlay
from gitcd.rollout.facts import Release
from gitcd.rollout.slots import pair_of
from gitcd.usecases.context import Context, Planned, Selection
from gitcd.usecases.desk import Desk
from gitcd.usecases.rollout_releases import Said, releases_at
from gitcd.usecases.switch_aims import recollected
from gitcd.usecases.switch_proof import changed

_log = logging.getLogger(__name__)


def outdated(mirror: Mirror, branch: Branch, inputs: Inputs, passed: Replaced) -> dict[Identity, Ref]:
    """The declarations that a branch would switch to a slot which git has changed since it was verified.

    `passed` is what git has replaced since the commit that the branch stands on.

    Raises:
        ConfigError: a commit cannot be read.
        TransientError: the repository is in trouble.
    """
    environments = {each.environment for each in branch.carried}
    held = {hold_path(each) for each in branch.carried}
    since = {
        path: old
        for path, (old, _) in passed.items()
        if path not in held and inputs.scopes.environment_of(path) in environments
    }
    if not since:
        return {}
    tip = CommitTree(mirror.git, mirror.tip)
    then, now = (_said(mirror, tree, branch.carried) for tree in (with_files(mirror, tip, since), tip))
    found = ((each, _changed(then.get(each), now.get(each))) for each in branch.carried)
    return {identity: ref for identity, ref in found if ref}


def told(ref: Ref) -> str:
    """Why a switch that leads to a slot is withdrawn, of the declaration whose slot it is."""
    return f"is not switched by this: git has changed {ref} since it was verified, so that it is verified anew"


def withdraw(mirror: Mirror, identities: Iterable[Identity], context: Context, desk: Desk) -> None:
    """Close the proposals of these declarations that are of no use any more, and delete their branches.

    What cannot be done is left to the next reconcile.
    """
    from gitcd.usecases.deliver import deliver

    chosen = replace(context, selection=Selection(apps=frozenset(map(str, identities))))
    try:
        inputs = read_inputs(CommitTree(mirror.git, mirror.tip), mirror.memory)
        plan, _ = deliver(mirror, Planned(Plan(mirror.tip), inputs, (), Answers({})), chosen, desk)
    except (ConfigError, TransientError) as error:
        _log.warning("proposals that are of no use any more could not be closed: %s", error.message)
        return
    for failure in plan.failures:
        _log.warning("proposals that are of no use any more could not be closed: %s", failure.message)


def with_files(mirror: Mirror, tip: CommitTree, oids: dict[str, str]) -> Tree:
    """The tip with other files in these places, by their object ids; empty: there is none."""
    wanted = [Entry(path, Mode.FILE, oid) for path, oid in sorted(oids.items()) if oid]
    mirror.origin.fetch_objects([each.oid for each in wanted])
    files = {entry.path: data for entry, data in CommitTree(mirror.git, mirror.tip).read(wanted)}
    return Overlay(tip).changed(FileChange(path, Mode.FILE, None, files.get(path)) for path in oids)


def _said(mirror: Mirror, tree: Tree, identities: Collection[Identity]) -> Said:
    return releases_at(tree, mirror.tip, identities, recollected(mirror, mirror.tip))


def _changed(then: Release | Failure | None, now: Release | Failure | None) -> Ref | None:
    """The slot that was idle then, if its pods are others now; of what is not clearly said nothing is known."""
    if not (isinstance(then, Release) and isinstance(now, Release)):
        return None
    pair = pair_of(then)
    return None if isinstance(pair, Failure) else changed([pair.idle], now)
