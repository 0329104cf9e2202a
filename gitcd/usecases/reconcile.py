"""The main job: plan on the branch's tip, commit, push."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from gitcd.errors import ConfigError, RefusedError, TransientError
from gitcd.git.commit import Author, NewCommit
from gitcd.git.mirror import Mirror
from gitcd.git.runner import CorruptError
from gitcd.git.tree import CommitTree
from gitcd.git.worktree import WorkTree
from gitcd.model.plan import Outcome, OutcomeKind, Plan, PlannedCommit
from gitcd.model.registry import Failure
from gitcd.rendering.messages import commit_message
from gitcd.usecases.context import Context, Planned
from gitcd.usecases.desk import Desk
from gitcd.usecases.increment import plan_tip
from gitcd.usecases.publish import Published, publish


def preview(
    mirror: Mirror, context: Context, *, templates: Path | None = None, run: str = "", author: Author | None = None
) -> Planned:
    """The plan for the branch's tip, with its commit messages; nothing is written to the remote.

    `author` is who commits, by whom the branches of pull requests are told from those that others have pushed to.
    """
    tip = mirror.fetch()
    planned = with_messages(plan_tip(CommitTree(mirror.git, tip), context, mirror.memory), templates, run)
    if author and planned.plan.pulls:
        from gitcd.usecases import pulls

        return pulls.foretold(
            planned, pulls.stands(mirror, planned, context.selection, author, context.now, of_tree=context.is_of_tree)
        )
    return planned


def reconcile(
    mirror: Mirror,
    context: Context,
    author: Author,
    *,
    templates: Path | None = None,
    run: str = "",
    desk: Desk | None = None,
) -> Published[Planned]:
    """Bring the branch, and the pull requests to it, to what the declarations and the registry say."""

    def compute(tree: CommitTree, _tip: str) -> tuple[Planned, Sequence[NewCommit]]:
        planned = with_messages(plan_tip(tree, context, mirror.memory), templates, run)
        return planned, [NewCommit(commit.message, commit.files) for commit in planned.plan.commits]

    published = with_failure(publish(mirror, compute, author=author, when=context.now))
    return with_pulls(published, mirror, context, desk, lambda: preview(mirror, context, templates=templates, run=run))


def with_pulls(
    published: Published[Planned],
    mirror: Mirror,
    context: Context,
    desk: Desk | None,
    again: Callable[[], Planned],
) -> Published[Planned]:
    """The same with what the plan proposes carried out, on top of what has landed; that is told of whatever happens."""
    first = published.work
    if desk is None or not desk.is_needed(first):
        return published
    from gitcd.usecases import pulls
    from gitcd.usecases.deliver import deliver

    try:
        planned = again() if published.commits else first
        told, delivered = deliver(mirror, planned, context, desk)
    except CorruptError:
        raise
    except (ConfigError, TransientError) as error:
        failure = Failure("NotProposed", error.message, error.remedy, isinstance(error, TransientError))
        lost = {each.identity: pulls.fails(each, failure) for pull in first.plan.pulls for each in pull.commit.outcomes}
        plan = pulls.with_outcomes(first.plan, lost)
        plan = plan if lost else replace(plan, failures=(*plan.failures, failure))
        return replace(published, work=replace(first, plan=plan))
    committed = {outcome.identity for commit in first.plan.commits for outcome in commit.outcomes}
    now = {each.identity: each for each in told.outcomes if each.identity not in committed}
    plan = replace(
        pulls.with_outcomes(first.plan, now),
        pulls=planned.plan.pulls,
        failures=tuple(dict.fromkeys((*first.plan.failures, *told.failures))),
        warnings=tuple(dict.fromkeys((*first.plan.warnings, *told.warnings))),
    )
    return replace(published, work=replace(first, plan=plan), pulls=delivered)


def write_in_place(tree: WorkTree, plan: Plan) -> None:
    """Write exactly the shown diff into the files of a work tree; committing is left to the user.

    Raises:
        RefusedError: a file is not what the plan was made on; then none is written.
    """
    present = {entry.path: entry for entry in tree.entries()}
    asked = [present[change.path] for change in plan.files if change.path in present]
    held = {entry.path: data for entry, data in tree.read(asked)}
    if changed := [change.path for change in plan.files if held.get(change.path) != change.before]:
        raise RefusedError(f"changed since the plan was made: {', '.join(changed[:5])}", remedy="Run again.")
    for change in plan.files:
        if change.after is not None:
            tree.write(change.path, change.after)
        else:
            tree.remove(change.path)


def with_messages(planned: Planned, templates: Path | None = None, run: str = "") -> Planned:
    """The same plan, its commits with their messages."""

    def told(commit: PlannedCommit) -> PlannedCommit:
        return replace(commit, message=commit_message(commit, run=run, folder=templates))

    commits = tuple(map(told, planned.plan.commits))
    proposed = tuple(replace(pull, commit=told(pull.commit)) for pull in planned.plan.pulls)
    return replace(planned, plan=replace(planned.plan, commits=commits, pulls=proposed))


def with_failure(published: Published[Planned]) -> Published[Planned]:
    """A push that failed is part of the report, beside the outcomes."""
    if published.failure is None:
        return published
    planned = published.work
    plan = replace(
        planned.plan,
        outcomes=tuple(_not_pushed(each, published.failure) for each in planned.plan.outcomes),
        failures=(*planned.plan.failures, published.failure),
    )
    return replace(published, work=replace(planned, plan=plan))


def _not_pushed(outcome: Outcome, failure: Failure) -> Outcome:
    """What was decided and did not land is no bump."""
    if not outcome.changed:
        return outcome
    message = f"{outcome.kind} was decided, but the push did not land"
    return replace(outcome, kind=OutcomeKind.BLOCKED, reason="NotPushed", message=message, transient=failure.transient)
