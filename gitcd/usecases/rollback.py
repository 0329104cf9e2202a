"""Rollback: a declaration goes back to what git held before, and what it leaves is held off, in one commit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from gitcd.errors import ConfigError, RefusedError, TransientError
from gitcd.git.commit import NewCommit
from gitcd.git.history import History, Landed, MissingHistory
from gitcd.git.mirror import Mirror
from gitcd.git.tree import CommitTree
from gitcd.model.declaration import Identity
from gitcd.model.hold import Hold
from gitcd.model.memory import FORGETFUL, Memory
from gitcd.model.plan import Outcome, OutcomeKind, PlannedCommit, PlannedPull
from gitcd.model.registry import Image
from gitcd.model.tree import Tree
from gitcd.model.version import pick_version
from gitcd.planning.inputs import Inputs, read_inputs
from gitcd.planning.limits import limit
from gitcd.planning.matching import Surveyed
from gitcd.planning.moments import moment
from gitcd.planning.overview import Standing, standing
from gitcd.planning.promotion import Aim
from gitcd.planning.pulls import FOLDER, plan_id, propose
from gitcd.planning.survey import survey
from gitcd.usecases.holding import find_identity
from gitcd.usecases.planner import Context, Planned, Selection, make_plan
from gitcd.usecases.promote import Pen, with_words
from gitcd.usecases.publish import Published, publish
from gitcd.usecases.reconcile import with_failure, with_pulls
from gitcd.usecases.rollback_hold import Rejection, hold_change
from gitcd.usecases.rollback_targets import (
    Former,
    Judge,
    Manifests,
    choose,
    formers,
    misfit,
    platforms,
    queries,
)
from gitcd.usecases.status_past import Past, Recollect, Subject

_MOST = 500  # commits of one declaration that are looked at


@dataclass(frozen=True, slots=True)
class RollbackRequest:
    """What to take back, where to (a version or digest that git held; empty: the one before), and why."""

    app: str
    to: str = ""
    reason: str = ""
    by: str = ""
    until: str = ""
    any_platform: bool = False
    by_pull: bool = False


@dataclass(frozen=True, slots=True)
class Sources:
    """Who is asked besides the tree: history, and the registry for manifests."""

    recollect: Recollect
    manifests: Manifests


@dataclass(frozen=True, slots=True)
class _Unit:
    """The declaration that is taken back, and those that move with it: its group, and who shares a place."""

    leader: Surveyed
    others: tuple[Surveyed, ...]

    @property
    def members(self) -> tuple[Surveyed, ...]:
        return self.leader, *self.others


@dataclass(frozen=True, slots=True)
class _Step:
    """One declaration of the unit: what it leaves, and where it goes; None: it stays."""

    surveyed: Surveyed
    present: Former
    target: Former | None


def plan_rollback(
    tree: Tree,
    context: Context,
    request: RollbackRequest,
    sources: Sources,
    *,
    base: str = "",
    memory: Memory = FORGETFUL,
) -> Planned:
    """What the rollback would change in a tree: at most one commit, that of the images and of the holds.

    Raises:
        ConfigError: the operand or a value is wrong, or git never held what is asked for.
        RefusedError: there is nothing to go back to, or it would not run.
        TransientError: history is not to be had.
    """
    if (end := moment(request.until)) and end <= context.now:
        raise ConfigError(f"the hold would have ended at {request.until}", remedy="Give a time to come, or none.")
    inputs = read_inputs(tree, memory)
    identity = find_identity(inputs, request.app)
    unit = _unit(tree, inputs, identity, context, memory)
    steps = _steps(unit, inputs, context, request, sources)
    moving = {each.surveyed.declared.identity: each for each in steps if each.target}
    aims = {each.surveyed.declared.identity: _aim(each) for each in steps}
    selection = Selection(apps=frozenset(map(str, aims)))
    planned = make_plan(tree, replace(context, aims=aims, selection=selection), base=base, memory=memory)
    planned = _with_holds(planned, moving, tree, request, context)
    return _proposed(planned, identity) if request.by_pull or _asks_for_pulls(unit, inputs) else planned


def rollback(
    mirror: Mirror, context: Context, request: RollbackRequest, sources: Sources, pen: Pen
) -> Published[Planned]:
    """Commit the rollback to the branch, or propose it there, computed anew wherever the branch's tip moves."""

    def compute(tree: CommitTree, tip: str) -> tuple[Planned, Sequence[NewCommit]]:
        planned = plan_rollback(tree, context, request, sources, base=tip, memory=mirror.memory)
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
    tip = mirror.fetch()
    tree = CommitTree(mirror.git, tip)
    planned = plan_rollback(tree, context, request, sources, base=tip, memory=mirror.memory)
    return with_rollback_messages(planned, request, pen)


