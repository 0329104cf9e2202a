"""Rollback: a declaration goes back to what git held before, and what it leaves is held off, in one commit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from gitcd.errors import ConfigError, RefusedError
from gitcd.git.branch import read_branches
from gitcd.git.commit import NewCommit
from gitcd.git.mirror import Mirror
from gitcd.git.tree import CommitTree
from gitcd.model.declaration import Identity
from gitcd.model.hold import Hold
from gitcd.model.memory import FORGETFUL, Memory
from gitcd.model.plan import Outcome, OutcomeKind, PlannedCommit, PlannedPull
from gitcd.model.registry import Image
from gitcd.model.tree import Tree
from gitcd.planning.followed import followed_image, followed_tag, followed_version
from gitcd.planning.intake import read_inputs
from gitcd.planning.moments import moment
from gitcd.planning.overlay import Overlay
from gitcd.planning.pulls import plan_id, propose, rollback_branch
from gitcd.usecases.context import Context, Planned, Selection
from gitcd.usecases.holding import find_identity
from gitcd.usecases.planner import make_plan
from gitcd.usecases.promote import Pen, with_words
from gitcd.usecases.publish import Published, publish
from gitcd.usecases.reconcile import with_failure, with_pulls
from gitcd.usecases.rollback_hold import Rejection, hold_change
from gitcd.usecases.rollback_slots import MovedError, Way, slot_changes
from gitcd.usecases.rollback_steps import (
    RollbackRequest,
    Sources,
    Step,
    aim_of,
    asks_for_pulls,
    find_steps,
    find_unit,
)

__all__ = ["MovedError", "RollbackRequest", "Sources", "plan_rollback", "preview_rollback", "rollback"]

Proposed = Callable[[str], Tree | None]


@dataclass(frozen=True, slots=True)
class _Trees:
    """What is changed, and the branch that proposes a change of it already, if there is one."""

    base: Tree
    proposed: Tree | None


def plan_rollback(
    tree: Tree,
    context: Context,
    request: RollbackRequest,
    sources: Sources,
    *,
    base: str = "",
    memory: Memory = FORGETFUL,
    proposed: Proposed = lambda _: None,
) -> Planned:
    """What the rollback would change in a tree: at most one commit, that of the images and of the holds.

    `proposed` answers the tree of a branch that may propose it already.

    Raises:
        ConfigError: the operand or a value is wrong, or git never held what is asked for.
        RefusedError: there is nothing to go back to, or it would not run.
        TransientError: history is not to be had.
    """
    if (end := moment(request.until)) and end <= context.now:
        raise ConfigError(f"the hold would have ended at {request.until}", remedy="Give a time to come, or none.")
    inputs = read_inputs(tree, memory)
    identity = find_identity(inputs, request.app, environments=request.environments)
    unit = find_unit(tree, inputs, identity, context, memory)
    steps = find_steps(unit, inputs, context, request, sources)
    _check_there(steps[0], request)
    moving = {each.surveyed.declared.identity: each for each in steps if each.target}
    aims = {each.surveyed.declared.identity: aim_of(each) for each in steps}
    selection = Selection(apps=frozenset(map(str, aims)))
    planned = make_plan(tree, replace(context, aims=aims, selection=selection), base=base, memory=memory)
    by_pull = request.by_pull or asks_for_pulls(unit, inputs)
    branch = rollback_branch(identity, context.line()) if by_pull else ""
    trees = _Trees(tree, proposed(branch) if branch else None)
    planned = _with_notes(_with_holds(planned, moving, trees, request, context), steps)
    return _proposed(planned, identity, branch, request) if branch else planned


def rollback(
    mirror: Mirror, context: Context, request: RollbackRequest, sources: Sources, pen: Pen
) -> Published[Planned]:
    """Commit the rollback to the branch, or propose it there, computed anew wherever the branch's tip moves.

    Raises:
        RefusedError: besides what `plan_rollback` refuses, that somebody else moved the declaration meanwhile.
    """
    left: list[Mapping[Identity, str]] = []

    def compute(tree: CommitTree, _: str) -> tuple[Planned, Sequence[NewCommit]]:
        planned = _planned(mirror, tree, context, request, sources)
        left.append({each.identity: each.old_digest for each in planned.plan.outcomes if each.old_digest})
        _check_unmoved(left)
        planned = with_rollback_messages(planned, request, pen)
        return planned, [NewCommit(commit.message, commit.files) for commit in planned.plan.commits]

    def again() -> Planned:
        return preview_rollback(mirror, context, request, sources, pen)

    published = with_failure(publish(mirror, compute, author=pen.author, when=context.now))
    apps = frozenset(str(each.identity) for each in published.work.plan.outcomes)
    desk = pen.desk if published.work.plan.pulls else None
    return with_pulls(published, mirror, replace(context, selection=Selection(apps=apps)), desk, again)


def preview_rollback(mirror: Mirror, context: Context, request: RollbackRequest, sources: Sources, pen: Pen) -> Planned:
    """What `rollback` would commit to the branch's tip; nothing is written."""
    tree = CommitTree(mirror.git, mirror.fetch())
    planned = _planned(mirror, tree, context, request, sources)
    return with_rollback_messages(planned, request, pen)


