"""Allowances: a hold file may let a digest in again that was taken back; it does so once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from gitcd.manifests.reading import render_hold
from gitcd.model.declaration import Identity
from gitcd.model.hold import Hold, hold_path
from gitcd.model.plan import FileChange, Plan, PlannedCommit
from gitcd.planning.assemble import Source
from gitcd.planning.holds import Holds

Read = Callable[[Sequence[str]], Mapping[str, Source]]


def spend_allowances(plan: Plan, holds: Holds, read: Read) -> Plan:
    """The plan, whose commits take out of the hold files what allowed them: who takes a move back again is heard."""
    commits = [*plan.commits, *(pull.commit for pull in plan.pulls)]
    left = [_left(commit, holds) for commit in commits]
    files = read([hold_path(identity) for each in left for identity in each])
    spent = [_with(commit, each, files) for commit, each in zip(commits, left, strict=True)]
    direct = len(plan.commits)
    pulls = tuple(replace(pull, commit=commit) for pull, commit in zip(plan.pulls, spent[direct:], strict=True))
    return replace(plan, commits=tuple(spent[:direct]), pulls=pulls)


def _left(commit: PlannedCommit, holds: Holds) -> dict[Identity, Hold]:
    """What is left of the holds that allow a move of this commit."""
    left = {}
    for outcome in commit.outcomes:
        hold, resolved = holds.get(outcome.identity), outcome.resolved
        if hold and resolved and outcome.changed:
            kept = tuple(each for each in hold.allow if each.digest != resolved.digest)
            if kept != hold.allow:
                left[outcome.identity] = replace(hold, allow=kept)
    return left


def _with(commit: PlannedCommit, left: Mapping[Identity, Hold], files: Mapping[str, Source]) -> PlannedCommit:
    changes = [
        _change(hold_path(identity), hold, files) for identity, hold in sorted(left.items(), key=lambda each: each[0])
    ]
    return replace(commit, files=(*commit.files, *changes))


def _change(path: str, hold: Hold, files: Mapping[str, Source]) -> FileChange:
    says = hold.allow or hold.reject or hold.freeze
    return FileChange(path, files[path].mode, files[path].data, render_hold(hold) if says else None)
