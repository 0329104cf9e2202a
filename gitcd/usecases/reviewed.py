"""What a plan from a file has to keep to, before it is looked at whether it still holds."""

from __future__ import annotations

from collections.abc import Iterable

from gitcd.errors import RefusedError
from gitcd.model.memory import Memory
from gitcd.model.plan import PlannedCommit
from gitcd.model.trailers import Move, parse
from gitcd.model.tree import Tree
from gitcd.usecases.context import Elsewhere
from gitcd.usecases.planner import declared_inputs

_ANEW = "Make and review a new one with `--dry-run --out FILE`."
_SHOWN = 5


def check_messages(commits: Iterable[PlannedCommit]) -> None:
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


def check_declared(
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