def _planned(mirror: Mirror, tree: CommitTree, context: Context, request: RollbackRequest, sources: Sources) -> Planned:
    def proposed(branch: str) -> Tree | None:
        there = read_branches(mirror).get(branch)
        return CommitTree(mirror.git, there.tip) if there else None

    return plan_rollback(tree, context, request, sources, base=tree.commit, memory=mirror.memory, proposed=proposed)


def with_rollback_messages(planned: Planned, request: RollbackRequest, pen: Pen) -> Planned:
    """The same plan, its commit with a message that says who goes back, and why."""
    by = f" by {request.by}" if request.by else ""
    until = f" until {request.until}" if request.until else ""
    note = f"Rolled back{by}{': ' + request.reason if request.reason else ''}. What it leaves is held off{until}."
    return with_words(planned, pen, verb="rollback", note=note, by=request.by)


def _check_unmoved(left: Sequence[Mapping[Identity, str]]) -> None:
    """Whether every attempt leaves the same images: two people who go back at once must not go back twice.

    Raises:
        RefusedError: they do not.
    """
    if left[-1] != left[0]:
        moved = ", ".join(sorted(str(each) for each in left[0].keys() | left[-1].keys()))
        raise RefusedError(
            f"{moved} moved meanwhile", remedy="Look at `gitcd history`, and ask again if it is still meant."
        )


def _check_there(step: Step, request: RollbackRequest) -> None:
    """Whether what is to be left is what stands there.

    Raises:
        MovedError: it is not.
    """
    named = {step.present.digest, *(image.identifier for image in step.present.images)}
    if request.leaving and request.leaving not in named:
        raise MovedError(step.surveyed.declared.identity)


def _proposed(planned: Planned, identity: Identity, branch: str, request: RollbackRequest) -> Planned:
    """The same, its commit in a pull request of its own, beside that of the environment.

    Its id stands for the holds, too: who asks for the same with another reason has it told to reviewers. Where nobody
    asks it stands for the images alone, so that the same is not proposed again to those who have declined.
    """
    plan = planned.plan
    if not plan.commits:
        return planned
    (commit,) = plan.commits
    holds = () if request.automatic else (file.after for file in commit.files)
    seal = repr([plan_id(commit.outcomes), *(each.old_digest for each in commit.outcomes), *holds])
    moved = {each.identity for each in commit.outcomes}
    outcomes = tuple(propose(each, branch) if each.identity in moved else each for each in plan.outcomes)
    number = hashlib.sha256(seal.encode()).hexdigest()
    pull = PlannedPull(identity.environment, branch, number, commit, insisted=not request.automatic)
    return replace(planned, plan=replace(plan, outcomes=outcomes, commits=(), pulls=(pull,)))


def _with_notes(planned: Planned, steps: Sequence[Step]) -> Planned:
    warnings = (*planned.plan.warnings, *(each.note for each in steps if each.note))
    return replace(planned, plan=replace(planned.plan, warnings=warnings))


