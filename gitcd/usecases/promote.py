"""Promotion: what one environment deploys by git moves into the places of the next, in commits of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from gitcd.errors import ConfigError
from gitcd.git.commit import Author, NewCommit
from gitcd.git.history import Recollect
from gitcd.git.mirror import Mirror
from gitcd.git.tree import CommitTree
from gitcd.model.declaration import Identity
from gitcd.model.kinship import kinship
from gitcd.model.memory import FORGETFUL, Memory
from gitcd.model.plan import Outcome, OutcomeKind, Plan, PlannedCommit
from gitcd.model.registry import Failure
from gitcd.model.tree import Tree
from gitcd.planning import holds
from gitcd.planning.inputs import Inputs
from gitcd.planning.intake import read_inputs
from gitcd.planning.limits import limit
from gitcd.planning.overview import live_images
from gitcd.planning.promotion import Aim, Matching, aims, match, source_queries
from gitcd.planning.pulls import asks_for_pull
from gitcd.planning.scopes import Scopes
from gitcd.planning.survey import survey
from gitcd.rendering.messages import commit_message
from gitcd.usecases import pulls
from gitcd.usecases.context import Context, Planned, Selection
from gitcd.usecases.desk import Desk
from gitcd.usecases.planner import make_plan
from gitcd.usecases.publish import Published, publish
from gitcd.usecases.reconcile import with_failure, with_pulls
from gitcd.usecases.reviewed import replay
from gitcd.usecases.status_past import Subject, soak_from

Delivery = Literal["", "pull", "commit"]


@dataclass(frozen=True, slots=True)
class Promotion:
    """From which environment to which, and which declarations (empty: all that both have).

    `by`: whether all of it is proposed, or all committed; else as the target environment says.
    """

    source: str
    target: str
    apps: frozenset[str] = frozenset()
    by: Delivery = ""

    @property
    def selection(self) -> Selection:
        return Selection(frozenset({self.target}), self.apps)


@dataclass(frozen=True, slots=True)
class Pen:
    """Who commits, and in which words: the operator's templates, and the name of the run. At the desk one proposes."""

    author: Author
    templates: Path | None = None
    desk: Desk | None = None
    run: str = ""


def plan_promotion(
    tree: Tree,
    context: Context,
    request: Promotion,
    recollect: Recollect,
    *,
    base: str = "",
    memory: Memory = FORGETFUL,
) -> Planned:
    """What the promotion would change in a tree.

    Raises:
        ConfigError: the environments do not promote from each other, or the selection meets nothing.
    """
    inputs = read_inputs(tree, memory)
    check_environments(inputs.scopes, request.source, request.target)
    permitted, _ = limit(inputs.declared, context.limits)
    matching = match(permitted, request.source, request.target)
    sought_in = FORGETFUL if request.apps else memory
    sources = survey([pair.source for pair in matching.pairs], tree, inputs.scopes, sought_in)
    stands = {each.declared.identity: live_images(each) for each in sources}
    answers = context.resolve(source_queries(matching.pairs, stands))
    found = aims(matching.pairs, stands, answers, inputs.broken) | _unmatched(matching, inputs, request)
    found = {each: _delivered(_unless_rejected(aim, inputs, context), request) for each, aim in found.items()}
    if request.by == "commit":
        _check_commits(matching, inputs.scopes, request)
    subjects = {each.declared.identity: Subject.of(each) for each in sources}
    soak = soak_from(recollect, inputs.scopes, subjects)
    context = replace(context, selection=request.selection, aims=found, soak=soak)
    planned = make_plan(tree, context, base=base, memory=memory)
    warnings = (*planned.plan.warnings, *_warnings(matching, request, planned.plan))
    return replace(planned, plan=replace(planned.plan, warnings=warnings))


def check_environments(scopes: Scopes, source: str, target: str) -> None:
    """Whether one is promoted from the other.

    Raises:
        ConfigError: it is not, or one of them does not exist.
    """
    known = scopes.environments
    if unknown := [name for name in (source, target) if name not in known]:
        has = f"It has: {', '.join(sorted(known))}." if known else "Promotion needs a gitcd.yaml."
        raise ConfigError(f"gitcd.yaml has no environment {' and no '.join(unknown)}", remedy=has)
    if source == target:
        raise ConfigError(f"{source} cannot be promoted from itself", remedy="Name two environments: FROM and TO.")
    origin = known[target].promote_from
    if not origin:
        raise ConfigError(
            f"{target} follows its tags, so the next reconcile would take back what is promoted",
            remedy=f"Say `promoteFrom: {source}` for {target} in gitcd.yaml, or move its tags (`gitcd ecr-tags add`).",
        )
    if origin != source:
        raise ConfigError(
            f"{target} is promoted from {origin}, not from {source}", remedy=f"Run `gitcd promote {origin} {target}`."
        )


def promote(mirror: Mirror, context: Context, request: Promotion, recollect: Recollect, pen: Pen) -> Published[Planned]:
    """Commit the promotion to the branch, or propose it there, computed anew wherever the branch's tip moves."""

    def compute(tree: CommitTree, tip: str) -> tuple[Planned, Sequence[NewCommit]]:
        planned = plan_promotion(tree, context, request, recollect, base=tip, memory=mirror.memory)
        planned = with_promoted(planned, request, pen)
        return planned, [NewCommit(commit.message, commit.files) for commit in planned.plan.commits]

    def again() -> Planned:
        return preview_promotion(mirror, context, request, recollect, pen)

    published = with_failure(publish(mirror, compute, author=pen.author, when=context.now))
    return with_pulls(published, mirror, replace(context, selection=request.selection), pen.desk, again)