def with_rollback_messages(planned: Planned, request: RollbackRequest, pen: Pen) -> Planned:
    """The same plan, its commit with a message that says who goes back, and why."""
    by = f" by {request.by}" if request.by else ""
    until = f" until {request.until}" if request.until else ""
    note = f"Rolled back{by}{': ' + request.reason if request.reason else ''}. What it leaves is held off{until}."
    return with_words(planned, pen, verb="rollback", note=note, by=request.by)


def _unit(tree: Tree, inputs: Inputs, identity: Identity, context: Context, memory: Memory) -> _Unit:
    """The declaration with its group and with those that share a place with one of them, and theirs in turn."""
    permitted, _ = limit(inputs.declared, context.limits)
    near = [each for each in permitted if each.identity.environment == identity.environment]
    surveyed = {each.declared.identity: each.in_order() for each in survey(near, tree, inputs.scopes, memory)}
    if identity not in surveyed:
        raise RefusedError(f"the operator does not let {identity} move", remedy="Ask the operator.")
    bonds = {each: set(_bonds(found)) for each, found in surveyed.items()}
    chosen, keys = {identity}, set(bonds[identity])
    while more := {each for each in bonds.keys() - chosen if not keys.isdisjoint(bonds[each])}:
        chosen |= more
        keys |= {key for each in more for key in bonds[each]}
    return _Unit(surveyed[identity], tuple(surveyed[each] for each in sorted(chosen - {identity})))


def _asks_for_pulls(unit: _Unit, inputs: Inputs) -> bool:
    """Whether a part of the unit may move by a pull request only: then all of it does."""
    for each in unit.members:
        identity, own = each.declared.identity, each.declared.declaration.spec.delivery
        if "PullRequest" in {inputs.scopes.layout_of(identity.environment).delivery.mode, own.mode if own else ""}:
            return True
    return False


def _proposed(planned: Planned, identity: Identity) -> Planned:
    """The same, its commit in a pull request of its own, beside that of the environment.

    Who asks again wants another one, also where the last was closed: so the time of its holds is part of its id.
    """
    plan = planned.plan
    if not plan.commits:
        return planned
    (commit,) = plan.commits
    branch = f"{FOLDER}rollback/{identity.environment}/{identity.namespace}.{identity.name}"
    seal = repr([plan_id(commit.outcomes), *(file.after for file in commit.files)])
    moved = {each.identity for each in commit.outcomes}
    outcomes = tuple(propose(each, branch) if each.identity in moved else each for each in plan.outcomes)
    pull = PlannedPull(identity.environment, branch, hashlib.sha256(seal.encode()).hexdigest(), commit)
    return replace(planned, plan=replace(plan, outcomes=outcomes, commits=(), pulls=(pull,)))


def _bonds(surveyed: Surveyed) -> Iterable[object]:
    if group := surveyed.declared.declaration.spec.strategy.group:
        yield group
    for site in surveyed.sites:
        yield site.path, site.document, site.pointer


def _steps(unit: _Unit, inputs: Inputs, context: Context, request: RollbackRequest, sources: Sources) -> list[_Step]:
    """Where each goes: the leader as it is asked, the others to what they held at that commit."""
    history = sources.recollect()
    if not isinstance(history, History):
        raise _lost(history.reason if history else "there is no git history")
    subjects = [Subject.of(each) for each in unit.members]
    past = Past(history, inputs.scopes, subjects)
    trail = past.trail(subjects[0])[:_MOST]
    _check_clear(unit.leader)
    found = formers(trail, _standings(past, [(subjects[0], landed) for landed in trail]))
    values = _judged(unit.leader, found, inputs, context)
    target = choose(values, request.to)
    steps = [_Step(unit.leader, values[0], _unless_same(target, values[0]))]
    then = _standings(past, [(subject, target.landed) for subject in subjects[1:]])
    steps += [
        _follow(surveyed, stand, target, inputs, context) for surveyed, stand in zip(unit.others, then, strict=True)
    ]
    if not request.any_platform:
        for each in steps:
            _check_platforms(each, sources.manifests)
    return steps


def _standings(past: Past, asked: Sequence[tuple[Subject, Landed]]) -> list[Standing]:
    found = past.standings(asked)
    if isinstance(found, MissingHistory):
        raise _lost(found.reason)
    return list(found.values())


def _lost(reason: str) -> TransientError:
    return TransientError(f"history, which says what to go back to, is missing: {reason}", remedy="Run again.")


def _check_clear(surveyed: Surveyed) -> None:
    """Whether it can be told what a declaration deploys now.

    Raises:
        RefusedError: it cannot.
    """
    if doubt := standing(surveyed).doubt:
        identity = surveyed.declared.identity
        raise RefusedError(f"what {identity} deploys now is not clear: {doubt.message}", remedy=doubt.remedy)