def _with_holds(
    planned: Planned, moving: Mapping[Identity, Step], trees: _Trees, request: RollbackRequest, context: Context
) -> Planned:
    """All in one commit, with the holds on what is left; or nothing, where a part of it cannot move.

    Raises:
        RefusedError: a part of it may not move.
    """
    outcomes = {each.identity: each for each in planned.plan.outcomes}
    plan = planned.plan
    _check_free([outcomes[each] for each in moving if each in outcomes])
    if not moving or any(not _may_land(outcomes.get(each)) for each in moving):
        return replace(planned, plan=replace(plan, commits=(), pulls=(), shared=()))
    changes = []
    for identity, step in sorted(moving.items()):
        rejections = _rejections(step, planned, request, context)
        hold = planned.inputs.holds.get(identity, Hold())
        change = hold_change(trees.base, identity, hold, rejections, trees.proposed)
        changes += [change] if change else []
    ways = [(identity, step.left, step.way) for identity, step in sorted(moving.items()) if step.way is not Way.IMAGE]
    files = slot_changes(Overlay(trees.base).changed(plan.files), planned.inputs, ways)
    if not (files or changes):  # so has somebody asked before, and the switch is still to come
        return replace(planned, plan=replace(plan, commits=(), pulls=(), shared=()))
    told = [each for commit in (*plan.commits, *(pull.commit for pull in plan.pulls)) for each in commit.outcomes]
    waiting = [_as_moved(outcomes[identity], step) for identity, step in sorted(moving.items())]
    moved = tuple({each.identity: each for each in [*waiting, *told]}.values())
    environments = tuple(sorted({each.identity.environment for each in moved}))
    commit = PlannedCommit(OutcomeKind.BUMPED, environments, moved, (*files, *changes))
    return replace(planned, plan=replace(plan, commits=(commit,), pulls=(), shared=()))


def _check_free(outcomes: Iterable[Outcome]) -> None:
    """Whether nobody's word stops the way back: who asks for one must not take silence for it.

    Raises:
        RefusedError: a hold, or spec.suspend, does.
    """
    for each in outcomes:
        if each.kind in {OutcomeKind.HELD, OutcomeKind.SUSPENDED}:
            raise RefusedError(f"{each.identity} is not taken back: {each.message}", remedy=each.remedy)


def _as_moved(outcome: Outcome, step: Step) -> Outcome:
    """How the commit tells of a declaration of which no place gets another image: what it has is left all the same."""
    return replace(outcome, kind=OutcomeKind.BUMPED, old=step.present.name, old_digest=step.present.digest)


def _may_land(outcome: Outcome | None) -> bool:
    """Whether it moves, or waits for a switch with the idle slot as it should be."""
    return outcome is not None and (outcome.changed or outcome.kind in {OutcomeKind.CURRENT, OutcomeKind.PROPOSED})


def _rejections(step: Step, planned: Planned, request: RollbackRequest, context: Context) -> list[Rejection]:
    """What is held off: all that is deployed now, and what the tag names, which the next run would write.

    Without a person to ask for it, what the tag names by now has not been tried: that comes next, and is no way back.
    """
    spec, identity = step.surveyed.declared.declaration.spec, step.surveyed.declared.identity
    names = {image.digest: image.tag for image in step.present.images if image.digest}
    if step.present.digest:
        names.setdefault(step.present.digest, step.present.name)
    tagged, tag = followed_image(spec, planned.answers), followed_tag(spec, planned.answers)
    follows = not (request.automatic or planned.inputs.scopes.layout_of(identity.environment).promote_from)
    if isinstance(tagged, Image) and follows:
        version = followed_version(spec, str(tag), tagged.tags, tagged.label)
        names.setdefault(tagged.digest, version if isinstance(version, str) else "")
    kept = {step.target.digest} if step.target else set()
    return [
        Rejection(digest, name, request.reason, request.by, context.now, request.until)
        for digest, name in names.items()
        if digest not in kept
    ]