def replay_promotion(
    mirror: Mirror, context: Context, request: Promotion, recollect: Recollect, pen: Pen, *, reviewed: Plan
) -> Published[Planned]:
    """Commit, or propose, a promotion that was reviewed, byte for byte, or refuse.

    Raises:
        RefusedError: what it stands on has changed, or it is no promotion between these environments.
    """
    by: Delivery = request.by or ("pull" if reviewed.pulls and not reviewed.commits else "")

    def anew(tree: CommitTree, narrowed: Context) -> Planned:
        again = replace(request, apps=narrowed.selection.apps, by=by)
        return plan_promotion(tree, narrowed, again, recollect, base=tree.commit, memory=mirror.memory)

    return replay(mirror, context, pen.author, reviewed, pen.desk, anew=anew)


def preview_promotion(mirror: Mirror, context: Context, request: Promotion, recollect: Recollect, pen: Pen) -> Planned:
    """What `promote` would commit to the branch's tip, or propose; nothing is written."""
    tip = mirror.fetch()
    tree = CommitTree(mirror.git, tip)
    planned = plan_promotion(tree, context, request, recollect, base=tip, memory=mirror.memory)
    planned = with_promoted(planned, request, pen)
    if not planned.plan.pulls:
        return planned
    return pulls.foretold(planned, pulls.stands(mirror, planned, request.selection, pen.author, context.now))


def with_promoted(planned: Planned, request: Promotion, pen: Pen) -> Planned:
    """The same plan, its commits with messages that say where the images come from."""
    return with_words(planned, pen, verb="promote", note=f"Promoted from {request.source}.")


def with_words(planned: Planned, pen: Pen, *, verb: str, note: str, by: str = "") -> Planned:
    """The same plan, its commits, also those that are proposed, with messages that say who asked for them, and why."""

    def told(commit: PlannedCommit) -> PlannedCommit:
        message = commit_message(commit, run=pen.run, folder=pen.templates, verb=verb, note=note, by=by)
        return replace(commit, message=message)

    commits = tuple(map(told, planned.plan.commits))
    proposed = tuple(replace(pull, commit=told(pull.commit)) for pull in planned.plan.pulls)
    return replace(planned, plan=replace(planned.plan, commits=commits, pulls=proposed))


def _unmatched(matching: Matching, inputs: Inputs, request: Promotion) -> dict[Identity, Aim | Failure]:
    """Why there is no image for declarations that the source does not have; told only of those that are asked for."""
    asked = [each for each in matching.without_source if request.apps and request.selection.takes(each)]
    candidates = [each for each in inputs.broken if each.identity.environment in {"", request.source}]
    apps = kinship([*asked, *(each.identity for each in candidates)])
    broken = {apps[each.identity]: each for each in candidates}
    return {each: _no_source(each, request.source, broken.get(apps[each])) for each in asked}


def _unless_rejected(aim: Aim | Failure, inputs: Inputs, context: Context) -> Aim | Failure:
    """What was found bad where it comes from goes no further, though it may stand there still."""
    if isinstance(aim, Failure) or aim.source is None:
        return aim
    hold = inputs.holds.get(aim.source)
    rejection = holds.applies(replace(hold, freeze=False), aim.digest, context.now) if hold else None
    if rejection is None:
        return aim
    remedy = f"Let {aim.source.environment} deploy another image first, or `gitcd release {aim.source}`."
    return Failure("SourceRejected", f"{aim.source} deploys what its own hold keeps out: {rejection.message}", remedy)


def _delivered(aim: Aim | Failure, request: Promotion) -> Aim | Failure:
    return replace(aim, by_pull=True) if isinstance(aim, Aim) and request.by == "pull" else aim


def _check_commits(matching: Matching, scopes: Scopes, request: Promotion) -> None:
    """Whether all that is asked for may be committed: nothing goes past its reviewers.

    Raises:
        ConfigError: something may move by a pull request only.
    """
    for declared in (pair.target for pair in matching.pairs if request.selection.takes(pair.target.identity)):
        if asks_for_pull(declared, scopes):
            raise ConfigError(
                f"{declared.identity} is delivered by pull request, and --commit would pass by its reviewers",
                remedy="Leave --commit out.",
            )


def _no_source(identity: Identity, source: str, broken: Outcome | None) -> Failure:
    if broken:
        told = f"{source}/{broken.identity.app} ({broken.origin}): {broken.message}"
        return Failure(broken.reason, told, broken.remedy)
    message = f"{source} has no declaration {identity.app}, so there is nothing to promote"
    remedy = "Declarations are matched by namespace and name, in which only the name of the environment may differ."
    return Failure("NoSource", message, remedy)


def _warnings(matching: Matching, request: Promotion, plan: Plan) -> list[str]:
    """What a promotion of everything leaves out, because only one of the environments has it."""
    if request.apps:
        return []
    waiting = {each.identity for each in plan.outcomes if each.kind is OutcomeKind.PROMOTED}
    left = [
        f"{each} stays: {request.source} has no declaration {each.app}"
        for each in matching.without_source
        if each in waiting
    ]
    return left + [
        f"{each} goes nowhere: {request.target} has no declaration {each.app}" for each in matching.without_target
    ]
