"""Carry out a plan that was reviewed: exactly that, if everything it stands on is as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from gitcd.errors import RefusedError
from gitcd.git.commit import Author, NewCommit
from gitcd.git.mirror import Mirror
from gitcd.git.tree import CommitTree
from gitcd.model.memory import Memory
from gitcd.model.plan import FileChange, Outcome, Plan, PlannedCommit
from gitcd.model.trailers import Move, parse
from gitcd.model.tree import Tree
from gitcd.planning.pulls import propose
from gitcd.usecases.context import Context, Elsewhere, Planned, Selection
from gitcd.usecases.desk import Desk
from gitcd.usecases.planner import declared_inputs, make_plan
from gitcd.usecases.publish import Published, publish
from gitcd.usecases.reconcile import with_failure, with_pulls

_ANEW = "Make and review a new one with `--dry-run --out FILE`."
_SHOWN = 5


def replay(
    mirror: Mirror,
    context: Context,
    author: Author,
    reviewed: Plan,
    desk: Desk | None = None,
    *,
    anew: Callable[[CommitTree, Context], Planned] | None = None,
) -> Published[Planned]:
    """Commit, or propose, a plan that was reviewed, byte for byte, or refuse. `anew` makes such a plan, if not a run.

    Raises:
        RefusedError: a tag, a hold, a declaration or a file that the plan touches has changed since; or the plan is for
            another repository, or a commit message in it says what the commit does not do.
    """
    apps = frozenset(str(outcome.identity) for commit in _all_commits(reviewed) for outcome in commit.outcomes)
    if not apps:
        raise RefusedError("the plan changes nothing", remedy="Make a new one with `--dry-run --out FILE`.")
    if reviewed.commits and reviewed.shared:
        raise RefusedError(
            f"the plan changes {reviewed.shared[0].path} both at once and by pull request",
            remedy="Run it without --plan, or make a plan for each with --app.",
        )
    _check_messages(_all_commits(reviewed))
    context = replace(context, selection=Selection(apps=apps))

    def planned_anew(tree: CommitTree) -> Planned:
        return anew(tree, context) if anew else make_plan(tree, context, base=tree.commit, memory=mirror.memory)

    def compute(tree: CommitTree, _: str) -> tuple[Planned, Sequence[NewCommit]]:
        _check_declared(_all_commits(reviewed), tree, mirror.memory, context.source)
        planned = planned_anew(tree)
        _check_unchanged(reviewed, planned.plan)
        planned = replace(planned, plan=replace(planned.plan, commits=reviewed.commits, pulls=reviewed.pulls))
        return planned, [NewCommit(commit.message, commit.files) for commit in reviewed.commits]

    def again() -> Planned:
        planned = planned_anew(CommitTree(mirror.git, mirror.fetch()))
        _check_unchanged(replace(reviewed, commits=()), replace(planned.plan, commits=()))
        return replace(planned, plan=replace(planned.plan, commits=(), pulls=reviewed.pulls))

    published = with_failure(publish(mirror, compute, author=author, when=context.now))
    return with_pulls(published, mirror, context, desk, again)


def _check_messages(commits: Iterable[PlannedCommit]) -> None:
    """A message may be worded anew; its trailers, which later runs read, have to say what the commit does.

    Raises:
        RefusedError: one does not.
    """
    for commit in commits:
        moves = {
            Move(each.identity, each.resolved.digest) for each in commit.outcomes if each.changed and each.resolved
        }
        told = list(parse(commit.message))
        if set(told) == moves and len(told) == len(moves) and "\0" not in commit.message:
            continue
        subject = commit.message.partition("\n")[0]
        raise RefusedError(
            f"the Gitcd- trailers of the commit {subject!r} do not say what it does",
            remedy=f"Leave the trailers at the end of a message as they were. {_ANEW}",
        )


def _check_declared(
    commits: Iterable[PlannedCommit], tree: Tree, memory: Memory, source: Elsewhere | None = None
) -> None:
    """What the plan moves is declared in this tree, or by the source that takes its place.

    Raises:
        RefusedError: it is not, or the plan was made for another repository.
    """
    inputs = declared_inputs(tree, source, memory)
    known = {each.identity for each in inputs.declared} | {each.identity for each in inputs.broken}
    moved = {outcome.identity for commit in commits for outcome in commit.outcomes}
    lost = sorted(moved - known)
    if not lost:
        return
    if len(lost) == len(moved):
        raise RefusedError(
            f"the plan is for another repository: none of what it moves is declared here ({lost[0]} is not)",
            remedy=f"Name the repository that it was made for. {_ANEW}",
        )
    more = f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
    raise RefusedError(f"no longer declared: {', '.join(map(str, lost[:_SHOWN]))}{more}", remedy=_ANEW)


def _all_commits(plan: Plan) -> list[PlannedCommit]:
    """Those that go straight to the branch, then those that are proposed."""
    return [*plan.commits, *(pull.commit for pull in plan.pulls)]


def _check_unchanged(reviewed: Plan, now: Plan) -> None:
    changed = [*_moved(reviewed, now), *_rewritten(reviewed.commits, now.commits)]
    proposed = {pull.branch: [pull.commit] for pull in reviewed.pulls}
    present = {pull.branch: [pull.commit] for pull in now.pulls}
    for branch in sorted(proposed.keys() | present.keys()):
        changed += _rewritten(proposed.get(branch, []), present.get(branch, []))
    if changed:
        raise RefusedError(
            f"the plan is out of date: {'; '.join(changed[:5])}",
            remedy="Make and review a new one with `--dry-run --out FILE`.",
        )


def _moved(reviewed: Plan, now: Plan) -> list[str]:
    """Declarations for which something else would be done now."""
    present = {outcome.identity: outcome for outcome in now.outcomes}
    planned = [outcome for commit in reviewed.commits for outcome in commit.outcomes]
    planned += [propose(outcome, pull.branch) for pull in reviewed.pulls for outcome in pull.commit.outcomes]
    return [text for outcome in planned if (text := _difference(outcome, present.get(outcome.identity)))]


def _difference(then: Outcome, now: Outcome | None) -> str:
    if now is None:
        return f"{then.identity} is no longer declared"
    if now.kind is not then.kind:
        return f"{then.identity} was {then.kind} and is {now.kind} now" + (f": {now.message}" if now.message else "")
    old = then.resolved.digest if then.resolved else ""
    new = now.resolved.digest if now.resolved else ""
    return "" if old == new else f"the tag of {then.identity} moved from {old} to {new}"


def _rewritten(reviewed: Sequence[PlannedCommit], now: Sequence[PlannedCommit]) -> list[str]:
    """Files that differ from what the plan was made on, or would be written differently."""
    then, present = _bytes(reviewed), _bytes(now)
    return [
        f"{path} has changed" for path in sorted(then.keys() | present.keys()) if then.get(path) != present.get(path)
    ]


def _bytes(commits: Sequence[PlannedCommit]) -> dict[str, list[FileChange]]:
    by_path: dict[str, list[FileChange]] = {}
    for change in (change for commit in commits for change in commit.files):
        by_path.setdefault(change.path, []).append(change)
    return by_path