def _judged(surveyed: Surveyed, found: Sequence[Former], inputs: Inputs, context: Context) -> list[Former]:
    """Values that a declaration held, with what the registry and its hold say of each."""
    spec, identity = surveyed.declared.declaration.spec, surveyed.declared.identity
    answers = context.resolve(queries(spec.repository, found, spec.tag))
    return Judge(spec.repository, answers, spec.tag, inputs.holds.get(identity), context.now).judged(found)


def _unless_same(target: Former, present: Former) -> Former | None:
    return None if target.digest == present.digest else target


def _follow(surveyed: Surveyed, then: Standing, target: Former, inputs: Inputs, context: Context) -> _Step:
    """Where a declaration goes that moves along: to what it held then. What was not there yet stays.

    Raises:
        RefusedError: it cannot go back, so nothing of the unit does.
    """
    _check_clear(surveyed)
    found = [each for stand in (standing(surveyed), then) for each in formers([target.landed], [stand])]
    present, *before = _judged(surveyed, found, inputs, context)
    if then.doubt or not before or before[0].digest == present.digest != "":
        return _Step(surveyed, present, None)
    if before[0].flaw:
        raise RefusedError(
            f"{surveyed.declared.identity} moves along, and {before[0].name} cannot be gone back to: {before[0].flaw}",
            remedy="Name another version with --to.",
        )
    return _Step(surveyed, present, before[0])


def _check_platforms(step: _Step, manifests: Manifests) -> None:
    """Whether the target would run where the present image does, as far as their indexes tell.

    Raises:
        RefusedError: it would not.
    """
    if step.target is None or not step.present.digest:
        return
    repository = step.surveyed.declared.declaration.spec.repository
    found = manifests(repository, [step.target.digest, step.present.digest])
    of_target, of_present = (platforms(found.get(each.digest)) for each in (step.target, step.present))
    if why := misfit(of_target, of_present):
        raise RefusedError(
            f"{step.target.name} might not run where {step.present.name} does: {why}",
            remedy="Name another version with --to, or say --any-platform if the nodes are known to fit.",
        )


def _aim(step: _Step) -> Aim:
    to = step.target or step.present
    return Aim(to.digest, to.images[0].tag, "RolledBack", f"rolled back from {step.present.name}", back=True)


def _with_holds(
    planned: Planned, moving: Mapping[Identity, _Step], tree: Tree, request: RollbackRequest, context: Context
) -> Planned:
    """All in one commit, with the holds on what is left; or nothing, where a part of it may not move."""
    outcomes = {each.identity: each for each in planned.plan.outcomes}
    plan = planned.plan
    if not moving or any(not _may_land(outcomes.get(each)) for each in moving):
        return replace(planned, plan=replace(plan, commits=(), pulls=(), shared=()))
    changes = []
    for identity, step in sorted(moving.items()):
        rejections = _rejections(step, planned, request, context)
        change = hold_change(tree, identity, planned.inputs.holds.get(identity, Hold()), rejections)
        changes += [change] if change else []
    told = [each for commit in (*plan.commits, *(pull.commit for pull in plan.pulls)) for each in commit.outcomes]
    waiting = [_as_moved(outcomes[identity], step) for identity, step in sorted(moving.items())]
    moved = tuple({each.identity: each for each in [*waiting, *told]}.values())
    environments = tuple(sorted({each.identity.environment for each in moved}))
    commit = PlannedCommit(OutcomeKind.BUMPED, environments, moved, (*plan.files, *changes))
    return replace(planned, plan=replace(plan, commits=(commit,), pulls=(), shared=()))


def _as_moved(outcome: Outcome, step: _Step) -> Outcome:
    """How the commit tells of a declaration whose idle slot needs no change: what is live is left all the same."""
    return replace(outcome, kind=OutcomeKind.BUMPED, old=step.present.name, old_digest=step.present.digest)


def _may_land(outcome: Outcome | None) -> bool:
    """Whether it moves, or waits for a switch with the idle slot as it should be."""
    return outcome is not None and (outcome.changed or outcome.kind in {OutcomeKind.CURRENT, OutcomeKind.PROPOSED})


def _rejections(step: _Step, planned: Planned, request: RollbackRequest, context: Context) -> list[Rejection]:
    """What is held off: all that is deployed now, and what the tag names, which the next run would write."""
    spec, identity = step.surveyed.declared.declaration.spec, step.surveyed.declared.identity
    names = {image.digest: image.tag for image in step.present.images if image.digest}
    if step.present.digest:
        names.setdefault(step.present.digest, step.present.name)
    tagged = planned.answers.get(spec.repository, spec.tag)
    if isinstance(tagged, Image) and not planned.inputs.scopes.layout_of(identity.environment).promote_from:
        version = pick_version(tagged.tags, spec.version_syntax, followed=spec.tag)
        names.setdefault(tagged.digest, version if isinstance(version, str) else "")
    kept = {step.target.digest} if step.target else set()
    return [
        Rejection(digest, name, request.reason, request.by, context.now, request.until)
        for digest, name in names.items()
        if digest not in kept
    ]
