"""What stands at the remote beside what a plan proposes: which branches there are, and what may be done with each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from gitcd.git.branch import Branch, carries, read_branches, replaced
from gitcd.git.commit import Author
from gitcd.git.mirror import Mirror
from gitcd.model.declaration import Identity
from gitcd.model.hold import hold_path
from gitcd.model.plan import Outcome, OutcomeKind, Plan, PlannedPull
from gitcd.model.registry import Failure
from gitcd.planning.pulls import (
    CARRY_ON,
    Fate,
    fate,
    is_branch,
    is_merged,
    is_rollback_branch,
    is_switch_branch,
    propose,
)
from gitcd.usecases.context import Planned, Selection


@dataclass(frozen=True, slots=True)
class Stand:
    """One branch: what it shall carry (None: nothing), what is there (None: nothing), and what may become of it.

    `foreign`: its commit is not ours. `same`: it carries exactly what it shall.
    """

    name: str
    pull: PlannedPull | None
    there: Branch | None
    foreign: bool = False
    same: bool = False
    fate: Fate = CARRY_ON

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        return self.pull.commit.outcomes if self.pull else ()


def proposals(mirror: Mirror) -> tuple[Branch, ...]:
    """The branches of pull requests to this base that are at the remote.

    Raises:
        ConfigError: no permission.
        TransientError: the remote cannot be reached.
    """
    line = mirror.line()
    return tuple(
        each for name, each in read_branches(mirror).items() if is_branch(name, line) or is_rollback_branch(name, line)
    )


def stands(
    mirror: Mirror, planned: Planned, selection: Selection, author: Author, now: datetime, *, of_tree: bool = True
) -> list[Stand]:
    """Every branch of a pull request that there is or that should be.

    One that takes a declaration back, or over to its other slot, is left alone while it is of use.

    `of_tree`: whether the tree alone says what is declared. A cluster knows nothing of what others declare.

    Raises:
        ConfigError: no permission.
        TransientError: the remote cannot be reached.
    """
    pulls = {pull.branch: pull for pull in planned.plan.pulls}
    line, heads = mirror.line(), read_branches(mirror)
    outcomes = {outcome.identity: outcome for outcome in planned.plan.outcomes}

    there = {name: each for name, each in heads.items() if name in pulls or is_branch(name, line)}
    gone = _gone(planned, selection) if of_tree else lambda _: False
    found = []
    for name in sorted(there.keys() | pulls.keys()):
        obstacle = next((head for head in heads if name.startswith(f"{head}/")), "")
        stand = Stand(name, pulls.get(name), there.get(name), fate=_obstructed(obstacle) if obstacle else CARRY_ON)
        found.append(_judged(stand, mirror, outcomes, author, gone))
    ways = [each for each in heads.values() if each.name not in pulls and each.is_by(author)]
    spent = (each for each in ways if _is_mine(each, planned, selection))
    found += _spent(spent, mirror, planned, gone, now)
    return [each for each in found if each.pull or not each.foreign]


def _is_mine(branch: Branch, planned: Planned, selection: Selection) -> bool:
    part = planned.part
    return all(selection.takes(each) and (part is None or each in part.identities) for each in branch.carried)


def _spent(
    branches: Iterable[Branch], mirror: Mirror, planned: Planned, gone: Callable[[Identity], bool], now: datetime
) -> Iterator[Stand]:
    """Those branches that took declarations back or over, and that nobody needs any more."""
    line = mirror.line()
    waiting = [each for each in branches if is_rollback_branch(each.name, line) or is_switch_branch(each.name, line)]
    if not waiting:
        return
    from gitcd.usecases.pending_fate import fate_of_pending

    for branch in waiting:
        if found := fate_of_pending(mirror, branch, planned.inputs, gone, now):
            yield Stand(branch.name, None, branch, fate=found)


def _obstructed(branch: str) -> Fate:
    """Git keeps no branch below the name of another."""
    return Fate(leave=True, reason=f"the branch {branch} takes its place; rename or delete that")


def _gone(planned: Planned, selection: Selection) -> Callable[[Identity], bool]:
    """Whether a declaration without an outcome is surely no longer declared, for this run to clear up after."""
    plan, part = planned.plan, planned.part
    narrowed = selection.environments or selection.apps or selection.among is not None or (part and not part.sweeps)
    broken: Iterable[Outcome] = planned.inputs.broken if part else plan.outcomes
    if narrowed or plan.failures or not all(each.identity.environment and each.identity.name for each in broken):
        return lambda _: False
    left = {each.identity for each in planned.inputs.declared} if part else set()
    left |= {each.identity for each in broken}
    return lambda identity: identity not in left


def _judged(
    stand: Stand,
    mirror: Mirror,
    outcomes: Mapping[Identity, Outcome],
    author: Author,
    gone: Callable[[Identity], bool],
) -> Stand:
    branch, pull = stand.there, stand.pull
    if branch is None:
        return stand
    if not branch.is_by(author):
        return replace(stand, foreign=True)
    proposed = [each.identity for each in stand.outcomes]
    merged = not proposed and _is_merged(mirror, branch, outcomes)
    judged = fate(branch.carried, proposed, outcomes, gone, merged=merged)
    same = pull is not None and carries(mirror, branch, mirror.tip, pull.commit.files)
    return replace(stand, fate=judged, same=same)


def _is_merged(mirror: Mirror, branch: Branch, outcomes: Mapping[Identity, Outcome]) -> bool:
    """Whether the base deploys what a branch carries: the same images, and alike files with its places and holds."""
    if not is_merged(branch.digests, outcomes):
        return False
    places = {place.rpartition(":")[0] for each in branch.carried for place in outcomes[each].places}
    files = places | {hold_path(each) for each in branch.carried}
    return files.isdisjoint(replaced(mirror, mirror.tip, branch.tip))


def foretold(planned: Planned, found: Iterable[Stand]) -> Planned:
    """The plan with what the branches alone tell about it: nothing was asked of a forge."""
    plan, kept = planned.plan, []
    changed: dict[Identity, Outcome] = {}
    for stand in found:
        if stand.foreign or stand.fate.leave:
            changed |= {outcome.identity: outcome for outcome in stopped(stand)}
        elif stand.pull:
            kept.append(replace(stand.pull, standing=stand.same))
    return replace(planned, plan=with_outcomes(replace(plan, pulls=tuple(kept)), changed))


def stopped(stand: Stand) -> list[Outcome]:
    """The outcomes of a proposal whose branch is left as it is. What the branch carries already stays proposed."""
    if stand.foreign and stand.there:
        person = stand.there.committer or "somebody"
        message = f"blocked: foreign commit: {stand.name} carries {stand.there.tip[:10]} by {person}"
        remedy = "Merge the pull request, or take that commit off the branch; nothing is overwritten."
        return [stop(each, OutcomeKind.BLOCKED, "ForeignCommit", message, remedy) for each in stand.outcomes]
    message = f"{stand.name} is left as it is, since {stand.fate.reason}"
    held = stand.there.digests if stand.there else {}
    return [
        propose(each, stand.name)
        if each.resolved and held.get(each.identity) == each.resolved.digest
        else stop(each, OutcomeKind.BLOCKED, "PullRequestWaits", message)
        for each in stand.outcomes
    ]


def stop(outcome: Outcome, kind: OutcomeKind, reason: str, message: str, remedy: str = "") -> Outcome:
    """The outcome of a move that is not proposed after all."""
    return replace(outcome, kind=kind, reason=reason, message=message, remedy=remedy, changes=())


def fails(outcome: Outcome, failure: Failure) -> Outcome:
    """The outcome of a move that could not be proposed."""
    failed = stop(outcome, OutcomeKind.FAILED, failure.reason, failure.message, failure.remedy)
    return replace(failed, transient=failure.transient)


def with_outcomes(plan: Plan, changed: Mapping[Identity, Outcome]) -> Plan:
    """The plan in which these outcomes take the place of those that it has."""
    return replace(plan, outcomes=tuple(changed.get(each.identity, each) for each in plan.outcomes))
