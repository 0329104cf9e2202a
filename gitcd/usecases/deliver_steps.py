"""The steps of a delivery: what one branch comes to, and the ends that it may come to without a pull request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gitcd.git.branch import Move
from gitcd.git.push import Pushed, PushResult
from gitcd.model.plan import Delivered, Outcome, OutcomeKind, PlannedPull, PullAct
from gitcd.model.pull import ForgeFailure, PullRequest, PullState, Trouble
from gitcd.model.registry import Failure
from gitcd.planning.pulls import FOLDER
from gitcd.usecases.pulls import Stand, fails, stop, stopped

_NAMED = 20  # apps in one comment


@dataclass(frozen=True, slots=True)
class Step:
    """What one branch came to: what is to be done for it yet, and what can be told of it."""

    stand: Stand
    delivered: Delivered
    outcomes: tuple[Outcome, ...] = ()
    open: PullRequest | None = None
    move: Move | None = None
    failure: Failure | None = None
    warnings: tuple[str, ...] = ()
    done: bool = False
    raced: bool = False  # another run was quicker, and may have done the same

    def end(self, act: PullAct, reason: str, outcomes: Sequence[Outcome] = (), failure: Failure | None = None) -> Step:
        """The same branch, for which nothing more is to be done."""
        delivered = replace(self.delivered, act=act, reason=reason)
        return replace(self, delivered=delivered, outcomes=tuple(outcomes), failure=failure, move=None, done=True)


def named(stand: Stand) -> Delivered:
    """What can be told of a branch before anything was asked."""
    apps = [each.identity for each in stand.outcomes] or (stand.there.carried if stand.there else ())
    return Delivered(stand.name, PullAct.LEFT, tuple(map(str, apps)), stand.pull.id if stand.pull else "")


def news(pull: PlannedPull) -> str:
    """Which images a pull request carries now that its content has changed."""
    moves = [f"{each.identity} to {_aim(each)}" for each in pull.commit.outcomes[:_NAMED]]
    more = len(pull.commit.outcomes) - len(moves)
    return ", ".join(moves) + (f" and {more} more" if more else "")


def _aim(outcome: Outcome) -> str:
    resolved = outcome.resolved
    return " ".join(filter(None, (resolved.version, resolved.digest))) if resolved else outcome.image_repo


def deletion(stand: Stand) -> Move | None:
    """The move that removes a branch, if it is there."""
    return Move(stand.name, "", stand.there.tip) if stand.there else None


def left(step: Step) -> Step:
    """A branch that is left as it is, and why."""
    outcomes = stopped(step.stand)
    reason = step.stand.fate.reason or next((each.message for each in outcomes), "")
    return step.end(PullAct.LEFT, reason, outcomes)


def respected(step: Step, closed: PullRequest) -> Step:
    """A person has closed this very content without a merge, or taken it back after one."""
    merged = closed.state is PullState.MERGED
    act = "merged and taken back since" if merged else "closed without a merge"
    until = "a person commits it" if merged else "the pull request is reopened"
    reason = f"{act}; this content stays out until it changes or {until}"
    message = f"{closed.url} was {reason}"
    way = "Bring it back by a commit of your own" if merged else "Reopen it"
    remedy = f"{way}, or let delivery.onClosed be recreate."
    name = "Reverted" if merged else "PullRequestClosed"
    outcomes = [
        replace(stop(each, OutcomeKind.HELD, name, message, remedy), pull=closed.url) for each in step.stand.outcomes
    ]
    step = replace(step, delivered=replace(step.delivered, url=closed.url, title=closed.title))
    return step.end(PullAct.LEFT, reason, outcomes)


def not_pushed(step: Step, result: PushResult) -> Step:
    """The branch could not be moved: somebody was quicker, or the remote said no."""
    moved, transient = result.kind is Pushed.MOVED, result.kind is not Pushed.DECLINED
    why = "somebody pushed to it meanwhile" if moved else result.text or "the remote did not answer"
    message = f"{step.stand.name} was not pushed: {why}"
    remedy = "Run again." if transient else f"Let this identity push to, and force, branches below {FOLDER}."
    if step.stand.pull is None and not transient:  # it is only in the way, and would be again in every run
        ended = step.end(step.delivered.act, step.delivered.reason)
        return replace(ended, warnings=(f"{step.stand.name} is no longer needed and cannot be deleted: {why}",))
    return replace(_broken(step, Failure("BranchNotPushed", message, remedy, transient)), raced=moved)


def failed(step: Step, why: ForgeFailure) -> Step:
    """What the forge did not do."""
    remedy = why.remedy or ("Run again." if why.transient else "")
    if why.trouble is Trouble.FORBIDDEN:
        remedy = why.remedy or "Let the forge's token read and write pull requests."
    return _broken(step, Failure(f"Forge{why.trouble}", why.message, remedy, why.transient))


def _broken(step: Step, failure: Failure) -> Step:
    """What went wrong is told of the declarations that it concerns, else of the branch."""
    outcomes = [fails(each, failure) for each in step.stand.outcomes]
    alone = None if outcomes else replace(failure, message=f"{step.stand.name}: {failure.message}")
    return step.end(PullAct.FAILED, failure.message, outcomes, alone)
